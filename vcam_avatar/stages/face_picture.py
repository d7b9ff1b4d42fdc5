"""Pictures around the face networks: the crop they see, the landmark maps, and the patch they describe."""

from typing import Any

import cv2
import numpy as np
from numba import njit

from vcam_avatar.media import ByteArray, FloatArray

CROP_PX = 160
"""Side of the face crop the encoder sees."""
MAP_PX = 80
"""Side of both maps of the decoder."""
MOUTH_WINDOW = (0.25, 0.425, 0.75, 0.925)
"""Left, top, right, bottom of the mouth's window in the unit face crop; half the crop a side."""
_SUB_PIXEL_BITS = 4


def cut_crop(picture: ByteArray, matrix: FloatArray, side_px: int) -> ByteArray:
    """Cut the unit face crop out of a picture.

    Args:
        picture: uint8 ``(H, W, C)``.
        matrix: float ``(2, 3)`` unit crop -> picture pixels, pixel edges at integers.
        side_px: side of the result.

    Returns:
        uint8 ``(side_px, side_px, C)``; beyond the picture its border is repeated. Averaged, not
        skipped, when the picture is larger.
    """
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0])) / side_px
    if scale > 1.5:  # the two-step reduction keeps fine hair and lashes from flickering into steps
        smaller = cut_crop(picture, matrix, side_px * 2)
        return np.asarray(cv2.resize(smaller, (side_px, side_px), interpolation=cv2.INTER_AREA), np.uint8)
    # OpenCV puts pixel centres at integers.
    to_unit = np.array([[1 / side_px, 0, 0.5 / side_px], [0, 1 / side_px, 0.5 / side_px], [0, 0, 1]])
    inverse = np.asarray(matrix, np.float64) @ to_unit - np.array([[0, 0, 0.5], [0, 0, 0.5]])
    return np.asarray(
        cv2.warpAffine(
            picture,
            inverse,
            (side_px, side_px),
            flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        ),
        np.uint8,
    )


def to_unit_crop(points_px: FloatArray, matrix: FloatArray) -> FloatArray:
    """Picture pixels ``(..., 2)`` -> unit crop coordinates, by the inverse of ``matrix``."""
    linear = np.linalg.inv(np.asarray(matrix, np.float64)[:, :2])
    unit = (np.asarray(points_px, np.float64) - np.asarray(matrix, np.float64)[:, 2]) @ linear.T
    return np.asarray(unit, np.float32)


def landmark_maps(landmarks: FloatArray, side_px: int = CROP_PX) -> FloatArray:
    """Where lips and eyes are, as pictures the encoder can read whatever the drawing style.

    Args:
        landmarks: float ``(68, 2)`` in unit crop coordinates.

    Returns:
        float32 ``(3, side_px, side_px)`` in 0..1: lips, mouth opening with the lip line, eyes.
    """
    maps = np.zeros((3, side_px, side_px), np.uint8)
    fixed = np.clip(landmarks * side_px - 0.5, -side_px, 2 * side_px) * (1 << _SUB_PIXEL_BITS)
    points = np.rint(fixed).astype(np.int32)
    middle = ((points[[61, 62, 63]] + points[[67, 66, 65]]) // 2).astype(np.int32)
    line = np.concatenate([points[[60]], middle, points[[64]]])

    def fill(target: ByteArray, corners: Any) -> None:
        cv2.fillPoly(target, [corners], 255, cv2.LINE_AA, _SUB_PIXEL_BITS)

    fill(maps[0], points[48:60])
    fill(maps[1], points[60:68])
    cv2.polylines(maps[1], [line], False, 255, 1, cv2.LINE_AA, _SUB_PIXEL_BITS)
    fill(maps[2], points[36:42])
    fill(maps[2], points[42:48])
    return np.asarray(maps / np.float32(255), np.float32)


def window_weight(side: int = MAP_PX, feather: float = 0.12) -> FloatArray:
    """float32 ``(side, side)``: 1 inside the mouth's window, smoothly 0 at its border."""
    ramp = (np.arange(side) + 0.5) / side
    edge = np.clip(np.minimum(ramp, 1 - ramp) / feather, 0, 1)
    edge = edge * edge * (3 - 2 * edge)
    both: FloatArray = np.minimum(edge[:, None], edge[None, :]).astype(np.float32)
    return both


@njit(  # type: ignore[untyped-decorator]
    "void(uint8[:,:,::1], float32[:,:,::1], float32[:,:,::1], uint8[:,:,::1], float32[:,::1], "
    "float32[:,::1], float64[::1], float64, uint8[:,:,::1])",
    cache=True,
    nogil=True,
    fastmath=True,
)
def paint_patch(
    source: Any,
    whole: Any,
    mouth: Any,
    interior: Any,
    weight: Any,
    alpha: Any,
    window: Any,
    gain: Any,
    patch: Any,
) -> None:
    """Warp and paint a face patch from the decoder's maps.

    Args:
        source: uint8 ``(S, S, 3)`` BGR: the avatar's own face crop.
        whole: float32 ``(M, M, 6)``: flow x, y in crop sides, paint logit, paint B, G, R in 0..255.
        mouth: float32 ``(M, M, 7)``: the same for the mouth's window, taking over with ``weight``, and the
            logit of the mouth's inside.
        interior: uint8 ``(W, W, 3)`` BGR over the window: what is seen inside the mouth.
        weight: float32 ``(M, M)`` over the window.
        alpha: float32 ``(M, M)`` over the crop, 0..1: where the patch is to be seen at all.
        window: left, top, right, bottom of the window in the unit crop.
        gain: steepness of the lips' inner edge, for patches finer than the maps.
        patch: uint8 ``(S, S, 4)``, overwritten: BGRA, straight alpha.
    """
    side, cells = patch.shape[0], whole.shape[0]
    last = cells - 1
    left, top = window[0], window[1]
    across, down = window[2] - window[0], window[3] - window[1]
    value = np.zeros(6, np.float32)
    inner = interior.shape[0]
    for y in range(side):
        unit_y = (y + 0.5) / side
        gy = min(max(unit_y * cells - 0.5, 0.0), float(last))
        y0 = min(int(gy), last - 1)
        ty = np.float32(gy - y0)
        inside_y = top < unit_y < top + down
        hy = min(max((unit_y - top) / down * cells - 0.5, 0.0), float(last))
        my = min(int(hy), last - 1)
        sy = np.float32(hy - my)
        for x in range(side):
            unit_x = (x + 0.5) / side
            gx = min(max(unit_x * cells - 0.5, 0.0), float(last))
            x0 = min(int(gx), last - 1)
            tx = np.float32(gx - x0)
            w11 = tx * ty
            w10 = tx - w11
            w01 = ty - w11
            w00 = np.float32(1) - tx - w01
            shown = (
                alpha[y0, x0] * w00
                + alpha[y0, x0 + 1] * w10
                + alpha[y0 + 1, x0] * w01
                + alpha[y0 + 1, x0 + 1] * w11
            )
            if shown < 0.002:
                patch[y, x, 0] = source[y, x, 0]
                patch[y, x, 1] = source[y, x, 1]
                patch[y, x, 2] = source[y, x, 2]
                patch[y, x, 3] = 0
                continue
            for k in range(6):
                value[k] = (
                    whole[y0, x0, k] * w00
                    + whole[y0, x0 + 1, k] * w10
                    + whole[y0 + 1, x0, k] * w01
                    + whole[y0 + 1, x0 + 1, k] * w11
                )
            opened = np.float32(0)
            wx, wy = 0, 0
            if inside_y and left < unit_x < left + across:
                hx = min(max((unit_x - left) / across * cells - 0.5, 0.0), float(last))
                mx = min(int(hx), last - 1)
                sx = np.float32(hx - mx)
                v11 = sx * sy
                v10 = sx - v11
                v01 = sy - v11
                v00 = np.float32(1) - sx - v01
                share = (
                    weight[my, mx] * v00
                    + weight[my, mx + 1] * v10
                    + weight[my + 1, mx] * v01
                    + weight[my + 1, mx + 1] * v11
                )
                for k in range(6):
                    near = (
                        mouth[my, mx, k] * v00
                        + mouth[my, mx + 1, k] * v10
                        + mouth[my + 1, mx, k] * v01
                        + mouth[my + 1, mx + 1, k] * v11
                    )
                    value[k] += share * (near - value[k])
                near = (
                    mouth[my, mx, 6] * v00
                    + mouth[my, mx + 1, 6] * v10
                    + mouth[my + 1, mx, 6] * v01
                    + mouth[my + 1, mx + 1, 6] * v11
                ) * gain
                if near > -5:
                    opened = share / (np.float32(1) + np.exp(-near))
                    wx = min(int((unit_x - left) / across * inner), inner - 1)
                    wy = min(int((unit_y - top) / down * inner), inner - 1)
            u = min(max((unit_x + value[0]) * side - 0.5, 0.0), side - 1.001)
            v = min(max((unit_y + value[1]) * side - 0.5, 0.0), side - 1.001)
            ui, vi = int(u), int(v)
            p, q = np.float32(u - ui), np.float32(v - vi)
            logit = value[2]
            if logit < -6:
                paint = np.float32(0)
            elif logit > 6:
                paint = np.float32(1)
            else:
                paint = np.float32(1) / (np.float32(1) + np.exp(-logit))
            for k in range(3):
                upper = source[vi, ui, k] + p * (np.float32(source[vi, ui + 1, k]) - source[vi, ui, k])
                lower = source[vi + 1, ui, k] + p * (
                    np.float32(source[vi + 1, ui + 1, k]) - source[vi + 1, ui, k]
                )
                colour = upper + q * (lower - upper)
                colour += paint * (value[3 + k] - colour)
                if opened > 0:
                    colour += opened * (interior[wy, wx, k] - colour)
                patch[y, x, k] = np.uint8(min(max(colour, np.float32(0)), np.float32(255)) + np.float32(0.5))
            patch[y, x, 3] = np.uint8(min(shown, np.float32(1)) * np.float32(255) + np.float32(0.5))


def crop_feather(side: int = MAP_PX, width: float = 0.1) -> FloatArray:
    """float32 ``(side, side)`` over the unit crop: 1 inside, smoothly 0 at the border."""
    return window_weight(side, width)


def seen_where_moved(whole: FloatArray, mouth: FloatArray, weight: FloatArray, side_px: int) -> FloatArray:
    """How much of a patch is to be seen, and still the flow where it moves less than an eye can tell.

    Args:
        whole: float32 ``(M, M, 6)`` decoder map of the crop, its flow is stilled in place.
        mouth: the same for the mouth's window.
        weight: ``window_weight``.
        side_px: side of the patch: what counts are its pixels.

    Returns:
        float32 ``(M, M)`` in 0..1: 0 where neither flow nor paint changes anything.
    """
    for maps in (whole, mouth):
        moved = np.hypot(maps[..., 0], maps[..., 1]) * side_px
        maps[..., :2] *= _step(moved, 0.05, 0.4)[..., None]
    changed = np.maximum(np.hypot(whole[..., 0], whole[..., 1]) * side_px, 8 * _paint(whole[..., 2]))
    near = np.maximum(np.hypot(mouth[..., 0], mouth[..., 1]) * side_px, 8 * _paint(mouth[..., 2])) * weight
    left, top, right, bottom = (round(edge * MAP_PX) for edge in MOUTH_WINDOW)
    smaller = cv2.resize(near, (right - left, bottom - top), interpolation=cv2.INTER_AREA)
    changed[top:bottom, left:right] = np.maximum(changed[top:bottom, left:right], smaller)
    alpha = cv2.dilate(_step(changed, 0.05, 0.4), np.ones((5, 5), np.uint8))
    return np.asarray(cv2.blur(alpha, (3, 3)), np.float32)


def _step(values: FloatArray, low: float, high: float) -> FloatArray:
    t = np.clip((values - low) / (high - low), 0, 1)
    smooth: FloatArray = (t * t * (3 - 2 * t)).astype(np.float32)
    return smooth


def _paint(logit: FloatArray) -> FloatArray:
    """Share of paint, nothing below 5 %."""
    share = 1 / (1 + np.exp(-logit))
    return np.asarray(np.where(share > 0.05, share, 0), np.float32)
