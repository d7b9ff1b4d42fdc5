"""Points that are calm when the body is still and quick when it moves: the One Euro filter."""

import numpy as np
from numpy.typing import NDArray


class OneEuro:
    """Low-pass filter of points whose cut-off rises with their speed.

    Speed is told in sizes of the person, so that near and far people are treated alike.
    """

    def __init__(self, lowest_hz: float, per_speed: float, frames_hz: float = 30.0) -> None:
        """``lowest_hz``: cut-off at rest; ``per_speed``: Hz more for each size a second."""
        self._lowest_hz, self._per_speed, self._frames_hz = lowest_hz, per_speed, frames_hz
        self._raw: NDArray[np.float64] | None = None
        self._calm = self._speed = np.zeros(0)

    def _share(self, cut_off_hz: NDArray[np.float64] | float) -> NDArray[np.float64]:
        return np.asarray(1 / (1 + self._frames_hz / (2 * np.pi * np.asarray(cut_off_hz))))

    def next(self, points: NDArray[np.floating], size: float) -> NDArray[np.float64]:
        """The filtered points of the next frame.

        Args:
            points: ``(n, 2)`` as seen, pixels.
            size: of the person, pixels.
        """
        raw = np.asarray(points, np.float64)
        if self._raw is None:
            self._calm, self._speed = raw.copy(), np.zeros_like(raw)
        else:
            speed = (raw - self._raw) / size * self._frames_hz
            self._speed = self._speed + self._share(1.0) * (speed - self._speed)
            share = self._share(self._lowest_hz + self._per_speed * np.abs(self._speed))
            self._calm = self._calm + share * (raw - self._calm)
        self._raw = raw
        return self._calm
