"""The learned last touch on drawn arms: a generator corrects the crop around each hand and each elbow.

The network sees a crop at its own size and answers at that size; its answer is smoothed and added to
the frame's pixels, which stay as sharp as they are.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vcam_avatar.inference import Network
from vcam_avatar.media import ByteArray, FloatArray
from vcam_avatar.stages.body_paint import Painted
from vcam_avatar.stages.kernels import njit

CROP_PALMS = 3.4
"""Side of a crop in palm lengths."""
CHANNELS = 5
"""Blue, green, red, alpha of the mesh, and where the crop may be corrected."""
_REACH_PALMS = 0.6
"""Sleeves and skin drawn so near to the arm's bones belong to it, others are its shadow."""
_MOST = 2
"""Crops corrected in a frame, for its time; hands before elbows, where there is less to see."""
_FINE = 2
"""Samples per pixel of the network along either axis."""


@dataclass(frozen=True, slots=True)
class Limb:
    """Where an arm that is about to be drawn lies in the frame."""

    name: str
    """``"left"`` or ``"right"``."""
    shoulder: FloatArray
    """x, y, as the next three."""
    elbow: FloatArray
    wrist: FloatArray
    knuckle: FloatArray
    """Root of the middle finger."""
    palm_px: float

    def boxes(self) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
        """Left, top and side of the crops of hand and elbow, px."""
        left, top, side = crop_box(self.wrist, self.knuckle, self.palm_px)
        length = int(side) + 1
        x, y = self.elbow - length / 2
        return (int(np.floor(left)), int(np.floor(top)), length), (int(np.floor(x)), int(np.floor(y)), length)


@dataclass(slots=True)
class Crop:
    """One crop of the frame while its arm is drawn; ``S`` is the network's size."""

    box: tuple[int, int, int]
    of_hand: bool
    limb: Limb
    rows: NDArray[np.int32]
    """``(2 S,)``: the frame's rows that are looked at."""
    columns: NDArray[np.int32]
    before: ByteArray
    """uint8 ``(S, S, 3)``: the frame without the arm."""
    after: ByteArray
    """The frame with it, but perhaps without the arm in front of it."""
    mesh: ByteArray
    """uint8 ``(2 S, 2 S, 2)``: alpha of the mesh, hand and perhaps forearm, and of the hand alone."""


def crop_box(wrist: FloatArray, knuckle: FloatArray, palm_px: float) -> tuple[float, float, float]:
    """Left, top and side of the square that holds a hand: from the wrist towards the fingers."""
    side = CROP_PALMS * palm_px
    centre = np.asarray(wrist) + 0.75 * (np.asarray(knuckle) - np.asarray(wrist))
    return float(centre[0] - side / 2), float(centre[1] - side / 2), float(side)


def watch(image: ByteArray, limb: Limb, size: int) -> list[Crop]:
    """The crops of an arm before it is drawn into ``image``; those that show nothing of it are left out.

    Args:
        size: side of the network's crop.
    """
    crops = []
    height, width = image.shape[:2]
    for of_hand, box in zip((True, False), limb.boxes(), strict=True):
        x, y = limb.wrist if of_hand else limb.elbow
        reach = (1.7 if of_hand else 0.5) * limb.palm_px
        if -reach < x < width + reach and -reach < y < height + reach:
            at = ((np.arange(_FINE * size) + 0.5) * (box[2] / (_FINE * size))).astype(np.int32)
            # What lies outside the frame continues its border.
            rows, columns = np.clip(at + box[1], 0, height - 1), np.clip(at + box[0], 0, width - 1)
            before = np.empty((size, size, 3), np.uint8)
            _look_at(image, rows[::_FINE], columns[::_FINE], before)
            none = np.zeros((len(at), len(at), 2), np.uint8)
            crops.append(Crop(box, of_hand, limb, rows, columns, before, np.empty_like(before), none))
    return crops


def seen(image: ByteArray, crops: list[Crop], painted: Painted) -> None:
    """Tell ``crops`` that their arm now lies in ``image``; ``painted``: its hand."""
    for crop in crops:
        _look_at(image, crop.rows[::_FINE], crop.columns[::_FINE], crop.after)
        _alpha_at(
            painted.image_bgra, painted.hand, crop.rows - painted.top_px, crop.columns - painted.left_px,
            crop.mesh,
        )  # fmt: skip


def shown(image: ByteArray, crop: Crop) -> FloatArray:
    """What the network sees of a crop of the finished frame: float32 ``(CHANNELS, S, S)``, 0 to 1."""
    corner, length = np.array(crop.box[:2], np.float32), crop.box[2]
    limb, size = crop.limb, len(crop.rows) // _FINE
    joints = np.stack([limb.shoulder, limb.elbow, limb.wrist]).astype(np.float32)[:, :2] - corner
    joints *= np.float32(size / length)
    out = np.empty((CHANNELS, size, size), np.float32)
    reach = np.float32(_REACH_PALMS * limb.palm_px * size / length)
    _region(
        image, crop.rows, crop.columns, crop.before, crop.after, crop.mesh, joints, reach, crop.of_hand, out
    )
    return out


class LimbRefiner:
    """Runs the network on the crops of a frame."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.size = int(network.sidecar.inputs[0].shape[-1])
        """Side of the crops, px."""
        self._smooth = np.empty((3, self.size, self.size), np.float32)

    def refine(self, image: ByteArray, crops: list[Crop]) -> None:
        """Correct ``crops`` in ``image``, uint8 ``(H, W, 3)``, in place."""
        crops = sorted(crops, key=lambda crop: not crop.of_hand)[:_MOST]
        # All are looked at before any is corrected: hand and elbow overlap. One run each costs no more than
        # one for all, and nothing for those that are not there.
        looks = [shown(image, crop) for crop in crops]
        for crop, look in zip(crops, looks, strict=True):
            if look[4].max() > 0:
                correction = self._network.run({"crop": look[None]})["correction"][0]
                smooth(correction, look[4], self._smooth)
                _add(image, self._smooth, *crop.box)


@njit(cache=True, nogil=True, fastmath=True)  # type: ignore[untyped-decorator]
def _look_at(image: Any, rows: Any, columns: Any, out: Any) -> None:
    for i in range(len(rows)):
        y = rows[i]
        for j in range(len(columns)):
            x = columns[j]
            out[i, j, 0] = image[y, x, 0]
            out[i, j, 1] = image[y, x, 1]
            out[i, j, 2] = image[y, x, 2]


@njit(cache=True, nogil=True, fastmath=True)  # type: ignore[untyped-decorator]
def _alpha_at(painted: Any, hand: Any, rows: Any, columns: Any, out: Any) -> None:
    height, width = hand.shape
    for i in range(len(rows)):
        y = rows[i]
        if y < 0 or y >= height:
            continue
        for j in range(len(columns)):
            x = columns[j]
            if 0 <= x < width:
                out[i, j, 0] = painted[y, x, 3]
                out[i, j, 1] = hand[y, x]


@njit(cache=True, nogil=True, fastmath=True)  # type: ignore[untyped-decorator]
def _along(px: Any, py: Any, a: Any, b: Any, over: Any) -> Any:
    """Place along a bone, 0 to 1, and squared distance from it; ``over``: 1 / squared length."""
    bx, by = b[0] - a[0], b[1] - a[1]
    t = ((px - a[0]) * bx + (py - a[1]) * by) * over
    s = min(max(t, np.float32(0)), np.float32(1))
    dx, dy = px - a[0] - s * bx, py - a[1] - s * by
    return s, dx * dx + dy * dy


@njit(cache=True, nogil=True, fastmath=True)  # type: ignore[untyped-decorator]
def _region(
    image: Any, rows: Any, columns: Any, before: Any, after: Any, mesh: Any, joints: Any, reach: Any,
    of_hand: Any, out: Any,
) -> None:  # fmt: skip
    """Colours, the mesh's alpha, and the share of every pixel that this crop may correct.

    A pixel is of the arm when drawing the arm changed it near its bones; where something was drawn over it
    since, it is not. Hand and elbow share the forearm between them.
    """
    size = out.shape[1]
    near = reach * reach
    scale = np.float32(1 / (255 * _FINE * _FINE))
    upper = np.float32(1) / max(((joints[1] - joints[0]) ** 2).sum(), np.float32(1e-3))
    fore = np.float32(1) / max(((joints[1] - joints[2]) ** 2).sum(), np.float32(1e-3))
    fade = np.float32(36 / size)
    for y in range(size):
        for x in range(size):
            b: Any = 0
            g: Any = 0
            r: Any = 0
            alpha: Any = 0
            hand: Any = 0
            for i in range(_FINE * y, _FINE * y + _FINE):
                u = rows[i]
                for j in range(_FINE * x, _FINE * x + _FINE):
                    v = columns[j]
                    b += np.int32(image[u, v, 0])
                    g += np.int32(image[u, v, 1])
                    r += np.int32(image[u, v, 2])
                    alpha += np.int32(mesh[i, j, 0])
                    hand += np.int32(mesh[i, j, 1])
            u, v = rows[_FINE * y], columns[_FINE * x]
            changed: Any = 0
            covered: Any = 0
            for c in range(3):
                now = np.int32(after[y, x, c])
                changed = max(changed, abs(now - np.int32(before[y, x, c])))
                covered = max(covered, abs(now - np.int32(image[u, v, c])))
            if covered > 2:
                alpha, hand, changed = 0, 0, 0
            cover = 255 * _FINE * _FINE if changed > 2 else alpha
            out[0, y, x], out[1, y, x], out[2, y, x] = b * scale, g * scale, r * scale
            out[3, y, x] = alpha * scale
            out[4, y, x] = 0
            if cover == 0:
                continue
            px, py = np.float32(x) + np.float32(0.5), np.float32(y) + np.float32(0.5)
            t, far = _along(px, py, joints[1], joints[2], fore)
            _, far_upper = _along(px, py, joints[1], joints[0], upper)
            if min(far, far_upper) >= near:
                cover = alpha
            share = min(max((t - np.float32(0.55)) * np.float32(5), np.float32(0)), np.float32(1))
            if far_upper < far:
                share = np.float32(0)
            share = max(share, np.float32(hand) * scale)
            if not of_hand:
                share = 1 - share
            border = np.float32(min(min(x, y), size - 1 - max(x, y))) * fade
            out[4, y, x] = cover * scale * share * min(border, np.float32(1))


@njit(cache=True, nogil=True, fastmath=True)  # type: ignore[untyped-decorator]
def smooth(correction: Any, region: Any, out: Any) -> None:
    """Rid an answer ``(3, S, S)`` of single pixels, which would be a grid in the frame, and keep it inside.

    Weights 1, 2, 1 along either axis; the outermost pixels become 0.
    """
    size = region.shape[0]
    row = np.empty(size, np.float32)
    out[:] = 0
    for c in range(3):
        for y in range(1, size - 1):
            for x in range(size):
                row[x] = correction[c, y - 1, x] + 2 * correction[c, y, x] + correction[c, y + 1, x]
            for x in range(1, size - 1):
                total = row[x - 1] + 2 * row[x] + row[x + 1]
                out[c, y, x] = total * region[y, x] * np.float32(255 / 16)


@njit(cache=True, nogil=True, fastmath=True)  # type: ignore[untyped-decorator]
def _add(image: Any, correction: Any, left: Any, top: Any, length: Any) -> None:
    """Add a correction ``(3, S, S)`` in grey levels to the square of the image, bilinearly."""
    height, width = image.shape[0], image.shape[1]
    size = correction.shape[1]
    step, last = np.float32(size / length), np.float32(size - 1.001)
    places, shares = np.empty(length, np.int32), np.empty(length, np.float32)
    for x in range(length):
        u = min(max((x + np.float32(0.5)) * step - np.float32(0.5), np.float32(0)), last)
        places[x] = int(u)
        shares[x] = u - places[x]
    row = np.empty((3, size), np.float32)
    for y in range(max(0, -top), min(length, height - top)):
        i, f = places[y], shares[y]
        first, end = size, 0
        for j in range(size):
            for c in range(3):
                row[c, j] = correction[c, i, j] * (1 - f) + correction[c, i + 1, j] * f
            if row[0, j] != 0 or row[1, j] != 0 or row[2, j] != 0:
                first, end = min(first, j), j + 1
        for x in range(max(0, -left), min(length, width - left)):
            j, f = places[x], shares[x]
            if j + 1 < first or j >= end:
                continue
            for c in range(3):
                change = row[c, j] * (1 - f) + row[c, j + 1] * f
                value = np.float32(image[top + y, left + x, c]) + change + np.float32(0.5)
                image[top + y, left + x, c] = np.uint8(min(max(value, np.float32(0)), np.float32(255)))
