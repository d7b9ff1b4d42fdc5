"""Train the second generator: ``vcam-avatar train face --faces DIR --work DIR --minutes 40``.

Supervised by synthetic people whose flow, masks and actions are known exactly; a PatchGAN on the mouth
sharpens what is painted; an adversary keeps the source's own mouth out of the appearance code. Stops after
the given minutes, goes on from the last checkpoint, writes it every few minutes.
"""

import argparse
import logging
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vcam_avatar.training.face_data import MOUTH_CLASSES, FaceSet, augmented_batch, mouth_class, plain_batch
from vcam_avatar.training.face_losses import (
    FaceBatch,
    average_flow,
    feature_matching,
    halved,
    hinge_critic_loss,
    supervised_losses,
    temporal_loss,
    uniform_loss,
)
from vcam_avatar.training.face_net import Decoder, Encoder, PatchDiscriminator, SpeechClassifier, mouth_window

_log = logging.getLogger(__name__)

_AVERAGE_EVERY = 4
"""Steps between updates of the averaged weights."""

Code = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
"""Features at 80, 40, 20 px, the appearance, the source's own actions."""


class FaceTrainer:
    """Networks, critics, optimisers, and the averaged weights that are exported."""

    def __init__(self, learning_rate: float) -> None:
        self.encoder, self.decoder = Encoder(), Decoder()
        self.critic, self.guesser = PatchDiscriminator(), SpeechClassifier(MOUTH_CLASSES)
        for module in (self.encoder, self.decoder, self.critic):
            module.to(memory_format=torch.channels_last)
        slow = [self.decoder.basis_whole, self.decoder.basis_mouth]
        fast = [p for n, p in self.decoder.named_parameters() if not n.startswith("basis_")]
        self.generator_optimiser = torch.optim.Adam(
            [{"params": [*self.encoder.parameters(), *fast]}, {"params": slow}],
            learning_rate,
            (0.9, 0.99),
            fused=True,
        )
        self.critic_optimiser = torch.optim.Adam(
            [*self.critic.parameters(), *self.guesser.parameters()],
            learning_rate * 0.5,
            (0.5, 0.99),
            fused=True,
        )
        self.average: dict[str, Tensor] = {}
        self.steps = 0
        self.minutes = 0.0
        self.held_out: dict[str, float] = {}

    @property
    def _networks(self) -> dict[str, nn.Module]:
        return {
            "encoder": self.encoder,
            "decoder": self.decoder,
            "critic": self.critic,
            "guesser": self.guesser,
        }

    def encode(self, batch: FaceBatch) -> tuple[Code, Tensor]:
        """Identity code and, in float32, the source's own actions."""
        with torch.autocast("cpu", torch.bfloat16):
            f80, f40, f20, appearance, own = self.encoder(batch.source, batch.landmark_maps)
        return (f80, f40, f20, appearance, own.float()), own.float()

    def decode(self, code: Code, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Maps for N expressions of B faces, N a multiple of B, in float32."""
        repeat = len(actions) // len(code[0])
        with torch.autocast("cpu", torch.bfloat16):
            whole, mouth = self.decoder(*(part.repeat_interleave(repeat, 0) for part in code), actions)
        return whole.float(), mouth.float()

    def step(self, batch: FaceBatch, critic_share: float, learning_rate: float) -> dict[str, float]:
        """One step of everything; ``critic_share`` 0..1 is the weight of the critic's losses."""
        groups = [*self.generator_optimiser.param_groups, *self.critic_optimiser.param_groups]
        for group, factor in zip(groups, (1.0, 0.2, 0.5), strict=True):
            group["lr"] = learning_rate * factor
        code, own = self.encode(batch)
        whole, mouth = self.decode(code, batch.actions)
        terms, near = supervised_losses(batch, whole, mouth)
        terms["own"] = 20 * F.mse_loss(own, batch.source_actions)
        terms["speech"] = 0.05 * uniform_loss(self.guesser(code[3].float()))
        # The same face with another's brows: what the brows do not reach must not swim.
        calm = (halved(batch.flow).abs().amax(1, keepdim=True) < 0.0005).float() * halved(batch.visible)
        terms["calm"] = 2 * temporal_loss(whole, torch.zeros_like(whole), calm)
        real = mouth_window(batch.target)
        if critic_share > 0:
            with torch.autocast("cpu", torch.bfloat16):
                score, features = self.critic(near, batch.actions)
                with torch.no_grad():
                    _, real_features = self.critic(real, batch.actions)
            terms["critic"] = -0.05 * critic_share * score.float().mean()
            terms["features"] = (
                0.3
                * critic_share
                * feature_matching([f.float() for f in real_features], [f.float() for f in features])
            )
        loss = torch.stack(list(terms.values())).sum()
        self.generator_optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_([*self.encoder.parameters(), *self.decoder.parameters()], 5.0)
        self.generator_optimiser.step()
        guess = F.cross_entropy(
            self.guesser(code[3].detach().float()),
            torch.from_numpy(mouth_class(batch.source_actions.numpy())),
        )
        critic_loss = guess
        if critic_share > 0:
            with torch.autocast("cpu", torch.bfloat16):
                true_score, _ = self.critic(real, batch.actions)
                false_score, _ = self.critic(near.detach(), batch.actions)
                wrong, _ = self.critic(real, batch.actions.roll(1, 0))
            critic_loss = guess + hinge_critic_loss(true_score.float(), false_score.float(), wrong.float())
        self.critic_optimiser.zero_grad(set_to_none=True)
        critic_loss.backward()
        self.critic_optimiser.step()
        self.steps += 1
        if self.steps % _AVERAGE_EVERY == 0 or self.steps < _AVERAGE_EVERY:
            self._update_average()
        shown = {name: float(term.detach()) for name, term in terms.items()}
        return {**shown, "guess": float(guess.detach()), "critic_loss": float(critic_loss.detach())}

    def _update_average(self) -> None:
        keep = min(0.99, self.steps / (self.steps + 20))
        with torch.no_grad():
            for prefix in ("encoder", "decoder"):
                for name, value in self._networks[prefix].state_dict().items():
                    key = f"{prefix}.{name}"
                    if key not in self.average:
                        self.average[key] = value.clone()
                    else:
                        self.average[key].lerp_(value, 1 - keep)

    def averaged(self) -> tuple[Encoder, Decoder]:
        """Copies of encoder and decoder with the averaged weights, ready to run."""
        encoder, decoder = Encoder(), Decoder()
        for prefix, module in (("encoder", encoder), ("decoder", decoder)):
            start = len(prefix) + 1
            module.load_state_dict(
                {key[start:]: value for key, value in self.average.items() if key.startswith(prefix)}
            )
            module.eval()
        return encoder, decoder

    def save(self, path: Path) -> None:
        """Write everything needed to go on, atomically."""
        state: dict[str, Any] = {name: module.state_dict() for name, module in self._networks.items()}
        state |= {
            "generator_optimiser": self.generator_optimiser.state_dict(),
            "critic_optimiser": self.critic_optimiser.state_dict(),
            "average": self.average,
            "steps": self.steps,
            "minutes": self.minutes,
            "held_out": self.held_out,
        }
        partial = path.with_suffix(".part")
        torch.save(state, partial)
        os.replace(partial, path)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint."""
        state = torch.load(path, weights_only=True)
        for name, module in self._networks.items():
            module.load_state_dict(state[name])
        self.generator_optimiser.load_state_dict(state["generator_optimiser"])
        self.critic_optimiser.load_state_dict(state["critic_optimiser"])
        self.average = {key: value.clone() for key, value in state["average"].items()}
        self.steps, self.minutes = int(state["steps"]), float(state["minutes"])
        self.held_out = dict(state["held_out"])


@torch.no_grad()
def held_out_loss(encoder: Encoder, decoder: Decoder, faces: FaceSet, count: int = 24) -> dict[str, float]:
    """Mean L1 of mouth windows and whole pictures of people never trained on, and of showing the source."""
    batch = plain_batch(faces, np.arange(min(count, len(faces))))
    code = encoder(batch.source, batch.landmark_maps)
    own = code[4]
    whole, mouth = decoder(*(part.repeat_interleave(batch.per_source, 0) for part in code), batch.actions)
    terms, near = supervised_losses(batch, whole, mouth)
    real = mouth_window(batch.target)
    copy = mouth_window(batch.source).repeat_interleave(batch.per_source, 0)
    return {
        "mouth_l1": float((near - real).abs().mean()),
        "copy_l1": float((copy - real).abs().mean()),
        "flow": float(terms["flow"]),
        "hide": float(terms["hide"]),
        "own_mse": float(F.mse_loss(own, batch.source_actions)),
    }


@torch.no_grad()
def start_from_average(decoder: Decoder, faces: FaceSet, count: int = 300) -> None:
    """Set the decoder's average face by least squares on ``count`` people."""
    flows, weights, near, near_weights, changes = [], [], [], [], []
    for first in range(0, min(count, len(faces)), 20):
        batch = plain_batch(faces, np.arange(first, min(first + 20, count, len(faces))))
        sure = batch.visible * (1 - batch.inside) * (1 - batch.unsure)
        flows.append(halved(halved(batch.flow)))
        weights.append((halved(halved(sure)) > 0.9).float())
        near.append(halved(mouth_window(batch.flow)))
        near_weights.append((halved(mouth_window(sure)) > 0.9).float())
        changes.append(batch.actions - batch.source_actions.repeat_interleave(batch.per_source, 0))
    change = torch.cat(changes)
    decoder.basis_whole.copy_(average_flow(torch.cat(flows), torch.cat(weights), change))
    decoder.basis_mouth.copy_(average_flow(torch.cat(near), torch.cat(near_weights), change))


def train(
    faces: FaceSet,
    held_out: FaceSet,
    work: Path,
    minutes: float,
    *,
    learning_rate: float = 1e-3,
    faces_per_step: int = 4,
    expressions_per_face: int = 4,
    critic_from: float = 0.3,
    seed: int = 0,
) -> FaceTrainer:
    """Train for ``minutes`` more, resuming from ``work/checkpoint.pt``.

    Args:
        critic_from: share of this run after which the critic joins; 0 when the networks are good already.
    """
    torch.set_num_threads(1)
    work.mkdir(parents=True, exist_ok=True)
    trainer = FaceTrainer(learning_rate)
    checkpoint = work / "checkpoint.pt"
    if checkpoint.is_file():
        trainer.load(checkpoint)
    else:
        start_from_average(trainer.decoder, faces)
    torch.manual_seed(seed + trainer.steps)
    rng = np.random.default_rng([seed, trainer.steps])
    before = trainer.minutes
    start = last_log = last_save = time.monotonic()
    sums: dict[str, float] = {}
    logged = 0
    while True:
        now = time.monotonic()
        share = (now - start) / 60 / minutes
        if share >= 1:
            break
        # Warm-up, plateau, cosine to nothing, all in wall-clock time: the machine may be shared.
        fall = 0.5 * (1 + np.cos(np.pi * max(0.0, share - 0.4) / 0.6))
        rate = learning_rate * min(1.0, share / 0.01 + 0.05) * (0.02 + 0.98 * fall)
        critic_share = float(np.clip((share - critic_from) / 0.15, 0, 1)) if critic_from < 1 else 0.0
        chosen = rng.integers(0, len(faces), faces_per_step)
        batch = augmented_batch(faces, chosen, expressions_per_face, rng)
        for name, value in trainer.step(batch, critic_share, float(rate)).items():
            sums[name] = sums.get(name, 0.0) + value
        logged += 1
        trainer.minutes = before + (time.monotonic() - start) / 60
        if now - last_log > 60:
            held = held_out_loss(*trainer.averaged(), held_out)
            words = " ".join(f"{name} {value / logged:.4f}" for name, value in sums.items())
            measured = " ".join(f"{name} {value:.4f}" for name, value in held.items())
            pace = logged * len(batch.target) / (now - last_log)
            _log.info(
                "%.1f min, step %d, %.0f/s | %s | held out: %s",
                trainer.minutes,
                trainer.steps,
                pace,
                words,
                measured,
            )
            last_log, logged, sums = now, 0, {}
        if now - last_save > 150:
            trainer.save(checkpoint)
            last_save = now
    trainer.held_out = held_out_loss(*trainer.averaged(), held_out)
    trainer.save(checkpoint)
    return trainer


def main(argv: list[str] | None = None) -> int:
    """Command line of the trainer; exports nothing, see ``training.face_export``."""
    parser = argparse.ArgumentParser(prog="vcam-avatar train face", description=__doc__)
    parser.add_argument(
        "--faces", type=Path, nargs="+", required=True, help="folders of face shards made by the factory"
    )
    parser.add_argument("--work", type=Path, required=True, help="folder of the checkpoint")
    parser.add_argument("--minutes", type=float, default=40.0, help="how long to train")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument(
        "--critic-from", type=float, default=0.3, help="share of the run before the critic joins"
    )
    parser.add_argument("--limit", type=int, default=6000, help="people to keep in memory")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    from vcam_avatar.training.face_shards import load_faces

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    faces, held_out = load_faces(args.faces, args.limit)
    _log.info("%d people to train on, %d held out", len(faces), len(held_out))
    train(
        faces,
        held_out,
        args.work,
        args.minutes,
        learning_rate=args.learning_rate,
        critic_from=args.critic_from,
        seed=args.seed,
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
