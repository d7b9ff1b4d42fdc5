"""What the picture networks share: regions, crops, anchors, decoding and suppression."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vcam_avatar.inference import Network
from vcam_avatar.media import ByteArray, FloatArray

_MERGE_OVERLAP = 0.3
"""Boxes that overlap more than this (intersection over union) are one thing."""


@dataclass(frozen=True, slots=True)
class Region:
    """A rotated square in a picture."""

    x_px: float
    y_px: float
    """Centre."""
    side_px: float
    angle: float = 0.0
    """Radians, clockwise as seen: the crop's x axis points this way in the picture."""

    def matrix(self, size_px: int) -> NDArray[np.float64]:
        """``(2, 3)``: pixels of a crop of ``size_px`` to picture pixels."""
        scale = self.side_px / size_px
        cos, sin = math.cos(self.angle) * scale, math.sin(self.angle) * scale
        turn = np.array([[cos, -sin], [sin, cos]])
        shift = np.array([self.x_px, self.y_px]) - turn @ [size_px / 2, size_px / 2]
        return np.concatenate([turn, shift[:, None]], 1)

    def to_picture(self, points: FloatArray, size_px: int) -> FloatArray:
        """Map ``(n, 2)`` crop pixels to picture pixels."""
        matrix = self.matrix(size_px)
        return (points @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Detection:
    """One thing found."""

    score: float
    """0 to 1."""
    box_px: FloatArray
    """float32 ``(4,)``: left, top, right, bottom."""
    points_px: FloatArray
    """float32 ``(n, 2)``."""


def crop(
    picture_rgb: ByteArray, region: Region, size_px: int, replicate: bool = False, average: bool = True
) -> ByteArray:
    """Cut ``region`` out of a picture.

    Args:
        picture_rgb: uint8 ``(H, W, 3)``.
        region: may lie partly outside; outside is black, or the edge's colour with ``replicate``.
        size_px: side of the result.
        average: of several pixels where the result is much smaller; without, single pixels are picked.

    Returns:
        uint8 ``(size_px, size_px, 3)``.
    """
    matrix = region.matrix(size_px)
    shrink = region.side_px / size_px
    if average and shrink >= 2:
        # Average before sampling, or large pictures turn to noise.
        factor = int(shrink)
        height, width = picture_rgb.shape[:2]
        small = (max(1, width // factor), max(1, height // factor))
        matrix = np.diag([small[0] / width, small[1] / height]) @ matrix
        picture_rgb = np.asarray(cv2.resize(picture_rgb, small, interpolation=cv2.INTER_AREA), np.uint8)
    return np.asarray(
        cv2.warpAffine(
            picture_rgb,
            matrix,
            (size_px, size_px),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE if replicate else cv2.BORDER_CONSTANT,
        ),
        np.uint8,
    )


def as_input(network: Network, picture_rgb: ByteArray) -> dict[str, FloatArray]:
    """uint8 ``(h, w, 3)`` in the range of values that ``network`` expects, as its ``image`` input."""
    low, high = float(network.values["low"]), float(network.values["high"])
    return {"image": (picture_rgb[None].astype(np.float32) * ((high - low) / 255) + low).astype(np.float32)}


def input_size(network: Network) -> int:
    """Side of the square picture that ``network`` takes."""
    return int(network.sidecar.inputs[0].shape[1])


def sigmoid(values: FloatArray) -> FloatArray:
    """Logistic function, clipped so that it cannot overflow."""
    return (1 / (1 + np.exp(-np.clip(values, -50, 50)))).astype(np.float32)


def make_anchors(size_px: int, strides: list[int], counts: list[int]) -> FloatArray:
    """Centres of the anchors, ``(n, 2)`` in 0..1: ``counts[i]`` at every cell of the grid ``strides[i]``."""
    centres = []
    for stride, count in zip(strides, counts, strict=True):
        cells = math.ceil(size_px / stride)
        y, x = np.mgrid[:cells, :cells].reshape(2, -1)
        cell = np.stack([x + 0.5, y + 0.5], 1) / cells
        centres.append(np.repeat(cell, count, 0))
    return np.concatenate(centres).astype(np.float32)


def merge(scores: FloatArray, rows: FloatArray) -> list[tuple[float, FloatArray]]:
    """Weighted suppression: overlapping boxes become their mean, weighted by score.

    Args:
        scores: ``(n,)``.
        rows: ``(n, 4 + 2k)``: left, top, right, bottom, then points; all are averaged.

    Returns:
        Score and row of each group, best first.
    """
    order = np.argsort(-scores, kind="stable")
    result = []
    while len(order):
        best = rows[order[0]]
        others = rows[order]
        width = np.minimum(others[:, 2], best[2]) - np.maximum(others[:, 0], best[0])
        height = np.minimum(others[:, 3], best[3]) - np.maximum(others[:, 1], best[1])
        shared = np.clip(width, 0, None) * np.clip(height, 0, None)
        areas = (others[:, 2] - others[:, 0]) * (others[:, 3] - others[:, 1])
        same = shared / np.maximum(areas + areas[0] - shared, 1e-9) > _MERGE_OVERLAP
        same[0] = True
        weights = scores[order[same]]
        row = (others[same] * weights[:, None]).sum(0) / weights.sum()
        result.append((float(scores[order[0]]), row.astype(np.float32)))
        order = order[~same]
    return result


class Finder:
    """Finds faces, people or palms with one single-shot detector."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._size = input_size(network)
        strides, counts = network.values["strides"], network.values["anchors"]
        self._anchors = make_anchors(self._size, strides, counts)

    def find(self, picture_rgb: ByteArray, threshold: float, region: Region | None = None) -> list[Detection]:
        """Find things in a picture, or in an upright region of it.

        Args:
            picture_rgb: uint8 ``(H, W, 3)``.
            threshold: least score, 0 to 1.
            region: where to look; by default the smallest square around the picture.

        Returns:
            Best first, in picture pixels.
        """
        height, width = picture_rgb.shape[:2]
        region = region or Region(width / 2, height / 2, max(width, height))
        part = crop(picture_rgb, region, self._size)
        outputs = self._network.run(as_input(self._network, part))
        scores = sigmoid(outputs["output1"][0, :, 0])
        chosen = scores >= threshold
        if not chosen.any():
            return []
        raw = outputs["output0"][0][chosen]
        # The first pair is the centre, the second the size, the rest are points; all but the size are
        # offsets from the anchor.
        points = raw.reshape(len(raw), -1, 2) / self._size
        points[:, [0, *range(2, points.shape[1])]] += self._anchors[chosen][:, None]
        box = np.concatenate([points[:, 0] - points[:, 1] / 2, points[:, 0] + points[:, 1] / 2], 1)
        rows = np.concatenate([box, points[:, 2:].reshape(len(raw), -1)], 1)
        detections = []
        for score, row in merge(scores[chosen], rows.astype(np.float32)):
            pairs = region.to_picture(row.reshape(-1, 2) * self._size, self._size)
            detections.append(Detection(score, pairs[:2].ravel(), pairs[2:]))
        return detections


def facing_region(
    points_px: FloatArray, start: FloatArray, end: FloatArray, target: float, scale: float, shift: float = 0.0
) -> Region:
    """The square around points, turned so that the line from ``start`` to ``end`` has angle ``target``.

    Args:
        points_px: ``(n, 2)`` to be covered; may be two corners of a box.
        start, end: ``(2,)`` of the line.
        target: radians, counter-clockwise as in mathematics: 0 to the right, pi / 2 up.
        scale: enlargement of the square.
        shift: of the centre down the turned square, in its sides before enlargement.
    """
    across = end - start
    angle = target - math.atan2(-float(across[1]), float(across[0]))
    angle -= 2 * math.pi * math.floor((angle + math.pi) / (2 * math.pi))
    cos, sin = math.cos(angle), math.sin(angle)
    turn = np.array([[cos, sin], [-sin, cos]])
    local = points_px @ turn.T
    low, high = local.min(0), local.max(0)
    side = float((high - low).max())
    centre = turn.T @ ((low + high) / 2 + np.array([0, shift * side]))
    return Region(float(centre[0]), float(centre[1]), side * scale, angle)
