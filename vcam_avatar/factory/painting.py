"""A painter's brush for photos."""

import cv2
import numpy as np

from vcam_avatar.media import ByteArray


def painted(picture_bgr: ByteArray, radius_px: int) -> ByteArray:
    """A generalised Kuwahara filter: eight sectors, each pixel the calmest ones' mean; edges stay."""
    image = picture_bgr.astype(np.float32) / 255
    ys, xs = np.mgrid[-radius_px : radius_px + 1, -radius_px : radius_px + 1].astype(np.float32)
    round_ = np.exp(-(xs**2 + ys**2) / (2 * (radius_px * 0.55) ** 2)) * (np.hypot(xs, ys) <= radius_px + 0.5)
    angle = np.arctan2(ys, xs)
    total, mass = np.zeros_like(image), np.zeros(image.shape[:2], np.float32)
    for sector in range(8):
        turn = np.abs((angle - sector * np.pi / 4 + np.pi) % (2 * np.pi) - np.pi)
        kernel = round_ * np.exp(-((turn / 0.45) ** 2))
        kernel[radius_px, radius_px] = round_[radius_px, radius_px] / 8
        kernel = (kernel / kernel.sum()).astype(np.float32)
        mean = cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT)
        square = cv2.filter2D(image * image, -1, kernel, borderType=cv2.BORDER_REFLECT)
        spread = np.sqrt(np.maximum(square - mean * mean, 0).sum(2))
        calm = 1 / (1 + (spread * 60) ** 6)
        total += mean * calm[..., None]
        mass += calm
    soft = total / np.maximum(mass, 1e-9)[..., None]
    grey = soft.mean(2, keepdims=True)
    vivid = grey + (soft - grey) * 1.18
    edge = soft - cv2.GaussianBlur(soft, (0, 0), 2.0)
    return np.asarray(np.clip(vivid + edge * 0.9, 0, 1) * 255 + 0.5, np.uint8)
