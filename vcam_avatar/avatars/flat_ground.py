"""Drawings on one flat colour: the colour tells the figure better than a network made for photos."""

import cv2
import numpy as np

from vcam_avatar.media import ByteArray, FloatArray

_ALIKE = 8
"""Levels a flat colour may vary by, as stored JPEGs do."""
_EDGE = 60.0
"""Levels from the ground's colour at which an edge pixel belongs wholly to the figure."""


def flat_ground_mask(picture_bgr: ByteArray, face_px: FloatArray) -> ByteArray | None:
    """The figure in front of one flat colour.

    Args:
        picture_bgr: uint8 ``(H, W, 3)``.
        face_px: ``(68, 2)``: must lie in the figure.

    Returns:
        uint8 ``(H, W)``, 255 on the figure, soft at the edge; None when the ground is not flat or the figure
        cannot be told from it.
    """
    height, width = picture_bgr.shape[:2]
    rim = np.concatenate([picture_bgr[:2].reshape(-1, 3), *(picture_bgr[: height // 2, x] for x in (0, -1))])
    colour = np.median(rim, 0)
    if (np.abs(rim - colour).max(1) <= _ALIKE).mean() < 0.97:
        return None
    away = np.abs(picture_bgr.astype(np.float32) - colour.astype(np.float32)).max(2)
    alike = (away <= _ALIKE).astype(np.uint8)
    # Thinned, so that the ground does not flow in through gaps between strokes.
    gap = max(3, round(0.006 * max(height, width)) | 1)
    thin = np.asarray(cv2.erode(alike, np.ones((gap, gap), np.uint8), borderValue=1))
    _, labels = cv2.connectedComponents(thin)
    outside = np.unique(np.concatenate([labels[0], labels[:, 0], labels[:, -1]]))
    reached = (np.isin(labels, outside[outside > 0]) & (thin > 0)).astype(np.uint8)
    ground = np.asarray(cv2.dilate(reached, np.ones((gap + 2, gap + 2), np.uint8))) & alike
    figure = ground == 0
    hull = np.zeros((height, width), np.uint8)
    cv2.fillConvexPoly(hull, cv2.convexHull(np.round(face_px).astype(np.int32)), 1)
    inside = hull > 0
    if not 0.03 < figure.mean() < 0.97 or not inside.any() or figure[inside].mean() < 0.75:
        return None
    near_ground = np.asarray(cv2.dilate(ground, np.ones((5, 5), np.uint8))) > 0
    soft = np.where(near_ground, np.clip(away / _EDGE, 0, 1), 1) * figure
    return np.asarray(soft * 255 + 0.5, np.uint8)
