"""The place of the refiner in the frame, and the measures of the body."""

from types import SimpleNamespace

import numpy as np
import pytest

from vcam_avatar.evaluation.body_compare import similarity
from vcam_avatar.evaluation.body_poses import sheet_poses
from vcam_avatar.resources import models_dir
from vcam_avatar.stages.body_paint import Painted
from vcam_avatar.stages.body_refine import CROP_PALMS, Limb, LimbRefiner, crop_box, seen, shown, watch
from vcam_avatar.stages.hands import load_hand_mesh
from vcam_avatar.stages.pose_layout import ARMS, FOREARM, PALM, UPPER_ARM

SIZE = 64
PALM_PX = 40.0


class FakeNetwork:
    """Brightens where it may; remembers what it was shown."""

    sidecar = SimpleNamespace(inputs=[SimpleNamespace(shape=(1, 5, SIZE, SIZE))])

    def __init__(self):
        self.crops = []

    def run(self, feeds):
        self.crops.append(feeds["crop"].copy())
        return {"correction": np.full_like(feeds["crop"][:, :3], 0.2)}


def limb_at(x, y):
    """An arm whose forearm points straight up to a wrist at (x, y)."""
    wrist = np.array([x, y], np.float32)
    elbow = wrist + np.array([0, 2.25 * PALM_PX], np.float32)
    return Limb("left", elbow - [0, 2 * PALM_PX], elbow, wrist, wrist - [0, PALM_PX], PALM_PX)


def draw(image, x, y):
    """Draw such an arm, 24 px wide; return its crops."""
    limb = limb_at(x, y)
    crops = watch(image, limb, SIZE)
    height, width = image.shape[:2]
    left, right, top = max(0, x - 12), min(width, x + 12), max(0, y - 50)
    bottom = min(height, int(limb.elbow[1]))
    image[top:bottom, left:right] = 150
    alpha = np.full((bottom - top, right - left), 255, np.uint8)
    hand = alpha.copy()
    hand[max(0, y - top) :] = 0
    seen(image, crops, Painted(np.dstack([alpha] * 4), hand, left, top))
    return crops


def test_crop_boxes_hold_the_hand():
    left, top, side = crop_box(np.array([100.0, 200.0]), np.array([100.0, 160.0]), 40.0)
    assert side == pytest.approx(CROP_PALMS * 40)
    assert left < 100 < left + side
    assert top < 160 - 45
    assert top + side > 200


def test_hand_and_elbow_share_the_forearm():
    image = np.full((400, 500, 3), 100, np.uint8)
    crops = draw(image, 240, 160)
    network = FakeNetwork()
    LimbRefiner(network).refine(image, crops)
    assert len(network.crops) == 2
    # Every row of the arm is brightened once, by one of them or by both together; 51 is all of it.
    brighter = image[125:245, 240, 0].astype(int) - 150
    assert brighter.min() >= 43
    assert brighter.max() <= 53
    assert (image[:, :220] == 100).all()
    assert (image[:, 262:] == 100).all()
    assert network.crops[0][0, 0].mean() > 100 / 255


def test_what_lies_over_an_arm_is_left_alone():
    image = np.full((400, 500, 3), 100, np.uint8)
    crops = draw(image, 240, 160)
    image[150:180] = 30
    LimbRefiner(FakeNetwork()).refine(image, crops)
    assert (image[155:175] == 30).all()
    assert image[130, 240, 0] > 190


def test_the_shadow_of_an_arm_is_left_alone():
    image = np.full((400, 500, 3), 100, np.uint8)
    limb = limb_at(240, 160)
    crops = watch(image, limb, SIZE)
    image[:] = 90
    image[110:250, 228:252] = 150
    alpha = np.full((140, 24), 255, np.uint8)
    seen(image, crops, Painted(np.dstack([alpha] * 4), alpha, 228, 110))
    for crop in crops:
        region = shown(image, crop)[4]
        x, _, length = crop.box
        far = np.abs((np.arange(SIZE) + 0.5) / SIZE * length + x - 240) > 0.7 * PALM_PX
        assert region.max() > 0.8
        assert region[:, far].max() == 0


def test_limbs_at_the_border_are_cut_not_moved():
    image = np.full((300, 400, 3), 100, np.uint8)
    crops = draw(image, 5, 30) + draw(image, 395, 280)
    # The second one's elbow is far below.
    assert len(crops) == 3
    network = FakeNetwork()
    LimbRefiner(network).refine(image, crops)
    assert image.shape == (300, 400, 3)
    assert image[25, 5, 0] > 190
    assert image[245, 395, 0] > 190
    # What lies outside the frame continues its border.
    assert network.crops[0][0, :3].min() > 0.38


def test_no_limbs_no_call():
    refiner = LimbRefiner(SimpleNamespace(sidecar=FakeNetwork.sidecar, run=None))
    image = np.zeros((50, 50, 3), np.uint8)
    refiner.refine(image, [])
    assert not image.any()
    assert watch(image, limb_at(-900, 20), SIZE) == []


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
