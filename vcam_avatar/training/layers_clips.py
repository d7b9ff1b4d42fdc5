"""Frames of the factory's clips as further training data of the layer network.

Clips store materials but not which arm a pixel belongs to: the nearer one's, nobody's where both are near.
"""

from pathlib import Path
from typing import Any

import numpy as np

from vcam_avatar.avatars.layers_fill import distance_to_bone
from vcam_avatar.avatars.layers_parts import SIDE_PX
from vcam_avatar.factory.bodies import CLIP_FRAMES, LAYERS
from vcam_avatar.factory.shards import ShardFolder
from vcam_avatar.factory.truth import PARTS as MATERIALS
from vcam_avatar.media import ByteArray, FloatArray
from vcam_avatar.stages.pose_layout import ARMS
from vcam_avatar.training.layers_data import KEYPOINTS, UNKNOWN, LayerSet, part_labels

_ON_ARM = [MATERIALS.index(name) for name in ("sleeve", "arm_skin", "hand")]
_MIDDLE_TIP = 12
_UNSURE = 0.1
"""Difference of the distances to both arms, shoulder widths, below which a pixel may be either's."""
_NEAR = 0.22
"""Distance to both arms within which it may be either's, shoulder widths."""


def labels_by_bones(materials: ByteArray, points: FloatArray) -> ByteArray:
    """Classes of ``layers_parts.PARTS``, uint8 ``(H, W)``; ``UNKNOWN`` where either arm may be meant.

    Args:
        materials: uint8 ``(H, W)``, classes of ``truth.PARTS``.
        points: ``(57, 3)`` keypoints in pixels.
    """
    height, width = materials.shape
    xs, ys = np.meshgrid(np.arange(width, dtype=np.float32) + 0.5, np.arange(height, dtype=np.float32) + 0.5)
    grid = np.stack([xs, ys], -1)
    unit = max(float(np.hypot(*(points[2, :2] - points[5, :2]))), 1.0)
    near: list[Any] = []
    for shoulder, elbow, wrist, hand in ARMS:
        bones = ((shoulder, elbow), (elbow, wrist), (wrist, hand + _MIDDLE_TIP))
        near.append(
            np.minimum.reduce([distance_to_bone(grid, points[a, :2], points[b, :2])[0] for a, b in bones])
        )
    right, left = near
    owner = np.where(right < left, LAYERS.index("right_arm") + 1, LAYERS.index("left_arm") + 1)
    out = part_labels(materials, owner.astype(np.uint8))
    either = (np.abs(right - left) < _UNSURE * unit) | (np.maximum(right, left) < _NEAR * unit)
    out[np.isin(materials, _ON_ARM) & either] = UNKNOWN
    return out


def load_clips(folders: list[Path], frames: int = 2) -> LayerSet:
    """Read ``frames`` frames of every clip of 'factory clips' sets; nothing is known behind their arms.

    Raises:
        MediaError: a folder has no finished shards.
    """
    places = [(shards, key) for shards in map(ShardFolder, folders) for key in shards.keys]
    size = (len(places) * frames, SIDE_PX, SIDE_PX)
    out = LayerSet(
        np.zeros((*size, 4), np.uint8), np.zeros(size, np.uint8), np.zeros(size, np.uint8),
        np.zeros(size[0], bool), np.zeros((size[0], KEYPOINTS, 3), np.float32),
        np.zeros((size[0], 68, 2), np.float32),
    )  # fmt: skip
    row = 0
    for shards, key in places:
        chosen = np.random.default_rng(int(key)).permutation(CLIP_FRAMES)[:frames]
        names = {f"{number:02d}" for number in chosen}
        sample = shards.read(key, lambda name, names=names: name in names)  # type: ignore[misc]
        for number in chosen:
            out.rgba[row] = sample.pictures[f"{number:02d}"]
            out.points[row] = sample.arrays["keypoints"][number, :KEYPOINTS]
            out.face[row] = sample.arrays["landmarks"][number]
            out.label[row] = labels_by_bones(sample.arrays["parts"][number], out.points[row])
            row += 1
    return out


def joined(first: LayerSet, second: LayerSet) -> LayerSet:
    """Both sets in one."""
    names = ("rgba", "label", "core", "has_core", "points", "face")
    return LayerSet(*(np.concatenate([getattr(first, n), getattr(second, n)]) for n in names))
