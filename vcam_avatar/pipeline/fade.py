"""A short cross-fade when the avatar changes."""

import cv2
import numpy as np

from vcam_avatar.media import ByteArray


class CrossFade:
    """Blends the last picture of the old avatar into the first ones of the new."""

    def __init__(self, units: int) -> None:
        """``units``: how many frames the fade lasts; 0 is a cut."""
        self._units = units
        self._who: object = None
        self._last: ByteArray | None = None
        self._old: ByteArray | None = None
        self._left = 0

    def show(self, who: object, image: ByteArray) -> ByteArray:
        """What to send instead of ``image``, the picture of avatar ``who``; the input is not changed.

        A change to ``who`` in mid-fade starts again from what was shown last.
        """
        if who is not self._who:
            if self._last is not None and self._last.shape == image.shape:
                self._old, self._left = self._last, self._units
            self._who = who
        if self._left and self._old is not None:
            weight = self._left / (self._units + 1)
            image = np.asarray(cv2.addWeighted(self._old, weight, image, 1 - weight, 0), np.uint8)
            self._left -= 1
        else:
            self._old = None
        if self._units:
            self._last = image
        return image
