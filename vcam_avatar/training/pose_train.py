"""Training of the pose predictor: random sample, alignment, truncation points, gradient descent until the
loss stops changing."""

import argparse
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vcam_avatar.stages.pose_layout import PoseLayout, layout_of
from vcam_avatar.training.checkpoint import load_checkpoint, save_checkpoint
from vcam_avatar.training.dataset import Sample
from vcam_avatar.training.pose_batches import Batches, TrainOptions, split
from vcam_avatar.training.pose_losses import losses
from vcam_avatar.training.pose_net import PoseNet, PoseNetConfig
from vcam_avatar.training.pose_space import LinearSpace
from vcam_avatar.training.pose_start import net_from, new_net

CHECKPOINT = "checkpoint.pt"
BEST = "best.pt"
CHOSEN = "chosen.pt"
"""The checkpoint that moved best on its own, where that was watched."""


def train(
    samples: list[Sample],
    validation: list[Sample],
    folder: Path,
    config: PoseNetConfig,
    options: TrainOptions,
    arms: LinearSpace,
    resume: bool = False,
    say: Callable[[str], None] = print,
    watch: Callable[[PoseNet], dict[str, float]] | None = None,
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
        watch: measures how the network moves on its own; the checkpoint of the least "score" is chosen. Its
            time does not count.

    Returns:
        Path of the best checkpoint: chosen by ``watch``, or of the least validation loss.
    """
    from torch.utils.tensorboard import SummaryWriter

    torch.manual_seed(options.seed)
    rng = np.random.default_rng(options.seed)
    layout = layout_of(config.keypoints)
    step, spent, best, stale = 0, 0.0, math.inf, 0
    least, watched_at = math.inf, 0
    if resume:
        content = load_checkpoint(folder / CHECKPOINT)
        net = net_from(content).train()
        step, spent, best = content["step"], content["spent_s"], content["best"]
        least, watched_at = content.get("least", math.inf), step
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
        progress = min(1.0, max(elapsed / (options.minutes * 60), step / (options.steps or math.inf)))
        warm = min(1.0, (step + 1) / 100)
        for group in optimiser.param_groups:
            group["lr"] = options.rate * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))
        net.train()
        parts = losses(net, batches.draw(rng, options.real_share), layout, rng, options)
        optimiser.zero_grad()
        parts["total"].backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        step += 1
        done = progress >= 1
        if watch is not None and (done or step - watched_at >= options.watch_every):
            paused, watched_at = time.monotonic(), step
            seen = watch(net)
            say(f"step {step} on its own: " + " ".join(f"{k} {v:.3g}" for k, v in seen.items()))
            for name, value in seen.items():
                writer.add_scalar(f"development/{name}", value, step)
            if seen["score"] < least:
                least = seen["score"]
                save_checkpoint(folder / CHOSEN, _content(net, step, elapsed, best, seen))
            started += time.monotonic() - paused
        if step % options.evaluate_every == 0 or done:
            measured = validate(net, checks, layout, options)
            gain = measured["total"] < best * (1 - options.least_gain)
            stale = 0 if gain else stale + 1
            better = measured["total"] < best
            best = min(best, measured["total"])
            content = _content(net, step, elapsed, best, measured)
            optimised = {"optimiser": optimiser.state_dict(), "least": least}
            save_checkpoint(folder / CHECKPOINT, {**content, **optimised})
            if better:
                save_checkpoint(folder / BEST, content)
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
    return folder / (CHOSEN if watch is not None and (folder / CHOSEN).exists() else BEST)


def _content(
    net: PoseNet, step: int, spent_s: float, best: float, measured: dict[str, float]
) -> dict[str, Any]:
    """A checkpoint without the optimiser's state."""
    return {
        "config": net.config.as_json(), "net": net.state_dict(), "step": step, "spent_s": spent_s,
        "best": best, "validation": measured,
    }  # fmt: skip


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


def main(argv: Sequence[str] | None = None) -> int:
    """``vcam-avatar train pose``."""
    from vcam_avatar.stages.pose_layout import FULL_BODY, LAYOUTS, UPPER_BODY
    from vcam_avatar.training.dataset import INDEX_NAME, load_samples
    from vcam_avatar.training.pose_export import TRAINING_DATA, export
    from vcam_avatar.training.pose_legs import full_body
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
    parser.add_argument("--steps", type=int, default=0, help="stop after so many, if time allows")
    parser.add_argument("--epochs", type=float, help="instead of --steps: how often everything is seen")
    parser.add_argument("--kind", choices=KINDS, default=KINDS[0], help="encoder and decoder")
    parser.add_argument(
        "--layout", choices=list(LAYOUTS), default=UPPER_BODY.name,
        help="keypoints; the legs of full_body are made, not recorded",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=defaults.seed)
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in --out")
    parser.add_argument("--evaluate-every", type=int, default=defaults.evaluate_every, help="steps")
    parser.add_argument(
        "--watch", type=Path, metavar="DATA", help="choose by how it moves; the folder of the recordings"
    )
    parser.add_argument("--export", type=Path, help="write the network here (.onnx) afterwards")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    samples = load_samples(args.dataset)
    if args.layout == FULL_BODY.name:
        if args.watch:
            parser.error("--watch measures the upper body only: leave one of --watch and --layout out")
        legs = np.random.default_rng([args.seed, 67])
        samples = [full_body(s, legs) for s in samples]
    learnt, measured = split(samples)
    units = int(json.loads((args.dataset / INDEX_NAME).read_text())["about"]["units"])
    config = PoseNetConfig(
        kind=args.kind, keypoints=samples[0].pose.shape[1], plan=samples[0].plan.shape[1], units=units
    )
    steps = args.steps
    if args.epochs:
        seen = defaults.batch * defaults.ticks
        steps = math.ceil(args.epochs * sum(s.ticks for s in learnt) / seen)
    options = replace(
        defaults,
        minutes=args.minutes,
        steps=steps,
        follow_minutes=args.follow_minutes,
        seed=args.seed,
        evaluate_every=args.evaluate_every,
    )
    bank = load_bank(args.dataset / BANK_NAME)
    watch = None
    if args.watch:
        from vcam_avatar.training.pose_watch import Watch

        watch = Watch(args.watch, bank).look
    best = train(
        learnt, measured, args.out, config, options, bank.arms, args.resume,
        lambda s: print(s, flush=True), watch,
    )  # fmt: skip
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
