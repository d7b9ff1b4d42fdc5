"""The layout ``full_body``: made legs, a network trained on them, live."""

from fractions import Fraction

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from vcam_avatar.inference import Network  # noqa: E402
from vcam_avatar.stages.features import FeatureStage  # noqa: E402
from vcam_avatar.stages.pose import NeuralPosePredictor  # noqa: E402
from vcam_avatar.stages.pose_layout import ARMS, FULL_BODY, MID_HIP, rest_pose  # noqa: E402
from vcam_avatar.training import pose_train  # noqa: E402
from vcam_avatar.training.checkpoint import load_checkpoint  # noqa: E402
from vcam_avatar.training.dataset import save_samples, tick_rows  # noqa: E402
from vcam_avatar.training.pose_corpus import real_sample  # noqa: E402
from vcam_avatar.training.pose_legs import add_legs  # noqa: E402
from vcam_avatar.training.pose_start import net_from  # noqa: E402
from vcam_avatar.training.pose_units import BANK_NAME, build_bank, save_bank  # noqa: E402

pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
TICKS = 250


def gesturing(seed: int) -> np.ndarray:
    """Somebody who lifts both hands now and then and leans a little, ``(T, 57, 3)``."""
    rng = np.random.default_rng(seed)
    pose = np.tile(np.array(rest_pose()), (TICKS, 1, 1))
    time = np.arange(TICKS) / 25
    for (_, elbow, wrist, hand), shift in zip(ARMS, rng.uniform(0, 3, 2), strict=True):
        lift = 0.3 * np.clip(np.sin(2.4 * time + shift), 0, 1) ** 2
        pose[:, elbow, 1] -= 0.3 * lift
        pose[:, [wrist, *range(hand, hand + 21)], 1] -= lift[:, None]
    pose[:, [8, 9, 10], 0] += 0.03 * np.sin(0.7 * time + seed)[:, None]
    return pose.astype(np.float32)


def talk(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    loud = np.repeat(rng.random(TICKS // 10) > 0.4, 10 * 640)
    return (rng.normal(0, 0.1, TICKS * 640) * loud).astype(np.float32)


def test_made_legs_stand_still_while_the_body_sways():
    pose = gesturing(0)
    whole = add_legs(pose, np.random.default_rng(0))
    assert whole.shape == (TICKS, 67, 3)
    np.testing.assert_array_equal(whole[:, :57], pose)
    lean = pose[:, MID_HIP, :2] - rest_pose()[MID_HIP, :2]
    ankles = whole[:, [58, 60], :2] - lean[:, None]
    # Both feet are one ground: they keep their distance, and their height.
    np.testing.assert_allclose(np.ptp(ankles[:, 1] - ankles[:, 0], axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(np.ptp(ankles[..., 1], axis=0), 0, atol=1e-5)
    assert 0.02 < np.ptp(ankles[:, 0, 0]) < 0.4
    assert np.abs(np.diff(whole[:, 57:, :2] - lean[:, None], axis=0)).max() < 0.02
    with pytest.raises(ValueError, match="57"):
        add_legs(whole, np.random.default_rng(0))


def test_full_body_is_trained_exported_and_run(tmp_path):
    people = {f"p{k}": gesturing(k) for k in range(3)}
    bank = build_bank(people, set(people))
    save_bank(tmp_path / BANK_NAME, bank)
    save_samples(
        tmp_path,
        [real_sample(bank, name, pose, talk(k)) for k, (name, pose) in enumerate(people.items())],
        {"units": len(bank.units)},
    )
    run, network = tmp_path / "run", tmp_path / "pose.onnx"
    options = ["--steps", "12", "--follow-minutes", "0.03", "--evaluate-every", "6"]
    whole = ["--layout", "full_body", "--export", str(network)]
    assert pose_train.main([str(tmp_path), "--out", str(run), *options, *whole]) == 0
    assert net_from(load_checkpoint(run / pose_train.CHECKPOINT)).config.keypoints == 67
    predictor = NeuralPosePredictor(Network(network))
    stage, sound = FeatureStage(Fraction(25)), talk(9)
    assert tick_rows(sound, TICKS).shape == (TICKS, 4, 40)
    predictor.reset(np.array(rest_pose(FULL_BODY)), 1)
    poses = np.stack([predictor.predict(stage.push(sound[640 * n : 640 * (n + 1)])) for n in range(150)])
    assert poses.shape == (150, 67, 3)
    assert np.isfinite(poses).all()
    # Legs are where a standing person's are, feet under the hips.
    np.testing.assert_allclose(poses[:, 57:, :2].mean(0), rest_pose(FULL_BODY)[57:, :2], atol=0.15)
    # An avatar of which only the upper body is known gets that part.
    predictor.reset(np.array(rest_pose()), 1)
    stage = FeatureStage(Fraction(25))
    assert predictor.predict(stage.push(sound[:640])).shape == (57, 3)
