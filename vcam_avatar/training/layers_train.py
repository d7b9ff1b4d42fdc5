"""Train the network that takes pictures apart: ``vcam-avatar train layers --bodies DIR --work DIR``.

Supervised by the factory's people, whose parts and hidden torsos are known exactly. Stops after the given
minutes, goes on from the last checkpoint, writes it every few minutes.
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
from torch.nn import functional as F

from vcam_avatar.avatars.layers_parts import PARTS
from vcam_avatar.training.checkpoint import Averaged
from vcam_avatar.training.layers_clips import joined, load_clips
from vcam_avatar.training.layers_data import (
    UNKNOWN,
    Example,
    LayerSet,
    load_people,
    make_example,
    plain_example,
)
from vcam_avatar.training.layers_net import LayerNet

_log = logging.getLogger(__name__)
BATCH = 8
_WEIGHTS = torch.tensor([0.6, 0.8, 1.0, 1.2, 1.3, 1.3, 1.2, 1.3, 1.3])
"""Of the parts: small ones count more."""


def stack(examples: list[Example]) -> tuple[Tensor, Tensor, Tensor]:
    """Planes ``(B, 11, S, S)``, labels ``(B, S, S)`` and cores ``(B, S, S)`` of a batch."""
    planes = torch.from_numpy(np.stack([e.planes for e in examples]))
    label = torch.from_numpy(np.stack([e.label for e in examples]).astype(np.int64))
    return planes, label, torch.from_numpy(np.stack([e.core for e in examples]))


def loss_of(scores: Tensor, label: Tensor, core: Tensor) -> Tensor:
    """Cross-entropy and overlap of the parts, binary cross-entropy of the core where it is known."""
    scores = scores.float()
    parts = scores[:, : len(PARTS)]
    entropy = F.cross_entropy(parts, label, weight=_WEIGHTS, ignore_index=UNKNOWN)
    known = (label != UNKNOWN)[:, None]
    truth = F.one_hot(label.clamp(max=len(PARTS) - 1), len(PARTS)).permute(0, 3, 1, 2) * known
    share = torch.softmax(parts, 1) * known
    both, total = (share * truth).sum((0, 2, 3)), (share + truth).sum((0, 2, 3))
    overlap = 1 - ((2 * both + 1) / (total + 1)).mean()
    seen = (core >= 0).float()
    hidden = F.binary_cross_entropy_with_logits(scores[:, -1], core.clamp(0, 1), reduction="none")
    return entropy + 0.5 * overlap + (hidden * seen).sum() / seen.sum().clamp(min=1)


class LayerTrainer(Averaged[LayerNet]):
    """Training of the layer network."""

    def __init__(self, learning_rate: float, seed: int = 1) -> None:
        torch.manual_seed(seed)
        super().__init__(LayerNet().to(memory_format=torch.channels_last), learning_rate)

    def step(self, examples: list[Example], rate: float) -> float:
        """One step at ``rate`` of the full learning rate; returns the loss."""
        planes, label, core = stack(examples)
        self.net.train()
        with torch.autocast("cpu", torch.bfloat16):
            scores = self.net(planes.to(memory_format=torch.channels_last))
        loss = loss_of(scores, label, core)
        self.descend(loss, rate, longest=2.0, keep=0.995)
        return float(loss.detach())


@torch.no_grad()
def overlaps(net: LayerNet, people: LayerSet, count: int = 48, spoil: bool = False) -> dict[str, float]:
    """Intersection over union of every part and of the core, over ``count`` people together."""
    net.eval()
    both, either = np.zeros(len(PARTS) + 1), np.zeros(len(PARTS) + 1)
    for row in range(min(count, len(people))):
        example = (
            make_example(people, row, np.random.default_rng(row)) if spoil else plain_example(people, row)
        )
        scores = net(torch.from_numpy(example.planes)[None])[0].numpy()
        best, known = scores[: len(PARTS)].argmax(0), example.label != UNKNOWN
        for k in range(len(PARTS)):
            a, b = (best == k) & known, (example.label == k) & known
            both[k] += (a & b).sum()
            either[k] += (a | b).sum()
        known = example.core >= 0
        a, b = (scores[-1] > 0) & known, (example.core > 0.5) & known
        both[-1] += (a & b).sum()
        either[-1] += (a | b).sum()
    return {name: float(both[k] / max(either[k], 1)) for k, name in enumerate((*PARTS, "core"))}


def train(
    trainer: LayerTrainer, people: LayerSet, held: LayerSet, minutes: float, work: Path, seed: int
) -> None:
    """Train for ``minutes``; the learning rate falls to a fiftieth at their end."""
    start = saved = time.monotonic()
    before = trainer.minutes
    rng = np.random.default_rng([seed, trainer.steps])
    total: list[float] = []
    while (used := time.monotonic() - start) < minutes * 60:
        rows = rng.integers(0, len(people), BATCH)
        examples = [make_example(people, int(row), rng) for row in rows]
        rise = min(1.0, (trainer.steps + 1) / 50)
        rate = rise * (0.02 + 0.98 * 0.5 * (1 + np.cos(np.pi * used / (minutes * 60))))
        total.append(trainer.step(examples, float(rate)))
        if trainer.steps % 100 == 0 or time.monotonic() - saved > 150:
            trainer.minutes = before + (time.monotonic() - start) / 60
            row: dict[str, float] = {
                "steps": trainer.steps,
                "minutes": trainer.minutes,
                "loss": float(np.mean(total)),
            }
            if time.monotonic() - saved > 150:
                row |= overlaps(trainer.average, held, 16, spoil=True)
                saved = time.monotonic()
                trainer.save(work / "checkpoint.pt")
            trainer.curve.append(row)
            total = []
            _log.info("%s", json.dumps({k: round(v, 4) for k, v in row.items()}))
    trainer.minutes = before + (time.monotonic() - start) / 60
    trainer.save(work / "checkpoint.pt")


def main(argv: list[str] | None = None) -> int:
    """Train and measure."""
    parser = argparse.ArgumentParser(prog="vcam-avatar train layers", description=__doc__)
    parser.add_argument("--bodies", type=Path, nargs="+", required=True, help="'factory bodies' sets")
    parser.add_argument("--clips", type=Path, nargs="*", default=[], help="'factory clips' sets")
    parser.add_argument("--work", type=Path, required=True, help="folder of the checkpoint")
    parser.add_argument("--minutes", type=float, default=25)
    parser.add_argument("--people", type=int, default=6000, help="at most so many people")
    parser.add_argument("--others", type=int, default=2, help="pictures of each person beside the first")
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=1)
    args: Any = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    args.work.mkdir(parents=True, exist_ok=True)
    people, held = load_people(args.bodies, args.people, args.others)
    if args.clips:
        people = joined(people, load_clips(args.clips))
    _log.info("%d pictures of people to learn from, %d held out", len(people), len(held))
    trainer = LayerTrainer(args.learning_rate, args.seed)
    if (args.work / "checkpoint.pt").is_file():
        trainer.load(args.work / "checkpoint.pt")
    train(trainer, people, held, args.minutes, args.work, args.seed)
    found = overlaps(trainer.average, held, 60)
    _log.info("held out: %s", json.dumps({k: round(v, 4) for k, v in found.items()}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
