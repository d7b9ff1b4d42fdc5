"""A picture in a frame of another shape: whole, undistorted, with bars."""

import cv2
import numpy as np

from vcam_avatar.media import ByteArray, Size


class Letterbox:
    """Fits pictures of one size into frames of another; the frame is made once and used again."""

    def __init__(self, inner: Size, outer: Size) -> None:
        scale = min(outer.width_px / inner.width_px, outer.height_px / inner.height_px)
        self._size = (
            max(1, min(outer.width_px, round(inner.width_px * scale))),
            max(1, min(outer.height_px, round(inner.height_px * scale))),
        )
        left, top = (outer.width_px - self._size[0]) // 2, (outer.height_px - self._size[1]) // 2
        self._frame = np.zeros((outer.height_px, outer.width_px, 3), np.uint8)
        self._window = self._frame[top : top + self._size[1], left : left + self._size[0]]
        self._method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR

    def fit(self, image: ByteArray) -> ByteArray:
        """The frame with ``image``, uint8 ``(H, W, 3)``, in it; valid until the next call."""
        self._window[:] = cv2.resize(image, self._size, interpolation=self._method)
        return self._frame
