"""Train the limb refiner: the generator of the body as a conditional GAN, the "Everybody Dance Now" way.

It sees a crop of the drawn frame around one hand or elbow, and where the arm was drawn; it answers with a
correction of the colours. Discriminators judge the corrected crop beside its condition at two scales, and
pairs of neighbouring frames; feature matching and a smoothed L1 keep it to the real limb.
"""

import argparse
import copy
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from vcam_avatar.inference.sidecar import write_sidecar
from vcam_avatar.stages.body_refine import CHANNELS
from vcam_avatar.training.body_pairs import SIZE, Pairs
from vcam_avatar.training.checkpoint import export_onnx, load_checkpoint, save_checkpoint

MODEL_NAME = "limb_refiner"
SHIPPED_SHARE = 1.0
"""Of the correction."""
_RATE, _RATE_CRITICS = 1e-3, 4e-4
_KEEP = 0.998
"""Share of the averaged weights that a step keeps: what is shipped is calmer than any single step."""


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.second(functional.relu(self.first(functional.relu(x))))
        return out


class Refiner(nn.Module):
    """``(B, 5, 64, 64)`` blue, green, red, mesh's alpha, region, 0 to 1 -> correction ``(B, 3, 64, 64)``.

    About 20 million multiplications a crop. The mean over the limb tells every place of its tone. The
    correction counts smoothed and inside the region only, see ``correct``.
    """

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.inlet = nn.Conv2d(CHANNELS, 16, 3, stride=2, padding=1)
        self.down = nn.Conv2d(16, width, 3, stride=2, padding=1)
        self.first, self.second = _Residual(width), _Residual(width)
        self.whole = nn.Linear(width, width)
        self.up = nn.Conv2d(width, 64, 1)
        self.outlet = nn.Conv2d(32, 12, 3, padding=1)
        nn.init.normal_(self.outlet.weight, 0, 0.002)
        nn.init.zeros_(self.outlet.bias)

    def forward(self, crop: Tensor) -> Tensor:
        fine = functional.relu(self.inlet(crop))
        x = self.first(self.down(fine))
        weight = functional.avg_pool2d(crop[:, 4:], 4) + 1e-3
        mean = (x * weight).sum((2, 3)) / weight.sum((2, 3))
        x = self.second(x + self.whole(functional.relu(mean))[:, :, None, None])
        x = functional.relu(functional.pixel_shuffle(self.up(functional.relu(x)), 2))
        return functional.pixel_shuffle(self.outlet(torch.cat([x, fine], 1)), 2)


class Shipped(nn.Module):
    """What runs."""

    def __init__(self, net: nn.Module, share: float = SHIPPED_SHARE) -> None:
        super().__init__()
        self.net, self.share = net, share

    def forward(self, crop: Tensor) -> Tensor:
        out: Tensor = self.share * self.net(crop)
        return out


class Critic(nn.Module):
    """Patch discriminator; returns the scores and the features on the way."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        norm = nn.utils.parametrizations.spectral_norm
        self.layers = nn.ModuleList(
            [
                norm(nn.Conv2d(channels, 16, 4, 2, 1)),
                norm(nn.Conv2d(16, 32, 4, 2, 1)),
                norm(nn.Conv2d(32, 48, 3, 1, 1)),
            ]
        )
        self.last = norm(nn.Conv2d(48, 1, 3, 1, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        features = []
        for layer in self.layers:
            x = functional.leaky_relu(layer(x), 0.2)
            features.append(x)
        return self.last(x), features


class Critics(nn.Module):
    """One frame at two scales, and two neighbouring frames."""

    def __init__(self) -> None:
        super().__init__()
        channels = CHANNELS + 3
        self.fine, self.coarse, self.pair = Critic(channels), Critic(channels), Critic(2 * channels)

    def forward(self, condition: Tensor, image: Tensor) -> list[tuple[Tensor, list[Tensor]]]:
        """``(B, 2, 5, S, S)`` and ``(B, 2, 3, S, S)``: neighbouring frames in the second place."""
        both = torch.cat([condition, image], 2)
        single = both.flatten(0, 1)
        pair = both.flatten(1, 2)
        return [
            self.fine(single),
            self.coarse(functional.avg_pool2d(single, 2)),
            self.pair(functional.avg_pool2d(pair, 2)),
        ]


_KERNEL = torch.tensor([1.0, 2.0, 1.0])


def correct(net: nn.Module, condition: Tensor) -> Tensor:
    """Corrected crops for conditions ``(B, 2, 5, S, S)``, as ``stages.body_refine.LimbRefiner`` does it."""
    flat = condition.flatten(0, 1)
    kernel = (_KERNEL[:, None] * _KERNEL / 16).expand(3, 1, 3, 3)
    smooth = functional.conv2d(net(flat).float(), kernel, padding=1, groups=3)
    return (flat[:, :3] + smooth * flat[:, 4:]).unflatten(0, condition.shape[:2])


@torch.no_grad()
def measure(net: nn.Module, held: Pairs, count: int = 240) -> dict[str, float]:
    """L1, SSIM and flicker on held-out limbs, drawn and refined, by kind of crop."""
    out: dict[str, float] = {}
    for kind, pairs in held.kinds.items():
        if not pairs:
            continue
        rng = np.random.default_rng(7)
        totals = np.zeros(6)
        for _ in range(count // 8):
            condition, real = held.batch(8, rng, (kind,))
            drawn, refined = condition[:, :, :3], correct(net, condition).clamp(0, 1)
            weight = condition[:, :, 4:] / condition[:, :, 4:].sum().clamp_min(1)
            for k, image in enumerate((drawn, refined)):
                totals[k] += float(((image - real).abs().mean(2, keepdim=True) * weight).sum())
                likeness = similarity(image.flatten(0, 1), real.flatten(0, 1))
                totals[2 + k] += float((likeness * weight.flatten(0, 1)).sum())
                change = (image[:, 1] - image[:, 0]) - (real[:, 1] - real[:, 0])
                totals[4 + k] += float(change.abs().mean())
        totals /= count // 8
        names = ("l1_drawn", "l1", "ssim_drawn", "ssim", "motion_drawn", "motion")
        out |= {f"{kind}_{n}": round(float(v), 4) for n, v in zip(names, totals, strict=True)}
    return out


def similarity(a: Tensor, b: Tensor) -> Tensor:
    """SSIM of grey values per pixel, ``(B, 1, S, S)``."""

    def mean(x: Tensor) -> Tensor:
        return functional.avg_pool2d(x, 7, 1, 3)

    a, b = a.mean(1, keepdim=True), b.mean(1, keepdim=True)
    ma, mb = mean(a), mean(b)
    va, vb, ab = mean(a * a) - ma**2, mean(b * b) - mb**2, mean(a * b) - ma * mb
    return (2 * ma * mb + 1e-4) * (2 * ab + 9e-4) / ((ma**2 + mb**2 + 1e-4) * (va + vb + 9e-4))


def export(net: nn.Module, out: Path, metrics: dict[str, float], recipe: str) -> None:
    """Write the network and its sidecar; refuses when torch and onnxruntime disagree."""
    example = (torch.rand(1, CHANNELS, SIZE, SIZE),)
    worst = export_onnx(net, example, out, input_names=["crop"], output_names=["correction"], tolerance=1e-3)
    write_sidecar(
        out,
        description="crop around a drawn hand or elbow -> correction of its colours (conditional GAN)",
        training_data=[
            {
                "name": "factory people (MakeHuman, photo style), drawn by the generator and rendered",
                "licence": "CC0",
                "amount": "as many as body_crops_people made; every 20th person held out",
            },
            {
                "name": "latentsync_people",
                "licence": "Apache-2.0",
                "amount": "hands of demo3; the last 5 s held out",
            },
        ],
        recipe=recipe,
        metrics={**metrics, "parity": worst},
    )


def sheet(net: nn.Module, held: Pairs, path: Path) -> None:
    """Drawn, refined and wanted crops side by side."""
    columns = []
    for kind, pairs in held.kinds.items():
        if not pairs:
            continue
        condition, real = held.batch(8, np.random.default_rng(11), (kind,))
        with torch.no_grad():
            refined = correct(net, condition).clamp(0, 1)
        rows = []
        for k in range(8):
            parts = (condition[k, 1, :3], refined[k, 1], real[k, 1])
            rows.append(
                np.hstack([np.rint(p.numpy().transpose(1, 2, 0) * 255).astype(np.uint8) for p in parts])
            )
        columns.append(np.vstack(rows))
    cv2.imwrite(str(path), cv2.resize(np.hstack(columns), None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC))


class Training:
    """The state of a training."""

    def __init__(self) -> None:
        self.net, self.critics = Refiner(), Critics()
        self.averaged = copy.deepcopy(self.net)
        self.adam = torch.optim.Adam(self.net.parameters(), lr=_RATE, betas=(0.5, 0.99))
        self.adam_critics = torch.optim.Adam(self.critics.parameters(), lr=_RATE_CRITICS, betas=(0.5, 0.99))
        self.step, self.minutes = 0, 0.0

    def _parts(self) -> dict[str, Any]:
        return {
            "net": self.net, "averaged": self.averaged, "critics": self.critics, "adam": self.adam,
            "adam_critics": self.adam_critics,
        }  # fmt: skip

    def load(self, checkpoint: Path) -> None:
        """Go on from there."""
        state = load_checkpoint(checkpoint)
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.step, self.minutes = int(state["step"]), float(state["minutes"])

    def save(self, checkpoint: Path) -> None:
        """Keep everything."""
        states = {name: part.state_dict() for name, part in self._parts().items()}
        save_checkpoint(checkpoint, {**states, "step": self.step, "minutes": self.minutes})

    def rate(self, share: float) -> None:
        """Learn so much faster than usually."""
        for adam, usual in ((self.adam, _RATE), (self.adam_critics, _RATE_CRITICS)):
            for group in adam.param_groups:
                group["lr"] = usual * share

    def learn(self, condition: Tensor, real: Tensor, adversarial: bool, bfloat16: bool) -> dict[str, float]:
        """One step; without critics at first, which only learn what a trained generator cannot do."""
        losses: dict[str, float] = {}
        # Convolutions in bfloat16 take half the time where the processor has them; losses stay exact.
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            fake = correct(self.net, condition)
        loss = torch.zeros(())
        if adversarial:
            loss_critics, loss = self._judge(condition, real, fake, bfloat16)
            losses = {"critics": loss_critics, "gan": float(loss.detach())}
        fake = fake.float()
        flat, wanted = fake.flatten(0, 1), real.flatten(0, 1)
        region = condition[:, :, 4:].flatten(0, 1)
        area = region.sum().clamp_min(1)
        soft = (functional.avg_pool2d(flat, 4) - functional.avg_pool2d(wanted, 4)).abs().sum() / area * 16 / 3
        sharp = (flat - wanted).abs().sum() / area / 3
        unlike = ((1 - similarity(flat, wanted)) * region).sum() / area
        change = (fake[:, 1] - fake[:, 0]) - (real[:, 1] - real[:, 0])
        calm = change.abs().sum() / area / 3
        loss = loss + 12 * soft + 8 * sharp + unlike + 3 * calm
        self.adam.zero_grad()
        loss.backward()
        self.adam.step()
        with torch.no_grad():
            for ours, theirs in zip(self.averaged.parameters(), self.net.parameters(), strict=True):
                ours.lerp_(theirs, 1 - _KEEP)
        self.step += 1
        return losses | {"l1": float(sharp.detach()), "unlike": float(unlike.detach())}

    def _judge(self, condition: Tensor, real: Tensor, fake: Tensor, bfloat16: bool) -> tuple[float, Tensor]:
        """Teach the critics; return their loss and the generator's."""
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            judged = list(
                zip(self.critics(condition, real), self.critics(condition, fake.detach()), strict=True)
            )
        loss_critics = torch.zeros(())
        for (yes, _), (no, _) in judged:
            loss_critics = loss_critics + ((yes.float() - 1) ** 2).mean() + (no.float() ** 2).mean()
        self.adam_critics.zero_grad()
        loss_critics.backward()
        self.adam_critics.step()
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            with torch.no_grad():
                wanted = self.critics(condition, real)
            judged = list(zip(self.critics(condition, fake), wanted, strict=True))
        loss = torch.zeros(())
        for (no, features), (_, target) in judged:
            loss = loss + 0.25 * ((no.float() - 1) ** 2).mean()
            for a, b in zip(features, target, strict=True):
                loss = loss + 2 * (a.float() - b.float()).abs().mean()
        return float(loss_critics.detach()), loss


def main(argv: list[str] | None = None) -> int:
    """Train for ``--minutes``, going on where the last run stopped, then export."""
    parser = argparse.ArgumentParser(description="Train the limb refiner GAN.")
    parser.add_argument("--minutes", type=float, default=35)
    parser.add_argument("--plain", type=float, default=10, help="minutes without critics, at first")
    parser.add_argument("--pairs", type=Path, default=Path(".work/limb_pairs"))
    parser.add_argument("--videos", type=Path, default=Path(".work/hand_pairs"))
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--work", type=Path, default=Path(".work/limb_refiner"))
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument(
        "--rate", type=float, default=1.0, help="of learning, over the usual one: less at last"
    )
    parser.add_argument("--bfloat16", action="store_true", help="faster on processors that have it")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    options.work.mkdir(parents=True, exist_ok=True)
    videos = options.videos if options.videos.is_dir() else None
    train, held = Pairs(options.pairs, False, videos), Pairs(options.pairs, True, videos)
    print({name: len(rows) for name, rows in train.kinds.items()}, len(held), "held out", flush=True)
    training, checkpoint = Training(), options.work / "checkpoint.pt"
    if checkpoint.is_file():
        training.load(checkpoint)
    training.rate(options.rate)
    rng = np.random.default_rng(training.step + 1)
    start, before = time.monotonic(), training.minutes
    while (time.monotonic() - start) / 60 < options.minutes:
        training.minutes = before + (time.monotonic() - start) / 60
        condition, real = train.batch(options.batch, rng)
        losses = training.learn(condition, real, training.minutes >= options.plain, options.bfloat16)
        if training.step % 100 == 0:
            words = " ".join(f"{name} {value:.4f}" for name, value in losses.items())
            print(f"{training.minutes:.1f} min step {training.step} {words}", flush=True)
        if training.step % 500 == 0:
            training.save(checkpoint)
            train.refresh()
            training.averaged.eval()
            print(measure(training.averaged, held, 64), flush=True)
            sheet(training.averaged, held, options.work / "sheet.png")
    training.save(checkpoint)
    shipped = Shipped(training.averaged)
    sheet(shipped, held, options.work / "sheet.png")
    metrics = measure(shipped, held) | {"steps": float(training.step), "minutes": round(training.minutes, 1)}
    export(shipped, options.models / f"{MODEL_NAME}.onnx", metrics, "vcam-avatar train limb-refiner")
    print(metrics, flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
