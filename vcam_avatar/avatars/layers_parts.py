"""What the layer network sees and says: which pixel of a picture belongs to which part of the person."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np

from vcam_avatar.avatars.layers_fill import guided
from vcam_avatar.inference import Network, load_network
from vcam_avatar.media import ByteArray, FloatArray
from vcam_avatar.stages.pose_layout import ARMS, FINGERS, HAND_POINTS, HEAD, LEFT_HAND, RIGHT_HAND

NETWORK = "layers"
SIDE_PX = 256
"""Side of the square that the network sees."""
PARTS = (
    "background", "head", "torso", "right_sleeve", "right_skin", "right_hand", "left_sleeve", "left_skin",
    "left_hand",
)  # fmt: skip
"""Parts by channel; right and left are the person's own, the torso includes the neck."""
ARM_PARTS = {"right": (3, 4, 5), "left": (6, 7, 8)}
"""Sleeve, bare arm and hand of each side."""
CHANNELS = 11
"""Red, green, blue, rough person mask, inside the picture, then ``MAPS``."""
MAPS = ("right_arm", "left_arm", "right_hand", "left_hand", "head", "torso")
_TRUSTED = 0.3
"""Confidence from which a keypoint is drawn."""
_MARGIN = 0.3
"""Around the keypoints, shoulder widths."""
_REFINE_PX = 720
"""Height at which the borders between parts are moved onto the edges of the picture."""


@dataclass(frozen=True)
class PartMaps:
    """What the network says about a picture."""

    share: FloatArray
    """float32 ``(h, w, 9)``: how much of a pixel belongs to each of ``PARTS``; adds up to 1."""
    core: FloatArray
    """float32 ``(h, w)``: head and torso, also where an arm hides them."""
    known: FloatArray
    """float32 ``(h, w)``: 1 in the square that the network saw, 0 around it."""

    def arm(self, side: str) -> FloatArray:
        """Sleeve, skin and hand of ``"left"`` or ``"right"``: float32 ``(h, w)``."""
        return np.asarray(sum(self.share[..., k] for k in ARM_PARTS[side]), np.float32)


def crop_square(points: FloatArray) -> tuple[float, float, float]:
    """Left, top and side in pixels of the square around the keypoints ``(57, 3)`` above the hips."""
    shoulders = points[[2, 5], :2]
    unit = float(np.hypot(*(shoulders[0] - shoulders[1])))
    known = points[points[:, 2] > _TRUSTED, :2]
    known = np.concatenate([known, shoulders])
    low, high = known.min(0) - _MARGIN * unit, known.max(0) + _MARGIN * unit
    # Hair above the eyes; belly below the shoulders, hips or not.
    low[1] = min(low[1], shoulders[:, 1].min() - 1.15 * unit)
    if points[:2, 2].min() > _TRUSTED:
        # Large heads of drawings.
        low[1] = min(low[1], points[0, 1] - 1.25 * max(float(points[1, 1] - points[0, 1]), 0.0))
    high[1] = max(high[1], shoulders[:, 1].max() + 0.9 * unit)
    high[1] = min(high[1], shoulders[:, 1].max() + 2.2 * unit)
    side = max(float((high - low).max()), 2.2 * unit)
    middle = (low + high) / 2
    return float(middle[0] - side / 2), float(middle[1] - side / 2), side


def draw_maps(points: FloatArray, side_px: int = SIDE_PX) -> FloatArray:
    """Keypoints ``(57, 3)`` in pixels of the square as soft drawings of limbs: float32 ``(6, S, S)``.

    What has a low confidence is not drawn.
    """
    out = np.zeros((len(MAPS), side_px, side_px), np.float32)
    # They are soft: half the size is enough.
    half = side_px // 2
    unit = max(float(np.hypot(*(points[2, :2] - points[5, :2]))) / 2, 2.0)
    at = np.rint(np.clip(points[:, :2] / 2, -4 * half, 5 * half) * 16).astype(int)
    sure = points[:, 2] > _TRUSTED

    def lines(channel: int, pairs: Any, width: float) -> None:
        canvas = np.zeros((half, half), np.uint8)
        for a, b in pairs:
            if sure[a] and sure[b]:
                cv2.line(
                    canvas, at[a].tolist(), at[b].tolist(), 255, max(1, round(width * unit)), cv2.LINE_AA, 4
                )
        soft = cv2.GaussianBlur(canvas, (0, 0), max(0.05 * unit, 1.0))
        large = cv2.resize(soft, (side_px, side_px), interpolation=cv2.INTER_LINEAR)
        out[channel] = large.astype(np.float32) / 255

    for channel, (shoulder, elbow, wrist, _) in enumerate(ARMS):
        lines(channel, ((shoulder, elbow), (elbow, wrist)), 0.10)
    for channel, start in ((2, RIGHT_HAND), (3, LEFT_HAND)):
        if sure[start : start + HAND_POINTS].mean() > 0.5:
            pairs = [
                (start + a, start + b)
                for finger in FINGERS
                for a, b in zip((0, *finger[:-1]), finger, strict=True)
            ]
            lines(channel, pairs, 0.05)
    lines(4, [(a, b) for a in HEAD for b in HEAD if a < b], 0.10)
    lines(5, ((2, 5), (2, 9), (5, 10), (9, 10), (1, 8)), 0.10)
    return out


@lru_cache(maxsize=1)
def _network() -> Network:
    return load_network(NETWORK, threads=2, warm_up=False)


def read_parts(bgr: ByteArray, mask: ByteArray, points: FloatArray) -> PartMaps:
    """Ask the network about a picture; arguments as ``network_input``.

    Raises:
        ModelError: the network is missing or damaged.
    """
    planes, square = network_input(bgr, mask, points)
    scores = _network().run({"planes": planes[None]})["shares"][0]
    return place_maps(scores, square, bgr)


def network_input(
    bgr: ByteArray, mask: ByteArray, points: FloatArray
) -> tuple[FloatArray, tuple[float, float, float]]:
    """Cut the square around the person.

    Args:
        bgr: uint8 ``(h, w, 3)``.
        mask: uint8 ``(h, w)``, 255 on the person, rough.
        points: ``(57, 3)`` in pixels with confidences.

    Returns:
        float32 ``(11, 256, 256)``, colours 0 to 1, and the square's left, top and side in pixels.
    """
    left, top, side = crop_square(points)
    scale = SIDE_PX / side
    shrink = max(1, int(1 / scale))
    # Far larger pictures are reduced first: a warp reads single pixels.
    small = (
        bgr
        if shrink == 1
        else cv2.resize(bgr, None, fx=1 / shrink, fy=1 / shrink, interpolation=cv2.INTER_AREA)
    )
    small_mask = cv2.resize(mask, (small.shape[1], small.shape[0]), interpolation=cv2.INTER_AREA)
    fx, fy = small.shape[1] / bgr.shape[1], small.shape[0] / bgr.shape[0]
    warp = np.array([[scale / fx, 0, -left * scale], [0, scale / fy, -top * scale]], np.float32)
    warp[:, 2] += 0.5 * (warp[[0, 1], [0, 1]] - 1)
    size = (SIDE_PX, SIDE_PX)
    inside = np.full(small_mask.shape, 255, np.uint8)
    colour = cv2.warpAffine(small, warp, size, flags=cv2.INTER_LINEAR, borderValue=(128, 128, 128))
    planes = [cv2.warpAffine(plane, warp, size, flags=cv2.INTER_LINEAR) for plane in (small_mask, inside)]
    here = points.astype(np.float32).copy()
    here[:, :2] = (here[:, :2] - [left, top]) * scale
    return stack_input(np.asarray(colour[..., ::-1]), planes[0], planes[1], here), (left, top, side)


def stack_input(rgb: Any, mask: Any, inside: Any, points: FloatArray) -> FloatArray:
    """Planes of one square, uint8, and keypoints in its pixels: float32 ``(11, S, S)``."""
    planes = np.concatenate([np.moveaxis(np.asarray(rgb), -1, 0), mask[None], inside[None]]).astype(
        np.float32
    )
    return np.concatenate([planes / 255, draw_maps(points, planes.shape[1])])


def place_maps(scores: FloatArray, square: tuple[float, float, float], bgr: ByteArray) -> PartMaps:
    """The network's answer laid over the picture.

    Args:
        scores: float32 ``(10, 256, 256)``: shares of ``PARTS``, then the core, 0 to 1.
        square: left, top and side, pixels.
        bgr: uint8 ``(h, w, 3)``: borders between parts move onto its edges.
    """
    height, width = bgr.shape[:2]
    left, top, side = square
    factor = min(1.0, _REFINE_PX / height)
    size = (max(2, round(width * factor)), max(2, round(height * factor)))
    scale = side / SIDE_PX * factor
    warp = np.array([[scale, 0, left * factor], [0, scale, top * factor]], np.float32)
    warp[:, 2] += 0.5 * (scale - 1)
    small = np.asarray(cv2.resize(bgr, size, interpolation=cv2.INTER_AREA))
    grey = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY).astype(np.float32)
    radius = max(2, round(1.5 * scale))
    out = np.zeros((size[1], size[0], len(scores)), np.float32)
    for k, plane in enumerate(scores):
        rest = 1.0 if k == 0 else 0.0
        large = cv2.warpAffine(
            np.ascontiguousarray(plane, np.float32), warp, size, flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT, borderValue=rest,
        )  # fmt: skip
        # Where an arm hides the core there is no edge to follow.
        out[..., k] = guided(grey, np.asarray(large, np.float32), radius, 30.0) if k < len(PARTS) else large
    out[..., : len(PARTS)] /= np.maximum(out[..., : len(PARTS)].sum(-1, keepdims=True), 1e-6)
    planes = [
        np.asarray(cv2.resize(out[..., k], (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
        for k in range(len(scores))
    ]
    known = np.zeros((height, width), np.float32)
    first, last = np.maximum([top, left], 0).astype(int), np.maximum([top + side, left + side], 0).astype(int)
    known[first[0] : last[0], first[1] : last[1]] = 1
    return PartMaps(np.stack(planes[: len(PARTS)], -1), planes[len(PARTS)], known)
