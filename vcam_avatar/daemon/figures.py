"""What the running service measures of itself, and its report."""

import time
from collections import deque
from typing import Any

import numpy as np

from vcam_avatar.config import Config
from vcam_avatar.daemon.feed import CameraFeed
from vcam_avatar.daemon.latency import Latency, estimate
from vcam_avatar.daemon.parts import Parts
from vcam_avatar.daemon.sound import SoundKeeper
from vcam_avatar.daemon.usage import Usage, memory_mb
from vcam_avatar.media import SAMPLE_RATE_HZ

_REMEMBERED_FRAMES = 1500
_REMEMBERED_WAITS = 250


class Figures:
    """Counts and times frames as they go out; reads everything else from the parts when asked.

    Attributes:
        frames: frames made so far.
    """

    def __init__(self, parts: Parts, sound: SoundKeeper, feed: CameraFeed | None) -> None:
        self._parts = parts
        self._sound = sound
        self._feed = feed
        self._started_at = time.time()
        self._sent_at: deque[float] = deque(maxlen=_REMEMBERED_FRAMES)
        self._waiting_ms: deque[float] = deque(maxlen=_REMEMBERED_WAITS)
        self._usage, self._cores = Usage(), 0.0
        self.frames = 0

    @property
    def uptime_s(self) -> float:
        """Seconds since the start."""
        return time.time() - self._started_at

    def frame_made(self) -> None:
        """One more frame has been handed to the camera; called on the frame thread."""
        self._sent_at.append(time.monotonic())
        self._waiting_ms.append(self._parts.units.buffered_samples * 1e3 / SAMPLE_RATE_HZ)
        self.frames += 1

    def measure_load(self) -> None:
        """Processor use since the last call is what reports show until the next."""
        self._cores = self._usage.cores()

    def latency(self) -> Latency | None:
        """How much later than its sound a frame is sent; None before the first frame."""
        delay_s = float(getattr(self._sound.source, "delay_s", 0.0))
        waiting = sorted(self._waiting_ms)
        waiting_ms = waiting[len(waiting) // 2] if waiting else 0.0
        fps = float(self._parts.config.video.fps)
        return estimate(self._parts.loop.timings.spreads(), delay_s, fps, waiting_ms)

    def report(self, config: Config) -> dict[str, Any]:
        """Everything measured, as JSON values. ``config`` as it is now."""
        parts, latency = self._parts, self.latency()
        return {
            "avatar": parts.loop.avatar.name,
            "avatars": list(parts.shelf.names),
            "uptime_s": round(self.uptime_s, 1),
            "size": str(config.video.size),
            "target_fps": round(float(config.video.fps), 3),
            "frames": self.frames,
            **self._pace(float(config.video.fps)),
            "microphone": self._microphone(),
            "camera": self._camera(),
            "late_units": parts.units.late_units,
            "skipped_units": parts.units.skipped_units,
            "dropped_samples": parts.units.dropped_samples,
            "held_frames": parts.loop.held,
            "latency_ms": None
            if latency is None
            else {"p50": latency.p50_ms, "p95": latency.p95_ms, **latency.parts},
            "stages_p95_ms": {n: round(s.p95_ms, 2) for n, s in parts.loop.timings.spreads().items()},
            "sync_offset": config.obs.sync_offset,
            "cores": self._cores,
            "memory_mb": memory_mb(),
            **parts.extra_status(),
        }

    @property
    def camera_device(self) -> str | None:
        """The device our frames go to, once they do."""
        if self._feed is None or not self._feed.is_open or self._feed.sent == 0:
            return None
        return getattr(self._parts.camera, "name", None)

    def _microphone(self) -> dict[str, Any]:
        source, level = self._sound.source, self._sound.level()
        return {
            "name": getattr(source, "name", self._parts.source_name if source is not None else None),
            "level_db": level.rms_db,
            "peak_db": level.peak_db,
            "clipped_samples": getattr(source, "clipped_samples", level.clipped_samples),
            "silent_s": round(level.silent_s, 1),
            "openings": self._sound.openings,
            "drift_ppm": getattr(source, "drift_ppm", None),
        }

    def _camera(self) -> dict[str, Any] | None:
        feed = self._feed
        if feed is None:
            return None
        return {
            "device": self.camera_device,
            "open": feed.is_open,
            "sent": feed.sent,
            "repeated": feed.repeated,
            "dropped": feed.dropped,
            "openings": feed.openings,
        }

    def _pace(self, fps: float) -> dict[str, float | None]:
        moments = np.array(list(self._sent_at)[-round(10 * fps) :])
        if len(moments) < 3:
            return {"fps": None, "interval_p99_ms": None}
        gaps = np.diff(moments)
        return {
            "fps": round(float(1 / gaps.mean()), 2),
            "interval_p99_ms": round(float(np.percentile(gaps, 99)) * 1e3, 1),
        }
