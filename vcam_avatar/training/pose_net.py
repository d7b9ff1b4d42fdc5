"""The network of the pose predictor.

Per tick of the 25 Hz motion clock: MFCC -> audio encoder -> concatenation with the pose of the same tick (and
with the plan under which it was reached) -> decoder -> pose of the next tick. Encoder and decoder are causal
Transformers (default), GRUs or LSTMs. Everything exists twice: over whole sequences for training, and one
tick at a time with explicit state for export; both give the same numbers.
"""

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from vcam_avatar.training.pose_stacks import RecurrentStack, TransformerStack

KINDS = ("transformer", "gru", "lstm")
ROWS_PER_TICK = 4
LARGEST = 8.0
"""Bound of pose coefficients, in standard deviations."""


@dataclass(frozen=True)
class PoseNetConfig:
    """Sizes of the network."""

    kind: str = "transformer"
    keypoints: int = 57
    plan: int = 32
    """Numbers in a plan."""
    units: int = 1
    """Motion units to choose from, besides going to rest."""
    components: int = 48
    """Size of the linear pose space."""
    arm_components: int = 12
    """Size of the coarse arm space in which a plan tells middle and end of a unit."""
    unit_dim: int = 24
    """Size of what is learnt about each unit."""
    audio_dim: int = 80
    audio_layers: int = 2
    audio_window: int = 40
    """Ticks that the audio encoder's attention reaches back."""
    dim: int = 144
    layers: int = 2
    window: int = 75
    """Ticks that the decoder's attention reaches back."""
    heads: int = 4
    detail: float = 0.9
    """Share of what the linear pose space cannot tell that is kept from one tick to the next."""
    unplanned: float = 1.0
    """Share of the predicted change that is believed where no plan is known: 1 while learning."""
    leaks: tuple[float, ...] = (50.0, 250.0, 1500.0)
    """Time constants, in ticks, of the leaky means that summarise what lies before the window; one more slot
    is the plain mean since the start."""

    def as_json(self) -> dict[str, Any]:
        """Plain values for a checkpoint or a sidecar."""
        return asdict(self)


@dataclass
class Heard:
    """What the network says after each tick, over a batch of sequences."""

    pose: torch.Tensor
    """``(B, T, K, 2)``: pose of the next tick."""
    event: torch.Tensor
    """``(B, T)`` logit: a new unit begins with the next tick."""
    unit: torch.Tensor
    """``(B, T, units + 1)`` logits of which; the last is going to rest."""
    voice: torch.Tensor
    """``(B, T)`` logit: somebody speaks."""


class PoseNet(nn.Module):
    """Encoder, concatenation, decoder. Poses are normalised, ``(..., K, 2)``."""

    def __init__(self, config: PoseNetConfig) -> None:
        super().__init__()
        if config.kind not in KINDS:
            raise ValueError(f"unknown kind {config.kind!r}; known: {', '.join(KINDS)}")
        self.config = c = config
        flat, n = 2 * c.keypoints, c.components
        self.register_buffer("mfcc_mean", torch.zeros(40))
        self.register_buffer("mfcc_scale", torch.ones(40))
        self.register_buffer("pose_mean", torch.zeros(flat))
        self.register_buffer("pose_basis", torch.zeros(flat, n))
        self.register_buffer("pose_back", torch.zeros(n, flat))
        self.register_buffer("arm_basis", torch.zeros(flat, c.arm_components))
        self.register_buffer("arm_offset", torch.zeros(c.arm_components))
        self.unit_meaning = nn.Embedding(c.units + 1, c.unit_dim)
        self.audio_in = nn.Linear(ROWS_PER_TICK * 40, c.audio_dim)
        width = c.audio_dim + 3 * n + c.plan + c.unit_dim
        self.concat_in = nn.Sequential(nn.Linear(width, c.dim), nn.GELU(), nn.Linear(c.dim, c.dim))
        self.encoder: Any
        self.decoder: Any
        if c.kind == "transformer":
            self.encoder = TransformerStack("enc", c.audio_dim, c.audio_layers, c.heads, c.audio_window, None)
            self.decoder = TransformerStack("dec", c.dim, c.layers, c.heads, c.window, c.leaks)
        else:
            self.encoder = RecurrentStack("enc", c.kind, c.audio_dim, c.audio_layers)
            self.decoder = RecurrentStack("dec", c.kind, c.dim, c.layers)
        self.out_norm = nn.LayerNorm(c.dim)
        self.event_head = nn.Sequential(nn.Linear(c.dim + c.audio_dim, 96), nn.GELU(), nn.Linear(96, 1))
        self.unit_head = nn.Linear(c.dim, c.units + 1)
        self.voice_head = nn.Linear(c.audio_dim, 1)
        self.pose_head = nn.Sequential(
            nn.Linear(c.dim + c.plan + c.unit_dim + 2 * n + 2 * c.arm_components, 256),
            nn.GELU(),
            nn.Linear(256, 256),
            nn.GELU(),
            nn.Linear(256, n),
        )
        self.pose_skip = nn.Linear(2 * c.arm_components, n, bias=False)
        nn.init.zeros_(self.pose_skip.weight)
        nn.init.normal_(self.unit_meaning.weight, std=0.3)
        nn.init.zeros_(self.pose_head[-1].weight)
        nn.init.zeros_(self.pose_head[-1].bias)
        # Following a plan is learnt first, with nothing heard; from there the sound can only add.
        nn.init.zeros_(self.pose_head[0].weight[:, : c.dim])

    def encode_pose(self, pose: torch.Tensor) -> torch.Tensor:
        """``(..., K, 2)`` -> coefficients ``(..., components)``."""
        return (pose.flatten(-2) - self.pose_mean) @ self.pose_basis

    def decode_pose(self, coefficients: torch.Tensor) -> torch.Tensor:
        """Undo ``encode_pose``; no coefficient beyond what people do, so that nothing can run away."""
        flat = coefficients.clamp(-LARGEST, LARGEST) @ self.pose_back + self.pose_mean
        return flat.reshape(*flat.shape[:-1], self.config.keypoints, 2)

    def toward(self, pose: torch.Tensor, plan: torch.Tensor) -> torch.Tensor:
        """How fast the arms would have to move, ``(..., 2 A)``: to the middle and to the end of the unit in
        the ticks that are left, from the pose with coefficients ``pose``. Zero without a plan."""
        size = self.config.arm_components
        arm = self.decode_pose(pose).flatten(-2) @ self.arm_basis - self.arm_offset
        phase, length = plan[..., 1:2], plan[..., 2:3] * 20
        left = torch.clamp((1 - phase) * length + 1, min=1)
        half = torch.clamp((0.5 - phase) * length + 1, min=1)
        first = (phase < 0.5).to(plan.dtype)
        middle = (plan[..., 3 : 3 + size] - arm) / half * first
        end = (plan[..., 3 + size : 3 + 2 * size] - arm) / left
        return torch.cat([middle, end], -1) * (length > 0).to(plan.dtype)

    def follow(
        self, pose: torch.Tensor, before: torch.Tensor, plan: torch.Tensor, unit: torch.Tensor
    ) -> torch.Tensor:
        """Coefficients of the next pose from the plan alone, as if nothing had been heard."""
        hidden = pose.new_zeros(*pose.shape[:-1], self.config.dim)
        return pose + self._change(hidden, pose, before, plan, unit)

    def _change(
        self,
        hidden: torch.Tensor,
        pose: torch.Tensor,
        before: torch.Tensor,
        plan: torch.Tensor,
        unit: torch.Tensor,
    ) -> torch.Tensor:
        """What to add to the coefficients ``pose`` to follow ``plan``."""
        speed = self.toward(pose, plan)
        given = [hidden, plan, self.unit_meaning(unit), pose, (pose - before) * 4, speed * 4]
        change = 0.25 * self.pose_head(torch.cat(given, -1)) + self.pose_skip(speed)
        planned = (plan[..., 2:3] > 0).to(plan.dtype)
        return change * (planned + self.config.unplanned * (1 - planned))

    def forward(
        self,
        rows: torch.Tensor,
        pose: torch.Tensor,
        before: torch.Tensor,
        plan: torch.Tensor,
        next_plan: torch.Tensor,
        unit: torch.Tensor,
        next_unit: torch.Tensor,
        rest: torch.Tensor,
        detail: torch.Tensor | None = None,
    ) -> Heard:
        """A batch of sequences of equal length.

        Args:
            rows: MFCC ``(B, T, 4, 40)`` of each tick.
            pose: coefficients ``(B, T, n)`` of the pose of the same tick.
            before: coefficients of the pose one tick earlier.
            plan: ``(B, T, plan)`` plan of the same tick.
            next_plan: plan of the tick to be predicted.
            unit: integer ``(B, T)``: unit of the same tick, ``units`` at rest.
            next_unit: unit of the tick to be predicted.
            rest: coefficients ``(B, n)`` of the pose to rest in.
            detail: ``(B, T, K, 2)`` of the pose of the same tick: what its coefficients leave out.
        """
        heard = self.encoder(self.audio_in(((rows - self.mfcc_mean) * self.mfcc_scale).flatten(-2)))
        resting = rest[:, None].expand(-1, pose.shape[1], -1)
        given = [heard, pose, (pose - before) * 4, resting - pose, plan, self.unit_meaning(unit)]
        hidden = self.out_norm(self.decoder(self.concat_in(torch.cat(given, -1))))
        following = self.decode_pose(pose + self._change(hidden, pose, before, next_plan, next_unit))
        if detail is not None:
            following = following + self.config.detail * detail
        return Heard(
            following,
            self.event_head(torch.cat([hidden, heard], -1))[..., 0],
            self.unit_head(hidden),
            self.voice_head(heard)[..., 0],
        )

    def state_shapes(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Name -> (``ring`` or ``plain``, shape) of the state of ``step``."""
        return {**self.encoder.state_shapes(), **self.decoder.state_shapes()}

    def step(
        self,
        rows: torch.Tensor,
        pose: torch.Tensor,
        before: torch.Tensor,
        plan: torch.Tensor,
        plan_kept: torch.Tensor,
        plan_new: torch.Tensor,
        unit: torch.Tensor,
        unit_new: torch.Tensor,
        chance: torch.Tensor,
        rest: torch.Tensor,
        state: dict[str, torch.Tensor],
    ) -> tuple[torch.Tensor, ...]:
        """One tick: ``rows (4, 40)``, poses ``(K, 2)``, plans ``(plan)``, ``chance (1)`` the logit above
        which an event happens; then the new plan and unit (each integer ``(1)``) are followed instead of
        those kept. ``state`` gets the new state under ``<name>_new``.

        Returns:
            Next pose ``(K, 2)``, event logit ``(1)``, unit logits, voice logit ``(1)``.
        """
        now, last, home = self.encode_pose(pose), self.encode_pose(before), self.encode_pose(rest)
        heard = self.encoder.step(self.audio_in(((rows - self.mfcc_mean) * self.mfcc_scale).flatten()), state)
        meaning = self.unit_meaning(unit)[0]
        joined = torch.cat([heard, now, (now - last) * 4, home - now, plan, meaning], -1)
        hidden = self.out_norm(self.decoder.step(self.concat_in(joined), state))
        event = self.event_head(torch.cat([hidden, heard], -1))
        follow = torch.where(event > chance, plan_new, plan_kept)
        performed = torch.where(event > chance, unit_new, unit)[0]
        change = self._change(hidden, now, last, follow, performed)
        detail = self.config.detail * (pose - self.decode_pose(now))
        following = self.decode_pose(now + change) + detail
        return following, event, self.unit_head(hidden), self.voice_head(heard)

    @property
    def parameters_count(self) -> int:
        """Number of trained values."""
        return sum(p.numel() for p in self.parameters())
