"""Joins configuration, stages, avatar, source and sink for the subcommands that make frames."""

import logging
import math
import sys
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vcam_avatar.config import Config
from vcam_avatar.devices.audio_file import FileAudioSource
from vcam_avatar.devices.sound_track import FileSoundTrack
from vcam_avatar.media import UnitClock
from vcam_avatar.pipeline import build
from vcam_avatar.pipeline.loop import FrameLoop
from vcam_avatar.pipeline.runner import play_stored

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

_SILENT_DB = -110.0


@dataclass(frozen=True, slots=True)
class Rendered:
    """What ``render_file`` made."""

    frames: int
    duration_s: float
    wall_s: float
    """Time it took, stages loaded before."""
    loop: FrameLoop


def render_file(audio: Path, out: Path, config: Config, *, progress: bool = True) -> Rendered:
    """Turn an audio file into a video file; ``out`` appears when all is done, or not at all.

    Raises:
        AvatarError: the sound, the avatar, a network or the target cannot be used.
    """
    import time

    from vcam_avatar.devices.video_file import VideoFileSink

    # The cheap checks first: a wrong name should not cost the time of loading networks.
    source = FileAudioSource(audio)
    sink = VideoFileSink(out, FileSoundTrack(audio), config.video.fps)
    try:
        loop, levels = make_loop(config)
        total = _unit_count(source.duration_s, config.video.fps)
        started = time.perf_counter()
        with _Progress(total, out.name, progress) as bar:
            frames = play_stored(source, loop, sink, config.video.size, config.video.fps, on_frame=bar.show)
        sink.close()
        wall_s = time.perf_counter() - started
    except BaseException:
        sink.abort()
        raise
    if levels.loudest_db < _SILENT_DB:
        print(f"note: {audio} is silent from end to end, so the avatar only idles", file=sys.stderr)
    return Rendered(frames, float(frames / config.video.fps), wall_s, loop)


class Levels:
    """Watches how loud the sound is."""

    def __init__(self) -> None:
        self.loudest_db = -120.0

    def listen(self, samples: Any) -> None:
        """Hear float32 ``(n,)``."""
        peak = float(abs(samples).max()) if len(samples) else 0.0
        if peak > 0:
            self.loudest_db = max(self.loudest_db, 20 * math.log10(peak))


def make_loop(config: Config, *, hold_faults: bool = False) -> tuple[FrameLoop, Levels]:
    """A loop with all stages and the configured avatar, ready to run.

    Raises:
        AvatarError: the avatar or a network cannot be used.
    """
    levels = Levels()
    avatar = build.find_configured_avatar(config)
    stages = build.build_stages(config)
    prepared = build.prepare_avatar(stages, avatar, config)
    loop = FrameLoop(
        stages,
        prepared,
        config.video.fps,
        config.motion.seed,
        hold_faults=hold_faults,
        fade_units=round(config.video.fade_ms * config.video.fps / 1000),
    )
    loop.listeners.append(levels.listen)
    return loop, levels


def _unit_count(duration_s: float | None, fps: Fraction) -> int | None:
    return None if duration_s is None else UnitClock(fps).unit_count(round(duration_s * 16_000))


class _Progress:
    """A bar on standard error, when that is a terminal or ``wanted`` says so."""

    def __init__(self, total: int | None, name: str, wanted: bool) -> None:
        import tqdm

        self._bar: Any = tqdm.tqdm(
            total=total, desc=name, unit="frame", disable=not wanted, file=sys.stderr, mininterval=0.2
        )
        self.show: Callable[[int], None] = self._show

    def _show(self, done: int) -> None:
        self._bar.update(done - self._bar.n)

    def __enter__(self) -> "_Progress":
        return self

    def __exit__(self, *args: object) -> None:
        self._bar.close()
