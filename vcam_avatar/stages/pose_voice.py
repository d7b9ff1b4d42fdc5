"""Simple facts about sound that need no network: is there any above the room's noise, does a syllable begin
with force."""

import math
from collections import deque

import numpy as np

from vcam_avatar.media import FloatArray

_DB = 10 / math.log(10) / math.sqrt(40)
"""First MFCC -> mean level of the mel bands, dB."""
_OVER_FLOOR_DB, _LOWEST_DB = 7.0, -66.0
_RISE_DB = 0.06
_VOICE_BANDS = slice(2, 30)
"""Of the 40 mel bands: roughly 150 to 4000 Hz."""
_WAVES = np.cos(np.pi / 40 * np.arange(40)[:, None] * (np.arange(40) + 0.5)) * math.sqrt(2 / 40)
_WAVES[0] /= math.sqrt(2)
_TO_BANDS = np.asarray(_WAVES[:, _VOICE_BANDS], np.float32)
"""MFCC -> logarithms of those bands."""
_HANG_TICKS = 4


def voice_level_db(rows: FloatArray) -> float:
    """Mean level of the bands of the voice over MFCC rows ``(n, 40)``, dB."""
    power = np.exp(rows @ _TO_BANDS).sum(-1) + 1e-7
    return float(10 * np.log10(power).mean())


class NoiseFloor:
    """Follows the quietest sound: down at once, up by 1.5 dB a second."""

    def __init__(self) -> None:
        self._floor = 0.0
        self._started = False
        self._hang = 0

    def heard(self, rows: FloatArray) -> bool:
        """Whether the MFCC rows ``(n, 40)`` of a tick, or one just before, stand out."""
        level = float(np.max(rows[:, 0])) * _DB
        quiet = float(np.min(rows[:, 0])) * _DB
        if not self._started:
            # The first sound may be speech: begin low.
            self._floor, self._started = min(quiet, -50.0), True
        self._floor = min(quiet, self._floor + _RISE_DB)
        loud = level > max(self._floor + _OVER_FLOOR_DB, _LOWEST_DB)
        self._hang = _HANG_TICKS if loud else max(0, self._hang - 1)
        return self._hang > 0


class Stress:
    """Hears a strong syllable begin: logistic regression on how loud the voice was in the last 0.8 s.

    ``python -m vcam_avatar.training.pose_stress`` fits it to what whole clips show to be stressed.
    """

    _LAGS = (0, 1, 2, 3, 4, 6, 8, 12, 16, 20)
    """Ticks back."""
    _WEIGHTS = (0.149, 0.117, 0.021, -0.099, -0.021, 0.040, -0.023, -0.001, 0.009, -0.022)
    """For each dB below the loudest of the last seconds."""
    _BIAS = -1.93
    _LIKELY, _APART_TICKS = 0.25, 8
    """What it must reach, and the least distance of two."""
    _FADE_DB, _LOWEST_DB = 0.12, -40.0

    def __init__(self) -> None:
        self._below: deque[float] = deque(maxlen=self._LAGS[-1] + 1)
        self._loud = -200.0
        self._since = 10**6

    def heard(self, rows: FloatArray) -> float:
        """Strength, 0.6..1, of what begins in the MFCC rows ``(n, 40)`` of this tick; 0 when nothing does."""
        level = voice_level_db(rows)
        self._loud = max(level, self._loud - self._FADE_DB)
        self._below.append(max(level - self._loud, self._LOWEST_DB))
        self._since += 1
        said = self._BIAS + sum(w * x for w, x in zip(self._WEIGHTS, self.facts(), strict=True))
        likely = 1 / (1 + math.exp(-said))
        if likely < self._LIKELY or self._since < self._APART_TICKS:
            return 0.0
        self._since = 0
        return min(1.0, 0.6 + 0.8 * (likely - self._LIKELY))

    def facts(self) -> list[float]:
        """What is judged by: dB below the loudest, at each of the lags; before the start as at the start."""
        known = len(self._below)
        return [self._below[-1 - min(lag, known - 1)] for lag in self._LAGS]
