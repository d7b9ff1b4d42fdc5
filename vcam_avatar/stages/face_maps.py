"""The decoder's maps made ready for painting, in one pass each: every frame pays for this."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vcam_avatar.media import FloatArray
from vcam_avatar.stages.kernels import njit

_NO_PAINT = np.float32(-9.2)
"""Logit of one part in ten thousand: less is nothing."""
_FAINT = np.float32(-6.9)
"""Logit of one part in a thousand: paint that rest may keep."""


@njit(  # type: ignore[untyped-decorator]
    "void(float32[:,:,::1], float32[:,:,::1], int64, float32[:,::1], float32[:,:,::1])",
    cache=True,
    nogil=True,
    fastmath=True,
)
def _settle(raw: Any, rest: Any, rows: Any, doubt: Any, maps: Any) -> None:
    channels, height, width = raw.shape
    one = np.float32(1)
    for y in range(height):
        for channel in range(channels):
            scale = np.float32(255) if 3 <= channel < 6 else one
            for x in range(width):
                maps[y, x, channel] = raw[channel, y, x] * scale
        if y < rows:
            for x in range(width):
                maps[y, x, 0] -= rest[y, x, 0]
                maps[y, x, 1] -= rest[y, x, 1]
            for channel in range(2, channels, 4):
                for x in range(width):
                    logit, kept = maps[y, x, channel], rest[y, x, channel]
                    if logit > _NO_PAINT and kept > _FAINT:
                        # Paint that rest does not have: p (1 - rest).
                        share = one / ((one + np.exp(-logit)) * (one + np.exp(kept)))
                        share = min(max(share, np.float32(1e-4)), np.float32(1 - 1e-4))
                        logit = np.log(share / (one - share))
                    maps[y, x, channel] = max(logit, _NO_PAINT)
        for x in range(width):
            maps[y, x, 2] -= doubt[y, x]


def settle(raw: NDArray[np.float32], rest: FloatArray, rows: int, doubt: FloatArray) -> FloatArray:
    """What differs from rest, as painting wants it.

    Args:
        raw: float32 ``(1, C, M, M)``, C = 6 or 7: the decoder's answer, colours in 0..1.
        rest: float32 ``(M, M, C)``: its answer for the face at rest, colours in 0..255.
        rows: rest is taken off above this row.
        doubt: float32 ``(M, M)``: taken off the logit of paint.

    Returns:
        float32 ``(M, M, C)``: flow, logit, B, G, R in 0..255 and, in the seventh, the logit of the inside.
    """
    maps = np.empty(rest.shape, np.float32)
    _settle(np.ascontiguousarray(raw[0], np.float32), rest, rows, doubt, maps)
    return maps


@njit("void(float32[:,:,::1], float32, float32[:,::1])", cache=True, nogil=True, fastmath=True)  # type: ignore[untyped-decorator]
def _still(maps: Any, side: Any, changed: Any) -> None:
    one, low, reach = np.float32(1), np.float32(0.05), np.float32(0.35)
    for y in range(maps.shape[0]):
        for x in range(maps.shape[1]):
            flow_x, flow_y, logit = maps[y, x, 0], maps[y, x, 1], maps[y, x, 2]
            moved = np.sqrt(flow_x * flow_x + flow_y * flow_y) * side
            t = min(max((moved - low) / reach, np.float32(0)), one)
            smooth = t * t * (np.float32(3) - np.float32(2) * t)
            maps[y, x, 0], maps[y, x, 1] = flow_x * smooth, flow_y * smooth
            moved *= smooth
            if logit > np.float32(-2.944):  # a share of 5 %
                moved = max(moved, np.float32(8) / (one + np.exp(-logit)))
            changed[y, x] = moved


def still(maps: FloatArray, side_px: int) -> FloatArray:
    """Still the flow, in place, where it moves less than an eye can tell.

    Returns:
        float32 ``(M, M)``: how much changes, in pixels of a patch of ``side_px``; paint counts up to 8.
    """
    changed = np.empty(maps.shape[:2], np.float32)
    _still(maps, side_px, changed)
    return changed


@njit("void(float32[:,:,::1], float32[:,::1])", cache=True, nogil=True, fastmath=True)  # type: ignore[untyped-decorator]
def own_ink(maps: Any, hues: Any) -> None:
    """Keep what is painted on skin and lips within the face's own hues; changes ``maps``.

    Without, a picture's bared teeth are covered by lips of the colour the networks know best: bright red.

    Args:
        maps: float32 ``(M, M, C)``: colours B, G, R in its channels 3 to 5.
        hues: float32 ``(2, 3)``: least and greatest share of each colour in the brightness.
    """
    of_blue, of_green, of_red = np.float32(0.11), np.float32(0.59), np.float32(0.30)
    for y in range(maps.shape[0]):
        for x in range(maps.shape[1]):
            bright = of_blue * maps[y, x, 3] + of_green * maps[y, x, 4] + of_red * maps[y, x, 5]
            for k in range(3):
                maps[y, x, 3 + k] = min(max(maps[y, x, 3 + k], bright * hues[0, k]), bright * hues[1, k])


@njit("void(float32[:,:,::1], float32[:,::1])", cache=True, nogil=True, fastmath=True)  # type: ignore[untyped-decorator]
def steady_skin(maps: Any, away: Any) -> None:
    """Even out the steps of two cells that upsampling leaves in the flow of skin; changes ``maps``.

    Args:
        maps: float32 ``(M, M, C)``: flow in its channels 0 and 1.
        away: float32 ``(M, M)``: 1 on skin, 0 on the lips, whose flow has a true edge.
    """
    height, width = away.shape
    quarter, half = np.float32(0.25), np.float32(0.5)
    flow = maps[:, :, :2].copy()
    down = np.empty((width, 2), np.float32)
    for y in range(height):
        above, below = max(y - 1, 0), min(y + 1, height - 1)
        for x in range(width):
            for k in range(2):
                down[x, k] = quarter * (flow[above, x, k] + flow[below, x, k]) + half * flow[y, x, k]
        for x in range(width):
            left, right = max(x - 1, 0), min(x + 1, width - 1)
            for k in range(2):
                even = quarter * (down[left, k] + down[right, k]) + half * down[x, k]
                maps[y, x, k] += away[y, x] * (even - flow[y, x, k])
