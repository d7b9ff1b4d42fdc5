"""Displacement fields: what head and torso do beyond their joints."""

import numpy as np
import pytest

from vcam_avatar import resources
from vcam_avatar.evaluation.body_flow import HELD_OUT_MOTION, measure_flow
from vcam_avatar.inference import load_network
from vcam_avatar.stages.body_motion import (
    FIELDS_MODEL,
    GRID,
    REACH,
    SIDE_PX,
    WEIGHTS_MODEL,
    MotionFields,
    cut_square,
    relative,
    sample_fields,
)
from vcam_avatar.stages.pose_layout import LEFT_SHOULDER, NECK, RIGHT_SHOULDER, rest_pose


class FakeFields:
    """Fields whose first component is the column and whose second is the row of the cell's centre."""

    def run(self, inputs):
        steps = ((np.arange(GRID, dtype=np.float32) + 0.5) / GRID * 2 - 1) * REACH
        planes = np.zeros((64, GRID, GRID), np.float32)
        planes[0::2], planes[1::2] = steps, steps[:, None]
        return {"fields": planes[None]}


def body(scale=200.0, middle=(320.0, 250.0)):
    points = rest_pose()[:, :2] * scale
    return (points - points[NECK] + middle).astype(np.float32)


def test_fields_are_read_where_the_points_are():
    places = np.array([[0.0, 0.0], [0.5, -0.7], [-1.2, 1.1]], np.float32)
    read = sample_fields(FakeFields(), np.zeros((4, SIDE_PX, SIDE_PX), np.float32), np.zeros(22), places)
    assert np.allclose(read[0].reshape(-1, 2), places, atol=1e-3)


def test_the_square_shows_the_neck_in_its_middle_at_any_size():
    for scale in (40.0, 200.0, 700.0):
        side = round(scale * 4)
        texture = np.zeros((side, side, 4), np.uint8)
        neck = np.array([1.6 * scale, 2.1 * scale])
        x, y = np.round(neck).astype(int)
        reach = max(2, round(scale / 20))
        texture[y - reach : y + reach + 1, x - reach : x + reach + 1] = 255
        square = cut_square(texture, neck, scale)
        rows, columns = np.nonzero(square[3] > square[3].max() / 2)
        assert abs(rows.mean() - (SIDE_PX / 2 - 0.5)) < 1.2
        assert abs(columns.mean() - (SIDE_PX / 2 - 0.5)) < 1.2


def test_nothing_moves_in_the_pictures_own_pose_and_a_turn_hardly_moves_the_hips():
    with np.load(resources.asset_path(HELD_OUT_MOTION)) as data:
        square, rest = data["square"][0].astype(np.float32) / 255, data["rest"][0, 0]
    places = np.array([[-0.2, -0.7], [0, 0.3], [0, 1.2]], np.float32)
    basis = sample_fields(load_network(FIELDS_MODEL), square, rest, places)
    motion = MotionFields(basis, rest, load_network(WEIGHTS_MODEL))
    assert np.abs(motion.shift(rest)).max() < 1e-6
    turned = rest.reshape(-1, 2).copy()
    turned[0, 0] += 0.12
    turned[1:5, 0] += 0.05
    temple, chest, hips = np.linalg.norm(motion.shift(turned.ravel()), axis=1)
    assert temple > 0.005
    assert hips < 0.4 * chest


def test_keypoints_are_seen_from_the_neck_in_shoulder_widths():
    rest = body()
    unit = np.linalg.norm(rest[LEFT_SHOULDER] - rest[RIGHT_SHOULDER])
    moved = rest + np.array([0.1, -0.2], np.float32) * unit
    assert np.allclose((relative(moved, rest) - relative(rest, rest)).reshape(-1, 2), [0.1, -0.2], atol=1e-5)


def test_people_never_trained_on_are_nearer_to_the_truth_than_by_joints_alone():
    result = measure_flow()
    joints = result.baselines["by joints alone"]
    assert result.value["head"] < 0.45 * joints["head"]
    assert result.value["torso"] < 0.85 * joints["torso"]


@pytest.mark.train
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_training_learns_and_what_it_exports_agrees(tmp_path):
    torch = pytest.importorskip("torch")
    from vcam_avatar.training.motion_data import PLACES, TARGETS, MotionSet
    from vcam_avatar.training.motion_export import export_motion
    from vcam_avatar.training.motion_train import MotionTrainer, make_batch, measure

    rng = np.random.default_rng(3)
    count = 8
    rest = np.repeat(relative(body(), body())[None, None], count, 0).repeat(TARGETS, 1)
    now = rest + rng.normal(0, 0.05, rest.shape).astype(np.float32)
    place = rng.uniform(-1, 0.6, (count, TARGETS, PLACES, 2)).astype(np.float32)
    # Above the neck everything goes where the nose goes.
    nose = (now - rest)[:, :, None, :2]
    lack = np.where(place[..., 1:] < 0, nose, 0).astype(np.float32)
    square = rng.integers(0, 255, (count, 4, SIDE_PX, SIDE_PX), dtype=np.uint8)
    people = MotionSet(square, rest, now, place.astype(np.float16), lack.astype(np.float16))
    torch.set_num_threads(1)
    trainer = MotionTrainer()
    for step in range(60):
        trainer.step(make_batch(people, rng, None, 4), min(1.0, step / 20))
    found = measure(trainer.average, people)
    assert found["head"] < 0.8 * found["joints_head"]
    trainer.save(tmp_path / "checkpoint.pt")
    again = MotionTrainer()
    again.load(tmp_path / "checkpoint.pt")
    assert again.steps == 60
    files = export_motion(again.average, tmp_path, amount="8", real="0", minutes=0.1, metrics={})
    assert [f.stem for f in files] == [FIELDS_MODEL, WEIGHTS_MODEL]
