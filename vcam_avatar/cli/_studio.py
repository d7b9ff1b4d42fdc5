"""Joins configuration, stages, avatar, source and sink for the subcommands that make frames."""

import math
import sys
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from vcam_avatar.config import Config
from vcam_avatar.daemon.usage import give_memory_back, keep_few_heaps
from vcam_avatar.devices.audio_file import FileAudioSource
from vcam_avatar.devices.sound_track import FileSoundTrack
from vcam_avatar.media import SAMPLE_RATE_HZ, FloatArray, UnitClock
from vcam_avatar.pipeline import build
from vcam_avatar.pipeline.loop import FrameLoop
from vcam_avatar.pipeline.runner import play_stored

_SILENT_DB = -110.0


@dataclass(frozen=True, slots=True)
class Rendered:
    """What ``render_file`` made."""

    frames: int
    duration_s: float
    wall_s: float
    """Time it took, stages loaded before."""

    def __str__(self) -> str:
        speed = self.duration_s / max(self.wall_s, 1e-9)
        return f"{self.frames} frames, {self.duration_s:.2f} s, made {speed:.1f} times as fast as it plays"


def render_file(audio: Path, out: Path, config: Config, *, progress: bool = True) -> Rendered:
    """Turn an audio file into a video file; ``out`` appears when all is done, or not at all.

    Args:
        audio: any file with sound.
        out: replaced when it is there.
        config: avatar, size, rate and the rest.
        progress: show a bar on standard error.

    Raises:
        AvatarError: the sound, the avatar, a network or the target cannot be used.
    """
    import tqdm

    from vcam_avatar.devices.video_file import VideoFileSink

    # The cheap checks first: a wrong name should not cost the time of loading networks.
    source = FileAudioSource(audio)
    sink = VideoFileSink(out, FileSoundTrack(audio), config.video.fps)
    try:
        loop, levels = make_loop(config), Levels()
        loop.listeners.append(levels.listen)
        total = _unit_count(source.duration_s, config.video.fps)
        started = time.perf_counter()
        with tqdm.tqdm(
            total=total, desc=out.name, unit="frame", disable=not progress, mininterval=0.2
        ) as bar:
            frames = play_stored(
                source, loop, sink, config.video.size, config.video.fps,
                on_frame=lambda done: bar.update(done - bar.n),
            )  # fmt: skip
        sink.close()
        wall_s = time.perf_counter() - started
    except BaseException:
        sink.abort()
        raise
    if levels.loudest_db < _SILENT_DB:
        print(f"note: {audio} is silent from end to end, so the avatar only idles", file=sys.stderr)
    return Rendered(frames, float(frames / config.video.fps), wall_s)


class Levels:
    """Watches how loud the sound is."""

    def __init__(self) -> None:
        self.loudest_db = -120.0
        """Highest sample so far, dBFS."""

    def listen(self, samples: FloatArray) -> None:
        """Hear float32 ``(n,)``."""
        peak = float(abs(samples).max()) if len(samples) else 0.0
        if peak > 0:
            self.loudest_db = max(self.loudest_db, 20 * math.log10(peak))


def make_loop(config: Config, *, hold_faults: bool = False) -> FrameLoop:
    """A loop with all stages and the configured avatar, ready to run.

    Raises:
        AvatarError: the avatar or a network cannot be used.
    """
    keep_few_heaps()
    avatar = build.find_configured_avatar(config)
    stages = build.build_stages(config)
    prepared = build.prepare_avatar(stages, avatar, config)
    give_memory_back()
    return FrameLoop(
        stages,
        prepared,
        config.motion.seed,
        hold_faults=hold_faults,
        fade_units=round(config.video.fade_ms * config.video.fps / 1000),
    )


def _unit_count(duration_s: float | None, fps: Fraction) -> int | None:
    return None if duration_s is None else UnitClock(fps).unit_count(round(duration_s * SAMPLE_RATE_HZ))
