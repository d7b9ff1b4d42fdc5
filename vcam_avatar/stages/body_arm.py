"""One arm per frame: joints in space, straightened strips back in the picture, the hand over time."""

from dataclasses import dataclass

import cv2
import numpy as np

from vcam_avatar.media import ByteArray, FloatArray
from vcam_avatar.stages.hands import ANGLE_COUNT
from vcam_avatar.stages.raster import IndexArray, draw_triangles

_ROWS = 8
_COLUMNS = (-1.0, -0.58, -0.42, 0.0, 1.0)
"""From the inner edge (towards the torso) to the outer, in half widths of a strip."""
_CORNERS = len(_COLUMNS)
_TRIANGLES: IndexArray = np.array(
    [
        t
        for i in range(_ROWS - 1)
        for a in range(i * _CORNERS, (i + 1) * _CORNERS - 1)
        for t in ((a, a + 1, a + _CORNERS), (a + 1, a + _CORNERS + 1, a + _CORNERS))
    ],
    np.int32,
)
_HANGS_RAD, _RAISED_RAD = 0.5, 1.4
"""Angles of the upper arm from hanging down, outwards, from which and up to which its shoulder takes the
shape of a raised one."""


def raised_share(bone: FloatArray, outward: float) -> float:
    """0 while an upper arm hangs, 1 when it is raised sideways.

    Args:
        bone: from shoulder to elbow, pixels.
        outward: 1 when the arm is on the right in the picture, else -1.
    """
    angle = float(np.arctan2(outward * bone[0], bone[1]))
    t = float(np.clip((angle - _HANGS_RAD) / (_RAISED_RAD - _HANGS_RAD), 0, 1))
    return t * t * (3 - 2 * t)


@dataclass(frozen=True, slots=True)
class Raised:
    """How an upper arm's strip changes its shape while it is raised: else shoulders stand out like wings
    and sleeves would fan out."""

    share: float
    """``raised_share``."""
    outward: float
    """1 when the outer edge is the strip's right one, else -1."""
    top: float
    """Height of the shoulder over its joint, in widths of the hanging arm's outer half."""
    soft_px: float
    """Width of the inner edge's fading, which has the torso behind it only while the arm hangs."""


_HANGING = Raised(0.0, 1.0, 1.0, 0.0)


@dataclass(frozen=True, slots=True)
class FrameStrip:
    """A strip at the frame's scale, ready to draw."""

    texture: ByteArray
    """uint8 premultiplied BGRA; 2x2 and empty when there is nothing to draw."""
    start: float
    end: float
    half_width_px: float
    length_px: float
    line: ByteArray | None = None
    """The line around a drawn arm, like ``texture``; None: no line."""

    @property
    def is_empty(self) -> bool:
        """Nothing to draw."""
        return len(self.texture) <= 2

    def draw(
        self,
        target: ByteArray,
        upper: FloatArray,
        lower: FloatArray,
        raised: Raised = _HANGING,
        texture: ByteArray | None = None,
    ) -> None:
        """Draw along the bone from ``upper`` to ``lower`` (frame pixels).

        Between the joints the strip is as long as the bone appears, beyond them it has its natural length;
        across it is always as wide as it is. ``texture``: by default the strip's own.
        """
        if self.is_empty:
            return
        bone = np.asarray(lower, np.float64) - upper
        length = max(float(np.hypot(*bone)), 1e-3)
        axis = bone / length
        t = np.array([self.start, 0.0, 0.25, 0.5, 0.75, 0.9, 1.0, self.end])
        t = np.clip(t, self.start, self.end)
        inside = np.clip(t, 0, 1)
        along = inside * length + (t - inside) * self.length_px
        columns = np.array(_COLUMNS)
        places = np.tile(columns, (_ROWS, 1))
        if raised.share > 0:
            near = np.clip((0.6 - t) / 0.6, 0, 1)
            places[:, 4] = 1 - (1 - raised.top) * raised.share * near * (2 - near)
            places[:, :2] += (raised.soft_px / self.half_width_px * raised.share * (t < 0.7))[:, None]
            np.minimum(places[:, 1], places[:, 2] - 0.02, out=places[:, 1])
        across = np.array([axis[1], -axis[0]]) * self.half_width_px * raised.outward
        middle = upper + along[:, None] * axis
        target_px = (middle[:, None] + places[..., None] * across).reshape(-1, 2).astype(np.float32)
        texture = self.texture if texture is None else texture
        height, width = texture.shape[:2]
        texture_px = np.empty((_ROWS, _CORNERS, 2), np.float32)
        texture_px[..., 0] = (columns * raised.outward + 1) / 2 * width
        texture_px[..., 1] = ((t - self.start) / (self.end - self.start) * height)[:, None]
        draw_triangles(target, texture, target_px, texture_px.reshape(-1, 2), _TRIANGLES)


@dataclass(frozen=True, slots=True)
class ArmInSpace:
    """Joints of an arm in frame pixels; z away from the viewer, 0 at the shoulder."""

    shoulder: FloatArray
    elbow: FloatArray
    wrist: FloatArray
    towards_elbow: FloatArray
    """Unit vector ``(3,)`` from wrist to elbow."""


def place_arm(
    shoulder: FloatArray, elbow: FloatArray, wrist: FloatArray, upper_px: float, fore_px: float
) -> ArmInSpace:
    """What looks short points at the viewer: depth from the bones' natural lengths.

    The forearm comes fully forward, the upper arm half as much: elbows rarely do.
    """

    def depth(a: FloatArray, b: FloatArray, length: float) -> float:
        return float(np.sqrt(max(0.0, length**2 - float(((b - a) ** 2).sum()))))

    elbow_z = -0.5 * depth(shoulder, elbow, upper_px)
    forward = depth(elbow, wrist, fore_px)
    vector = np.array([elbow[0] - wrist[0], elbow[1] - wrist[1], forward], np.float64)
    vector /= max(float(np.linalg.norm(vector)), 1e-6)
    return ArmInSpace(
        np.array([*shoulder, 0.0], np.float32),
        np.array([*elbow, elbow_z], np.float32),
        np.array([*wrist, elbow_z - forward], np.float32),
        vector.astype(np.float32),
    )


_FASTEST_RAD = 0.5
"""Greatest turn of a palm from frame to frame: what turns faster was seen wrong."""
_DOUBT_RAD = 1.0
"""A jump that is not followed at once: it may be a single wrong frame."""


class HandTrack:
    """Palm rotation and finger angles over time: calm when nearly still, quick when moving, never a jump."""

    def __init__(self) -> None:
        self._rotation: FloatArray | None = None
        self._angles = np.zeros(ANGLE_COUNT, np.float32)
        self._doubts = 0

    def reset(self) -> None:
        """Forget the past."""
        self._rotation = None
        self._doubts = 0

    def follow(self, rotation: FloatArray, angles: FloatArray) -> tuple[FloatArray, FloatArray]:
        """One more frame: float32 ``(3, 3)`` and ``(20,)`` -> the same, steadied."""
        if self._rotation is None:
            self._rotation, self._angles = rotation.copy(), angles.copy()
            return self._rotation, self._angles
        turn, _ = cv2.Rodrigues((self._rotation.T @ rotation).astype(np.float64))
        angle = float(np.linalg.norm(turn))
        if angle > 1e-6:
            step = angle * (0.35 + 0.5 * min(1.0, angle / 0.5))
            self._doubts = self._doubts + 1 if angle > _DOUBT_RAD else 0
            if self._doubts:
                step = min(step, 0.10 + 0.12 * (self._doubts - 1))
            step = min(step, _FASTEST_RAD)
            small, _ = cv2.Rodrigues(turn * (step / angle))
            self._rotation = (self._rotation @ small).astype(np.float32)
        change = angles - self._angles
        shares = 0.35 + 0.5 * np.minimum(1.0, np.abs(change) / 0.5)
        moved = np.clip(change * shares, -_FASTEST_RAD, _FASTEST_RAD)
        self._angles = (self._angles + moved).astype(np.float32)
        return self._rotation, self._angles


class FrontOrder:
    """Which arm is drawn last, steady in time."""

    def __init__(self) -> None:
        self._left_in_front = True

    def decide(self, left_z: float, right_z: float, margin: float) -> tuple[str, str]:
        """Names back to front. The order changes only when the other wrist is nearer by ``margin``."""
        if self._left_in_front and right_z < left_z - margin:
            self._left_in_front = False
        elif not self._left_in_front and left_z < right_z - margin:
            self._left_in_front = True
        return ("right", "left") if self._left_in_front else ("left", "right")
