"""What is behind the avatar, once per avatar and output size."""

import cv2
import numpy as np

from vcam_avatar.avatars.format import Avatar
from vcam_avatar.avatars.layers import Layers
from vcam_avatar.avatars.pictures import read_picture
from vcam_avatar.media import ByteArray, FloatArray, Size


def make_background(avatar: Avatar, layers: Layers, size: Size) -> ByteArray:
    """The frame without the person, uint8 ``(H, W, 3)``, as ``avatar.toml`` wants it.

    Raises:
        MediaError: the background picture cannot be read.
    """
    wanted = avatar.settings.background
    if wanted.kind == "picture":
        image = cover(read_picture(avatar.folder / wanted.picture).bgr, size)
        # Mirroring flips finished frames: text in a background picture stays readable.
        return np.ascontiguousarray(image[:, ::-1]) if avatar.settings.mirror else image
    if wanted.kind in ("keep", "blur") and layers.background_bgr is not None:
        scale = avatar.keypoints.size.width_px / layers.size.width_px
        view = avatar.view(size).astype(np.float64)
        view[:, :2] *= scale
        image = extend(layers.background_bgr, view.astype(np.float32), size)
        if wanted.kind == "blur" and wanted.blur > 0:
            image = np.asarray(cv2.GaussianBlur(image, (0, 0), wanted.blur * size.height_px), np.uint8)
        return image
    return np.full((size.height_px, size.width_px, 3), wanted.colour_bgr, np.uint8)


def cover(picture: ByteArray, size: Size) -> ByteArray:
    """The middle of ``picture``, as large as fills the frame."""
    height, width = picture.shape[:2]
    scale = max(size.width_px / width, size.height_px / height)
    shape = (max(size.width_px, round(width * scale)), max(size.height_px, round(height * scale)))
    large = cv2.resize(picture, shape, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    x, y = (shape[0] - size.width_px) // 2, (shape[1] - size.height_px) // 2
    return np.ascontiguousarray(large[y : y + size.height_px, x : x + size.width_px], np.uint8)


def extend(picture: ByteArray, view: FloatArray, size: Size) -> ByteArray:
    """Put ``picture`` where it belongs; beyond its edges it is mirrored and grows soft.

    Args:
        view: ``(2, 3)`` picture -> frame, uniform scale.
    """
    scale = float(view[0, 0])
    matrix = view.astype(np.float64).copy()
    if scale < 1:
        small = (max(2, round(picture.shape[1] * scale)), max(2, round(picture.shape[0] * scale)))
        picture = np.asarray(cv2.resize(picture, small, interpolation=cv2.INTER_AREA), np.uint8)
        matrix[:, :2] = np.eye(2)
    # Pixel centres lie at half coordinates here, at whole ones in OpenCV.
    matrix[:, 2] += matrix[:, :2] @ [0.5, 0.5] - 0.5
    shape = (size.width_px, size.height_px)
    sharp = cv2.warpAffine(picture, matrix, shape, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    soft = cv2.GaussianBlur(sharp, (0, 0), size.height_px / 50)
    inside = cv2.warpAffine(np.full(picture.shape[:2], 255, np.uint8), matrix, shape, flags=cv2.INTER_LINEAR)
    if inside.min() == 255:
        return np.asarray(sharp, np.uint8)
    distance = cv2.distanceTransform((inside > 127).astype(np.uint8), cv2.DIST_L2, 3)
    weight = np.clip(distance / (size.height_px / 14), 0, 1)[..., None]
    return np.asarray(np.rint(sharp * weight + soft * (1 - weight)), np.uint8)
