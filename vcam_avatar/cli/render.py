"""``vcam-avatar render``: a sound file in, a video file out."""

import argparse
from pathlib import Path

from vcam_avatar.cli import _options


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser("render", help="turn a sound file into a video of an avatar")
    parser.add_argument("audio", type=Path, help="any audio file, or a video with sound")
    parser.add_argument("-o", "--out", type=Path, help="video to write; default: AUDIO with .mp4")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing video")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    _options.add_config_flags(parser)
    parser.set_defaults(handler=_run)


def _run(args: argparse.Namespace) -> int:
    config = _options.config_from(args)
    named = args.audio if args.audio.name else args.audio / "avatar"  # "." and ".." have no name to go by
    out = _options.video_to_write(args.out or named.with_suffix(".mp4"), args.overwrite, args.audio)
    from vcam_avatar.cli._studio import render_file

    done = render_file(args.audio, out, config, progress=not args.quiet)
    print(f"{out}: {done}")
    return 0
