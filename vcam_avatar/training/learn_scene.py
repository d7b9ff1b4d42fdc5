"""An avatar beside a video of its person: what it draws, what is true, and what of both can be compared."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import cv2
import numpy as np

from vcam_avatar.avatars.analysis import PictureAnalyser
from vcam_avatar.avatars.layers import Layers
from vcam_avatar.avatars.learnt import MotionTable
from vcam_avatar.evaluation.body_compare import Sums, hand_boxes, similarity
from vcam_avatar.media import ByteArray, FloatArray, Size
from vcam_avatar.stages.body import BodyGenerator, PreparedBody
from vcam_avatar.stages.body_background import extend
from vcam_avatar.stages.pose_layout import ARMS, HEAD, LEFT_SHOULDER, RIGHT_SHOULDER
from vcam_avatar.training.learn_clip import Clip

WORK_PX = 540
"""Longest side of the frames that are compared."""
_STRUCTURE = 3000.0
"""Weight of likeness of structure over squared grey levels: as much of either in a poor frame."""
_WALL = 120
"""Grey behind people that were cut out."""


@dataclass
class Scene:
    """One avatar and one clip."""

    generator: BodyGenerator
    layers: Layers
    """As they are before anything is learnt."""
    picture: ByteArray
    """uint8 ``(H, W, 4)``, alpha is the person."""
    points: FloatArray
    """``(57, 3)`` in its pixels."""
    face: FloatArray
    """``(68, 2)`` in its pixels."""
    clip: Clip
    _frames: dict[int, ByteArray] = field(default_factory=dict)
    _masks: dict[int, ByteArray] = field(default_factory=dict)

    @cached_property
    def scale(self) -> float:
        """Work pixels per pixel of the picture."""
        return min(1.0, float(WORK_PX / max(self.picture.shape[:2])))

    @cached_property
    def size(self) -> Size:
        """Of the frames that are compared."""
        return Size(round(self.picture.shape[1] * self.scale), round(self.picture.shape[0] * self.scale))

    @cached_property
    def unit(self) -> float:
        """Shoulder width in work pixels."""
        return (
            float(np.hypot(*(self.points[LEFT_SHOULDER, :2] - self.points[RIGHT_SHOULDER, :2]))) * self.scale
        )

    @cached_property
    def _analyser(self) -> PictureAnalyser:
        return PictureAnalyser(1)

    def places(self, number: int) -> FloatArray:
        """Keypoints of a frame in work pixels, ``(57, 2)``."""
        return np.asarray(self.clip.points[number] * self.scale, np.float32)

    def truth(self, number: int) -> ByteArray:
        """The frame itself; the room is grey where the avatar has none."""
        if number not in self._frames:
            frame = self.clip.frame(number, self.scale, (self.size.width_px, self.size.height_px))
            if self.layers.background_bgr is None:
                share = self.mask_of(frame, number)[..., None].astype(np.float32) / 255
                frame = np.asarray(np.rint(frame * share + _WALL * (1 - share)), np.uint8)
            self._frames[number] = frame
        return self._frames[number]

    def mask(self, number: int) -> ByteArray:
        """Where the person is in a frame: uint8 ``(h, w)``."""
        if number not in self._masks:
            frame = self.clip.frame(number, self.scale, (self.size.width_px, self.size.height_px))
            self._masks[number] = self.mask_of(frame, number)
        return self._masks[number]

    def mask_of(self, frame: ByteArray, number: int) -> ByteArray:
        """The same for a frame at hand."""
        now = self.places(number)
        head = list(HEAD)
        moved = (now[head] - self.points[head, :2] * self.scale).mean(0)
        sure = np.concatenate([now, np.ones((len(now), 1), np.float32)], 1)
        return self._analyser.mask(frame, sure, self.face * np.float32(self.scale) + moved)

    def prepare(self, layers: Layers, motion: MotionTable | None = None) -> PreparedBody:
        """The avatar with ``layers`` and ``motion`` at work size."""
        view = np.array([[self.scale, 0, 0], [0, self.scale, 0]], np.float32)
        if layers.background_bgr is None:
            behind = np.full((self.size.height_px, self.size.width_px, 3), _WALL, np.uint8)
        else:
            own = view.copy()
            own[:, :2] *= self.picture.shape[1] / layers.size.width_px
            behind = extend(layers.background_bgr, own, self.size)
        return self.generator.prepare_layers(
            layers, self.points, self.face, view, self.size, background=behind,
            picture_width_px=self.picture.shape[1], picture=self.picture, motion=motion,
        )  # fmt: skip

    def draw(self, body: PreparedBody, number: int) -> ByteArray:
        """What the avatar shows for a frame; valid until the next but one."""
        body.reset()
        return self.generator.draw(body, self.clip.points[number]).image_bgr

    def error(self, body: PreparedBody, numbers: list[int]) -> float:
        """Mean over some frames: squared difference, and unlike structure, which a blur does not lessen."""
        total = 0.0
        for number in numbers:
            drawn, truth = self.draw(body, number), self.truth(number)
            total += float(((drawn.astype(np.float32) - truth) ** 2).mean())
            total += _STRUCTURE * float(1 - similarity(drawn, truth).mean())
        return total / len(numbers)

    def measure(self, body: PreparedBody, numbers: list[int]) -> dict[str, float]:
        """The evaluation's own measures over some frames."""
        sums = Sums([])
        for number in numbers:
            truth = self.truth(number)
            sums.add(self.draw(body, number), truth, hand_boxes(self.places(number), truth.shape))
        return sums.means()

    def arms(self, points: FloatArray, upper: float = 0.40) -> ByteArray:
        """Where arms and hands may be: uint8 ``(h, w)``. ``upper``: sleeves' width in shoulder widths."""
        area = np.zeros((self.size.height_px, self.size.width_px), np.uint8)
        for shoulder, elbow, wrist, hand in ARMS:
            a, b, c = (
                tuple(int(v) for v in np.clip(points[i], -4000, 4000)) for i in (shoulder, elbow, wrist)
            )
            cv2.line(area, a, b, 255, max(1, int(upper * self.unit)))
            cv2.line(area, b, c, 255, max(1, int(0.3 * self.unit)))
            paint_hand(area, points[hand : hand + 21], 0.08 * self.unit)
        return area


def paint_hand(area: ByteArray, points: FloatArray, border_px: float) -> None:
    """Fill the hull of a hand's points, ``(21, 2)``, and a border around it, into ``area``."""
    if not np.isfinite(points).all():
        return
    hull = cv2.convexHull(np.clip(points, -4000, 4000).astype(np.int32))
    cv2.fillConvexPoly(area, hull, 255)
    cv2.polylines(area, [hull], True, 255, max(1, int(2 * border_px)))


def rest_maps(body: PreparedBody, shape: tuple[int, int]) -> tuple[FloatArray, FloatArray]:
    """Where every pixel of the picture's pose lies in the frame that was drawn last.

    Beyond the mesh of head and torso its displacement is continued softly.

    Args:
        body: after a frame was drawn.
        shape: rows and columns of the frame.

    Returns:
        float32 columns and rows, ``shape`` each: for ``cv2.remap`` of the frame.
    """
    count, cell = len(body.core.texture_px), 8
    at = body.core.points[:count]
    rows, columns = shape[0] // cell + 2, shape[1] // cell + 2
    sums = np.zeros((rows, columns, 3), np.float32)
    place = np.rint(at / cell).astype(int)
    inside = ((place >= 0) & (place < [columns, rows])).all(1)
    moved = np.concatenate([body.bent[:count] - at, np.ones((count, 1), np.float32)], 1)
    np.add.at(sums, (place[inside, 1], place[inside, 0]), moved[inside])
    value = np.zeros((rows, columns, 2), np.float32)
    weight = np.zeros((rows, columns, 1), np.float32)
    for sigma in (0, 1, 2, 4, 8, 16, 32):
        near: Any = cv2.GaussianBlur(sums, (0, 0), sigma) if sigma else sums
        share = np.clip(near[..., 2:] * 20, 0, 1) * (1 - weight)
        value += near[..., :2] / np.maximum(near[..., 2:], 1e-6) * share
        weight += share
    value /= np.maximum(weight, 1e-6)
    xs, ys = np.meshgrid(np.arange(shape[1], dtype=np.float32), np.arange(shape[0], dtype=np.float32))
    shift = cv2.remap(value, xs / cell, ys / cell, cv2.INTER_LINEAR)
    return np.ascontiguousarray(xs + shift[..., 0]), np.ascontiguousarray(ys + shift[..., 1])
