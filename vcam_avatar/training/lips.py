"""Train the lip network and export it.

python -m vcam_avatar.training.lips SETS OUT --minutes 10 [--resume] [--export models/lips.onnx]
"""

import argparse
import copy
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from vcam_avatar.stages.visemes import VISEMES
from vcam_avatar.training.checkpoint import save_checkpoint
from vcam_avatar.training.lips_data import Batches, example
from vcam_avatar.training.lips_export import export
from vcam_avatar.training.lips_net import LOOK_AHEAD_MS, LipNet
from vcam_avatar.training.speech_clips import CURVES, Clip

_SIL, _PP = VISEMES.index("sil"), VISEMES.index("PP")
_PEAK_RATE = 3e-3
_RARE = 0.2
"""Power to which a viseme's rarity counts in the loss."""


def losses(
    raw: Tensor, visemes: Tensor, curves: Tensor, trust: Tensor, class_weights: Tensor
) -> dict[str, Tensor]:
    """Terms of the loss.

    Args:
        raw: ``(B, 3, 21, T)`` network output.
        visemes: int64 ``(B, 3, T)``, -1 = unknown.
        curves: ``(B, 3, 6, T)``, NaN = unknown.
        trust: ``(B,)`` weight of the curves of each example.
        class_weights: ``(15,)``.
    """
    logits = raw[:, :, : len(VISEMES)].permute(0, 2, 1, 3)
    spoken = functional.cross_entropy(logits, visemes, class_weights, ignore_index=-1, label_smoothing=0.05)
    others = torch.logsumexp(torch.cat([logits[:, :_PP], logits[:, _PP + 1 :]], 1), 1)
    known = visemes >= 0
    closure = functional.binary_cross_entropy_with_logits(
        (logits[:, _PP] - others)[known], (visemes[known] == _PP).float(), pos_weight=torch.tensor(2.0)
    )
    predicted = raw[:, :, len(VISEMES) :]
    measured = ~torch.isnan(curves)
    error = torch.where(measured, predicted - torch.nan_to_num(curves), 0.0)
    error = error * trust.sqrt()[:, None, None, None]
    weight = torch.ones(len(CURVES))
    weight[0] = 4.0
    per_curve = error.square().sum((0, 1, 3)) / measured.sum((0, 1, 3)).clamp(min=1)
    shape = _unlikeness(predicted[:, :, 0], curves[:, :, 0], trust)
    step = error[..., 5:] - error[..., :-5]
    both = measured[..., 5:] & measured[..., :-5]
    speed = torch.where(both, step, 0.0).square().sum() / both.sum().clamp(min=1)
    return {
        "visemes": spoken,
        "closure": 0.5 * closure,
        "curves": (weight * per_curve).sum(),
        "speed": 2 * speed,
        "shape": 0.4 * shape,
    }


def _unlikeness(predicted: Tensor, measured: Tensor, trust: Tensor) -> Tensor:
    """Mean of 1 - r between openings ``(B, 3, T)`` over the examples whose measured opening moves."""
    known = ~torch.isnan(measured)
    count = known.sum(2, keepdim=True).clamp(min=1)

    def centred(x: Tensor) -> Tensor:
        return torch.where(known, x - torch.where(known, x, 0.0).sum(2, keepdim=True) / count, 0.0)

    ours, real = centred(predicted), centred(torch.nan_to_num(measured))
    energy = real.square().sum(2)
    r = (ours * real).sum(2) / torch.sqrt((ours.square().sum(2) + 0.1) * (energy + 0.1))
    weight = trust[:, None] * (energy > 0.5)
    return ((1 - r) * weight).sum() / weight.sum().clamp(min=1)


@torch.no_grad()
def check(net: LipNet, clips: list[Clip]) -> dict[str, float]:
    """Figures on the development clips at 20 ms: viseme accuracy of real and synthetic voices,
    correlation of the opening."""
    net.eval()
    head = LOOK_AHEAD_MS.index(20)
    right: dict[str, list[float]] = {}
    for clip in clips:
        e = example(clip)
        raw = net(net.normalise(torch.from_numpy(np.log(e.mel + 1e-7))[None]))[0, head].numpy()
        known = e.visemes[head] >= 0
        if known.any():
            kind = "real" if e.source in ("woman", "man", "grid-s1") else "synthetic"
            right.setdefault(f"accuracy_{kind}", []).extend(
                (raw[: len(VISEMES)].argmax(0) == e.visemes[head])[known].astype(float)
            )
        opening = e.curves[head, 0]
        if not np.isnan(opening).any() and opening.std() > 0:
            right.setdefault(f"r_{e.source}", []).append(float(np.corrcoef(raw[len(VISEMES)], opening)[0, 1]))
    net.train()
    return {k: round(float(np.mean(v)), 4) for k, v in sorted(right.items())}


class _Average:
    """Slowly following copy of the weights; it is what is exported."""

    def __init__(self, net: LipNet) -> None:
        self.net = copy.deepcopy(net)

    def follow(self, net: LipNet, steps: int) -> None:
        keep = min(0.998, (1 + steps) / (10 + steps))
        for mine, theirs in zip(self.net.state_dict().values(), net.state_dict().values(), strict=True):
            if mine.dtype.is_floating_point:
                mine.lerp_(theirs, 1 - keep)
            else:
                mine.copy_(theirs)


def train(
    sets: Path,
    out: Path,
    minutes: float,
    seed: int,
    channels: int,
    dilations: tuple[int, ...],
    resume: Path | None,
) -> Path:
    """Train for ``minutes`` of wall time; return the checkpoint written, ``out/lips.pt``."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    out.mkdir(parents=True, exist_ok=True)
    batches = Batches(sets, seed)
    print("clips", batches.sources, "dev", len(batches.dev), flush=True)
    net = LipNet(channels, dilations)
    mean, deviation = batches.log_mel_statistics()
    net.mean.copy_(torch.from_numpy(mean))
    net.scale.copy_(torch.from_numpy(1 / deviation))
    optimiser = torch.optim.AdamW(net.parameters(), _PEAK_RATE, weight_decay=1e-2)
    if resume is not None:
        stored = torch.load(resume, weights_only=True)
        net.load_state_dict(stored["raw"])
    average = _Average(net)
    counts = batches.viseme_counts()
    class_weights = torch.tensor((counts.sum() / 15 / np.maximum(counts, 1)) ** _RARE, dtype=torch.float32)
    start, step, seen, told = time.monotonic(), 0, [], time.monotonic()
    net.train()
    while (gone := (time.monotonic() - start) / 60 / minutes) < 1:
        rate = _PEAK_RATE * min(1.0, step / 100 + 0.02) * (0.5 + 0.5 * math.cos(math.pi * gone)) + 1e-5
        for group in optimiser.param_groups:
            group["lr"] = rate * (0.5 if resume else 1.0)
        log_mel, visemes, curves, trust = batches.draw(32)
        x = net.normalise(torch.from_numpy(log_mel))
        if batches.rng.random() < 0.5:
            first, width = int(batches.rng.integers(0, 36)), int(batches.rng.integers(1, 6))
            x[: len(x) // 2, first : first + width] = 0
        with torch.autocast("cpu", torch.bfloat16):  # twice as fast on processors that have it
            raw = net(x)
        parts = losses(
            raw.float(),
            torch.from_numpy(visemes),
            torch.from_numpy(curves),
            torch.from_numpy(trust),
            class_weights,
        )
        total = torch.stack(list(parts.values())).sum()
        optimiser.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 2.0)
        optimiser.step()
        step += 1
        average.follow(net, step)
        seen.append([float(p.detach()) for p in parts.values()])
        if time.monotonic() - told > 60:
            told = time.monotonic()
            print(
                step,
                f"{gone * minutes:.1f} min",
                np.mean(seen, 0).round(3),
                check(average.net, batches.dev),
                flush=True,
            )
            seen = []
            _save(out, net, average, step, {})
    figures = check(average.net, batches.dev)
    print("done", step, figures, flush=True)
    _save(out, net, average, step, figures)
    return out / "lips.pt"


def _save(out: Path, net: LipNet, average: _Average, step: int, figures: dict[str, float]) -> None:
    save_checkpoint(
        out / "lips.pt",
        {
            "raw": net.state_dict(), "average": average.net.state_dict(), "channels": net.channels,
            "dilations": list(net.dilations), "step": step, "dev": figures,
        },
    )  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """Train, then export when asked to."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sets", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=10.0, help="wall time; 0 = only export")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--channels", type=int, default=144)
    parser.add_argument("--dilations", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--resume", type=Path, help="checkpoint to go on from")
    parser.add_argument("--export", type=Path, help="where to write the onnx file")
    parser.add_argument("--card", type=Path, help="json with data, licences and metrics for the sidecar")
    options = parser.parse_args(argv)
    checkpoint = options.out / "lips.pt"
    if options.minutes > 0:
        checkpoint = train(
            options.sets, options.out, options.minutes, options.seed, options.channels,
            tuple(options.dilations), options.resume,
        )  # fmt: skip
    if options.export:
        if not options.card:
            parser.error("--export needs --card")
        export(checkpoint, options.export, json.loads(options.card.read_text()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
