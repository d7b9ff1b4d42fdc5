"""Head, hair, neck and torso: one grid mesh at full picture resolution, bent by the joints."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from vcam_avatar.media import ByteArray, FloatArray
from vcam_avatar.stages.body_arm import raised_share
from vcam_avatar.stages.body_motion import MotionFields, relative
from vcam_avatar.stages.kernels import njit
from vcam_avatar.stages.pose_layout import (
    LEFT_EAR,
    LEFT_EYE,
    LEFT_SHOULDER,
    MID_HIP,
    NECK,
    NOSE,
    RIGHT_EAR,
    RIGHT_EYE,
    RIGHT_SHOULDER,
)
from vcam_avatar.stages.raster import IndexArray, draw_triangles

FACE_GRID = 13
"""Rows and columns of ``Body.face_grid``."""
OVERSAMPLE = 2
"""Texels per frame pixel and axis."""
_CELL_PX = 16
_SKULL = -0.1
"""Where between ears (0) and nose (1) the point lies that carries hair and skull: a head turns about an axis
behind the ears, the face goes further."""
_YAW_SHARE, _YAW_LIMIT = 0.6, 0.15
"""How much of the nose's way beyond the skull the middle of the face goes, and the way's limit in
shoulder widths."""
_ROLL_LIMIT_RAD = 0.6


def _smooth(x: FloatArray, low: float, high: float) -> FloatArray:
    t = np.clip((x - low) / (high - low), 0, 1)
    out: FloatArray = (t * t * (3 - 2 * t)).astype(np.float32)
    return out


@njit(cache=True, nogil=True, fastmath=True)  # type: ignore[untyped-decorator]
def _bend(points: Any, weights: Any, torso: Any, head: Any, arms: Any, shifts: Any, out: Any) -> None:
    for i in range(points.shape[0]):
        x, y = points[i, 0], points[i, 1]
        h = weights[i, 0]
        bx = (
            torso[0, 0] * x
            + torso[0, 1] * y
            + torso[0, 2]
            + weights[i, 1] * shifts[0]
            + weights[i, 2] * shifts[2]
        )
        by = (
            torso[1, 0] * x
            + torso[1, 1] * y
            + torso[1, 2]
            + weights[i, 1] * shifts[1]
            + weights[i, 2] * shifts[3]
        )
        hx = head[0, 0] * x + head[0, 1] * y + head[0, 2] + weights[i, 3] * shifts[4]
        hy = head[1, 0] * x + head[1, 1] * y + head[1, 2] + weights[i, 3] * shifts[5]
        for side in range(2):
            a = weights[i, 4 + side]
            if a > 0:
                m = arms[side]
                bx += (m[0, 0] * x + m[0, 1] * y + m[0, 2] - bx) * a
                by += (m[1, 0] * x + m[1, 1] * y + m[1, 2] - by) * a
        out[i, 0] = bx + (hx - bx) * h
        out[i, 1] = by + (hy - by) * h


@dataclass(frozen=True, slots=True)
class CoreMesh:
    """The mesh of one avatar at one output size; everything in frame pixels."""

    texture: ByteArray
    """uint8 ``(h, w, 4)`` premultiplied BGRA, ``OVERSAMPLE`` texels per frame pixel."""
    texture_px: FloatArray
    """float32 ``(V, 2)``."""
    points: FloatArray
    """float32 ``(V + G * G + 2 + E, 2)`` at rest: mesh corners, the face grid, right and left shoulder,
    further points to carry along."""
    weights: FloatArray
    """float32 ``(V + G * G + 2 + E, 6)``: head, right shoulder, left shoulder, middle of the face, cap of the
    right and of the left shoulder."""
    triangles: IndexArray
    rest: FloatArray
    """float32 ``(K, 2)`` keypoints at rest."""
    unit: float
    """Shoulder width."""
    motion: MotionFields | None = None
    """What moves the points beyond their joints; None: nothing does."""

    def bend(self, pose: FloatArray, out: FloatArray) -> None:
        """Where all points go when the keypoints are at ``pose``, float32 ``(K, 2)``; into ``out``."""
        rest, unit = self.rest.astype(np.float64), self.unit
        now = pose.astype(np.float64)
        torso = _stretch(rest[MID_HIP], rest[NECK], now[MID_HIP], now[NECK])
        shifts = np.zeros(6)
        for slot, shoulder in ((0, RIGHT_SHOULDER), (2, LEFT_SHOULDER)):
            shifts[slot : slot + 2] = now[shoulder] - (torso[:, :2] @ rest[shoulder] + torso[:, 2])
        eyes, eyes_now = rest[LEFT_EYE] - rest[RIGHT_EYE], now[LEFT_EYE] - now[RIGHT_EYE]
        roll = np.arctan2(eyes_now[1], eyes_now[0]) - np.arctan2(eyes[1], eyes[0])
        roll = float(np.clip((roll + np.pi) % (2 * np.pi) - np.pi, -_ROLL_LIMIT_RAD, _ROLL_LIMIT_RAD))
        ears, ears_now = (rest[RIGHT_EAR] + rest[LEFT_EAR]) / 2, (now[RIGHT_EAR] + now[LEFT_EAR]) / 2
        cos, sin = np.cos(roll), np.sin(roll)
        turn = np.array([[cos, -sin], [sin, cos]])
        middle = ears + _SKULL * (rest[NOSE] - ears)
        middle_now = ears_now + _SKULL * (now[NOSE] - ears_now)
        head = np.concatenate([turn, (middle_now - turn @ middle)[:, None]], 1)
        yaw = now[NOSE] - (head[:, :2] @ rest[NOSE] + head[:, 2])
        shifts[4:6] = np.clip(yaw, -_YAW_LIMIT * unit, _YAW_LIMIT * unit) * _YAW_SHARE
        arms = np.stack([_arm_turn(rest, now, shoulder) for shoulder in (RIGHT_SHOULDER, LEFT_SHOULDER)])
        _bend(
            self.points, self.weights, torso.astype(np.float32), head.astype(np.float32),
            arms.astype(np.float32), shifts.astype(np.float32), out,
        )  # fmt: skip
        if self.motion is not None:
            out += self.motion.shift(relative(pose, self.rest))

    def draw(self, target: ByteArray, bent: FloatArray) -> int:
        """Draw the mesh with the corners of ``bend``; returns the number of pixels touched."""
        count = len(self.texture_px)
        return draw_triangles(target, self.texture, bent[:count], self.texture_px, self.triangles)

    def face_grid(self, bent: FloatArray) -> FloatArray:
        """float32 ``(G, G, 2)``, a copy."""
        first = len(self.texture_px)
        return bent[first : first + FACE_GRID**2].reshape(FACE_GRID, FACE_GRID, 2).copy()

    def carried(self, bent: FloatArray) -> FloatArray:
        """float32 ``(E, 2)``: where the points go that were given to be carried along."""
        return bent[len(self.texture_px) + FACE_GRID**2 + 2 :]

    def join_shoulders(self, pose: FloatArray, bent: FloatArray) -> FloatArray:
        """``pose`` ``(K, 2)`` with the shoulders where the cloth over them went: there arms begin."""
        first = len(self.texture_px) + FACE_GRID**2
        joined = pose.copy()
        joined[[RIGHT_SHOULDER, LEFT_SHOULDER]] = bent[first : first + 2]
        return joined


def _arm_turn(rest: Any, now: Any, shoulder: int) -> Any:
    """2x3: the upper arm's turn about its shoulder; less of it the shorter the arm appears."""
    bone, bone_now = rest[shoulder + 1] - rest[shoulder], now[shoulder + 1] - now[shoulder]
    angle = np.arctan2(bone_now[1], bone_now[0]) - np.arctan2(bone[1], bone[0])
    angle = (angle + np.pi) % (2 * np.pi) - np.pi
    seen = np.clip(2 * float(np.hypot(*bone_now)) / max(float(np.hypot(*bone)), 1e-3) - 0.5, 0, 1)
    angle = float(np.clip(angle, -1.2, 1.2)) * seen
    if angle * (rest[shoulder, 0] - rest[NECK, 0]) > 0:
        # Towards the body the shoulder's corner keeps its place rather than poke out.
        angle *= 0.4
    cos, sin = np.cos(angle), np.sin(angle)
    matrix = np.array([[cos, -sin], [sin, cos]])
    raised = raised_share(bone_now, float(np.sign(rest[shoulder, 0] - rest[NECK, 0])))
    if raised > 0:
        # The corner draws back under the raised sleeve.
        axis = bone / max(float(np.hypot(*bone)), 1e-3)
        matrix = matrix @ ((1 - 0.25 * raised) * np.eye(2) - 0.3 * raised * np.outer(axis, axis))
    return np.concatenate([matrix, (now[shoulder] - matrix @ rest[shoulder])[:, None]], 1)


def _stretch(a: FloatArray, b: FloatArray, a_now: FloatArray, b_now: FloatArray) -> FloatArray:
    """2x3: bone a-b onto its new place, longer or shorter along the bone only."""
    bone, now = b - a, b_now - a_now
    length, length_now = max(float(np.hypot(*bone)), 1e-3), max(float(np.hypot(*now)), 1e-3)
    d, e = bone / length, now / length_now
    across, across_now = np.array([-d[1], d[0]]), np.array([-e[1], e[0]])
    matrix = np.outer(e, d) * (length_now / length) + np.outer(across_now, across)
    out: FloatArray = np.concatenate([matrix, (a_now - matrix @ a)[:, None]], 1)
    return out


def cover_with_cells(
    texture: ByteArray, origin_px: tuple[float, float]
) -> tuple[FloatArray, FloatArray, IndexArray]:
    """Cells over all that is shown of ``texture``.

    Returns:
        Corners in frame pixels ``(V, 2)`` and in texels ``(V, 2)``, and triangles ``(T, 3)``.
    """
    height, width = -(-texture.shape[0] // OVERSAMPLE), -(-texture.shape[1] // OVERSAMPLE)
    cell = max(6, round(_CELL_PX * height / 1000)) if height > 1000 else _CELL_PX
    rows, columns = -(-height // cell) + 1, -(-width // cell) + 1
    alpha: Any = np.zeros(((rows - 1) * cell, (columns - 1) * cell), bool)
    shown = texture[::OVERSAMPLE, ::OVERSAMPLE, 3] > 0
    alpha[: shown.shape[0], : shown.shape[1]] = shown
    used: Any = alpha.reshape(rows - 1, cell, columns - 1, cell).any((1, 3))
    # A pixel drawn bilinearly reads its neighbours: cells beside used ones count as well.
    wide: Any = used.copy()
    wide[1:] |= used[:-1]
    wide[:-1] |= used[1:]
    wide[:, 1:] |= used[:, :-1]
    wide[:, :-1] |= used[:, 1:]
    corner: Any = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = corner[:-1, :-1][wide], corner[:-1, 1:][wide], corner[1:, :-1][wide], corner[1:, 1:][wide]
    triangles = np.stack([np.stack([a, b, c], 1), np.stack([b, d, c], 1)], 1).reshape(-1, 3)
    kept, triangles = np.unique(triangles, return_inverse=True)
    xs, ys = np.meshgrid(np.arange(columns) * cell, np.arange(rows) * cell)
    corners = np.stack([xs.ravel(), ys.ravel()], 1)[kept].astype(np.float32)
    # The texture's own size is whole texels; its pixels are that much larger or smaller.
    return (
        corners + np.array(origin_px, np.float32),
        corners * np.float32(OVERSAMPLE),
        np.ascontiguousarray(triangles.reshape(-1, 3), np.int32),
    )


def build_core_mesh(
    texture: ByteArray,
    origin_px: tuple[float, float],
    rest: FloatArray,
    face: FloatArray,
    crop: FloatArray,
    carried: FloatArray | None = None,
) -> CoreMesh:
    """Cover ``texture`` with cells and find out what moves them.

    Args:
        texture: premultiplied BGRA, ``OVERSAMPLE`` texels per frame pixel.
        origin_px: where its top left corner lies in the frame.
        rest: ``(K, 2)`` keypoints in frame pixels.
        face: ``(68, 2)`` landmarks in frame pixels.
        crop: ``(2, 3)`` unit face crop -> frame pixels.
        carried: ``(E, 2)`` frame pixels of further points to bend.
    """
    unit = float(np.hypot(*(rest[LEFT_SHOULDER] - rest[RIGHT_SHOULDER])))
    points, texture_px, triangles = cover_with_cells(texture, origin_px)
    steps = np.linspace(0, 1, FACE_GRID)
    u, v = np.meshgrid(steps, steps)
    grid = np.stack([u.ravel(), v.ravel(), np.ones(FACE_GRID**2)], 1) @ crop.T
    more = [] if carried is None else [carried.astype(np.float32)]
    shoulders = np.asarray(rest[[RIGHT_SHOULDER, LEFT_SHOULDER]], np.float32)
    points = np.concatenate([points, grid.astype(np.float32), shoulders, *more])
    weights = mesh_weights(points, rest, face, unit)
    return CoreMesh(texture, texture_px, points, weights, triangles, np.asarray(rest, np.float32), unit)


def mesh_weights(points: FloatArray, rest: FloatArray, face: FloatArray, unit: float) -> FloatArray:
    chin, neck = float(face[:, 1].max()), float(rest[NECK, 1])
    head = 1 - _smooth(
        points[:, 1], chin - 0.02 * unit, chin + 0.75 * max(neck - chin, 0.1 * unit) + 0.08 * unit
    )
    out = np.zeros((len(points), 6), np.float32)
    out[:, 0] = head
    for slot, shoulder in ((1, RIGHT_SHOULDER), (2, LEFT_SHOULDER)):
        distance = ((points - rest[shoulder]) ** 2).sum(1)
        out[:, slot] = np.exp(-distance / (2 * (0.28 * unit) ** 2))
    for slot, shoulder in ((4, RIGHT_SHOULDER), (5, LEFT_SHOULDER)):
        bone = rest[shoulder + 1] - rest[shoulder]
        length = max(float(np.hypot(*bone)), 1e-3)
        outward = np.sign(rest[shoulder, 0] - rest[NECK, 0])
        offset = points - rest[shoulder]
        along = offset @ bone / length / (0.84 * unit)
        across = offset @ np.array([bone[1], -bone[0]]) / length
        across = across * np.sign(bone[1] * outward) if bone[1] != 0 else offset[:, 0] * outward
        cap = _smooth(along, -0.05, 0.3) * (1 - _smooth(along, 0.4, 0.6))
        out[:, slot] = cap * _smooth(across, -0.12 * unit, 0.06 * unit)
    centre = face.mean(0)
    radius = (face.max(0) - face.min(0)) / 2 * 1.25
    out[:, 3] = np.clip(1 - (((points - centre) / np.maximum(radius, 1)) ** 2).sum(1), 0, 1)
    return out
