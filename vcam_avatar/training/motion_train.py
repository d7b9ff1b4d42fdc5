"""Train the networks that bend head and torso: ``vcam-avatar train motion --data DIR --work DIR``.

Supervised by the factory's exact flow. Stops after the given minutes, goes on from the last checkpoint.
"""

import argparse
import json
import logging
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vcam_avatar.training.checkpoint import Averaged
from vcam_avatar.training.motion_data import TARGETS, MotionSet, load_all, load_people
from vcam_avatar.training.motion_net import MotionNet, moved

_log = logging.getLogger(__name__)
BATCH, POSES, REAL = 16, 4, 4
"""People of a step, poses of each, and how many of them are real ones where there are some."""
_SMOOTH = 0.15
_SWAPPED = [0, 2, 1, 4, 3, 5, 7, 6, 9, 8, 10]
"""The networks' keypoints after the picture was mirrored."""


def _mirrored(points: Tensor) -> Tensor:
    shape = points.shape
    out = points.reshape(*shape[:-1], 11, 2)[..., _SWAPPED, :] * torch.tensor([-1.0, 1.0])
    return out.reshape(shape)


def make_batch(
    people: MotionSet, rng: np.random.Generator, real: MotionSet | None = None, size: int = BATCH
) -> tuple[Tensor, ...]:
    """Random people in random poses, mirrored and coloured anew: square, rest, now, place, lack."""
    if real is not None:
        own = make_batch(people, rng, None, size - REAL)
        return tuple(torch.cat(both) for both in zip(own, make_batch(real, rng, None, REAL), strict=True))
    rows = np.sort(rng.integers(0, len(people), size))
    poses = np.stack([rng.permutation(TARGETS)[:POSES] for _ in rows])
    square = torch.from_numpy(people.square[rows].astype(np.float32) / 255)
    picked = [
        torch.from_numpy(np.asarray(getattr(people, n)[rows[:, None], poses], np.float32))
        for n in ("rest", "now", "place", "lack")
    ]
    alpha = square[:, 3:]
    gain = torch.from_numpy(rng.uniform(0.6, 1.3, (size, 3, 1, 1)).astype(np.float32))
    shift = torch.from_numpy(rng.uniform(-0.12, 0.12, (size, 3, 1, 1)).astype(np.float32))
    colour = (square[:, :3] * gain + shift * alpha).clamp(0, 1)
    if rng.random() < 0.3:
        colour = colour.flip(1)
    square = torch.cat([torch.minimum(colour, alpha), alpha], 1)
    if rng.random() < 0.5:
        square = square.flip(3)
        side = torch.tensor([-1.0, 1.0])
        picked = [_mirrored(picked[0]), _mirrored(picked[1]), picked[2] * side, picked[3] * side]
    return square, *picked


def loss_of(net: MotionNet, batch: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    """Robust distance to the true places, and how uneven the displacement is; first the sum."""
    square, rest, now, place, lack = batch
    with torch.autocast("cpu", torch.bfloat16):
        fields, weights = net(square, rest, now)
    fields, weights = fields.float(), weights.float()
    error = moved(fields, weights, place) - lack
    distance = torch.sqrt((error**2).sum(-1) + 1e-4).mean()
    whole = torch.einsum("bkdyx,btk->btdyx", fields, weights)
    uneven = ((whole.diff(dim=3) ** 2).mean() + (whole.diff(dim=4) ** 2).mean()) * 40
    return distance + _SMOOTH * uneven, distance


class MotionTrainer(Averaged[MotionNet]):
    """Training of the networks that bend head and torso."""

    def __init__(self, learning_rate: float = 1.5e-3, seed: int = 1) -> None:
        torch.manual_seed(seed)
        super().__init__(MotionNet(), learning_rate)

    def step(self, batch: tuple[Tensor, ...], rate: float) -> float:
        """One step at ``rate`` of the full learning rate; returns the mean distance, shoulder widths."""
        loss, distance = loss_of(self.net, batch)
        self.descend(loss, rate, longest=1.0, keep=0.998)
        return float(distance.detach())


@torch.no_grad()
def measure(net: MotionNet, held: MotionSet) -> dict[str, float]:
    """Mean distance to the true places, shoulder widths: by joints alone and with the fields; head, torso."""
    before, after, head = [], [], []
    for first in range(0, len(held), 10):
        some = held.part(slice(first, first + 10))
        rest, now, place, lack = (
            torch.from_numpy(np.asarray(getattr(some, n), np.float32))
            for n in ("rest", "now", "place", "lack")
        )
        fields, weights = net(torch.from_numpy(some.square.astype(np.float32) / 255), rest, now)
        error = moved(fields, weights, place) - lack
        before.append(lack.norm(dim=-1).flatten())
        after.append(error.norm(dim=-1).flatten())
        head.append((place[..., 1] < -0.3).flatten())
    joints, fitted, on_head = torch.cat(before), torch.cat(after), torch.cat(head)
    return {
        "joints_head": float(joints[on_head].mean()), "head": float(fitted[on_head].mean()),
        "joints_torso": float(joints[~on_head].mean()), "torso": float(fitted[~on_head].mean()),
    }  # fmt: skip


def train(
    trainer: MotionTrainer, people: MotionSet, held: MotionSet, minutes: float, work: Path, seed: int,
    real: MotionSet | None = None,
) -> None:  # fmt: skip
    """Train for ``minutes``; the learning rate falls to a fiftieth at their end."""
    start = saved = time.monotonic()
    before, recent = trainer.minutes, []
    rng = np.random.default_rng([seed, trainer.steps])
    while (used := time.monotonic() - start) < minutes * 60:
        rate = min(1.0, (trainer.steps + 1) / 100) * (
            0.02 + 0.49 * (1 + np.cos(np.pi * used / (minutes * 60)))
        )
        recent.append(trainer.step(make_batch(people, rng, real), float(rate)))
        if trainer.steps % 200 == 0:
            trainer.minutes = before + (time.monotonic() - start) / 60
            row = {"steps": trainer.steps, "minutes": trainer.minutes, "distance": float(np.mean(recent))}
            if time.monotonic() - saved > 120:
                row |= measure(trainer.average, held)
                trainer.save(work / "checkpoint.pt")
                saved = time.monotonic()
            trainer.curve.append(row)
            recent = []
            _log.info("%s", json.dumps({k: round(v, 4) for k, v in row.items()}))
    trainer.minutes = before + (time.monotonic() - start) / 60
    trainer.save(work / "checkpoint.pt")


def main(argv: list[str] | None = None) -> int:
    """Train and measure."""
    parser = argparse.ArgumentParser(prog="vcam-avatar train motion", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="what 'train motion-data' wrote")
    parser.add_argument("--real", type=Path, help="what 'train motion-real' wrote")
    parser.add_argument("--work", type=Path, required=True, help="folder of the checkpoint")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--learning-rate", type=float, default=1.5e-3)
    parser.add_argument("--seed", type=int, default=1)
    args: Any = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    people, held = load_people(args.data)
    real = load_all(args.real) if args.real else None
    _log.info("%d people to learn from, %d held out", len(people), len(held))
    trainer = MotionTrainer(args.learning_rate, args.seed)
    if (args.work / "checkpoint.pt").is_file():
        trainer.load(args.work / "checkpoint.pt")
    train(trainer, people, held, args.minutes, args.work, args.seed, real)
    _log.info("held out: %s", json.dumps({k: round(v, 4) for k, v in measure(trainer.average, held).items()}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
