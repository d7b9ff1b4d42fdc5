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


def frame_strip(strip: Strip, scale: float, line_px: float = 0.0, from_t: float = -1.0) -> FrameStrip:
    """A strip at the frame's scale.

    Args:
        scale: frame pixels per pixel of the strip.
        line_px: width of a line around it in frame pixels; 0: none.
        from_t: where along the bone that line begins.
    """
    image = premultiply(strip.image_bgra)
    line = None
    if image.shape[0] > 2:
        image = _at_scale(image, scale)
        _soften_border(image)
        if line_px > 0:
            line = _line_around(image, line_px, (from_t - strip.start) / (strip.end - strip.start))
    return FrameStrip(
        np.ascontiguousarray(image),
        strip.start,
        strip.end,
        strip.half_width_px * scale,
        strip.length_px * scale,
        line,
    )


def _line_around(image: ByteArray, width_px: float, start: float) -> ByteArray:
    """A line outside the silhouette of ``image``, premultiplied BGRA of the same shape.

    Its colour is that of the darkest pixels at the silhouette's edge. It fades in at ``start``, a share of
    the height.
    """
    radius = max(1, round(width_px * OVERSAMPLE))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    alpha = np.where(image[..., 3] > 127, np.uint8(255), np.uint8(0))
    edge = (alpha > 0) & (cv2.erode(alpha, kernel, borderValue=0) == 0)
    pixels = image[edge][:, :3].astype(np.float32)
    if not len(pixels):
        return np.zeros_like(image)
    bright = pixels.sum(1)
    colour = pixels[bright <= np.percentile(bright, 12)].mean(0)
    wide = cv2.GaussianBlur(cv2.dilate(alpha, kernel), (0, 0), 0.5 * OVERSAMPLE).astype(np.float32) / 255
    rows = (np.arange(len(image), dtype=np.float32) + 0.5) / len(image)
    wide *= np.clip((rows - start) / 0.1 + 0.5, 0, 1)[:, None]
    # Not below the strip itself: it is half transparent at the shoulder.
    wide *= cv2.GaussianBlur(cv2.erode(255 - alpha, np.ones((3, 3), np.uint8)), (0, 0), OVERSAMPLE) > 0
    out = np.concatenate([wide[..., None] * colour, wide[..., None] * 255], -1)
    out = np.asarray(np.rint(out), np.uint8)
    _soften_border(out)
    return np.ascontiguousarray(out)


def _soften_border(image: ByteArray) -> None:
    """Fade out the last pixel at every side, in place: triangles themselves end in steps."""
    for k in range(OVERSAMPLE):
        share = (k + 0.5) / (OVERSAMPLE + 0.5)
        for line in (image[k], image[-1 - k], image[:, k], image[:, -1 - k]):
            line[:] = np.rint(line * share)


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
