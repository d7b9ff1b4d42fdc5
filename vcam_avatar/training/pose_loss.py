"""The loss of the pose predictor: a wing loss over all keypoints plus an absolute loss on the fingertips."""

import math

import torch

WING_W, WING_EPS, FINGERTIP_WEIGHT = 5.0, 1.0, 0.5
GRID_PX = 256
GRID_SHOULDER_WIDTHS = 3.2
"""Poses are compared in pixels of a 256 grid that is 3.2 shoulder widths across: head to lap of a seated
person with the hands spread."""
GRID_PX_PER_UNIT = GRID_PX / GRID_SHOULDER_WIDTHS


def wing(x: torch.Tensor, w: float = WING_W, eps: float = WING_EPS) -> torch.Tensor:
    """``w ln(1 + |x| / eps)`` below ``w``, ``|x| - C`` above, with ``C = w - w ln(1 + w / eps)`` so that the
    two meet at ``|x| = w``. Elementwise; ``x`` in grid pixels."""
    size = x.abs()
    constant = w - w * math.log1p(w / eps)
    return torch.where(size < w, w * torch.log1p(size / eps), size - constant)


def pose_loss(
    predicted: torch.Tensor,
    label: torch.Tensor,
    fingertips: tuple[int, ...],
    weight: torch.Tensor | None = None,
) -> torch.Tensor:
    """``(1/M) sum wing(y_i - label_i) + 0.5 (1/N) sum |y_j - label_j|`` over M keypoints and N fingertips.

    Args:
        predicted: ``(..., K, 2)`` normalised poses.
        label: the same shape.
        fingertips: indices of the N fingertips.
        weight: ``(..., K)`` weight of each keypoint, for instance its confidence; default 1.

    Returns:
        Scalar: mean over the leading dimensions and over x and y, in grid pixels.
    """
    error = (predicted - label) * GRID_PX_PER_UNIT
    each = wing(error).mean(-1)
    tips = error[..., list(fingertips), :].abs().mean(-1)
    if weight is not None:
        each = each * weight
        tips = tips * weight[..., list(fingertips)]
    return each.mean() + FINGERTIP_WEIGHT * tips.mean()
