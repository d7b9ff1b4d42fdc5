"""A standard face, and bending it to a few points placed by hand."""

import numpy as np
from numpy.typing import NDArray

from vcam_avatar.media import FloatArray

STANDARD_FACE = np.array(
    [
        (-1.15, 0.16), (-1.14, 0.41), (-1.12, 0.65), (-1.07, 0.9), (-0.99, 1.16), (-0.88, 1.34),
        (-0.61, 1.57), (-0.35, 1.69), (0, 1.74), (0.35, 1.69), (0.61, 1.57), (0.88, 1.34),
        (0.99, 1.16), (1.07, 0.9), (1.12, 0.65), (1.14, 0.41), (1.15, 0.16), (-0.93, -0.27),
        (-0.83, -0.38), (-0.67, -0.45), (-0.47, -0.45), (-0.23, -0.43), (0.23, -0.43), (0.47, -0.45),
        (0.67, -0.45), (0.83, -0.38), (0.93, -0.27), (0, -0.15), (0, 0.05), (0, 0.22),
        (0, 0.35), (-0.2, 0.55), (-0.12, 0.6), (0, 0.59), (0.12, 0.6), (0.2, 0.55),
        (-0.74, 0.01), (-0.62, -0.04), (-0.46, -0.06), (-0.28, 0), (-0.45, 0.04), (-0.61, 0.05),
        (0.28, 0), (0.46, -0.06), (0.62, -0.04), (0.74, 0.01), (0.61, 0.05), (0.45, 0.04),
        (-0.42, 1.01), (-0.25, 0.87), (-0.12, 0.82), (0, 0.84), (0.12, 0.82), (0.25, 0.87),
        (0.42, 1.01), (0.24, 1.13), (0.13, 1.16), (0, 1.17), (-0.13, 1.16), (-0.24, 1.13),
        (-0.38, 1.01), (-0.1, 0.95), (0, 0.96), (0.1, 0.95), (0.38, 1.01), (0.1, 1),
        (0, 1.01), (-0.1, 1),
    ],
    np.float32,
)  # fmt: skip
"""68 landmarks: origin between the eyes, unit the distance from eyes to mouth, y down; a closed mouth."""

HANDLES = {
    "face_right": 0, "face_left": 16, "chin": 8, "nose_tip": 30,
    "right_eye_outer": 36, "right_eye_inner": 39, "left_eye_inner": 42, "left_eye_outer": 45,
    "right_brow": 19, "left_brow": 24,
    "mouth_right": 48, "mouth_left": 54, "upper_lip": 51, "lower_lip": 57,
}  # fmt: skip
"""Points a person can place, and the landmark each stands for. Right is the character's right."""
NEEDED_HANDLES = ("right_eye_outer", "left_eye_outer", "mouth_right", "mouth_left", "chin")


def bend_face(handles_px: dict[str, tuple[float, float]]) -> FloatArray:
    """The standard face, bent smoothly so that it passes through the handles.

    Args:
        handles_px: pixels by name of ``HANDLES``; at least ``NEEDED_HANDLES``.

    Returns:
        float32 ``(68, 2)``.

    Raises:
        ValueError: an unknown or missing name, or points on one line.
    """
    if unknown := set(handles_px) - set(HANDLES):
        raise ValueError(f"unknown {', '.join(sorted(unknown))}; known are {', '.join(HANDLES)}")
    if missing := set(NEEDED_HANDLES) - set(handles_px):
        raise ValueError(f"{', '.join(sorted(missing))} missing")
    pairs = [(HANDLES[name], place) for name, place in handles_px.items()]
    source = STANDARD_FACE[[index for index, _ in pairs]].astype(np.float64)
    target = np.array([point for _, point in pairs], np.float64)
    count = len(source)
    ones = np.ones((count, 1))
    # Thin plate spline: an affine map plus the least bending that meets every handle.
    system = np.block(
        [
            [_kernel(source, source) + 1e-9 * np.eye(count), ones, source],
            [np.concatenate([ones, source], 1).T, np.zeros((3, 3))],
        ]
    )
    try:
        weights = np.linalg.solve(system, np.concatenate([target, np.zeros((3, 2))]))
    except np.linalg.LinAlgError as exc:
        raise ValueError("the face points lie on one line") from exc
    basis = np.concatenate([_kernel(STANDARD_FACE, source), np.ones((68, 1)), STANDARD_FACE], 1)
    return (basis @ weights).astype(np.float32)


def _kernel(a: NDArray[np.floating], b: NDArray[np.floating]) -> NDArray[np.float64]:
    squared = ((a[:, None].astype(np.float64) - b[None]) ** 2).sum(-1)
    return np.asarray(0.5 * squared * np.log(np.maximum(squared, 1e-12)), np.float64)
