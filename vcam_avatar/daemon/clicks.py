"""Measures the whole way from sound to picture: clicks are played, and it is watched when the frame that
hears each one is sent."""

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from vcam_avatar.errors import DeviceError
from vcam_avatar.media import SAMPLE_RATE_HZ, FloatArray, Frame, Size
from vcam_avatar.ports import FrameSink

FIRST_S, EVERY_S = 2.0, 0.7
"""When the first click comes, and how far apart they are; some milliseconds are added to each, so that
they fall on every part of a frame."""
CLICK_S = 0.005
_OUTPUT_RATE_HZ = 48_000
_QUIET_S = 0.2
_LONGEST_S = 0.6


@dataclass(frozen=True, slots=True)
class ClickLatency:
    """Milliseconds from a click at the microphone to the frame that has heard it, at the camera."""

    p50_ms: float
    p95_ms: float
    heard: int
    played: int


class ClickWatch:
    """Sees clicks in the units and the moments their frames are sent."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._unit = -1
        self._quiet_samples = 0
        self._clicks: list[int] = []
        self._sent: dict[int, float] = {}
        self._lock = threading.Lock()

    def hear(self, samples: FloatArray) -> None:
        """The samples of the next unit; called on the frame thread."""
        self._unit += 1
        loud = np.flatnonzero(np.abs(samples) > 0.05)
        if len(loud) == 0:
            self._quiet_samples += len(samples)
            return
        if self._quiet_samples + loud[0] >= _QUIET_S * SAMPLE_RATE_HZ:
            with self._lock:
                self._clicks.append(self._unit)
        self._quiet_samples = len(samples) - 1 - int(loud[-1])

    def sent(self, index: int) -> None:
        """The frame of unit ``index`` is at the camera."""
        with self._lock:
            self._sent.setdefault(index, self._clock())

    def latency(self, played_at: list[float]) -> ClickLatency | None:
        """Latency over all clicks that were heard; None when none was.

        Args:
            played_at: the clock's seconds at which each click was at the microphone.
        """
        with self._lock:
            shown = sorted(self._sent[unit] for unit in self._clicks if unit in self._sent)
        delays = []
        for moment in played_at:
            after = next((s for s in shown if s >= moment), None)
            if after is not None and after - moment < _LONGEST_S:
                delays.append((after - moment) * 1e3)
        if not delays:
            return None
        p50, p95 = (round(float(v), 1) for v in np.percentile(delays, [50, 95]))
        return ClickLatency(p50, p95, len(delays), len(played_at))


class WatchedSink:
    """Another sink; tells the watch of every frame sent."""

    def __init__(self, sink: FrameSink, watch: ClickWatch) -> None:
        self._sink = sink
        self._watch = watch

    @property
    def name(self) -> str | None:
        """The other sink's device."""
        return getattr(self._sink, "name", None)

    def open(self, size: Size, fps: float) -> None:
        """Open the other sink."""
        self._sink.open(size, fps)

    def send(self, frame: Frame) -> None:
        """Send, then tell."""
        self._sink.send(frame)
        self._watch.sent(frame.index)

    def close(self) -> None:
        """Close the other sink."""
        self._sink.close()


class ClickPlayer:
    """Plays clicks on a loudspeaker and knows when each one sounds."""

    def __init__(self, device: str | None = None) -> None:
        """``device``: any part of the output's name; None takes the system's default."""
        self._device = device
        self._played: queue.Queue[float] = queue.Queue()
        self._position = 0
        self._next = round(FIRST_S * _OUTPUT_RATE_HZ)
        self._count = 0
        t = np.arange(round(CLICK_S * _OUTPUT_RATE_HZ)) / _OUTPUT_RATE_HZ
        self._click = (0.7 * np.sin(2 * np.pi * 1000 * t) * np.hanning(len(t))).astype(np.float32)

    def play(self, seconds: float) -> list[float]:
        """Play for so long; return the monotonic seconds at which each click sounded.

        Raises:
            DeviceError: no loudspeaker.
        """
        from vcam_avatar.devices.portaudio import PORTAUDIO

        library = PORTAUDIO.library()
        try:
            with library.OutputStream(
                device=self._device, samplerate=_OUTPUT_RATE_HZ, channels=1, dtype="float32",
                blocksize=480, latency="low", callback=self._fill,
            ):  # fmt: skip
                time.sleep(seconds)
        except (ValueError, library.PortAudioError) as exc:
            raise DeviceError(f"clicks cannot be played ({exc}): is there a loudspeaker?") from exc
        return [self._played.get_nowait() for _ in range(self._played.qsize())]

    def _fill(self, out: FloatArray, frames: int, when: Any, status: Any) -> None:
        out[:] = 0
        start = self._next - self._position
        if -len(self._click) < start < frames:
            first, skip = max(0, start), max(0, -start)
            part = self._click[skip : skip + frames - first]
            out[first : first + len(part), 0] = part
            if start >= 0:
                # The stream's clock need not be ours: go by how far ahead of now the sound comes out.
                ahead_s = max(0.0, when.outputBufferDacTime - when.currentTime)
                self._played.put(time.monotonic() + ahead_s + start / _OUTPUT_RATE_HZ)
        self._position += frames
        if self._position >= self._next + len(self._click):
            self._count += 1
            self._next += round((EVERY_S + 0.0073 * (self._count % 11)) * _OUTPUT_RATE_HZ)
