"""The training set: real videos, one pose per frame from a pose estimator, sound per unit, stored samples."""

import json
from fractions import Fraction

import av
import numpy as np
import pytest

from vcam_avatar.errors import MediaError
from vcam_avatar.stages.features import mfcc
from vcam_avatar.stages.pose_layout import ARMS, UPPER_BODY, rest_pose
from vcam_avatar.training.dataset import Sample, load_samples, save_samples, tick_rows
from vcam_avatar.training.dataset_video import build
from vcam_avatar.training.pose_clean import CleanRules, canonicalise, clean, good_spans, resample
from vcam_avatar.training.pose_sources import read_openpose

FPS, SECONDS = 30, 5


def waving(count: int, fps: float) -> np.ndarray:
    """A person in pixels who moves both hands up and down."""
    pose = np.tile(np.array(rest_pose()), (count, 1, 1))
    lift = 0.25 * np.sin(2 * np.pi * 0.8 * np.arange(count) / fps)
    for _, elbow, wrist, hand in ARMS:
        pose[:, elbow, 1] -= 0.3 * lift
        pose[:, wrist, 1] -= lift
        pose[:, hand : hand + 21, 1] -= lift[:, None]
    pose[:, 0, 0] += 0.02 * np.sin(np.arange(count) / 9)
    pose[..., :2] = pose[..., :2] * 60 + [100, 90]
    return pose.astype(np.float32)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("video") / "talk.mp4"
    rng = np.random.default_rng(0)
    sound = (rng.normal(0, 0.1, SECONDS * 16000) * (np.sin(np.arange(SECONDS * 16000) / 2500) > 0)).astype(
        np.float32
    )
    with av.open(str(path), "w") as out:
        picture = out.add_stream("libx264", rate=Fraction(FPS))
        picture.width, picture.height, picture.pix_fmt = 200, 200, "yuv420p"
        track = out.add_stream("aac", rate=16000, layout="mono")
        for _ in range(FPS * SECONDS):
            frame = av.VideoFrame.from_ndarray(np.zeros((200, 200, 3), np.uint8), format="rgb24")
            out.mux(picture.encode(frame))
        out.mux(picture.encode(None))
        for first in range(0, len(sound), 1024):
            block = av.AudioFrame.from_ndarray(
                sound[None, first : first + 1024], format="fltp", layout="mono"
            )
            block.sample_rate, block.pts = 16000, first
            out.mux(track.encode(block))
        out.mux(track.encode(None))
    return path


class Scripted:
    """A pose estimator that knows the answer; misses a hand for a moment."""

    def __init__(self) -> None:
        self.poses = waving(FPS * SECONDS, FPS)
        self.poses[40:46, 15:36, 2] = 0
        self.poses[40:46, 15:36, :2] = np.nan
        self.seen = 0

    def see(self, frame_rgb):
        assert frame_rgb.shape == (200, 200, 3)
        self.seen += 1
        return self.poses[self.seen - 1]


def test_claim_2_one_pose_per_frame_and_sound_per_unit_are_stored(video, tmp_path):
    estimator = Scripted()
    count = build([video], tmp_path / "set", estimator=lambda: estimator, say=lambda text: None)
    assert estimator.seen == FPS * SECONDS
    assert count == 1
    sample = load_samples(tmp_path / "set")[0]
    assert sample.real
    assert sample.ticks == pytest.approx(SECONDS * 25, abs=2)
    assert sample.rows.shape == (sample.ticks, 4, 40)
    assert sample.pose.shape == (sample.ticks, UPPER_BODY.size, 3)
    # The stored motion is the seen one on canonical bones: wrists go up and down at 0.8 Hz.
    wrist = sample.pose[:, 4, 1] - sample.pose[:, 4, 1].mean()
    spectrum = np.abs(np.fft.rfft(wrist))
    assert np.fft.rfftfreq(len(wrist), 1 / 25)[spectrum.argmax()] == pytest.approx(0.8, abs=0.11)
    # The short gap was filled in, with less confidence.
    assert np.isfinite(sample.pose).all()
    assert sample.pose[36, 20, 2] < 1
    # What the estimator saw is kept beside the samples.
    with np.load(tmp_path / "set" / "talk.keypoints.npz") as kept:
        np.testing.assert_array_equal(kept["pose"], estimator.poses)


def test_claim_2_sound_of_a_tick_is_the_sound_of_that_time():
    sound = np.zeros(16000 * 2, np.float32)
    sound[16000:16400] = 0.5
    rows = tick_rows(sound, 50)
    quiet = rows[:20].mean((0, 1))
    loud = np.flatnonzero(np.abs(rows - quiet).max((1, 2)) > 1)
    assert loud.min() == 24
    assert loud.max() == 25
    np.testing.assert_array_equal(rows[30:32].reshape(-1, 40), mfcc(sound)[120:128])


def test_claim_2_bad_stretches_are_dropped():
    pose = waving(300, 30)
    pose[120:170, 2:5, 2] = 0
    assert good_spans(pose, 30, CleanRules()) == [(0, 120), (170, 300)]
    pose = waving(300, 30)
    pose[150:, :, 0] += 80
    assert good_spans(pose, 30, CleanRules()) == [(0, 150), (151, 300)]


def test_claim_2_motion_survives_cleaning_and_resampling():
    pose = waving(300, 30)
    noisy = pose + np.random.default_rng(0).normal(0, 0.5, pose.shape).astype(np.float32) * [1, 1, 0]
    np.testing.assert_allclose(
        clean(noisy.astype(np.float32), 30)[10:-10, 4, :2], pose[10:-10, 4, :2], atol=1.2
    )
    slow = resample(pose, 30)
    assert len(slow) == 250
    np.testing.assert_allclose(slow[5], pose[6], atol=1e-3)
    canonical = canonicalise(pose)
    assert np.abs(canonical[:, 1, :2]).max() < 1e-6
    assert np.ptp(canonical[:, 4, 1]) == pytest.approx(0.5, rel=0.25)


def test_claim_2_openpose_output_is_imported(tmp_path):
    pose = waving(3, 30)
    body25 = {**{i: i for i in range(9)}, 9: 9, 12: 10, 15: 11, 16: 12, 17: 13, 18: 14}
    for t in range(3):
        body = np.zeros((25, 3))
        for theirs, ours in body25.items():
            body[theirs] = pose[t, ours]
        person = {
            "pose_keypoints_2d": body.ravel().tolist(),
            "hand_left_keypoints_2d": pose[t, 15:36].ravel().tolist(),
            "hand_right_keypoints_2d": pose[t, 36:57].ravel().tolist(),
        }
        (tmp_path / f"v_{t:012d}_keypoints.json").write_text(json.dumps({"people": [person] if t else []}))
    read = read_openpose(tmp_path)
    assert read[0, :, 2].max() == 0
    np.testing.assert_allclose(read[1:], pose[1:], atol=1e-3)
    (tmp_path / "v_000000000003_keypoints.json").write_text("[]")
    with pytest.raises(MediaError, match="OpenPose"):
        read_openpose(tmp_path)


def test_claim_2_sound_and_pose_have_equal_length_or_are_refused():
    ticks = 10
    parts = {
        "rows": np.zeros((ticks, 4, 40), np.float32), "pose": np.zeros((ticks, 57, 3), np.float32),
        "rest": np.zeros((57, 2), np.float32), "plan": np.zeros((ticks, 0), np.float32),
        "event": np.zeros(ticks, bool), "code": np.zeros(ticks, int), "speech": np.zeros(ticks, bool),
    }  # fmt: skip
    Sample("ok", True, **parts)
    with pytest.raises(ValueError, match="pose has 9"):
        Sample("short", True, **{**parts, "pose": parts["pose"][:9]})


def test_claim_2_a_half_written_set_is_not_read(tmp_path):
    with pytest.raises(MediaError, match="no training set"):
        load_samples(tmp_path)
    ticks = 4
    sample = Sample(
        "s", False, np.zeros((ticks, 4, 40), np.float32), np.zeros((ticks, 57, 3), np.float32),
        np.zeros((57, 2), np.float32), np.zeros((ticks, 3), np.float32), np.zeros(ticks, bool),
        np.zeros(ticks, int), np.zeros(ticks, bool),
    )  # fmt: skip
    assert save_samples(tmp_path, [sample]) == 1
    whole = (tmp_path / "00000.npz").read_bytes()
    for broken in (b"broken", whole[: len(whole) // 2]):
        (tmp_path / "00000.npz").write_bytes(broken)
        with pytest.raises(MediaError, match="damaged"):
            load_samples(tmp_path)
