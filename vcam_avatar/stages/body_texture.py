"""Layers become textures at the frame's scale."""

import cv2
import numpy as np

from vcam_avatar.avatars.layers import Strip
from vcam_avatar.media import ByteArray, FloatArray, Size
from vcam_avatar.stages.body_arm import FrameStrip
from vcam_avatar.stages.body_core import OVERSAMPLE
from vcam_avatar.stages.raster import premultiply

_STRIP_ROWS, _BLUR_ROWS = 128, 8
"""Rows sharpened at a time, and how far the blur reaches beyond them."""


def radius_of(strip: Strip) -> float:
    """Half the width of a strip's silhouette near the lower joint."""
    count = len(strip.image_bgra)
    row = int(np.clip((0.97 - strip.start) / (strip.end - strip.start), 0, 0.99) * count)
    covered = float((strip.image_bgra[row, :, 3] > 127).mean())
    return covered * strip.half_width_px


def shoulder_top(strip: FrameStrip, outward: float, core: ByteArray, place: FloatArray) -> float:
    """Height of the shoulder over its joint in widths of the hanging arm's outer half, at most 1.

    Args:
        strip: the upper arm.
        outward: 1 when its outer edge is the right one, else -1.
        core: premultiplied texture of the torso.
        place: texel of the joint in it.
    """
    count, width = strip.texture.shape[:2]
    row = int(np.clip((0.15 - strip.start) / (strip.end - strip.start), 0, 0.99) * count)
    half = strip.texture[row, width // 2 :, 3] if outward > 0 else strip.texture[row, : width // 2, 3]
    wide = float((half > 127).mean()) * strip.half_width_px
    x, y = (int(np.clip(v, 0, n - 1)) for v, n in zip(place, core.shape[1::-1], strict=True))
    above = core[y::-1, x, 3] < 128
    high = (int(np.argmax(above)) if above.any() else len(above)) / OVERSAMPLE
    return float(np.clip(high / max(wide, 1.0), 0.4, 1.0))


def frame_strip(strip: Strip, scale: float) -> FrameStrip:
    image = premultiply(strip.image_bgra)
    if image.shape[0] > 2:
        image = _at_scale(image, scale)
    return FrameStrip(
        np.ascontiguousarray(image),
        strip.start,
        strip.end,
        strip.half_width_px * scale,
        strip.length_px * scale,
    )


def _at_scale(image: ByteArray, scale: float) -> ByteArray:
    """``image`` (premultiplied) at ``scale``, with ``OVERSAMPLE`` texels per pixel of that scale.

    Bilinear sampling of a texture at the frame's own resolution blurs; of a finer one it hardly does.
    """
    height, width = image.shape[:2]
    if scale < 1:
        small = (max(2, round(width * scale)), max(2, round(height * scale)))
        image = np.asarray(cv2.resize(image, small, interpolation=cv2.INTER_AREA), np.uint8)
    size = (max(2, round(width * scale * OVERSAMPLE)), max(2, round(height * scale * OVERSAMPLE)))
    out = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LANCZOS4), np.uint8)
    # What bilinear sampling still takes away at places between texels, given in advance. In strips of rows,
    # since whole textures as floats would be the most memory ever needed.
    above = out[:0]
    for top in range(0, len(out), _STRIP_ROWS):
        rows = np.concatenate([above, out[top : top + _STRIP_ROWS + _BLUR_ROWS]]).astype(np.float32)
        rows += 0.1 * (rows - cv2.GaussianBlur(rows, (0, 0), 1.2))
        first = len(above)
        above = out[max(0, top + _STRIP_ROWS - _BLUR_ROWS) : top + _STRIP_ROWS].copy()
        out[top : top + _STRIP_ROWS] = np.clip(rows[first : first + _STRIP_ROWS], 0, 255)
    # Such interpolation may leave colour above alpha.
    np.minimum(out[..., :3], out[..., 3:], out=out[..., :3])
    return out


def frame_texture(
    image: ByteArray, to_frame: FloatArray, size: Size, margin: int
) -> tuple[ByteArray, tuple[float, float]]:
    """The core as a texture, cut to frame and margin, premultiplied; and its corner's place in the frame."""
    scale = float(to_frame[0, 0])
    picture = image
    if picture[-1, :, 3].max() > 128:
        # The person goes on below the picture: leaning must not show where it ends.
        below = min(picture.shape[0] - 1, round(1.5 * margin / scale))
        picture = np.concatenate([picture, np.repeat(picture[-1:], below, 0)])
    # Cut in picture pixels first: large pictures shown small parts of are common.
    x, y = float(to_frame[0, 2]), float(to_frame[1, 2])
    left, top = max(0, int((-x - margin) / scale)), max(0, int((-y - margin) / scale))
    right = min(picture.shape[1], int(np.ceil((size.width_px + margin - x) / scale)))
    bottom = min(picture.shape[0], int(np.ceil((size.height_px + margin - y) / scale)))
    # Nothing but the person: textures of whole frames fill the memory.
    shown = picture[top:bottom, left:right, 3] > 0
    rows, columns = np.nonzero(shown.any(1))[0], np.nonzero(shown.any(0))[0]
    if len(rows) and len(columns):
        bottom, right = min(bottom, top + int(rows[-1]) + 3), min(right, left + int(columns[-1]) + 3)
        top, left = max(top, top + int(rows[0]) - 2), max(left, left + int(columns[0]) - 2)
    right, bottom = max(right, left + 2), max(bottom, top + 2)
    part = _at_scale(premultiply(picture[top:bottom, left:right]), scale)
    return np.ascontiguousarray(part), (x + left * scale, y + top * scale)
