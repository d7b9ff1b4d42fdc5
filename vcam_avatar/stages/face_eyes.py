"""Lids and gaze: the avatar's own lid skin is drawn over its own eyes, its own iris moves between its lids.

Done by geometry from the eye's landmarks rather than by the networks: what closes an eye lies folded above
it, and a stretched strip of that skin with the picture's own lashes looks right in any style.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from vcam_avatar.media import FACE_ACTIONS, ByteArray, Expression, FloatArray

RIGHT_EYE, LEFT_EYE = slice(36, 42), slice(42, 48)
_RIGHT_BROW, _LEFT_BROW = slice(17, 22), slice(22, 27)
_SKIN_SHARE = 0.62
"""How much of the way from lid to brow the lid's skin may be taken from."""
_GAZE_REACH = 0.27
"""How far a full look moves the iris, in eye widths."""
_LASHES = 0.07
"""Height of the thinnest lashes, in eye widths."""
_LASH_DARKNESS = 0.75
"""What is darker than this share of the lid's skin belongs to the lashes."""
_MARGIN = 0.35
"""What is kept around an eye, in eye widths."""

_GREY = np.array([0.11, 0.59, 0.30])
_BLINK = {side: FACE_ACTIONS.index(f"eyeBlink{side}") for side in ("Left", "Right")}
_SQUINT = {side: FACE_ACTIONS.index(f"eyeSquint{side}") for side in ("Left", "Right")}
_LOOK = {
    (way, side): FACE_ACTIONS.index(f"eyeLook{way}{side}")
    for way in ("In", "Out", "Up", "Down")
    for side in ("Left", "Right")
}
EYE_ACTIONS = [*_BLINK.values(), *_SQUINT.values(), *_LOOK.values()]
"""The actions drawn here, for which the networks need not be asked."""


@dataclass(frozen=True, slots=True)
class Eye:
    """One eye of a patch, in its pixels."""

    side: str
    """``Left`` or ``Right``: the person's."""
    left: int
    top: int
    """Corner of the box that is redrawn."""
    x: FloatArray
    y: FloatArray
    """float32 ``(h, w)``: pixel centres of the box in OpenCV coordinates."""
    upper: FloatArray
    """float32 ``(w,)``: row of the upper lid's edge, column by column."""
    lower: FloatArray
    """float32 ``(w,)``: row of the lower lid's edge."""
    fold: FloatArray
    """float32 ``(w,)``: row above which the lid's skin stays."""
    lashes: FloatArray
    """float32 ``(w,)``: height of the strip above the lid's edge that is moved, not stretched."""
    reach: FloatArray
    """float32 ``(w,)``: 1 along the eye, 0 beyond its corners."""
    ball: FloatArray
    """float32 ``(h, w)``: how far the iris' movement carries, 0 at the lids."""
    width: float

    def draw(self, patch: ByteArray, blink: float, across: float, up: float) -> None:
        """Redraw the eye in a BGRA patch, in place.

        Args:
            blink: 0 open, 1 shut.
            across: gaze to the right of the picture, 1 full.
            up: gaze up, 1 full.
        """
        height, width = self.y.shape
        box = patch[self.top : self.top + height, self.left : self.left + width]
        seen = box[..., :3]
        if abs(across) + abs(up) > 0.01:
            # An eyeball turns: the middle moves most, what it leaves is stretched.
            x = self.x - self.ball * (across * _GAZE_REACH * self.width)
            y = self.y + self.ball * (up * 0.55 * _GAZE_REACH * self.width)
            seen = _read(seen, x, y)
        if blink > 0.01:
            gap = np.maximum(self.lower - self.upper, 0.0)
            edge = self.upper + blink * 0.97 * gap * self.reach
            # The lashes go down as they are; from fold to lashes the lid's skin is stretched.
            lashes, skin = edge - self.lashes, np.maximum(self.upper - self.lashes - self.fold, 1e-3)
            inside = np.clip((self.y - self.fold) / np.maximum(lashes - self.fold, 1e-3), 0, 1)
            lid = np.where(self.y > lashes, self.y - (edge - self.upper), self.fold + inside * skin)
            from_y = np.where((self.y <= edge) & (self.y > self.fold), lid, self.y)
            moved = _read(seen, self.x, from_y.astype(np.float32))
            # The edge is the lashes': half a pixel of softness between lid and eye.
            share = np.clip(edge - self.y + 0.5, 0, 1)[..., None] * self.reach[None, :, None]
            seen = np.rint(moved * share + seen * (1 - share)).astype(np.uint8)
        differs = seen != box[..., :3]
        changed = differs[..., 0] | differs[..., 1] | differs[..., 2]
        box[..., 3][changed] = 255
        box[..., :3] = seen


def _read(picture: ByteArray, x: FloatArray, y: FloatArray) -> ByteArray:
    return np.asarray(cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def make_eyes(source_bgr: ByteArray, landmarks: FloatArray) -> list[Eye]:
    """The two eyes of a face.

    Args:
        source_bgr: uint8 ``(S, S, 3)``: the unit face crop.
        landmarks: float ``(68, 2)`` in the unit crop.
    """
    side_px = len(source_bgr)
    eyes = []
    for side, points, brow in (("Right", RIGHT_EYE, _RIGHT_BROW), ("Left", LEFT_EYE, _LEFT_BROW)):
        eye = _make_eye(side, landmarks[points] * side_px - 0.5, landmarks[brow] * side_px - 0.5, source_bgr)
        if eye is not None:
            eyes.append(eye)
    return eyes


def _make_eye(side: str, points: FloatArray, brow: FloatArray, source_bgr: ByteArray) -> Eye | None:
    points = points[np.argsort(points[:, 0])] if points[0, 0] > points[3, 0] else points
    left_corner, right_corner = points[0], points[3]
    side_px = len(source_bgr)
    wide = float(right_corner[0] - left_corner[0])
    if wide < 6:
        return None
    margin = wide * _MARGIN
    brow_row = float(np.sort(brow[:, 1])[len(brow) // 2 :].mean())
    x0, x1 = int(left_corner[0] - margin), int(right_corner[0] + margin) + 1
    y0, y1 = int(min(points[:, 1].min() - 0.9 * wide, brow_row)), int(points[:, 1].max() + 0.4 * wide) + 1
    if x0 < 0 or y0 < 0 or x1 > side_px or y1 > side_px:
        return None
    columns = np.arange(x0, x1, dtype=np.float32)
    upper = _curve(points[[0, 1, 2, 3]], columns)
    lower = _curve(points[[0, 5, 4, 3]], columns)
    gap = float(np.max(lower - upper))
    # Lid skin comes from below the brow, and from not much more than the eye is high.
    room = max((float(upper.min()) - brow_row) * _SKIN_SHARE, 0.16 * wide)
    lashes = _lash_heights(source_bgr, columns, upper, wide, room / _SKIN_SHARE * 0.7)
    room = min(room, 1.1 * max(gap, 0.2 * wide))
    # Some clean skin above the lashes, but nothing of the brow.
    fold = np.maximum(upper - np.maximum(room, lashes + 0.12 * wide), brow_row + 0.05 * wide)
    fold = np.minimum(fold, upper - lashes - 1.0)
    t = (columns - left_corner[0]) / wide
    reach = np.clip(np.minimum(t + 0.06, 1.06 - t) / 0.12, 0, 1)
    x, y = np.meshgrid(columns, np.arange(y0, y1, dtype=np.float32))
    middle = (upper + lower) / 2
    open_half = np.maximum((lower - upper) / 2, 1.0)
    inside_y = np.clip(1.15 - np.abs(y - middle) / open_half, 0, 1)
    inside_x = np.clip(1.0 - (np.abs(t - 0.5) / 0.5) ** 4, 0, 1)
    ball = np.clip(inside_y * 2, 0, 1) * inside_x
    ball = cv2.GaussianBlur(ball.astype(np.float32), (0, 0), max(0.5, 0.02 * wide))
    return Eye(
        side=side,
        left=x0,
        top=y0,
        x=np.ascontiguousarray(x - x0, np.float32),
        y=np.ascontiguousarray(y - y0, np.float32),
        upper=(upper - y0).astype(np.float32),
        lower=(lower - y0).astype(np.float32),
        fold=(fold - y0).astype(np.float32),
        lashes=lashes.astype(np.float32),
        reach=(reach * reach * (3 - 2 * reach)).astype(np.float32),
        ball=np.asarray(ball, np.float32),
        width=wide,
    )


def _lash_heights(
    source_bgr: ByteArray, columns: FloatArray, upper: FloatArray, wide: float, room: float
) -> FloatArray:
    """How far painted or drawn lashes reach above the lid's edge, column by column, in pixels."""
    last = len(source_bgr) - 1
    offsets = np.arange(0.0, max(room, 3.0))
    rows = np.clip(upper[None] - offsets[:, None], 0, last).astype(int)
    level = source_bgr[rows, np.clip(columns, 0, last).astype(int)] @ _GREY
    dark = level < _LASH_DARKNESS * np.percentile(level, 85, axis=0)
    # The first run of skin two pixels high ends the lashes.
    skin = ~dark & ~np.roll(dark, -1, 0)
    skin[-1] = True
    heights = np.where(dark[:2].any(0), np.argmax(skin, 0) + 1.5, 0.0)
    heights = np.clip(heights, _LASHES * wide, max(_LASHES * wide, 0.8 * room))
    reach = max(3, round(0.12 * wide) | 1)
    grown = cv2.dilate(heights.astype(np.float32)[None], np.ones((1, reach), np.uint8))
    return np.asarray(cv2.GaussianBlur(grown, (0, 0), reach / 3)[0], np.float32)


def _curve(points: FloatArray, columns: FloatArray) -> FloatArray:
    """Row of a lid's edge over ``columns``: a smooth arc through four points, straight beyond the corners."""
    x = points[:, 0]
    fine = np.linspace(0, 1, 64)
    # Cubic Bezier with the inner points raised so that the arc passes near them.
    a, b, c, d = (
        points[0],
        points[0] + (points[1] - points[0]) * 1.35,
        points[3] + (points[2] - points[3]) * 1.35,
        points[3],
    )
    s = fine[:, None]
    arc = a * (1 - s) ** 3 + 3 * b * s * (1 - s) ** 2 + 3 * c * s**2 * (1 - s) + d * s**3
    order = np.argsort(arc[:, 0])
    rows = np.interp(columns, arc[order, 0], arc[order, 1])
    return np.asarray(
        np.where(columns < x.min(), points[0, 1], np.where(columns > x.max(), points[3, 1], rows))
    )


def draw_eyes(eyes: list[Eye], patch: ByteArray, expression: Expression) -> None:
    """Lids and gaze of ``expression`` into a BGRA patch, in place."""
    for eye in eyes:
        blink = float(expression[_BLINK[eye.side]] + 0.3 * expression[_SQUINT[eye.side]])
        # The person's left eye looks out to the person's left: to the right of the picture.
        outward = 1.0 if eye.side == "Left" else -1.0
        across = outward * float(expression[_LOOK["Out", eye.side]] - expression[_LOOK["In", eye.side]])
        up = float(expression[_LOOK["Up", eye.side]] - expression[_LOOK["Down", eye.side]])
        if blink > 0.01 or abs(across) + abs(up) > 0.01:
            eye.draw(patch, min(blink, 1.0), across, up)
