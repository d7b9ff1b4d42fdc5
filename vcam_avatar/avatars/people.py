"""Face, body and hand points of people in pictures and videos, by networks that need no camera or GPU."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vcam_avatar.avatars.detection import (
    Detection,
    Finder,
    Region,
    as_input,
    crop,
    facing_region,
    input_size,
    merge,
    sigmoid,
)
from vcam_avatar.avatars.keypoints import HAND_COUNT, KEYPOINT_COUNT, LEFT_HAND, RIGHT_HAND
from vcam_avatar.inference import load_network
from vcam_avatar.media import ByteArray, FloatArray

# Points of the body network behind the keypoints 0 to 14; neck and mid-hip are made from pairs.
_BODY_SOURCE = {0: 0, 2: 12, 3: 14, 4: 16, 5: 11, 6: 13, 7: 15, 9: 24, 10: 23, 11: 5, 12: 2, 13: 8, 14: 7}
_UP = math.pi / 2
_PALM = [0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18]
"""Hand points whose square places the hand; fingertips would make it jump."""
FACE_THRESHOLD, BODY_THRESHOLD, PALM_THRESHOLD = 0.5, 0.5, 0.5


@dataclass(frozen=True, slots=True)
class FacePoints:
    """One face."""

    mesh_px: FloatArray
    """float32 ``(478, 2)``: mesh with refined eyes, lips and irises."""
    presence: float
    """0 to 1."""


@dataclass(frozen=True, slots=True)
class BodyPoints:
    """One body."""

    points_px: FloatArray
    """float32 ``(39, 4)``: x, y, depth, visibility; depth in the scale of x, smaller is nearer."""
    presence: float
    """0 to 1."""
    region: Region
    mask: FloatArray
    """float32 ``(256, 256)``: probability of the person inside ``region``."""


@dataclass(frozen=True, slots=True)
class HandPoints:
    """One hand."""

    points_px: FloatArray
    """float32 ``(21, 3)``: x, y, depth relative to the wrist; fingertips are 4, 8, 12, 16, 20."""
    presence: float
    """0 to 1."""
    right: float
    """Likelihood that it is a right hand, 0 to 1."""


def face_region(mesh_px: FloatArray) -> Region:
    """Where the mesh network wants to look for a face known already."""
    return facing_region(mesh_px, mesh_px[33], mesh_px[263], 0.0, 1.5)


def hand_region(points_px: FloatArray) -> Region:
    """Where the hand network wants to look for a hand known already."""
    points = points_px[:, :2]
    finger = (points[5] + points[13]) / 4 + points[9] / 2
    return facing_region(points[_PALM], points[0], finger, _UP, 2.0, -0.1)


def body_region(points_px: FloatArray) -> Region:
    """Where the body network wants to look for a body known already: its two auxiliary points say so."""
    return _circle(points_px[33, :2], points_px[34, :2])


def _circle(centre: FloatArray, rim: FloatArray) -> Region:
    across = rim - centre
    angle = _UP - math.atan2(-float(across[1]), float(across[0]))
    return Region(float(centre[0]), float(centre[1]), 2.5 * float(np.hypot(*across)), angle)


class PeopleReader:
    """Runs the networks; loads each at first use. Not for two threads at once."""

    def __init__(self, threads: int = 1, average: bool = True) -> None:
        """``threads``: inside one operator. ``average``: see ``crop``; bodies and hands in video are seen
        where MediaPipe sees them only without."""
        self._threads, self._average = threads, average

    @cached_property
    def _far_faces(self) -> Finder:
        return Finder(load_network("face_finder", threads=self._threads, warm_up=False))

    @cached_property
    def _near_faces(self) -> Finder:
        return Finder(load_network("face_finder_near", threads=self._threads, warm_up=False))

    @cached_property
    def _people(self) -> Finder:
        return Finder(load_network("person_finder", threads=self._threads, warm_up=False))

    @cached_property
    def _palms(self) -> Finder:
        return Finder(load_network("palm_finder", threads=self._threads, warm_up=False))

    @cached_property
    def _face_network(self) -> "_PointNetwork":
        return _PointNetwork("face_mesh", self._threads)

    @cached_property
    def _body_network(self) -> "_PointNetwork":
        return _PointNetwork("pose_points", self._threads, self._average)

    @cached_property
    def _hand_network(self) -> "_PointNetwork":
        return _PointNetwork("hand_points", self._threads, self._average)

    # Faces

    def find_faces(self, picture_rgb: ByteArray) -> list[Detection]:
        """Boxes of faces, largest first; small faces are looked for in parts of the picture."""
        height, width = picture_rgb.shape[:2]
        found = [
            *self._far_faces.find(picture_rgb, FACE_THRESHOLD),
            *self._near_faces.find(picture_rgb, FACE_THRESHOLD),
        ]
        if not found:
            side = 0.6 * max(height, width)
            for y in np.linspace(side / 2, max(side / 2, height - side / 2), 3):
                for x in np.linspace(side / 2, max(side / 2, width - side / 2), 3):
                    found += self._far_faces.find(picture_rgb, FACE_THRESHOLD, Region(x, y, side))
        if not found:
            return []
        rows = np.stack([np.concatenate([d.box_px, d.points_px.ravel()]) for d in found])
        merged = merge(np.array([d.score for d in found], np.float32), rows)
        detections = [Detection(score, row[:4], row[4:].reshape(-1, 2)) for score, row in merged]
        return sorted(detections, key=lambda d: -float((d.box_px[2:] - d.box_px[:2]).prod()))

    def read_face(self, picture_rgb: ByteArray, region: Region) -> FacePoints:
        """Points of the face in ``region``."""
        outputs = self._face_network.run(picture_rgb, region, replicate=True)
        mesh = region.to_picture(outputs["output0"], self._face_network.size)
        return FacePoints(mesh, float(sigmoid(outputs["output1"])[0]))

    def faces(self, picture_rgb: ByteArray, most: int = 4) -> list[FacePoints]:
        """Points of the faces in a picture, largest first, uint8 ``(H, W, 3)`` RGB."""
        faces = []
        for detection in self.find_faces(picture_rgb)[:most]:
            corners = detection.box_px.reshape(2, 2)
            region = facing_region(corners, detection.points_px[0], detection.points_px[1], 0.0, 1.5)
            # The square of a detection is upright whatever the face's roll.
            centre, side = corners.mean(0), float(np.ptp(corners, axis=0).max())
            region = Region(float(centre[0]), float(centre[1]), side * 1.5, region.angle)
            for _ in range(2):
                face = self.read_face(picture_rgb, region)
                region = face_region(face.mesh_px)
            if face.presence > 0.5:
                faces.append(face)
        return faces

    # Bodies

    def read_body(self, picture_rgb: ByteArray, region: Region) -> BodyPoints:
        """Points of the body in ``region``."""
        network = self._body_network
        outputs = network.run(picture_rgb, region)
        raw = outputs["output0"].reshape(39, 5).astype(np.float32)
        local = _sharpen(raw[:, :2] / network.size, outputs["output3"][0]) * network.size
        points = np.empty((39, 4), np.float32)
        points[:, :2] = region.to_picture(local, network.size)
        points[:, 2] = raw[:, 2] * (region.side_px / network.size)
        points[:, 3] = sigmoid(raw[:, 3])
        mask = sigmoid(outputs["output2"][0, :, :, 0])
        return BodyPoints(points, float(outputs["output1"].ravel()[0]), region, mask)

    def bodies(self, picture_rgb: ByteArray, most: int = 2) -> list[BodyPoints]:
        """Points of the bodies in a picture, largest first."""
        found = self._people.find(picture_rgb, BODY_THRESHOLD)
        bodies = []
        for detection in found[:most]:
            region = _circle(detection.points_px[0], detection.points_px[1])
            for _ in range(2):
                body = self.read_body(picture_rgb, region)
                region = body_region(body.points_px)
            if body.presence > 0.5:
                bodies.append(body)
        return sorted(bodies, key=lambda body: -body.region.side_px)

    # Hands

    def read_hand(self, picture_rgb: ByteArray, region: Region) -> HandPoints:
        """Points of the hand in ``region``."""
        network = self._hand_network
        outputs = network.run(picture_rgb, region)
        raw = outputs["output0"].reshape(HAND_COUNT, 3)
        points = np.empty((HAND_COUNT, 3), np.float32)
        points[:, :2] = region.to_picture(raw[:, :2], network.size)
        points[:, 2] = raw[:, 2] * (region.side_px / network.size)
        presence, right = float(outputs["output1"].ravel()[0]), float(outputs["output2"].ravel()[0])
        return HandPoints(points, presence, right)

    def find_hands(self, picture_rgb: ByteArray, where: Region | None = None) -> list[HandPoints]:
        """Points of the hands in a picture or an upright part of it, surest first."""
        hands = []
        for palm in self._palms.find(picture_rgb, PALM_THRESHOLD, where)[:4]:
            wrist, finger = palm.points_px[0], palm.points_px[2]
            corners = palm.box_px.reshape(2, 2)
            angle = facing_region(corners, wrist, finger, _UP, 1.0).angle
            side = float(np.ptp(corners, axis=0).max())
            down = np.array([-math.sin(angle), math.cos(angle)])
            centre = corners.mean(0) - 0.5 * side * down
            region = Region(float(centre[0]), float(centre[1]), side * 2.6, angle)
            hands.append(self._settle(picture_rgb, region))
        return sorted((hand for hand in hands if hand.presence > 0.5), key=lambda hand: -hand.presence)

    def _settle(self, picture_rgb: ByteArray, region: Region) -> HandPoints:
        hand = self.read_hand(picture_rgb, region)
        if hand.presence > 0.3:
            again = self.read_hand(picture_rgb, hand_region(hand.points_px))
            if again.presence >= hand.presence * 0.8:
                return again
        return hand

    def hand_near(self, picture_rgb: ByteArray, body: BodyPoints, left: bool) -> HandPoints | None:
        """The hand at a wrist of ``body``, or None where none is seen.

        The palm finder looks closely around the wrist; the body's own idea of the hand comes second.
        """
        wrist, pinky, index = (body.points_px[i, :2] for i in ((15, 17, 19) if left else (16, 18, 20)))
        shoulders = float(np.hypot(*(body.points_px[11, :2] - body.points_px[12, :2])))
        height, width = picture_rgb.shape[:2]
        middle = (2 * index + pinky) / 3
        reach = max(float(np.hypot(*(middle - wrist))), 0.12 * shoulders)
        if not (-reach < middle[0] < width + reach and -reach < middle[1] < height + reach):
            return None
        side = max(5.0 * reach, 0.9 * shoulders)
        found = self.find_hands(picture_rgb, Region(float(middle[0]), float(middle[1]), side))
        down = wrist - middle
        angle = math.atan2(-float(down[0]), float(down[1]))
        found.append(
            self._settle(picture_rgb, Region(float(middle[0]), float(middle[1]), 2.7 * 2 * reach, angle))
        )
        limit = max(1.2 * reach, 0.3 * shoulders)
        near = [
            hand
            for hand in found
            if hand.presence > 0.5 and float(np.hypot(*(hand.points_px[0, :2] - wrist))) < limit
        ]
        return max(near, key=lambda hand: hand.presence, default=None)

    def hands_of(
        self, picture_rgb: ByteArray, body: BodyPoints
    ) -> tuple[HandPoints | None, HandPoints | None]:
        """Left and right hand of ``body``; the same hand is never given twice."""
        left = self.hand_near(picture_rgb, body, left=True)
        right = self.hand_near(picture_rgb, body, left=False)
        if left is not None and right is not None:
            size = float(np.hypot(*(left.points_px[9, :2] - left.points_px[0, :2])))
            apart = float(np.hypot(*(left.points_px[:, :2] - right.points_px[:, :2]).mean(0)))
            if apart < 0.35 * size:
                to_left = float(np.hypot(*(left.points_px[0, :2] - body.points_px[15, :2])))
                to_right = float(np.hypot(*(right.points_px[0, :2] - body.points_px[16, :2])))
                return (left, None) if to_left <= to_right else (None, right)
        return left, right


class _PointNetwork:
    def __init__(self, name: str, threads: int, average: bool = True) -> None:
        self._average = average
        self.network = load_network(name, threads=threads, warm_up=False)
        self.size = input_size(self.network)

    def run(self, picture_rgb: ByteArray, region: Region, replicate: bool = False) -> dict[str, FloatArray]:
        part = crop(picture_rgb, region, self.size, replicate, self._average)
        return self.network.run(as_input(self.network, part))


def _sharpen(points: NDArray[np.floating], heat: FloatArray) -> NDArray[np.floating]:
    """Move points, ``(39, 2)`` in 0..1, to the centre of mass of their heat maps where these are sure."""
    result = points.copy()
    rows, columns, _ = heat.shape
    for index, (x, y) in enumerate(points):
        column, row = int(x * columns), int(y * rows)
        if not (0 <= column < columns and 0 <= row < rows):
            continue
        left, top = max(0, column - 3), max(0, row - 3)
        window = sigmoid(heat[top : row + 4, left : column + 4, index])
        if window.max() < 0.5:
            continue
        total = float(window.sum())
        result[index, 0] = (window.sum(0) @ (np.arange(window.shape[1]) + left)) / total / columns
        result[index, 1] = (window.sum(1) @ (np.arange(window.shape[0]) + top)) / total / rows
    return result


def to_keypoints(body: BodyPoints, left: HandPoints | None, right: HandPoints | None) -> FloatArray:
    """float32 ``(57, 3)`` x, y, confidence in picture pixels: the layout of ``keypoints.BODY_NAMES``."""
    points = np.zeros((KEYPOINT_COUNT, 3), np.float32)
    for target, source in _BODY_SOURCE.items():
        points[target] = body.points_px[source, [0, 1, 3]]
    for target, pair in ((1, (2, 5)), (8, (9, 10))):
        points[target, :2] = points[list(pair), :2].mean(0)
        points[target, 2] = points[list(pair), 2].min()
    # A point that is hardly seen is still a better guess than none.
    points[:15, 2] = np.clip(points[:15, 2], 0.01, 1)
    for hand, where in ((left, LEFT_HAND), (right, RIGHT_HAND)):
        if hand is not None:
            points[where, :2] = hand.points_px[:, :2]
            points[where, 2] = hand.presence
    return points
