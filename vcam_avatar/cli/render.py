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
    out = _options.existing_or_new_video(args.out or args.audio.with_suffix(".mp4"), args.overwrite)
    from vcam_avatar.cli._studio import render_file

    done = render_file(args.audio, out, config, progress=not args.quiet)
    speed = done.duration_s / max(done.wall_s, 1e-9)
    print(f"{out}: {done.frames} frames, {done.duration_s:.2f} s, made {speed:.1f} times as fast as it plays")
    return 0
