"""Several channels to one, and how fast a device's clock really runs."""

import numpy as np

from vcam_avatar.media import FloatArray

_SMOOTHING_S = 0.5
_SILENT_SHARE = 0.01
"""A channel with less than this share (-20 dB) of the loudest one's energy carries no voice."""
_OPPOSED = -0.5
"""Correlation below which two channels would cancel each other."""


class ChannelMixer:
    """Mixes to mono so that the voice keeps its level: silent channels do not halve it, channels of
    opposite polarity do not cancel it. Weights move slowly; there are no steps in the sound."""

    def __init__(self, channels: int, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._cross = np.zeros((channels, channels))
        self._weights = np.full(channels, 1.0 / channels)

    @property
    def weights(self) -> FloatArray:
        """Share of each channel now; they add up to 1."""
        return np.asarray(self._weights, np.float32)

    def push(self, block: FloatArray) -> FloatArray:
        """Mix float32 ``(n, channels)`` to ``(n, 1)``."""
        count = len(block)
        if block.shape[1] == 1 or count == 0:
            return block[:, :1]
        keep = np.exp(-count / (_SMOOTHING_S * self._rate_hz))
        self._cross = keep * self._cross + (block.T @ block).astype(np.float64)
        before, self._weights = self._weights, keep * self._weights + (1 - keep) * self._wanted()
        ramp = np.arange(1, count + 1)[:, None] / count
        weights = before + ramp * (self._weights - before)
        return np.asarray(np.sum(block * weights, axis=1, keepdims=True), np.float32)

    def _wanted(self) -> FloatArray:
        energy = np.diag(self._cross)
        loudest = int(energy.argmax())
        if energy[loudest] <= 1e-9:
            return np.asarray(self._weights, np.float32)
        scale = np.sqrt(energy * energy[loudest]) + 1e-12
        with_loudest = self._cross[loudest] / scale
        used = (energy >= _SILENT_SHARE * energy[loudest]) & (with_loudest > _OPPOSED)
        return np.asarray(used / used.sum(), np.float32)


class DriftMeter:
    """Compares a device's samples with the clock on the wall.

    Blocks arrive late by a varying amount, never early: the earliest of each stretch of time are near
    the truth, and a line through them gives the rate.
    """

    WINDOW_S = 5.0
    WINDOWS = 60
    NEEDED = 6

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._start_s: float | None = None
        self._samples = 0
        self._window: tuple[float, float] | None = None
        self._lowest: list[tuple[float, float]] = []
        self._window_end_s = self.WINDOW_S

    def push(self, samples: int, now_s: float) -> None:
        """``samples`` more have arrived at ``now_s``."""
        if self._start_s is None:
            self._start_s = now_s
            return  # the first block has been waiting for unknown time
        self._samples += samples
        elapsed = now_s - self._start_s
        late = elapsed - self._samples / self._rate_hz
        if self._window is None or late < self._window[1]:
            self._window = (elapsed, late)
        if elapsed >= self._window_end_s:
            self._window_end_s = elapsed + self.WINDOW_S
            self._lowest.append(self._window)
            self._window = None
            if len(self._lowest) > self.WINDOWS:
                del self._lowest[0]

    @property
    def ppm(self) -> float | None:
        """How much faster than nominal the device runs, in parts per million; None until enough was
        heard to tell."""
        if len(self._lowest) < self.NEEDED:
            return None
        elapsed, late = np.array(self._lowest).T
        slope = np.polyfit(elapsed, late, 1)[0]
        return round(float(-slope * 1e6), 1)
