"""Five seconds of an avatar that speaks with the shipped voice."""

import tempfile
from pathlib import Path

import soundfile

from vcam_avatar import resources
from vcam_avatar.cli._studio import render_file
from vcam_avatar.config import load_config

SECONDS = 5


def write_preview(avatar: str, out: Path) -> None:
    """Render the clip.

    Args:
        avatar: name, or path to its folder.
        out: video to write; overwritten when it is there.

    Raises:
        AvatarError: the avatar, a network or the target cannot be used.
    """
    config = load_config(None, {"avatar": avatar})
    with tempfile.TemporaryDirectory() as scratch:
        voice = Path(scratch) / "voice.wav"
        rate = soundfile.info(resources.asset_path("demo_voice.flac")).samplerate
        samples, rate = soundfile.read(resources.asset_path("demo_voice.flac"), frames=SECONDS * rate)
        soundfile.write(voice, samples, rate)
        render_file(voice, out.absolute(), config, progress=False)
