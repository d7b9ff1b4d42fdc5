"""Any rate and channels -> 16 kHz mono, block by block, the same for every way to cut the blocks."""

import functools
import itertools
import math
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import soxr
from numpy.typing import NDArray

from vcam_avatar.media import SAMPLE_RATE_HZ, FloatArray

_PHASES = 64
_TRANSITION_HZ = 1000.0
"""Width of the low-delay filter's edge: 7.5 kHz passes, 8.5 kHz is gone."""
_KAISER_BETA = 7.0
_GATHERED = 160
IndexArray = NDArray[np.int64]


class MonoResampler:
    """For files: no delay at the end, best quality; holds back about 30 ms on the way."""

    def __init__(self, rate_hz: int) -> None:
        self._stream = (
            None if rate_hz == SAMPLE_RATE_HZ else soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1, "float32")
        )

    def push(self, block: FloatArray, last: bool = False) -> FloatArray:
        """Take float32 ``(n, channels)`` at the source rate; return float32 ``(m,)``, m may be 0.

        Channels are averaged. ``last`` ends the stream and returns all that was held back.
        """
        mono = np.ascontiguousarray(block.mean(1, dtype=np.float32))
        if self._stream is None:
            return mono
        return np.asarray(self._stream.resample_chunk(mono, last=last), np.float32)


class LowDelayResampler:
    """For microphones: about 2 ms of delay, and the rate may be trimmed while it runs."""

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._table = _filter_table(rate_hz)
        self._taps = self._table.shape[1]
        self._offsets = np.arange(self._taps)
        self._input = np.zeros(self._taps, np.float32)
        self._step = Fraction(rate_hz, SAMPLE_RATE_HZ)
        self._stride = int(self._step) if self._step.denominator == 1 else 0
        """Whole input samples per output; 0 when it is no whole number."""
        self._position = Fraction(0)

    @property
    def delay_s(self) -> float:
        """How much later the sound comes out, in seconds."""
        return float(self._taps / 2 / self._rate_hz)

    def trim(self, ppm: float) -> None:
        """Pretend the source runs ``ppm`` parts per million faster than its nominal rate."""
        self._step = Fraction(self._rate_hz, SAMPLE_RATE_HZ) * Fraction(round(1e9 + ppm * 1e3), 10**9)

    def push(self, block: FloatArray) -> FloatArray:
        """Take float32 ``(n, channels)`` at the source rate; return float32 ``(m,)``, m may be 0.

        Channels are averaged.
        """
        mono = block.mean(1, dtype=np.float32)
        samples = np.concatenate([self._input, mono])
        # Output k uses `taps` samples from floor(position + k step) on; all must be there.
        room = len(samples) - self._taps - self._position
        count = max(0, math.floor(room / self._step) + 1) if room >= 0 else 0
        step, start = self._step, self._position
        unit = math.lcm(step.denominator, start.denominator)
        ticks = int(start * unit) + np.arange(count, dtype=np.int64) * int(step * unit)
        first = ticks // unit
        phase = (ticks % unit) / unit * _PHASES
        low = phase.astype(np.int64)
        part = (phase - low).astype(np.float32)
        out = np.empty(count, np.float32)
        for a, b in self._pieces(first, low):
            if self._stride:
                # The same row of the table for all, the windows a view.
                windows = _windows(samples, int(first[a]), self._stride, b - a, self._taps)
                rows = self._table[low[a]], self._table[low[a] + 1]
                near, far = (np.einsum("kt,t->k", windows, row) for row in rows)
            else:
                windows = samples[first[a:b, None] + self._offsets]
                near = np.einsum("kt,kt->k", windows, self._table[low[a:b]])
                far = np.einsum("kt,kt->k", windows, self._table[low[a:b] + 1])
            out[a:b] = near * (1 - part[a:b]) + far * part[a:b]
        after = start + count * step
        used = min(math.floor(after), len(samples))
        self._position = after - used
        self._input = samples[used:]
        return out

    def _pieces(self, first: IndexArray, low: IndexArray) -> Iterator[tuple[int, int]]:
        """Where the outputs are cut: for a whole step where the table's row changes, which it seldom does,
        or a sample is left out; else so that what is gathered stays small."""
        count = len(first)
        if self._stride:
            changes = (np.diff(first) != self._stride) | (np.diff(low) != 0)
            cuts = [0, *(np.flatnonzero(changes) + 1).tolist(), count]
        else:
            cuts = [*range(0, count, _GATHERED), count]
        return ((a, b) for a, b in itertools.pairwise(cuts) if a < b)


def _windows(samples: FloatArray, first: int, stride: int, count: int, taps: int) -> FloatArray:
    """float32 ``(count, taps)``, a view: from ``first`` on, every ``stride`` samples."""
    (step,) = samples.strides
    return np.lib.stride_tricks.as_strided(
        samples[first:], (count, taps), (stride * step, step), writeable=False
    )


@functools.lru_cache(maxsize=8)
def _filter_table(rate_hz: int) -> FloatArray:
    """float32 ``(_PHASES + 1, taps)``: the low-pass at every fraction of an input sample."""
    width = min(_TRANSITION_HZ, rate_hz / 8)
    cutoff = min(SAMPLE_RATE_HZ, rate_hz) / 2 - (0 if rate_hz > SAMPLE_RATE_HZ else width / 2)
    taps = 2 * math.ceil(2.3 * rate_hz / width)
    time = np.arange(taps)[None, :] - taps / 2 - np.arange(_PHASES + 1)[:, None] / _PHASES
    ratio = 2 * cutoff / rate_hz
    edge = np.clip(1 - (2 * time / taps) ** 2, 0, 1)
    table = ratio * np.sinc(ratio * time) * np.i0(_KAISER_BETA * np.sqrt(edge)) / np.i0(_KAISER_BETA)
    return np.asarray(table / table.sum(1, keepdims=True), np.float32)
