"""The lower half of made-up arms: sleeves of forearms, elbows of bare ones."""

from dataclasses import replace

import cv2
import numpy as np

from vcam_avatar.avatars.layers import Strip
from vcam_avatar.avatars.layers_fill import even_light, smooth
from vcam_avatar.media import FloatArray

_LEAST, _MOST = 0.27, 0.45
"""Radius of a bare forearm at the elbow in palm lengths."""
_SHORT = 0.5
"""Sleeves that end above this share of the forearm are rolled up or cut there."""


def narrow_elbow(strip: Strip, radius: float) -> Strip:
    """A bare arm: no wider at the elbow than the forearm that goes on there."""
    image = strip.image_bgra.astype(np.float32)
    rows, columns = image.shape[:2]
    t = strip.start + (np.arange(rows) + 0.5) / rows * (strip.end - strip.start)
    c = np.abs((np.arange(columns) + 0.5) / columns * 2 - 1)[None] * strip.half_width_px
    # The strip may be cut from a foreshortened arm: across and along have their own pixel sizes.
    below = np.maximum(t - 1, 0)[:, None] * strip.length_px
    wide = np.interp(t, [0.6, 0.95], [strip.half_width_px, radius])[:, None]
    keep = np.where(
        below > 0, 1 - smooth(np.hypot(below, c) - radius, -1.5, 1), 1 - smooth(c - wide, -1.5, 1)
    )
    image[..., 3] *= keep
    return replace(strip, image_bgra=np.rint(image).astype(np.uint8))


def cloth_sleeve(
    upper: Strip, end: float, fore_px: float, radius: float, palm_px: float, elbow_radius: float | None = None
) -> Strip:
    """A sleeve for the forearm down to ``end`` (0 to 1), from the cloth of the upper arm.

    Args:
        upper: the upper arm.
        end: where the hem is.
        fore_px: natural length of the forearm.
        radius: of the upper arm, pixels.
        palm_px: length of the palm.
        elbow_radius: of the upper arm's end; by default ``radius``.

    Returns:
        A strip that goes on a little beyond the hem: its shadow falls on the forearm.
    """
    end = float(np.clip(end, 0.1, 0.97))
    elbow = 0.98 * (radius if elbow_radius is None else elbow_radius)
    bare = float(np.clip(elbow, _LEAST * palm_px, _MOST * palm_px)) * (1 - 0.38 * end)
    elbow = max(elbow, 1.05 * bare)
    shadow = 0.35 * bare / fore_px
    start, last = -0.3, end + shadow
    half = 1.3 * elbow
    rows, columns = max(8, round((last - start) * fore_px)), max(8, round(2 * half))
    t = ((start + (np.arange(rows) + 0.5) / rows * (last - start)).astype(np.float32))[:, None]
    c = (((np.arange(columns) + 0.5) / columns * 2 - 1).astype(np.float32) * half)[None]
    if end < _SHORT:
        hem_width = float(np.clip(1.2 * bare, 0.85 * elbow, 1.04 * elbow))
        width = np.interp(t, [0.0, end], [elbow, hem_width])
    else:
        width = np.interp(t, [0.0, 0.3, 1.0], [elbow, 0.97 * elbow, 0.0])
        width = np.maximum(width, np.interp(t, [0.0, 1.0], [elbow, 0.48 * palm_px]))
    across = np.abs(c) / np.maximum(width, 1)
    # A hem goes around the arm.
    around = t + (0.16 * width / fore_px) * np.minimum(across, 1) ** 2
    colour = _cloth(upper, (t - start) * fore_px, np.asarray(c / np.maximum(width, 1), np.float32), elbow)
    fold = 0.05 if end >= _SHORT else max(0.05, 0.3 * elbow / fore_px)
    shade = 1.02 - 0.3 * smooth(across, 0.4, 1.05)
    line = smooth(np.abs(around - (end - fold)) * fore_px, 2.5, 0.5)
    shade = shade * (1 - 0.05 * smooth(around, end - fold - 0.005, end - fold)) * (1 - 0.16 * line)
    shade = shade * (1 - 0.22 * smooth((around - end) * fore_px, -3.0, -0.5))
    # At the elbow cloth goes over into the cloth of the upper arm, whose own end lies below it.
    from_elbow = np.hypot(np.maximum(-t, 0) * fore_px, c)
    top = np.where(t < 0, 1 - smooth(from_elbow, 0.45 * elbow, 0.97 * elbow), 1.0)
    alpha = top * (1 - smooth(np.abs(c) - width, -1.5, 1.0))
    cloth = 1 - smooth((around - end) * fore_px, -1.2, 0.8)
    thrown = 0.38 * (1 - smooth((around - end) / shadow, 0.0, 1.0)) * (1 - smooth(across, 0.55, 0.95))
    cover = alpha * cloth
    whole = cover + (1 - cloth) * thrown
    image = np.concatenate(
        [
            np.clip(colour * (shade * cover / np.maximum(whole, 1e-3))[..., None], 0, 255),
            whole[..., None] * 255,
        ],
        -1,
    )
    return Strip(np.rint(image).astype(np.uint8), start, last, half, fore_px)


def _cloth(upper: Strip, down: FloatArray, across: FloatArray, radius: float) -> FloatArray:
    """Cloth of the upper arm laid along a forearm at its own scale: mirrored where there is not enough.

    Args:
        upper: the upper arm.
        down: ``(h, 1)`` pixels from the strip's upper edge.
        across: ``(h, w)`` from -1 to 1 between the sleeve's edges.
        radius: of the sleeve.
    """
    source = upper.image_bgra[..., :3].astype(np.float32)
    count = len(source)
    first, last = (
        int((0.25 - upper.start) / (upper.end - upper.start) * count),
        int((0.8 - upper.start) / (upper.end - upper.start) * count),
    )
    cloth = source[max(first, 0) : max(last, first + 4)]
    middle = cloth[:, int(0.35 * cloth.shape[1]) : int(0.65 * cloth.shape[1]) + 1]
    cloth = even_light(
        cloth, float(np.median(middle.mean(-1))), np.ones((len(cloth), 1), np.float32), 0.25 * radius
    )
    # Where it was foreshortened a row stands for more than a pixel.
    per_px = count / ((upper.end - upper.start) * upper.length_px)
    map_y = np.broadcast_to(down * per_px, across.shape)
    u = np.clip(across, -1, 1) * 0.86 * radius / upper.half_width_px
    map_x = (u + 1) / 2 * (cloth.shape[1] - 1)
    return np.asarray(
        cv2.remap(cloth, map_x.astype(np.float32), map_y.astype(np.float32), cv2.INTER_LINEAR,
                  borderMode=cv2.BORDER_REFLECT_101), np.float32,
    )  # fmt: skip


def empty_strip(length_px: float, half_width_px: float) -> Strip:
    """Nothing but a length: the bare forearm comes from the hand mesh."""
    return Strip(np.zeros((2, 2, 4), np.uint8), 0.0, 1.0, half_width_px, length_px)
