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
_CALM = 8.0
"""Median distance from the median, in grey levels, of a room that stands still."""
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
    seen = np.isfinite(colours[..., 0]).sum(0) >= max(_SEEN, len(numbers) // 8)
    room = layers.background_bgr.copy()
    values = colours[:, seen]
    median = np.nanmedian(values, 0)
    # What differs from frame to frame is a shadow, or an arm that the mask has not seen.
    calm = np.nanmedian(np.abs(values - median).max(2), 0) < _CALM
    seen[seen] = calm
    fresh = np.zeros((*hidden.shape, 3), np.float32)
    fresh[rows[seen], columns[seen]] = median[calm]
    area = (~hidden).astype(np.uint8)
    area[rows[seen], columns[seen]] = 1
    # Hair and sleeves that the masks miss lie along the edge of what is seen.
    area = np.asarray(cv2.morphologyEx(area, cv2.MORPH_OPEN, kernel), np.uint8)
    known = cv2.erode(area, np.ones((5, 5), np.uint8)) > 0
    new = known & hidden
    room[new] = np.rint(fresh[new])
    toned = _toned(layers.background_bgr, room, known | ~hidden, hidden & ~known)
    return replace(layers, background_bgr=np.where(new[..., None], room, toned).astype(np.uint8))


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
    # Specks that hang together with nothing are mistakes of the masks.
    _, labels, boxes, _ = cv2.connectedComponentsWithStats((core[..., 3] > 25).astype(np.uint8))
    loose = (labels != 1 + int(np.argmax(boxes[1:, cv2.CC_STAT_AREA]))) & (changed > 0)
    core[loose, 3] = 0
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


def _toned(old: ByteArray, new: ByteArray, known: Any, wanted: Any) -> FloatArray:
    """``old`` plus the difference of ``new`` from it where ``known``, carried on smoothly at ``wanted``."""
    small = 4
    shape = (max(2, old.shape[1] // small), max(2, old.shape[0] // small))
    weight = known.astype(np.float32)
    change = (new.astype(np.float32) - old) * weight[..., None]
    change = np.asarray(cv2.resize(change, shape, interpolation=cv2.INTER_AREA), np.float32)
    weight = np.asarray(cv2.resize(weight, shape, interpolation=cv2.INTER_AREA), np.float32)
    tone, total = np.zeros_like(change), np.zeros((*weight.shape, 1), np.float32)
    # As near to what is known as there is: no step where the one meets the other.
    for sigma in (1, 2, 4, 8, 16, 32):
        near = cv2.GaussianBlur(weight, (0, 0), sigma)[..., None]
        share = (1 - total) * np.clip(4 * near, 0, 1)
        tone += cv2.GaussianBlur(change, (0, 0), sigma) / np.maximum(near, 1e-3) * share
        total += share
    large: Any = cv2.resize(tone, (old.shape[1], old.shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.clip(old + large * wanted[..., None], 0, 255), np.float32)


def _remap(image: ByteArray, columns: FloatArray, rows: FloatArray) -> FloatArray:
    """``image`` at ``(n, 1)`` places: float32 ``(n,)`` or ``(n, 3)``; more than OpenCV takes in one go."""
    out = []
    for first in range(0, len(columns), 30000):
        part = slice(first, first + 30000)
        out.append(cv2.remap(image, columns[part], rows[part], cv2.INTER_LINEAR)[:, 0])
    return np.concatenate(out).astype(np.float32)


def _resized(image: Any, size: tuple[int, int]) -> ByteArray:
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), np.uint8)
