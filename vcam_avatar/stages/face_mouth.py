"""What is seen between the lips: teeth, tongue and the dark behind them.

One picture with closed lips cannot show them, so they are drawn: anatomy of average size, anchored to skull
and jaw, in the light of the avatar's own face. The networks say how far the lips are apart; what lies
between them is this, mixed with their own soft picture of it, which knows the style.
"""

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from vcam_avatar.media import FACE_ACTIONS, ByteArray, Expression, FloatArray
from vcam_avatar.stages.face_picture import MOUTH_WINDOW

_MM = 1 / 218.0
"""A millimetre in crop sides: the crop is 3.2 eye-mouth distances of about 68 mm."""
_ARCH_MM = 26.0
"""Radius of the dental arch in front."""
_UPPER_MM = ((8.6, 10.0), (6.6, 8.8), (7.6, 9.8), (7.0, 8.4), (7.0, 8.0))
_LOWER_MM = ((5.4, 8.8), (6.0, 9.0), (6.9, 9.8), (7.0, 8.6), (7.0, 8.2))
"""Width and height of a half jaw's teeth from the middle outwards."""
_UPPER_EDGE_MM, _LOWER_EDGE_MM = 5.0, 3.4
"""Where the edges of the incisors lie below the closed lips' line, jaw shut."""
_JAW_DROP = 0.112
"""How far the lower teeth go down when the jaw opens fully, in crop sides."""
_TOOTH = np.array([196, 216, 226], np.float32)
_GUM = np.array([104, 96, 168], np.float32)
_TONGUE = np.array([104, 96, 200], np.float32)
_DARK = np.array([22, 17, 42], np.float32)
"""BGR in the light of a skin of grey level ``_SKIN_LEVEL``."""
_SKIN_LEVEL = 165.0
_SOFT_SHARE = 0.36
"""How much of the inside is the networks': style and place are theirs, edges and hairlines the drawing's."""
_LOWER_DROP = 1.14
"""How much farther the lower teeth go down than the jaw's own point: the lip keeps their roots covered."""
_TONGUE_TOP_MM = -4.0
"""Where the lying tongue ends, below the closed lips' line."""
_BETWEEN, _TIP_MM = 0.3, 3.6
"""How far out the tongue comes before it lies between the teeth; how much of them its tip then covers."""
_SHADOW_MM = 5.0
"""How far the lips' shadow reaches."""
_DIMMEST = 0.5
"""Light deep in that shadow."""
_SHUT_SHARE = 0.02
"""Openness of the lips below which nothing of the inside is painted."""
_LIP_LINE = np.float32(0.6)
"""How bright the line between shut lips is, of the lips."""
_OVERSAMPLE = 3

_JAW, _TONGUE_OUT = FACE_ACTIONS.index("jawOpen"), FACE_ACTIONS.index("tongueOut")
_ROLL, _PUCKER = FACE_ACTIONS.index("mouthRollLower"), FACE_ACTIONS.index("mouthPucker")
_JAW_LEFT, _JAW_RIGHT = FACE_ACTIONS.index("jawLeft"), FACE_ACTIONS.index("jawRight")


@dataclass(frozen=True, slots=True)
class MouthInterior:
    """Teeth and tongue of one avatar at its patch's resolution, over the mouth's window."""

    upper: FloatArray
    """float32 ``(W, W, 4)`` BGR premultiplied 0..255 and alpha 0..1: upper teeth and gum."""
    lower: FloatArray
    """The same for the lower jaw, shut."""
    tongue: FloatArray
    """The same for the tongue, lying."""
    dark: FloatArray
    """float32 ``(3,)`` BGR of the depth."""
    across: FloatArray
    """float32 ``(2,)`` unit vector along the mouth, crop axes."""

    @property
    def side_px(self) -> int:
        """Side of the window."""
        return len(self.upper)

    def draw(self, expression: Expression, paint: FloatArray, soft_bgr: FloatArray) -> ByteArray:
        """The window as if there were no lips.

        Args:
            expression: float32 ``(52,)``: jaw and tongue count.
            paint: float32 ``(M, M)`` 0..1 over the window: how open the lips are; its edges throw shadow.
            soft_bgr: float32 ``(M, M, 3)`` 0..255: what the networks see there.

        Returns:
            uint8 ``(W, W, 3)`` BGR, black where the lips are shut.
        """
        side = self.side_px
        result = np.zeros((side, side, 3), np.uint8)
        box = _open_box(paint, side)
        if box is None:
            return result
        crop_px = 2 * side  # the window is half the crop
        down = np.array([-self.across[1], self.across[0]])
        jaw = down * float(expression[_JAW]) * _JAW_DROP
        jaw = jaw + self.across * 0.03 * float(expression[_JAW_LEFT] - expression[_JAW_RIGHT])
        out = float(np.clip(expression[_TONGUE_OUT] / 0.5, 0, 1))
        tongue = jaw * (1 - 0.45 * out) - down * 3.0 * _MM * out
        rows, columns = box
        top, left = rows.start, columns.start
        shape = (columns.stop - left, rows.stop - top)
        picture = np.empty((shape[1], shape[0], 3), np.float32)
        picture[:] = self.dark
        layers = [(self.tongue, tongue), (self.lower, jaw * _LOWER_DROP), (self.upper, np.zeros(2))]
        if out > _BETWEEN:  # on th: the tip in front, under the edge of the upper teeth
            tip_mm = np.interp(out, (_BETWEEN, 0.6), (_UPPER_EDGE_MM, _UPPER_EDGE_MM - _TIP_MM))
            layers = [*layers[1:], (self.tongue, down * (float(tip_mm) - _TONGUE_TOP_MM) * _MM)]
        for layer, shift in layers:
            if shift.any():
                across, below = shift * crop_px - (left, top)
                move = np.array([[1, 0, across], [0, 1, below]], np.float32)
                layer = np.asarray(cv2.warpAffine(layer, move, shape, flags=cv2.INTER_LINEAR), np.float32)
            else:
                layer = layer[box]
            picture *= 1 - layer[..., 3:]
            picture += layer[..., :3]
        cells = len(paint)
        reach = max(3, round(_SHADOW_MM * _MM * 2 * cells) | 1)
        light = cv2.blur(paint, (reach, reach))
        # Lips throw their shadow down: the upper edge is darker than the lower one.
        light = np.minimum(light, np.roll(cv2.blur(paint, (reach, 3)), max(1, reach // 5), 0))
        shade = cv2.resize(np.clip((light - 0.25) / 0.6, 0, 1), (side, side), interpolation=cv2.INTER_LINEAR)
        # On f and v the upper teeth stand in front on the lip, in the light; pursed lips leave a dark hole.
        least = _DIMMEST + 0.35 * min(1.0, float(expression[_ROLL]) / 0.5)
        pursed = float(np.clip((expression[_PUCKER] - 0.35) / 0.4, 0, 1))
        picture *= ((1 - _SOFT_SHARE) * (least + (1 - least) * shade[box]))[..., None]
        picture += _SOFT_SHARE * cv2.resize(soft_bgr, (side, side), interpolation=cv2.INTER_LINEAR)[box]
        if pursed > 0:
            picture += 0.7 * pursed * (self.dark - picture)
        result[box] = np.clip(picture + 0.5, 0, 255)
        return result


def _open_box(paint: FloatArray, side_px: int) -> tuple[slice, slice] | None:
    """Rows and columns of a window of ``side_px`` that the lips leave open, with a little around them."""
    seen = paint > _SHUT_SHARE
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    if not len(rows):
        return None
    scale = side_px / len(paint)

    def span(found: Any) -> slice:
        start, stop = (int(found[0]) - 1) * scale, (int(found[-1]) + 2) * scale
        return slice(max(0, math.floor(start)), min(side_px, math.ceil(stop)))

    return span(rows), span(columns)


def make_interior(source_bgr: ByteArray, landmarks: FloatArray) -> MouthInterior:
    """Teeth and tongue for a face.

    Args:
        source_bgr: uint8 ``(S, S, 3)``: the unit face crop.
        landmarks: float ``(68, 2)`` in the unit crop.
    """
    side = len(source_bgr) // 2
    across = landmarks[64] - landmarks[60]
    width = float(np.hypot(*across))
    across = across / max(width, 1e-6)
    # The middle of the lips, not of the corners, follows a turned head; an open mouth's upper lip counts.
    corners = (landmarks[60] + landmarks[64]) / 2
    middle = (landmarks[61:64].mean(0) + landmarks[65:68].mean(0)) / 2
    down = np.array([-across[1], across[0]])
    line = corners + across * float((middle - corners) @ across) * 1.3
    gap = float(np.linalg.norm(landmarks[61:64].mean(0) - landmarks[65:68].mean(0)))
    # Corners go up with a smile, teeth do not: the height is that of the upper lip, and of an open gap.
    line = line + down * (float((landmarks[61:64].mean(0) - line) @ down) + 0.4 * min(gap, 0.03))
    size = float(np.clip(0.5 + 0.5 * width / 0.185, 0.8, 1.2))
    light, tint = _light_of(source_bgr, landmarks)
    frame = _Frame(side, np.asarray(line), np.asarray(across), size)
    upper = _teeth(frame, _UPPER_MM, _UPPER_EDGE_MM, -1.0)
    lower = _teeth(frame, _LOWER_MM, _LOWER_EDGE_MM, 1.0)
    colours = light * tint
    upper[..., :3] *= colours
    lower[..., :3] *= colours * np.float32(0.86)  # deeper in the mouth
    tongue = _tongue(frame)
    tongue[..., :3] *= colours
    return MouthInterior(
        upper, lower, tongue, (_DARK * colours).astype(np.float32), across.astype(np.float32)
    )


def without_teeth(source_bgr: ByteArray, landmarks: FloatArray) -> ByteArray:
    """A picture with the dark between lips in place of its bared teeth: they would stay as a white line when
    the lips meet.

    Args:
        source_bgr: uint8 ``(S, S, 3)``: the unit face crop.
        landmarks: float ``(68, 2)`` in the unit crop.
    """
    side = len(source_bgr)
    corners = np.rint(landmarks[48:68] * (side << 4)).astype(np.int32) - 8
    inside, lips = np.zeros((2, side, side), np.uint8)
    cv2.fillPoly(lips, [corners[:12]], 255, cv2.LINE_AA, 4)
    cv2.fillPoly(inside, [corners[12:]], 255, cv2.LINE_AA, 4)
    own = source_bgr[(lips > 127) & (inside == 0)]
    if not len(own):
        return source_bgr
    lip = np.median(own, 0).astype(np.float32)
    # Teeth are paler than lips: their blue and green come nearer to red.
    picture = source_bgr.astype(np.float32)
    pale = picture[..., :2].mean(-1) / np.maximum(picture[..., 2], 1)
    share = np.clip((pale - lip[:2].mean() / max(float(lip[2]), 1.0) - 0.04) / 0.12, 0, 1)
    share *= np.minimum(cv2.dilate(inside, np.ones((3, 3), np.uint8)), lips) / np.float32(255)
    share = cv2.blur(cv2.dilate(share.astype(np.float32), np.ones((3, 3), np.uint8)), (3, 3))[..., None]
    return np.asarray(np.rint(picture + share * (lip * _LIP_LINE - picture)), np.uint8)


@dataclass(frozen=True, slots=True)
class _Frame:
    """Millimetres along and below the lips' line -> pixels of the window."""

    side_px: int
    line: FloatArray
    across: FloatArray
    size: float

    def millimetres(self) -> tuple[FloatArray, FloatArray]:
        """For each oversampled pixel of the window: mm to the right of the middle, mm below the line."""
        fine = self.side_px * _OVERSAMPLE
        ramp = (np.arange(fine) + 0.5) / fine * 0.5
        x = ramp[None, :] + MOUTH_WINDOW[0] - self.line[0]
        y = ramp[:, None] + MOUTH_WINDOW[1] - self.line[1]
        right = (x * self.across[0] + y * self.across[1]) / (_MM * self.size)
        below = (-x * self.across[1] + y * self.across[0]) / (_MM * self.size)
        return right.astype(np.float32), below.astype(np.float32)

    def reduced(self, colour: FloatArray, alpha: FloatArray) -> FloatArray:
        """Oversampled colour ``(F, F, 3)`` and alpha ``(F, F)`` -> premultiplied ``(W, W, 4)``."""
        layer = np.concatenate([colour * alpha[..., None], alpha[..., None]], -1)
        size = (self.side_px, self.side_px)
        return np.asarray(cv2.resize(layer, size, interpolation=cv2.INTER_AREA), np.float32)


def _teeth(
    frame: _Frame, sizes_mm: tuple[tuple[float, float], ...], edge_mm: float, grows: float
) -> FloatArray:
    """One row of teeth with its gum; ``grows``: -1 up from the edge, 1 down."""
    right, below = frame.millimetres()
    # A point of the picture -> how far along the arch it lies.
    reach = np.clip(np.abs(right) / _ARCH_MM, 0, 0.995)
    along = _ARCH_MM * np.arcsin(reach)
    facing = np.sqrt(1 - reach**2)
    smile = 0.0022 * right**2 * (1.0 if grows > 0 else -1.0)  # both edges curve away from the bite
    from_edge = (below - edge_mm) * grows - np.abs(smile) * 0.8
    alpha = np.zeros_like(right)
    shade = np.zeros_like(right)
    gum_line = np.zeros_like(right)
    start = 0.0
    for width, height in sizes_mm:
        inside = np.abs(along - (start + width / 2)) / (width / 2)
        # Rounded corners at the edge, a hairline between neighbours, a bulging front.
        edge = 0.5 + 0.9 * np.clip(inside, 0, 1) ** 6
        this = (inside <= 1.0) & (from_edge >= edge - 0.5) & (from_edge < height)
        alpha[this] = 1
        bulge = 1 - 0.10 * np.clip(inside, 0, 1) ** 2 - 0.22 * np.clip((inside - 0.86) / 0.14, 0, 1) ** 2
        tip = 1 - 0.06 * np.clip(1 - from_edge / 3, 0, 1)
        shade[this] = (bulge * tip)[this]
        gum_line[inside <= 1.0] = (height - 1.2 * (1 - np.clip(inside, 0, 1) ** 2))[inside <= 1.0]
        start += width
    gum = (along < start) & (from_edge >= gum_line - 1.2) & (from_edge < 16)
    colour = _TOOTH * (shade * (0.30 + 0.70 * facing**1.4))[..., None]
    colour[gum] = (_GUM * (0.25 + 0.6 * facing[..., None] ** 1.4))[gum]
    alpha[gum] = 1
    return frame.reduced(colour.astype(np.float32), alpha)


def _tongue(frame: _Frame) -> FloatArray:
    right, below = frame.millimetres()
    x, y = right / 19.0, (below - 8.5) / 12.5
    radius = np.sqrt(x**2 + y**2)
    alpha = np.clip((1 - radius) * 12, 0, 1)
    alpha = np.maximum(alpha, ((below > 11.5) & (np.abs(right) < 19)).astype(np.float32))
    furrow = 1 - 0.16 * np.exp(-((right / 1.6) ** 2))
    height = np.clip(1.0 - 0.45 * np.clip(radius, 0, 1) ** 3, 0, 1)
    return frame.reduced((_TONGUE * (furrow * height)[..., None]).astype(np.float32), alpha)


def _light_of(source_bgr: ByteArray, landmarks: FloatArray) -> tuple[float, FloatArray]:
    """Brightness and tint of the light on the cheeks: factors on the colours of a well lit mouth."""
    side = len(source_bgr)
    picked = []
    for eye, corner in ((landmarks[36:42], landmarks[48]), (landmarks[42:48], landmarks[54])):
        x, y = ((eye.mean(0) * 0.45 + corner * 0.55) * side).astype(int)
        reach = max(2, side // 32)
        patch = source_bgr[max(0, y - reach) : y + reach, max(0, x - reach) : x + reach]
        if patch.size:
            picked.append(patch.reshape(-1, 3).mean(0))
    skin = np.mean(picked, 0) if picked else np.array([120.0, 150.0, 190.0])
    level = float(skin @ [0.11, 0.59, 0.30])
    # Dark skin is not dim light: brightness follows the skin by half.
    light = float(np.clip((level / _SKIN_LEVEL) ** 0.5, 0.6, 1.08))
    usual = np.array([0.78, 0.95, 1.22])
    tint = np.clip((skin / max(level, 1.0) / usual) ** 0.35, 0.85, 1.15)
    return light, tint.astype(np.float32)
