"""A hand with its forearm in 3D: joint angles -> mesh -> pixels. No networks here.

Space: origin at the wrist, unit = palm length (wrist to the root of the middle finger), x right, y down,
z away from the viewer. Everything is written for the left hand; the right one is mirrored in x before
and after, by the caller's ``side``.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vcam_avatar.errors import ModelError
from vcam_avatar.media import ByteArray, FloatArray
from vcam_avatar.stages.kernels import njit
from vcam_avatar.stages.raster import IndexArray

BONE_COUNT = 17
ANGLE_COUNT = 20
"""Per finger from the thumb: bend and spread of the root joint, bend of the middle, bend of the last."""
LOWER = np.array([-0.7, -0.7, -0.6, -0.7] + [-0.6, -0.45, -0.35, -0.35] * 4, np.float32)
UPPER = np.array([0.9, 0.7, 1.1, 1.3] + [1.6, 0.45, 1.85, 1.35] * 4, np.float32)
"""Joint limits in radians, from the relaxed hand of the mesh."""


@dataclass(frozen=True, slots=True)
class HandMesh:
    """The mesh and what follows from it. Arrays are read-only."""

    vertices: FloatArray
    """float32 ``(V, 3)``."""
    faces: IndexArray
    uv: FloatArray
    """float32 ``(V, 2)`` texel of ``detail`` per vertex, (-1, -1): none."""
    bone_index: ByteArray
    """uint8 ``(V, 4)``."""
    bone_weight: FloatArray
    joints: FloatArray
    """float32 ``(17, 3)`` bone heads: elbow, wrist, three per finger."""
    tips: FloatArray
    """float32 ``(5, 3)``."""
    occlusion: FloatArray
    """float32 ``(V,)`` share of ambient light that arrives."""
    detail: ByteArray
    """uint8 ``(h, w, 3)``: skin detail, 128 leaves the colour as it is."""
    bend_axis: FloatArray
    """float32 ``(5, 3)`` rotation axes of the fingers' bending."""
    spread_axis: FloatArray
    """float32 ``(5, 3)`` rotation axes of the root joints' spreading."""
    along: FloatArray
    """float32 ``(V,)`` position along the forearm: 0 elbow, 1 wrist, above 1 hand."""


def _unit(vector: FloatArray) -> FloatArray:
    length: FloatArray = vector / np.maximum(np.linalg.norm(vector, axis=-1, keepdims=True), 1e-9)
    return length


def load_hand_mesh(path: Path) -> HandMesh:
    """Read ``hand_mesh.npz``.

    Raises:
        ModelError: missing or damaged.
    """
    try:
        with np.load(path) as data:
            arrays = {name: data[name] for name in data.files}
        vertices, faces, texture_faces = arrays["vertices"], arrays["faces"], arrays["texture_faces"]
        texel, joints, tips = arrays["uv"], arrays["joints"], arrays["tips"]
        index, weight = arrays["bone_index"], arrays["bone_weight"]
        occlusion, detail = arrays["occlusion"], arrays["detail"]
    except (OSError, KeyError, ValueError) as exc:
        raise ModelError(f"{path} cannot be read: {exc}; install the package again") from exc
    # One vertex per texture corner: along the texture's seams positions are doubled.
    pairs = np.stack([faces.ravel(), texture_faces.ravel()], 1)
    unique, inverse = np.unique(pairs, axis=0, return_inverse=True)
    of = unique[:, 0]
    palm_normal = np.array([0, 0, -1], np.float32)
    across = _unit(joints[5] - joints[14])
    direction = _unit(np.stack([joints[4 + 3 * f] - joints[2 + 3 * f] for f in range(5)]))
    bend = np.cross(direction, palm_normal)
    bend[0] = np.cross(direction[0], _unit(0.55 * palm_normal - 0.85 * across))
    bend = _unit(bend)
    spread = np.repeat(palm_normal[None], 5, 0)
    spread[0] = _unit(np.cross(bend[0], direction[0]))
    elbow = joints[0]
    along = 1 - (vertices @ elbow) / float(elbow @ elbow)
    out = HandMesh(
        vertices=np.ascontiguousarray(vertices[of], np.float32),
        faces=np.ascontiguousarray(inverse.reshape(-1, 3), np.int32),
        uv=np.ascontiguousarray(texel[unique[:, 1]], np.float32),
        bone_index=np.ascontiguousarray(index[of]),
        bone_weight=np.ascontiguousarray(weight[of], np.float32),
        joints=np.ascontiguousarray(joints, np.float32),
        tips=np.ascontiguousarray(tips, np.float32),
        occlusion=np.ascontiguousarray(occlusion[of], np.float32),
        detail=np.ascontiguousarray(detail),
        bend_axis=bend.astype(np.float32),
        spread_axis=spread.astype(np.float32),
        along=np.ascontiguousarray(along[of], np.float32),
    )
    for name in ("vertices", "faces", "uv", "bone_index", "bone_weight", "occlusion", "detail", "along"):
        getattr(out, name).setflags(write=False)
    return out


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _turn(axis: Any, angle: Any, out: Any) -> None:
    c, s = np.cos(angle), np.sin(angle)
    x, y, z = axis[0], axis[1], axis[2]
    k = 1 - c
    out[0, 0], out[0, 1], out[0, 2] = c + x * x * k, x * y * k - z * s, x * z * k + y * s
    out[1, 0], out[1, 1], out[1, 2] = y * x * k + z * s, c + y * y * k, y * z * k - x * s
    out[2, 0], out[2, 1], out[2, 2] = z * x * k - y * s, z * y * k + x * s, c + z * z * k


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _times(a: Any, b: Any, out: Any) -> None:
    for i in range(3):
        for j in range(3):
            out[i, j] = a[i, 0] * b[0, j] + a[i, 1] * b[1, j] + a[i, 2] * b[2, j]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _bones(rotation: Any, forearm: Any, angles: Any, joints: Any, bend: Any, spread: Any, out: Any) -> None:
    """Bone matrices ``(17, 3, 4)``; the wrist stays at the origin."""
    local, first, second, turn = np.zeros((3, 3)), np.zeros((3, 3)), np.zeros((3, 3)), np.zeros((3, 3))
    for i in range(3):
        for j in range(3):
            out[0, i, j] = forearm[i, j]
            out[1, i, j] = rotation[i, j]
        out[0, i, 3] = 0.0
        out[1, i, 3] = 0.0
    place = np.zeros(3)
    for f in range(5):
        root = 2 + 3 * f
        for i in range(3):
            for j in range(3):
                turn[i, j] = rotation[i, j]
            place[i] = (
                rotation[i, 0] * joints[root, 0]
                + rotation[i, 1] * joints[root, 1]
                + rotation[i, 2] * joints[root, 2]
            )
        for k in range(3):
            bone = root + k
            if k == 0:
                _turn(spread[f], angles[4 * f + 1], first)
                _turn(bend[f], angles[4 * f], second)
                _times(first, second, local)
            else:
                _turn(bend[f], angles[4 * f + 1 + k], local)
                for i in range(3):
                    dx = joints[bone, 0] - joints[bone - 1, 0]
                    dy = joints[bone, 1] - joints[bone - 1, 1]
                    dz = joints[bone, 2] - joints[bone - 1, 2]
                    place[i] += turn[i, 0] * dx + turn[i, 1] * dy + turn[i, 2] * dz
            _times(turn, local, first)
            for i in range(3):
                for j in range(3):
                    turn[i, j] = first[i, j]
            for i in range(3):
                for j in range(3):
                    out[bone, i, j] = turn[i, j]
                out[bone, i, 3] = place[i] - (
                    turn[i, 0] * joints[bone, 0] + turn[i, 1] * joints[bone, 1] + turn[i, 2] * joints[bone, 2]
                )


def bone_matrices(
    mesh: HandMesh, rotation: FloatArray, angles: FloatArray, forearm: FloatArray | None = None
) -> FloatArray:
    """Where every bone goes.

    Args:
        rotation: ``(3, 3)`` of the palm.
        angles: ``(20,)`` radians, see ``ANGLE_COUNT``.
        forearm: ``(3, 3)`` of the forearm, may scale; by default the palm's.

    Returns:
        float32 ``(17, 3, 4)`` rest -> posed.
    """
    out = np.zeros((BONE_COUNT, 3, 4), np.float32)
    rotation = np.ascontiguousarray(rotation, np.float64)
    lower = rotation if forearm is None else np.ascontiguousarray(forearm, np.float64)
    _bones(
        rotation, lower, np.asarray(angles, np.float64), mesh.joints, mesh.bend_axis, mesh.spread_axis, out
    )
    return out


def hand_keypoints(mesh: HandMesh, matrices: FloatArray) -> FloatArray:
    """The 21 hand points in MediaPipe order, float32 ``(21, 3)``, for ``bone_matrices``."""
    out = np.zeros((21, 3), np.float32)
    for finger in range(5):
        for k in range(3):
            bone = 2 + 3 * finger + k
            out[1 + 4 * finger + k] = matrices[bone, :, :3] @ mesh.joints[bone] + matrices[bone, :, 3]
        last = matrices[4 + 3 * finger]
        out[4 + 4 * finger] = last[:, :3] @ mesh.tips[finger] + last[:, 3]
    return out


def forearm_matrix(
    mesh: HandMesh, rotation: FloatArray, towards_elbow: FloatArray, stretch: float, width: float
) -> FloatArray:
    """Forearm that follows the palm's twist and points at the elbow.

    Args:
        towards_elbow: unit ``(3,)`` from wrist to elbow.
        stretch: length over the mesh's own.
        width: thickness over the mesh's own.
    """
    rest = mesh.joints[0] / np.linalg.norm(mesh.joints[0])
    now = np.asarray(rotation, np.float64) @ rest
    axis = np.cross(now, towards_elbow)
    sine, cosine = float(np.linalg.norm(axis)), float(now @ towards_elbow)
    bend = np.eye(3)
    if sine > 1e-6:
        _turn(axis / sine, float(np.arctan2(sine, cosine)), bend)
    scale = np.eye(3) * width + np.outer(rest, rest) * (stretch - width)
    out: FloatArray = (bend @ rotation @ scale).astype(np.float32)
    return out
