"""Legs for motion of which only the upper body was recorded: what trains the layout ``full_body``.

No recording at hand shows legs. These are made: a person who stands, feet on their place, whose weight goes
slowly from one leg to the other; the rest of the pose is as recorded.
"""

from dataclasses import replace

import numpy as np
from scipy.ndimage import gaussian_filter1d

from vcam_avatar.media import FloatArray
from vcam_avatar.stages.pose_layout import FULL_BODY, LEFT_HIP, MID_HIP, RIGHT_HIP, UPPER_BODY, rest_pose
from vcam_avatar.training.dataset import Sample
from vcam_avatar.training.pose_clean import MOTION_HZ

SWAY = 0.035
"""Deviation of the hips to the side, shoulder widths."""
SWAY_S = 1.6
"""Width of the smoothing over a change of legs, seconds."""
_CONFIDENCE = 0.5
_KNEES, _ANKLES = (57, 59), (58, 60)
_FEET = (61, 62, 63, 64, 65, 66)


def add_legs(pose: FloatArray, rng: np.random.Generator) -> FloatArray:
    """float32 ``(T, 67, 2 or 3)`` of ``(T, 57, 2 or 3)``, at 25 Hz; the legs' confidence is 0.5."""
    if pose.shape[1] != UPPER_BODY.size:
        raise ValueError(f"expected {UPPER_BODY.size} keypoints, got {pose.shape[1]}")
    rest = np.array(rest_pose(FULL_BODY))
    out = np.tile(rest[:, : pose.shape[2]], (len(pose), 1, 1))
    out[:, : UPPER_BODY.size] = pose
    noise = gaussian_filter1d(rng.normal(0, 1, len(pose) + 200), SWAY_S * MOTION_HZ)
    sway = (SWAY * noise / noise.std())[100 : 100 + len(pose)].astype(np.float32)
    # Leaning happens at the hips: legs hang from them, and what the weight does is seen against the feet.
    lean = pose[:, MID_HIP, :2] - rest[MID_HIP, :2]
    out[:, UPPER_BODY.size :, :2] += lean[:, None]
    out[:, [*_ANKLES, *_FEET], 0] -= sway[:, None]
    for knee, hip, side in zip(_KNEES, (RIGHT_HIP, LEFT_HIP), (-1.0, 1.0), strict=True):
        # The leg without weight bends: its knee comes up and out a little.
        free = np.maximum(0, -side * sway)
        turn = pose[:, hip, 0] - lean[:, 0] - rest[hip, 0]
        out[:, knee, 0] += -0.5 * sway + 0.6 * side * free + 0.5 * turn
        out[:, knee, 1] -= 0.5 * free
    if pose.shape[2] == 3:
        out[:, UPPER_BODY.size :, 2] = _CONFIDENCE
    return out


def full_body(sample: Sample, rng: np.random.Generator) -> Sample:
    """A sample of the layout ``upper_body`` with legs."""
    rest = np.array(rest_pose(FULL_BODY)[:, :2])
    rest[: UPPER_BODY.size] = sample.rest
    return replace(sample, pose=add_legs(sample.pose, rng), rest=rest)
