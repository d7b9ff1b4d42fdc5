"""The learned last touch on hands: a generator that corrects the drawn crop around each of them."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from vcam_avatar.inference import Network
from vcam_avatar.media import ByteArray, FloatArray
from vcam_avatar.stages.kernels import njit

CROP_PALMS = 3.4
"""Side of a crop in palm lengths."""
SLOTS = 2
"""Hands per call of the network."""


@dataclass(frozen=True, slots=True)
class DrawnHand:
    """One hand as it lies in the frame."""

    mask: ByteArray
    """uint8 ``(h, w)`` alpha of the hand."""
    left_px: int
    top_px: int
    """Where ``mask`` lies in the frame."""
    wrist: FloatArray
    """x, y in the frame."""
    knuckle: FloatArray
    """Root of the middle finger, x, y in the frame."""
    palm_px: float


def crop_box(wrist: FloatArray, knuckle: FloatArray, palm_px: float) -> tuple[float, float, float]:
    """Left, top and side of the square that holds a hand: from the wrist towards the fingers."""
    side = CROP_PALMS * palm_px
    centre = np.asarray(wrist) + 0.75 * (np.asarray(knuckle) - np.asarray(wrist))
    return float(centre[0] - side / 2), float(centre[1] - side / 2), float(side)


class HandRefiner:
    """Runs the network on up to two hands of a frame."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._size = int(network.sidecar.inputs[0].shape[-1])
        self._crops = np.zeros((SLOTS, 4, self._size, self._size), np.float32)

    def refine(self, image: ByteArray, hands: list[DrawnHand]) -> None:
        """Correct the hands in ``image``, uint8 ``(H, W, 3)``, in place."""
        boxes = []
        self._crops.fill(0)
        for slot, hand in enumerate(hands[:SLOTS]):
            left, top, side = crop_box(hand.wrist, hand.knuckle, hand.palm_px)
            x, y, length = int(left), int(top), int(side) + 1
            boxes.append((x, y, length))
            mask = np.zeros((length, length), np.uint8)
            _place(mask, hand.mask, hand.left_px - x, hand.top_px - y)
            colour = cv2.resize(
                _cut(image, x, y, length), (self._size, self._size), interpolation=cv2.INTER_AREA
            )
            alpha = cv2.resize(mask, (self._size, self._size), interpolation=cv2.INTER_AREA)
            self._crops[slot, :3] = colour.transpose(2, 0, 1)
            self._crops[slot, 3] = alpha
        if not boxes:
            return
        self._crops *= np.float32(1 / 255)
        correction = self._network.run({"crop": self._crops})["correction"]
        for slot, (x, y, length) in enumerate(boxes):
            small = np.ascontiguousarray(correction[slot].transpose(1, 2, 0))
            large = cv2.resize(small, (length, length), interpolation=cv2.INTER_LINEAR)
            _add(image, np.asarray(large, np.float32), x, y)


def _cut(image: ByteArray, x: int, y: int, length: int) -> ByteArray:
    """The square of ``image``, its border repeated where the square leaves it."""
    height, width = image.shape[:2]
    if x >= 0 and y >= 0 and x + length <= width and y + length <= height:
        return image[y : y + length, x : x + length]
    rows = np.clip(np.arange(y, y + length), 0, height - 1)
    columns = np.clip(np.arange(x, x + length), 0, width - 1)
    return image[rows[:, None], columns]


def _place(target: ByteArray, part: ByteArray, x: int, y: int) -> None:
    """Copy ``part`` into ``target`` at (x, y), as far as it fits."""
    x0, y0 = max(0, x), max(0, y)
    x1, y1 = min(target.shape[1], x + part.shape[1]), min(target.shape[0], y + part.shape[0])
    if x1 > x0 and y1 > y0:
        target[y0:y1, x0:x1] = part[y0 - y : y1 - y, x0 - x : x1 - x]


@njit(cache=True, nogil=True, fastmath=True)  # type: ignore[untyped-decorator]
def _add(image: Any, correction: Any, left: Any, top: Any) -> None:
    height, width = image.shape[0], image.shape[1]
    for y in range(max(0, -top), min(correction.shape[0], height - top)):
        for x in range(max(0, -left), min(correction.shape[1], width - left)):
            for channel in range(3):
                change = correction[y, x, channel] * np.float32(255)
                if change != 0:
                    value = np.float32(image[top + y, left + x, channel]) + change + np.float32(0.5)
                    image[top + y, left + x, channel] = int(min(max(value, np.float32(0)), np.float32(255)))
