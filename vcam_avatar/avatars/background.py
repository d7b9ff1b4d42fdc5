"""What is seen behind an avatar, at the size of the frame."""

import cv2
import numpy as np

from vcam_avatar.avatars.format import Avatar
from vcam_avatar.avatars.pictures import read_picture
from vcam_avatar.media import ByteArray, Size


def make_background(avatar: Avatar, size: Size, plate_bgr: ByteArray | None) -> ByteArray:
    """Draw the background that the avatar's settings ask for.

    Args:
        avatar: its settings and framing count.
        size: of the frame.
        plate_bgr: uint8 ``(h, w, 3)``: the picture's own background, completed behind the person, at
            any scale of the picture; None for cut-outs.

    Returns:
        uint8 ``(H, W, 3)``. Where frames are mirrored later, a background picture is mirrored here
        already, so that its text can be read.

    Raises:
        MediaError: the background picture cannot be read.
    """
    settings = avatar.settings.background
    kind = settings.kind
    if kind == "picture":
        image = cover(read_picture(avatar.folder / settings.picture).bgr, size)
        return np.asarray(cv2.flip(image, 1), np.uint8) if avatar.settings.mirror else image
    if kind in ("keep", "blur") and plate_bgr is not None:
        image = extend_plate(plate_bgr, avatar, size)
        if kind == "blur" and settings.blur > 0:
            image = _blurred(image, settings.blur * size.height_px)
        return image
    # A cut-out has no background of its own; transparency needs a sink that carries alpha.
    return np.full((size.height_px, size.width_px, 3), settings.colour_bgr, np.uint8)


def cover(picture_bgr: ByteArray, size: Size) -> ByteArray:
    """Scale a picture so that it just covers ``size`` and cut what sticks out."""
    height, width = picture_bgr.shape[:2]
    scale = max(size.width_px / width, size.height_px / height)
    wide = (max(size.width_px, round(width * scale)), max(size.height_px, round(height * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    scaled = cv2.resize(picture_bgr, wide, interpolation=how)
    left, top = (wide[0] - size.width_px) // 2, (wide[1] - size.height_px) // 2
    return np.ascontiguousarray(scaled[top : top + size.height_px, left : left + size.width_px])


def extend_plate(plate_bgr: ByteArray, avatar: Avatar, size: Size) -> ByteArray:
    """Place the background plate where the picture lies; continue it to the frame's edges.

    Near the picture's edge the continuation is its mirror image; farther out it dissolves, so that
    nothing recognisable appears twice.
    """
    view = avatar.view(size).astype(np.float64)
    height, width = plate_bgr.shape[:2]
    reduced = avatar.keypoints.size.height_px / height
    view[:, :2] *= reduced
    if view[0, 0] < 0.7:
        factor = view[0, 0]
        small = (max(2, round(width * factor)), max(2, round(height * factor)))
        plate_bgr = np.asarray(cv2.resize(plate_bgr, small, interpolation=cv2.INTER_AREA), np.uint8)
        view[0, 0], view[1, 1] = view[0, 0] * width / small[0], view[1, 1] * height / small[1]
        height, width = plate_bgr.shape[:2]
    frame = (size.width_px, size.height_px)
    sharp = np.asarray(
        cv2.warpAffine(plate_bgr, view, frame, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101),
        np.uint8,
    )
    x0, y0 = view[0, 2], view[1, 2]
    x1, y1 = x0 + view[0, 0] * width, y0 + view[1, 1] * height
    if x0 <= 0 and y0 <= 0 and x1 >= frame[0] and y1 >= frame[1]:
        return sharp
    x, y = np.arange(frame[0], dtype=np.float32), np.arange(frame[1], dtype=np.float32)
    outside_x = np.maximum(np.maximum(x0 - x, x - x1), 0)
    outside_y = np.maximum(np.maximum(y0 - y, y - y1), 0)
    outside = np.hypot(outside_x[None], outside_y[:, None])
    soft = _blurred(sharp, 0.035 * size.height_px)
    # The seam itself stays sharp: dissolve from a few pixels outside on.
    weight = np.clip(outside / (0.06 * size.height_px), 0, 1)[..., None]
    return np.asarray(sharp * (1 - weight) + soft * weight + 0.5, np.uint8)


def _blurred(image: ByteArray, sigma_px: float) -> ByteArray:
    if sigma_px < 4:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), max(sigma_px, 0.3)), np.uint8)
    # Wide blurs are made small: same look, a fraction of the time.
    factor = sigma_px / 3
    small = (max(2, round(image.shape[1] / factor)), max(2, round(image.shape[0] / factor)))
    reduced = cv2.GaussianBlur(cv2.resize(image, small, interpolation=cv2.INTER_AREA), (0, 0), 3)
    return np.asarray(cv2.resize(reduced, image.shape[1::-1], interpolation=cv2.INTER_CUBIC), np.uint8)
