"""How head, hair and clothes move beyond what joints say: displacement fields, weighted for every pose.

One network looks at the avatar's picture once and answers with ``FIELDS`` displacement fields; a second,
small one gives each field's weight for a pose. Both are trained on exact flow; at the picture's own pose all
weights are 0. Motion models for single pictures (Siarohin et al., "First Order Motion Model for Image
Animation", 2019) predict one dense field a frame; here the picture's part is worked out beforehand, so that a
frame costs a product of two small matrices.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from vcam_avatar.inference import Network
from vcam_avatar.media import ByteArray, FloatArray
from vcam_avatar.stages.pose_layout import (
    LEFT_EAR,
    LEFT_ELBOW,
    LEFT_EYE,
    LEFT_SHOULDER,
    MID_HIP,
    NECK,
    NOSE,
    RIGHT_EAR,
    RIGHT_ELBOW,
    RIGHT_EYE,
    RIGHT_SHOULDER,
)

FIELDS_MODEL, WEIGHTS_MODEL = "body_fields", "body_weights"
POINTS = (
    NOSE, RIGHT_EYE, LEFT_EYE, RIGHT_EAR, LEFT_EAR, NECK, RIGHT_SHOULDER, LEFT_SHOULDER, RIGHT_ELBOW,
    LEFT_ELBOW, MID_HIP,
)  # fmt: skip
"""Keypoints that the networks see."""
_SHOULDERS, _ELBOWS = [6, 7], [8, 9]
FIELDS = 32
SIDE_PX, GRID = 128, 64
"""Side of the picture and of the fields that the first network reads and writes."""
REACH = 1.5
"""The square that both cover reaches this far from the neck on all sides, in shoulder widths."""


def relative(points: FloatArray, rest: FloatArray) -> FloatArray:
    """``(K, 2)`` keypoints as the networks see them: ``(22,)``, from the neck at rest, in shoulder widths."""
    unit = max(float(np.hypot(*(rest[LEFT_SHOULDER] - rest[RIGHT_SHOULDER]))), 1e-3)
    own = (points[list(POINTS)] - rest[NECK]) / unit
    return np.asarray(own.ravel(), np.float32)


def square_matrix(neck: FloatArray, unit: float, side_px: int = SIDE_PX) -> FloatArray:
    """``(2, 3)``: pixels -> the networks' square of ``side_px``."""
    scale = side_px / (2 * REACH * unit)
    offset = side_px / 2 - 0.5 - neck * scale
    return np.array([[scale, 0, offset[0]], [0, scale, offset[1]]], np.float32)


def cut_square(texture: ByteArray, neck: FloatArray, unit: float) -> FloatArray:
    """Head and torso as the first network sees them.

    Args:
        texture: uint8 ``(h, w, 4)`` premultiplied BGRA.
        neck: ``(2,)`` in its pixels.
        unit: shoulder width in its pixels.

    Returns:
        float32 ``(4, SIDE_PX, SIDE_PX)`` 0..1.
    """
    matrix = square_matrix(neck, unit)
    scale = float(matrix[0, 0])
    if scale < 0.7:  # a plain remap would skip pixels
        size = (max(1, round(texture.shape[1] * scale)), max(1, round(texture.shape[0] * scale)))
        smaller = np.asarray(cv2.resize(texture, size, interpolation=cv2.INTER_AREA), np.uint8)
        shrink = np.array([size[0] / texture.shape[1], size[1] / texture.shape[0]], np.float32)
        texture, neck, unit = smaller, (neck + 0.5) * shrink - 0.5, unit * float(shrink.mean())
        matrix = square_matrix(neck, unit)
    cut = cv2.warpAffine(texture, matrix, (SIDE_PX, SIDE_PX), flags=cv2.INTER_LINEAR)
    return np.asarray(cut.transpose(2, 0, 1) / 255, np.float32)


def _arms_at_rest(moved: FloatArray) -> FloatArray:
    """Shifts ``(22,)`` with the elbows carried along by their shoulders.

    Moved by arms alone clothes far from them swam, and where both went far out they blew up like bells: what
    arms do to clothes is not seen well enough in the data.
    """
    out = moved.reshape(-1, 2).copy()
    out[_ELBOWS] = out[_SHOULDERS]
    return np.asarray(out.ravel(), np.float32)


@dataclass(frozen=True, slots=True)
class MotionFields:
    """The fields of one avatar, read at the points that they move."""

    basis: FloatArray
    """float32 ``(FIELDS, P * 2)``, pixels."""
    rest: FloatArray
    """float32 ``(22,)``, see ``relative``."""
    weigh: Network

    def shift(self, now: FloatArray) -> FloatArray:
        """Displacement ``(P, 2)`` in pixels at keypoints ``now`` ``(22,)``, see ``relative``."""
        pose = np.concatenate([self.rest, _arms_at_rest(now - self.rest)])[None]
        weights = self.weigh.run({"pose": pose})["weights"]
        return np.asarray((weights @ self.basis).reshape(-1, 2), np.float32)


def read_fields(
    fields: Network, weigh: Network, texture: ByteArray, texels: float, origin_px: tuple[float, float],
    rest: FloatArray, points: FloatArray,
) -> MotionFields:  # fmt: skip
    """Ask the first network about an avatar.

    Args:
        texture: premultiplied BGRA of head and torso.
        texels: per pixel of ``rest``.
        origin_px: of the texture, in pixels of ``rest``.
        rest: ``(K, 2)`` keypoints in the picture's own pose.
        points: ``(P, 2)`` which the fields move, in the same pixels.
    """
    unit = float(np.hypot(*(rest[LEFT_SHOULDER] - rest[RIGHT_SHOULDER])))
    own = relative(rest, rest)
    square = cut_square(texture, (rest[NECK] - np.array(origin_px)) * texels, unit * texels)
    basis = sample_fields(fields, square, own, (points - rest[NECK]) / unit) * unit
    return MotionFields(basis.astype(np.float32), own, weigh)


def sample_fields(fields: Network, square: FloatArray, rest: FloatArray, places: FloatArray) -> FloatArray:
    """The fields ``(FIELDS, P * 2)`` of a picture at ``places``, in shoulder widths.

    Args:
        square: ``(4, SIDE_PX, SIDE_PX)``, see ``cut_square``.
        rest: ``(22,)``, see ``relative``.
        places: ``(P, 2)`` from the neck, in shoulder widths; beyond the square its border counts.
    """
    out = fields.run({"square": square[None], "rest": rest[None]})["fields"][0]
    at = (np.asarray(places, np.float32) / REACH + 1) * (GRID / 2) - 0.5
    columns, rows = (np.clip(at[:, k], 0, GRID - 1.001) for k in (0, 1))
    x, y = columns.astype(int), rows.astype(int)
    fx, fy = (columns - x)[:, None], (rows - y)[:, None]
    planes = out.transpose(1, 2, 0)
    read = (
        planes[y, x] * (1 - fx) * (1 - fy) + planes[y, x + 1] * fx * (1 - fy)
        + planes[y + 1, x] * (1 - fx) * fy + planes[y + 1, x + 1] * fx * fy
    )  # fmt: skip
    basis = read.reshape(len(at), FIELDS, 2).transpose(1, 0, 2).reshape(FIELDS, -1)
    return np.ascontiguousarray(basis, np.float32)
