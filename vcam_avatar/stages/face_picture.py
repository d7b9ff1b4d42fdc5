"""Pictures around the face networks: the crop they see, the landmark maps, and the patch they describe."""

from typing import Any

import cv2
import numpy as np

from vcam_avatar.media import ByteArray, FloatArray
from vcam_avatar.stages.face_maps import still
from vcam_avatar.stages.kernels import njit

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
    side, cells, inner = patch.shape[0], whole.shape[0], interior.shape[0]
    left, top = window[0], window[1]
    across, down = window[2] - window[0], window[3] - window[1]
    one, half, size, last = np.float32(1), np.float32(0.5), np.float32(side), np.float32(side - 1.001)
    # Maps are interpolated down a row first, then along it.
    row_alpha, row_share = np.zeros(cells, np.float32), np.zeros(cells, np.float32)
    row_whole, row_mouth = np.zeros((cells, 6), np.float32), np.zeros((cells, 7), np.float32)
    columns, part_of = np.zeros(side, np.float32), np.zeros(side, np.float32)
    cell_of = np.zeros(side, np.int64)
    for x in range(side):
        columns[x] = (x + 0.5) / side
        at = min(max((x + 0.5) / side * cells - 0.5, 0.0), cells - 1.0)
        cell_of[x] = min(int(at), cells - 2)
        part_of[x] = at - cell_of[x]
    for y in range(side):
        unit_y = (y + 0.5) / side
        at = min(max(unit_y * cells - 0.5, 0.0), cells - 1.0)
        first = min(int(at), cells - 2)
        lower = np.float32(at - first)
        upper = one - lower
        height, highest = np.float32(unit_y), np.float32(0)
        for c in range(cells):
            row_alpha[c] = alpha[first, c] * upper + alpha[first + 1, c] * lower
            highest = max(highest, row_alpha[c])
        seen = highest >= 0.002
        beside = seen and top < unit_y < top + down
        wy = 0
        if seen:
            for c in range(cells):
                for k in range(6):
                    row_whole[c, k] = whole[first, c, k] * upper + whole[first + 1, c, k] * lower
        if beside:
            at = min(max((unit_y - top) / down * cells - 0.5, 0.0), cells - 1.0)
            first = min(int(at), cells - 2)
            lower = np.float32(at - first)
            upper = one - lower
            wy = min(int((unit_y - top) / down * inner), inner - 1)
            for c in range(cells):
                row_share[c] = weight[first, c] * upper + weight[first + 1, c] * lower
                for k in range(7):
                    row_mouth[c, k] = mouth[first, c, k] * upper + mouth[first + 1, c, k] * lower
        for x in range(side):
            shown = np.float32(0)
            unit_x = columns[x]
            a, t = cell_of[x], part_of[x]
            if seen:
                shown = row_alpha[a] + t * (row_alpha[a + 1] - row_alpha[a])
            if shown < 0.002:
                for k in range(3):
                    patch[y, x, k] = source[y, x, k]
                patch[y, x, 3] = 0
                continue
            flow_x = row_whole[a, 0] + t * (row_whole[a + 1, 0] - row_whole[a, 0])
            flow_y = row_whole[a, 1] + t * (row_whole[a + 1, 1] - row_whole[a, 1])
            logit = row_whole[a, 2] + t * (row_whole[a + 1, 2] - row_whole[a, 2])
            share, opened = np.float32(0), np.float32(0)
            m, s = 0, np.float32(0)
            wx = 0
            if beside and left < unit_x < left + across:
                at = min(max((unit_x - left) / across * cells - 0.5, 0.0), cells - 1.0)
                m = min(int(at), cells - 2)
                s = np.float32(at - m)
                share = row_share[m] + s * (row_share[m + 1] - row_share[m])
                flow_x += share * (row_mouth[m, 0] + s * (row_mouth[m + 1, 0] - row_mouth[m, 0]) - flow_x)
                flow_y += share * (row_mouth[m, 1] + s * (row_mouth[m + 1, 1] - row_mouth[m, 1]) - flow_y)
                logit += share * (row_mouth[m, 2] + s * (row_mouth[m + 1, 2] - row_mouth[m, 2]) - logit)
                near = np.float32(gain) * (row_mouth[m, 6] + s * (row_mouth[m + 1, 6] - row_mouth[m, 6]))
                if near > -5:
                    opened = share / (one + np.exp(-near))
                    wx = min(int((unit_x - left) / across * inner), inner - 1)
            u = min(max((unit_x + flow_x) * size - half, np.float32(0)), last)
            v = min(max((height + flow_y) * size - half, np.float32(0)), last)
            ui, vi = int(u), int(v)
            p, q = u - np.float32(ui), v - np.float32(vi)
            paint = np.float32(0)
            if logit > -6:
                paint = one / (one + np.exp(-logit))
            for k in range(3):
                above = np.float32(source[vi, ui, k])
                above += p * (np.float32(source[vi, ui + 1, k]) - above)
                below = np.float32(source[vi + 1, ui, k])
                below += p * (np.float32(source[vi + 1, ui + 1, k]) - below)
                colour = above + q * (below - above)
                if paint > 0:
                    ink = row_whole[a, 3 + k] + t * (row_whole[a + 1, 3 + k] - row_whole[a, 3 + k])
                    if share > 0:
                        ink += share * (
                            row_mouth[m, 3 + k] + s * (row_mouth[m + 1, 3 + k] - row_mouth[m, 3 + k]) - ink
                        )
                    colour += paint * (ink - colour)
                if opened > 0:
                    colour += opened * (np.float32(interior[wy, wx, k]) - colour)
                patch[y, x, k] = np.uint8(min(max(colour, np.float32(0)), np.float32(255)) + np.float32(0.5))
            patch[y, x, 3] = np.uint8(min(shown, one) * np.float32(255) + np.float32(0.5))


def away_from_lips(landmarks: FloatArray) -> FloatArray:
    """float32 ``(80, 80)`` over the mouth's window: 0 between the lips of ``(68, 2)`` landmarks, else 1."""
    return _away_from(landmarks[60:68], 5)


def away_from_mouth(landmarks: FloatArray) -> FloatArray:
    """The same around the whole lips."""
    return _away_from(landmarks[48:60], 3)


def _away_from(outline: FloatArray, margin_px: int) -> FloatArray:
    """0 inside an outline of the unit crop, 1 away from it; ``margin_px`` map pixels grown and softened."""
    points = (outline - MOUTH_WINDOW[:2]) * 2 * MAP_PX - 0.5
    inside = np.zeros((MAP_PX, MAP_PX), np.float32)
    cv2.fillPoly(inside, [np.rint(points).astype(np.int32)], 1.0)
    size = (margin_px, margin_px)
    return np.asarray(1 - cv2.blur(cv2.dilate(inside, np.ones(size, np.uint8)), size), np.float32)


def own_hues(source_bgr: ByteArray, landmarks: FloatArray) -> FloatArray:
    """Hues of a face's lips and cheeks.

    Args:
        source_bgr: uint8 ``(S, S, 3)``: the unit face crop.
        landmarks: float ``(68, 2)`` in the unit crop.

    Returns:
        float32 ``(2, 3)``: least and greatest share of B, G, R in the brightness, a little apart.
    """
    side = len(source_bgr)
    lips = np.zeros((side, side), np.uint8)
    corners = np.rint(landmarks * side).astype(np.int32)
    cv2.fillPoly(lips, [corners[48:60]], 1)
    cv2.fillPoly(lips, [corners[60:68]], 0)
    cheeks = np.zeros_like(lips)
    for eye, corner in ((36, 48), (45, 54)):
        x, y = ((landmarks[eye] + landmarks[corner]) / 2 * side).astype(int)
        cv2.circle(cheeks, (int(x), int(y)), max(2, side // 32), 1, -1)
    shares = []
    for part in (lips, cheeks):
        colour = source_bgr[part > 0].mean(0) if part.any() else np.full(3, 128.0)
        shares.append(colour / max(float(colour @ [0.11, 0.59, 0.30]), 1.0))
    return np.asarray([0.93 * np.min(shares, 0), 1.07 * np.max(shares, 0)], np.float32)


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
    changed = still(whole, side_px)
    near = still(mouth, side_px) * weight
    left, top, right, bottom = (round(edge * MAP_PX) for edge in MOUTH_WINDOW)
    smaller = cv2.resize(near, (right - left, bottom - top), interpolation=cv2.INTER_AREA)
    changed[top:bottom, left:right] = np.maximum(changed[top:bottom, left:right], smaller)
    alpha = cv2.dilate(_step(changed, 0.05, 0.4), np.ones((5, 5), np.uint8))
    return np.asarray(cv2.blur(alpha, (3, 3)), np.float32)


def _step(values: FloatArray, low: float, high: float) -> FloatArray:
    t = np.clip((values - low) / (high - low), 0, 1)
    smooth: FloatArray = (t * t * (3 - 2 * t)).astype(np.float32)
    return smooth
