"""Rooms and landscapes behind the presets, out of focus as behind a person near the camera."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from vcam_avatar.media import ByteArray

_Image = NDArray[np.float32]
WIDTH, HEIGHT = 1280, 720


def _bgr(colour: str) -> NDArray[np.float32]:
    return np.array([int(colour[i : i + 2], 16) for i in (5, 3, 1)], np.float32)


def _gradient(above: str, below: str) -> _Image:
    t = np.linspace(0, 1, HEIGHT, dtype=np.float32)[:, None, None]
    return np.broadcast_to(_bgr(above) * (1 - t) + _bgr(below) * t, (HEIGHT, WIDTH, 3)).copy()


def _box(image: _Image, left: float, top: float, right: float, bottom: float, colour: str) -> None:
    low, high = (round(left), round(top)), (round(right), round(bottom))
    cv2.rectangle(image, low, high, _bgr(colour).tolist(), -1)


def _blur(image: _Image, sigma_px: float) -> _Image:
    return np.asarray(
        cv2.GaussianBlur(image, (0, 0), sigma_px, borderType=cv2.BORDER_REFLECT_101), np.float32
    )


def _glow(image: _Image, x: float, y: float, radius_px: float, colour: str, strength: float) -> None:
    """Add light that falls off from a point."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    fall = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * radius_px**2))
    image += (strength * fall)[..., None] * _bgr(colour)


def _shelf(image: _Image, rng: np.random.Generator, left: float, right: float, top: float, wood: str) -> None:
    """Boards with books and a few things between."""
    for board in (top, top + 150, top + 300):
        x = left + 8
        while x < right - 30:
            kind = rng.random()
            if kind < 0.72:
                wide, high = rng.uniform(14, 30), rng.uniform(80, 124)
                hue = int(rng.integers(0, 180))
                hsv = np.array([[[hue, rng.integers(40, 130), rng.integers(90, 215)]]], np.uint8)
                b, g, r = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)[0, 0].tolist()
                _box(image, x, board - high, x + wide, board, f"#{r:02x}{g:02x}{b:02x}")
                x += wide + rng.uniform(1, 4)
            elif kind < 0.86:
                radius = rng.uniform(18, 28)
                cv2.circle(
                    image,
                    (round(x + radius), round(board - radius)),
                    round(radius),
                    _bgr("#c9b79c").tolist(),
                    -1,
                )
                x += 2 * radius + 12
            else:
                x += rng.uniform(24, 60)
        _box(image, left, board, right, board + 11, wood)


def _plant(image: _Image, rng: np.random.Generator, x: float, y: float, size: float) -> None:
    _box(image, x - 0.22 * size, y - 0.42 * size, x + 0.22 * size, y, "#b98a6a")
    for _ in range(26):
        angle = rng.uniform(-1.25, 1.25)
        reach = size * rng.uniform(0.5, 1.1)
        tip = (x + np.sin(angle) * reach * 0.6, y - 0.42 * size - np.cos(angle) * reach)
        middle = (round((x + tip[0]) / 2), round((y - 0.42 * size + tip[1]) / 2))
        green = rng.choice(["#4f7a4b", "#6b9a5e", "#3d6442", "#86ad6c"])
        cv2.ellipse(
            image, middle, (round(0.09 * size), round(reach / 2)), float(np.degrees(angle)), 0, 360,
            _bgr(str(green)).tolist(), -1,
        )  # fmt: skip


def _room(tint: str, rng: np.random.Generator) -> _Image:
    """A living room by day: window left, shelf right."""
    wall = _bgr(tint)
    image = np.broadcast_to(wall, (HEIGHT, WIDTH, 3)).astype(np.float32).copy()
    _box(image, 90, 70, 400, 500, "#f4f1ea")
    for column in range(2):
        for row in range(2):
            x, y = 104 + 148 * column, 84 + 206 * row
            _box(image, x, y, x + 134, y + 192, "#e6f2fb")
            _box(image, x, y + 120 - 70 * row, x + 134, y + 192, "#cfe3c4" if row else "#dcebf2")
    _shelf(image, rng, 900, 1230, 210, "#a9805a")
    _plant(image, rng, 800, 720, 210)
    _box(image, 40, 560, 460, 720, "#d8cbb9")
    image = _blur(image, 13)
    _glow(image, 240, 260, 330, "#fff3d8", 0.07)
    shade = np.linspace(1.02, 0.9, HEIGHT, dtype=np.float32)[:, None, None]
    return np.asarray(image * shade, np.float32)


def _office(tint: str, rng: np.random.Generator) -> _Image:
    """An office high above a town."""
    image = _gradient("#dfeaf5", "#f3ead9")
    for layer, (low, shade) in enumerate(((330, "#b9c7d6"), (410, "#9fb0c3"), (500, "#8497ad"))):
        x = -40.0
        while x < WIDTH:
            wide, high = rng.uniform(50, 120), rng.uniform(40, 190 - 30 * layer)
            _box(image, x, low - high, x + wide, HEIGHT, shade)
            x += wide + rng.uniform(-8, 24)
    for x in (0, 425, 855, 1270):
        _box(image, x - 9, 0, x + 9, HEIGHT, "#5d6470")
    wall = _bgr(tint) * 0.86
    image[590:] = wall
    _box(image, 0, 582, WIDTH, 596, "#5d6470")
    _plant(image, rng, 1150, 720, 250)
    image = _blur(image, 12)
    _glow(image, 900, 150, 360, "#ffe9c4", 0.08)
    return image


def _neon(tint: str, rng: np.random.Generator) -> _Image:
    """A streamer's room at night: lit panels, strips of light, a shelf."""
    image = _gradient("#1b1630", "#110d1d")
    for column in range(7):
        for row in range(3):
            x, y = 90 + 150 * column + 75 * (row % 2), 90 + 118 * row
            if 380 < x < 900 and rng.random() < 0.4:
                continue
            angles = np.arange(6) * np.pi / 3 + np.pi / 6
            corners = np.round(np.stack([x + 62 * np.cos(angles), y + 62 * np.sin(angles)], 1)).astype(
                np.int32
            )
            shade = _bgr(tint if rng.random() < 0.5 else "#6b4bd8") * rng.uniform(0.18, 0.75)
            cv2.fillPoly(image, [corners], shade.tolist())
    _shelf(image, rng, -30, 250, 560, "#2a2342")
    image[400:, :250] *= 0.35
    light = np.zeros_like(image)
    _box(light, 1090, 60, 1102, 720, "#ff4fa3")
    _box(light, 1150, 20, 1160, 720, "#35d6ff")
    _box(light, 0, 466, WIDTH, 472, tint)
    glow = _blur(light, 5) + 3.2 * _blur(light, 34) + 1.6 * _blur(light, 110)
    return np.asarray(_blur(image, 9) + glow, np.float32)


def _dusk(tint: str, rng: np.random.Generator) -> _Image:
    """Hills below a large moon."""
    image = _gradient("#2a2350", tint)
    stars = np.zeros_like(image)
    for _ in range(110):
        x, y = int(rng.integers(0, WIDTH)), int(rng.integers(0, 380))
        cv2.circle(stars, (x, y), int(rng.integers(1, 3)), (255, 245, 235), -1)
    image += 0.8 * _blur(stars, 1.3)
    _glow(image, 985, 170, 190, "#ffe9c9", 0.35)
    moon = image.copy()
    cv2.circle(moon, (985, 170), 84, _bgr("#fff1d6").tolist(), -1)
    image = 0.1 * image + 0.9 * _blur(moon, 2.5)
    columns = np.arange(WIDTH)
    for base, high, shade in ((470, 70, "#5b4a86"), (540, 56, "#463a70"), (620, 44, "#332b57")):
        waves = sum(
            high / (k + 1) * np.sin(columns * (0.0035 * (k + 1)) + rng.uniform(0, 6.28)) for k in range(4)
        )
        line = np.stack([columns, np.round(base + np.asarray(waves))], 1).astype(np.int32)
        polygon = np.concatenate([line, [[WIDTH, HEIGHT], [0, HEIGHT]]]).astype(np.int32)
        hill = image.copy()
        cv2.fillPoly(hill, [polygon], _bgr(shade).tolist())
        image = _blur(hill, 2.5)
    return _blur(image, 2.5)


def _glade(tint: str, rng: np.random.Generator) -> _Image:
    """Trunks and leaves in a green light."""
    image = _gradient(tint, "#2c4436")
    _glow(image, 640, 120, 330, "#e9f7c4", 0.35)
    for depth, shade in enumerate(("#6f9277", "#4f735b", "#2f4a3c")):
        for _ in range(7 - depth):
            x, wide = rng.uniform(-20, WIDTH), rng.uniform(18, 34) * (1 + 0.7 * depth)
            if depth == 2 and 330 < x < 950:
                continue
            _box(image, x, 0, x + wide, HEIGHT, shade)
        image = _blur(image, 8 - depth)
    for _ in range(260):
        x, y = rng.uniform(0, WIDTH), rng.uniform(-20, 190)
        if abs(x - 640) < 300 and y > 60:
            continue
        colour = str(rng.choice(["#7fae6a", "#5c8f58", "#a6cf84", "#3f6d49"]))
        cv2.circle(image, (round(x), round(y)), int(rng.integers(8, 26)), _bgr(colour).tolist(), -1)
    lights = np.zeros_like(image)
    for _ in range(26):
        cv2.circle(lights, (int(rng.integers(0, WIDTH)), int(rng.integers(260, 700))), 5, (150, 245, 255), -1)
    return _blur(image, 9) + 1.2 * _blur(lights, 5)


def _disc(tint: str, _: np.random.Generator) -> _Image:
    """A tint, lighter above, with a large soft disc."""
    base = _bgr(tint)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32) / HEIGHT
    out = base * (1.03 - 0.10 * y[..., None])
    disc = 1 / (1 + np.exp(np.clip((np.hypot(x - WIDTH / HEIGHT / 2, y - 0.52) - 0.46) * 90, -30, 30)))
    return np.asarray(
        out * (1 - 0.55 * disc[..., None]) + (base * 0.88 + 12) * 0.55 * disc[..., None], np.float32
    )


BACKDROPS: dict[str, Callable[[str, np.random.Generator], _Image]] = {
    "disc": _disc, "room": _room, "office": _office, "neon": _neon, "dusk": _dusk, "glade": _glade,
}  # fmt: skip


def backdrop(kind: str, tint: str, seed: int = 0) -> ByteArray:
    """A background picture, uint8 ``(720, 1280, 3)`` BGR.

    Args:
        kind: of ``BACKDROPS``.
        tint: ``#RRGGBB``, the main colour.
        seed: decides what stands where.
    """
    image = BACKDROPS[kind](tint, np.random.default_rng(seed))
    return np.clip(image, 0, 255).astype(np.uint8)
