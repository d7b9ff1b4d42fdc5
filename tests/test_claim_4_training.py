"""Gradient descent on truncated samples until the loss stops changing."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from vcam_avatar.errors import ModelError  # noqa: E402
from vcam_avatar.stages.pose_layout import ARMS, UPPER_BODY, rest_pose  # noqa: E402
from vcam_avatar.training.checkpoint import load_checkpoint  # noqa: E402
from vcam_avatar.training.dataset import Sample  # noqa: E402
from vcam_avatar.training.pose_batches import Batches, TrainOptions  # noqa: E402
from vcam_avatar.training.pose_losses import losses  # noqa: E402
from vcam_avatar.training.pose_net import PoseNetConfig  # noqa: E402
from vcam_avatar.training.pose_space import ARM_POINTS, fit_space  # noqa: E402
from vcam_avatar.training.pose_start import net_from, new_net  # noqa: E402
from vcam_avatar.training.pose_train import CHECKPOINT, train  # noqa: E402

pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
CONFIG = PoseNetConfig(
    units=3, plan=7, arm_components=2, unit_dim=4, components=8,
    audio_dim=16, audio_layers=1, dim=24, layers=1, heads=2, window=16,
    audio_window=8,
)  # fmt: skip
ARM_SPACE = fit_space(np.random.default_rng(0).normal(0, 0.1, (40, 57, 2)).astype(np.float32), ARM_POINTS, 2)
OPTIONS = TrainOptions(
    minutes=5,
    follow_minutes=0.02,
    batch=4,
    ticks=32,
    truncation_points=16,
    evaluate_every=10,
    patience=2,
    least_gain=0.5,
)


def following(ticks: int, seed: int) -> Sample:
    """Hands that go up when the sound is loud, a tick later."""
    rng = np.random.default_rng(seed)
    loud = (np.sin(np.arange(ticks + 1) / rng.uniform(4, 8)) > 0).astype(np.float32)
    height = np.convolve(loud, np.ones(5) / 5)[: ticks + 1]
    pose = np.tile(np.array(rest_pose()), (ticks, 1, 1))
    for _, _, wrist, hand in ARMS:
        pose[:, wrist, 1] -= 0.3 * height[:-1]
        pose[:, hand : hand + 21, 1] -= 0.3 * height[:-1, None]
    rows = rng.normal(0, 0.1, (ticks, 4, 40)).astype(np.float32)
    rows[..., 0] += 5 * loud[1:, None]
    event = np.zeros(ticks, bool)
    event[::10] = True
    return Sample(
        f"f{seed}", seed % 2 == 0, rows, pose.astype(np.float32), pose[0, :, :2].astype(np.float32),
        np.zeros((ticks, 7), np.float32), event, np.arange(ticks) // 10 % 3, loud[1:] > 0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def samples():
    return [following(120, seed) for seed in range(4)]


def test_claim_4_labels_do_not_leak_through_the_truncation_point(samples):
    torch.manual_seed(0)
    net = new_net(samples, CONFIG, ARM_SPACE)
    torch.nn.init.normal_(net.pose_head[-1].weight, std=0.1)
    torch.nn.init.normal_(net.pose_head[0].weight[:, : net.config.dim], std=0.05)
    batch = Batches(samples, net, OPTIONS).draw(np.random.default_rng(0), 0.5)
    rows = batch["rows"].clone().requires_grad_()
    pose = batch["pose"].clone().requires_grad_()
    plans = (batch[name] for name in ("plan", "next_plan", "unit", "next_unit", "rest"))
    said = net(rows, pose, batch["before"], *plans)
    cut = 11
    (said.pose[:, cut] - batch["label"][:, cut]).abs().mean().backward()
    for given in (rows, pose):
        assert given.grad is not None
        assert given.grad[:, cut + 1 :].abs().max() == 0
        assert given.grad[:, : cut + 1].abs().max() > 0
    # The gradient goes back through time, not only through the last tick.
    assert rows.grad[:, cut - 3].abs().max() > 0


def test_claim_4_only_truncation_points_are_labels(samples):
    net = new_net(samples, CONFIG, ARM_SPACE)
    options = replace(OPTIONS, truncation_points=1)
    batch = Batches(samples, net, options).draw(np.random.default_rng(1), 0.5)
    assert (batch["cut"].sum(1) == 1).all()
    before = losses(net, batch, UPPER_BODY, np.random.default_rng(0), None)["pose"]
    spoilt = {k: v.clone() for k, v in batch.items()}
    spoilt["label"][batch["cut"] == 0] += 1.0
    assert torch.equal(losses(net, spoilt, UPPER_BODY, np.random.default_rng(0), None)["pose"], before)


def test_claim_4_trains_until_the_loss_stops_changing_and_resumes(samples, tmp_path):
    said: list[str] = []
    best = train(samples[:3], samples[3:], tmp_path, CONFIG, OPTIONS, ARM_SPACE, say=said.append)
    assert best.is_file()
    assert "stopped changing" in said[-1]
    stopped = load_checkpoint(tmp_path / CHECKPOINT)
    assert stopped["spent_s"] < 120
    # Longer patience: better, from where it stood.
    longer = replace(OPTIONS, least_gain=0.05, patience=3, steps=stopped["step"] + 150)
    train(samples[:3], samples[3:], tmp_path, CONFIG, longer, ARM_SPACE, resume=True, say=said.append)
    resumed = load_checkpoint(tmp_path / CHECKPOINT)
    assert resumed["step"] > stopped["step"]
    assert resumed["best"] < stopped["best"]
    assert list(tmp_path.glob("tensorboard/*"))
    assert net_from(resumed).config == CONFIG


def test_claim_4_damaged_checkpoints_are_named(tmp_path):
    (tmp_path / CHECKPOINT).write_bytes(b"no")
    with pytest.raises(ModelError, match="damaged"):
        load_checkpoint(tmp_path / CHECKPOINT)
    with pytest.raises(ModelError, match="train first"):
        load_checkpoint(tmp_path / "none.pt")
