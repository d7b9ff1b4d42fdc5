"""Simple facts about sound that need no network: is there any above the room's noise, does a syllable begin
with force."""

import math

import numpy as np

from vcam_avatar.media import FloatArray

_DB = 10 / math.log(10) / math.sqrt(40)
"""First MFCC -> mean level of the mel bands, dB."""
_OVER_FLOOR_DB, _LOWEST_DB = 7.0, -66.0
_RISE_DB = 0.06
_HANG_TICKS = 4


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
    """Hears the beginning of a strong syllable: a steep rise to about the loudest of the last seconds."""

    _RISE_DB, _BELOW_LOUD_DB, _APART_TICKS = 7.0, 7.0, 8
    _FADE_DB = 0.15

    def __init__(self) -> None:
        self._recent = [200.0] * 4
        self._loud = -200.0
        self._since = 10**6

    def heard(self, rows: FloatArray) -> float:
        """Strength, 0..1, of what begins in the MFCC rows ``(n, 40)`` of this tick; 0 when nothing does."""
        level = float(np.max(rows[:, 0])) * _DB
        rise = level - min(self._recent)
        self._loud = max(level, self._loud - self._FADE_DB)
        self._recent = [*self._recent[1:], level]
        self._since += 1
        over = level - (self._loud - self._BELOW_LOUD_DB)
        if rise < self._RISE_DB or over < 0 or self._since < self._APART_TICKS:
            return 0.0
        self._since = 0
        return float(np.clip(0.4 + 0.6 * over / self._BELOW_LOUD_DB, 0, 1))
