"""Flags that several subcommands share, and what they mean."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vcam_avatar.config import Config


def add_config_flags(parser: argparse.ArgumentParser) -> None:
    """Add ``--config`` and the flags that override it."""
    group = parser.add_argument_group("configuration (flags win over the file)")
    group.add_argument("--config", type=Path, metavar="FILE", help="TOML file, instead of the user's own")
    group.add_argument("--avatar", metavar="NAME", help="avatar to show; see 'avatars list'")
    group.add_argument("--fps", help="frames per second, 10 to 60, such as 25 or 29.97")
    group.add_argument("--size", metavar="WxH", help="frame size, such as 1280x720")
    group.add_argument("--seed", type=int, help="the same seed and sound give the same video")
    group.add_argument("--look-ahead", type=int, choices=(0, 20, 40), help="ms of sound heard beforehand")
    group.add_argument("--mouth-gain", type=float, help="how far the mouth opens, 0 to 2")
    group.add_argument("--motion-gain", type=float, help="how lively the gestures are, 0 to 2")
    group.add_argument("--device", choices=("cpu", "cuda"), help="where the networks run")


def config_from(args: argparse.Namespace, **more: object) -> "Config":
    """The configuration for parsed flags; ``more`` are further values by dotted key.

    Raises:
        ConfigError: see ``load_config``.
    """
    from vcam_avatar.config import load_config

    flags: dict[str, object] = {
        "avatar": args.avatar,
        "video.fps": args.fps,
        "video.size": args.size,
        "motion.seed": args.seed,
        "voice.look_ahead_ms": args.look_ahead,
        "voice.mouth_gain": args.mouth_gain,
        "motion.gain": args.motion_gain,
        "networks.device": args.device,
    }
    return load_config(args.config, {**flags, **more})


def video_to_write(path: Path, overwrite: bool, sound: Path | None = None) -> Path:
    """Return ``path`` when a video may be written there.

    Args:
        path: the video.
        overwrite: an existing file may be replaced.
        sound: the file the sound comes from, which is never replaced.

    Raises:
        MediaError: it is the sound's own file, or it exists and ``overwrite`` is not set.
    """
    from vcam_avatar.errors import MediaError

    if sound is not None and path.exists() and sound.exists() and path.samefile(sound):
        raise MediaError(f"{path} holds the sound: choose another name for the video with  -o NAME.mp4")
    if path.exists() and not overwrite:
        raise MediaError(f"{path} exists already: choose another name, or allow it with  --overwrite")
    return path
