"""Causal encoders and decoders: Transformer, GRU, LSTM, each over whole sequences and one tick at a time."""

from typing import Any

import torch
from torch import nn


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


class TransformerStack(nn.Module):
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


class RecurrentStack(nn.Module):
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
