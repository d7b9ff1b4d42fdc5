"""A video of an avatar's person: frames with keypoints, laid over the avatar's picture."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from vcam_avatar.avatars.people import FacePoints, PeopleReader, face_region
from vcam_avatar.errors import AvatarDataError, MediaError
from vcam_avatar.media import ByteArray, FloatArray
from vcam_avatar.stages.pose_layout import (
    LEFT_HAND,
    LEFT_SHOULDER,
    NECK,
    NOSE,
    RIGHT_HAND,
    RIGHT_SHOULDER,
)
from vcam_avatar.training.dataset_video import TrackingEstimator
from vcam_avatar.training.pose_sources import MESH_HEAD

KEPT_PX, SEEN_PX = 1440, 1280
"""Longest side of the frames that are kept, and of those that the trackers see."""
_STIFF = [NECK, RIGHT_SHOULDER, LEFT_SHOULDER, *MESH_HEAD]
_MATCHES = 30
"""So many places of a picture found again in a frame tell how one lies over the other."""
_SAVE_EVERY = 100


@dataclass(frozen=True)
class Clip:
    """Frames in which one person is seen with both hands."""

    jpegs: list[bytes]
    points: FloatArray
    """float32 ``(T, 57, 2)`` in pixels of the picture."""
    to_picture: FloatArray
    """float32 ``(2, 3)``: pixels of a kept frame -> of the picture."""
    gain: FloatArray
    """float32 ``(3,)``: what the frames' colours are multiplied by."""
    same_place: bool
    """The room and the clothes are where the picture has them."""

    def __len__(self) -> int:
        return len(self.jpegs)

    def frame(self, number: int, scale: float, size: tuple[int, int]) -> ByteArray:
        """Frame as the picture would show it times ``scale``: uint8 ``(h, w, 3)`` for ``size`` (w, h)."""
        kept = _decode(self.jpegs[number])
        matrix = self.to_picture * np.float32(scale)
        shrink = float(np.hypot(matrix[0, 0], matrix[1, 0]))
        if shrink < 0.75:  # a plain warp would skip pixels
            small = (round(kept.shape[1] * shrink), round(kept.shape[0] * shrink))
            factor = np.array([small[0] / kept.shape[1], small[1] / kept.shape[0]])
            kept = np.asarray(cv2.resize(kept, small, interpolation=cv2.INTER_AREA), np.uint8)
            matrix = np.concatenate([matrix[:, :2] / factor, matrix[:, 2:]], 1)
        moved = cv2.warpAffine(
            kept, matrix.astype(np.float64), size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        if np.abs(self.gain - 1).max() < 0.02:
            return np.asarray(moved, np.uint8)
        return np.asarray(np.clip(moved * self.gain + 0.5, 0, 255), np.uint8)


@dataclass
class Track:
    """What was seen in a video, in pixels of the kept frames."""

    jpegs: list[bytes]
    points: FloatArray
    """float32 ``(T, 57, 3)``; confidence 0: not seen."""


def read_video(path: Path, most: int, longest_px: int = KEPT_PX) -> Iterator[tuple[int, ByteArray]]:
    """At most about ``most`` frames, spread evenly, upright, reduced to ``longest_px``: number and BGR.

    Raises:
        MediaError: not a video.
    """
    try:
        container = av.open(str(path))
    except (OSError, av.error.FFmpegError) as exc:
        raise MediaError(f"{path}: cannot be opened as a video ({exc})") from exc
    with container:
        if not container.streams.video:
            raise MediaError(f"{path}: holds no video")
        stream = container.streams.video[0]
        count = stream.frames
        if not count and stream.duration and stream.time_base and stream.average_rate:
            count = int(stream.duration * stream.time_base * stream.average_rate)
        step = max(1, math.ceil(count / most))
        for number, frame in enumerate(container.decode(stream)):
            if number % step:
                continue
            picture = frame.to_ndarray(format="bgr24")
            turned = round(getattr(frame, "rotation", 0) / 90) % 4
            picture = np.rot90(picture, turned) if turned else picture
            scale = longest_px / max(picture.shape[:2])
            if scale < 1:
                picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            yield number, np.ascontiguousarray(picture, np.uint8)


def track_video(path: Path, most: int, memory: Path, say: Callable[[str], None]) -> Track:
    """See the person in every frame; what was seen is kept in ``memory``, from where the next call goes on.

    Raises:
        MediaError: not a video, or nothing can be decoded.
    """
    known: dict[int, FloatArray] = {}
    if memory.is_file():
        with np.load(memory, allow_pickle=False) as data:
            known = dict(zip(data["numbers"].tolist(), data["points"], strict=True))
    watcher = _Watcher()
    jpegs: list[bytes] = []
    numbers: list[int] = []
    fresh = 0
    for number, frame in read_video(path, most):
        if number not in known:
            known[number] = watcher.see(frame)
            fresh += 1
            if fresh % _SAVE_EVERY == 0:
                _remember(memory, known)
                say(f"{len(jpegs) + 1} frames seen")
        ok, data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 95])
        assert ok
        jpegs.append(data.tobytes())
        numbers.append(number)
    if not jpegs:
        raise MediaError(f"{path}: no frame could be decoded")
    _remember(memory, known)
    return Track(jpegs, np.stack([known[number] for number in numbers]))


def _remember(memory: Path, known: dict[int, FloatArray]) -> None:
    memory.parent.mkdir(parents=True, exist_ok=True)
    partial = memory.with_suffix(".part.npz")
    np.savez(partial, numbers=np.array(sorted(known)), points=np.stack([known[n] for n in sorted(known)]))
    partial.replace(memory)


class _Watcher:
    """Body and hands by the tracker, the head by the face mesh."""

    def __init__(self) -> None:
        self._reader = PeopleReader(average=False)
        self._tracker = TrackingEstimator(self._reader)
        self._face: FacePoints | None = None

    def see(self, frame: ByteArray) -> FloatArray:
        """float32 ``(57, 3)`` of a BGR frame; noughts where nobody is seen with a face."""
        scale = min(1.0, SEEN_PX / max(frame.shape[:2]))
        small = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        rgb: ByteArray = np.asarray(np.ascontiguousarray(small[..., ::-1]), np.uint8)
        points = self._tracker.see(rgb)
        face = None
        if self._face is not None:
            face = self._reader.read_face(rgb, face_region(self._face.mesh_px))
        if face is None or face.presence < 0.5:
            face = next(iter(self._reader.faces(rgb, most=1)), None)
        self._face = face
        nose = np.full(2, np.inf) if face is None else face.mesh_px[1]
        shoulders = float(np.hypot(*(points[RIGHT_SHOULDER, :2] - points[LEFT_SHOULDER, :2])))
        if face is None or float(np.hypot(*(points[NOSE, :2] - nose))) > 0.5 * shoulders:
            return np.zeros((57, 3), np.float32)  # nobody, or the face of one and the body of another
        points = with_mesh_head(points, face.mesh_px)
        points[:, :2] /= scale
        return points


def with_mesh_head(points: FloatArray, mesh_px: FloatArray) -> FloatArray:
    """Keypoints ``(57, 3)`` with the head's points taken from the face mesh ``(478, 2)``."""
    out = points.copy()
    for ours, theirs in MESH_HEAD.items():
        out[ours] = (*mesh_px[theirs], 1)
    return out


def usable_frames(points: FloatArray) -> Any:
    """Numbers of the frames of ``(T, 57, 3)`` with shoulders, face and both hands."""
    sure = (points[:, [RIGHT_SHOULDER, LEFT_SHOULDER], 2] > 0.5).all(1) & (points[:, NOSE, 2] > 0)
    hands = (points[:, LEFT_HAND, 2] > 0) & (points[:, RIGHT_HAND, 2] > 0)
    return np.nonzero(sure & hands)[0]


def lay_over(track: Track, picture: ByteArray, points: FloatArray, least: int = 30) -> Clip:
    """Find out how the frames lie over the picture.

    Args:
        track: of the video.
        picture: uint8 ``(H, W, 3)`` BGR.
        points: ``(57, 3)`` of the picture.
        least: number of usable frames that is needed.

    Raises:
        AvatarDataError: too few frames show the person.
    """
    chosen = usable_frames(track.points)
    if len(chosen) < least:
        raise AvatarDataError(
            f"the video shows one person with face and both hands in {len(chosen)} frames, {least} are "
            "needed; film yourself from the front, with the hands in view, for half a minute"
        )
    faces = PeopleReader().faces(np.ascontiguousarray(picture[..., ::-1]), most=1)
    seen = with_mesh_head(points, faces[0].mesh_px) if faces else points
    places = track.points[chosen]
    stiff = [_similarity(p[_STIFF, :2], seen[_STIFF, :2]) for p in places]
    fitted = np.stack([p[:, :2] @ m[:, :2].T + m[:, 2] for p, m in zip(places, stiff, strict=True)])
    unit = float(np.hypot(*(seen[RIGHT_SHOULDER, :2] - seen[LEFT_SHOULDER, :2])))
    order = np.argsort(np.linalg.norm(fitted - seen[:, :2], axis=-1)[:, :15].mean(1))
    best, matches = stiff[int(order[0])], 0
    for k in order[:12:3]:
        found, count = _match(_decode(track.jpegs[chosen[int(k)]]), picture)
        if found is not None and count > matches:
            best, matches = found, count
    same = matches >= _MATCHES
    moved = places[..., :2] @ best[:, :2].T + best[:, 2]
    # The body network's own points of the head, as the picture has them, moved as the mesh moves.
    head = list(MESH_HEAD)
    moved[:, head] += points[head, :2] - seen[head, :2]
    if not same:
        # Another framing: the shoulders of the picture's pose decide.
        moved += np.median(points[NECK, :2] - moved[:, NECK], axis=0)
    jpegs = [track.jpegs[k] for k in chosen]
    clip = Clip(jpegs, moved.astype(np.float32), best.astype(np.float32), np.ones(3, np.float32), same)
    return replace(clip, gain=_gain(clip, picture, points, unit))


def _decode(jpeg: bytes) -> ByteArray:
    return np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8)


def _similarity(source: FloatArray, target: FloatArray) -> FloatArray:
    """2x3: best turn, scale and shift between two sets of points."""
    matrix, _ = cv2.estimateAffinePartial2D(
        np.asarray(source, np.float64), np.asarray(target, np.float64), method=cv2.LMEDS
    )
    if matrix is None:
        raise AvatarDataError("the person of the video cannot be laid over the picture; use another video")
    return np.asarray(matrix, np.float64)


def _match(frame: ByteArray, picture: ByteArray) -> tuple[FloatArray | None, int]:
    """2x3 frame -> picture from places found in both, and how many agree."""
    sift: Any = cv2.SIFT_create(3000)  # type: ignore[attr-defined]
    views = []
    for image in (frame, picture):
        scale = min(1.0, 900 / max(image.shape[:2]))
        small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        found, about = sift.detectAndCompute(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), None)
        views.append((np.array([p.pt for p in found], np.float64).reshape(-1, 2) / scale, about))
    (here, a), (there, b) = views
    if len(here) < 4 or len(there) < 4:
        return None, 0
    pairs = cv2.BFMatcher().knnMatch(a, b, k=2)
    good = [m for m, second in pairs if m.distance < 0.75 * second.distance]
    if len(good) < 4:
        return None, 0
    matrix, inside = cv2.estimateAffinePartial2D(
        here[[m.queryIdx for m in good]], there[[m.trainIdx for m in good]], ransacReprojThreshold=3.0
    )
    return (None, 0) if matrix is None else (np.asarray(matrix, np.float64), int(inside.sum()))


def _gain(clip: Clip, picture: ByteArray, points: FloatArray, unit: float) -> FloatArray:
    """Colours of the picture over those of the frames, from the face."""
    ratios = []
    side = 0.22 * unit
    for number in range(0, len(clip), max(1, len(clip) // 9)):
        frame = clip.frame(number, 1.0, (picture.shape[1], picture.shape[0]))
        means = []
        for image, nose in ((picture, points[NOSE, :2]), (frame, clip.points[number, NOSE])):
            x0, y0 = (int(max(0, v - side)) for v in nose)
            part = image[y0 : int(nose[1] + side), x0 : int(nose[0] + side)]
            if part.size:
                means.append(np.median(part.reshape(-1, 3), axis=0))
        if len(means) == 2:
            ratios.append(means[0] / np.maximum(means[1], 1))
    gain = np.median(ratios, axis=0) if ratios else np.ones(3)
    return np.asarray(np.clip(gain, 0.5, 2.0), np.float32)
