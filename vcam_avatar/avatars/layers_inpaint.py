"""Fill holes with patches of the picture itself: structure and texture go on where something stood before.

Coarse to fine, every hole pixel looks for the place in the source whose surroundings resemble its own
(random search and propagation, Barnes et al. 2009), then all of them vote for the colours (Wexler et al.
2007).
"""

from typing import Any

import cv2
import numpy as np

from vcam_avatar.avatars.layers_fill import Mask, blur, fill_smooth, grow
from vcam_avatar.media import FloatArray
from vcam_avatar.stages.kernels import njit

_RADIUS = 2
"""Of the square patches."""
_COARSEST_PX, _FINEST_PX = 30, 176
"""Heights between which the search runs; finer detail is copied from the places found."""
_ROUNDS = 4
"""Search and vote per level."""


def fill_patches(
    picture: FloatArray, hole: Mask, source: Mask, level_rows: float = 0.0, rough: FloatArray | None = None
) -> FloatArray:
    """Fill ``hole`` from patches of ``source``.

    Args:
        picture: float32 ``(h, w, 3)``.
        hole: what to fill.
        source: where patches may come from; what is neither hole nor source stays and guides.
        level_rows: how much patches from other heights are disliked: 1 in rooms, which are made of level
            lines; a twentieth of the height away then counts as much as 20 grey levels.
        rough: first guess; by default smooth colours.

    Returns:
        float32 ``(h, w, 3)``; a smooth fill where the source is too small for patches.
    """
    height, width = hole.shape
    if rough is None:
        rough = fill_smooth(picture, source)
    if not hole.any():
        return picture.astype(np.float32)
    heights = [_FINEST_PX if height > _FINEST_PX else height]
    while heights[-1] > 2 * _COARSEST_PX:
        heights.append(heights[-1] // 2)
    colour: FloatArray | None = None
    offsets: Any = None
    for rows in heights[::-1]:
        size = (max(2, round(width * rows / height)), rows)
        known = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.float32)
        small_hole = cv2.resize(hole.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.02
        small = cv2.resize(source.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.98
        centres = _whole_patches(np.asarray(small & ~small_hole))
        if int(centres.sum()) < 40:
            continue
        guess = rough if colour is None else colour
        guess = np.asarray(cv2.resize(guess, size, interpolation=cv2.INTER_AREA), np.float32)
        if colour is not None:
            guess = np.asarray(cv2.resize(colour, size, interpolation=cv2.INTER_LINEAR), np.float32)
        now = np.where(small_hole[..., None], guess, known).astype(np.float32)
        places = np.argwhere(centres).astype(np.int32)
        offsets = _first_places(offsets, small_hole, centres, places, size)
        penalty = np.float32(level_rows * 4e6 / rows**2)
        for turn in range(_ROUNDS):
            _search(now, small_hole, centres, offsets, penalty, turn + rows)
            now = _vote(now, small_hole, offsets)
        colour = now
    if colour is None or offsets is None:
        return rough
    return _copy_detail(picture, hole, offsets, colour, grow(source & ~hole, -1))


def _whole_patches(mask: Mask) -> Mask:
    kernel = np.ones((2 * _RADIUS + 1, 2 * _RADIUS + 1), np.uint8)
    inside = cv2.erode(mask.astype(np.uint8), kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return np.asarray(inside > 0)


def _first_places(before: Any, hole: Mask, centres: Mask, places: Any, size: tuple[int, int]) -> Any:
    """Where every hole pixel looks first: twice the coarser level's place, or at random."""
    rng = np.random.default_rng(3)
    width, height = size
    out = np.zeros((height, width, 2), np.int32)
    chosen = places[rng.integers(0, len(places), height * width)].reshape(height, width, 2)
    out[:] = chosen
    if before is not None:
        ys, xs = np.mgrid[:height, :width]
        fy, fx = height / before.shape[0], width / before.shape[1]
        ly = np.minimum((ys / fy).astype(int), before.shape[0] - 1)
        lx = np.minimum((xs / fx).astype(int), before.shape[1] - 1)
        y = np.clip((ys + (before[ly, lx, 0] - ly) * fy).astype(int), 0, height - 1)
        x = np.clip((xs + (before[ly, lx, 1] - lx) * fx).astype(int), 0, width - 1)
        good = centres[y, x]
        out[good] = np.stack([y, x], -1)[good]
    return out


@njit(cache=True, nogil=True, fastmath=True)  # type: ignore[untyped-decorator]
def _cost(image: Any, ay: Any, ax: Any, by: Any, bx: Any, penalty: Any, best: Any) -> Any:
    """Squared difference of two patches, plus what the way costs; gives up beyond ``best``."""
    total = penalty * np.float32((ay - by) * (ay - by)) + np.float32(0.02) * penalty * np.float32(
        (ax - bx) * (ax - bx)
    )
    height, width = image.shape[0], image.shape[1]
    for dy in range(-_RADIUS, _RADIUS + 1):
        y = ay + dy
        if y < 0 or y >= height:
            continue
        for dx in range(-_RADIUS, _RADIUS + 1):
            x = ax + dx
            if x < 0 or x >= width:
                continue
            for k in range(3):
                d = image[y, x, k] - image[by + dy, bx + dx, k]
                total += d * d
        if total > best:
            return total
    return total


@njit(cache=True, nogil=True, fastmath=True)  # type: ignore[untyped-decorator]
def _search(image: Any, hole: Any, centres: Any, places: Any, penalty: Any, seed: Any) -> None:
    """Two rounds of propagation and random search over all pixels whose patch touches the hole."""
    height, width = hole.shape
    state = np.uint64(88172645463325252 + seed)
    for turn in range(2):
        forward = turn % 2 == 0
        for i in range(height):
            y = i if forward else height - 1 - i
            for j in range(width):
                x = j if forward else width - 1 - j
                if not hole[y, x]:
                    continue
                by, bx = places[y, x, 0], places[y, x, 1]
                best = _cost(image, y, x, by, bx, penalty, np.float32(1e30))
                step = -1 if forward else 1
                for side in range(2):
                    ny, nx = (y + step, x) if side == 0 else (y, x + step)
                    if ny < 0 or ny >= height or nx < 0 or nx >= width or not hole[ny, nx]:
                        continue
                    cy, cx = places[ny, nx, 0] + y - ny, places[ny, nx, 1] + x - nx
                    if cy < 0 or cy >= height or cx < 0 or cx >= width or not centres[cy, cx]:
                        continue
                    cost = _cost(image, y, x, cy, cx, penalty, best)
                    if cost < best:
                        best, by, bx = cost, cy, cx
                reach = max(height, width)
                while reach >= 1:
                    state ^= state << np.uint64(13)
                    state ^= state >> np.uint64(7)
                    state ^= state << np.uint64(17)
                    cy = by + int(state % np.uint64(2 * reach + 1)) - reach
                    cx = bx + int((state >> np.uint64(24)) % np.uint64(2 * reach + 1)) - reach
                    reach //= 2
                    if cy < 0 or cy >= height or cx < 0 or cx >= width or not centres[cy, cx]:
                        continue
                    cost = _cost(image, y, x, cy, cx, penalty, best)
                    if cost < best:
                        best, by, bx = cost, cy, cx
                places[y, x, 0], places[y, x, 1] = by, bx


@njit(cache=True, nogil=True, fastmath=True)  # type: ignore[untyped-decorator]
def _vote(image: Any, hole: Any, places: Any) -> Any:
    """Every hole pixel becomes the mean of what the patches over it say."""
    height, width = hole.shape
    out = image.copy()
    for y in range(height):
        for x in range(width):
            if not hole[y, x]:
                continue
            count = np.float32(0)
            red, green, blue = np.float32(0), np.float32(0), np.float32(0)
            for dy in range(-_RADIUS, _RADIUS + 1):
                for dx in range(-_RADIUS, _RADIUS + 1):
                    py, px = y + dy, x + dx
                    if py < 0 or py >= height or px < 0 or px >= width or not hole[py, px]:
                        continue
                    sy, sx = places[py, px, 0] - dy, places[py, px, 1] - dx
                    weight = np.float32(1.0) / (np.float32(1) + np.float32(abs(dy) + abs(dx)))
                    blue += weight * image[sy, sx, 0]
                    green += weight * image[sy, sx, 1]
                    red += weight * image[sy, sx, 2]
                    count += weight
            out[y, x, 0], out[y, x, 1], out[y, x, 2] = blue / count, green / count, red / count
    return out


def _copy_detail(
    picture: FloatArray, hole: Mask, places: Any, colour: FloatArray, usable: Mask
) -> FloatArray:
    """The fine part of the full picture from the places found, on the colours found."""
    height, width = hole.shape
    rows, columns = places.shape[:2]
    large = np.asarray(cv2.resize(colour, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)
    # What the coarse level cannot hold, taken from where the patches came from.
    soft = cv2.resize(
        cv2.resize(picture, (columns, rows), interpolation=cv2.INTER_AREA), (width, height),
        interpolation=cv2.INTER_CUBIC,
    )  # fmt: skip
    fine = np.clip(picture - soft, -30, 30).astype(np.float32)
    ys, xs = np.nonzero(hole)
    ly = np.minimum(ys * rows // height, rows - 1)
    lx = np.minimum(xs * columns // width, columns - 1)
    y = np.clip(ys + np.rint((places[ly, lx, 0] - ly) * (height / rows)).astype(int), 0, height - 1)
    x = np.clip(xs + np.rint((places[ly, lx, 1] - lx) * (width / columns)).astype(int), 0, width - 1)
    detail = np.zeros_like(fine)
    detail[ys, xs] = fine[y, x] * usable[y, x][:, None]
    out = np.where(hole[..., None], large + detail, picture)
    edge = blur(hole, 1.5)[..., None]
    return np.asarray(np.where(hole[..., None], out, picture * (1 - edge) + large * edge), np.float32)
