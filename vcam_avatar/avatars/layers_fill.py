"""Picture processing for the layers: filling holes, soft masks, colours."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vcam_avatar.media import FloatArray

Mask = NDArray[np.bool_]


def smooth(x: Any, low: float, high: float) -> FloatArray:
    """0 below ``low``, 1 above ``high``, smooth between; ``low`` may be the larger."""
    t = np.clip((np.asarray(x, np.float32) - low) / (high - low), 0, 1)
    out: FloatArray = t * t * (3 - 2 * t)
    return out


def grow(mask: Mask, radius_px: float) -> Mask:
    """The mask and what lies within ``radius_px`` of it; negative shrinks."""
    radius = round(abs(radius_px))
    if radius == 0:
        return mask
    if radius > 6:
        # The same in a time that does not depend on the radius; the picture's edge does not shrink it.
        outside = (mask if radius_px < 0 else ~mask).astype(np.uint8)
        if not outside.any() or outside.all():
            return mask
        far = cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        return np.asarray(far <= radius if radius_px > 0 else far > radius)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    change = cv2.dilate if radius_px > 0 else cv2.erode
    return np.asarray(change(mask.astype(np.uint8), kernel) > 0)


def blur(mask: Any, sigma_px: float) -> FloatArray:
    """Gaussian blur as float32; wide ones at reduced size, where they take a fraction of the time."""
    picture = np.asarray(mask, np.float32)
    shrink = int(sigma_px / 5)
    if shrink < 2:
        return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma_px), np.float32)
    height, width = picture.shape[:2]
    size = (-(-width // shrink), -(-height // shrink))
    small = cv2.GaussianBlur(
        cv2.resize(picture, size, interpolation=cv2.INTER_AREA), (0, 0), sigma_px / shrink
    )
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)


def polygon(points: Any, shape: tuple[int, int]) -> Mask:
    """Filled polygon in a picture of ``shape``."""
    mask = np.zeros(shape, np.uint8)
    cv2.fillPoly(mask, [np.round(np.asarray(points)).astype(np.int32)], 1)
    return mask > 0


def large_parts(mask: Mask, share: float) -> Mask:
    """The largest connected part and those of at least ``share`` of its size."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    if count <= 2:
        return mask
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    return np.asarray((areas >= share * areas.max())[labels])


def fill_smooth(picture: FloatArray, valid: Mask) -> FloatArray:
    """Continue the valid pixels smoothly into the rest (pull-push pyramid), float32 like ``picture``."""
    height, width = valid.shape
    if bool(valid.all()) or not bool(valid.any()):
        return np.asarray(picture, np.float32)
    if min(height, width) <= 2:
        return np.where(valid[..., None], picture, picture[valid].mean(0)).astype(np.float32)
    weight = valid.astype(np.float32)
    small = ((width + 1) // 2, (height + 1) // 2)
    colour = cv2.resize(picture.astype(np.float32) * weight[..., None], small, interpolation=cv2.INTER_AREA)
    share = cv2.resize(weight, small, interpolation=cv2.INTER_AREA)
    lower = fill_smooth(
        np.asarray(colour / np.maximum(share, 1e-6)[..., None], np.float32), np.asarray(share > 1e-4)
    )
    upper = cv2.resize(cv2.GaussianBlur(lower, (0, 0), 1), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.where(valid[..., None], picture.astype(np.float32), upper).astype(np.float32)


def add_grain(filled: FloatArray, hole: Mask, picture: FloatArray, sample: Mask) -> FloatArray:
    """Give the filled ``hole`` the fine noise of the pixels in ``sample``."""
    if int(sample.sum()) < 50:
        return filled
    fine = picture - cv2.GaussianBlur(picture, (0, 0), 2)
    strength = min(3.0, float(np.median(np.abs(fine[sample]))) * 1.2)
    noise = np.random.default_rng(0).normal(0, 1, hole.shape).astype(np.float32)
    noise = np.asarray(cv2.GaussianBlur(noise, (0, 0), 0.8), np.float32)
    noise *= strength / max(float(noise.std()), 1e-6)
    return np.clip(filled + (noise * blur(hole, 2))[..., None], 0, 255).astype(np.float32)


def continue_rows(picture: FloatArray, valid: Mask) -> FloatArray:
    """Fill every row between its valid pixels by straight lines, then soften downwards."""
    out = picture.astype(np.float32).copy()
    columns = np.arange(picture.shape[1])
    for y in range(picture.shape[0]):
        known = np.nonzero(valid[y])[0]
        hole = np.nonzero(~valid[y])[0]
        if len(known) == 0 or len(hole) == 0:
            continue
        for channel in range(3):
            out[y, hole, channel] = np.interp(columns[hole], known, picture[y, known, channel])
    soft = cv2.GaussianBlur(out, (1, 9), 2)
    return np.where(valid[..., None], picture, soft).astype(np.float32)


def nearest_colour(picture: FloatArray, valid: Mask) -> FloatArray:
    """Every pixel outside ``valid`` takes the colour of its nearest valid pixel."""
    if not bool(valid.any()):
        return picture
    _, label = cv2.distanceTransformWithLabels(
        (~valid).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    rows, columns = np.nonzero(valid)
    table = np.zeros((int(label.max()) + 1, 3), np.float32)
    table[label[rows, columns]] = picture[rows, columns]
    return np.asarray(np.where(valid[..., None], picture, table[label]), np.float32)


def even_light(texture: FloatArray, level: float, share: FloatArray, sigma_px: float) -> FloatArray:
    """Cloth without the deep shade and the glare that other things in the picture threw on it.

    Args:
        texture: ``(h, w, 3)``.
        level: brightness (mean of the colours) of the cloth in ordinary light.
        share: ``(h, 1)`` of every row: where to do so.
        sigma_px: size of what counts as light and shade rather than as pattern.
    """
    low = cv2.GaussianBlur(texture.mean(-1), (0, 0), max(sigma_px, 1.0))
    wanted = np.clip(low, 0.78 * level, 1.2 * level)
    gain = np.clip(wanted / np.maximum(low, 1), 0.55, 2.2)
    return np.asarray(texture * (1 + (gain - 1) * share)[..., None], np.float32)


def guided(guide: FloatArray, mask: FloatArray, radius_px: int, epsilon: float) -> FloatArray:
    """Edge-following smoothing of ``mask`` (He et al.), grey guide 0 to 255."""
    size = (2 * radius_px + 1, 2 * radius_px + 1)

    def mean(x: FloatArray) -> FloatArray:
        return np.asarray(cv2.blur(x, size), np.float32)

    mean_guide, mean_mask = mean(guide), mean(mask)
    slope = (mean(guide * mask) - mean_guide * mean_mask) / (mean(guide * guide) - mean_guide**2 + epsilon)
    offset = mean_mask - slope * mean_guide
    return np.asarray(np.clip(mean(slope) * guide + mean(offset), 0, 1), np.float32)


def distance_to_bone(grid: FloatArray, start: Any, end: Any) -> tuple[FloatArray, FloatArray, FloatArray]:
    """For every pixel centre of ``grid`` (h, w, 2): distance to the segment, position along it (0 to 1
    between the ends, beyond outside), and signed distance across (positive: right of start -> end when
    it points down the picture and is seen from the front)."""
    bone = np.asarray(end, np.float32) - np.asarray(start, np.float32)
    length = max(float(np.hypot(*bone)), 1e-3)
    axis = bone / length
    # The grid is regular: a column and a row say all.
    x = (grid[0, :, 0] - np.float32(start[0]))[None]
    y = (grid[:, 0, 1] - np.float32(start[1]))[:, None]
    along = np.asarray(x * axis[0] + y * axis[1], np.float32)
    across = np.asarray(x * axis[1] - y * axis[0], np.float32)
    beyond = along - np.clip(along, 0, length)
    distance = np.asarray(cv2.magnitude(beyond.astype(np.float32), across), np.float32)
    return distance, along / np.float32(length), across
