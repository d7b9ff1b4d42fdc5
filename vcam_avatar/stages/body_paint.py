"""The hand mesh in pixels: skinning, light, z-buffered triangles, 2x2 supersampled edges. One thread."""

from dataclasses import dataclass

import numpy as np

from vcam_avatar.media import ByteArray, FloatArray
from vcam_avatar.stages.body_raster import (
    HAND_FROM,
    HAND_WHOLE,
    SUPERSAMPLE,
    extent,
    light,
    normals,
    over,
    paint,
    pose_vertices,
    reduce,
    soften,
)
from vcam_avatar.stages.hands import HandMesh

__all__ = ["HAND_FROM", "HAND_WHOLE", "HandPainter", "Painted", "Ramp", "make_ramp", "over"]

_CELLS = 72
"""Shadow cells along a side."""

_DARKEST, _SHADE = 0.4, (0.65, 0.63, 0.7)
"""A shadow darker than this share of the skin is the line around drawn hands; what shades them then."""


@dataclass(frozen=True, slots=True)
class Ramp:
    """Skin colours from dark to light, and the light."""

    colours: FloatArray
    """float32 ``(256, 3)`` BGR by brightness."""
    light: FloatArray
    """float32 ``(3,)`` unit vector towards the light: x right, y down, z away from the viewer."""
    detail: float
    """Strength of the skin detail, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Painted:
    """A drawn hand. The image belongs to the painter until its next ``paint`` of that slot."""

    image_bgra: ByteArray
    """uint8 ``(h, w, 4)`` premultiplied."""
    hand: ByteArray
    """uint8 ``(h, w)``: alpha of the hand alone, fading in over the wrist."""
    left_px: int
    """Where its left column lies in the frame."""
    top_px: int


def make_ramp(
    skin_bgr: tuple[float, float, float],
    shadow_bgr: tuple[float, float, float],
    light: tuple[float, float, float],
    detail: float = 1.0,
    toon: float = 0.0,
) -> Ramp:
    """Colours for every brightness: shadow at 0.25, skin at 0.85; ``toon`` 1 makes two flat tones.

    Args:
        light: towards the light: x right, y down, z **to** the viewer.
    """
    brightness = np.linspace(0, 1, 256)
    smooth = np.clip((brightness - 0.25) / 0.6, 0, 1.15)
    hard = np.clip((brightness - 0.52) / 0.04, 0, 1)
    share = ((1 - toon) * smooth + toon * hard)[:, None]
    below = np.clip(brightness / 0.25, 0.35, 1)[:, None] * (1 - toon) + toon
    skin = np.array(skin_bgr)
    shadow = np.array(shadow_bgr)
    if (shadow < _DARKEST * skin).all():
        shadow = skin * _SHADE
    colours = (shadow + (skin - shadow) * share) * below
    towards = np.array(light, np.float32) * np.array([1, 1, -1], np.float32)
    towards /= max(float(np.linalg.norm(towards)), 1e-6)
    return Ramp(np.clip(colours, 0, 255).astype(np.float32), towards, float(detail))


class HandPainter:
    """Draws the mesh. One instance per arm: buffers are reused."""

    def __init__(self, mesh: HandMesh) -> None:
        self._mesh = mesh
        count = len(mesh.vertices)
        self._points = np.zeros((count, 3), np.float32)
        self._normals = np.zeros((count, 3), np.float32)
        self._brightness = np.zeros(count, np.float32)
        self._grid = np.zeros((_CELLS, _CELLS), np.float32)
        self._seen = np.zeros((2, count), np.float32)
        self._cell = np.zeros(count, np.int32)
        self._away = np.zeros(count, np.float32)
        self._ramp: Ramp | None = None
        self._sign = np.float32(1)
        self._image = np.zeros(0, np.uint8)
        self._depth = np.zeros(0, np.float32)
        self._reduced = np.zeros(0, np.uint8)
        self._soft = np.zeros(0, np.uint8)
        self._marks = np.zeros(0, np.uint8)
        self._hand = np.zeros(0, np.uint8)

    def pose(
        self, matrices: FloatArray, mirror: bool, wrist_px: tuple[float, float], palm_px: float, ramp: Ramp
    ) -> None:
        """Put the mesh where ``draw`` will draw it, and light it.

        Args:
            matrices: ``hands.bone_matrices``.
            mirror: a right hand.
            wrist_px: x, y in the frame.
            palm_px: palm length in frame pixels.
        """
        mesh, points = self._mesh, self._points
        self._ramp, self._sign = ramp, np.float32(-1 if mirror else 1)
        pose_vertices(
            mesh.vertices, mesh.bone_index, mesh.bone_weight, matrices, self._sign,
            np.float32(palm_px), np.array(wrist_px, np.float32), points,
        )  # fmt: skip
        normals(points, mesh.faces, self._sign, self._normals)
        light(
            points, self._normals, mesh.occlusion, mesh.along, ramp.light, _directions(ramp.light),
            np.float32(palm_px), self._grid, self._cell, self._away, self._seen, self._brightness,
        )  # fmt: skip

    def draw(
        self,
        frame_size: tuple[int, int],
        fade: tuple[float, float],
        until: float = 9.0,
        tint: tuple[float, float, float] = (1.0, 1.0, 1.0),
    ) -> Painted | None:
        """Draw the posed hand, or part of it.

        Args:
            frame_size: width and height; what lies outside is not drawn.
            fade: alpha is 0 below ``fade[0]`` along the forearm (0 elbow, 1 wrist) and 1 from ``fade[1]``.
            until: triangles wholly beyond this place are left out.
            tint: factors of blue, green and red at the elbow, fading to 1 at the wrist.

        Returns:
            The drawn part, or None when nothing of it lies inside the frame.
        """
        mesh, points, ramp = self._mesh, self._points, self._ramp
        assert ramp is not None, "pose() comes first"
        box = extent(points, mesh.along, np.float32(fade[0] - 0.05), np.float32(until + 0.1))
        left, top = max(0, int(box[0]) - 1), max(0, int(box[1]) - 1)
        right, bottom = min(frame_size[0], int(box[2]) + 2), min(frame_size[1], int(box[3]) + 2)
        if right <= left or bottom <= top:
            return None
        width, height = right - left, bottom - top
        samples = width * height * SUPERSAMPLE**2
        if len(self._depth) < samples:
            self._depth = np.zeros(samples, np.float32)
            self._image = np.zeros(samples * 4, np.uint8)
            self._reduced = np.zeros(width * height * 4, np.uint8)
            self._soft = np.zeros(width * height * 4, np.uint8)
            self._marks = np.zeros(samples, np.uint8)
            self._hand = np.zeros(width * height, np.uint8)
        depth = self._depth[:samples].reshape(height * SUPERSAMPLE, width * SUPERSAMPLE)
        image = self._image[: samples * 4].reshape(height * SUPERSAMPLE, width * SUPERSAMPLE, 4)
        out = self._reduced[: width * height * 4].reshape(height, width, 4)
        marks = self._marks[:samples].reshape(depth.shape)
        hand = self._hand[: width * height].reshape(height, width)
        depth.fill(1e9)
        marks.fill(0)
        image.fill(0)
        slope = 1 / max(fade[1] - fade[0], 1e-3)
        paint(
            points, mesh.faces, self._brightness, mesh.uv, mesh.along, mesh.detail, ramp.colours,
            np.float32(ramp.detail), self._sign, np.array([left, top], np.float32),
            np.array([fade[0], slope, until], np.float32), np.array(tint, np.float32), depth, image, marks,
        )  # fmt: skip
        reduce(image, marks, out, hand)
        soft = self._soft[: width * height * 4].reshape(height, width, 4)
        soften(out, soft)
        return Painted(soft, hand, left, top)


def _directions(light: FloatArray) -> FloatArray:
    """The light, then the sky around the viewer and above, float32 ``(n, 3)``."""
    return np.concatenate([light[None], _SKY]).astype(np.float32)


def _sky(count: int) -> FloatArray:
    i = np.arange(count) + 0.5
    towards = 1 - 1.3 * i / count
    angle = np.pi * (1 + 5**0.5) * i
    radius = np.sqrt(1 - towards**2)
    axes = np.stack([radius * np.cos(angle), radius * np.sin(angle), towards], 1)
    # Mostly from the front, and from above rather than from below.
    front = np.array([0.0, -0.45, -0.89])
    right = np.array([1.0, 0.0, 0.0])
    up = np.cross(front, right)
    return np.asarray(axes @ np.stack([right, up, front]), np.float32)


_SKY = _sky(6)
