"""Kernels of the hand mesh: skinning, light and shadow, z-buffered triangles, soft edges. One thread."""

from typing import Any

import numpy as np

from vcam_avatar.stages.kernels import njit

SUPERSAMPLE = 2
HAND_FROM, HAND_WHOLE = 0.80, 0.95
"""Where along the forearm the hand begins to count as hand, and does wholly."""
CELL = 0.075
"""Side of a shadow cell in palm lengths: a little more than the distance of the mesh's vertices."""

PERSPECTIVE = 1 / 8
"""Palm lengths over the viewer's distance: a hand before a webcam."""


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def extent(points: Any, along: Any, first: Any, last: Any) -> Any:
    """Left, top, right, bottom of the vertices between two places along the arm."""
    left, top, right, bottom = np.float32(1e9), np.float32(1e9), np.float32(-1e9), np.float32(-1e9)
    for i in range(points.shape[0]):
        if first <= along[i] <= last:
            left, right = min(left, points[i, 0]), max(right, points[i, 0])
            top, bottom = min(top, points[i, 1]), max(bottom, points[i, 1])
    return left, top, right, bottom


@njit(cache=True, nogil=True, fastmath=True)  # type: ignore[untyped-decorator]
def over(target: Any, image: Any, left: Any, top: Any) -> None:
    """Premultiplied BGRA ``image`` over BGR or BGRA ``target`` at (left, top), in place; must lie inside."""
    channels = target.shape[2]
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            alpha = int(image[y, x, 3])
            if alpha == 0:
                continue
            keep = 255 - alpha
            for channel in range(channels):
                below = int(target[top + y, left + x, channel])
                target[top + y, left + x, channel] = min(
                    255, int(image[y, x, channel]) + (below * keep + 127) // 255
                )


@njit(cache=True, nogil=True, fastmath=True)  # type: ignore[untyped-decorator]
def pose_vertices(
    vertices: Any,
    bone_index: Any,
    bone_weight: Any,
    matrices: Any,
    mirror: Any,
    scale: Any,
    origin: Any,
    out: Any,
) -> None:
    for i in range(vertices.shape[0]):
        x, y, z = np.float32(0), np.float32(0), np.float32(0)
        a, b, c = vertices[i, 0], vertices[i, 1], vertices[i, 2]
        for k in range(4):
            w = bone_weight[i, k]
            if w == 0:
                continue
            m = matrices[bone_index[i, k]]
            x += w * (m[0, 0] * a + m[0, 1] * b + m[0, 2] * c + m[0, 3])
            y += w * (m[1, 0] * a + m[1, 1] * b + m[1, 2] * c + m[1, 3])
            z += w * (m[2, 0] * a + m[2, 1] * b + m[2, 2] * c + m[2, 3])
        # What reaches towards the viewer is nearer and looks larger; what is behind the wrist stays.
        near = np.float32(1) / (np.float32(1) + min(z, np.float32(0)) * np.float32(PERSPECTIVE))
        out[i, 0] = origin[0] + scale * mirror * x * near
        out[i, 1] = origin[1] + scale * y * near
        out[i, 2] = scale * z


@njit(cache=True, nogil=True, fastmath=True)  # type: ignore[untyped-decorator]
def normals(points: Any, faces: Any, mirror: Any, out: Any) -> None:
    out[:] = 0
    for i in range(faces.shape[0]):
        a, b, c = faces[i, 0], faces[i, 1], faces[i, 2]
        ux, uy, uz = points[b, 0] - points[a, 0], points[b, 1] - points[a, 1], points[b, 2] - points[a, 2]
        wx, wy, wz = points[c, 0] - points[a, 0], points[c, 1] - points[a, 1], points[c, 2] - points[a, 2]
        nx, ny, nz = uy * wz - uz * wy, uz * wx - ux * wz, ux * wy - uy * wx
        for q in (a, b, c):
            out[q, 0] += nx * mirror
            out[q, 1] += ny * mirror
            out[q, 2] += nz * mirror
    for i in range(out.shape[0]):
        length = np.sqrt(out[i, 0] ** 2 + out[i, 1] ** 2 + out[i, 2] ** 2) + np.float32(1e-9)
        out[i, 0] /= length
        out[i, 1] /= length
        out[i, 2] /= length


@njit(cache=True, nogil=True, fastmath=True)  # type: ignore[untyped-decorator]
def light(
    points: Any, normals: Any, occlusion: Any, along: Any, light: Any, sky: Any, scale: Any, grid: Any,
    cell: Any, away: Any, seen: Any, out: Any,
) -> None:  # fmt: skip
    """Brightness of every vertex: light where nothing is in its way, and what arrives of the sky.

    Shadows by splatting: from each direction the vertices are laid on a coarse grid that keeps the nearest;
    vertices clearly behind it are in shade; the forearm casts and takes none. ``sky[0]`` is the light,
    ``grid`` ``(n, n)``, ``cell``, ``away`` and ``seen`` are scratch.
    """
    count, cells = points.shape[0], grid.shape[0]
    per_cell = np.float32(1.0) / (np.float32(CELL) * scale)
    mx, my, mz = np.float32(0), np.float32(0), np.float32(0)
    for i in range(count):
        mx += points[i, 0]
        my += points[i, 1]
        mz += points[i, 2]
    mx, my, mz = mx / count, my / count, mz / count
    seen[:] = 0
    out[:] = 1
    for k in range(sky.shape[0]):
        dx, dy, dz = sky[k, 0], sky[k, 1], sky[k, 2]
        # Two axes across the direction.
        if abs(dx) < np.float32(0.8):
            ux, uy, uz = np.float32(0), dz, -dy
        else:
            ux, uy, uz = -dz, np.float32(0), dx
        length = np.sqrt(ux * ux + uy * uy + uz * uz)
        ux, uy, uz = ux / length, uy / length, uz / length
        vx, vy, vz = dy * uz - dz * uy, dz * ux - dx * uz, dx * uy - dy * ux
        grid[:] = np.float32(-1e9)
        for i in range(count):
            if along[i] < np.float32(0.95):
                continue
            x, y, z = points[i, 0] - mx, points[i, 1] - my, points[i, 2] - mz
            column = min(max(int((x * ux + y * uy + z * uz) * per_cell + cells / 2), 0), cells - 1)
            row = min(max(int((x * vx + y * vy + z * vz) * per_cell + cells / 2), 0), cells - 1)
            depth = x * dx + y * dy + z * dz
            cell[i] = row * cells + column
            away[i] = depth
            if depth > grid[row, column]:
                grid[row, column] = depth
        for i in range(count):
            if along[i] < np.float32(0.95):
                continue
            facing = normals[i, 0] * dx + normals[i, 1] * dy + normals[i, 2] * dz
            if facing <= np.float32(0.02) and k > 0:
                continue
            behind = (grid[cell[i] // cells, cell[i] % cells] - away[i]) / scale - np.float32(0.10)
            clear = min(max(np.float32(1) - behind * np.float32(12), np.float32(0)), np.float32(1))
            if k == 0:
                out[i] = clear
            else:
                seen[0, i] += facing
                seen[1, i] += facing * clear
    for i in range(count):
        cosine = normals[i, 0] * light[0] + normals[i, 1] * light[1] + normals[i, 2] * light[2]
        wrapped = max(np.float32(0), (cosine + np.float32(0.45)) / np.float32(1.45))
        taken = min(max((along[i] - np.float32(1)) * np.float32(8), np.float32(0)), np.float32(1))
        wrapped *= 1 - taken * np.float32(0.55) * (1 - out[i])
        sky_share = 1 - taken * (1 - seen[1, i] / max(seen[0, i], np.float32(1e-3)))
        ambient = occlusion[i] * (np.float32(0.3) + np.float32(0.7) * sky_share)
        out[i] = (np.float32(0.22) + np.float32(0.78) * wrapped) * (
            np.float32(0.40) + np.float32(0.60) * ambient
        )


@njit(cache=True, nogil=True, fastmath=True)  # type: ignore[untyped-decorator]
def paint(
    points: Any, faces: Any, brightness: Any, uv: Any, along: Any, detail: Any, ramp: Any, detail_share: Any,
    mirror: Any, corner: Any, fade: Any, tint: Any, depth: Any, image: Any, marks: Any,
) -> None:  # fmt: skip
    """Z-buffered triangles: ``image`` (h, w, 4) uint8 lies at ``corner`` of the frame."""
    height, width = depth.shape
    detail_height, detail_width = detail.shape[0], detail.shape[1]
    for i in range(faces.shape[0]):
        a, b, c = faces[i, 0], faces[i, 1], faces[i, 2]
        x0 = (points[a, 0] - corner[0]) * np.float32(SUPERSAMPLE)
        y0 = (points[a, 1] - corner[1]) * np.float32(SUPERSAMPLE)
        x1 = (points[b, 0] - corner[0]) * np.float32(SUPERSAMPLE)
        y1 = (points[b, 1] - corner[1]) * np.float32(SUPERSAMPLE)
        x2 = (points[c, 0] - corner[0]) * np.float32(SUPERSAMPLE)
        y2 = (points[c, 1] - corner[1]) * np.float32(SUPERSAMPLE)
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        # z points away from the viewer: outward faces wind clockwise on the screen (left hand).
        if area * mirror >= 0:
            continue
        if max(along[a], along[b], along[c]) < fade[0] or min(along[a], along[b], along[c]) > fade[2]:
            continue
        inverse = np.float32(1.0) / area
        top = max(0, int(np.ceil(min(y0, y1, y2) - 0.5)))
        bottom = min(height, int(np.floor(max(y0, y1, y2) - 0.5)) + 1)
        left = max(0, int(np.ceil(min(x0, x1, x2) - 0.5)))
        right = min(width, int(np.floor(max(x0, x1, x2) - 0.5)) + 1)
        textured = uv[a, 0] >= 0 and uv[b, 0] >= 0 and uv[c, 0] >= 0
        for y in range(top, bottom):
            for x in range(left, right):
                px, py = np.float32(x + 0.5), np.float32(y + 0.5)
                w0 = ((x1 - px) * (y2 - py) - (x2 - px) * (y1 - py)) * inverse
                w1 = ((x2 - px) * (y0 - py) - (x0 - px) * (y2 - py)) * inverse
                w2 = np.float32(1.0) - w0 - w1
                if w0 < 0 or w1 < 0 or w2 < 0:
                    continue
                z = w0 * points[a, 2] + w1 * points[b, 2] + w2 * points[c, 2]
                if z >= depth[y, x]:
                    continue
                where = w0 * along[a] + w1 * along[b] + w2 * along[c]
                alpha = min(max((where - fade[0]) * fade[1], np.float32(0)), np.float32(1))
                if alpha <= 0:
                    continue
                depth[y, x] = z
                light = w0 * brightness[a] + w1 * brightness[b] + w2 * brightness[c]
                step = min(max(int(light * 255), 0), 255)
                share = detail_share * min(
                    max((where - np.float32(0.85)) * np.float32(6), np.float32(0)), np.float32(1)
                )
                row, column = 0, 0
                if textured and share > 0:
                    u = w0 * uv[a, 0] + w1 * uv[b, 0] + w2 * uv[c, 0]
                    v = w0 * uv[a, 1] + w1 * uv[b, 1] + w2 * uv[c, 1]
                    column = min(max(int(u), 0), detail_width - 1)
                    row = min(max(int(v), 0), detail_height - 1)
                else:
                    share = np.float32(0)
                towards_elbow = min(max(np.float32(1) - where, np.float32(0)), np.float32(1))
                for channel in range(3):
                    factor = 1 + share * (np.float32(detail[row, column, channel]) * np.float32(1 / 128) - 1)
                    factor *= 1 + towards_elbow * (tint[channel] - 1)
                    image[y, x, channel] = min(255, int(ramp[step, channel] * factor))
                image[y, x, 3] = int(alpha * 255)
                share = (where - np.float32(HAND_FROM)) * np.float32(1 / (HAND_WHOLE - HAND_FROM))
                marks[y, x] = int(min(max(share, np.float32(0)), np.float32(1)) * alpha * 255)


@njit(cache=True, nogil=True, fastmath=True)  # type: ignore[untyped-decorator]
def reduce(image: Any, marks: Any, out: Any, hand: Any) -> None:
    """Four samples -> one pixel, premultiplied."""
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            blue, green, red, alpha, mark = 0, 0, 0, 0, 0
            for dy in range(2):
                for dx in range(2):
                    p = image[2 * y + dy, 2 * x + dx]
                    a = int(p[3])
                    blue += p[0] * a
                    green += p[1] * a
                    red += p[2] * a
                    alpha += a
                    mark += int(marks[2 * y + dy, 2 * x + dx])
            out[y, x, 0] = (blue + 510) // 1020
            out[y, x, 1] = (green + 510) // 1020
            out[y, x, 2] = (red + 510) // 1020
            out[y, x, 3] = (alpha + 2) // 4
            hand[y, x] = (mark + 2) // 4


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def soften(image: Any, out: Any) -> None:
    """Blur premultiplied BGRA by a pixel where alpha changes: two samples a row still show as steps."""
    height, width = image.shape[0], image.shape[1]
    for y in range(height):
        for x in range(width):
            up, down = image[max(y - 1, 0), x], image[min(y + 1, height - 1), x]
            left, right = image[y, max(x - 1, 0)], image[y, min(x + 1, width - 1)]
            here = image[y, x]
            low = min(min(here[3], up[3]), min(down[3], min(left[3], right[3])))
            high = max(max(here[3], up[3]), max(down[3], max(left[3], right[3])))
            if high - low < 48:
                for channel in range(4):
                    out[y, x, channel] = here[channel]
                continue
            for channel in range(4):
                around = int(up[channel]) + int(down[channel]) + int(left[channel]) + int(right[channel])
                out[y, x, channel] = (4 * int(here[channel]) + around + 4) // 8
