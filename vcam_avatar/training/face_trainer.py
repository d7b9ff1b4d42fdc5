"""The second generator's networks in training: one step of everything, averaged weights, checkpoints."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vcam_avatar.training.checkpoint import load_checkpoint, save_checkpoint
from vcam_avatar.training.face_data import MOUTH_CLASSES, mouth_class
from vcam_avatar.training.face_losses import (
    FaceBatch,
    feature_matching,
    halved,
    hinge_critic_loss,
    supervised_losses,
    temporal_loss,
    uniform_loss,
)
from vcam_avatar.training.face_net import Decoder, Encoder, PatchDiscriminator, SpeechClassifier, mouth_window

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
        save_checkpoint(path, state)

    def load(self, path: Path, fresh_critic: bool = False) -> None:
        """Go on from a checkpoint; ``fresh_critic`` begins with a critic that has learnt nothing."""
        state = load_checkpoint(path)
        for name, module in self._networks.items():
            if not (fresh_critic and name == "critic"):
                module.load_state_dict(state[name])
        self.generator_optimiser.load_state_dict(state["generator_optimiser"])
        if not fresh_critic:
            self.critic_optimiser.load_state_dict(state["critic_optimiser"])
        self.average = {key: value.clone() for key, value in state["average"].items()}
        self.steps, self.minutes = int(state["steps"]), float(state["minutes"])
        self.held_out = dict(state["held_out"])
