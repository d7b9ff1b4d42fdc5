"""First part of the training: to follow plans, on own predictions, without attention.

Cheap, because each step needs only the last two poses and the plan. It makes the motion stable from the first
moment: the network finds back from wrong poses because it was never shown anything else.
"""

import time
from collections.abc import Callable

import numpy as np
import torch

from vcam_avatar.stages.pose_layout import layout_of
from vcam_avatar.training.dataset import Sample
from vcam_avatar.training.pose_batches import Batches, TrainOptions
from vcam_avatar.training.pose_loss import GRID_PX_PER_UNIT, pose_loss, wing
from vcam_avatar.training.pose_net import PoseNet


def pretrain(
    net: PoseNet,
    samples: list[Sample],
    *,
    minutes: float,
    seed: int = 0,
    batch: int = 48,
    ticks: int = 16,
    rate: float = 2e-3,
    say: Callable[[str], None] = print,
) -> float:
    """Train ``net.follow`` in place.

    Args:
        net: gets better at following plans; encoder and decoder are left alone.
        samples: what to follow.
        minutes: time box.
        seed: of pieces and disturbances.
        batch: pieces per step.
        ticks: free-running ticks per piece.
        rate: first learning rate.
        say: progress.

    Returns:
        Mean loss per tick over the last steps, in grid pixels.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng([seed, 77])
    options = TrainOptions(batch=batch, ticks=ticks, truncation_points=ticks)
    batches = Batches(samples, net, options)
    layout = layout_of(net.config.keypoints)
    parts = (net.pose_head, net.pose_skip, net.unit_meaning)
    optimiser = torch.optim.Adam([p for part in parts for p in part.parameters()], rate)
    started, step, recent = time.monotonic(), 0, 0.0
    while (progress := (time.monotonic() - started) / (minutes * 60)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = rate * (0.03 + 0.97 * (1 - progress))
        given = batches.draw(rng, 0.2)
        total = _free_run(net, given, rng, options, layout.fingertips)
        optimiser.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_([p for part in parts for p in part.parameters()], 2.0)
        optimiser.step()
        step += 1
        recent = float(total.detach()) if step == 1 else 0.98 * recent + 0.02 * float(total.detach())
        if step % 200 == 0:
            say(f"following plans: step {step}, loss {recent:.3f}")
    return recent


def _free_run(
    net: PoseNet,
    given: dict[str, torch.Tensor],
    rng: np.random.Generator,
    options: TrainOptions,
    fingertips: tuple[int, ...],
) -> torch.Tensor:
    """Loss of running on from disturbed first poses."""
    pose, before = given["pose"][:, 0], given["before"][:, 0]
    count, ticks = given["pose"].shape[:2]
    size = torch.as_tensor((1.6 * options.history_noise * rng.random((count, 1)) ** 2).astype(np.float32))
    wrong = torch.as_tensor(rng.normal(0, 1, tuple(pose.shape)).astype(np.float32)) * size
    pose, before = pose + wrong, before + wrong
    blank = torch.as_tensor((rng.random((count, 1)) > 0.5 * options.plan_dropout).astype(np.float32))
    fuzzy = torch.as_tensor(rng.normal(0, 0.08, (count, given["next_plan"].shape[-1])).astype(np.float32))
    fuzzy[:, :3] = 0
    unknown = torch.full((count,), net.config.units)
    made = []
    for t in range(ticks):
        plan = (given["next_plan"][:, t] + fuzzy) * blank
        unit = torch.where(blank[:, 0] > 0, given["next_unit"][:, t], unknown)
        following = net.follow(pose, before, plan, unit)
        pose, before = following, pose
        made.append(net.decode_pose(following))
    poses, label = torch.stack(made, 1), given["label"][:, :ticks]
    # Early ticks still carry the disturbance: they count less.
    weight = torch.linspace(0.3, 1.5, ticks)[None, :, None] * (0.3 + 0.7 * given["confidence"][:, :ticks])
    moved = (poses[:, 1:] - poses[:, :-1]) - (label[:, 1:] - label[:, :-1])
    return pose_loss(poses, label, fingertips, weight) + 1.5 * wing(moved * GRID_PX_PER_UNIT).mean()
