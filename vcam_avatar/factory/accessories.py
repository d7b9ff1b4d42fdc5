"""Things worn or grown on the head: glasses, headphones, horns, ears. Rigid with the head."""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vcam_avatar.factory.mesh import FloatArray, IntArray
from vcam_avatar.factory.proxy import Proxy, _bind, _tube

GEAR = ("glasses_round", "glasses_square", "headphones", "earrings", "horns", "cat_ears")
FRAME, HAIR_GEAR = 9, 11


def _pipe(
    path: NDArray[np.float64], radius: Any, sides: int = 8, closed: bool = False
) -> tuple[FloatArray, IntArray]:
    """A tube about a path ``(n, 3)``; ``radius`` may be one number or ``(n,)``."""
    ahead = np.roll(path, -1, 0) - np.roll(path, 1, 0) if closed else np.gradient(path, axis=0)
    ahead /= np.linalg.norm(ahead, axis=1, keepdims=True) + 1e-9
    rings = []
    t = 2 * np.pi * np.arange(sides) / sides
    radii = np.broadcast_to(radius, len(path))
    for p, d, r in zip(path, ahead, radii, strict=True):
        up = np.array([0, 0, 1.0]) if abs(d[2]) < 0.8 else np.array([0, 1.0, 0])
        a = np.cross(d, up)
        a /= np.linalg.norm(a) + 1e-9
        b = np.cross(d, a)
        rings.append((p + r * (np.cos(t)[:, None] * a + np.sin(t)[:, None] * b)).astype(np.float32))
    return _tube(rings, closed_along=closed)


def _join(parts: list[tuple[FloatArray, IntArray]]) -> tuple[FloatArray, IntArray]:
    points: list[FloatArray] = []
    faces: list[IntArray] = []
    start = 0
    for p, f in parts:
        points.append(p)
        faces.append(f + np.int32(start))
        start += len(p)
    return np.concatenate(points).astype(np.float32), np.concatenate(faces).astype(np.int32)


def _glasses(square: bool) -> tuple[FloatArray, IntArray]:
    t = 2 * np.pi * np.arange(40) / 40
    power = 0.45 if square else 0.9
    x = np.sign(np.cos(t)) * np.abs(np.cos(t)) ** power
    y = np.sign(np.sin(t)) * np.abs(np.sin(t)) ** power
    parts = []
    for sign in (-1, 1):
        px = sign * 0.335 + 0.235 * x
        path = np.stack([px, 7.225 + (0.175 if square else 0.215) * y, 1.53 - 0.40 * px**2], 1)
        parts.append(_pipe(path, 0.020, closed=True))
        temple = np.array([[0.57, 7.28, 1.39], [0.84, 7.29, 1.05], [0.95, 7.29, 0.65], [0.95, 7.28, 0.35]])
        temple[:, 0] *= sign
        parts.append(_pipe(temple, 0.020))
    bridge = np.array([[-0.10, 7.27, 1.525], [-0.05, 7.31, 1.55], [0.05, 7.31, 1.55], [0.10, 7.27, 1.525]])
    parts.append(_pipe(bridge, 0.020))
    return _join(parts)


def _disc(centre: FloatArray, axis_x: float, radius: float, thick: float) -> tuple[FloatArray, IntArray]:
    """A rounded puck whose axis is x."""
    t = 2 * np.pi * np.arange(28) / 28
    rings = []
    for along, r in ((0, 0.05), (0, 0.75), (0.15, 0.97), (0.5, 1.0), (0.85, 0.97), (1, 0.75), (1, 0.05)):
        ring = np.stack(
            [np.full(28, along * thick * axis_x), r * radius * 1.15 * np.sin(t), r * radius * np.cos(t)], 1
        )
        rings.append((centre + ring).astype(np.float32))
    return _tube(rings, closed_along=False)


def _headphones() -> tuple[FloatArray, IntArray, IntArray]:
    u = np.linspace(-1.45, 1.45, 41)
    band = np.stack([1.14 * np.sin(u), 7.25 + 1.16 * np.cos(u), np.full_like(u, 0.22)], 1)
    parts = [_pipe(band, 0.075, 10)]
    kinds = [np.zeros(len(parts[0][0]), np.int32)]
    for sign in (-1.0, 1.0):
        pad = _disc(np.array([sign * 0.93, 7.12, 0.20], np.float32), sign, 0.33, 0.16)
        shell = _disc(np.array([sign * 1.07, 7.12, 0.20], np.float32), sign, 0.29, 0.16)
        parts += [pad, shell]
        kinds += [np.ones(len(pad[0]), np.int32), np.zeros(len(shell[0]), np.int32)]
    points, faces = _join(parts)
    return points, faces, np.concatenate(kinds)


def _earrings() -> tuple[FloatArray, IntArray]:
    t = 2 * np.pi * np.arange(24) / 24
    parts = []
    for sign in (-1, 1):
        path = np.stack([np.full(24, sign * 0.81), 6.87 + 0.09 * np.sin(t), 0.42 + 0.07 * np.cos(t)], 1)
        parts.append(_pipe(path, 0.02, closed=True))
    return _join(parts)


def _horns() -> tuple[FloatArray, IntArray, IntArray]:
    """A pair that grows out of the forehead and bends up and back; the tips are of the second colour."""
    parts, kinds = [], []
    t = np.linspace(0, 1, 24)
    for sign in (-1, 1):
        path = np.stack(
            [sign * (0.46 + 0.62 * np.sin(1.9 * t) * t**0.4), 8.02 + 0.95 * t, 0.78 - 0.75 * t + 0.35 * t**2],
            1,
        )
        rings = 1 + 0.09 * np.sin(t * 46) * (1 - t)
        parts.append(_pipe(path, 0.19 * (1 - t) ** 0.75 * rings + 0.008, 16))
        kinds.append(np.repeat((t > 0.72).astype(np.int32), 16))
    points, faces = _join(parts)
    return points, faces, np.concatenate(kinds)


def _cat_ears() -> tuple[FloatArray, IntArray, IntArray]:
    """Pointed ears on top of the head, the inside of the second colour."""
    parts, kinds = [], []
    t, turn = np.linspace(0, 1, 14), 2 * np.pi * np.arange(28) / 28
    for sign in (-1, 1):
        for inner in (False, True):
            rings = []
            for along in t:
                wide = (0.25 if inner else 0.38) * (1 - along) ** 0.85
                thick = (0.05 if inner else 0.13) * (1 - along) ** 0.7
                high = (0.70 if inner else 0.98) * along + (0.05 if inner else 0.0)
                x = sign * (0.54 + 0.30 * high) + wide * np.cos(turn)
                y = 8.00 + high - 0.30 * sign * wide * np.cos(turn)
                z = 0.30 + (0.15 if inner else 0.0) - 0.08 * high + thick * np.sin(turn)
                rings.append(np.stack([x, y, z], 1).astype(np.float32))
            parts.append(_tube(rings, closed_along=False))
            kinds.append(np.full(len(parts[-1][0]), int(inner), np.int32))
    points, faces = _join(parts)
    return points, faces, np.concatenate(kinds)


_TWO_COLOURS = {"headphones": _headphones, "horns": _horns, "cat_ears": _cat_ears}


@lru_cache(maxsize=16)
def build(name: str) -> tuple[tuple[int, Proxy], ...]:
    """Meshes of one thing as (material, proxy).

    Raises:
        ValueError: unknown name.
    """
    if name in ("glasses_round", "glasses_square"):
        return ((FRAME, _bind(*_glasses(name.endswith("square")), rigid=True)),)
    if name == "earrings":
        return ((FRAME, _bind(*_earrings(), rigid=True)),)
    if name in _TWO_COLOURS:
        points, faces, kinds = _TWO_COLOURS[name]()
        proxy = _bind(points, faces, rigid=True)
        proxy.part = kinds
        return ((HAIR_GEAR, proxy),)
    raise ValueError(f"no accessory named {name!r}; known are {', '.join(GEAR)}")
