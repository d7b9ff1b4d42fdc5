"""Points placed by hand: a text file with one point a line, and a picture that shows them.

    # name x y          pixels from the upper left corner of the picture
    neck 320 410
    right_shoulder 240 420     right is the character's right: left in the picture

Body names are those of ``keypoints.BODY_NAMES``, hands ``left_hand_0`` to ``right_hand_20``, the face the
handles of ``face_shape.HANDLES`` or all of ``face_0`` to ``face_67``. OpenPose's JSON is read too.
"""

import itertools
import json
import math
from pathlib import Path

import cv2
import numpy as np

from vcam_avatar.avatars.face_shape import HANDLES, NEEDED_HANDLES, bend_face
from vcam_avatar.avatars.keypoints import (
    BODY_NAMES,
    FACE_COUNT,
    HAND_COUNT,
    KEYPOINT_COUNT,
    LEFT_HAND,
    RIGHT_HAND,
    Keypoints,
    make_keypoints,
)
from vcam_avatar.errors import AvatarDataError
from vcam_avatar.media import ByteArray, FloatArray, Size

_NEEDED = ("neck", "right_shoulder", "left_shoulder", *NEEDED_HANDLES)
_HANDS = {"left_hand": LEFT_HAND, "right_hand": RIGHT_HAND}
_FACE_NAMES = [f"face_{index}" for index in range(FACE_COUNT)]
_OPENPOSE_BODY = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 15, 16, 17, 18)
"""BODY_25 index of keypoints 0 to 14."""


def read_points_file(path: Path, size: Size) -> Keypoints:
    """Read points for a picture of ``size``.

    Raises:
        AvatarDataError: unreadable, an unknown name, a missing point, or points that cannot be right;
            names the line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise AvatarDataError(f"points file {path} cannot be read: {exc}") from exc
    if text.lstrip().startswith("{"):
        return _openpose(text, path, size)
    places: dict[str, tuple[float, float]] = {}
    known = {*BODY_NAMES, *HANDLES, *_FACE_NAMES}
    known |= {f"{hand}_{index}" for hand in _HANDS for index in range(HAND_COUNT)}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split("#")[0].split()
        if not words:
            continue
        if len(words) != 3 or words[0] not in known:
            what = "is not 'name x y'" if len(words) != 3 else f"has the unknown name {words[0]!r}"
            raise AvatarDataError(f"{path} line {number} {what}; --points-template writes an example")
        try:
            x, y = float(words[1]), float(words[2])
        except ValueError as exc:
            raise AvatarDataError(f"{path} line {number}: {' '.join(words[1:])} are not two numbers") from exc
        if not (math.isfinite(x) and math.isfinite(y)):
            raise AvatarDataError(f"{path} line {number}: the numbers must be finite")
        if words[0] in places:
            raise AvatarDataError(f"{path} line {number}: {words[0]} was given before")
        places[words[0]] = x, y
    return _from_places(places, path, size)


def _from_places(places: dict[str, tuple[float, float]], path: Path, size: Size) -> Keypoints:
    whole_face = all(name in places for name in _FACE_NAMES)
    needed = [name for name in _NEEDED if not (whole_face and name in HANDLES)]
    if missing := [name for name in needed if name not in places]:
        raise AvatarDataError(f"{path}: {', '.join(missing)} missing; --points-template writes an example")
    if whole_face:
        face = np.array([places[name] for name in _FACE_NAMES], np.float32)
    else:
        try:
            face = bend_face({name: place for name, place in places.items() if name in HANDLES})
        except ValueError as exc:
            raise AvatarDataError(f"{path}: {exc}") from exc
    points = np.zeros((KEYPOINT_COUNT, 3), np.float32)
    for index, name in enumerate(BODY_NAMES):
        if name in places:
            points[index] = *places[name], 1
    # What follows from the face needs no line of its own.
    for name, index in (("nose", 30), ("right_ear", 0), ("left_ear", 16)):
        if name not in places:
            points[BODY_NAMES.index(name)] = *face[index], 1
    for name, part in (("right_eye", slice(36, 42)), ("left_eye", slice(42, 48))):
        if name not in places:
            points[BODY_NAMES.index(name)] = *face[part].mean(0), 1
    for hand, where in _HANDS.items():
        names = [f"{hand}_{index}" for index in range(HAND_COUNT)]
        given = [name for name in names if name in places]
        if given and len(given) < HAND_COUNT:
            raise AvatarDataError(f"{path}: {hand} needs all of {names[0]} to {names[-1]} or none")
        if given:
            points[where] = [(*places[name], 1) for name in names]
    return make_keypoints(size, points, face, str(path))


def _openpose(text: str, path: Path, size: Size) -> Keypoints:
    try:
        person = json.loads(text)["people"][0]
        body = np.array(person["pose_keypoints_2d"], np.float32).reshape(25, 3)
        face = np.array(person["face_keypoints_2d"], np.float32).reshape(70, 3)[:FACE_COUNT]
        points = np.zeros((KEYPOINT_COUNT, 3), np.float32)
        points[:15] = body[list(_OPENPOSE_BODY)]
        for hand, where in _HANDS.items():
            key = f"hand_{hand.split('_')[0]}_keypoints_2d"
            rows = np.array(person.get(key) or np.zeros(3 * HAND_COUNT), np.float32).reshape(HAND_COUNT, 3)
            if (rows[:, 2] > 0).all():
                points[where] = rows
    except (KeyError, IndexError, TypeError, ValueError) as exc:
        raise AvatarDataError(f"{path} is not OpenPose JSON with BODY_25 and face points: {exc!r}") from exc
    if (face[:, 2] <= 0).any():
        raise AvatarDataError(f"{path}: OpenPose did not find the whole face; use a points file")
    points[:, 2] = np.clip(points[:, 2], 0, 1)
    return make_keypoints(size, points, face[:, :2], str(path))


def write_points_file(path: Path, points_px: FloatArray, face_px: FloatArray, size: Size) -> None:
    """Write a points file to be corrected by hand: ``(57, 3)`` and ``(68, 2)`` in picture pixels."""
    lines = [
        f"# Points of a picture of {size}: name x y, in pixels from the upper left corner.",
        "# 'right' is the character's right hand side: left in the picture when it faces you.",
        f"# Needed: {', '.join(_NEEDED)}; the others may be deleted.",
        "",
        "# Face",
    ]
    for name, index in HANDLES.items():
        lines.append(f"{name} {face_px[index, 0]:.1f} {face_px[index, 1]:.1f}")
    lines += ["", "# Body"]
    for index, name in enumerate(BODY_NAMES[:11]):
        x, y, confidence = points_px[index]
        if confidence > 0 and name != "nose":
            lines.append(f"{name} {x:.1f} {y:.1f}")
    for hand, where in _HANDS.items():
        if (points_px[where, 2] > 0).all():
            lines += ["", f"# {hand}: 0 wrist, 1-4 thumb, 5-8 index, 9-12 middle, 13-16 ring, 17-20 little"]
            lines += [f"{hand}_{i} {x:.1f} {y:.1f}" for i, (x, y, _) in enumerate(points_px[where])]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def draw_points(picture_bgr: ByteArray, points_px: FloatArray, face_px: FloatArray) -> ByteArray:
    """The picture with the points on it and named: uint8 ``(H', W', 3)``, enlarged when it is small."""
    scale = max(1.0, 1000 / max(picture_bgr.shape[:2]))
    size = (round(picture_bgr.shape[1] * scale), round(picture_bgr.shape[0] * scale))
    picture = np.asarray(cv2.resize(picture_bgr, size, interpolation=cv2.INTER_CUBIC), np.uint8)

    def place(point: FloatArray) -> tuple[int, int]:
        return round(float(point[0]) * scale), round(float(point[1]) * scale)

    def mark(point: FloatArray, colour: tuple[int, int, int], name: str = "") -> None:
        cv2.circle(picture, place(point), 4, colour, -1, cv2.LINE_AA)
        cv2.circle(picture, place(point), 4, (0, 0, 0), 1, cv2.LINE_AA)
        if name:
            x, y = place(point)
            write_text(picture, name, (x + 6, y - 4), 0.4)

    for pairs in ((1, 2, 3, 4), (1, 5, 6, 7)):
        for a, b in itertools.pairwise(pairs):
            if points_px[a, 2] > 0 and points_px[b, 2] > 0:
                cv2.line(picture, place(points_px[a]), place(points_px[b]), (255, 200, 0), 1, cv2.LINE_AA)
    for point in face_px:
        cv2.circle(picture, place(point), 2, (0, 255, 0), -1, cv2.LINE_AA)
    for index, name in enumerate(BODY_NAMES[:11]):
        if points_px[index, 2] > 0 and name != "nose":
            mark(points_px[index], (0, 0, 255), name)
    for where, colour in ((LEFT_HAND, (255, 80, 0)), (RIGHT_HAND, (0, 220, 255))):
        if (points_px[where, 2] > 0).all():
            for point in points_px[where]:
                cv2.circle(picture, place(point), 3, colour, -1, cv2.LINE_AA)
    for name, index in HANDLES.items():
        mark(face_px[index], (0, 255, 255), name)
    return picture


def write_text(
    picture: ByteArray,
    text: str,
    at: tuple[int, int],
    size: float,
    colour: tuple[int, int, int] = (255, 255, 255),
) -> None:
    """Write into a picture, readable on any ground; ``at`` is the lower left corner in px."""
    x, y = at
    for dx, dy in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        cv2.putText(
            picture, text, (x + dx, y + dy), cv2.FONT_HERSHEY_SIMPLEX, size, (0, 0, 0), 1, cv2.LINE_AA
        )
    cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, colour, 1, cv2.LINE_AA)
