"""``keypoints.json``: where body, hands and face lie in an avatar's picture."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vcam_avatar.errors import AvatarDataError
from vcam_avatar.media import FloatArray, Size

KEYPOINTS_FILE = "keypoints.json"

BODY_NAMES = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow",
    "left_wrist", "mid_hip", "right_hip", "left_hip", "right_eye", "left_eye", "right_ear", "left_ear",
)  # fmt: skip
"""Keypoints 0 to 14. Right is the person's right."""
BODY_COUNT, HAND_COUNT, FACE_COUNT = 15, 21, 68
LEFT_HAND, RIGHT_HAND = slice(15, 36), slice(36, 57)
KEYPOINT_COUNT = BODY_COUNT + 2 * HAND_COUNT

REQUIRED = ("nose", "neck", "right_shoulder", "left_shoulder")
"""Body points without which nothing can be animated."""

_REACH = 1.5
"""Points may lie this many picture sizes outside: hips and elbows are often below the edge."""


@dataclass(frozen=True, slots=True)
class Keypoints:
    """Points of one person in picture pixels."""

    size: Size
    """Of the picture that the points belong to."""
    points_px: FloatArray
    """float32 ``(57, 3)`` x, y, confidence: ``BODY_NAMES``, left hand, right hand. Confidence 0:
    not known, x and y mean nothing. Read-only."""
    face_px: FloatArray
    """float32 ``(68, 2)`` iBUG-68 face landmarks. Read-only."""

    def has_hand(self, hand: slice) -> bool:
        """Whether the hand at ``LEFT_HAND`` or ``RIGHT_HAND`` is known."""
        return bool((self.points_px[hand, 2] > 0).all())


def make_keypoints(
    size: Size, points_px: FloatArray, face_px: FloatArray, where: str = "keypoints"
) -> Keypoints:
    """Check the points and freeze a copy of them.

    Raises:
        AvatarDataError: wrong count, NaN, far outside the picture, or not a person; starts with ``where``.
    """
    points = np.array(points_px, np.float32)
    face = np.array(face_px, np.float32)
    if points.shape != (KEYPOINT_COUNT, 3) or face.shape != (FACE_COUNT, 2):
        raise AvatarDataError(
            f"{where}: expected 57 points of 3 numbers and 68 face points of 2, "
            f"got {points.shape} and {face.shape}"
        )
    if not (np.isfinite(points).all() and np.isfinite(face).all()):
        raise AvatarDataError(f"{where}: a coordinate is not a finite number; run 'avatars repair'")
    if points[:, 2].min() < 0 or points[:, 2].max() > 1.001:
        raise AvatarDataError(f"{where}: confidences must lie between 0 and 1")
    scale = np.array([size.width_px, size.height_px], np.float32)
    known = points[points[:, 2] > 0, :2] / scale
    if len(known) and (known.min() < -_REACH or known.max() > 1 + _REACH):
        raise AvatarDataError(
            f"{where}: a point lies far outside the picture of {size}; run 'avatars repair'"
        )
    if (face / scale).min() < -0.25 or (face / scale).max() > 1.25:
        raise AvatarDataError(f"{where}: the face lies outside the picture of {size}; run 'avatars repair'")
    for name in REQUIRED:
        if points[BODY_NAMES.index(name), 2] <= 0:
            raise AvatarDataError(f"{where}: {name} is needed; give it in a points file")
    width = float(np.hypot(*(points[2, :2] - points[5, :2])))
    span = float(np.hypot(*(face[36:48].mean(0) - face[48:60].mean(0))))
    if width < 8 or span < 4:
        raise AvatarDataError(
            f"{where}: the person is too small (shoulders {width:.0f} px apart); use a larger picture"
        )
    points.setflags(write=False)
    face.setflags(write=False)
    return Keypoints(size, points, face)


def read_keypoints(path: Path) -> Keypoints:
    """Read ``keypoints.json``.

    Raises:
        AvatarDataError: missing, damaged, or points that cannot be right; names the file and the point.
    """
    try:
        if path.stat().st_size > 1_000_000:
            raise AvatarDataError(f"{path} is too large to be a keypoints file; run 'avatars repair'")
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as exc:
        raise AvatarDataError(f"{path} is missing; run 'avatars repair'") from exc
    except (OSError, ValueError) as exc:
        raise AvatarDataError(f"{path} cannot be read: {exc}; run 'avatars repair'") from exc
    keys = {"format", "width", "height", "body", "left_hand", "right_hand", "face"}
    if not isinstance(data, dict) or set(data) != keys:
        raise AvatarDataError(f"{path}: expected the keys {', '.join(sorted(keys))}; run 'avatars repair'")
    if data["format"] != 1:
        raise AvatarDataError(f"{path}: format {data['format']!r} is unknown; update the program")
    for key in ("width", "height"):
        if type(data[key]) is not int or not 16 <= data[key] <= 20_000:
            raise AvatarDataError(f"{path}: {key} must be a whole number of pixels; run 'avatars repair'")
    points = np.zeros((KEYPOINT_COUNT, 3), np.float32)
    body = data["body"]
    if not isinstance(body, dict):
        raise AvatarDataError(f"{path}: body must map names to [x, y, confidence]; run 'avatars repair'")
    for name, value in body.items():
        if name not in BODY_NAMES:
            raise AvatarDataError(
                f"{path}: body.{name} is not a known point; known are {', '.join(BODY_NAMES)}"
            )
        points[BODY_NAMES.index(name)] = _numbers(value, (3,), f"{path}: body.{name}")
    for key, hand in (("left_hand", LEFT_HAND), ("right_hand", RIGHT_HAND)):
        if data[key] is not None:
            points[hand] = _numbers(data[key], (HAND_COUNT, 3), f"{path}: {key}")
    face = _numbers(data["face"], (FACE_COUNT, 2), f"{path}: face")
    return make_keypoints(Size(data["width"], data["height"]), points, face, str(path))


def _numbers(value: Any, shape: tuple[int, ...], where: str) -> FloatArray:
    try:
        numbers = np.array(value, np.float32)
    except (TypeError, ValueError) as exc:
        raise AvatarDataError(f"{where}: expected numbers; run 'avatars repair'") from exc
    if numbers.shape != shape:
        raise AvatarDataError(f"{where}: expected shape {shape}, got {numbers.shape}; run 'avatars repair'")
    return numbers


def write_keypoints(path: Path, keypoints: Keypoints) -> None:
    """Write ``keypoints`` as ``keypoints.json``, to a hundredth of a pixel."""

    def rounded(rows: FloatArray) -> list[list[float]]:
        return [[round(float(value), 2) for value in row] for row in rows]

    body = rounded(keypoints.points_px[:BODY_COUNT])
    data = {
        "format": 1,
        "width": keypoints.size.width_px,
        "height": keypoints.size.height_px,
        "body": {name: row for name, row in zip(BODY_NAMES, body, strict=True) if row[2] > 0},
        "left_hand": rounded(keypoints.points_px[LEFT_HAND]) if keypoints.has_hand(LEFT_HAND) else None,
        "right_hand": rounded(keypoints.points_px[RIGHT_HAND]) if keypoints.has_hand(RIGHT_HAND) else None,
        "face": rounded(keypoints.face_px),
    }
    text = json.dumps(data, indent=1)
    # One point a line: a person can find and move it.
    path.write_text(_compact(text) + "\n", encoding="utf-8")


def _compact(text: str) -> str:
    return re.sub(r"\[\s+([-\d.e,\s]+?)\s+\]", lambda match: "[" + " ".join(match[1].split()) + "]", text)
