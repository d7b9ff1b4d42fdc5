"""Pictures beside the truth: differences, likeness of structure, and where the hands are."""

from dataclasses import dataclass

import cv2
import numpy as np

from vcam_avatar.media import ByteArray, FloatArray
from vcam_avatar.stages.pose_layout import LEFT_HAND, RIGHT_HAND


def similarity(a: ByteArray, b: ByteArray) -> FloatArray:
    """SSIM of two BGR pictures, per pixel of their grey values, float32 ``(H, W)``."""

    def grey(image: ByteArray) -> FloatArray:
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.float32)

    def mean(x: FloatArray) -> FloatArray:
        return np.asarray(cv2.GaussianBlur(x, (11, 11), 1.5), np.float32)

    x, y = grey(a), grey(b)
    mx, my = mean(x), mean(y)
    vx, vy, xy = mean(x * x) - mx * mx, mean(y * y) - my * my, mean(x * y) - mx * my
    out = (2 * mx * my + 6.5) * (2 * xy + 58.5) / ((mx * mx + my * my + 6.5) * (vx + vy + 58.5))
    return np.asarray(out, np.float32)


@dataclass
class Sums:
    """Means over pictures."""

    rows: list[tuple[float, float, float, float, float]]

    def add(self, made: ByteArray, truth: ByteArray, hands: list[tuple[slice, slice]]) -> None:
        """One picture beside the truth; ``hands``: rows and columns of the hands' crops."""
        difference = made.astype(np.float32) - truth
        squared = float((difference**2).mean())
        ssim = similarity(made, truth)
        hand_l1 = [float(np.abs(difference[box]).mean()) / 255 for box in hands]
        hand_ssim = [float(ssim[box].mean()) for box in hands]
        self.rows.append(
            (
                float(np.abs(difference).mean()) / 255,
                10 * float(np.log10(255**2 / max(squared, 1e-3))),
                float(ssim.mean()),
                float(np.mean(hand_l1)) if hands else float("nan"),
                float(np.mean(hand_ssim)) if hands else float("nan"),
            )
        )

    def means(self) -> dict[str, float]:
        """By name."""
        names = ("l1", "psnr", "ssim", "hand_l1", "hand_ssim")
        return {name: round(float(v), 4) for name, v in zip(names, np.nanmean(self.rows, 0), strict=True)}


def hand_boxes(points: FloatArray, shape: tuple[int, ...]) -> list[tuple[slice, slice]]:
    boxes = []
    for start in (LEFT_HAND, RIGHT_HAND):
        hand = points[start : start + 21, :2]
        if not np.isfinite(hand).all():
            continue
        margin = 0.25 * float((hand.max(0) - hand.min(0)).max())
        low, high = (hand.min(0) - margin).astype(int), (hand.max(0) + margin).astype(int) + 1
        low, high = np.maximum(low, 0), np.minimum(high, [shape[1], shape[0]])
        if (high - low).min() > 8:
            boxes.append((slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))))
    return boxes
