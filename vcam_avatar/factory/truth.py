"""Exact annotations: face landmarks, body and hand keypoints, part classes."""

from functools import lru_cache

import numpy as np

from vcam_avatar.factory.human import human_model
from vcam_avatar.factory.mesh import FloatArray, IntArray
from vcam_avatar.factory.person import Posed
from vcam_avatar.factory.renderer import project

PARTS = (
    "background", "face_skin", "body_skin", "lips", "hair", "eye_white", "brow", "mouth_inside", "teeth",
    "tongue", "clothes", "lashes", "iris", "arm_skin", "hand", "sleeve", "gear",
)  # fmt: skip
"""Part classes by number."""

_JAW = ((0.90, 7.15, 0.35), (0.895, 6.95, 0.35), (0.87, 6.75, 0.40), (0.80, 6.56, 0.52), (0.67, 6.40, 0.74),
        (0.52, 6.27, 0.98), (0.34, 6.18, 1.20), (0.17, 6.12, 1.34))  # fmt: skip
_BROW = ((0.58, 7.445), (0.48, 7.49), (0.37, 7.52), (0.25, 7.49), (0.13, 7.455))
_EYE = ((0.455, 7.285), (0.39, 7.335), (0.27, 7.335), (0.185, 7.255), (0.27, 7.215), (0.39, 7.225))
_EYE_INNER_FIRST = (3, 2, 1, 0, 5, 4)
_MOUTH = ((-0.225, 6.625), (-0.14, 6.685), (-0.06, 6.71), (0, 6.70), (0.06, 6.71), (0.14, 6.685),
          (0.225, 6.625), (0.14, 6.55), (0.06, 6.515), (0, 6.51), (-0.06, 6.515), (-0.14, 6.55))  # fmt: skip
_INNER = ((-0.17, 6.632), (-0.07, 6.622), (0, 6.616), (0.07, 6.622), (0.17, 6.632), (0.07, 6.598), (0, 6.592),
          (-0.07, 6.598))  # fmt: skip


@lru_cache(maxsize=1)
def landmark_anchors() -> tuple[IntArray, FloatArray]:
    """The iBUG-68 landmarks on the base mesh.

    Returns:
        Triangle corners ``(68, 3)`` and barycentric weights ``(68, 3)`` on base-mesh vertices.
    """
    model = human_model()
    v = model.vertices
    body = model.faces["body"][0]
    middle = v[body].mean(1)
    inside = np.isin(body, model.mouth_inside).all(1)
    triangles = body[(middle[:, 1] > 5.8) & (middle[:, 2] > -0.3) & ~inside]
    corner = v[triangles]
    normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-9
    front = normal[:, 2] > -0.05

    def on_front(x: float, y: float) -> tuple[IntArray, FloatArray]:
        """Where the ray at (x, y) along -z first meets the face; nearest triangle when it slips through."""
        a, b, c = (corner[:, k, :2] for k in range(3))
        d = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (c[:, 0] - a[:, 0]) * (b[:, 1] - a[:, 1])
        d = np.where(np.abs(d) < 1e-9, 1e-9, d)
        w1 = ((x - a[:, 0]) * (c[:, 1] - a[:, 1]) - (c[:, 0] - a[:, 0]) * (y - a[:, 1])) / d
        w2 = ((b[:, 0] - a[:, 0]) * (y - a[:, 1]) - (x - a[:, 0]) * (b[:, 1] - a[:, 1])) / d
        w = np.stack([1 - w1 - w2, w1, w2], 1)
        hit = (w > -1e-4).all(1) & front
        if hit.any():
            z = (w * corner[:, :, 2]).sum(1)
            best = int(np.argmax(np.where(hit, z, -9)))
            return triangles[best], np.clip(w[best], 0, 1).astype(np.float32)
        centre = corner.mean(1)
        best = int(np.argmin(np.hypot(*(centre[:, :2] - (x, y)).T) - 0.02 * centre[:, 2]))
        return triangles[best], np.full(3, 1 / 3, np.float32)

    def nearest(x: float, y: float, z: float) -> tuple[IntArray, FloatArray]:
        """Closest triangle centre's triangle, weights by inverse distance."""
        p = np.array([x, y, z])
        best = int(np.argmin(np.linalg.norm(corner.mean(1) - p, axis=1)))
        a, b, c = corner[best].astype(np.float64)
        system = np.vstack([np.stack([a, b, c], 1), np.ones(3)])
        w = np.clip(np.linalg.lstsq(system, np.r_[p, 1], rcond=None)[0], 0, 1)
        return triangles[best], (w / w.sum()).astype(np.float32)

    found = [nearest(-x, y, z) for x, y, z in _JAW] + [nearest(0, 6.10, 1.40)]
    found += [nearest(x, y, z) for x, y, z in _JAW[::-1]]
    found += [on_front(-x, y) for x, y in _BROW] + [on_front(x, y) for x, y in _BROW[::-1]]
    found += [on_front(0, y) for y in (7.25, 7.15, 7.05, 6.98)]
    found += [nearest(x, 6.85, 1.35) for x in (-0.16, -0.08, 0, 0.08, 0.16)]
    found += [on_front(-x, y) for x, y in _EYE]
    found += [on_front(_EYE[k][0], _EYE[k][1]) for k in _EYE_INNER_FIRST]
    found += [on_front(x, y) for x, y in _MOUTH] + [on_front(x, y) for x, y in _INNER]
    return np.stack([f[0] for f in found]).astype(np.int32), np.stack([f[1] for f in found])


def landmarks_3d(posed: Posed) -> FloatArray:
    """iBUG-68 landmarks in world dm ``(68, 3)``."""
    index, weight = landmark_anchors()
    points: FloatArray = np.einsum("ik,ikd->id", weight, posed.positions[index])
    return points.astype(np.float32)


_HAND_JOINTS = ("hand", *(f"finger-{f}-{j}" for f in range(1, 6) for j in range(1, 5)))


@lru_cache(maxsize=1)
def _ears() -> tuple[int, int]:
    """Vertices on the left and right ear canal."""
    v = human_model().vertices
    body = human_model().group["body"]
    found = [
        int(body[np.argmin(np.linalg.norm(v[body] - np.array([s * 0.93, 7.12, 0.25]), axis=1))])
        for s in (1, -1)
    ]
    return found[0], found[1]


def keypoints_3d(posed: Posed) -> FloatArray:
    """The 57 ``upper_body`` keypoints in world dm ``(57, 3)``: body 15, left hand 21, right hand 21."""
    model, v = human_model(), posed.positions

    def joint(name: str) -> FloatArray:
        return model.centre(v, f"joint-{name}")

    nose = landmarks_3d(posed)[30]
    eye = {s: model.centre(v, f"helper-{s}-eye") for s in "lr"}
    left_ear, right_ear = _ears()
    arms = [joint(f"{s}-{n}") for s in "rl" for n in ("shoulder", "elbow", "hand")]
    body = [
        nose, (joint("l-shoulder") + joint("r-shoulder")) / 2, *arms, joint("pelvis"), joint("r-upper-leg"),
        joint("l-upper-leg"), eye["r"], eye["l"], v[right_ear], v[left_ear],
    ]  # fmt: skip
    hands = [joint(f"{s}-{n}") for s in "lr" for n in _HAND_JOINTS]
    return np.stack([*body, *hands]).astype(np.float32)


_LEGS = ("knee", "ankle")
_FEET = ("toe-1-3", "toe-5-4")


def legs_3d(posed: Posed) -> FloatArray:
    """What ``full_body`` appends, world dm ``(10, 3)``: knees, ankles, then toes and heels, right first."""
    model, v = human_model(), posed.positions
    out = [model.centre(v, f"joint-{s}-{n}") for s in "rl" for n in _LEGS]
    for s in "rl":
        big, small = (model.centre(v, f"joint-{s}-{n}") for n in _FEET)
        ankle, toe = model.centre(v, f"joint-{s}-ankle"), (big + small) / 2
        back = ankle - toe
        heel = ankle + 0.25 * back * np.array([1, 0, 1])
        heel[1] = toe[1]
        out += [big, small, heel]
    return np.stack(out).astype(np.float32)


def keypoints_px(posed: Posed, matrix: FloatArray, width: int, height: int) -> FloatArray:
    """The 57 keypoints projected: ``(57, 3)`` x px, y px, depth 0..1."""
    return project(keypoints_3d(posed), matrix, width, height)


def full_body_px(posed: Posed, matrix: FloatArray, width: int, height: int) -> FloatArray:
    """The 67 ``full_body`` keypoints projected: ``(67, 3)`` x px, y px, depth 0..1."""
    points = np.concatenate([keypoints_3d(posed), legs_3d(posed)])
    return project(points, matrix, width, height)


def landmarks_px(posed: Posed, matrix: FloatArray, width: int, height: int) -> FloatArray:
    """The 68 face landmarks projected: ``(68, 2)`` px."""
    return project(landmarks_3d(posed), matrix, width, height)[:, :2]
