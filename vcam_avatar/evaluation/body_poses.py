"""The twelve poses that every avatar is looked at in."""

from dataclasses import dataclass

import numpy as np

from vcam_avatar.media import FloatArray
from vcam_avatar.stages.hands import HandMesh, bone_matrices, hand_keypoints
from vcam_avatar.stages.pose_layout import HEAD, LEFT_HAND, PALM, RIGHT_HAND, rest_pose

Vector = tuple[float, float, float]

_CURLS = {
    "open": (-0.2, -0.25, -0.25, -0.25, -0.25),
    "loose": (0.1, 0.2, 0.3, 0.35, 0.4),
    "fist": (0.75, 1.5, 1.5, 1.5, 1.5),
    "point": (0.7, -0.25, 1.45, 1.5, 1.5),
    "two": (0.85, -0.25, -0.2, 1.45, 1.5),
    "thumb": (-0.5, 1.5, 1.5, 1.5, 1.5),
}


@dataclass(frozen=True)
class _Arm:
    elbow: tuple[float, float]
    """Of the left arm, shoulder widths from the neck."""
    wrist: tuple[float, float]
    fingers: Vector
    """Direction of the fingers: x right, y down, z away from the viewer."""
    palm: Vector
    """Direction the palm looks in."""
    curl: str = "open"


def _angles(curl: str) -> FloatArray:
    out = np.zeros((5, 4), np.float32)
    for finger, bend in enumerate(_CURLS[curl]):
        out[finger, 0] = bend * (0.5 if finger == 0 else 0.85)
        out[finger, 2] = bend * (0.6 if finger == 0 else 1.05)
        out[finger, 3] = bend * 0.65
    if curl == "two":
        out[1, 1], out[2, 1] = -0.15, 0.15
    return out.ravel()


def _hand(mesh: HandMesh, arm: _Arm) -> FloatArray:
    """The 21 points of a left hand in shoulder widths from its wrist, ``(21, 2)``."""
    fingers = np.array(arm.fingers, np.float64)
    fingers /= np.linalg.norm(fingers)
    palm = np.array(arm.palm, np.float64)
    palm -= fingers * (palm @ fingers)
    palm /= np.linalg.norm(palm)
    down, away = -fingers, -palm
    rotation = np.stack([np.cross(down, away), down, away], 1).astype(np.float32)
    out: FloatArray = hand_keypoints(mesh, bone_matrices(mesh, rotation, _angles(arm.curl)))[:, :2] * PALM
    return out


def _pose(mesh: HandMesh, left: _Arm, right: _Arm) -> FloatArray:
    pose = np.array(rest_pose(), np.float32)
    for arm, elbow, hand, sign in ((left, 6, LEFT_HAND, 1), (right, 3, RIGHT_HAND, -1)):
        mirror = np.array([sign, 1], np.float32)
        pose[elbow, :2] = np.array(arm.elbow, np.float32) * mirror
        pose[elbow + 1, :2] = np.array(arm.wrist, np.float32) * mirror
        pose[hand : hand + 21, :2] = pose[elbow + 1, :2] + _hand(mesh, arm) * mirror
    return pose


def sheet_poses(mesh: HandMesh) -> dict[str, FloatArray]:
    """Name -> canonical pose float32 ``(57, 3)``, all within the joints' limits or cut to them later."""
    rest = _Arm((0.66, 0.79), (0.32, 1.20), (-0.6, 0.8, -0.1), (-0.5, -0.1, 0.8), "loose")
    raised = _Arm((0.68, 0.74), (0.72, 0.38), (0.15, -1.0, -0.1), (0.0, -0.1, -1.0))
    poses = {
        "rest": _pose(mesh, rest, rest),
        "hands open": _pose(
            mesh, *[_Arm((0.66, 0.78), (0.78, 0.98), (0.85, -0.1, -0.6), (0.0, -0.8, -0.5))] * 2
        ),
        "pointing": _pose(
            mesh, _Arm((0.72, 0.7), (0.80, 0.22), (-0.1, -1.0, -0.1), (-0.2, 0.0, -1.0), "point"), rest
        ),
        "fist": _pose(
            mesh, _Arm((0.68, 0.75), (0.60, 0.35), (-0.1, -1.0, -0.2), (0.2, 0.0, -1.0), "fist"), rest
        ),
        "thumbs up": _pose(
            mesh, _Arm((0.68, 0.76), (0.52, 0.52), (-0.9, 0.1, -0.5), (-0.5, 0.0, 1.0), "thumb"), rest
        ),
        "two": _pose(
            mesh, _Arm((0.70, 0.74), (0.72, 0.30), (0.1, -1.0, -0.1), (0.0, 0.0, -1.0), "two"), rest
        ),
        "crossed": _pose(
            mesh,
            _Arm((0.68, 0.74), (-0.02, 0.86), (-0.9, 0.25, 0.0), (0.0, 0.1, 1.0), "loose"),
            _Arm((0.68, 0.74), (-0.02, 0.80), (-0.9, 0.25, 0.0), (0.0, 0.1, 1.0), "loose"),
        ),
        "before face": _pose(
            mesh, _Arm((0.55, 0.42), (0.10, -0.22), (-0.35, -1.0, 0.0), (0.0, 0.0, -1.0)), rest
        ),
        "shrug": _pose(mesh, *[_Arm((0.70, 0.66), (0.98, 0.50), (0.9, -0.35, -0.2), (0.0, -0.7, -0.7))] * 2),
        "lean": _pose(mesh, rest, raised),
        "head turned": _pose(mesh, rest, rest),
        "arms wide": _pose(
            mesh, *[_Arm((1.15, 0.42), (1.70, 0.15), (0.8, -0.5, -0.1), (0.2, 0.1, -1.0))] * 2
        ),
    }
    shrug = poses["shrug"]
    shrug[[2, 5], 1] -= 0.09
    shrug[[3, 4, 6, 7], 1] -= 0.09
    shrug[15:57, 1] -= 0.09
    lean = poses["lean"]
    upper = np.setdiff1d(np.arange(57), (8, 9, 10))
    lean[upper, 0] += 0.16
    lean[upper, 1] += 0.02
    turned = poses["head turned"]
    turned[list(HEAD), 0] += np.array([0.13, 0.07, 0.09, 0.02, 0.0])
    turned[list(HEAD), 1] += np.array([0.02, -0.02, 0.04, -0.02, 0.05])
    return poses
