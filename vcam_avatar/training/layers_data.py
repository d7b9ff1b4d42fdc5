"""The factory's people as training data of the layer network: made to look less alike than they are.

A picture is cut out, put before another background, turned, scaled, coloured, spoilt; the person mask and
the keypoints become as rough as those found in real pictures.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vcam_avatar.avatars.layers_parts import PARTS, SIDE_PX, crop_square, stack_input
from vcam_avatar.errors import MediaError
from vcam_avatar.factory.backdrops import backdrop
from vcam_avatar.factory.bodies import LAYERS
from vcam_avatar.factory.scene import sample_background
from vcam_avatar.factory.shards import Sample, ShardFolder
from vcam_avatar.factory.truth import PARTS as MATERIALS
from vcam_avatar.media import ByteArray, FloatArray
from vcam_avatar.stages.pose_layout import HAND_POINTS, LEFT_HAND, RIGHT_HAND
from vcam_avatar.training.face_shards import is_held_out

UNKNOWN = 255
"""Label of pixels that nothing is known about."""
KEYPOINTS = 57
MOST_HELD_OUT = 120
_HEAD = (
    "face_skin",
    "lips",
    "hair",
    "eye_white",
    "brow",
    "mouth_inside",
    "teeth",
    "tongue",
    "lashes",
    "iris",
    "gear",
)
_ON_ARM = {"sleeve": 0, "arm_skin": 1, "hand": 2}
_MIRROR = np.arange(256, dtype=np.uint8)
_MIRROR[3:9] = (6, 7, 8, 3, 4, 5)
_SWAPPED = np.r_[0, 1, 5, 6, 7, 2, 3, 4, 8, 10, 9, 12, 11, 14, 13, 36:57, 15:36]
"""Keypoints after the picture was mirrored."""
_ROOMS = ("room", "office", "neon", "dusk", "glade")


def part_labels(materials: ByteArray, owner: ByteArray) -> ByteArray:
    """Classes of ``layers_parts.PARTS`` from the factory's materials and owners, uint8 ``(H, W)``."""
    table = np.full(len(MATERIALS), PARTS.index("torso"), np.uint8)
    table[0] = 0
    table[[MATERIALS.index(name) for name in _HEAD]] = PARTS.index("head")
    out: ByteArray = table[materials]
    for number, first in ((LAYERS.index("right_arm") + 1, 3), (LAYERS.index("left_arm") + 1, 6)):
        for name, offset in _ON_ARM.items():
            out[(owner == number) & (materials == MATERIALS.index(name))] = first + offset
    return out


@dataclass
class LayerSet:
    """Pictures of many people in memory."""

    rgba: ByteArray
    """uint8 ``(n, 256, 256, 4)``, straight alpha."""
    label: ByteArray
    """uint8 ``(n, 256, 256)``, classes of ``layers_parts.PARTS``."""
    core: ByteArray
    """uint8 ``(n, 256, 256)``: alpha of head and torso without arms, complete; 255 - ``UNKNOWN`` unused."""
    has_core: NDArray[np.bool_]
    """bool ``(n,)``: whether ``core`` is known."""
    points: FloatArray
    """float32 ``(n, 57, 3)``: keypoints in pixels, 1 where visible."""
    face: FloatArray
    """float32 ``(n, 68, 2)``: landmarks in pixels."""

    def __len__(self) -> int:
        return len(self.rgba)


def load_people(folders: list[Path], limit: int, others: int = 2) -> tuple[LayerSet, LayerSet]:
    """Read people of 'factory bodies' sets: the first picture, whose layers are known, and ``others`` more.

    Returns:
        Those to train on, and those never trained on (the first picture of each).

    Raises:
        MediaError: too few.
    """
    places = [(shards, key) for shards in map(ShardFolder, folders) for key in shards.keys]
    train = [p for p in places if not is_held_out(p[1])]
    held = [p for p in places if is_held_out(p[1])]
    if not train or not held:
        raise MediaError("too few people: make more")
    step = max(1.0, len(train) / limit)
    train = [train[int(k * step)] for k in range(min(limit, len(train)))]
    return _read(train, others), _read(held[:MOST_HELD_OUT], 0)


def _read(places: list[tuple[ShardFolder, str]], others: int) -> LayerSet:
    count = len(places) * (1 + others)
    size = (count, SIDE_PX, SIDE_PX)
    out = LayerSet(
        np.zeros((*size, 4), np.uint8), np.zeros(size, np.uint8), np.zeros(size, np.uint8),
        np.zeros(count, bool), np.zeros((count, KEYPOINTS, 3), np.float32),
        np.zeros((count, 68, 2), np.float32),
    )  # fmt: skip
    row = 0
    for shards, key in places:
        rng = np.random.default_rng(int(key))
        for number in (0, *(1 + rng.permutation(9)[:others])):
            sample = _picture(shards, key, int(number))
            out.rgba[row] = sample.pictures[str(number)]
            out.label[row] = part_labels(sample.arrays["parts"][number], sample.arrays["owner"][number])
            out.points[row] = sample.arrays["keypoints"][number, :KEYPOINTS]
            out.face[row] = sample.arrays["landmarks"][number]
            if number == 0:
                out.core[row], out.has_core[row] = sample.pictures["0_core"][..., 3], True
            row += 1
    return out


def _picture(shards: ShardFolder, key: str, number: int) -> Sample:
    names = {str(number)} | ({"0_core"} if number == 0 else set())
    return shards.read(key, lambda name: name in names)


@dataclass
class Example:
    """One picture as the network gets it."""

    planes: FloatArray
    """float32 ``(11, S, S)``."""
    label: ByteArray
    """uint8 ``(S, S)``, ``UNKNOWN`` outside the picture."""
    core: FloatArray
    """float32 ``(S, S)``, 0 to 1; -1 where it is not known."""


def plain_example(people: LayerSet, row: int) -> Example:
    """A picture as it is, before a soft backdrop that only depends on ``row``."""
    return make_example(people, row, np.random.default_rng(row), spoil=False)


def make_example(people: LayerSet, row: int, rng: np.random.Generator, spoil: bool = True) -> Example:
    """Cut the square around a person of ``people``; ``spoil``: changed at random in every way."""
    points = people.points[row].copy()
    rgba, label, core = people.rgba[row], people.label[row], people.core[row]
    if spoil and rng.random() < 0.5:
        rgba, core = rgba[:, ::-1], core[:, ::-1]
        label = _MIRROR[label[:, ::-1]]
        points = points[_SWAPPED]
        points[:, 0] = SIDE_PX - points[:, 0]
    warp = _square(points, rng, spoil)
    points[:, :2] = points[:, :2] @ warp[:, :2].T + warp[:, 2]
    centre = warp.copy()
    centre[:, 2] += warp[:, :2] @ [0.5, 0.5] - 0.5
    size = (SIDE_PX, SIDE_PX)

    def moved(image: Any, flags: int, border: Any = 0) -> Any:
        return cv2.warpAffine(np.ascontiguousarray(image), centre, size, flags=flags, borderValue=border)

    inside = moved(np.full(label.shape, 255, np.uint8), cv2.INTER_LINEAR)
    label = moved(label, cv2.INTER_NEAREST, UNKNOWN)
    core = moved(core, cv2.INTER_LINEAR)
    picture = rgba.astype(np.float32)
    # Colours of transparent pixels are accidents: premultiply before pixels are mixed.
    picture[..., :3] *= picture[..., 3:] / 255
    picture = moved(picture, cv2.INTER_LINEAR)
    alpha = picture[..., 3] / 255
    colour = picture[..., :3] / np.maximum(alpha, 1e-3)[..., None]
    if spoil:
        colour = _recoloured(colour, label, rng)
    wall = (_wall_behind(rng) if spoil else sample_background(rng, SIDE_PX, SIDE_PX)).astype(np.float32)
    rgb = colour * alpha[..., None] + wall * (1 - alpha[..., None])
    mask = alpha * 255
    if spoil:
        rgb = _spoilt(rgb, rng)
        mask = _rough_mask(alpha, label, rng)
        points = _rough_points(points, rng)
    else:
        points[:, 2] = np.maximum(points[:, 2], 0.4)
    rgb = np.clip(rgb, 0, 255)
    rgb = np.where(inside[..., None] > 0, rgb, 128)
    known = np.where(inside > 127, core.astype(np.float32) / 255, -1.0)
    if not people.has_core[row]:
        known[:] = -1
    planes = stack_input(rgb, np.clip(mask, 0, 255) * (inside > 0), inside, points)
    return Example(planes, label, known.astype(np.float32))


def _square(points: FloatArray, rng: np.random.Generator, spoil: bool) -> FloatArray:
    """Picture -> square, ``(2, 3)``."""
    left, top, side = crop_square(
        np.where(points[:, 2:] < 0.5, points * [1, 1, 0], points).astype(np.float32)
    )
    zoom, angle, shift = 1.0, 0.0, np.zeros(2)
    if spoil:
        zoom = float(np.exp(rng.uniform(-0.15, 0.45)))
        angle = float(np.radians(rng.normal(0, 5)))
        shift = rng.normal(0, 0.06, 2) * SIDE_PX
    scale = SIDE_PX / side * zoom
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    if spoil:
        turn = turn @ np.diag(np.exp(rng.normal(0, 0.06, 2)))
    middle = np.array([left + side / 2, top + side / 2])
    return np.concatenate([turn, (SIDE_PX / 2 + shift - turn @ middle)[:, None]], 1).astype(np.float32)


@lru_cache(maxsize=1)
def _grains() -> FloatArray:
    """Normal noise ``(16, S, S, 3)``, made once: drawing it anew takes longer than all else."""
    return np.random.default_rng(0).standard_normal((16, SIDE_PX, SIDE_PX, 3), np.float32)


def _numbers(rng: np.random.Generator, low: float, high: float) -> FloatArray:
    """Three numbers for three colours, float32."""
    return rng.uniform(low, high, 3).astype(np.float32)


def _smooth_noise(rng: np.random.Generator, cells: int) -> FloatArray:
    """Between -1 and 1, ``(S, S)``."""
    coarse = rng.uniform(-1, 1, (cells, cells)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_CUBIC))


@lru_cache(maxsize=512)
def _stored_wall(number: int) -> ByteArray:
    return _wall(np.random.default_rng(number))


def _wall_behind(rng: np.random.Generator) -> ByteArray:
    """One of 512 walls, mirrored and shifted."""
    wall = _stored_wall(int(rng.integers(512)))
    wall = wall[:, ::-1] if rng.random() < 0.5 else wall
    return np.roll(wall, int(rng.integers(SIDE_PX)), 1)


def _wall(rng: np.random.Generator) -> ByteArray:
    """What stands behind a person, RGB."""
    kind = rng.random()
    if kind < 0.15:
        return np.full((SIDE_PX, SIDE_PX, 3), rng.integers(0, 256, 3), np.uint8)
    if kind < 0.35:
        tint = "#" + bytes(rng.integers(40, 220, 3).tolist()).hex()
        room = backdrop(str(rng.choice(_ROOMS)), tint, int(rng.integers(40)))
        side = int(min(room.shape[:2]) * rng.uniform(0.5, 1))
        y, x = (int(rng.integers(0, n - side + 1)) for n in room.shape[:2])
        part = room[y : y + side, x : x + side, ::-1]
        return np.asarray(cv2.resize(part, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA), np.uint8)
    soft = sample_background(rng, SIDE_PX, SIDE_PX)
    if kind > 0.9:
        return soft
    # Boxes and bars with edges: furniture, frames, lamps.
    for _ in range(int(rng.integers(1, 9))):
        at = rng.integers(-60, SIDE_PX, 2)
        reach = at + rng.integers(8, 160, 2)
        corners = cv2.boxPoints(
            ((*map(float, (at + reach) / 2),), (*map(float, reach - at),), float(rng.normal(0, 12)))
        )
        tone = rng.integers(0, 256, 3).tolist()
        cv2.fillPoly(soft, [corners.astype(np.int32)], tone, cv2.LINE_AA)
    busy = _smooth_noise(rng, int(rng.integers(4, 90)))[..., None] * rng.uniform(0, 50)
    out = cv2.GaussianBlur(np.clip(soft + busy, 0, 255).astype(np.uint8), (0, 0), float(rng.uniform(0.3, 4)))
    return np.asarray(out, np.uint8)


def _recoloured(colour: FloatArray, label: ByteArray, rng: np.random.Generator) -> FloatArray:
    """Clothes and skin in other colours; patterns and folds on clothes."""
    out = colour
    cloth = np.isin(label, (2, 3, 6)).astype(np.float32)[..., None]
    if rng.random() < 0.6:
        mean = float((out * cloth).sum() / max(3 * float(cloth.sum()), 1))
        tone = (
            _numbers(rng, 10, 245)
            if rng.random() < 0.7
            else np.array([200, 150, 120], np.float32) * np.float32(rng.uniform(0.4, 1.2))
        )
        dyed = (out.mean(-1, keepdims=True) / max(mean, 20)) * tone
        share = np.float32(rng.uniform(0.5, 1))
        out = out * (1 - cloth * share) + dyed * cloth * share
    if rng.random() < 0.4:
        y, x = np.mgrid[:SIDE_PX, :SIDE_PX].astype(np.float32)
        angle, period = rng.uniform(0, np.pi), rng.uniform(3, 40)
        wave = np.sin(
            (x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / period + 3 * _smooth_noise(rng, 5)
        )
        if rng.random() < 0.5:
            wave = np.sign(wave)
        out = out + (wave[..., None] * cloth) * rng.normal(0, 25, 3).astype(np.float32)
    if rng.random() < 0.6:
        folds = _smooth_noise(rng, int(rng.integers(4, 40)))[..., None] * cloth
        out = out * (1 + folds * rng.uniform(0, 0.4))
    if rng.random() < 0.4:
        skin = np.isin(label, (4, 5, 7, 8)).astype(np.float32)[..., None]
        out = out * (1 + skin * (_numbers(rng, 0.6, 1.3) - 1))
    return np.asarray(out, np.float32)


def _spoilt(rgb: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Light, colour, blur, noise, compression."""
    out: Any = rgb
    if rng.random() < 0.5:
        out = out * (1 + _smooth_noise(rng, 3)[..., None] * rng.uniform(0, 0.4))
    out = 255 * np.clip(out / 255, 0, 1) ** float(np.exp(rng.normal(0, 0.3)))
    out = (out - 128) * float(np.exp(rng.normal(0, 0.2))) + 128
    out = out + (rng.normal(0, 18) + rng.normal(0, 10, 3)).astype(np.float32)
    if rng.random() < 0.12:
        out = np.repeat(out.mean(-1, keepdims=True), 3, -1)
    if rng.random() < 0.5:
        out = cv2.GaussianBlur(out.astype(np.float32), (0, 0), float(rng.uniform(0.3, 2.0)))
    if rng.random() < 0.4:
        grain = np.roll(_grains()[int(rng.integers(16))], int(rng.integers(SIDE_PX)), 0)
        out = out + grain * np.float32(rng.uniform(1, 12))
    out = np.clip(out, 0, 255)
    if rng.random() < 0.4:
        data = cv2.imencode(
            ".jpg", out.astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 95))]
        )[1]
        out = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.float32)
    return np.asarray(out, np.float32)


def _rough_mask(alpha: FloatArray, label: ByteArray, rng: np.random.Generator) -> FloatArray:
    """A person mask as a small network draws it, 0 to 255."""
    if rng.random() < 0.25:
        return alpha * 255
    mask: Any = alpha.copy()
    if rng.random() < 0.35:
        hands = np.isin(label, [(5,), (8,), (5, 8), (4, 5, 7, 8)][int(rng.integers(4))])
        lost = cv2.dilate(hands.astype(np.uint8), np.ones((5, 5), np.uint8))
        mask = mask * (1 - lost * rng.uniform(0.3, 1))
    if rng.random() < 0.3:
        blob = np.zeros(mask.shape, np.uint8)
        for _ in range(int(rng.integers(1, 4))):
            at, axes = rng.integers(0, SIDE_PX, 2).tolist(), rng.integers(4, 30, 2).tolist()
            cv2.ellipse(blob, at, axes, float(rng.uniform(0, 180)), 0, 360, 1, -1)
        mask = np.where(blob > 0, rng.random() < 0.5, mask).astype(np.float32)
    mask = cv2.GaussianBlur(mask, (0, 0), float(rng.uniform(1.0, 5.0)))
    mask = mask + 0.35 * _smooth_noise(rng, int(rng.integers(4, 40))) * (mask > 0.02) * rng.uniform(0, 1)
    edge = rng.uniform(0.25, 0.75)
    mask = np.clip((mask - edge) / rng.uniform(0.1, 0.6) + 0.5, 0, 1)
    return np.asarray(mask * 255, np.float32)


def _rough_points(points: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Keypoints as a detector finds them: off by a little, some missing, hidden ones guessed."""
    out = points.copy()
    unit = max(float(np.hypot(*(points[2, :2] - points[5, :2]))), 8.0)
    out[:, :2] += rng.normal(0, 0.025 * unit, (len(out), 2))
    out[:, :2] += rng.normal(0, 0.02 * unit, 2)
    hidden = out[:, 2] < 0.5
    out[:, 2] = np.where(hidden, rng.random(len(out)) < 0.6, rng.random(len(out)) < 0.95)
    frame = (points[:, :2] > -8).all(1) & (points[:, :2] < SIDE_PX + 8).all(1)
    out[~frame, 2] *= rng.random() < 0.3
    for start in (LEFT_HAND, RIGHT_HAND):
        hand = slice(start, start + HAND_POINTS)
        found = (~hidden[hand]).mean() > 0.4 and rng.random() < 0.75
        out[hand, 2] = float(found)
        if found:
            out[hand, :2] += rng.normal(0, 0.04 * unit, 2)
    out[[2, 5], 2] = 1
    return np.asarray(out, np.float32)
