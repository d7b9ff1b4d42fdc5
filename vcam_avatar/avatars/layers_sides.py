"""Where the torso's sides are: as seen where the room shows them, calm lines between where arms hide them."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from vcam_avatar.avatars.layers_fill import Mask, blur, grow, large_parts
from vcam_avatar.avatars.layers_scene import ArmSeen, Scene
from vcam_avatar.media import FloatArray

ARMPIT = 0.3
"""Height below the shoulders from which the torso has sides of its own, shoulder widths."""
_BEHIND = 0.03
"""How far a side goes on behind the arm that hides it, shoulder widths."""
_STIFF = 0.22
"""Length over which a side line is straight, shoulder widths."""
_THIN = 0.022
"""Radius of slivers between arm and torso that are neither."""
_LEAST = 0.33
"""A torso is at least this wide from its middle, shoulder widths."""
_STEPS = 90
"""Rows at which a side is worked out."""


@dataclass(frozen=True)
class _Side:
    """One side by rows, as distances outwards from the middle line."""

    seen: FloatArray
    """Where the torso ends before the room; nan where something hides it."""
    crease: FloatArray
    """How far torso is seen, at least."""
    outer: FloatArray
    """Where person and arms end."""


def torso_sides(scene: Scene, arms: list[ArmSeen], skin: Mask, usual: Mask) -> tuple[Mask, Mask]:
    """The torso below the armpits, also where arms hide it, within the person and the arms.

    Args:
        skin: bare skin below the neck.
        usual: the torso's outline by the joints or by the layer network, for want of anything seen.

    Returns:
        The torso, and what is seen of it for certain: no slivers beside arms.
    """
    height, width = usual.shape
    unit = scene.unit
    first = int(np.clip(max(arm.shoulder[1] for arm in arms) + ARMPIT * unit, 0, height))
    rows = np.arange(first, height)
    out = usual.copy()
    if len(rows) < 4:
        # The picture ends at the shoulders.
        return out, scene.person & ~np.any([np.asarray(arm.region) for arm in arms], 0)
    out[first:] = False
    guessed = not all(arm.known for arm in arms)
    region = np.zeros(usual.shape, bool)
    for arm in arms:
        region |= np.asarray(arm.region)
    hidden = region | skin
    body = scene.person & ~hidden
    body[: max(0, first - round(0.3 * unit))] = False
    body = opened(body, _THIN * unit)
    body = large_parts(body, 0.03)
    middle = _middle(scene, rows)
    above = np.arange(max(0, first - round(ARMPIT * unit)), first)
    sides = [_walk(scene.person | region, body, rows, middle, sign, unit) for sign in (-1, 1)]
    reach = [_reach(usual[first:], middle, sign) for sign in (-1, 1)]
    if guessed:
        # Sleeves lie outside the guessed arms as well: only what ends early enough is the torso's side.
        sides = [_within(side, far) for side, far in zip(sides, reach, strict=True)]
    for k, sign in enumerate((-1, 1)):
        side = _line(sides[k], sides[1 - k], reach[k], unit)
        columns = np.arange(width)[None]
        offset = (columns - middle[:, None]) * sign
        out[first:] |= (offset >= 0) & (offset < side[:, None])
        # Towards the shoulders it widens no faster than armpits do.
        beyond = (columns - middle[0]) * sign > side[0] + 0.7 * (first - above)[:, None]
        out[above[0] : first] &= ~beyond
    body[:first] = (scene.person & ~hidden)[:first]
    # Narrow gaps between arm and body belong to neither.
    whole = _closed(scene.person | region, 0.05 * unit)
    return out & whole, body


def _closed(mask: Mask, radius: float) -> Mask:
    pad = round(radius) + 2
    framed = cv2.copyMakeBorder(mask.astype(np.uint8), pad, pad, pad, pad, cv2.BORDER_REPLICATE) > 0
    return np.asarray(grow(grow(np.asarray(framed), radius), -radius))[pad:-pad, pad:-pad] | mask


def opened(mask: Mask, radius: float) -> Mask:
    """Without parts thinner than twice ``radius``; the picture's border cuts nothing off."""
    pad = round(radius) + 2
    framed = cv2.copyMakeBorder(mask.astype(np.uint8), pad, pad, pad, pad, cv2.BORDER_REPLICATE) > 0
    core = grow(np.asarray(framed), -radius)
    return np.asarray(grow(core, radius + 0.5) & framed)[pad:-pad, pad:-pad]


def _middle(scene: Scene, rows: Any) -> Any:
    """Column of the body's middle in every row, whole numbers."""
    neck, hips = scene.points[1], (scene.points[9] + scene.points[10]) / 2
    share = np.clip((rows - neck[1]) / max(float(hips[1] - neck[1]), 1.0), 0, 1)
    middle = neck[0] + share * np.clip(hips[0] - neck[0], -0.25 * scene.unit, 0.25 * scene.unit)
    return np.asarray(np.rint(np.clip(middle, 1, scene.person.shape[1] - 2)), np.int64)


def _walk(whole: Mask, body: Mask, rows: Any, middle: Any, sign: int, unit: float) -> _Side:
    """Look outwards from the middle in every row until the room."""
    width = whole.shape[1]
    seen, crease, outer = (np.full(len(rows), np.nan) for _ in range(3))
    for k, y in enumerate(rows):
        part = np.s_[middle[k] :] if sign > 0 else np.s_[middle[k] :: -1]
        line, torso = whole[y, part], body[y, part]
        # Hands and hair before the chest are no end of it.
        start = round(0.2 * unit)
        ends = np.nonzero(~line[start:])[0]
        end = start + int(ends[0]) if len(ends) else len(line)
        shown = np.nonzero(torso[:end])[0]
        last = int(shown[-1]) + 1 if len(shown) else 0
        outer[k], crease[k] = end, last
        if last >= end - 3 and end > _LEAST * unit:
            # At the picture's border nothing is known but that it goes on.
            seen[k] = end if middle[k] + sign * end not in (width, -1) else np.nan
    crease = np.minimum(crease, outer)
    return _Side(seen, crease, outer)


def _within(side: _Side, usual: FloatArray) -> _Side:
    seen = np.where(side.seen < 1.06 * usual, side.seen, np.nan)
    crease = np.where(np.isfinite(seen), side.crease, np.minimum(side.crease, 0.9 * usual))
    return _Side(seen, crease, side.outer)


def _reach(usual: Mask, middle: Any, sign: int) -> FloatArray:
    out = np.zeros(len(usual), np.float32)
    for k, row in enumerate(usual):
        line = row[middle[k] :] if sign > 0 else row[middle[k] :: -1]
        out[k] = int(np.argmin(line)) if not line.all() else len(line)
    return out


def _line(side: _Side, other: _Side, usual: FloatArray, unit: float) -> FloatArray:
    """The side by rows: what is seen as it is, a stiff line through it where it is hidden."""
    # Barbs are rests of the arm: no cloth sticks out of the side that far within a few rows.
    crease = _without_barbs(side.crease, _odd(0.16 * unit))
    outer = -_without_barbs(-side.outer, _odd(0.12 * unit))
    known = np.isfinite(side.seen) & (side.crease < crease + 0.012 * unit + 1)
    known = _runs(np.asarray(known), _odd(0.08 * unit))
    step = np.gradient(blur(crease[None].astype(np.float32), max(0.02 * unit, 1.0))[0])
    # Arms beside the body leave an upright line; arms before it cross it.
    upright = ~known & (np.abs(step) < 0.6) & (crease > _LEAST * unit)
    upright = _runs(np.asarray(upright), _odd(0.05 * unit))
    target = np.where(known, side.seen, np.where(upright, crease + _BEHIND * unit, usual))
    weight = np.where(known, 1.0, np.where(upright, 0.15, 0.001))
    mirrored = ~known & ~upright & np.isfinite(other.seen)
    target = np.where(mirrored, other.seen, target)
    weight = np.where(mirrored, 0.02, weight)
    least = np.where(known, 0, crease)
    fit = _stiff(target, np.where(upright, 0.01, weight), least, unit)
    for _ in range(4):
        # Bites that hands took out of the side are not followed.
        near = np.exp(-((np.maximum(fit - target, 0) / (0.05 * unit)) ** 2))
        fit = _stiff(target, np.where(upright, np.maximum(0.15 * near, 0.001), weight), least, unit)
    if known.any():
        # Where the side comes to light the line meets it.
        off = np.where(known, np.nan_to_num(side.seen) - fit, 0.0)
        soft = max(0.03 * unit, 1.0)
        share = blur(known[None].astype(np.float32), soft)[0]
        carried = blur(off[None].astype(np.float32), soft)[0] / np.maximum(share, 1e-3)
        fit = fit + carried * np.clip(share * 2, 0, 1)
    return np.asarray(np.where(known, side.seen, np.clip(fit, crease, np.maximum(crease, outer))))


def _odd(length: float) -> int:
    return 2 * round(length / 2) + 1


def _without_barbs(values: FloatArray, rows: int) -> FloatArray:
    """Peaks of fewer than ``rows`` are cut off."""
    column = np.asarray(values, np.float32)[:, None]
    return np.asarray(cv2.morphologyEx(column, cv2.MORPH_OPEN, np.ones((rows, 1), np.uint8))[:, 0])


def _runs(mask: Mask, least: int) -> Mask:
    """Only runs of at least ``least``, an odd number."""
    kernel = np.ones((least, 1), np.uint8)
    return np.asarray(cv2.morphologyEx(mask.astype(np.uint8)[:, None], cv2.MORPH_OPEN, kernel)[:, 0] > 0)


def _stiff(target: FloatArray, weight: FloatArray, least: FloatArray, unit: float) -> FloatArray:
    """The line near ``target`` that bends least, never inside ``least``; by rows."""
    count = len(target)
    stride = max(1, -(-count // _STEPS))
    pad = -count % stride
    blocks = [np.concatenate([a, np.full(pad, a[-1])]).reshape(-1, stride) for a in (target, weight, least)]
    mass = blocks[1].mean(1)
    wanted = (blocks[0] * blocks[1]).sum(1) / np.maximum(blocks[1].sum(1), 1e-9)
    floor = np.percentile(blocks[2], 75, axis=1)
    n = len(wanted)
    if n < 4:
        return np.maximum(target, least)
    bend = np.diff(np.eye(n), 2, axis=0)
    slope = np.diff(np.eye(n), axis=0)
    span = _STIFF * unit / stride
    stiff = 0.02 * span**4 * bend.T @ bend + 0.002 * span**2 * slope.T @ slope
    line = wanted
    push = np.zeros(n)
    for _ in range(6):
        line = np.linalg.solve(stiff + np.diag(mass + push), mass * wanted + push * floor)
        push = np.where((line < floor - 0.5) | (push > 0), 1.0, 0.0)
    at = (np.arange(n) + 0.5) * stride - 0.5
    return np.asarray(np.interp(np.arange(count), at, line), np.float32)
