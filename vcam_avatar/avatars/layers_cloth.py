"""What a straightened arm is made of: cloth and skin, each continued where it is hidden."""

from dataclasses import dataclass

import cv2
import numpy as np

from vcam_avatar.avatars.layers_fill import Mask, fill_smooth, grow
from vcam_avatar.avatars.layers_inpaint import fill_patches
from vcam_avatar.media import FloatArray

NO_SKIN = 0.5
"""Difference of ``hue_of`` beyond which nothing is skin."""
_SURE_SKIN = 0.22
"""Difference of hue alone below which it is this person's for sure."""
_SURE_CLOTH = 0.4
"""Share of a sleeve from which a pixel is cloth."""
_DARK = 0.08
"""Share of a sleeve that may be left out for being dark."""
_ENOUGH = 0.05
"""Share of a sleeve that must be seen, on both arms together, for its pattern to go on."""


@dataclass(frozen=True, slots=True)
class Cloth:
    """What is seen of a sleeve on the straightened upper arm."""

    image: FloatArray
    """float32 ``(h, w, 3)`` BGR."""
    seen: Mask


def materials(
    trusted: Mask, colour: FloatArray, skins: tuple[FloatArray, FloatArray], t: FloatArray, c: FloatArray,
    radius: float, width: FloatArray, sleeve_end: float, sleeve: FloatArray | None = None,
    spare: Cloth | None = None,
) -> tuple[Mask, FloatArray]:  # fmt: skip
    """Sort out what is cloth and what is skin, and continue each where it belongs.

    Returns:
        The pixels that can be kept, and a filling for all others.
    """
    skin_bgr, arm_bgr = skins
    top = trusted & ((t > 0.05) & (t < 0.35))[:, None] & (np.abs(c)[None] < 0.6 * radius)
    if int(top.sum()) <= 10 and sleeve is None:
        return trusted, fill_smooth(colour, trusted) if int(trusted.sum()) > 30 else colour
    hue = hue_of(colour)
    to_skin = np.linalg.norm(hue - hue_of(skin_bgr), axis=-1)
    to_cloth = (
        to_skin if sleeve is not None else np.linalg.norm(hue - hue_of(np.median(colour[top], 0)), axis=-1)
    )
    if sleeve_end > 0.85:
        # A hand beside the sleeve is not cloth.
        other = (to_skin < 0.8 * to_cloth) if sleeve is None else sleeve < _SURE_CLOTH
        kept = trusted & ~grow(np.asarray(other & (t > 0.4)[:, None]), 3)
        if int(kept.sum()) <= 30 and spare is None:
            return kept, colour
        return kept, continue_cloth(Cloth(colour, kept), radius, spare)
    if sleeve_end < 0.1:
        # A strap or a robe beside a bare arm is not skin.
        bare = trusted & (np.linalg.norm((hue - hue_of(skin_bgr))[..., :3], axis=-1) < 0.35)
        kept = bare if int(bare.sum()) > 0.25 * int(trusted.sum()) else trusted
        return kept, fill_smooth(colour, kept)
    below = np.broadcast_to((t > sleeve_end)[:, None], trusted.shape)
    near_hem = np.abs(t - sleeve_end)[:, None] < 0.05
    # Cuffs of another colour are neither.
    seems_cloth = (to_cloth < to_skin) | (to_skin > NO_SKIN) if sleeve is None else sleeve > _SURE_CLOTH
    cloth = trusted & ~below & (seems_cloth | (t < min(0.4, 0.7 * sleeve_end))[:, None])
    sure_skin = np.linalg.norm((hue - hue_of(skin_bgr))[..., :3], axis=-1) < _SURE_SKIN
    skin = trusted & below & sure_skin
    across = np.asarray(np.abs(c)[None] / np.maximum(width, 1), np.float32)
    bare = _bare_arm(colour, skin, arm_bgr, across, below, radius)
    # Of what is much darker than all the rest little can be cloth: the room seen below a hem.
    light = colour.mean(-1)
    dark = cloth & (light < 0.45 * float(np.median(light[cloth])) if cloth.any() else False)
    dark = grow(dark, 2) if int(dark.sum()) < _DARK * int(cloth.sum()) else np.zeros_like(dark)
    cloth &= ~dark
    sewn = colour
    if int(cloth.sum()) > 30 or spare is not None:
        sewn = continue_cloth(Cloth(colour, cloth), radius, spare)
    kept = cloth | (trusted & near_hem & ~below & (seems_cloth | ~sure_skin) & ~dark)
    return kept, np.where(below[..., None], bare, sewn).astype(np.float32)


def continue_cloth(cloth: Cloth, radius: float, spare: Cloth | None = None) -> FloatArray:
    """Patterns, folds and threads go on where a sleeve is hidden: as on the other arm, else mirrored.

    Args:
        cloth: what is seen of it.
        radius: of the arm, pixels.
        spare: the other arm's sleeve, its mirror image.

    Returns:
        float32 ``(h, w, 3)``: cloth everywhere.
    """
    image, seen = cloth.image, grow(cloth.seen, -1)
    base = fill_smooth(image, cloth.seen)
    if int(cloth.seen.sum()) <= 30 and spare is not None:
        base = fill_smooth(*_mirrored(spare, seen.shape))
    canvas, source = np.concatenate([image, image], 1), np.concatenate([seen, np.zeros_like(seen)], 1)
    if spare is not None:
        width = seen.shape[1]
        canvas[:, width:], source[:, width:] = _mirrored(spare, seen.shape)
    if float(source.sum()) < _ENOUGH * seen.size:
        return base
    # Light and shade are this arm's own, the pattern is what patches bring.
    level = cv2.GaussianBlur(fill_smooth(canvas, source), (0, 0), max(radius, 1.0))
    detail = np.where(source[..., None], canvas - level, 0).astype(np.float32) + 128
    hole = np.concatenate([~seen, np.zeros_like(seen)], 1)
    made_up = fill_patches(detail, hole, source)[:, : seen.shape[1]] - 128
    soft = cv2.GaussianBlur(base, (0, 0), max(radius, 1.0))
    return np.asarray(np.where(cloth.seen[..., None], image, soft + made_up), np.float32)


def _mirrored(cloth: Cloth, shape: tuple[int, ...]) -> tuple[FloatArray, Mask]:
    """The other arm's sleeve as this one would show it, and where it was seen."""
    size = (shape[1], shape[0])
    image = cv2.resize(np.ascontiguousarray(cloth.image[:, ::-1]), size, interpolation=cv2.INTER_LINEAR)
    seen = cv2.resize(cloth.seen[:, ::-1].astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    return np.asarray(image, np.float32), grow(np.asarray(seen), -1)


def _bare_arm(
    colour: FloatArray, skin: Mask, skin_bgr: FloatArray, across: FloatArray, below: Mask, radius: float
) -> FloatArray:
    """A round arm in its own skin; the drawn forearm turns into the hand's on its way.

    What the picture shows gives the fine detail, a part of its light and shade, and how dark it is.
    """
    made_up = skin_bgr[None, None] * (1.06 - 0.27 * np.clip(across, 0, 1.2) ** 2)[..., None]
    if int(skin.sum()) <= 0.08 * int(below.sum()):
        return np.asarray(made_up, np.float32)
    level = float(np.median(colour[skin].sum(1))) / max(float(skin_bgr.sum()), 1.0)
    made_up = made_up * np.clip(level, 0.95, 1.08)
    low = cv2.GaussianBlur(fill_smooth(colour, skin), (0, 0), max(0.2 * radius, 1.0))
    detail = np.where(grow(skin, -5)[..., None], np.clip(colour - low, -10, 10), 0)
    gain = np.clip(low.sum(-1) / np.maximum(made_up.sum(-1), 1), 0.92, 1.12)[..., None] ** 0.5
    return np.asarray(made_up * gain + detail, np.float32)


def hue_of(pixels: FloatArray) -> FloatArray:
    """Colours where distances tell skin from cloth: hue first, brightness less."""
    total = pixels.sum(-1, keepdims=True)
    hue = np.log((pixels + 8) / (total + 24))
    return np.asarray(np.concatenate([hue * 2.2, np.log(total + 30) * 0.55], -1), np.float32)
