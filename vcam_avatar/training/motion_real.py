"""The same from videos of real people: dense optical flow between frames says where head and torso went."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vcam_avatar.avatars.analysis import PictureAnalyser
from vcam_avatar.avatars.layers_build import build_layers
from vcam_avatar.avatars.layers_fill import distance_to_bone
from vcam_avatar.errors import MediaError
from vcam_avatar.media import ByteArray, FloatArray
from vcam_avatar.stages.body_motion import cut_square, relative
from vcam_avatar.stages.pose_layout import ARMS, HEAD, LEFT_SHOULDER, NECK, RIGHT_SHOULDER
from vcam_avatar.stages.pose_retarget import Retargeter
from vcam_avatar.training.body_crops import HELD_OUT
from vcam_avatar.training.motion_data import PLACES, TARGETS, MotionSet, bend_points
from vcam_avatar.training.pose_sources import read_holistic, read_steady

_SIDE_PX = 540
"""Height of the frames that are compared."""
_AGREE_PX = 1.0
"""Greatest distance of a point from where flow there and back leaves it."""
_ARM = 0.17
"""So near an arm's bones, shoulder widths, what is seen may be the arm."""
_TRIES = 3
"""Groups of ``TARGETS`` frames for every source."""


@dataclass
class _Frames:
    bgr: dict[int, ByteArray]
    points: FloatArray
    """``(T, 57, 2)`` in their pixels, head from the face mesh; NaN where not found."""
    other_head: FloatArray
    """``(T, 57, 2)``, head from the body's tracker."""


def read_video(folder: Path, name: str, wanted: Any) -> _Frames:
    """Frames ``wanted`` of ``name`` and its tracks, reduced to 540 px.

    Raises:
        MediaError: the video is absent.
    """
    import av

    video = folder / f"{name}_video.mp4"
    if not video.is_file():
        raise MediaError(f"{video} is absent")
    points, size = read_steady(folder / f"{name}_holistic.npz")
    scale = _SIDE_PX / float(size[1])
    plain = read_holistic(folder / f"{name}_holistic.npz")[0][..., :2]
    other = points.copy()
    other[:, list(HEAD)] = plain[:, list(HEAD)]
    shape = (round(float(size[0]) * scale), _SIDE_PX)
    frames = {}
    chosen = set(wanted)
    with av.open(str(video)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number in chosen:
                frames[number] = np.asarray(
                    cv2.resize(frame.to_ndarray(format="bgr24"), shape, interpolation=cv2.INTER_AREA),
                    np.uint8,
                )
    return _Frames(frames, points * scale, other * scale)


def _clear_of_arms(points: FloatArray, at: FloatArray) -> Any:
    """Which of the places ``(P, 2)`` are far from both arms and hands."""
    unit = float(np.hypot(*(points[LEFT_SHOULDER] - points[RIGHT_SHOULDER])))
    clear = np.ones(len(at), bool)
    for shoulder, elbow, wrist, hand in ARMS:
        start = points[shoulder] + 0.35 * (points[elbow] - points[shoulder])
        for a, b in ((start, points[elbow]), (points[elbow], points[wrist])):
            clear &= distance_to_bone(at[None], a, b)[0][0] > _ARM * unit
        fingers = points[hand : hand + 21]
        clear &= np.hypot(*(at - fingers.mean(0)).T) > np.hypot(*(fingers - fingers.mean(0)).T).max() * 1.4
    return clear


def pairs_of(
    frames: _Frames, source: int, targets: list[int], analyser: PictureAnalyser, rng: np.random.Generator
) -> MotionSet | None:
    """One source frame and ``TARGETS`` others; None where too little can be followed."""
    picture = frames.bgr[source]
    found = analyser.analyse(picture)
    points = frames.points if rng.random() < 0.5 else frames.other_head
    known = np.concatenate([points[source], np.ones((57, 1), np.float32)], 1).astype(np.float32)
    layers = build_layers(picture, known, found.face_px, found.mask)
    rest = Retargeter(known)._picture.astype(np.float32)
    unit = float(np.hypot(*(rest[LEFT_SHOULDER] - rest[RIGHT_SHOULDER])))
    core = layers.core_bgra.astype(np.float32)
    core[..., :3] *= core[..., 3:] / 255
    shrink = layers.size.width_px / picture.shape[1]
    square = cut_square(np.rint(core).astype(np.uint8), rest[NECK] * shrink, unit * shrink)
    inside = cv2.erode((found.mask > 200).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    rows, columns = np.nonzero(inside)
    at = np.stack([columns, rows], 1).astype(np.float32)
    at = at[_clear_of_arms(points[source], at)]
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    own = relative(rest, rest)
    nows, places, lacks = [], [], []
    for target in targets:
        other = cv2.cvtColor(frames.bgr[target], cv2.COLOR_BGR2GRAY)
        there: Any = flow.calc(grey, other, np.zeros((*grey.shape, 2), np.float32))
        back: Any = flow.calc(other, grey, np.zeros((*grey.shape, 2), np.float32))
        x, y = at.astype(int).T
        end = at + there[y, x]
        ends = np.rint(end).astype(int)
        good = (ends >= 0).all(1) & (ends < (grey.shape[1], grey.shape[0])).all(1)
        ends = np.where(good[:, None], ends, 0)
        round_trip = np.hypot(*(end + back[ends[:, 1], ends[:, 0]] - at).T)
        good &= (round_trip < _AGREE_PX) & _clear_of_arms(points[target], end)
        kept = np.nonzero(good)[0]
        if len(kept) < 300:
            return None
        chosen = rng.choice(kept, PLACES, replace=len(kept) < PLACES)
        now = points[target].copy()
        bent = bend_points(rest, found.face_px, at[chosen], now)
        nows.append(relative(now, rest))
        places.append((at[chosen] - rest[NECK]) / unit)
        lacks.append((end[chosen] - bent) / unit)
    return MotionSet(
        np.rint(square * 255).astype(np.uint8)[None], np.repeat(own[None, None], len(targets), 1),
        np.stack(nows)[None], np.stack(places)[None].astype(np.float16),
        np.stack(lacks)[None].astype(np.float16),
    )  # fmt: skip


def read_person(folder: Path, name: str, sources: int, seed: int) -> MotionSet:
    """Pairs of the frames of one video that may be trained on.

    Raises:
        MediaError: the video is absent, or nothing in it can be followed.
    """
    rng = np.random.default_rng([seed, len(name)])
    points, _ = read_steady(folder / f"{name}_holistic.npz")
    last = HELD_OUT.get(name, len(points))
    good = [t for t in range(last) if np.isfinite(points[t]).all()]
    chosen = [good[k] for k in np.linspace(0, len(good) - 1, sources).astype(int)]
    targets = {s: [rng.choice(good, TARGETS, replace=False).tolist() for _ in range(_TRIES)] for s in chosen}
    wanted = {*chosen, *(t for groups in targets.values() for group in groups for t in group)}
    frames = read_video(folder, name, wanted)
    analyser = PictureAnalyser()
    found = [pairs_of(frames, s, group, analyser, rng) for s in chosen for group in targets[s]]
    people = [f for f in found if f is not None]
    if not people:
        raise MediaError(f"{name}: nothing can be followed from frame to frame")
    return MotionSet.joined(people)


def main(argv: list[str] | None = None) -> int:
    """``vcam-avatar train motion-real --data latentsync_people -o FOLDER``."""
    parser = argparse.ArgumentParser(prog="vcam-avatar train motion-real", description=__doc__)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder of NAME_video.mp4, NAME_holistic.npz"
    )
    parser.add_argument("--videos", nargs="+", default=["demo1", "demo2", "demo3"])
    parser.add_argument("--sources", type=int, default=24, help="frames of each that stand for the picture")
    parser.add_argument("-o", "--out", type=Path, required=True)
    args = parser.parse_args(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(args.videos):
        people = read_person(args.data, name, args.sources, number)
        people.save(args.out / f"{name}.npz")
        print(name, len(people), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
