"""Whether anything is heard above the noise of the room, which a network for voices is not asked to know."""

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
