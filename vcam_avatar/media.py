"""The things that travel between the stages, and the geometry they share."""

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE_HZ = 16_000
"""Rate of all audio inside the pipeline, mono."""
HOP_SAMPLES = 160
"""Samples from one feature row to the next: 10 ms."""

FloatArray = NDArray[np.float32]
ByteArray = NDArray[np.uint8]

FACE_ACTIONS = (
    "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight",
    "cheekPuff", "cheekSquintLeft", "cheekSquintRight", "eyeBlinkLeft", "eyeBlinkRight",
    "eyeLookDownLeft", "eyeLookDownRight", "eyeLookInLeft", "eyeLookInRight", "eyeLookOutLeft",
    "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight", "eyeSquintLeft", "eyeSquintRight",
    "eyeWideLeft", "eyeWideRight", "jawForward", "jawLeft", "jawOpen", "jawRight", "mouthClose",
    "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight", "mouthFunnel",
    "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft", "mouthPressRight",
    "mouthPucker", "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower",
    "mouthShrugUpper", "mouthSmileLeft", "mouthSmileRight", "mouthStretchLeft", "mouthStretchRight",
    "mouthUpperUpLeft", "mouthUpperUpRight", "noseSneerLeft", "noseSneerRight", "tongueOut",
)  # fmt: skip
"""The 52 ARKit face actions, the order of every expression vector. Left is the person's left."""

Expression = FloatArray
"""float32 ``(52,)`` in ``FACE_ACTIONS`` order, each 0 (rest) to 1 (full)."""


@dataclass(frozen=True, slots=True)
class Size:
    """Width and height of a picture."""

    width_px: int
    height_px: int

    def __str__(self) -> str:
        return f"{self.width_px}x{self.height_px}"


@dataclass(frozen=True, slots=True)
class UnitClock:
    """Which samples belong to which unit of time. A unit is one video frame long."""

    fps: Fraction
    """Units per second, 10 to 60."""

    def start_sample(self, unit: int) -> int:
        """First sample of ``unit``, exact: ``ceil(unit * rate / fps)``."""
        return math.ceil(Fraction(unit * SAMPLE_RATE_HZ) / self.fps)

    def unit_count(self, samples: int) -> int:
        """How many units it takes to cover ``samples``: ``ceil(samples / rate * fps)``."""
        return math.ceil(Fraction(samples, SAMPLE_RATE_HZ) * self.fps)

    def time_s(self, unit: int) -> float:
        """Start of ``unit`` in seconds."""
        return float(unit / self.fps)


@dataclass(frozen=True, slots=True)
class UnitFeatures:
    """What is heard in one unit."""

    index: int
    """Unit number from 0."""
    fps: Fraction
    """Units per second."""
    rows: FloatArray
    """float32 ``(k, 40)``: the feature rows completed by this unit's last sample; k may be 0."""
    resampled: FloatArray
    """float32 ``(4, 40)``: the same stretch of time as a fixed number of rows, for any fps."""
    level_db: float
    """Root mean square of the unit's samples in dBFS, -120 for digital silence."""


@dataclass(frozen=True, slots=True)
class Body:
    """The avatar in a pose, before it speaks."""

    image_bgr: ByteArray
    """uint8 ``(H, W, 3)``. Owned by the generator until the next ``generate`` but one."""
    face_grid: FloatArray
    """float32 ``(G, G, 2)``: where the regular grid over the unit face crop lies, in frame pixels
    (x, y); row 0 is the crop's upper edge."""
    occlusion: ByteArray | None
    """uint8 ``(H, W)`` alpha of what lies in front of the face, or None when nothing does."""


@dataclass(frozen=True, slots=True)
class FacePatch:
    """The speaking face over the unit face crop."""

    image_bgra: ByteArray
    """uint8 ``(S, S, 4)``, straight alpha, feathered to 0 before the crop's border."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One finished video frame."""

    index: int
    """Unit number from 0."""
    image_bgr: ByteArray
    """uint8 ``(H, W, 3)``, C-contiguous."""


FACE_CROP_SCALE = 3.2
"""Side of the face crop in eye-to-mouth distances."""


def face_crop_matrix(landmarks_px: FloatArray) -> FloatArray:
    """Where the unit face crop lies in a picture.

    Args:
        landmarks_px: float ``(68, 2)`` iBUG-68 face landmarks in pixels.

    Returns:
        float32 ``(2, 3)``: maps crop coordinates in [0, 1]^2 (x right, y down) to picture pixels.
        A similarity: upright with the face, covering brows to below the chin.

    Raises:
        ValueError: wrong shape, or eyes and mouth coincide.
    """
    points = np.asarray(landmarks_px, np.float64)
    if points.shape != (68, 2):
        raise ValueError(f"expected landmarks of shape (68, 2), got {points.shape}")
    eyes = points[36:48].mean(0)
    mouth = points[48:60].mean(0)
    down = mouth - eyes
    distance = float(np.hypot(*down))
    if not distance > 1e-6:
        raise ValueError("eyes and mouth coincide: these are not face landmarks")
    across = points[42:48].mean(0) - points[36:42].mean(0)
    # The eye line gives the roll; the eye-mouth line steadies it on turned heads.
    angle = math.atan2(across[1] + down[0] * -1.0, across[0] + down[1])
    side = FACE_CROP_SCALE * distance
    cos, sin = math.cos(angle) * side, math.sin(angle) * side
    rotation = np.array([[cos, -sin], [sin, cos]])
    centre = eyes + 0.75 * down
    return np.concatenate([rotation, (centre - rotation @ [0.5, 0.5])[:, None]], 1).astype(np.float32)
