"""The arms as the picture shows them, cut out: nothing is truer near the picture's own pose."""

from dataclasses import replace

import cv2
import numpy as np

from vcam_avatar.avatars.layers import SIDES, Cutout, Layers
from vcam_avatar.avatars.layers_fill import Mask, blur, distance_to_bone, grow, nearest_colour
from vcam_avatar.media import ByteArray, FloatArray

_STRIP_ROWS = 64
"""Rows of the picture looked at together."""
_DIFFERENT = 12
"""Grey levels between picture and armless layers that show an arm."""
_SOLID = 0.96
"""Alpha from which a pixel's colour is the person's alone."""


def cut_own_arms(layers: Layers, picture_bgra: ByteArray, joints: dict[str, FloatArray]) -> Layers:
    """Cut the arms out of the picture: what the layers without arms do not show.

    Args:
        layers: of the picture.
        picture_bgra: uint8 ``(h, w, 4)`` at the layers' size, straight alpha is the person.
        joints: side -> ``(24, 2)`` shoulder, elbow, wrist and 21 hand points in pixels of the layers.

    Returns:
        The same layers with ``own`` for every arm that the picture shows.
    """
    height, width = picture_bgra.shape[:2]
    difference = np.empty((height, width), np.float32)
    near = {side: np.empty((height, width), np.float32) for side in joints}
    xs = np.arange(width, dtype=np.float32) + 0.5
    # In strips of rows: whole pictures as floats would be the most memory ever needed.
    for top in range(0, height, _STRIP_ROWS):
        rows = slice(top, min(height, top + _STRIP_ROWS))
        difference[rows] = _difference(layers, picture_bgra, rows)
        ys = np.arange(rows.start, rows.stop, dtype=np.float32) + 0.5
        grid = np.stack(np.meshgrid(xs, ys), -1)
        for side, points in joints.items():
            near[side][rows] = _distance(grid, points)
    different = (difference > _DIFFERENT) & (picture_bgra[..., 3] > 40)
    unit = float(np.hypot(*(joints["left"][0] - joints["right"][0])))
    arms = {side: layers.arm(side) for side in SIDES}
    for side, other in (("left", "right"), ("right", "left")):
        arm = arms[side]
        if arm is None:
            continue
        mine = different & (near[side] < 0.8 * unit) & (near[side] <= near[other] + 0.02 * unit)
        mask = _solid(np.asarray(mine), unit)
        if int(mask.sum()) < (0.12 * unit) ** 2:
            continue
        soft = blur(grow(mask, 3), 1.5) * (picture_bgra[..., 3] / np.float32(255))
        arms[side] = replace(arm, own=_cut(picture_bgra, np.asarray(soft, np.float32)))
    return replace(layers, left=arms["left"], right=arms["right"])


def _cut(picture_bgra: ByteArray, alpha: FloatArray) -> Cutout:
    """The part where ``alpha`` is not 0, a transparent rim around it; no room in the colours of its edge."""
    rows, columns = np.nonzero((alpha > 0.004).any(1))[0], np.nonzero((alpha > 0.004).any(0))[0]
    top, left = max(0, int(rows[0]) - 2), max(0, int(columns[0]) - 2)
    box = np.s_[top : int(rows[-1]) + 3, left : int(columns[-1]) + 3]
    person = picture_bgra[box][..., 3] / np.float32(255)
    colour = picture_bgra[box][..., :3].astype(np.float32)
    inside = grow(np.asarray(person > _SOLID), -1)
    if inside.any():
        colour = np.where((person > _SOLID)[..., None], colour, nearest_colour(colour, inside))
    out = np.concatenate([colour, alpha[box][..., None] * 255], -1)
    return Cutout(np.asarray(np.clip(np.rint(out), 0, 255), np.uint8), left, top)


def _difference(layers: Layers, picture_bgra: ByteArray, rows: slice) -> FloatArray:
    """Greatest difference of any colour between those rows of the picture and the layers without arms."""
    core, seen = layers.core_bgra[rows].astype(np.float32), picture_bgra[rows]
    if layers.background_bgr is not None:
        behind = layers.background_bgr[rows].astype(np.float32)
        shown = seen[..., :3].astype(np.float32)
    else:
        behind = np.zeros((*seen.shape[:2], 3), np.float32)
        shown = np.asarray(seen[..., :3] * (seen[..., 3:] / np.float32(255)), np.float32)
    alpha = core[..., 3:] / 255
    return np.asarray(np.abs(core[..., :3] * alpha + behind * (1 - alpha) - shown).max(-1), np.float32)


def _distance(grid: FloatArray, points: FloatArray) -> FloatArray:
    """To the arm's bones, the shoulder's cap left out."""
    shoulder, elbow, wrist = points[:3]
    start = shoulder + 0.25 * (elbow - shoulder)
    out = np.minimum(distance_to_bone(grid, start, elbow)[0], distance_to_bone(grid, elbow, wrist)[0])
    for finger in range(5):
        for a, b in ((0, 2 + 4 * finger), (2 + 4 * finger, 4 + 4 * finger)):
            out = np.minimum(out, distance_to_bone(grid, points[3 + a], points[3 + b])[0])
    return np.asarray(out, np.float32)


def _solid(mask: Mask, unit: float) -> Mask:
    """Without holes and crumbs: sleeves look like the shirt behind them in places."""
    closed = grow(grow(mask, 0.06 * unit), -0.06 * unit) | mask
    contours, _ = cv2.findContours(closed.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    out = np.zeros(mask.shape, np.uint8)
    large = [c for c in contours if cv2.contourArea(c) > (0.08 * unit) ** 2]
    cv2.drawContours(out, large, -1, 1, cv2.FILLED)
    return out > 0
