"""Readers of keypoint files: what other programs saw in videos."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vcam_avatar.errors import MediaError
from vcam_avatar.media import FloatArray
from vcam_avatar.stages.pose_layout import (
    HAND_POINTS,
    LEFT_EAR,
    LEFT_ELBOW,
    LEFT_EYE,
    LEFT_HAND,
    LEFT_HIP,
    LEFT_SHOULDER,
    LEFT_WRIST,
    MID_HIP,
    NECK,
    NOSE,
    RIGHT_EAR,
    RIGHT_EYE,
    RIGHT_HAND,
    RIGHT_HIP,
    RIGHT_SHOULDER,
    RIGHT_WRIST,
    UPPER_BODY,
)

MEDIAPIPE_BODY = {
    0: 0, RIGHT_SHOULDER: 12, 3: 14, RIGHT_WRIST: 16, LEFT_SHOULDER: 11, LEFT_ELBOW: 13, LEFT_WRIST: 15,
    RIGHT_HIP: 24, LEFT_HIP: 23, 11: 5, 12: 2, 13: 8, 14: 7,
}  # fmt: skip
"""Our keypoint -> MediaPipe's pose landmark."""
OPENPOSE18_BODY = {0: 0, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 7: 7, 9: 8, 10: 11, 11: 14, 12: 15, 13: 16, 14: 17}
"""Our keypoint -> OpenPose COCO-18."""
BODY25_BODY = {
    **{i: i for i in range(9)}, RIGHT_HIP: 9, LEFT_HIP: 12, 11: 15, 12: 16, 13: 17, 14: 18,
}  # fmt: skip
"""Our keypoint -> OpenPose BODY_25."""


def _complete(pose: FloatArray) -> FloatArray:
    """Fill in neck and mid-hip of ``(T, 57, 3)``, in place."""
    for middle, a, b in ((NECK, RIGHT_SHOULDER, LEFT_SHOULDER), (MID_HIP, RIGHT_HIP, LEFT_HIP)):
        pose[:, middle] = (pose[:, a] + pose[:, b]) / 2
    return pose


def _hands_on_their_arms(pose: FloatArray) -> FloatArray:
    """Exchange the two hands of ``(T, 57, 3)`` if each lies at the other's wrist."""

    def apart(hand: int, wrist: int) -> float:
        return float(np.nanmedian(np.linalg.norm(pose[:, hand, :2] - pose[:, wrist, :2], axis=-1)))

    if apart(LEFT_HAND, LEFT_WRIST) > apart(LEFT_HAND, RIGHT_WRIST):
        left = pose[:, LEFT_HAND:RIGHT_HAND].copy()
        pose[:, LEFT_HAND:RIGHT_HAND] = pose[:, RIGHT_HAND : RIGHT_HAND + HAND_POINTS]
        pose[:, RIGHT_HAND : RIGHT_HAND + HAND_POINTS] = left
    return pose


def read_holistic(path: Path) -> tuple[FloatArray, float]:
    """MediaPipe Holistic archive (``pose``, ``pose_vis``, ``lhand``, ``rhand``, ``fps``, ``width``,
    ``height``) -> float32 ``(T, 57, 3)`` pixels and fps."""
    with np.load(path) as data:
        size = np.array([float(data["width"]), float(data["height"])], np.float32)
        body, visible = data["pose"][..., :2] * size, data["pose_vis"]
        hands = {LEFT_HAND: data["lhand"][..., :2] * size, RIGHT_HAND: data["rhand"][..., :2] * size}
        fps = float(data["fps"])
    return from_mediapipe(body, visible, hands), fps


MESH_HEAD = {NOSE: 1, LEFT_EYE: 473, RIGHT_EYE: 468, LEFT_EAR: 454, RIGHT_EAR: 234}
"""Points of the face mesh, a few times steadier than the body network's own points of the head."""


def read_steady(path: Path) -> tuple[FloatArray, FloatArray]:
    """Keypoints ``(T, 57, 2)`` px and size of a holistic archive; unseen hands are NaN.

    The head's points come from the face mesh; the body's are smoothed over three frames, which takes the
    tracker's trembling away.
    """
    points, _ = read_holistic(path)
    with np.load(path) as data:
        size = np.array([float(data["width"]), float(data["height"])], np.float32)
        mesh = data["face"][..., :2].astype(np.float32) * size
    body = cv2.GaussianBlur(
        points[:, :15, :2].reshape(len(points), 30), (1, 7), 1.2, borderType=cv2.BORDER_REPLICATE
    )
    points[:, :15, :2] = body.reshape(len(points), 15, 2)
    for ours, theirs in MESH_HEAD.items():
        points[:, ours, :2] = mesh[:, theirs]
    return np.where(points[..., 2:] > 0, points[..., :2], np.nan).astype(np.float32), size


def from_mediapipe(body: NDArray[Any], visible: NDArray[Any], hands: dict[int, NDArray[Any]]) -> FloatArray:
    """MediaPipe pose ``(T, 33, 2)``, visibility ``(T, 33)`` and hands ``(T, 21, 2)`` by first keypoint ->
    float32 ``(T, 57, 3)``; hands not found are NaN and get confidence 0."""
    pose = np.zeros((len(body), UPPER_BODY.size, 3), np.float32)
    for ours, theirs in MEDIAPIPE_BODY.items():
        pose[:, ours, :2] = body[:, theirs]
        pose[:, ours, 2] = visible[:, theirs]
    for start, points in hands.items():
        pose[:, start : start + HAND_POINTS, :2] = points
        pose[:, start : start + HAND_POINTS, 2] = np.isfinite(points[..., 0])
    return _complete(pose)


def read_dwpose(path: Path, size_px: float = 768.0) -> FloatArray:
    """DWPose archive (``body``, ``body_score``, ``hands``, ``hands_score``; coordinates 0..1) ->
    float32 ``(T, 57, 3)`` pixels."""
    with np.load(path) as data:
        pose = np.zeros((len(data["body"]), UPPER_BODY.size, 3), np.float32)
        for ours, theirs in OPENPOSE18_BODY.items():
            pose[:, ours, :2] = data["body"][:, theirs] * size_px
            pose[:, ours, 2] = data["body_score"][:, theirs]
        for side, start in enumerate((LEFT_HAND, RIGHT_HAND)):
            pose[:, start : start + HAND_POINTS, :2] = data["hands"][:, side] * size_px
            pose[:, start : start + HAND_POINTS, 2] = data["hands_score"][:, side]
    return _hands_on_their_arms(_complete(pose))


def read_openpose(folder: Path) -> FloatArray:
    """OpenPose output: one ``*_keypoints.json`` per frame, BODY_25 or COCO with hands.

    Returns:
        float32 ``(T, 57, 3)`` pixels; frames without a person have confidence 0. With several people in a
        frame the one with the widest shoulders is taken.

    Raises:
        MediaError: no such files, or not OpenPose's.
    """
    files = sorted(folder.glob("*_keypoints.json"))
    if not files:
        raise MediaError(f"{folder}: no *_keypoints.json files; point at OpenPose's --write_json folder")
    pose = np.zeros((len(files), UPPER_BODY.size, 3), np.float32)
    for row, file in zip(pose, files, strict=True):
        try:
            people = json.loads(file.read_text())["people"]
            found = [_openpose_person(person) for person in people]
        except (ValueError, KeyError, TypeError) as exc:
            raise MediaError(f"{file}: not an OpenPose keypoint file ({exc})") from exc
        if found:
            widths = [abs(p[RIGHT_SHOULDER, 0] - p[LEFT_SHOULDER, 0]) for p in found]
            row[:] = found[int(np.argmax(widths))]
    return pose


def _openpose_person(person: dict[str, Any]) -> FloatArray:
    body = np.asarray(person["pose_keypoints_2d"], np.float32).reshape(-1, 3)
    table = {25: BODY25_BODY, 18: OPENPOSE18_BODY}.get(len(body))
    if table is None:
        raise ValueError(f"{len(body)} body points, expected 25 or 18")
    pose = np.zeros((1, UPPER_BODY.size, 3), np.float32)
    for ours, theirs in table.items():
        pose[0, ours] = body[theirs]
    for start, key in ((LEFT_HAND, "hand_left_keypoints_2d"), (RIGHT_HAND, "hand_right_keypoints_2d")):
        points = np.asarray(person.get(key, []), np.float32)
        if points.size == 3 * HAND_POINTS:
            pose[0, start : start + HAND_POINTS] = points.reshape(-1, 3)
    if len(body) == 18:
        pose = _complete(pose)
    return np.asarray(pose[0], np.float32)
