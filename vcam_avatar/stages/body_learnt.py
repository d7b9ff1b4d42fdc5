"""How one person bends, learnt from a video: a small displacement of every point, linear in the pose."""

from dataclasses import dataclass

import cv2
import numpy as np

from vcam_avatar.avatars.learnt import FEATURES, MotionTable
from vcam_avatar.media import FloatArray
from vcam_avatar.stages.pose_layout import (
    ARMS,
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

REACH = 1.4
"""The grid reaches this far from its middle on all sides, in shoulder widths."""
MIDDLE = 0.1
"""Its middle lies this far below the neck at rest, in shoulder widths."""
_MOST = 0.12
"""Greatest displacement in shoulder widths."""
_PAIRS = (
    (LEFT_SHOULDER, RIGHT_SHOULDER), (MID_HIP, NECK), (NOSE, NECK), (LEFT_EYE, NOSE), (RIGHT_EYE, NOSE),
    (LEFT_EAR, NOSE), (RIGHT_EAR, NOSE),
    *((arm[1], arm[0]) for arm in ARMS), *((arm[2], arm[0]) for arm in ARMS),
)  # fmt: skip
_ENDS, _STARTS = (np.array(row) for row in zip(*_PAIRS, strict=True))


def features(points: FloatArray, rest: FloatArray, unit: float) -> FloatArray:
    """What a pose differs by from the picture's own.

    Args:
        points: ``(..., K, 2)`` keypoints in pixels.
        rest: ``(K, 2)`` of the picture in the same pixels.
        unit: shoulder width in pixels.

    Returns:
        float32 ``(..., FEATURES)``, shoulder widths; noughts at rest.
    """
    moved = (points - rest) / unit
    pairs = moved[..., _ENDS, :] - moved[..., _STARTS, :]
    return np.asarray(pairs.reshape(*pairs.shape[:-2], FEATURES), np.float32)


def grid_places(points: FloatArray, rest: FloatArray, unit: float, nodes: int) -> FloatArray:
    """Where ``(P, 2)`` points at rest lie on a grid of ``nodes`` a side: float32 columns and rows."""
    middle = rest[NECK] + np.array([0, MIDDLE * unit])
    share = ((points - middle) / (REACH * unit) + 1) / 2
    return np.asarray(np.clip(share, 0, 1) * (nodes - 1), np.float32)


@dataclass(frozen=True, slots=True)
class LearntMotion:
    """A table read at the points of one avatar at one output size."""

    basis: FloatArray
    """float32 ``(FEATURES, P * 2)``, pixels per feature."""
    table: MotionTable
    rest: FloatArray
    """``(K, 2)`` pixels."""
    unit: float

    def add(self, pose: FloatArray, points: FloatArray) -> None:
        """Displace ``points``, float32 ``(P, 2)``, in place, for keypoints at ``pose`` ``(K, 2)``."""
        table = self.table
        found = features(pose, self.rest, self.unit) / table.spread
        shift = np.clip(found, table.lowest, table.highest) @ self.basis
        most = _MOST * self.unit
        points += np.clip(shift, -most, most).reshape(-1, 2)


def read_motion(table: MotionTable, points: FloatArray, rest: FloatArray, unit: float) -> LearntMotion:
    """Read ``table`` at ``points``, ``(P, 2)`` at rest, in pixels of ``rest``."""
    places = grid_places(points, rest, unit, table.shifts.shape[1])
    columns, rows = np.ascontiguousarray(places[:, :1]), np.ascontiguousarray(places[:, 1:])
    planes = [cv2.remap(plane, columns, rows, cv2.INTER_LINEAR)[:, 0] for plane in table.shifts]
    basis = np.stack(planes).reshape(FEATURES, -1) * np.float32(unit)
    return LearntMotion(np.ascontiguousarray(basis), table, np.asarray(rest, np.float32), unit)
