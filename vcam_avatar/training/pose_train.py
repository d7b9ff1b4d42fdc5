"""Training of the pose predictor: random sample, alignment, truncation points, gradient descent until the
loss stops changing."""

import argparse
import json
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vcam_avatar.errors import ModelError
from vcam_avatar.media import FloatArray
from vcam_avatar.stages.pose_layout import NECK, PoseLayout, layout_of
from vcam_avatar.training.dataset import Sample, truncate
from vcam_avatar.training.pose_loss import GRID_PX_PER_UNIT, pose_loss, wing
from vcam_avatar.training.pose_net import Heard, PoseNet, PoseNetConfig
from vcam_avatar.training.pose_space import LinearSpace, arm_space, bone_matrix, fit_space, to_bones

CHECKPOINT = "checkpoint.pt"
BEST = "best.pt"


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """How to train. A run may be resumed with other options."""

    minutes: float = 12.0
    """Time box; the learning rate falls to nothing at its end."""
    follow_minutes: float = 3.0
    """Time for learning to follow plans beforehand."""
    seed: int = 0
    batch: int = 8
    ticks: int = 112
    """Length of the pieces."""
    truncation_points: int = 96
    """Labels taken from each piece."""
    rate: float = 1.2e-3
    real_share: float = 0.15
    """Share of real pairs in each batch."""
    real_share_last: float = 0.4
    """The same in the last third: fine-tuning on what is real."""
    history_noise: float = 0.25
    """Greatest size of the wander added to the poses that are given, in components."""
    own_predictions: float = 0.5
    """Share of pieces whose given poses are partly the network's own."""
    plan_dropout: float = 0.12
    """Share of pieces trained without knowing the plan."""
    evaluate_every: int = 150
    patience: int = 12
    """Evaluations without gain before stopping."""
    least_gain: float = 2e-3
    """Relative gain that counts."""


@dataclass
class _Track:
    """A sample with its poses as coefficients."""

    sample: Sample
    pose: torch.Tensor
    rest: torch.Tensor


def combined_space(poses: FloatArray, components: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Linear pose space over flattened keypoints: mean ``(2K,)``, basis ``(2K, n)``, back ``(n, 2K)``.

    Args:
        poses: float ``(N, K, 2)`` normalised.
        components: n.
    """
    count = poses.shape[1]
    points = tuple(i for i in range(count) if i != NECK)
    space = fit_space(to_bones(poses), points, components)
    matrix = np.kron(bone_matrix(count), np.eye(2))
    picked = [2 * p + d for p in points for d in range(2)]
    basis = matrix[picked].T @ space.basis.astype(np.float64)
    bones_mean = np.zeros(2 * count)
    bones_mean[picked] = space.mean
    inverse = np.linalg.inv(matrix)
    mean = inverse @ bones_mean
    back_bones = np.zeros((space.size, 2 * count))
    back_bones[:, picked] = space.back
    back = back_bones @ inverse.T
    return mean.astype(np.float32), basis.astype(np.float32), back.astype(np.float32)


def new_net(samples: list[Sample], config: PoseNetConfig, arms: LinearSpace) -> PoseNet:
    """An untrained network whose fixed parts (pose space, MFCC scale) fit the samples; ``arms`` is the
    space in which their plans are told."""
    net = PoseNet(config)
    arm_basis, arm_offset = arm_space(arms, config.keypoints)
    rng = np.random.default_rng(0)
    real = [s.pose[..., :2] for s in samples if s.real]
    made = [s.pose[rng.integers(0, s.ticks, 150), :, :2] for s in samples if not s.real]
    poses = np.concatenate(real + made + [s.rest[None] for s in samples])
    mean, basis, back = combined_space(poses, config.components)
    rows = np.concatenate([s.rows[rng.integers(0, s.ticks, 60)].reshape(-1, 40) for s in samples])
    for buffer, value in (
        (net.pose_mean, mean), (net.pose_basis, basis), (net.pose_back, back),
        (net.mfcc_mean, rows.mean(0)), (net.mfcc_scale, 1 / (rows.std(0) + 1e-3)),
        (net.arm_basis, arm_basis), (net.arm_offset, arm_offset),
    ):  # fmt: skip
        buffer.copy_(torch.as_tensor(np.asarray(value, np.float32)))
    return net


class Batches:
    """Random pieces of random samples."""

    def __init__(self, samples: list[Sample], net: PoseNet, options: TrainOptions) -> None:
        self.options, self._units = options, net.config.units
        with torch.no_grad():
            self._tracks = [
                _Track(
                    s,
                    net.encode_pose(torch.as_tensor(s.pose[..., :2])),
                    net.encode_pose(torch.as_tensor(s.rest)),
                )
                for s in samples
                if s.ticks >= 2
            ]
        self._real = [t for t in self._tracks if t.sample.real]
        self._made = [t for t in self._tracks if not t.sample.real] or self._real
        self._real = self._real or self._made

    def draw(self, rng: np.random.Generator, real_share: float) -> dict[str, torch.Tensor]:
        """One batch. ``label*`` belong to the tick after the one given; ``cut`` marks truncation points."""
        o = self.options
        parts: dict[str, list[NDArray[Any] | torch.Tensor]] = {}
        for _ in range(o.batch):
            group = self._real if rng.random() < real_share else self._made
            weights = np.array([t.sample.ticks for t in group], np.float64)
            track = group[int(rng.choice(len(group), p=weights / weights.sum()))]
            s = track.sample
            piece, cuts = truncate(s, o.ticks, o.truncation_points, rng)
            after = slice(piece.start + 1, piece.stop + 1)
            before = np.maximum(np.arange(piece.start, piece.stop) - 1, 0)
            cut = np.zeros(piece.stop - piece.start, np.float32)
            cut[cuts] = 1
            for name, value in (
                ("rows", _other_microphone(s.rows[piece], rng)), ("pose", track.pose[piece]),
                ("before", track.pose[before]), ("plan", s.plan[piece]), ("next_plan", s.plan[after]),
                ("rest", track.rest), ("cut", cut), ("label", s.pose[after, :, :2]),
                ("confidence", s.pose[after, :, 2]), ("event", s.event[after]),
                ("unit", np.where(s.code[piece] < 0, self._units, s.code[piece])),
                ("next_unit", np.where(s.code[after] < 0, self._units, s.code[after])),
                ("speech", s.speech[piece]),
            ):  # fmt: skip
                parts.setdefault(name, []).append(value)
        shortest = min(len(c) for c in parts["cut"])
        out = {}
        for name, values in parts.items():
            tensors = [torch.as_tensor(v) for v in values]
            if name != "rest":
                tensors = [t[:shortest] for t in tensors]
            out[name] = torch.stack(tensors)
        return out


def _other_microphone(rows: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Gain of +-6 dB and a gentle tilt, in the MFCC domain (log-mel offsets)."""
    out = np.array(rows, np.float32)
    out[..., 0] += rng.uniform(-1.4, 1.4) * math.sqrt(40)
    out[..., 1:4] += rng.normal(0, 0.5, 3).astype(np.float32)
    return out


def _wander(shape: tuple[int, ...], rng: np.random.Generator, size: float) -> torch.Tensor:
    """Slow noise ``(B, T, n)``: each sequence has its own size, up to ``size``."""
    batch, ticks, _ = shape
    white = rng.normal(0, 1, shape).astype(np.float32)
    out = np.empty_like(white)
    keep = rng.uniform(0.5, 0.97, (batch, 1)).astype(np.float32)
    out[:, 0] = white[:, 0]
    for t in range(1, ticks):
        out[:, t] = keep * out[:, t - 1] + np.sqrt(1 - keep**2) * white[:, t]
    scale = size * rng.random((batch, 1, 1)).astype(np.float32) ** 2
    return torch.as_tensor(out * scale)


def losses(
    net: PoseNet, batch: dict[str, torch.Tensor], layout: PoseLayout, rng: np.random.Generator,
    options: TrainOptions | None,
) -> dict[str, torch.Tensor]:  # fmt: skip
    """All losses of a batch; without ``options`` nothing is disturbed (for evaluation)."""
    pose, before = batch["pose"], batch["before"]
    plan, next_plan = batch["plan"], batch["next_plan"]
    if options is not None:
        noise = _wander(tuple(pose.shape), rng, options.history_noise)
        pose = pose + noise
        before = before + torch.cat([noise[:, :1], noise[:, :-1]], 1)
        known = torch.as_tensor(rng.random((len(plan), 1, 1)) > options.plan_dropout).to(plan.dtype)
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
    known = (batch[name] for name in ("plan", "next_plan", "unit", "next_unit", "rest"))
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


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    torch.save(content, temporary)
    os.replace(temporary, path)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint.

    Raises:
        ModelError: missing or damaged.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as exc:
        raise ModelError(f"{path}: no checkpoint; train first") from exc
    except Exception as exc:
        raise ModelError(f"{path}: damaged checkpoint ({exc})") from exc
    return dict(content)


def net_from(content: dict[str, Any]) -> PoseNet:
    """The network of a checkpoint."""
    config = dict(content["config"])
    config["leaks"] = tuple(config["leaks"])
    net = PoseNet(PoseNetConfig(**config))
    net.load_state_dict(content["net"])
    net.eval()
    return net


def train(
    samples: list[Sample],
    validation: list[Sample],
    folder: Path,
    config: PoseNetConfig,
    options: TrainOptions,
    arms: LinearSpace,
    resume: bool = False,
    say: Callable[[str], None] = print,
) -> Path:
    """Train until the loss stops changing or time is up.

    Args:
        samples: what to learn from.
        validation: what to measure on; never learnt.
        folder: gets ``checkpoint.pt`` (to resume), ``best.pt`` and TensorBoard records.
        config: the network; ignored when resuming.
        options: how to train.
        arms: the space of the plans; that of the bank which the samples were made with.
        resume: go on from ``folder/checkpoint.pt``.
        say: progress.

    Returns:
        Path of the best checkpoint.
    """
    from torch.utils.tensorboard import SummaryWriter

    torch.manual_seed(options.seed)
    rng = np.random.default_rng(options.seed)
    layout = layout_of(config.keypoints)
    step, spent, best, stale = 0, 0.0, math.inf, 0
    if resume:
        content = load_checkpoint(folder / CHECKPOINT)
        net = net_from(content).train()
        step, spent, best = content["step"], content["spent_s"], content["best"]
        rng = np.random.default_rng([options.seed, step])
    else:
        from vcam_avatar.training.pose_pretrain import pretrain

        net = new_net(samples, config, arms)
        if options.follow_minutes > 0 and config.units > 0:
            pretrain(net, samples, minutes=options.follow_minutes, seed=options.seed, say=say)
    optimiser = torch.optim.AdamW(net.parameters(), options.rate, weight_decay=1e-3, betas=(0.9, 0.98))
    if resume:
        optimiser.load_state_dict(content["optimiser"])
    batches = Batches(samples, net, options)
    checks = Batches(validation, net, replace(options, batch=8))
    writer = SummaryWriter(str(folder / "tensorboard"))
    started = time.monotonic() - spent
    while True:
        elapsed = time.monotonic() - started
        progress = min(1.0, elapsed / (options.minutes * 60))
        warm = min(1.0, (step + 1) / 100)
        for group in optimiser.param_groups:
            group["lr"] = options.rate * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))
        share = options.real_share if progress < 0.67 else options.real_share_last
        net.train()
        parts = losses(net, batches.draw(rng, share), layout, rng, options)
        optimiser.zero_grad()
        parts["total"].backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        step += 1
        done = progress >= 1
        if step % options.evaluate_every == 0 or done:
            measured = validate(net, checks, layout, options)
            gain = measured["total"] < best * (1 - options.least_gain)
            stale = 0 if gain else stale + 1
            content = {
                "config": net.config.as_json(), "net": net.state_dict(), "optimiser": optimiser.state_dict(),
                "step": step, "spent_s": elapsed, "best": min(best, measured["total"]),
                "validation": measured,
            }  # fmt: skip
            save_checkpoint(folder / CHECKPOINT, content)
            if measured["total"] < best:
                best = measured["total"]
                save_checkpoint(folder / BEST, {k: v for k, v in content.items() if k != "optimiser"})
            for name, value in measured.items():
                writer.add_scalar(f"validation/{name}", value, step)
                writer.add_scalar(f"train/{name}", float(parts[name].detach()), step)
            text = " ".join(f"{k} {measured[k]:.3f} ({float(parts[k].detach()):.3f})" for k in measured)
            say(f"step {step} {elapsed:.0f}s validation (train): {text}")
            if stale >= options.patience:
                say(f"the loss has stopped changing after {step} steps")
                break
        if done:
            break
    writer.close()
    return folder / BEST


def validate(
    net: PoseNet, checks: Batches, layout: PoseLayout, options: TrainOptions, count: int = 6
) -> dict[str, float]:
    """Mean losses on the same pieces every time, disturbed in the same way: what counts is to find back."""
    net.eval()
    rng = np.random.default_rng(1234)
    total: dict[str, float] = {}
    with torch.no_grad():
        for _ in range(count):
            for name, value in losses(net, checks.draw(rng, 0.5), layout, rng, options).items():
                total[name] = total.get(name, 0.0) + float(value) / count
    return total


HELD_BACK = 25
"""Every so-manieth made sample is for validation."""


def split(samples: list[Sample]) -> tuple[list[Sample], list[Sample]]:
    """What is learnt and what is measured on: a share of the made samples, or, when all are real, the last
    one (which then is not learnt, unless it is the only one)."""
    made = [s for s in samples if not s.real]
    measured = made[::HELD_BACK] if len(made) >= HELD_BACK else samples[-1:]
    ids = {id(s) for s in measured}
    learnt = [s for s in samples if id(s) not in ids] or samples
    return learnt, measured


def main(argv: Sequence[str] | None = None) -> int:
    """``vcam-avatar train pose``."""
    from vcam_avatar.training.dataset import INDEX_NAME, load_samples
    from vcam_avatar.training.pose_export import TRAINING_DATA, export
    from vcam_avatar.training.pose_net import KINDS
    from vcam_avatar.training.pose_units import BANK_NAME, load_bank

    defaults = TrainOptions()
    parser = argparse.ArgumentParser(prog="vcam-avatar train pose", description=__doc__)
    parser.add_argument("dataset", type=Path, help="folder made by 'dataset build' or 'dataset pairs'")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints and records")
    parser.add_argument("--minutes", type=float, default=defaults.minutes, help="time box (default: 12)")
    parser.add_argument(
        "--follow-minutes", type=float, default=defaults.follow_minutes, help="to learn plans before (3)"
    )
    parser.add_argument("--kind", choices=KINDS, default=KINDS[0], help="encoder and decoder")
    parser.add_argument("--seed", type=int, default=defaults.seed)
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in --out")
    parser.add_argument("--evaluate-every", type=int, default=defaults.evaluate_every, help="steps")
    parser.add_argument("--export", type=Path, help="write the network here (.onnx) afterwards")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    samples = load_samples(args.dataset)
    learnt, measured = split(samples)
    units = int(json.loads((args.dataset / INDEX_NAME).read_text())["about"]["units"])
    config = PoseNetConfig(
        kind=args.kind, keypoints=samples[0].pose.shape[1], plan=samples[0].plan.shape[1], units=units
    )
    options = replace(
        defaults,
        minutes=args.minutes,
        follow_minutes=args.follow_minutes,
        seed=args.seed,
        evaluate_every=args.evaluate_every,
    )
    bank = load_bank(args.dataset / BANK_NAME)
    best = train(
        learnt, measured, args.out, config, options, bank.arms, args.resume, lambda s: print(s, flush=True)
    )
    if args.export:
        content = load_checkpoint(best)
        recipe = (
            f"vcam-avatar dataset pairs; vcam-avatar train pose --kind {args.kind} --minutes {args.minutes}"
        )
        export(
            net_from(content), bank, args.export,
            training_data=TRAINING_DATA, recipe=recipe, metrics=content["validation"],
        )  # fmt: skip
        print(f"exported {args.export}")
    return 0
