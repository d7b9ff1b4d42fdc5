"""MFCC of sound that is still arriving.

Row ``t`` stands for samples ``[160 t, 160 t + 400)``: it never depends on the future, on the whole
clip, or on how the sound was cut into blocks. Training and live use share this module.
"""

import functools
from fractions import Fraction

import numpy as np

from vcam_avatar.media import HOP_SAMPLES, SAMPLE_RATE_HZ, FloatArray, UnitClock, UnitFeatures

WINDOW_SAMPLES = 400
"""25 ms."""
N_FFT = 512
N_COEFFICIENTS = 40
"""As many as mel bands: the transform loses nothing, so networks may undo it."""
ROWS_PER_UNIT = 4
"""Rows of ``UnitFeatures.resampled``, whatever the fps."""
_MIN_HZ, _MAX_HZ = 60.0, 7600.0
_MELS_PER_LOG = 27 / float(np.log(6.4))
_FLOOR = 1e-7
_CHUNK_ROWS = 512


def _mel_of_hz(hz: FloatArray) -> FloatArray:
    """Slaney's scale: linear to 1 kHz (mel 15), logarithmic above."""
    return np.where(hz < 1000, hz * 3 / 200, 15 + np.log(np.maximum(hz, 1) / 1000) * _MELS_PER_LOG)


@functools.cache
def mel_filters() -> FloatArray:
    """float32 ``(40, 257)`` triangular mel filters of equal area, the same as librosa's.

    Built here because importing librosa costs two seconds and 75 MB.
    """
    ends = _mel_of_hz(np.array([_MIN_HZ, _MAX_HZ], np.float64))
    mels = np.linspace(ends[0], ends[1], N_COEFFICIENTS + 2)
    corners = np.where(mels < 15, mels * 200 / 3, 1000 * np.exp((mels - 15) / _MELS_PER_LOG))
    hz = np.arange(N_FFT // 2 + 1) * (SAMPLE_RATE_HZ / N_FFT)
    widths = np.diff(corners)[:, None]
    rising = (hz - corners[:-2, None]) / widths[:-1]
    falling = (corners[2:, None] - hz) / widths[1:]
    heights = 2 / (corners[2:] - corners[:-2])[:, None]
    return np.asarray(np.maximum(0, np.minimum(rising, falling)) * heights, np.float32)


@functools.cache
def dct_matrix() -> FloatArray:
    """float32 ``(40, 40)`` orthonormal DCT-II: ``mfcc = log_mel @ dct_matrix()``."""
    n = N_COEFFICIENTS
    k, i = np.arange(n)[None, :], np.arange(n)[:, None]
    matrix = np.sqrt(2 / n) * np.cos(np.pi * (i + 0.5) * k / n)
    matrix[:, 0] /= np.sqrt(2)
    return np.asarray(matrix, np.float32)


@functools.cache
def _hann() -> FloatArray:
    return np.asarray(np.hanning(WINDOW_SAMPLES + 1)[:-1], np.float32)


def mel_energies(samples: FloatArray) -> FloatArray:
    """Mel energies of every complete window.

    Args:
        samples: float32 ``(n,)`` mono 16 kHz.

    Returns:
        float32 ``(rows, 40)`` with ``rows = max(0, 1 + (n - 400) // 160)``.
    """
    rows = max(0, 1 + (len(samples) - WINDOW_SAMPLES) // HOP_SAMPLES)
    out = np.empty((rows, N_COEFFICIENTS), np.float32)
    windows = (
        np.lib.stride_tricks.sliding_window_view(samples, WINDOW_SAMPLES)[::HOP_SAMPLES] if rows else None
    )
    for first in range(0, rows, _CHUNK_ROWS):
        assert windows is not None
        spectrum = np.fft.rfft(windows[first : first + _CHUNK_ROWS] * _hann(), N_FFT)
        power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
        # einsum, not BLAS: the result of a row must not depend on how many rows come with it.
        out[first : first + _CHUNK_ROWS] = np.einsum("rf,mf->rm", power, mel_filters())
    return out


def mfcc_from_mel(mel: FloatArray) -> FloatArray:
    """MFCC float32 ``(rows, 40)`` of mel energies ``(rows, 40)``."""
    return np.asarray(np.einsum("rm,mk->rk", np.log(mel + np.float32(_FLOOR)), dct_matrix()), np.float32)


def mfcc(samples: FloatArray) -> FloatArray:
    """MFCC of a whole clip: float32 ``(rows, 40)``; see ``mel_energies`` for ``rows``."""
    return mfcc_from_mel(mel_energies(np.asarray(samples, np.float32)))


class MfccStream:
    """MFCC of a stream. Any split of the samples gives the rows that ``mfcc`` gives."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything heard."""
        self._tail = np.zeros(0, np.float32)
        self.rows_done = 0

    def push(self, samples: FloatArray) -> FloatArray:
        """Take float32 ``(n,)`` samples; return the rows they complete, float32 ``(k, 40)``."""
        samples = np.concatenate([self._tail, samples])
        rows = mfcc(samples)
        self._tail = samples[len(rows) * HOP_SAMPLES :]
        self.rows_done += len(rows)
        return rows


class FeatureStage:
    """Turns the samples of each unit into ``UnitFeatures``."""

    def __init__(self, fps: Fraction) -> None:
        self.clock = UnitClock(fps)
        self.reset()

    def reset(self) -> None:
        """Back to unit 0, nothing heard."""
        self._stream = MfccStream()
        self._silence = mfcc(np.zeros(WINDOW_SAMPLES, np.float32))
        self._recent = self._silence
        self._index = 0

    def push(self, samples: FloatArray) -> UnitFeatures:
        """Take one unit's samples, float32 ``(n,)``, exactly as many as the clock says.

        Raises:
            ValueError: wrong number of samples.
        """
        n, clock = self._index, self.clock
        start, end = clock.start_sample(n), clock.start_sample(n + 1)
        if len(samples) != end - start:
            raise ValueError(f"unit {n} has {end - start} samples, got {len(samples)}")
        rows = self._stream.push(samples)
        # Before the first complete window there is silence; row r is centred 200 samples after its start.
        first = self._stream.rows_done - len(rows) - len(self._recent)
        known = np.concatenate([self._recent, rows])
        times = (np.arange(len(known)) + first) * HOP_SAMPLES + WINDOW_SAMPLES
        # ROWS_PER_UNIT instants spread over the unit, the last one being its end.
        wanted = start + (end - start) * (np.arange(ROWS_PER_UNIT) + 1.0) / ROWS_PER_UNIT
        position = np.clip(np.interp(wanted, times, np.arange(len(known))), 0, len(known) - 1)
        low = np.floor(position).astype(int)
        high = np.minimum(low + 1, len(known) - 1)
        part = (position - low)[:, None].astype(np.float32)
        resampled = known[low] * (1 - part) + known[high] * part
        self._recent = known[-12:]
        self._index += 1
        power = float(np.mean(np.square(samples, dtype=np.float64))) if len(samples) else 0.0
        level_db = max(-120.0, 10 * np.log10(power)) if power > 0 else -120.0
        return UnitFeatures(n, clock.fps, rows, resampled, float(level_db))
