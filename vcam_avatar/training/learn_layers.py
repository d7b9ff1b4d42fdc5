"""What one picture hides and a video shows: the torso behind the arms, and the room behind the person."""

from dataclasses import replace
from typing import Any

import cv2
import numpy as np

from vcam_avatar.avatars.layers import Layers
from vcam_avatar.media import ByteArray, FloatArray
from vcam_avatar.stages.body import PreparedBody
from vcam_avatar.training.learn_scene import Scene, rest_maps

_SEEN = 4
"""In so many frames something must be seen to be believed."""
_PERSON = 200
"""Of a mask: surely the person."""
_ROOM_MOVES = 12.0
"""Median difference, in grey levels, of a room that is another one or was filmed by a hand."""


def learn_room(scene: Scene, layers: Layers, numbers: list[int]) -> Layers:
    """The room where the person stood in the picture and not in the video; the median of what is seen."""
    if layers.background_bgr is None or not scene.clip.same_place:
        return layers
    size = (layers.size.width_px, layers.size.height_px)
    scale = size[0] / scene.picture.shape[1]
    wide = max(3, round(0.06 * scene.unit)) | 1
    kernel = np.ones((wide, wide), np.uint8)
    hidden = _resized(cv2.dilate(scene.picture[..., 3], kernel), size) > 10
    rows, columns = np.nonzero(hidden)
    if not len(rows):
        return layers
    colours = np.full((len(numbers), len(rows), 3), np.nan, np.float32)
    apart = []
    for k, number in enumerate(numbers):
        frame = scene.clip.frame(number, scale, size)
        free = _resized(cv2.dilate(scene.mask(number), kernel), size) <= 10
        both = free & ~hidden
        if both.any():
            apart.append(float(np.median(np.abs(frame[both].astype(np.int16) - layers.background_bgr[both]))))
        part = free[rows, columns]
        colours[k, part] = frame[rows, columns][part]
    if not apart or float(np.median(apart)) > _ROOM_MOVES:
        return layers
    seen = np.isfinite(colours[..., 0]).sum(0) >= _SEEN
    room = layers.background_bgr.copy()
    room[rows[seen], columns[seen]] = np.rint(np.nanmedian(colours[:, seen], 0))
    # What is still made up takes on the tone of what is seen beside it.
    gap = np.zeros(hidden.shape, np.float32)
    gap[rows[~seen], columns[~seen]] = 1
    fresh = _toned(layers.background_bgr, room, hidden & (gap == 0), gap > 0, 0.25 * scene.unit * scale)
    return replace(layers, background_bgr=np.where(gap[..., None] > 0, fresh, room).astype(np.uint8))


def learn_torso(scene: Scene, layers: Layers, body: PreparedBody, numbers: list[int]) -> Layers:
    """Head, torso and lap where the picture's arms hide them.

    Args:
        body: prepared with ``layers`` and how the person bends.
    """
    size = (layers.size.width_px, layers.size.height_px)
    scale = size[0] / scene.picture.shape[1]
    ratio = scale / scene.scale
    shape = (scene.size.height_px, scene.size.width_px)
    hidden = _behind_arms(scene, layers, size)
    rows, columns = np.nonzero(hidden)
    if not len(rows):
        return layers
    colours = np.full((len(numbers), len(rows), 3), np.nan, np.float32)
    covers = np.full((len(numbers), len(rows)), np.nan, np.float32)
    for k, number in enumerate(numbers):
        scene.draw(body, number)
        # Fine pixels of the picture, and where they are in the frame.
        maps = [
            np.asarray(cv2.resize(m, size, interpolation=cv2.INTER_LINEAR)[rows, columns], np.float32)
            for m in rest_maps(body, shape)
        ]
        coarse = [m.reshape(-1, 1) for m in maps]
        fine = [(m + 0.5) * ratio - 0.5 for m in coarse]
        frame = scene.clip.frame(number, scale, size)
        arms = _remap(scene.arms(scene.places(number)), *coarse)
        inside = (maps[0] > 0) & (maps[0] < shape[1] - 1) & (maps[1] > 0) & (maps[1] < shape[0] - 1)
        free = (arms < 2) & inside
        colours[k, free] = _remap(frame, *fine)[free]
        covers[k, free] = _remap(scene.mask(number), *coarse)[free]
    known = np.isfinite(covers).sum(0) >= _SEEN
    colours[~(covers > _PERSON)] = np.nan  # comparisons with NaN are False
    coloured = known & (np.isfinite(colours[..., 0]).sum(0) >= _SEEN - 1)
    core = layers.core_bgra.astype(np.float32)
    part = core[rows, columns]
    old = part.copy()
    part[coloured, :3] = np.nanmedian(colours[:, coloured], 0)
    part[known, 3] = np.nanmedian(covers[:, known], 0)
    part[known & ~coloured & (part[:, 3] > 0), 3] = 0
    core[rows, columns] = part
    changed = np.zeros(hidden.shape, np.float32)
    changed[rows[known], columns[known]] = 1
    core[..., 3] = np.where(changed > 0, _calm_edge(core[..., 3], 0.012 * scene.unit * ratio), core[..., 3])
    part[:, 3] = core[rows, columns, 3]
    # No edge where what is seen in the video meets the picture.
    soft = cv2.GaussianBlur(cv2.erode(changed, np.ones((3, 3), np.uint8)), (0, 0), max(1.0, 0.008 * size[1]))
    soft = np.minimum(soft * 1.6, 1)[rows, columns][:, None]
    solid = (old[:, 3:] > 250) & (part[:, 3:] > 250)
    core[rows, columns] = np.where(solid, part * soft + old * (1 - soft), part)
    return replace(layers, core_bgra=np.asarray(np.rint(np.clip(core, 0, 255)), np.uint8))


def _behind_arms(scene: Scene, layers: Layers, size: tuple[int, int]) -> ByteArray:
    """Where the picture's own arms lie, with a border: bool ``(h, w)`` of the layers."""
    own = np.zeros((size[1], size[0]), np.uint8)
    for arm in (layers.left, layers.right):
        if arm is None or arm.own is None:
            continue
        cut = arm.own.image_bgra[..., 3]
        top, left = arm.own.top_px, arm.own.left_px
        place = own[top : top + cut.shape[0], left : left + cut.shape[1]]
        np.maximum(place, cut[: place.shape[0], : place.shape[1]], out=place)
    wide = max(3, round(0.05 * scene.unit / scene.scale * size[0] / scene.picture.shape[1])) | 1
    area = scene.arms(scene.points[:, :2] * np.float32(scene.scale), upper=0.6)
    near = _resized(area, size) > 127
    return np.asarray((cv2.dilate(own, np.ones((wide, wide), np.uint8)) > 10) & near)


def _calm_edge(alpha: FloatArray, sigma: float) -> FloatArray:
    """An outline without the fringe that medians of many frames leave."""
    soft = cv2.GaussianBlur(alpha, (0, 0), max(1.0, sigma)) / 255
    return np.asarray(np.clip((soft - 0.5) * 3 + 0.5, 0, 1) * 255, np.float32)


def _toned(old: ByteArray, new: ByteArray, known: Any, wanted: Any, sigma: float) -> FloatArray:
    """``old`` plus the smooth difference of ``new`` from it where ``known``, applied at ``wanted``."""
    small = 8
    shape = (max(2, old.shape[1] // small), max(2, old.shape[0] // small))
    weight = known.astype(np.float32)
    change: Any = (new.astype(np.float32) - old) * weight[..., None]
    change = cv2.GaussianBlur(cv2.resize(change, shape, interpolation=cv2.INTER_AREA), (0, 0), sigma / small)
    total = cv2.GaussianBlur(cv2.resize(weight, shape, interpolation=cv2.INTER_AREA), (0, 0), sigma / small)
    tone: Any = change / np.maximum(total, 0.02)[..., None]
    tone = cv2.resize(tone, (old.shape[1], old.shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.clip(old + tone * wanted[..., None], 0, 255), np.float32)


def _remap(image: ByteArray, columns: FloatArray, rows: FloatArray) -> FloatArray:
    """``image`` at ``(n, 1)`` places: float32 ``(n,)`` or ``(n, 3)``; more than OpenCV takes in one go."""
    out = []
    for first in range(0, len(columns), 30000):
        part = slice(first, first + 30000)
        out.append(cv2.remap(image, columns[part], rows[part], cv2.INTER_LINEAR)[:, 0])
    return np.concatenate(out).astype(np.float32)


def _resized(image: Any, size: tuple[int, int]) -> ByteArray:
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), np.uint8)
