"""All losses of a batch, with given poses disturbed as they will be when the network runs on its own."""

import numpy as np
import torch

from vcam_avatar.stages.pose_layout import PoseLayout
from vcam_avatar.training.pose_batches import TrainOptions, wander
from vcam_avatar.training.pose_loss import GRID_PX_PER_UNIT, pose_loss, wing
from vcam_avatar.training.pose_net import Heard, PoseNet


def losses(
    net: PoseNet, batch: dict[str, torch.Tensor], layout: PoseLayout, rng: np.random.Generator,
    options: TrainOptions | None,
) -> dict[str, torch.Tensor]:  # fmt: skip
    """All losses of a batch; without ``options`` nothing is disturbed (for evaluation)."""
    pose, before = batch["pose"], batch["before"]
    plan, next_plan = batch["plan"], batch["next_plan"]
    if options is not None:
        known = torch.as_tensor(rng.random((len(plan), 1, 1)) > options.plan_dropout).to(plan.dtype)
        # Running live there always is a plan to find back to; without one the true history is told.
        noise = wander(tuple(pose.shape), rng, options.history_noise) * known
        pose = pose + noise
        before = before + torch.cat([noise[:, :1], noise[:, :-1]], 1)
        size = (plan.shape[-1] - 3) if plan.shape[-1] > 3 else 0
        fuzzy = torch.as_tensor(rng.normal(0, 0.08, (len(plan), 1, size)).astype(np.float32))
        plan = torch.cat([plan[..., :3], plan[..., 3:] + fuzzy], -1) * known
        next_plan = torch.cat([next_plan[..., :3], next_plan[..., 3:] + fuzzy], -1) * known
        chosen = known[..., 0].bool()
        units = torch.full_like(batch["unit"], net.config.units)
        batch = {
            **batch, "plan": plan, "next_plan": next_plan,
            "unit": torch.where(chosen, batch["unit"], units),
            "label_unit": batch["next_unit"], "next_unit": torch.where(chosen, batch["next_unit"], units),
        }  # fmt: skip
        pose, before = _own_history(net, batch, pose, before, rng, options)
    said = _say(net, batch, pose, before)
    cut = batch["cut"][..., None]
    weight = cut * (0.3 + 0.7 * batch["confidence"]) * (cut.numel() / cut.sum())
    out = {"pose": pose_loss(said.pose, batch["label"], layout.fingertips, weight)}
    moved = (said.pose[:, 1:] - said.pose[:, :-1]) - (batch["label"][:, 1:] - batch["label"][:, :-1])
    out["velocity"] = wing(moved * GRID_PX_PER_UNIT).mean()
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    out["event"] = bce(said.event, batch["event"].float())
    out["voice"] = bce(said.voice, batch["speech"].float())
    begins = batch["event"].bool()
    target = batch.get("label_unit", batch["next_unit"])[begins]
    ce = torch.nn.functional.cross_entropy
    out["unit"] = ce(said.unit[begins], target) if len(target) else said.unit.sum() * 0
    out["total"] = (
        out["pose"] + 0.5 * out["velocity"] + 2 * out["event"] + 0.5 * out["voice"] + 0.1 * out["unit"]
    )
    return out


def _say(net: PoseNet, batch: dict[str, torch.Tensor], pose: torch.Tensor, before: torch.Tensor) -> Heard:
    known = (batch[name] for name in ("plan", "next_plan", "unit", "next_unit", "rest", "detail"))
    said: Heard = net(batch["rows"], pose, before, *known)
    return said


def _own_history(
    net: PoseNet, batch: dict[str, torch.Tensor], pose: torch.Tensor, before: torch.Tensor,
    rng: np.random.Generator, options: TrainOptions,
) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
    """Put the network's own predictions in place of some of the poses given, as it will be when running."""
    if rng.random() >= options.own_predictions:
        return pose, before
    given = pose
    chosen = torch.as_tensor(rng.random((len(pose), 1, 1)) < 0.7).to(pose.dtype)
    with torch.no_grad():
        for _ in range(int(rng.integers(1, 3))):
            said = _say(net, batch, given, before)
            own = torch.cat([pose[:, :1], net.encode_pose(said.pose)[:, :-1]], 1)
            given = pose + (own - pose) * chosen
            before = torch.cat([before[:, :1], given[:, :-1]], 1)
    return given, before
