"""Camera, light and background."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from vcam_avatar.factory.human import human_model
from vcam_avatar.factory.looks import hsv
from vcam_avatar.factory.mesh import FloatArray
from vcam_avatar.factory.person import Posed
from vcam_avatar.factory.renderer import look_at, perspective
from vcam_avatar.factory.skeleton import unit
from vcam_avatar.media import ByteArray


@dataclass(frozen=True, slots=True)
class Camera:
    """A projection and where it looks from."""

    matrix: FloatArray
    """World (dm) to clip space, ``(4, 4)``."""
    eye: FloatArray
    """Position, dm."""
    view: FloatArray
    """Unit vector from the person to the camera."""
    depth_per_dm: float
    """Change of the depth buffer per dm at the person's distance."""


def frame_camera(
    posed: Posed,
    framing: str = "half",
    aspect: float = 1.0,
    rng: np.random.Generator | None = None,
    fov_rad: float = 0.30,
) -> Camera:
    """Frame a person.

    Args:
        framing: 'half' (head to waist) or 'head'.
        rng: small random yaw, pitch, zoom and shift; None for the centred camera.

    Raises:
        ValueError: unknown framing.
    """
    model, v = human_model(), posed.positions
    top, neck, spine, head = (model.centre(v, f"joint-{n}") for n in ("head-2", "neck", "spine-2", "head"))
    if framing == "half":
        high, low = top[1] + 0.75, spine[1] - 0.1
        at = np.array([neck[0] * 0.6, (high + low) / 2, 0.0])
    elif framing == "head":
        high, low = top[1] + 0.45, neck[1] - 0.45
        at = np.array([head[0], (high + low) / 2, head[2] + 0.4])
    else:
        raise ValueError(f"no framing {framing!r}; known are half, head")
    height = float(high - low)
    yaw = pitch = 0.0
    if rng is not None:
        yaw, pitch = float(rng.normal(0, 0.12)), float(rng.normal(0, 0.05))
        height *= float(rng.uniform(0.92, 1.15))
        at = at + rng.normal(0, 0.15, 3) * (1 if framing == "half" else 0.5)
    distance = height / 2 / np.tan(fov_rad / 2)
    view = np.array([np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)])
    eye = at + distance * view
    matrix = perspective(fov_rad, aspect, distance * 0.3, distance * 2) @ look_at(eye, at)
    return Camera(
        matrix.astype(np.float32),
        eye.astype(np.float32),
        view.astype(np.float32),
        float(0.6 / 1.7 / distance),
    )


def sample_light(rng: np.random.Generator) -> dict[str, Any]:
    """Key light direction, tint and ambient light as shader values."""
    direction = unit([rng.normal(0.2, 0.5), rng.uniform(0.1, 0.9), 0.8])
    ambient = rng.uniform(-0.06, 0.06, 3) + rng.uniform(0.18, 0.6)
    return {"L": tuple(direction), "lcol": tuple(1 + rng.normal(0, 0.03, 3)), "amb": tuple(ambient)}


def sample_background(rng: np.random.Generator, width: int, height: int) -> ByteArray:
    """A soft RGB backdrop ``(H, W, 3)``: gradient and out-of-focus discs."""
    a, b = (
        np.array(hsv(float(rng.random()), float(rng.uniform(0.08, 0.3)), float(rng.uniform(0.55, 1))))
        for _ in "ab"
    )
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / max(width, height)
    t = np.clip(y * rng.uniform(0.3, 1) + x * rng.uniform(-0.4, 0.4), 0, 1)[..., None]
    out = a * (1 - t) + b * t
    for _ in range(3):
        cx, cy = rng.random(2)
        edge = np.clip((np.hypot(x - cx, y - cy) - rng.uniform(0.1, 0.4)) * rng.uniform(20, 60), -30, 30)
        m = (0.3 / (1 + np.exp(edge)))[..., None]
        out = out * (1 - m) + m * np.array(hsv(float(rng.random()), 0.2, 1))
    picture: ByteArray = np.clip(out * 255, 0, 255).astype(np.uint8)
    return picture


def over(rgba: ByteArray, background_rgb: ByteArray) -> ByteArray:
    """Straight-alpha RGBA over RGB -> RGB."""
    alpha = rgba[..., 3:].astype(np.float32) / 255
    mixed: ByteArray = np.rint(rgba[..., :3] * alpha + background_rgb * (1 - alpha)).astype(np.uint8)
    return mixed
