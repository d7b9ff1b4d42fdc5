"""From the 478-point face mesh to the 68 landmarks that everything else uses."""

import numpy as np

from vcam_avatar.media import FloatArray

MESH_TO_68 = np.array(
    [
        127, 234, 93, 132, 58, 172, 150, 176, 152, 400, 379, 397, 288, 361, 323, 454, 356,  # jaw
        70, 63, 105, 66, 107, 336, 296, 334, 293, 300,  # brows
        168, 197, 5, 4, 75, 97, 2, 326, 305,  # nose
        33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,  # eyes
        61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181,  # outer lips
        78, 82, 13, 312, 308, 317, 14, 87,  # inner lips
    ]
)  # fmt: skip
"""Mesh vertex of each iBUG-68 landmark."""

_MIRROR_68 = np.array(
    [
        *range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, *range(35, 30, -1),
        45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
        54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65,
    ]
)  # fmt: skip
"""Landmark on the other side of the face."""


def landmarks68(mesh_px: FloatArray) -> FloatArray:
    """float32 ``(478, 2)`` mesh -> float32 ``(68, 2)`` iBUG-68 landmarks, same pixels."""
    return np.ascontiguousarray(mesh_px[MESH_TO_68], np.float32)


def mirrored68(face_px: FloatArray, width_px: float) -> FloatArray:
    """Landmarks ``(68, 2)`` of the mirrored picture of width ``width_px``."""
    flipped: FloatArray = face_px[_MIRROR_68].copy()
    flipped[:, 0] = width_px - flipped[:, 0]
    return flipped
