"""A linear space in which poses are learnt: bones instead of places, and few numbers instead of many."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vcam_avatar.media import FloatArray
from vcam_avatar.stages.pose_layout import (
    ARMS,
    HAND_POINTS,
    HEAD,
    LEFT_HIP,
    LEFT_SHOULDER,
    MID_HIP,
    NECK,
    RIGHT_HIP,
    RIGHT_SHOULDER,
    layout_of,
)

BODY_POINTS = (*HEAD, RIGHT_SHOULDER, LEFT_SHOULDER, MID_HIP, RIGHT_HIP, LEFT_HIP)
"""Head, shoulders and hips: what moves with the trunk."""
ARM_POINTS = tuple(
    i for _, elbow, wrist, hand in ARMS for i in (elbow, wrist, *range(hand + 1, hand + HAND_POINTS))
)
"""Elbows, wrists and hands, right arm first."""
_HEAD_WEIGHT = 2.0


def bone_matrix(count: int) -> NDArray[np.float64]:
    """``(K, K)``: ``bones = bone_matrix(K) @ keypoints``; each point relative to its parent, the neck as is.
    Invertible."""
    layout_of(count)
    matrix = np.eye(count)
    for i in range(count):
        if i != NECK:
            matrix[i, NECK] = -1.0
    for shoulder, elbow, wrist, hand in ARMS:
        for child, parent in ((elbow, shoulder), (wrist, elbow), (hand, wrist)):
            matrix[child] = 0
            matrix[child, child], matrix[child, parent] = 1.0, -1.0
        for i in range(1, HAND_POINTS):
            matrix[hand + i] = 0
            matrix[hand + i, hand + i], matrix[hand + i, hand] = 1.0, -1.0
    return matrix


def to_bones(pose: FloatArray) -> FloatArray:
    """float32 ``(..., K, 2)`` bones of ``(..., K, 2 or 3)`` keypoints."""
    matrix = bone_matrix(pose.shape[-2]).astype(np.float32)
    return np.asarray(np.einsum("ij,...jd->...id", matrix, pose[..., :2]), np.float32)


def from_bones(bones: FloatArray) -> FloatArray:
    """Undo ``to_bones``."""
    inverse = np.linalg.inv(bone_matrix(bones.shape[-2])).astype(np.float32)
    return np.asarray(np.einsum("ij,...jd->...id", inverse, bones), np.float32)


@dataclass(frozen=True)
class LinearSpace:
    """Principal components of part of the bones, scaled to unit variance."""

    points: tuple[int, ...]
    """Which keypoints' bones it describes."""
    mean: FloatArray
    """float32 ``(2P,)``."""
    basis: FloatArray
    """float32 ``(2P, D)``, columns scaled: ``coefficients = (bones - mean) @ basis``."""
    back: FloatArray
    """float32 ``(D, 2P)``: ``bones = coefficients @ back + mean``."""

    @property
    def size(self) -> int:
        """Number of components D."""
        return int(self.basis.shape[1])

    def encode(self, bones: FloatArray) -> FloatArray:
        """float32 ``(..., D)`` of bones ``(..., K, 2)``."""
        flat = bones[..., list(self.points), :].reshape(*bones.shape[:-2], -1)
        return np.asarray((flat - self.mean) @ self.basis, np.float32)


def fit_space(bones: FloatArray, points: tuple[int, ...], size: int, floor: float = 0.02) -> LinearSpace:
    """Principal components of ``bones (N, K, 2)`` at ``points``; components of less than ``floor`` times the
    greatest deviation are scaled as if they had that much, so that noise is not blown up."""
    flat = np.asarray(bones[:, list(points)].reshape(len(bones), -1), np.float64)
    weight = np.array([_HEAD_WEIGHT if p in HEAD else 1.0 for p in points for _ in range(2)])
    mean = flat.mean(0)
    _, singular, rows = np.linalg.svd((flat - mean) * weight, full_matrices=False)
    deviation = singular[:size] / np.sqrt(len(flat))
    deviation = np.maximum(deviation, floor * deviation[0])
    basis = (weight[:, None] * rows[:size].T) / deviation
    back = (deviation[:, None] * rows[:size]) / weight
    return LinearSpace(points, mean.astype(np.float32), basis.astype(np.float32), back.astype(np.float32))


def arm_space(arms: LinearSpace, keypoints: int) -> tuple[FloatArray, FloatArray]:
    """``arms`` over flattened keypoints: basis ``(2K, D)`` and offset ``(D,)``; coordinates are
    ``pose @ basis - offset``."""
    matrix = np.kron(bone_matrix(keypoints), np.eye(2))
    picked = [2 * p + d for p in arms.points for d in range(2)]
    basis = matrix[picked].T @ arms.basis.astype(np.float64)
    return basis.astype(np.float32), np.asarray(arms.mean @ arms.basis, np.float32)
