"""Soft shadows of hands and forearms on the torso behind them: what keeps them from looking pasted on."""

from typing import Any

import cv2
import numpy as np

from vcam_avatar.media import ByteArray, Size
from vcam_avatar.stages.body_paint import Painted
from vcam_avatar.stages.kernels import njit

_CELL = 4
"""Shadows are computed at a quarter of the resolution."""
_STRENGTH = 0.44
"""Greatest darkening, when the hand touches the torso."""


class TorsoShadow:
    """Where shadows may fall, for one avatar at one size."""

    def __init__(
        self,
        texture: ByteArray,
        origin_px: tuple[float, float],
        oversample: int,
        chin_px: float,
        size: Size,
        unit: float,
    ) -> None:
        """Learn the torso's place at rest.

        Args:
            texture: the core, premultiplied, ``oversample`` texels per pixel.
            origin_px: its corner in the frame.
            chin_px: no shadow above this row.
            unit: shoulder width in frame pixels.
        """
        self._shape = (size.height_px // _CELL + 1, size.width_px // _CELL + 1)
        step = oversample * _CELL
        small = cv2.resize(
            texture[..., 3], (max(1, texture.shape[1] // step), max(1, texture.shape[0] // step)),
            interpolation=cv2.INTER_AREA,
        )  # fmt: skip
        ground = np.zeros(self._shape, np.uint8)
        left, top = round(origin_px[0] / _CELL), round(origin_px[1] / _CELL)
        x0, y0 = max(0, left), max(0, top)
        x1 = min(self._shape[1], left + small.shape[1])
        y1 = min(self._shape[0], top + small.shape[0])
        if x1 > x0 and y1 > y0:
            ground[y0:y1, x0:x1] = small[y0 - top : y1 - top, x0 - left : x1 - left]
        ground[: max(0, round(chin_px / _CELL))] = 0
        # A leaning torso moves: stay off its edge.
        self._ground = np.asarray(cv2.erode(ground, np.ones((3, 3), np.uint8)), np.float32) / 255
        self._unit = unit

    def cast(self, image: ByteArray, painted: Painted, nearer_px: float) -> None:
        """Darken ``image`` where ``painted`` will keep the light away.

        Args:
            image: uint8 ``(H, W, 3)``, changed; before the hand itself is drawn.
            painted: the hand.
            nearer_px: how much nearer to the viewer than the torso it is.
        """
        gap = float(np.clip(nearer_px / self._unit, 0.0, 1.5))
        strength = _STRENGTH * float(np.exp(-1.6 * gap))
        if strength < 0.02:
            return
        alpha = painted.image_bgra[..., 3]
        spread = 2 + round(2.5 * gap)
        pad = 2 * spread + 1
        left, top = painted.left_px // _CELL, painted.top_px // _CELL
        size = (max(1, alpha.shape[1] // _CELL), max(1, alpha.shape[0] // _CELL))
        small = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)
        small = cv2.copyMakeBorder(small, pad, pad, pad, pad, cv2.BORDER_CONSTANT)
        box = (2 * spread + 1, 2 * spread + 1)
        soft = cv2.blur(cv2.blur(small, box), box)
        # Light comes from above.
        top += round((0.035 + 0.05 * gap) * self._unit / _CELL)
        x0, y0 = left - pad, top - pad
        cut_x, cut_y = max(0, -x0), max(0, -y0)
        x1 = min(self._shape[1], x0 + soft.shape[1])
        y1 = min(self._shape[0], y0 + soft.shape[0])
        if x1 <= x0 + cut_x or y1 <= y0 + cut_y:
            return
        x0, y0 = x0 + cut_x, y0 + cut_y
        part = soft[cut_y : cut_y + y1 - y0, cut_x : cut_x + x1 - x0].astype(np.float32) * np.float32(
            strength / 255
        )
        part *= self._ground[y0:y1, x0:x1]
        if part.max() < 0.01:
            return
        large = cv2.resize(part, ((x1 - x0) * _CELL, (y1 - y0) * _CELL), interpolation=cv2.INTER_LINEAR)
        _darken(image, np.asarray(large, np.float32), x0 * _CELL, y0 * _CELL)


@njit(cache=True, nogil=True, fastmath=True)  # type: ignore[untyped-decorator]
def _darken(image: Any, share: Any, left: Any, top: Any) -> None:
    for y in range(min(share.shape[0], image.shape[0] - top)):
        for x in range(min(share.shape[1], image.shape[1] - left)):
            s = share[y, x]
            if s > np.float32(0.004):
                # Shadows on cloth keep a little of its warmth.
                image[top + y, left + x, 0] = int(image[top + y, left + x, 0] * (1 - s))
                image[top + y, left + x, 1] = int(image[top + y, left + x, 1] * (1 - s))
                image[top + y, left + x, 2] = int(image[top + y, left + x, 2] * (1 - np.float32(0.92) * s))
