"""What is in a picture: one person's points and mask, and what could not be found."""

import math
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from vcam_avatar.avatars.detection import Region, as_input, crop, input_size
from vcam_avatar.avatars.flat_ground import flat_ground_mask
from vcam_avatar.avatars.keypoints import LEFT_HAND, RIGHT_HAND
from vcam_avatar.avatars.layers_fill import guided
from vcam_avatar.avatars.mesh import landmarks68
from vcam_avatar.avatars.people import BodyPoints, FacePoints, PeopleReader, to_keypoints
from vcam_avatar.errors import AvatarDataError
from vcam_avatar.inference import Network, load_network
from vcam_avatar.media import ByteArray, FloatArray

NO_FACE = (
    "no face was found in the picture; use one where a face is seen from the front, or, for a drawing or an "
    "animal, place the points with the mouse: vcam-avatar avatars points PICTURE"
)
_MIN_EYE_MOUTH_PX = 12.0


@dataclass(frozen=True, slots=True)
class PictureAnalysis:
    """Where the person is."""

    points_px: FloatArray
    """float32 ``(57, 3)`` x, y, confidence; layout of ``keypoints.BODY_NAMES`` and hands."""
    face_px: FloatArray
    """float32 ``(68, 2)`` iBUG-68."""
    mask: ByteArray
    """uint8 ``(H, W)``: 255 on the person."""
    notes: tuple[str, ...]
    """What was not found or looks doubtful, each a sentence with what to do."""
    other_faces_px: FloatArray
    """float32 ``(n, 2)``: where further faces are."""


class PictureAnalyser:
    """Finds people in pictures. Networks are loaded at first use; one thread at a time."""

    def __init__(self, threads: int = 2) -> None:
        """``threads``: inside one operator."""
        self._threads = threads
        self.people = PeopleReader(threads)

    def analyse(self, picture_bgr: ByteArray, alpha: ByteArray | None = None) -> PictureAnalysis:
        """Find the largest person.

        Args:
            picture_bgr: uint8 ``(H, W, 3)``.
            alpha: uint8 ``(H, W)`` of a cut-out; it then is the mask.

        Raises:
            AvatarDataError: no face, or one too small; says what to do.
        """
        rgb = np.ascontiguousarray(picture_bgr[..., ::-1])
        faces = self.people.faces(rgb)
        if not faces:
            raise AvatarDataError(NO_FACE)
        face, notes = faces[0], []
        face_px = landmarks68(face.mesh_px)
        span = eye_mouth_px(face_px)
        if span < _MIN_EYE_MOUTH_PX:
            raise AvatarDataError(
                f"no face large enough was found: eyes and mouth of the largest are {span:.0f} px apart, "
                f"{_MIN_EYE_MOUTH_PX:.0f} are needed; use a larger picture or one taken from nearer"
            )
        if len(faces) > 1:
            notes.append(
                f"{len(faces)} faces were found, the largest is used; for another one cut the picture first"
            )
        body, others = self._body_of(rgb, face)
        left = right = None
        if body is None:
            points = shoulders_below(face_px)
            notes.append(
                "no body was found: the shoulders are guessed below the head and arms come from the head's "
                "size; use a picture that shows the chest, or place the points: vcam-avatar avatars points "
                "PICTURE"
            )
        else:
            left, right = self.people.hands_of(rgb, body)
            points = to_keypoints(body, left, right)
            notes += _say_hands(points)
            notes += _say_pose(points, face_px)
        size = np.array([picture_bgr.shape[1], picture_bgr.shape[0]])
        if points[1, 1] > 1.1 * size[1]:
            raise AvatarDataError(
                "only a head was found: the picture ends above the shoulders; use one that shows the chest; "
                "for a drawing or an animal, place the points: vcam-avatar avatars points PICTURE"
            )
        # Guesses far outside the picture are worse than none.
        far = (np.abs(points[:, :2] / size - 0.5) > 1.4).any(1)
        points[far & ~np.isin(np.arange(len(points)), (0, 1, 2, 5))] = 0
        others_px = np.array([f.mesh_px.mean(0) for f in faces[1:]], np.float32).reshape(-1, 2)
        if alpha is not None:
            return PictureAnalysis(points, face_px, alpha, tuple(notes), others_px)
        mask = self.mask(picture_bgr, points, face_px, body if others else None)
        if mask[tuple(np.clip(face_px.mean(0).astype(int)[::-1], 0, np.array(mask.shape) - 1))] < 128:
            notes.append(
                "the person could not be told from the background; use a picture with a plain background or "
                "a cut-out PNG with transparency"
            )
        return PictureAnalysis(points, face_px, mask, tuple(notes), others_px)

    def _body_of(self, rgb: ByteArray, face: FacePoints) -> tuple[BodyPoints | None, bool]:
        """The body under ``face`` and whether there are other bodies."""
        bodies = self.people.bodies(rgb)
        face_px = landmarks68(face.mesh_px)
        span = eye_mouth_px(face_px)
        nose = face_px[30]

        def fits(body: BodyPoints) -> bool:
            points = body.points_px
            width = float(np.hypot(*(points[11, :2] - points[12, :2])))
            below = float(points[[11, 12], 1].mean()) > float(nose[1])
            shoulders = points[[11, 12], :2]
            size = np.array([rgb.shape[1], rgb.shape[0]])
            return (
                float(np.hypot(*(points[0, :2] - nose))) < 1.2 * span
                and bool((np.abs(shoulders / size - 0.5) < 1.2).all())
                and 1.5 * span < width < 12 * span
                and below
                and bool(points[[11, 12], 3].mean() > 0.3)
            )

        for body in bodies:
            if fits(body):
                return body, len(bodies) > 1
        # Look where a body of ordinary proportions would hang below this face.
        eyes = face_px[36:48].mean(0)
        body = self.people.read_body(rgb, Region(float(eyes[0]), float(eyes[1]) + 10.5 * span, 34 * span))
        if body.presence > 0.5 and fits(body):
            return body, len(bodies) > 0
        return None, len(bodies) > 0

    # Masks

    def mask(
        self,
        picture_bgr: ByteArray,
        points_px: FloatArray,
        face_px: FloatArray,
        only: BodyPoints | None = None,
    ) -> ByteArray:
        """Where the person is.

        Args:
            picture_bgr: uint8 ``(H, W, 3)``.
            points_px: ``(57, 3)`` of the person.
            face_px: ``(68, 2)`` of the person.
            only: leave out other people: keep to the neighbourhood of this body's own mask.

        Returns:
            uint8 ``(H, W)``, soft at the edge.
        """
        flat = flat_ground_mask(picture_bgr, face_px)
        if flat is not None:
            return _part_with(flat, face_px.mean(0))
        height, width = picture_bgr.shape[:2]
        rgb = np.ascontiguousarray(picture_bgr[..., ::-1])
        known = np.concatenate([points_px[points_px[:, 2] > 0.3, :2], face_px])
        low = np.clip(known.min(0), 0, [width, height])
        high = np.clip(known.max(0), 0, [width, height])
        head = 3 * eye_mouth_px(face_px)
        low, high = low - [head, head], np.maximum(high + head, [0, height])
        side = min(float((high - low).max()), 1.2 * max(width, height))
        centre = (low + high) / 2
        soft = self._segment(rgb, Region(float(centre[0]), float(centre[1]), side))
        whole = self._segment(rgb, Region(width / 2, height / 2, max(width, height)))
        # The near view is sharper; outside it the whole picture decides.
        inside = np.zeros((height, width), np.float32)
        x0, y0 = (int(v) for v in np.clip(centre - side / 2, 0, [width, height]))
        x1, y1 = (int(v) for v in np.clip(centre + side / 2, 0, [width, height]))
        inside[y0:y1, x0:x1] = 1
        soft = np.where(inside > 0, np.maximum(soft, 0.5 * whole), whole).astype(np.float32)
        if only is not None:
            wide = np.asarray(cv2.dilate(only.mask, np.ones((9, 9))), np.float32)
            near = _place(wide, only.region, (height, width))
            soft = soft * np.clip(3 * near, 0, 1)
        radius = max(2, round(0.004 * max(width, height)))
        grey = cv2.cvtColor(picture_bgr, cv2.COLOR_BGR2GRAY).astype(np.float32)
        soft = guided(grey, soft.astype(np.float32), radius, 10.0)
        mask = np.asarray(np.clip((soft - 0.1) / 0.8, 0, 1) * 255 + 0.5, np.uint8)
        return _part_with(mask, face_px.mean(0))

    @cached_property
    def _mask_network(self) -> Network:
        return load_network("person_mask", threads=self._threads, warm_up=False)

    def _segment(self, rgb: ByteArray, region: Region) -> FloatArray:
        network = self._mask_network
        size = input_size(network)
        part = crop(rgb, region, size, replicate=True)
        result: FloatArray = network.run(as_input(network, part))["output0"][0, :, :, 0]
        return _place(result, region, rgb.shape[:2])


def _part_with(mask: ByteArray, point_px: FloatArray) -> ByteArray:
    """The connected part of ``mask`` around a point; all of it when the point lies outside."""
    _, labels = cv2.connectedComponents((mask > 25).astype(np.uint8))
    column, row = np.clip(point_px.astype(int), 0, [mask.shape[1] - 1, mask.shape[0] - 1])
    label = labels[row, column]
    return np.where(labels == label, mask, 0).astype(np.uint8) if label else mask


def _place(small: FloatArray, region: Region, shape: tuple[int, ...]) -> FloatArray:
    matrix = region.matrix(small.shape[0])
    placed = cv2.warpAffine(small, matrix, (shape[1], shape[0]), flags=cv2.INTER_CUBIC)
    return np.clip(placed, 0, 1).astype(np.float32)


def eye_mouth_px(face_px: FloatArray) -> float:
    """Distance between eyes and mouth: the size of a face whatever its direction."""
    return float(np.hypot(*(face_px[48:60].mean(0) - face_px[36:48].mean(0))))


def shoulders_below(face_px: FloatArray) -> FloatArray:
    """A body of ordinary proportions under a face: float32 ``(57, 3)``, low confidence, no hands."""
    eyes, mouth = face_px[36:48].mean(0), face_px[48:60].mean(0)
    down = mouth - eyes
    span = float(np.hypot(*down))
    roll = math.atan2(float(down[0]), float(down[1]))
    down = np.array([math.sin(0.4 * roll), math.cos(0.4 * roll)]) * span
    across = np.array([down[1], -down[0]])
    neck = np.maximum(face_px[8], eyes + 1.6 * down) + 0.9 * down
    points = np.zeros((57, 3), np.float32)
    places = {
        0: face_px[30], 1: neck, 2: neck - 2.4 * across, 5: neck + 2.4 * across,
        3: neck - 2.9 * across + 3.9 * down, 6: neck + 2.9 * across + 3.9 * down,
        8: neck + 7 * down, 9: neck - 1.5 * across + 7 * down, 10: neck + 1.5 * across + 7 * down,
        11: face_px[36:42].mean(0), 12: face_px[42:48].mean(0), 13: face_px[0], 14: face_px[16],
    }  # fmt: skip
    for index, place in places.items():
        points[index] = *place, 0.3 if index in (1, 2, 5) else 0.9 if index in (0, 11, 12, 13, 14) else 0.05
    return points


def _say_hands(points: FloatArray) -> list[str]:
    missing = [
        side for side, hand in (("left", LEFT_HAND), ("right", RIGHT_HAND)) if not (points[hand, 2] > 0).all()
    ]
    if not missing:
        return []
    what = "hands were" if len(missing) == 2 else f"{missing[0]} hand was"
    return [
        f"the {what} not found: drawn hands in the skin's colour are used; for better ones give a second "
        "picture of the same person with both palms shown: --hands PICTURE"
    ]


def _say_pose(points: FloatArray, face_px: FloatArray) -> list[str]:
    """What makes a picture hard to take apart."""
    notes = []
    span = eye_mouth_px(face_px)
    shoulders = float(points[[2, 5], 1].mean())
    for side, wrist, hand in (("left", 7, LEFT_HAND), ("right", 4, RIGHT_HAND)):
        seen = points[hand][points[hand, 2] > 0]
        place = seen[:, :2].mean(0) if len(seen) else points[wrist, :2]
        if (len(seen) or points[wrist, 2] > 0.6) and place[1] < shoulders:
            notes.append(
                f"the {side} hand is raised beside the face: a piece of it may stay there when the avatar "
                "moves; a picture with the hands below the chest looks better"
            )
    middle = (face_px[0] + face_px[16]) / 2
    turned = float(abs((face_px[30] - middle) @ (face_px[16] - face_px[0])))
    width = float(np.hypot(*(face_px[16] - face_px[0])))
    if turned > 0.2 * width**2 or width < 1.4 * span:
        notes.append("the head is turned to the side: the mouth looks best on faces seen from the front")
    return notes
