"""``vcam-avatar avatars``: make, list, show, share and mend avatars."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vcam_avatar.avatars.settings import AvatarSettings


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand and its own."""
    parser = subparsers.add_parser("avatars", help="make an avatar of any picture; list, share and mend them")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    create = actions.add_parser("create", help="make an avatar of a picture", description=_CREATE)
    create.add_argument("picture", type=Path, help="photo, drawing or cut-out, any usual format")
    create.add_argument("--name", default="", help="name of the avatar; by default the file's name")
    create.add_argument("--hands", type=Path, metavar="PICTURE", help="second picture with both palms shown")
    create.add_argument("--points", type=Path, metavar="FILE", help="points placed by hand, or OpenPose JSON")
    create.add_argument(
        "--points-template",
        type=Path,
        metavar="FILE",
        help="only write FILE with the points found, to correct",
    )
    create.add_argument("--framing", choices=["head", "bust", "half_body", "whole"], help="what is shown")
    create.add_argument(
        "--background", metavar="HOW", help="keep, blur, transparent or a colour like #00B140"
    )
    create.add_argument("--mirror", action="store_true", help="flip left and right")
    create.add_argument("--replace", action="store_true", help="overwrite an avatar of that name")
    create.add_argument("--preview", action="store_true", help="also make the five-second clip")
    create.set_defaults(handler=_create)

    points = actions.add_parser("points", help="place the points of a drawing or an animal with the mouse")
    points.add_argument("picture", type=Path, help="the picture to make an avatar of")
    points.add_argument(
        "file", type=Path, nargs="?", help="points file to write; by default beside the picture"
    )
    points.add_argument(
        "--create", action="store_true", help="make the avatar as soon as the points are saved"
    )
    points.add_argument("--name", default="", help="with --create: name of the avatar")
    points.add_argument(
        "--replace", action="store_true", help="with --create: overwrite an avatar of that name"
    )
    points.set_defaults(handler=_points)

    listing = actions.add_parser("list", help="list all avatars")
    listing.add_argument("--json", action="store_true", help="as JSON")
    listing.set_defaults(handler=_list)

    for name, handler, text in (
        ("show", _show, "say all about one avatar"),
        ("repair", _repair, "make again what is missing or damaged in an avatar's folder"),
        ("remove", _remove, "delete one of your own avatars"),
    ):
        action = actions.add_parser(name, help=text)
        action.add_argument("name", help="name of the avatar, or a path to its folder")
        action.set_defaults(handler=handler)

    export = actions.add_parser("export", help="pack an avatar into one file to share")
    export.add_argument("name", help="name of the avatar, or a path to its folder")
    export.add_argument("file", type=Path, nargs="?", help="where to; by default NAME.avatar here")
    export.set_defaults(handler=_export)

    bring = actions.add_parser("import", help="unpack an .avatar file; nothing in it is trusted")
    bring.add_argument("file", type=Path)
    bring.add_argument("--name", default="", help="name of the avatar; by default the file's name")
    bring.add_argument("--replace", action="store_true", help="overwrite an avatar of that name")
    bring.set_defaults(handler=_import)

    preview = actions.add_parser("preview", help="make a five-second clip of an avatar speaking")
    preview.add_argument("name", help="name of the avatar, or a path to its folder")
    preview.add_argument("-o", "--out", type=Path, help="video to write; by default NAME.mp4 here")
    preview.set_defaults(handler=_preview)


_CREATE = (
    "Make an avatar of a picture in a few seconds. A face from the front, the chest in view and arms away "
    "from the body look best. Drawings and animals where no face is found: place the points with the mouse "
    "(avatars points PICTURE), or write them with --points-template FILE, correct FILE, and give it back "
    "with --points FILE."
)


def _create(args: argparse.Namespace) -> int:
    import time

    from vcam_avatar.avatars.create import create_avatar, name_from, write_template

    if args.points_template is not None:
        drawn = write_template(args.picture, args.points_template)
        print(f"points   {args.points_template}  (correct it, then: create {args.picture} --points FILE)")
        print(f"picture  {drawn}  (shows where they are now)")
        return 0
    started = time.perf_counter()
    name = args.name or name_from(args.picture)
    created = create_avatar(
        args.picture,
        name,
        hands_path=args.hands,
        points_path=args.points,
        settings=_settings(args, name),
        replace=args.replace,
        progress=lambda step: print(f"{step} ...", file=sys.stderr),
    )
    for note in created.notes:
        print(f"note: {note}", file=sys.stderr)
    print(f"avatar {name} is ready after {time.perf_counter() - started:.1f} s: {created.folder}")
    if args.preview:
        _make_preview(str(created.folder), Path(f"{name}.mp4"))
    return 0


def _points(args: argparse.Namespace) -> int:
    from vcam_avatar.avatars.create import create_avatar, found_points, name_from
    from vcam_avatar.avatars.points_editor import PointsEditor
    from vcam_avatar.avatars.points_file import read_points_file
    from vcam_avatar.cli._points_window import edit_points
    from vcam_avatar.media import Size

    target = args.file or args.picture.with_suffix(".points.txt")
    picture, points, face = found_points(args.picture)
    if target.exists():
        # Going on where the last time ended.
        given = read_points_file(target, Size(picture.shape[1], picture.shape[0]))
        points, face = given.points_px, given.face_px
    if not edit_points(PointsEditor(picture, points, face), target):
        print("nothing was saved", file=sys.stderr)
        return 1
    print(f"points  {target}")
    if not args.create:
        print(f"next    vcam-avatar avatars create {args.picture} --points {target}")
        return 0
    name = args.name or name_from(args.picture)
    created = create_avatar(args.picture, name, points_path=target, replace=args.replace)
    for note in created.notes:
        print(f"note: {note}", file=sys.stderr)
    print(f"avatar  {created.folder}")
    return 0


def _settings(args: argparse.Namespace, name: str) -> "AvatarSettings | None":
    from pydantic import ValidationError

    from vcam_avatar.avatars.settings import AvatarSettings, describe
    from vcam_avatar.errors import ConfigError

    values: dict[str, object] = {"name": name, "mirror": args.mirror}
    if args.framing:
        values["framing"] = args.framing
    if args.background:
        colour = args.background.startswith("#")
        values["background"] = (
            {"kind": "colour", "colour": args.background} if colour else {"kind": args.background}
        )
    elif not args.framing and not args.mirror:
        return None
    try:
        return AvatarSettings.model_validate(values)
    except ValidationError as exc:
        raise ConfigError(describe(exc)) from exc


def _list(args: argparse.Namespace) -> int:
    from vcam_avatar.avatars import list_avatars
    from vcam_avatar.avatars.watch import loaded_bytes

    entries = list_avatars()
    if args.json:
        import json

        rows = [
            {
                "name": entry.name,
                "title": entry.settings.name if entry.settings else None,
                "preset": entry.preset,
                "slot": entry.settings.slot if entry.settings else 0,
                "megabytes": round(loaded_bytes(entry.folder) / 1e6, 1),
                "folder": str(entry.folder),
                "problem": entry.problem,
            }
            for entry in entries
        ]
        print(json.dumps(rows, indent=1))
        return 0
    if not entries:
        print("there are no avatars; make one with: vcam-avatar avatars create PICTURE")
    else:
        print(f"{'name':20} {'from':7} {'memory':>7}  what")
    for entry in entries:
        where = "preset" if entry.preset else "yours"
        what = entry.problem or (entry.settings.description or entry.settings.name if entry.settings else "")
        print(f"{entry.name:20} {where:7} {loaded_bytes(entry.folder) / 1e6:4.0f} MB  {what}")
    return 0


def _show(args: argparse.Namespace) -> int:
    from vcam_avatar.avatars import LEFT_HAND, RIGHT_HAND, find_avatar, load_avatar
    from vcam_avatar.avatars.layers import load_layers
    from vcam_avatar.avatars.learnt import load_learnt
    from vcam_avatar.avatars.watch import array_bytes

    avatar = load_avatar(find_avatar(args.name))
    settings, size = avatar.settings, avatar.keypoints.size
    learnt = load_learnt(avatar.folder)
    layers = load_layers(avatar.layers_folder) if learnt is None else learnt.layers
    hands = [
        side for side, hand in (("left", LEFT_HAND), ("right", RIGHT_HAND)) if avatar.keypoints.has_hand(hand)
    ]
    rows = {
        "name": settings.name,
        "description": settings.description,
        "folder": avatar.folder,
        "licence": settings.licence or "not stated",
        "source": settings.source,
        "picture": f"{size}, {'photo' if avatar.has_background else 'cut-out'}",
        "hands seen": ", ".join(hands) or "none",
        "framing": settings.framing,
        "background": settings.background.kind,
        "slot": settings.slot,
        "learnt": "" if learnt is None else learnt.about.summary,
        "memory": f"{(avatar.memory_bytes + array_bytes(layers)) / 1e6:.0f} MB before it is prepared",
    }
    for key, value in rows.items():
        if value:
            print(f"{key:12} {value}")
    return 0


def _repair(args: argparse.Namespace) -> int:
    from vcam_avatar.avatars.create import repair_avatar
    from vcam_avatar.avatars.format import find_folder

    done = repair_avatar(find_folder(args.name))
    for line in done or ("nothing was wrong",):
        print(line)
    return 0


def _remove(args: argparse.Namespace) -> int:
    import shutil

    from vcam_avatar.avatars.format import check_name, user_avatars_dir
    from vcam_avatar.errors import AvatarDataError

    folder = user_avatars_dir() / check_name(args.name)
    if not folder.is_dir():
        raise AvatarDataError(f"you have no avatar {args.name!r} of your own; presets cannot be removed")
    try:
        shutil.rmtree(folder)
    except OSError as exc:
        raise AvatarDataError(f"{folder} cannot be removed: {exc}") from exc
    print(f"removed {folder}")
    return 0


def _export(args: argparse.Namespace) -> int:
    from vcam_avatar.avatars import find_avatar
    from vcam_avatar.avatars.archive import SUFFIX, export_avatar

    folder = find_avatar(args.name)
    print(export_avatar(folder, args.file or Path(folder.name + SUFFIX)))
    return 0


def _import(args: argparse.Namespace) -> int:
    from vcam_avatar.avatars.archive import import_avatar

    print(import_avatar(args.file, args.name, replace=args.replace))
    return 0


def _preview(args: argparse.Namespace) -> int:
    from vcam_avatar.avatars import find_avatar

    folder = find_avatar(args.name)
    _make_preview(str(folder), args.out or Path(f"{folder.name}.mp4"))
    return 0


def _make_preview(name: str, out: Path) -> None:
    from vcam_avatar.cli._preview import write_preview

    write_preview(name, out)
    print(f"preview  {out}")
