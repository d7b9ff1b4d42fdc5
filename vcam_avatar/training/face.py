"""Train the second generator: ``vcam-avatar train face --faces DIR --work DIR --minutes 40``.

Supervised by synthetic people whose flow, masks and actions are known exactly; a PatchGAN on the mouth
sharpens what is painted; an adversary keeps the source's own mouth out of the appearance code. Stops after
the given minutes, goes on from the last checkpoint, writes it every few minutes.
"""

import argparse
import logging
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from vcam_avatar.training.face_data import FaceSet, augmented_batch, plain_batch
from vcam_avatar.training.face_losses import average_flow, halved, supervised_losses
from vcam_avatar.training.face_net import Decoder, Encoder, mouth_window
from vcam_avatar.training.face_trainer import FaceTrainer

_log = logging.getLogger(__name__)


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
    fresh_critic: bool = False,
    seed: int = 0,
) -> FaceTrainer:
    """Train for ``minutes`` more, resuming from ``work/checkpoint.pt``.

    Args:
        critic_from: share of this run after which the critic joins; 0 when the networks are good already.
        fresh_critic: leave the checkpoint's critic behind.
    """
    torch.set_num_threads(1)
    work.mkdir(parents=True, exist_ok=True)
    trainer = FaceTrainer(learning_rate)
    checkpoint = work / "checkpoint.pt"
    if checkpoint.is_file():
        trainer.load(checkpoint, fresh_critic)
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
    parser.add_argument("--fresh-critic", action="store_true", help="begin with a new critic")
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
        fresh_critic=args.fresh_critic,
        seed=args.seed,
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
