"""Train the hand refiner: the generator of the body as a conditional GAN, the "Everybody Dance Now" way.

It sees a crop of the drawn frame around one hand, and where the hand was drawn; it answers with a correction
of the colours. Discriminators judge the corrected crop beside its condition at two scales, and pairs of
neighbouring frames; feature matching and a smoothed L1 keep it to the real hand.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from vcam_avatar.inference.sidecar import write_sidecar
from vcam_avatar.training.body_crops import CROP_PX, HELD_OUT
from vcam_avatar.training.checkpoint import export_onnx, load_checkpoint, save_checkpoint

MODEL_NAME = "hand_refiner"
SIZE = 80
"""Side of the crop that the network sees."""
LIMIT = 0.35
"""Greatest correction, of the range 0 to 1."""


SHIPPED_SHARE = 0.6
"""Of the correction, after short training: whole ones leave a step of brightness at some wrists."""


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.second(functional.relu(self.first(functional.relu(x))))
        return out


class Refiner(nn.Module):
    """``(B, 4, 80, 80)`` blue, green, red, hand's alpha, 0 to 1 -> correction ``(B, 3, 80, 80)``.

    About 35 million multiplications a hand. Nothing changes further than a few pixels from the hand.
    """

    def __init__(self) -> None:
        super().__init__()
        self.inlet = nn.Conv2d(4, 16, 3, stride=2, padding=1)
        self.down = nn.Conv2d(16, 32, 3, stride=2, padding=1)
        self.middle = nn.Sequential(_Residual(32), _Residual(32))
        self.up = nn.Conv2d(32, 64, 3, padding=1)
        self.fuse = nn.Conv2d(32, 16, 3, padding=1)
        self.outlet = nn.Conv2d(16, 12, 3, padding=1)
        nn.init.normal_(self.outlet.weight, 0, 0.01)
        nn.init.zeros_(self.outlet.bias)

    def forward(self, crop: Tensor) -> Tensor:
        near = functional.max_pool2d(crop[:, 3:], 5, 1, 2)
        near = functional.avg_pool2d(near, 3, 1, 1)
        first = functional.relu(self.inlet(crop * 2 - 1))
        x = self.middle(self.down(first))
        x = functional.pixel_shuffle(self.up(functional.relu(x)), 2)
        x = functional.relu(self.fuse(torch.cat([x, first], 1)))
        x = functional.pixel_shuffle(self.outlet(x), 2)
        return LIMIT * torch.tanh(x) * near


class Shipped(nn.Module):
    """What runs: the correction without its grid of single pixels, and inside the hand only.

    Real hands never lie exactly where the mesh was fitted; what the network learns about their surroundings
    are halos.
    """

    def __init__(self, net: Refiner) -> None:
        super().__init__()
        self.net = net

    def forward(self, crop: Tensor) -> Tensor:
        out: Tensor = SHIPPED_SHARE * functional.avg_pool2d(self.net(crop), 3, 1, 1) * crop[:, 3:]
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
        self.fine, self.coarse, self.pair = Critic(7), Critic(7), Critic(14)

    def forward(self, condition: Tensor, image: Tensor) -> list[tuple[Tensor, list[Tensor]]]:
        """``(B, 2, 4, S, S)`` and ``(B, 2, 3, S, S)``: neighbouring frames in the second place."""
        both = torch.cat([condition, image], 2)
        single = both.flatten(0, 1)
        pair = both.flatten(1, 2)
        return [
            self.fine(single),
            self.coarse(functional.avg_pool2d(single, 2)),
            self.pair(functional.avg_pool2d(pair, 2)),
        ]


class Pairs:
    """All stored pairs, with neighbours."""

    def __init__(self, folder: Path, held_out: bool) -> None:
        self.drawn: list[Any] = []
        self.real: list[Any] = []
        self.index: list[tuple[int, int, int]] = []
        for file in sorted(folder.glob("*.npz")):
            data = np.load(file)
            frame, error = data["frame"], data["error"]
            limit = HELD_OUT.get(file.stem.split("_")[0], 10**9)
            self.drawn.append(data["drawn"])
            self.real.append(data["real"])
            place = len(self.drawn) - 1
            if file.stem.startswith("factory"):
                # Single pictures: their own neighbours. Every twentieth is held out.
                for i in range(len(frame)):
                    if (i // 12 % 20 == 0) == held_out and error[i] < 0.085:
                        self.index.append((place, i, i))
                continue
            for i in range(1, len(frame)):
                mine = (frame[i - 1] >= limit) == held_out and (frame[i] >= limit) == held_out
                if mine and frame[i] - frame[i - 1] <= 2 and max(error[i - 1], error[i]) < 0.085:
                    self.index.append((place, i - 1, i))

    def _rows(self, count: int, rng: np.random.Generator) -> Any:
        """Numbers of pairs: from videos as often as from the factory."""
        if not hasattr(self, "_kinds"):
            made = np.array([a == b for _, a, b in self.index])
            self._kinds = [rows for rows in (np.nonzero(made)[0], np.nonzero(~made)[0]) if len(rows)]
        kind = rng.integers(0, len(self._kinds), count)
        return [int(rng.choice(self._kinds[k])) for k in kind]

    def batch(self, count: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Conditions ``(count, 2, 4, S, S)`` and real crops ``(count, 2, 3, S, S)``, jittered alike."""
        conditions, reals = [], []
        for row in self._rows(count, rng):
            place, a, b = self.index[row]
            size = int(rng.integers(104, CROP_PX + 1))
            x, y = rng.integers(0, CROP_PX - size + 1, 2)
            flip = bool(rng.random() < 0.5)
            gain = np.exp(rng.normal(0, 0.18) + rng.normal(0, 0.08, 3)).astype(np.float32)
            power = float(np.exp(rng.normal(0, 0.12)))
            for i in (a, b):
                box = np.s_[y : y + size, x : x + size]
                parts = [
                    cv2.resize(image[i][box], (SIZE, SIZE), interpolation=cv2.INTER_AREA)
                    for image in (self.drawn[place], self.real[place])
                ]
                both = np.concatenate(parts, -1).astype(np.float32) / 255
                if flip:
                    both = both[:, ::-1]
                drawn, alpha, real = both[..., :3], both[..., 3:4], both[..., 4:]
                drawn = np.clip(drawn, 1e-4, 1) ** power * gain
                real = np.clip(real, 1e-4, 1) ** power * gain
                conditions.append(np.concatenate([np.clip(drawn, 0, 1), alpha], -1))
                reals.append(np.clip(real, 0, 1))

        def stack(parts: list[Any]) -> Tensor:
            array = np.stack(parts).transpose(0, 3, 1, 2).astype(np.float32)
            return torch.from_numpy(np.ascontiguousarray(array)).unflatten(0, (count, 2))

        return stack(conditions), stack(reals)


def correct(net: nn.Module, condition: Tensor) -> Tensor:
    """Corrected crops for conditions ``(B, 2, 4, S, S)``."""
    flat = condition.flatten(0, 1)
    return (flat[:, :3] + net(flat)).unflatten(0, condition.shape[:2])


@torch.no_grad()
def measure(net: nn.Module, held: Pairs, count: int = 240) -> dict[str, float]:
    """L1 and SSIM near the hand on held-out frames, drawn and refined, and the flicker of both."""
    rng = np.random.default_rng(7)
    totals = np.zeros(6)
    for _ in range(count // 8):
        condition, real = held.batch(8, rng)
        drawn, refined = condition[:, :, :3], correct(net, condition).clamp(0, 1)
        near = functional.max_pool2d(condition[:, :, 3:].flatten(0, 1), 5, 1, 2).unflatten(0, (8, 2))
        weight = near / near.sum()
        for k, image in enumerate((drawn, refined)):
            totals[k] += float(((image - real).abs().mean(2, keepdim=True) * weight).sum())
            totals[2 + k] += float(
                (_ssim(image.flatten(0, 1), real.flatten(0, 1)) * weight.flatten(0, 1)).sum()
            )
            change = (image[:, 1] - image[:, 0]) - (real[:, 1] - real[:, 0])
            totals[4 + k] += float(change.abs().mean())
    totals /= count // 8
    names = ("l1_drawn", "l1_refined", "ssim_drawn", "ssim_refined", "motion_drawn", "motion_refined")
    return dict(zip(names, (round(float(v), 4) for v in totals), strict=True))


def _ssim(a: Tensor, b: Tensor) -> Tensor:
    def mean(x: Tensor) -> Tensor:
        return functional.avg_pool2d(x, 7, 1, 3)

    a, b = a.mean(1, keepdim=True), b.mean(1, keepdim=True)
    ma, mb = mean(a), mean(b)
    va, vb, ab = mean(a * a) - ma**2, mean(b * b) - mb**2, mean(a * b) - ma * mb
    return (2 * ma * mb + 1e-4) * (2 * ab + 9e-4) / ((ma**2 + mb**2 + 1e-4) * (va + vb + 9e-4))


def export(net: nn.Module, out: Path, metrics: dict[str, float], recipe: str) -> None:
    """Write ``hand_refiner.onnx`` and its sidecar; refuses when torch and onnxruntime disagree."""
    example = (torch.rand(2, 4, SIZE, SIZE),)
    worst = export_onnx(net, example, out, input_names=["crop"], output_names=["correction"], tolerance=1e-3)
    write_sidecar(
        out,
        description="crop around a drawn hand -> correction of its colours (conditional GAN)",
        training_data=[
            {
                "name": "latentsync_people",
                "licence": "Apache-2.0",
                "amount": "hands of demo1 to demo3, 45 s; the last 5 s of demo3 held out",
            },
            {
                "name": "factory hands (MakeHuman, photo and semi styles)",
                "licence": "CC0",
                "amount": "as many as body_crops_factory made; every 20th person held out",
            },
        ],
        recipe=recipe,
        metrics={**metrics, "parity": worst},
    )


def _sheet(net: nn.Module, held: Pairs, path: Path) -> None:
    """Drawn, refined and real crops side by side."""
    condition, real = held.batch(8, np.random.default_rng(11))
    with torch.no_grad():
        refined = correct(net, condition).clamp(0, 1)
    rows = []
    for k in range(8):
        parts = (condition[k, 1, :3], refined[k, 1], real[k, 1])
        rows.append(np.hstack([np.rint(p.numpy().transpose(1, 2, 0) * 255).astype(np.uint8) for p in parts]))
    sheet = np.hstack([np.vstack(rows[:4]), np.vstack(rows[4:])])
    cv2.imwrite(str(path), cv2.resize(sheet, None, fx=2.5, fy=2.5, interpolation=cv2.INTER_CUBIC))


def main(argv: list[str] | None = None) -> int:
    """Train for ``--minutes``, going on where the last run stopped, then export."""
    parser = argparse.ArgumentParser(description="Train the hand refiner GAN.")
    parser.add_argument("--minutes", type=float, default=25)
    parser.add_argument("--pairs", type=Path, default=Path(".work/hand_pairs"))
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--work", type=Path, default=Path(".work/hand_refiner"))
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--bfloat16", action="store_true", help="faster on processors that have it")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    options.work.mkdir(parents=True, exist_ok=True)
    train, held = Pairs(options.pairs, False), Pairs(options.pairs, True)
    print(f"{len(train.index)} pairs of frames, {len(held.index)} held out", flush=True)
    net, critics = Refiner(), Critics()
    adam = torch.optim.Adam(net.parameters(), lr=8e-4, betas=(0.5, 0.99))
    adam_critics = torch.optim.Adam(critics.parameters(), lr=4e-4, betas=(0.5, 0.99))
    parts = {"net": net, "critics": critics, "adam": adam, "adam_critics": adam_critics}
    checkpoint = options.work / "checkpoint.pt"
    step, spent = 0, 0.0
    if checkpoint.is_file():
        state = load_checkpoint(checkpoint)
        for name, part in parts.items():
            part.load_state_dict(state[name])
        step, spent = int(state["step"]), float(state["minutes"])

    def keep(minutes: float) -> None:
        states = {name: part.state_dict() for name, part in parts.items()}
        save_checkpoint(checkpoint, {**states, "step": step, "minutes": minutes})

    rng = np.random.default_rng(step + 1)
    start = time.monotonic()
    while (minutes := (time.monotonic() - start) / 60) < options.minutes:
        condition, real = train.batch(options.batch, rng)
        # Convolutions in bfloat16 take half the time where the processor has them; losses stay exact.
        with torch.autocast("cpu", torch.bfloat16, enabled=options.bfloat16):
            fake = correct(net, condition)
            judged = list(zip(critics(condition, real), critics(condition, fake.detach()), strict=True))
        loss_critics = torch.zeros(())
        for (yes, _), (no, _) in judged:
            loss_critics = loss_critics + ((yes.float() - 1) ** 2).mean() + (no.float() ** 2).mean()
        adam_critics.zero_grad()
        loss_critics.backward()
        adam_critics.step()
        with torch.autocast("cpu", torch.bfloat16, enabled=options.bfloat16):
            with torch.no_grad():
                wanted = critics(condition, real)
            judged = list(zip(critics(condition, fake), wanted, strict=True))
        loss_gan, loss_match = torch.zeros(()), torch.zeros(())
        for (no, features), (_, target) in judged:
            loss_gan = loss_gan + ((no.float() - 1) ** 2).mean()
            for a, b in zip(features, target, strict=True):
                loss_match = loss_match + (a.float() - b.float()).abs().mean()
        fake = fake.float()
        flat_fake, flat_real = fake.flatten(0, 1), real.flatten(0, 1)
        soft = (functional.avg_pool2d(flat_fake, 4) - functional.avg_pool2d(flat_real, 4)).abs().mean()
        sharp = (flat_fake - flat_real).abs().mean()
        loss = loss_gan + 8 * loss_match + 60 * soft + 25 * sharp
        adam.zero_grad()
        loss.backward()
        adam.step()
        step += 1
        if step % 50 == 0:
            figures = measure(net, held, 64) if step % 200 == 0 else {}
            print(
                f"{minutes:.1f} min step {step} critics {float(loss_critics):.3f} gan {float(loss_gan):.3f} "
                f"match {float(loss_match):.3f} l1 {float(sharp):.4f} {figures}",
                flush=True,
            )
        if step % 100 == 0:
            keep(spent + minutes)
            _sheet(net, held, options.work / "sheet.png")
    keep(spent + options.minutes)
    shipped = Shipped(net)
    _sheet(shipped, held, options.work / "sheet.png")
    metrics = measure(shipped, held) | {"steps": float(step), "minutes": spent + options.minutes}
    export(shipped, options.models / f"{MODEL_NAME}.onnx", metrics, "python -m vcam_avatar.training.body_gan")
    print(metrics, flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
