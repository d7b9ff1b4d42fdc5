"""The room without the person."""

import cv2
import numpy as np

from vcam_avatar.avatars.layers_fill import (
    Mask,
    add_grain,
    blur,
    continue_rows,
    fill_smooth,
    grow,
    nearest_colour,
    smooth,
)
from vcam_avatar.avatars.layers_inpaint import fill_patches
from vcam_avatar.avatars.layers_scene import ArmSeen, Scene
from vcam_avatar.media import ByteArray, FloatArray

_STRANDS = 0.12
"""How far from the head strands of hair are looked for, shoulder widths."""
_STRAND_LEVELS, _STRAND_SHARE = 14, 0.25
"""Grey levels between a strand and the room, and the share of the surroundings above which it is the room."""


def _busy(picture: FloatArray, valid: Mask) -> FloatArray:
    """0 where the room around is plain, 1 where it has things in it."""
    height = valid.shape[0]
    share = blur(valid, 0.02 * height)
    mean = blur(picture * valid[..., None], 0.02 * height) / np.maximum(share, 1e-3)[..., None]
    rough = np.abs(picture - mean).mean(-1) * valid
    around = blur(valid, 0.1 * height)
    level = blur(rough, 0.1 * height) / np.maximum(around, 1e-6)
    return smooth(np.where(around > 1e-4, level, 0), 2.5, 6.0)


def _is_upright(picture: FloatArray, valid: Mask) -> bool:
    """Whether the room's lines run up and down rather than level."""
    grey = cv2.GaussianBlur(picture, (0, 0), 2).mean(-1)
    inside = grow(valid, -8)
    if int(inside.sum()) < 100:
        return False
    across, down = np.abs(np.diff(grey, axis=1))[:-1], np.abs(np.diff(grey, axis=0))[:, :-1]
    where = inside[:-1, :-1]
    return bool(across[where].mean() > 1.6 * down[where].mean())


def _complete(
    picture: FloatArray, valid: Mask, calm: FloatArray, upright: bool
) -> tuple[FloatArray, FloatArray]:
    """Two fillings of a room: its lines continued, growing into ``calm``, and patches of it."""
    if upright:
        turned = [np.ascontiguousarray(a.swapaxes(0, 1)) for a in (picture, calm)]
        rough, patches = _complete(turned[0], np.ascontiguousarray(valid.T), turned[1], False)
        return rough.swapaxes(0, 1), patches.swapaxes(0, 1)
    distance = cv2.distanceTransform((~valid).astype(np.uint8), cv2.DIST_L2, 5)
    lines = continue_rows(picture, valid)
    share = np.clip(1.0 - distance / (0.22 * valid.shape[0]), 0, 1)[..., None] * 0.85
    rough = (calm * (1 - share) + lines * share).astype(np.float32)
    # Patches start from lines that go all the way: grey middles would only find more grey.
    first = (0.15 * calm + 0.85 * _cross(picture, valid, lines)).astype(np.float32)
    return rough, _meet(fill_patches(picture, ~valid, valid, 1.0, first), picture, valid)


def _cross(picture: FloatArray, valid: Mask, rows: FloatArray) -> FloatArray:
    """Lines continued along rows, and along columns where those have something nearer."""
    columns = continue_rows(
        np.ascontiguousarray(picture.swapaxes(0, 1)), np.ascontiguousarray(valid.T)
    ).swapaxes(0, 1)
    far_x, far_y = _run(valid), _run(np.ascontiguousarray(valid.T)).T
    share = (far_x**2 / np.maximum(far_x**2 + far_y**2, 1))[..., None]
    return np.asarray(rows * (1 - share) + columns * share, np.float32)


def _run(valid: Mask) -> FloatArray:
    """Distance to the nearest valid pixel of the same row; the picture's width where there is none."""
    width = valid.shape[1]
    at = np.where(valid, np.arange(width), -2 * width)
    left = np.arange(width) - np.maximum.accumulate(at, 1)
    at = np.where(valid, np.arange(width), 3 * width)
    right = np.minimum.accumulate(at[:, ::-1], 1)[:, ::-1] - np.arange(width)
    return np.asarray(np.minimum(np.minimum(left, right), width), np.float32)


def _meet(filled: FloatArray, picture: FloatArray, valid: Mask) -> FloatArray:
    """``filled`` made to meet the picture at the hole's edge: no outline of what stood there."""
    height = valid.shape[0]
    edge = ~valid & grow(valid, 2)
    if not edge.any():
        return filled
    seen = blur(nearest_colour(picture, valid), 1.5)
    off = np.where(edge[..., None], seen - blur(filled, 1.5), 0).astype(np.float32)
    sigma = 0.008 * height
    along = blur(off, sigma) / np.maximum(blur(edge, sigma), 1e-3)[..., None]
    spread = blur(nearest_colour(np.asarray(along, np.float32), np.asarray(edge)), 2)
    distance = cv2.distanceTransform((~valid).astype(np.uint8), cv2.DIST_L2, 5)
    share = np.exp(-distance / (0.035 * height)) * ~valid
    return np.asarray(filled + np.clip(spread, -70, 70) * share[..., None], np.float32)


def _defocus(filled: FloatArray, picture: FloatArray, valid: Mask) -> FloatArray:
    """What was made up grows soft with its distance from what is seen: wrong things have no edges there."""
    height = valid.shape[0]
    whole = np.where(valid[..., None], picture, filled).astype(np.float32)
    depth = cv2.distanceTransform((~valid).astype(np.uint8), cv2.DIST_L2, 5) / height
    out = whole
    for near, far, sigma in ((0.0, 0.04, 0.003), (0.03, 0.10, 0.008), (0.08, 0.2, 0.016)):
        share = smooth(depth, near, far)[..., None]
        out = out * (1 - share) + blur(whole, sigma * height) * share
    return add_grain(np.asarray(out, np.float32), ~valid, picture, grow(valid, -6))


def _strands(scene: Scene, valid: Mask) -> Mask:
    """Hair that stands off the head, thinner than any cut-out finds; nothing where the room is not plain."""
    above = scene.grid[..., 1] < scene.points[1, 1]
    around = valid & above & grow(~valid & above & scene.person, _STRANDS * scene.unit)
    plain = fill_smooth(scene.picture, valid & ~around)
    found = around & (np.abs(scene.picture - plain).mean(-1) > _STRAND_LEVELS)
    if not around.any() or float(found[around].mean()) > _STRAND_SHARE:
        return np.zeros(valid.shape, bool)
    # What is thicker than hair is a thing of the room.
    thick = cv2.morphologyEx(found.astype(np.uint8), cv2.MORPH_OPEN, np.ones((5, 5), np.uint8)) > 0
    return grow(found & ~grow(np.asarray(thick), 4), 3)


def make_room(scene: Scene, arms: list[ArmSeen]) -> ByteArray:
    """The picture without the person."""
    height = scene.person.shape[0]
    person = scene.person | (scene.alpha > 0.02)
    for arm in arms:
        if arm.hand_seen:
            person |= np.asarray(arm.reach)
    valid = ~grow(np.asarray(person), max(5, height // 65))
    valid &= ~_strands(scene, np.asarray(valid))
    if int(valid.sum()) < 100:
        valid = ~scene.person
    calm = np.asarray(cv2.GaussianBlur(fill_smooth(scene.picture, valid), (0, 0), 2), np.float32)
    # Rooms are made of level lines, curtains of upright ones: near the hole's edge they go on as they are.
    upright = _is_upright(scene.picture, np.asarray(valid))
    rough, patches = _complete(scene.picture, np.asarray(valid), calm, upright)
    # Plain walls are better smooth: patches of a gradient leave steps.
    plain = add_grain(rough, ~valid, scene.picture, grow(valid, -6))
    busy = _busy(scene.picture, np.asarray(valid))[..., None]
    filled = plain * (1 - busy) + patches * busy
    filled = _defocus(filled, scene.picture, np.asarray(valid))
    soft = blur(~valid, 2)[..., None]
    blended = np.where(valid[..., None], scene.picture * (1 - soft) + filled * soft, filled)
    return np.asarray(np.clip(np.rint(blended), 0, 255), np.uint8)
