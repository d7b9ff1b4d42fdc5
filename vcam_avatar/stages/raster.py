"""Textured triangles on one thread: how every moving part of an avatar reaches the frame.

Coordinates are continuous: integers are pixel *edges*, the centre of pixel (x, y) is
(x + 0.5, y + 0.5), in textures as in targets. Pixels whose centre lies inside a triangle are drawn;
a centre on a shared edge belongs to exactly one of the two triangles, so meshes have neither gaps nor
pixels drawn twice. Textures are sampled bilinearly with 1/256 texel steps and without mip levels: keep
them near the size at which they are shown.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vcam_avatar.media import ByteArray, FloatArray
from vcam_avatar.stages.kernels import njit

IndexArray = NDArray[np.int32]
"""int32 ``(T, 3)``: corner numbers of triangles."""

_NO_MASK = np.zeros((0, 0), np.uint8)
_KERNEL = (
    "int64(uint8[:,:,::1], uint32[:,::1], float32[:,::1], float32[:,::1], int32[:,::1], uint8[:,::1], int64)"
)


@njit("uint64(uint32)", inline="always")  # type: ignore[untyped-decorator]
def _spread(pixel: Any) -> Any:
    """Four bytes of a pixel -> the low bytes of four 16-bit lanes."""
    wide = np.uint64(pixel)
    wide = (wide | (wide << np.uint64(16))) & np.uint64(0x0000FFFF0000FFFF)
    return (wide | (wide << np.uint64(8))) & np.uint64(0x00FF00FF00FF00FF)


@njit(_KERNEL, cache=True, fastmath=False, nogil=True)  # type: ignore[untyped-decorator]
def _draw(
    target: Any, texture: Any, target_px: Any, texture_px: Any, triangles: Any, mask: Any, opacity: Any
) -> Any:
    height, width, channels = target.shape
    texture_height, texture_width = texture.shape
    last_u, last_v = texture_width - 1, texture_height - 1
    low = np.uint64(0x00FF00FF00FF00FF)
    half = np.uint64(0x0080008000800080)
    eight = np.uint64(8)
    masked = mask.shape[0] > 0
    drawn = 0
    for triangle in range(triangles.shape[0]):
        a, b, c = triangles[triangle, 0], triangles[triangle, 1], triangles[triangle, 2]
        x0, y0 = np.float64(target_px[a, 0]), np.float64(target_px[a, 1])
        x1, y1 = np.float64(target_px[b, 0]), np.float64(target_px[b, 1])
        x2, y2 = np.float64(target_px[c, 0]), np.float64(target_px[c, 1])
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if not abs(area) > 1e-9:  # also refuses NaN
            continue
        u0, v0 = np.float64(texture_px[a, 0]), np.float64(texture_px[a, 1])
        du1, dv1 = texture_px[b, 0] - u0, texture_px[b, 1] - v0
        du2, dv2 = texture_px[c, 0] - u0, texture_px[c, 1] - v0
        u_x = (du1 * (y2 - y0) - du2 * (y1 - y0)) / area
        u_y = (du2 * (x1 - x0) - du1 * (x2 - x0)) / area
        v_x = (dv1 * (y2 - y0) - dv2 * (y1 - y0)) / area
        v_y = (dv2 * (x1 - x0) - dv1 * (x2 - x0)) / area
        # 16 fractional bits while stepping along a row; far-off corners are cut, not overflowed.
        step_u, step_v = np.int64(np.rint(u_x * 65536)), np.int64(np.rint(v_x * 65536))
        top = max(0, int(np.ceil(max(min(y0, y1, y2), -1.0) - 0.5)))
        bottom = min(height, int(np.ceil(min(max(y0, y1, y2), height + 1.0) - 0.5)))
        for y in range(top, bottom):
            centre = y + 0.5
            left, right = 1e9, -1e9
            for edge in range(3):
                if edge == 0:
                    ax, ay, bx, by = x0, y0, x1, y1
                elif edge == 1:
                    ax, ay, bx, by = x1, y1, x2, y2
                else:
                    ax, ay, bx, by = x2, y2, x0, y0
                if ay > by:  # the same arithmetic for an edge whichever triangle it is seen from
                    ax, ay, bx, by = bx, by, ax, ay
                if ay <= centre < by:
                    crossing = ax + (centre - ay) * (bx - ax) / (by - ay)
                    left = min(left, crossing)
                    right = max(right, crossing)
            first = max(0, int(np.ceil(max(left, -1.0) - 0.5)))
            stop = min(width, int(np.ceil(min(right, width + 1.0) - 0.5)))
            if first >= stop:
                continue
            right_of, below = first + 0.5 - x0, centre - y0
            at_u = np.int64(np.rint((u0 + u_x * right_of + u_y * below - 0.5) * 65536)) + 128
            at_v = np.int64(np.rint((v0 + v_x * right_of + v_y * below - 0.5) * 65536)) + 128
            for x in range(first, stop):
                u, v = at_u >> 16, at_v >> 16
                p, q = (at_u >> 8) & 255, (at_v >> 8) & 255
                at_u += step_u
                at_v += step_v
                if u < 0:
                    u, p = np.int64(0), np.int64(0)
                elif u >= last_u:
                    u, p = last_u - 1, np.int64(256)
                if v < 0:
                    v, q = np.int64(0), np.int64(0)
                elif v >= last_v:
                    v, q = last_v - 1, np.int64(256)
                right_part, lower_part = np.uint64(p), np.uint64(q)
                left_part, upper_part = np.uint64(256 - p), np.uint64(256 - q)
                upper = _spread(texture[v, u]) * left_part + _spread(texture[v, u + 1]) * right_part
                lower = _spread(texture[v + 1, u]) * left_part + _spread(texture[v + 1, u + 1]) * right_part
                upper = ((upper + half) >> eight) & low
                lower = ((lower + half) >> eight) & low
                colour = ((upper * upper_part + lower * lower_part + half) >> eight) & low
                alpha = np.int64(colour >> np.uint64(48))
                if alpha == 0:
                    continue
                drawn += 1
                blue = np.int64(colour & np.uint64(255))
                green = np.int64((colour >> np.uint64(16)) & np.uint64(255))
                red = np.int64((colour >> np.uint64(32)) & np.uint64(255))
                share = opacity
                if masked:
                    share = (opacity * (255 - np.int64(mask[y, x])) + 127) // 255
                if share != 256:
                    blue, green = (blue * share + 128) >> 8, (green * share + 128) >> 8
                    red, alpha = (red * share + 128) >> 8, (alpha * share + 128) >> 8
                if alpha == 255:
                    target[y, x, 0] = blue
                    target[y, x, 1] = green
                    target[y, x, 2] = red
                    if channels == 4:
                        target[y, x, 3] = 255
                    continue
                keep = (255 - alpha) * 257
                target[y, x, 0] = min(255, blue + ((target[y, x, 0] * keep + 32768) >> 16))
                target[y, x, 1] = min(255, green + ((target[y, x, 1] * keep + 32768) >> 16))
                target[y, x, 2] = min(255, red + ((target[y, x, 2] * keep + 32768) >> 16))
                if channels == 4:
                    target[y, x, 3] = min(255, alpha + ((target[y, x, 3] * keep + 32768) >> 16))
    return drawn


def draw_triangles(
    target: ByteArray,
    texture: ByteArray,
    target_px: FloatArray,
    texture_px: FloatArray,
    triangles: IndexArray,
    *,
    mask: ByteArray | None = None,
    opacity: float = 1.0,
) -> int:
    """Draw a textured mesh over ``target``, in place, triangle after triangle.

    Args:
        target: uint8 ``(H, W, 3)`` BGR, or ``(H, W, 4)`` BGRA premultiplied. C-contiguous; changed.
        texture: uint8 ``(h, w, 4)`` BGRA, **premultiplied**, C-contiguous, at least 2x2. Coordinates
            beyond the border read the border.
        target_px: float32 ``(N, 2)`` x, y of the corners in the target; may lie outside it.
        texture_px: float32 ``(N, 2)`` x, y of the corners in the texture.
        triangles: int32 ``(T, 3)``; orientation does not matter, flat ones are skipped.
        mask: uint8 ``(H, W)``: what hides the mesh, 255 fully; None: nothing does.
        opacity: 0 to 1, of the whole mesh.

    Returns:
        How many pixels were touched.

    Raises:
        ValueError: wrong shape, type or memory layout, or a corner number out of range (a caller bug).
    """
    if target.ndim != 3 or target.shape[2] not in (3, 4) or target.dtype != np.uint8:
        raise ValueError(f"target must be uint8 (H, W, 3 or 4), got {target.dtype} {target.shape}")
    if texture.ndim != 3 or texture.shape[2] != 4 or texture.dtype != np.uint8 or min(texture.shape[:2]) < 2:
        raise ValueError(f"texture must be uint8 (h, w, 4), 2x2 up, got {texture.dtype} {texture.shape}")
    if not (target.flags.c_contiguous and texture.flags.c_contiguous):
        raise ValueError("target and texture must be C-contiguous")
    if mask is not None and (mask.shape != target.shape[:2] or mask.dtype != np.uint8):
        raise ValueError(f"mask must be uint8 {target.shape[:2]}, got {mask.dtype} {mask.shape}")
    if target_px.shape != texture_px.shape or target_px.ndim != 2 or target_px.shape[1] != 2:
        raise ValueError(f"corners must be two (N, 2), got {target_px.shape} and {texture_px.shape}")
    if len(triangles) == 0:
        return 0
    if int(triangles.min()) < 0 or int(triangles.max()) >= len(target_px):
        raise ValueError(f"triangles name corners outside 0..{len(target_px) - 1}")
    return int(
        _draw(
            target,
            texture.view(np.uint32)[:, :, 0],
            np.ascontiguousarray(target_px, np.float32),
            np.ascontiguousarray(texture_px, np.float32),
            np.ascontiguousarray(triangles, np.int32),
            _NO_MASK if mask is None else np.ascontiguousarray(mask),
            round(min(max(opacity, 0.0), 1.0) * 256),
        )
    )


def grid_points(rows: int, columns: int, width: float, height: float) -> FloatArray:
    """Corners of a regular grid over a ``width`` x ``height`` rectangle at the origin.

    Returns:
        float32 ``(rows * columns, 2)`` x, y, row after row; the outer corners lie on the rectangle.
    """
    x, y = np.meshgrid(np.linspace(0, width, columns), np.linspace(0, height, rows))
    return np.stack([x.ravel(), y.ravel()], 1).astype(np.float32)


def grid_triangles(rows: int, columns: int) -> IndexArray:
    """Two triangles per cell of a ``rows`` x ``columns`` grid of corners, int32 ``(T, 3)``.

    The diagonals alternate like a chessboard, so that a bent mesh has no preferred direction.
    """
    corner = np.arange(rows * columns, dtype=np.int32).reshape(rows, columns)
    a, b = corner[:-1, :-1].ravel(), corner[:-1, 1:].ravel()
    c, d = corner[1:, :-1].ravel(), corner[1:, 1:].ravel()
    row, column = np.divmod(np.arange(len(a)), columns - 1)
    even = (row + column) % 2 == 0
    one = np.where(even[:, None], np.stack([a, b, d], 1), np.stack([a, b, c], 1))
    two = np.where(even[:, None], np.stack([a, d, c], 1), np.stack([b, d, c], 1))
    return np.stack([one, two], 1).reshape(-1, 3).astype(np.int32)


def premultiply(bgra: ByteArray) -> ByteArray:
    """Straight alpha -> premultiplied, rounded to nearest; a new uint8 ``(h, w, 4)``."""
    out = np.empty(bgra.shape, np.uint8)
    out[..., 3] = alpha = bgra[..., 3]
    for channel in range(3):
        # 255 * 255 + 127 still fits 16 bits.
        colour = bgra[..., channel].astype(np.uint16) * alpha
        colour += 127
        out[..., channel] = colour // 255
    return out


def unpremultiply(bgra: ByteArray) -> ByteArray:
    """Premultiplied -> straight alpha; black where alpha is 0; a new uint8 ``(h, w, 4)``."""
    alpha = bgra[..., 3:].astype(np.uint32)
    colour = (bgra[..., :3] * np.uint32(255) + alpha // 2) // np.maximum(alpha, 1)
    return np.concatenate([np.minimum(colour, 255).astype(np.uint8), bgra[..., 3:]], -1)
