"""The place of the refiner in the frame, and the measures of the body."""

from types import SimpleNamespace

import numpy as np
import pytest

from vcam_avatar.evaluation.body_compare import similarity
from vcam_avatar.evaluation.body_poses import sheet_poses
from vcam_avatar.resources import models_dir
from vcam_avatar.stages.body_refine import CROP_PALMS, DrawnHand, HandRefiner, crop_box
from vcam_avatar.stages.hands import load_hand_mesh
from vcam_avatar.stages.pose_layout import ARMS, FOREARM, PALM, UPPER_ARM

SIZE = 80


class FakeNetwork:
    """Brightens where the hand is; remembers what it was shown."""

    sidecar = SimpleNamespace(inputs=[SimpleNamespace(shape=(2, 4, SIZE, SIZE))])

    def run(self, feeds):
        self.crop = feeds["crop"].copy()
        return {"correction": np.repeat(self.crop[:, 3:] * np.float32(0.2), 3, 1)}


def hand_at(x, y, palm=40.0):
    mask = np.full((50, 50), 255, np.uint8)
    wrist = np.array([x, y], np.float32)
    return DrawnHand(mask, int(x) - 25, int(y) - 60, wrist, wrist - [0, palm], palm)


def test_crop_boxes_hold_the_hand():
    left, top, side = crop_box(np.array([100.0, 200.0]), np.array([100.0, 160.0]), 40.0)
    assert side == pytest.approx(CROP_PALMS * 40)
    assert left < 100 < left + side
    assert top < 160 - 45
    assert top + side > 200


def test_only_hands_are_corrected():
    network = FakeNetwork()
    image = np.full((300, 400, 3), 100, np.uint8)
    HandRefiner(network).refine(image, [hand_at(200, 180)])
    assert image[140, 200].tolist() == pytest.approx([151] * 3, abs=2)
    assert (image[:, :120] == 100).all()
    assert network.crop[0, 0].mean() == pytest.approx(100 / 255, abs=1e-3)
    assert network.crop[1].max() == 0


def test_hands_at_the_border_are_cut_not_moved():
    network = FakeNetwork()
    image = np.full((300, 400, 3), 100, np.uint8)
    HandRefiner(network).refine(image, [hand_at(5, 30), hand_at(395, 295)])
    assert image.shape == (300, 400, 3)
    assert image[10, 5, 0] > 140
    assert image[255, 395, 0] > 140
    assert (image[100:200] == 100).all()
    # What lies outside the frame continues its border.
    assert network.crop[0, :3].min() > 0.38


def test_no_hands_no_call():
    refiner = HandRefiner(SimpleNamespace(sidecar=FakeNetwork.sidecar, run=None))
    image = np.zeros((50, 50, 3), np.uint8)
    refiner.refine(image, [])
    assert not image.any()


def test_similarity_knows_equal_from_noise():
    rng = np.random.default_rng(1)
    picture = rng.integers(0, 255, (40, 40, 3)).astype(np.uint8)
    assert similarity(picture, picture).mean() == pytest.approx(1, abs=1e-4)
    other = rng.integers(0, 255, (40, 40, 3)).astype(np.uint8)
    assert similarity(picture, other).mean() < 0.2


def test_sheet_poses_are_possible():
    poses = sheet_poses(load_hand_mesh(models_dir() / "hand_mesh.npz"))
    assert len(poses) == 12
    for name, pose in poses.items():
        assert pose.shape == (57, 3), name
        assert np.isfinite(pose).all()
        for shoulder, elbow, wrist, hand in ARMS:
            assert np.linalg.norm(pose[elbow, :2] - pose[shoulder, :2]) < UPPER_ARM * 1.12, name
            assert np.linalg.norm(pose[wrist, :2] - pose[elbow, :2]) < FOREARM * 1.12, name
            assert np.allclose(pose[hand, :2], pose[wrist, :2], atol=1e-6), name
            assert np.linalg.norm(pose[hand + 9, :2] - pose[hand, :2]) <= PALM * 1.001
