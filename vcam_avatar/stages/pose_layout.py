"""Which keypoint is which, how long the bones are, and how pixels become the networks' units.

"Right" and "left" are the person's own: the right hand is on the left of the picture.
"""

import functools
import itertools
from dataclasses import dataclass

import numpy as np

from vcam_avatar.media import FloatArray

NOSE, NECK = 0, 1
RIGHT_SHOULDER, RIGHT_ELBOW, RIGHT_WRIST = 2, 3, 4
LEFT_SHOULDER, LEFT_ELBOW, LEFT_WRIST = 5, 6, 7
MID_HIP, RIGHT_HIP, LEFT_HIP = 8, 9, 10
RIGHT_EYE, LEFT_EYE, RIGHT_EAR, LEFT_EAR = 11, 12, 13, 14
LEFT_HAND, RIGHT_HAND = 15, 36
"""First of the 21 points of a hand; that point is its wrist and equals the arm's wrist."""
HAND_POINTS = 21

HEAD = (NOSE, RIGHT_EYE, LEFT_EYE, RIGHT_EAR, LEFT_EAR)
TORSO = (NECK, RIGHT_SHOULDER, LEFT_SHOULDER, MID_HIP, RIGHT_HIP, LEFT_HIP)
ARMS = (
    (RIGHT_SHOULDER, RIGHT_ELBOW, RIGHT_WRIST, RIGHT_HAND),
    (LEFT_SHOULDER, LEFT_ELBOW, LEFT_WRIST, LEFT_HAND),
)
"""Shoulder, elbow, wrist and first hand point of the right and of the left arm."""

FINGERS = ((1, 2, 3, 4), (5, 6, 7, 8), (9, 10, 11, 12), (13, 14, 15, 16), (17, 18, 19, 20))
"""Points of thumb, index, middle, ring and little finger within a hand; the last is the tip."""

UPPER_ARM, FOREARM, PALM = 0.84, 0.72, 0.27
"""Full lengths in shoulder widths of the canonical person: arms, and wrist to the middle knuckle.
In a picture a bone may look shorter (it points at or away from the camera) but not longer."""
_FINGER_LENGTHS = (
    (0.52, 0.50, 0.40, 0.36), (1.06, 0.50, 0.32, 0.28), (1.02, 0.54, 0.36, 0.29),
    (1.02, 0.50, 0.34, 0.28), (1.02, 0.40, 0.28, 0.26),
)  # fmt: skip
"""Greatest length of wrist to knuckle and of the phalanges, in palm lengths."""

_BODY = (
    "Nose", "Neck", "RShoulder", "RElbow", "RWrist", "LShoulder", "LElbow", "LWrist", "MidHip", "RHip",
    "LHip", "REye", "LEye", "REar", "LEar",
)  # fmt: skip
_LEGS = (
    "RKnee",
    "RAnkle",
    "LKnee",
    "LAnkle",
    "RBigToe",
    "RSmallToe",
    "RHeel",
    "LBigToe",
    "LSmallToe",
    "LHeel",
)
_HAND_NAMES = (
    "Wrist",
    *(f"{finger}{i}" for finger in ("Thumb", "Index", "Middle", "Ring", "Little") for i in range(1, 5)),
)
_BODY_BONES = (
    (1, 0), (1, 2), (2, 3), (3, 4), (1, 5), (5, 6), (6, 7), (1, 8), (8, 9), (8, 10),
    (0, 11), (0, 12), (11, 13), (12, 14),
)  # fmt: skip
_LEG_BONES = (
    (9, 57), (57, 58), (10, 59), (59, 60), (58, 61), (58, 62), (58, 63), (60, 64), (60, 65), (60, 66),
)  # fmt: skip


@dataclass(frozen=True)
class PoseLayout:
    """A set of keypoints in a fixed order."""

    name: str
    keypoints: tuple[str, ...]
    """Name of each keypoint."""
    bones: tuple[tuple[int, int], ...]
    """Pairs of keypoints to join when drawn, the one nearer to the body first."""
    fingertips: tuple[int, ...]
    """The ten fingertips, left hand first."""
    mirror: tuple[int, ...]
    """Which keypoint each becomes when left and right change places."""

    @property
    def size(self) -> int:
        """Number of keypoints K."""
        return len(self.keypoints)


def _layout(name: str, body_extra: tuple[str, ...]) -> PoseLayout:
    hands = [f"{side}{point}" for side in ("LHand", "RHand") for point in _HAND_NAMES]
    names = (*_BODY, *hands, *body_extra)
    bones = list(_BODY_BONES)
    for start in (LEFT_HAND, RIGHT_HAND):
        for finger in FINGERS:
            chain = (0, *finger)
            bones += [(start + a, start + b) for a, b in itertools.pairwise(chain)]
    if body_extra:
        bones += _LEG_BONES
    tips = tuple(start + finger[-1] for start in (LEFT_HAND, RIGHT_HAND) for finger in FINGERS)
    swapped = [("L" if n[0] == "R" else "R") + n[1:] if n[0] in "LR" else n for n in names]
    return PoseLayout(name, names, tuple(bones), tips, tuple(names.index(n) for n in swapped))


UPPER_BODY = _layout("upper_body", ())
"""57 keypoints: 15 of head, arms and torso, then the left and the right hand."""
FULL_BODY = _layout("full_body", _LEGS)
"""67 keypoints: upper body, then knees, ankles and feet."""
LAYOUTS = {layout.name: layout for layout in (UPPER_BODY, FULL_BODY)}


def layout_of(count: int) -> PoseLayout:
    """The layout with ``count`` keypoints.

    Raises:
        ValueError: no layout has that many.
    """
    for layout in LAYOUTS.values():
        if layout.size == count:
            return layout
    raise ValueError(f"no layout has {count} keypoints; known: 57 (upper_body), 67 (full_body)")


def shoulder_width(pose: FloatArray) -> float:
    """Median distance of the shoulders over all leading dimensions of ``(..., K, 2 or 3)``."""
    distance = np.linalg.norm(pose[..., RIGHT_SHOULDER, :2] - pose[..., LEFT_SHOULDER, :2], axis=-1)
    return float(np.nanmedian(distance))


def normalise(pose_px: FloatArray, unit_px: float | None = None) -> tuple[FloatArray, FloatArray, float]:
    """Pixels -> shoulder widths about the neck.

    Args:
        pose_px: float ``(..., K, 3)`` in pixels.
        unit_px: pixels per shoulder width; by default the median over the leading dimensions.

    Returns:
        float32 pose of the same shape, the neck's place in pixels ``(..., 1, 2)``, and ``unit_px``.

    Raises:
        ValueError: the shoulders coincide or are missing.
    """
    unit = shoulder_width(pose_px) if unit_px is None else unit_px
    if not unit > 1e-6:
        raise ValueError("the shoulders coincide or are missing: this pose has no scale")
    origin = np.asarray(pose_px[..., NECK : NECK + 1, :2], np.float32)
    out = np.array(pose_px, np.float32)
    out[..., :2] = (out[..., :2] - origin) / unit
    return out, origin, unit


def denormalise(pose: FloatArray, origin_px: FloatArray, unit_px: float) -> FloatArray:
    """Undo ``normalise``: float32 ``(..., K, 3)`` in pixels."""
    out = np.array(pose, np.float32)
    out[..., :2] = out[..., :2] * np.float32(unit_px) + origin_px
    return out


def mirrored(pose: FloatArray, layout: PoseLayout = UPPER_BODY) -> FloatArray:
    """The pose ``(..., K, 2 or 3)`` (normalised) of a person who does the same with the other hand."""
    out = np.array(pose[..., list(layout.mirror), :], np.float32)
    out[..., 0] *= -1
    return out


_LEFT_HAND_AT_REST = (
    (0.00, 0.00), (-0.28, 0.15), (-0.47, 0.42), (-0.60, 0.67), (-0.66, 0.89), (-0.53, 0.83), (-0.72, 1.16),
    (-0.83, 1.40), (-0.92, 1.58), (-0.40, 0.90), (-0.60, 1.28), (-0.74, 1.54), (-0.84, 1.72), (-0.24, 0.92),
    (-0.42, 1.27), (-0.54, 1.51), (-0.63, 1.68), (-0.06, 0.92), (-0.20, 1.22), (-0.28, 1.40), (-0.34, 1.55),
)  # fmt: skip
"""A loose hand hanging forward and in, in palm lengths from the wrist."""


@functools.cache
def rest_pose(layout: PoseLayout = UPPER_BODY) -> FloatArray:
    """The canonical person at rest, float32 ``(K, 3)`` normalised, confidence 1: upright, hands low in
    front. Read-only."""
    pose = np.ones((layout.size, 3), np.float32)
    points = {
        NOSE: (0, -0.62), NECK: (0, 0), RIGHT_SHOULDER: (-0.5, 0), RIGHT_ELBOW: (-0.66, 0.79),
        RIGHT_WRIST: (-0.30, 1.28), LEFT_SHOULDER: (0.5, 0), LEFT_ELBOW: (0.66, 0.79),
        LEFT_WRIST: (0.30, 1.28), MID_HIP: (0, 1.36), RIGHT_HIP: (-0.32, 1.36), LEFT_HIP: (0.32, 1.36),
        RIGHT_EYE: (-0.105, -0.74), LEFT_EYE: (0.105, -0.74), RIGHT_EAR: (-0.22, -0.70),
        LEFT_EAR: (0.22, -0.70),
    }  # fmt: skip
    for index, xy in points.items():
        pose[index, :2] = xy
    hand = np.array(_LEFT_HAND_AT_REST, np.float32) * PALM
    pose[LEFT_HAND : LEFT_HAND + HAND_POINTS, :2] = pose[LEFT_WRIST, :2] + hand
    pose[RIGHT_HAND : RIGHT_HAND + HAND_POINTS, :2] = pose[RIGHT_WRIST, :2] + hand * [-1, 1]
    if layout is FULL_BODY:
        right = ((-0.33, 2.3), (-0.33, 3.2), (-0.45, 3.4), (-0.52, 3.36), (-0.30, 3.28))
        for offset, (x, y) in zip((57, 58, 61, 62, 63), right, strict=True):
            pose[offset, :2] = x, y
        for offset, (x, y) in zip((59, 60, 64, 65, 66), right, strict=True):
            pose[offset, :2] = -x, y
    pose.setflags(write=False)
    return pose


def finger_limits() -> dict[tuple[int, int], float]:
    """Greatest length in shoulder widths of each hand bone ``(from, to)`` (points within a hand)."""
    limits = {}
    for finger, lengths in zip(FINGERS, _FINGER_LENGTHS, strict=True):
        chain = (0, *finger)
        for a, b, length in zip(chain, chain[1:], lengths, strict=False):
            limits[a, b] = length * PALM
    return limits
