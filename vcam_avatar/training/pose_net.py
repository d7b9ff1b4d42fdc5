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
    leaks: tuple[float, ...] = (50.0, 250.0, 1500.0)
    """Time constants, in ticks, of the leaky means that summarise what lies before the window; one more slot
    is the plain mean since the start."""

    def as_json(self) -> dict[str, Any]:
        """Plain values for a checkpoint or a sidecar."""
        return asdict(self)


class _Attention(nn.Module):
    """Causal self-attention over the last ``window`` ticks, with a learnt bias by age."""

    def __init__(self, dim: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.age_bias = nn.Parameter(-torch.arange(window).float()[None].repeat(heads, 1) * 0.02)

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        return x.reshape(*x.shape[:-1], self.heads, -1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, ticks, dim = x.shape
        q, k, v = (self._split(part).transpose(1, 2) for part in self.qkv(x).chunk(3, -1))
        age = torch.arange(ticks, device=x.device)[:, None] - torch.arange(ticks, device=x.device)[None]
        inside = (age >= 0) & (age < self.window)
        bias = self.age_bias[:, age.clamp(0, self.window - 1)].masked_fill(~inside, float("-inf"))
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=bias.expand(batch, -1, -1, -1))
        return self.out(mixed.transpose(1, 2).reshape(batch, ticks, dim))

    def step(
        self, x: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, age: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """One tick: ``x (dim)``, ring ``keys``/``values (window, dim)``, ``age (window)`` of each slot, -1
        when empty. The slot of age ``window`` is the one to be overwritten and is not attended to."""
        q, k, v = self.qkv(x).chunk(3, -1)
        every_k = self._split(torch.cat([keys, k[None]], 0)).transpose(0, 1)
        every_v = self._split(torch.cat([values, v[None]], 0)).transpose(0, 1)
        query = self._split(q)[:, :, None]
        score = (every_k @ query)[..., 0] / (query.shape[1] ** 0.5)
        ages = torch.cat([age, torch.zeros(1, dtype=age.dtype, device=age.device)])
        bias = self.age_bias[:, ages.clamp(0, self.window - 1)]
        hidden = (ages < 0) | (ages >= self.window)
        score = score + bias + hidden.to(score.dtype) * -1e9
        mixed = (torch.softmax(score, -1)[:, None] @ every_v)[:, 0].reshape(-1)
        return self.out(mixed), k, v


class _Summary(nn.Module):
    """Attention to running means of everything since the start: flat memory, nothing ever forgotten."""

    def __init__(self, dim: int, heads: int, leaks: tuple[float, ...]) -> None:
        super().__init__()
        self.heads = heads
        self.keep = [1 - 1 / leak for leak in leaks]
        self.slots = len(leaks) + 1
        self.take, self.place = nn.Linear(dim, dim), nn.Parameter(torch.randn(self.slots, dim) * 0.1)
        self.q, self.kv, self.out = nn.Linear(dim, dim), nn.Linear(dim, 2 * dim), nn.Linear(dim, dim)

    def _attend(self, x: torch.Tensor, slots: torch.Tensor) -> torch.Tensor:
        """``x (..., dim)``, ``slots (..., S, dim)``."""
        k, v = self.kv(slots + self.place).chunk(2, -1)
        shape = (*x.shape[:-1], self.heads, -1)
        q = self.q(x).reshape(shape)
        k = k.reshape(*k.shape[:-1], self.heads, q.shape[-1])
        v = v.reshape(k.shape)
        score = (q[..., None, :, :] * k).sum(-1) / (q.shape[-1] ** 0.5)
        weight = torch.softmax(score, -2)
        return self.out((weight[..., None] * v).sum(-3).reshape(x.shape))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        ticks = x.shape[1]
        taken = self.take(x)
        age = torch.arange(ticks, device=x.device)[:, None] - torch.arange(ticks, device=x.device)[None]
        past = (age >= 0).to(x.dtype)
        mixes = [past * (1 - keep) * keep ** age.clamp(min=0) for keep in self.keep]
        mixes.append(past / (torch.arange(ticks, device=x.device)[:, None] + 1))
        slots = torch.stack([mix.to(x.dtype) @ taken for mix in mixes], 2)
        return self._attend(x, slots)

    def step(
        self, x: torch.Tensor, slots: torch.Tensor, heard: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """One tick: ``x (dim)``, ``slots (S, dim)``, ``heard (1)`` ticks before this one."""
        taken = self.take(x)
        rate = [torch.full_like(heard, 1 - keep) for keep in self.keep]
        weight = torch.stack([*rate, 1 / (heard + 1)], 0)
        slots = slots + weight * (taken[None] - slots)
        return self._attend(x, slots), slots


class _Block(nn.Module):
    def __init__(self, dim: int, heads: int, window: int, leaks: tuple[float, ...] | None) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention = _Attention(dim, heads, window)
        self.summary = _Summary(dim, heads, leaks) if leaks else None
        self.norm3 = nn.LayerNorm(dim) if leaks else None
        self.ff = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attention(self.norm1(x))
        if self.summary is not None and self.norm3 is not None:
            x = x + self.summary(self.norm3(x))
        return x + self.ff(self.norm2(x))

    def step(self, x: torch.Tensor, state: dict[str, torch.Tensor], prefix: str) -> torch.Tensor:
        mixed, k, v = self.attention.step(
            self.norm1(x), state[prefix + "keys"], state[prefix + "values"], state["age_" + prefix[:3]]
        )
        state[prefix + "keys_new"], state[prefix + "values_new"] = k, v
        x = x + mixed
        if self.summary is not None and self.norm3 is not None:
            said, state[prefix + "summary_new"] = self.summary.step(
                self.norm3(x), state[prefix + "summary"], state["heard"]
            )
            x = x + said
        return x + self.ff(self.norm2(x))


class _TransformerStack(nn.Module):
    def __init__(
        self, name: str, dim: int, layers: int, heads: int, window: int, leaks: tuple[float, ...] | None
    ) -> None:
        super().__init__()
        self.name, self.window, self.dim = name, window, dim
        self.slots = len(leaks) + 1 if leaks else 0
        # The summary enters after the first layer has seen the present.
        self.blocks = nn.ModuleList(
            _Block(dim, heads, window, leaks if leaks and i == min(1, layers - 1) else None)
            for i in range(layers)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x)
        return x

    def step(self, x: torch.Tensor, state: dict[str, torch.Tensor]) -> torch.Tensor:
        for i, block in enumerate(self.blocks):
            x = block.step(x, state, f"{self.name}{i}_")
        return x

    def state_shapes(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        shapes: dict[str, tuple[str, tuple[int, ...]]] = {}
        for i, block in enumerate(self.blocks):
            for part in ("keys", "values"):
                shapes[f"{self.name}{i}_{part}"] = ("ring", (self.window, self.dim))
            if block.summary is not None:
                shapes[f"{self.name}{i}_summary"] = ("plain", (self.slots, self.dim))
        return shapes


class _RecurrentStack(nn.Module):
    def __init__(self, name: str, kind: str, dim: int, layers: int) -> None:
        super().__init__()
        self.name, self.kind, self.dim, self.layers = name, kind, dim, layers
        self.rnn: nn.Module = (nn.GRU if kind == "gru" else nn.LSTM)(dim, dim, layers, batch_first=True)
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.norm(self.rnn(x)[0])

    def step(self, x: torch.Tensor, state: dict[str, torch.Tensor]) -> torch.Tensor:
        hidden: Any = state[f"{self.name}_hidden"][:, None]
        if self.kind == "lstm":
            hidden = (hidden, state[f"{self.name}_cell"][:, None])
        out, hidden = self.rnn(x[None, None], hidden)
        if self.kind == "lstm":
            state[f"{self.name}_cell_new"] = hidden[1][:, 0]
            hidden = hidden[0]
        state[f"{self.name}_hidden_new"] = hidden[:, 0]
        return x + self.norm(out[0, 0])

    def state_shapes(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        names = ("hidden", "cell") if self.kind == "lstm" else ("hidden",)
        return {f"{self.name}_{n}": ("plain", (self.layers, self.dim)) for n in names}


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
            self.encoder = _TransformerStack(
                "enc", c.audio_dim, c.audio_layers, c.heads, c.audio_window, None
            )
            self.decoder = _TransformerStack("dec", c.dim, c.layers, c.heads, c.window, c.leaks)
        else:
            self.encoder = _RecurrentStack("enc", c.kind, c.audio_dim, c.audio_layers)
            self.decoder = _RecurrentStack("dec", c.kind, c.dim, c.layers)
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
        # Following a plan is learnt first, without attention; what is heard comes in through this gate.
        self.pose_gate = nn.Parameter(torch.zeros(c.dim))
        nn.init.zeros_(self.pose_skip.weight)
        nn.init.normal_(self.unit_meaning.weight, std=0.3)
        nn.init.zeros_(self.pose_head[-1].weight)
        nn.init.zeros_(self.pose_head[-1].bias)

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
        given = [hidden * self.pose_gate, plan, self.unit_meaning(unit), pose, (pose - before) * 4, speed * 4]
        return 0.25 * self.pose_head(torch.cat(given, -1)) + self.pose_skip(speed)

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
        """
        heard = self.encoder(self.audio_in(((rows - self.mfcc_mean) * self.mfcc_scale).flatten(-2)))
        resting = rest[:, None].expand(-1, pose.shape[1], -1)
        given = [heard, pose, (pose - before) * 4, resting - pose, plan, self.unit_meaning(unit)]
        hidden = self.out_norm(self.decoder(self.concat_in(torch.cat(given, -1))))
        return Heard(
            self.decode_pose(pose + self._change(hidden, pose, before, next_plan, next_unit)),
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
        return self.decode_pose(now + change), event, self.unit_head(hidden), self.voice_head(heard)

    @property
    def parameters_count(self) -> int:
        """Number of trained values."""
        return sum(p.numel() for p in self.parameters())
