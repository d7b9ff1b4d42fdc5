"""Mouths of flat drawings: the picture's own mouth is painted out and one in its style is drawn instead.

A mouth that is a line or a hole in an even skin has no lips to bend. It is found by its colour, and drawn
anew for every expression: an outline as thick as the drawing's, a dark inside, a plain band of teeth, a
plain tongue.
"""

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from vcam_avatar.media import ByteArray, Expression, FloatArray
from vcam_avatar.stages.visemes import action_indices

_FEW_SHARE = 0.86
"""Share of a flat drawing's pixels around the mouth that its three commonest colours cover."""
_SKIN_SHARE = 0.5
"""Share of them that have the skin's one colour."""
_SAME_REACH, _SKIN_REACH, _INK_REACH = 6, 14, 40
"""Largest difference of a channel within one colour."""
_THICK = 0.2
"""A line thicker than this share of the mouth's width is the mouth itself, not its outline."""
_OPEN_SHARE = 0.12
"""Share of light pixels inside a mouth that is drawn open."""
_STILL = 0.03
"""Openings below this are a closed mouth."""
FOUND_AT_PX = 256
"""Side of the crop in which mouths are looked for: in small ones edges have more colours than faces."""
_FINE = 3
"""Drawn that much larger, then reduced."""
_TONGUE = np.array([112, 104, 214], np.float32)
_WHITE = np.array([250, 250, 250], np.float32)
_DEEP = np.array([46, 24, 74], np.float32)

_ACTIONS = {
    name: action_indices(name)
    for name in (
        "jawOpen", "mouthLowerDown", "mouthUpperUp", "mouthFunnel", "mouthPucker", "mouthStretch",
        "mouthSmile", "mouthPress", "mouthRollLower", "tongueOut",
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class DrawnMouth:
    """The mouth of one drawing, in the pixels of its patch."""

    erased: ByteArray
    """uint8 ``(S, S, 3)``: the picture without its mouth."""
    middle: tuple[float, float]
    width: float
    slope: float
    """How much lower the right corner lies, per px."""
    bend: float
    """How much lower the corners lie than the middle, in px: a frown is positive."""
    line: float
    """Thickness of the outline."""
    stroke: float
    """Thickness of the closed mouth."""
    ink: FloatArray
    """float32 ``(3,)`` BGR of the line."""
    teeth: FloatArray
    """float32 ``(3,)`` BGR."""
    open_mouth: bool
    """The picture's own mouth is open."""
    room: float
    """How far below the middle the chin's line or the neck begins, in px."""

    def scaled(self, side_px: int) -> "DrawnMouth":
        """The same for a patch of another size."""
        scale = side_px / len(self.erased)
        smaller = cv2.resize(self.erased, (side_px, side_px), interpolation=cv2.INTER_AREA)
        return replace(
            self,
            erased=np.ascontiguousarray(smaller, np.uint8),
            middle=(self.middle[0] * scale, self.middle[1] * scale),
            width=self.width * scale,
            bend=self.bend * scale,
            line=self.line * scale,
            stroke=self.stroke * scale,
            room=self.room * scale,
        )

    def draw(self, expression: Expression, patch: ByteArray) -> None:
        """Draw the mouth over a patch.

        Args:
            expression: float32 ``(52,)``; a mouth at rest that the picture has closed is left alone.
            patch: uint8 ``(S, S, 4)`` BGRA, changed where the mouth is.
        """
        amount = {name: float(expression[places].mean()) for name, places in _ACTIONS.items()}
        pressed = amount["mouthPress"]
        opening = _opening(amount)
        busy = opening + pressed + amount["mouthPucker"] + amount["mouthRollLower"]
        if busy < _STILL and not self.open_mouth:
            return
        shape = _Shape(self, amount, opening)
        left, top, right, bottom = shape.box(len(patch))
        region = self.erased[top:bottom, left:right].copy()
        shape.paint(region, left, top)
        old = patch[top:bottom, left:right]
        changed = (np.abs(region.astype(np.int16) - old[..., :3]).max(2) > 2).astype(np.uint8) * 255
        changed = cv2.blur(cv2.dilate(changed, np.ones((5, 5), np.uint8)), (3, 3))
        old[..., :3] = region
        old[..., 3] = np.maximum(old[..., 3], changed)


def _opening(amount: dict[str, float]) -> float:
    """How high the mouth stands open, 0..1."""
    wide = amount["jawOpen"] + 0.25 * amount["mouthLowerDown"] + 0.2 * amount["mouthUpperUp"]
    shut = max(0.0, 1 - 2 * amount["mouthPress"])
    return float(np.clip((wide + 0.12 * amount["mouthFunnel"]) * shut, 0, 1))


class _Shape:
    """One mouth: its upper and lower edge."""

    def __init__(self, mouth: DrawnMouth, amount: dict[str, float], opening: float) -> None:
        self._mouth, self._amount = mouth, amount
        spread = 0.15 * amount["mouthStretch"] + 0.15 * amount["mouthSmile"] - 0.15 * amount["mouthPress"]
        rounding = min(0.62, 0.55 * amount["mouthPucker"] + 0.35 * amount["mouthFunnel"])
        half = 0.5 * mouth.width * (1 + spread - rounding)
        self.closed = opening < _STILL
        height = 0.0 if self.closed else max(0.8 * opening * mouth.width, mouth.line * 1.6)
        self.height = height
        t = np.linspace(-1, 1, 41)
        bend = mouth.bend * max(0.0, 1 - 2.2 * opening - 2 * amount["mouthPress"])
        bend -= 0.10 * mouth.width * amount["mouthSmile"]
        x = mouth.middle[0] + half * t
        base = mouth.middle[1] + mouth.slope * half * t + bend * (t**2 - 0.4)
        round_ends = 0.5 if rounding > 0.2 or opening > 0.3 else 0.7
        arch = (1 - t**2) ** round_ends
        # The jaw of a drawing stays where it is: a mouth that would cross the chin opens upwards instead.
        below = min(0.68 * height, max(0.2 * height, mouth.room - 1.5 * mouth.line))
        self.upper = np.stack([x, base - min(height - below, 0.45 * height) * arch], 1)
        self.lower = np.stack([x, base + below * arch], 1)

    def box(self, side: int) -> tuple[int, int, int, int]:
        """Left, top, right, bottom: the picture's own mouth, which is painted out, and this one."""
        m = self._mouth
        reach = 0.75 * m.width + m.stroke
        xs = [m.middle[0] - reach, m.middle[0] + reach]
        ys = [m.middle[1] - reach, m.middle[1] + reach + 0.3 * m.width]
        left, right = (int(np.clip(v, 0, side)) for v in xs)
        top, bottom = (int(np.clip(v, 0, side)) for v in ys)
        return left, top, right, bottom

    def paint(self, region: ByteArray, left: int, top: int) -> None:
        """Draw into a part of the patch that begins at ``left``, ``top``."""
        m = self._mouth
        size = (region.shape[1], region.shape[0])
        fine: Any = cv2.resize(region, (size[0] * _FINE, size[1] * _FINE), interpolation=cv2.INTER_LINEAR)

        def points(edge: Any) -> Any:
            return np.rint((edge - np.array([left, top])) * _FINE).astype(np.int32)

        def thickness(px: float) -> int:
            return max(1, round(px * _FINE))

        ink = m.ink.tolist()
        if self.closed:
            cv2.polylines(fine, [points(self.upper)], False, ink, thickness(m.stroke), cv2.LINE_AA)
        else:
            outline = points(np.concatenate([self.upper, self.lower[::-1]]))
            self._inside(fine, outline, points, thickness)
            cv2.polylines(fine, [outline], True, ink, thickness(m.line), cv2.LINE_AA)
        region[:] = cv2.resize(fine, size, interpolation=cv2.INTER_AREA)

    def _inside(self, fine: ByteArray, outline: Any, points: Any, thickness: Any) -> None:
        """Dark, tongue and teeth, cut off at the lips."""
        m, amount = self._mouth, self._amount
        dark = m.ink * 0.5 + _DEEP * 0.5
        inside = np.zeros(fine.shape[:2], np.uint8)
        cv2.fillPoly(inside, [outline], 255)
        content = np.empty_like(fine)
        content[:] = dark.astype(np.uint8)
        middle = (self.upper + self.lower) / 2
        centre = points(middle[20:21])[0]
        # Teeth that nearly meet fill the opening: on s, sh, f and t.
        apart = float(np.clip((amount["jawOpen"] - 0.1) / 0.12, 0, 1))
        shown = float(np.clip(1.4 - 1.6 * amount["mouthPucker"] - 0.5 * amount["mouthFunnel"] * apart, 0, 1))
        deep = min(self.height * (1 - 0.66 * apart), 0.2 * m.width) * shown
        if amount["tongueOut"] > 0.15 or apart > 0.5:
            lift = 0.45 if amount["tongueOut"] > 0.15 else 0.12
            axes = (thickness(0.3 * m.width), thickness(max(1.0, 0.42 * self.height)))
            at = (int(centre[0]), int(centre[1] + (0.62 - lift) * self.height * _FINE))
            cv2.ellipse(content, at, axes, 0, 0, 360, _TONGUE.tolist(), -1, cv2.LINE_AA)
        if deep > 1:
            edge = self.upper + np.array([0, deep])
            band = points(np.concatenate([self.upper - np.array([0, 2 * m.line + 1]), edge[::-1]]))
            cv2.fillPoly(content, [band], m.teeth.tolist(), cv2.LINE_AA)
            if apart < 0.5 and amount["mouthRollLower"] < 0.3:
                cv2.polylines(content, [points(middle)], False, m.ink.tolist(), thickness(0.02 * m.width))
        fine[inside > 0] = content[inside > 0]


def find_drawn_mouth(source_bgr: ByteArray, landmarks: FloatArray) -> DrawnMouth | None:
    """The mouth of a flat drawing; None for every other picture.

    Args:
        source_bgr: uint8 ``(S, S, 3)``: the unit face crop.
        landmarks: float ``(68, 2)`` in the unit crop; roughly right is enough.
    """
    side = len(source_bgr)
    lips = landmarks[48:68] * side
    centre, across = lips.mean(0), float(np.ptp(lips[:, 0]))
    left, right = (int(np.clip(centre[0] + k * 0.95 * across, 0, side)) for k in (-1, 1))
    top = int(np.clip(max(centre[1] - 0.6 * across, float(landmarks[33, 1]) * side + 1), 0, side))
    bottom = int(np.clip(centre[1] + 0.6 * across, 0, side))
    if right - left < 16 or bottom - top < 10:
        return None
    window = source_bgr[top:bottom, left:right]
    one, three = _few_colours(window.reshape(-1, 3))
    if one < _SKIN_SHARE or three < _FEW_SHARE:
        return None
    skin = _commonest(window.reshape(-1, 3))
    far = np.abs(window.astype(np.float32) - skin).max(2)
    mask = _mouth_mask(far > _INK_REACH, centre - (left, top), across)
    if mask is None:
        return None
    found = _described(source_bgr, window, mask, (left, top))
    return replace(
        found, room=_room_below(source_bgr, skin, found, top + int(np.flatnonzero(mask.any(1))[-1]))
    )


def _room_below(source: ByteArray, skin: FloatArray, mouth: DrawnMouth, bottom: int) -> float:
    """Pixels from the middle of a mouth that ends at row ``bottom`` down to what is not skin."""
    reach = 0.3 * mouth.width
    left, right = (round(mouth.middle[0] + k * reach) for k in (-1, 1))
    first = bottom + max(2, round(mouth.line / 2))
    below = source[first:, max(0, left) : right + 1]
    other = np.flatnonzero((np.abs(below.astype(np.float32) - skin).max(2) > _INK_REACH).any(1))
    return float(first + (other[0] if len(other) else len(source)) - mouth.middle[1])


def _few_colours(colours: Any) -> tuple[float, float]:
    """Share of pixels ``(N, 3)`` covered by the commonest colour, and by the three commonest."""
    left, shares = colours, []
    for _ in range(3):
        if len(left):
            left = left[np.abs(left - _commonest(left, 8)).max(1) >= _SAME_REACH]
        shares.append(1 - len(left) / len(colours))
    return shares[0], shares[2]


def _commonest(colours: Any, step: int = 16) -> FloatArray:
    """The colour most pixels ``(N, 3)`` have, as a mean of those near it; sought in steps of ``step``."""
    coarse = (colours.astype(np.int32) // step) @ np.array([4096, 64, 1])
    most = colours[coarse == np.bincount(coarse).argmax()].astype(np.float32).mean(0)
    near = np.abs(colours - most).max(1) < _SKIN_REACH
    return np.asarray(colours[near].mean(0), np.float32)


def _mouth_mask(other: Any, centre: FloatArray, across: float) -> ByteArray | None:
    """The one thing in the window that is the mouth, its holes filled: uint8 0 or 255."""
    height, width = other.shape
    count, labels, stats, centres = cv2.connectedComponentsWithStats(other.astype(np.uint8), connectivity=8)
    best, chosen = 0.0, 0
    for n in range(1, count):
        x, y, w, h, area = stats[n]
        if x == 0 or y == 0 or x + w == width or y + h == height or w < 0.2 * across or w < h:
            continue
        away = float(np.hypot(*(centres[n] - centre))) / across
        if area / (0.3 + away) > best:
            best, chosen = area / (0.3 + away), n
    if not chosen:
        return None
    contours, _ = cv2.findContours(
        (labels == chosen).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    mask = np.zeros(other.shape, np.uint8)
    cv2.drawContours(mask, contours, -1, 255, -1)
    return mask


def _described(source: ByteArray, window: ByteArray, mask: ByteArray, corner: tuple[int, int]) -> DrawnMouth:
    columns = np.flatnonzero(mask.any(0))
    rows = [np.flatnonzero(mask[:, x]) for x in columns]
    middle_y = np.array([(r[0] + r[-1]) / 2 for r in rows])
    width = float(columns[-1] - columns[0] + 1)
    centre_x = (columns[0] + columns[-1]) / 2
    t = (columns - centre_x) / max(width / 2, 1)
    bend, slope, height = np.polyfit(t, middle_y, 2)
    colours = window[mask > 0]
    rim = window[(mask > 0) & (cv2.erode(mask, np.ones((5, 5), np.uint8)) == 0)]
    ink = _commonest(rim)
    is_ink = ((np.abs(window.astype(np.float32) - ink).max(2) < _INK_REACH) & (mask > 0)).astype(np.uint8)
    stroke = 2 * float(np.percentile(cv2.distanceTransform(is_ink, cv2.DIST_L2, 5)[is_ink > 0], 97)) - 1
    light = colours[(colours.min(1) > 200)]
    whole: ByteArray = np.zeros(source.shape[:2], np.uint8)
    whole[corner[1] : corner[1] + mask.shape[0], corner[0] : corner[0] + mask.shape[1]] = mask
    whole = np.asarray(cv2.dilate(whole, np.ones((7, 7), np.uint8)), np.uint8)
    return DrawnMouth(
        erased=np.asarray(cv2.inpaint(source, whole, 3, cv2.INPAINT_TELEA), np.uint8),
        middle=(float(centre_x) + corner[0] + 0.5, float(height + 0.4 * bend) + corner[1] + 0.5),
        width=width,
        slope=float(slope) / max(width / 2, 1),
        bend=float(bend),
        # A mouth that is one thick stroke gets a thinner outline when it opens.
        line=min(stroke, 0.13 * width) if stroke < _THICK * width else 0.07 * width,
        stroke=min(stroke, 0.3 * width),
        ink=ink,
        teeth=_commonest(light) if len(light) > 20 else _WHITE,
        open_mouth=len(light) > _OPEN_SHARE * len(colours),
        room=float("inf"),
    )
