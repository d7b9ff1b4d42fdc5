"""``vcam-avatar demo``: the shipped voice, an avatar, and nothing else needed."""

import argparse
from pathlib import Path

from vcam_avatar.cli import _options


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser("demo", help="make a video with the shipped voice; needs no device")
    parser.add_argument("-o", "--out", type=Path, default=Path("avatar-demo.mp4"), help="video to write")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    _options.add_config_flags(parser)
    parser.set_defaults(handler=_run)


def _run(args: argparse.Namespace) -> int:
    config = _options.config_from(args)
    from vcam_avatar import resources
    from vcam_avatar.cli._contact import write_contact_sheet
    from vcam_avatar.cli._studio import render_file

    out: Path = args.out.absolute()
    done = render_file(resources.asset_path("demo_voice.flac"), out, config, progress=not args.quiet)
    sheet = out.with_name(f"{out.stem}-contact.png")
    write_contact_sheet(out, sheet)
    print(f"video          {out}")
    print(f"contact sheet  {sheet}")
    print(
        f"{done.frames} frames of {config.video.size} at {float(config.video.fps):.4g} fps, "
        f"{done.duration_s:.1f} s, made in {done.wall_s:.1f} s"
    )
    return 0
