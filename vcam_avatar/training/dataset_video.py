"""A training set from real videos: one pose per frame from a trained pose estimator, sound per unit."""

import argparse
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import av
import cv2
import numpy as np

from vcam_avatar.avatars.people import (
    BodyPoints,
    HandPoints,
    PeopleReader,
    body_region,
    hand_region,
    to_keypoints,
)
from vcam_avatar.errors import MediaError
from vcam_avatar.media import SAMPLE_RATE_HZ, ByteArray, FloatArray
from vcam_avatar.training.dataset import Sample, save_samples
from vcam_avatar.training.dataset_smooth import OneEuro
from vcam_avatar.training.pose_clean import MOTION_HZ, CleanRules, canonicalise, clean, good_spans, resample
from vcam_avatar.training.pose_corpus import real_sample
from vcam_avatar.training.pose_sound import load_audio
from vcam_avatar.training.pose_sources import read_openpose
from vcam_avatar.training.pose_units import BANK_NAME, MotionBank, build_bank, save_bank

LONGEST_SIDE_PX = 1280
"""Larger frames are made smaller before looking: the networks see crops of 256 px anyway."""


class PoseEstimator(Protocol):
    """Sees the poses of one person in successive frames."""

    def see(self, frame_rgb: ByteArray) -> FloatArray:
        """float32 ``(57, 3)`` x, y in pixels, confidence; confidence 0 where nothing is seen."""
        ...


class TrackingEstimator:
    """The project's own networks; each frame is first searched where the person was before."""

    def __init__(self, reader: PeopleReader | None = None, search_every: int = 10) -> None:
        """``search_every``: a hand that is lost is looked for only every so many frames (it is slow)."""
        self._reader = reader or PeopleReader(average=False)
        self._start_smoothing()
        self._search_every = search_every
        self._body: BodyPoints | None = None
        self._hands: list[HandPoints | None] = [None, None]
        self._lost = [0, 0]

    def _start_smoothing(self) -> None:
        # As calm as MediaPipe's own tracking: points, and the two that say where to look next.
        self._smooth, self._smooth_region = OneEuro(0.05, 80.0), OneEuro(0.01, 10.0)

    def see(self, frame_rgb: ByteArray) -> FloatArray:
        """See ``PoseEstimator.see``."""
        reader = self._reader
        body = None
        if self._body is not None:
            body = reader.read_body(frame_rgb, body_region(self._body.points_px))
            if body.presence < 0.5:
                body = None
        if body is None:
            bodies = reader.bodies(frame_rgb)
            body = bodies[0] if bodies else None
            self._start_smoothing()
        self._body = body
        if body is None:
            self._hands = [None, None]
            return np.zeros((57, 3), np.float32)
        size = body.region.side_px
        calm = self._smooth.next(body.points_px[:33, :2], size)
        where = self._smooth_region.next(body.points_px[33:35, :2], size)
        body.points_px[:35, :2] = np.concatenate([calm, where])
        shoulders = float(np.hypot(*(body.points_px[11, :2] - body.points_px[12, :2])))
        for side in (0, 1):
            self._hands[side] = self._hand(frame_rgb, body, side, shoulders)
        left, right = self._hands
        if left is not None and right is not None:
            size = float(np.hypot(*(left.points_px[9, :2] - left.points_px[0, :2])))
            if float(np.hypot(*(left.points_px[:, :2] - right.points_px[:, :2]).mean(0))) < 0.35 * size:
                # Both slid onto one hand: the farther wrist loses it.
                wrists = body.points_px[15:17, :2]
                off = [
                    np.hypot(*(h.points_px[0, :2] - w)) for h, w in zip((left, right), wrists, strict=True)
                ]
                self._hands[int(np.argmax(off))] = None
        return to_keypoints(body, *self._hands)

    def _hand(self, frame_rgb: ByteArray, body: BodyPoints, side: int, shoulders: float) -> HandPoints | None:
        wrist = body.points_px[15 + side, :2]
        known = self._hands[side]
        if known is not None:
            hand = self._reader.read_hand(frame_rgb, hand_region(known.points_px))
            near = float(np.hypot(*(hand.points_px[0, :2] - wrist))) < 0.5 * shoulders
            if hand.presence > 0.5 and near:
                self._lost[side] = 0
                return hand
        self._lost[side] += 1
        if known is not None or self._lost[side] % self._search_every == 1:
            return self._reader.hand_near(frame_rgb, body, left=side == 0)
        return None


def video_frames(path: Path) -> tuple[Fraction, Iterator[ByteArray]]:
    """Frame rate and RGB frames, at most ``LONGEST_SIDE_PX`` on a side.

    Raises:
        MediaError: not a video.
    """
    try:
        container = av.open(str(path))
    except (OSError, av.error.FFmpegError) as exc:
        raise MediaError(f"{path}: cannot be opened as a video ({exc})") from exc
    if not container.streams.video:
        container.close()
        raise MediaError(f"{path}: holds no video")
    stream = container.streams.video[0]
    rate = Fraction(stream.average_rate or stream.guessed_rate or 25)

    def frames() -> Iterator[ByteArray]:
        with container:
            for frame in container.decode(stream):
                picture = frame.to_ndarray(format="rgb24")
                scale = LONGEST_SIDE_PX / max(picture.shape[:2])
                if scale < 1:
                    picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
                yield np.ascontiguousarray(picture)

    return rate, frames()


def estimate(path: Path, estimator: PoseEstimator, say: Callable[[str], None]) -> tuple[FloatArray, float]:
    """One pose per frame of a video: float32 ``(T, 57, 3)`` in pixels of the reduced frame, and fps."""
    rate, frames = video_frames(path)
    poses = []
    for number, frame in enumerate(frames):
        poses.append(estimator.see(frame))
        if number % 250 == 249:
            say(f"{path.name}: {number + 1} frames")
    if not poses:
        raise MediaError(f"{path}: no frame could be decoded")
    return np.stack(poses), float(rate)


def build(
    videos: Sequence[Path],
    folder: Path,
    *,
    estimator: Callable[[], PoseEstimator] = TrackingEstimator,
    openpose: Path | None = None,
    bank: MotionBank | None = None,
    rules: CleanRules | None = None,
    say: Callable[[str], None] = print,
) -> int:
    """Make and store a training set.

    For every video: a pose per frame, short gaps filled, bad stretches dropped, motion on the 25 Hz clock
    and on canonical bones, the MFCC of the sound of each tick. The estimated keypoints are kept beside the
    samples in ``<video>.keypoints.npz`` (pixels of the reduced frame).

    Args:
        videos: files with one person talking, and sound.
        folder: gets the samples.
        estimator: makes the pose estimator; a new one for each video.
        openpose: folder with OpenPose's JSON of the only video; used instead of the estimator.
        bank: motion units in whose terms plans are told; by default those of the videos themselves.
        rules: which stretches are kept.
        say: progress.

    Returns:
        Number of samples.

    Raises:
        MediaError: a file cannot be used, or nothing usable was seen.
    """
    if openpose is not None and len(videos) != 1:
        raise MediaError("OpenPose keypoints belong to one video: name exactly one")
    rules = rules or CleanRules()
    folder.mkdir(parents=True, exist_ok=True)
    stretches: dict[str, tuple[FloatArray, FloatArray]] = {}
    for path in videos:
        if openpose is not None:
            pose_px, fps = read_openpose(openpose), float(video_frames(path)[0])
        else:
            pose_px, fps = estimate(path, estimator(), say)
        np.savez_compressed(folder / f"{path.stem}.keypoints.npz", pose=pose_px.astype(np.float32), fps=fps)
        sound = load_audio(path)
        spans = good_spans(pose_px, fps, rules)
        kept = sum(b - a for a, b in spans)
        say(f"{path.name}: {len(pose_px)} frames, {kept / len(pose_px):.0%} usable, {len(spans)} stretches")
        for start, end in spans:
            motion = resample(canonicalise(clean(pose_px[start:end], fps, rules)), fps)
            first = round(start / fps * SAMPLE_RATE_HZ)
            piece = sound[first : first + len(motion) * SAMPLE_RATE_HZ // MOTION_HZ]
            ticks = min(len(motion), len(piece) * MOTION_HZ // SAMPLE_RATE_HZ)
            if ticks >= 2:
                stretches[f"{path.stem}@{start}"] = (motion[:ticks], piece)
    if not stretches:
        raise MediaError("no stretch in which one person is well seen and heard for two seconds")
    if bank is None:
        bank = build_bank({n: pose for n, (pose, _) in stretches.items()}, set(stretches))
    samples: list[Sample] = [
        real_sample(bank, name, pose, sound) for name, (pose, sound) in stretches.items()
    ]
    save_bank(folder / BANK_NAME, bank)
    about = {"units": len(bank.units), "videos": [path.name for path in videos]}
    return save_samples(folder, samples, about)


def main(argv: Sequence[str] | None = None) -> int:
    """``vcam-avatar dataset build``."""
    parser = argparse.ArgumentParser(prog="vcam-avatar dataset build", description=__doc__)
    parser.add_argument("videos", nargs="+", type=Path, help="video files with sound, one person each")
    parser.add_argument("--out", type=Path, required=True, help="folder for the samples")
    parser.add_argument(
        "--openpose", type=Path, help="take the keypoints from this folder (OpenPose --write_json)"
    )
    args = parser.parse_args(argv)
    count = build(args.videos, args.out, openpose=args.openpose)
    print(f"{count} samples in {args.out}")
    return 0
