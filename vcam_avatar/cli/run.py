"""``vcam-avatar run``: sound in, frames out, live."""

import argparse
from pathlib import Path

from vcam_avatar.cli import _options


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser("run", help="show the avatar on the virtual camera")
    parser.add_argument(
        "--source", default="mic", metavar="SOURCE", help="mic (default), mic:NAME, or file:PATH"
    )
    parser.add_argument(
        "--sink",
        default="camera",
        metavar="SINK",
        help="camera (default), camera:NAME, file:PATH.mp4; preview and memory: nobody sees the frames",
    )
    parser.add_argument("--loop", action="store_true", help="start a file again at its end, for ever")
    parser.add_argument("--seconds", type=float, help="stop after this much sound")
    parser.add_argument("--live", action="store_true", help="play a file in real time into any sink")
    parser.add_argument(
        "--no-control", action="store_true", help="take no commands; a second service may run beside"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing video")
    parser.add_argument("--log", type=Path, metavar="FILE", help="log file, instead of the user's own")
    _options.add_config_flags(parser)
    parser.set_defaults(handler=_run)


def _run(args: argparse.Namespace) -> int:
    config = _options.config_from(args)
    from vcam_avatar.cli import _live

    return _live.run(args, config)
