"""What one step of the training sees: random pieces of random samples, and how they are disturbed."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vcam_avatar.media import FloatArray
from vcam_avatar.training.dataset import Sample, truncate
from vcam_avatar.training.pose_net import PoseNet


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """How to train. A run may be resumed with other options."""

    minutes: float = 12.0
    """Time box; the learning rate falls to nothing at its end."""
    steps: int = 0
    """Most steps, for comparisons that must not depend on the machine's load; 0: as many as time allows."""
    follow_minutes: float = 3.0
    """Time for learning to follow plans beforehand."""
    seed: int = 0
    batch: int = 8
    ticks: int = 112
    """Length of the pieces."""
    truncation_points: int = 96
    """Labels taken from each piece."""
    rate: float = 1.2e-3
    real_share: float = 0.05
    """Share of real pairs in each batch. There are few: more of them are learnt by heart."""
    history_noise: float = 0.25
    """Greatest size of the wander added to the poses that are given, in components."""
    own_predictions: float = 0.5
    """Share of pieces whose given poses are partly the network's own."""
    plan_dropout: float = 0.45
    """Share of pieces trained without knowing the plan."""
    evaluate_every: int = 150
    watch_every: int = 1500
    """Steps between looks at how the network moves on its own."""
    patience: int = 12
    """Evaluations without gain before stopping."""
    least_gain: float = 2e-3
    """Relative gain that counts."""


HELD_BACK = 25
"""Every so-manieth made sample is for validation."""


def split(samples: list[Sample]) -> tuple[list[Sample], list[Sample]]:
    """What is learnt and what is measured on: a share of the made samples, or, when all are real, the last
    one (which then is not learnt, unless it is the only one)."""
    made = [s for s in samples if not s.real]
    measured = made[::HELD_BACK] if len(made) >= HELD_BACK else samples[-1:]
    ids = {id(s) for s in measured}
    learnt = [s for s in samples if id(s) not in ids] or samples
    return learnt, measured


@dataclass
class _Track:
    """A sample with its poses as coefficients."""

    sample: Sample
    pose: torch.Tensor
    detail: torch.Tensor
    rest: torch.Tensor


def _track(sample: Sample, net: PoseNet) -> _Track:
    pose = torch.as_tensor(sample.pose[..., :2])
    coefficients = net.encode_pose(pose)
    detail = (pose - net.decode_pose(coefficients)).half()
    return _Track(sample, coefficients, detail, net.encode_pose(torch.as_tensor(sample.rest)))


class Batches:
    """Random pieces of random samples."""

    def __init__(self, samples: list[Sample], net: PoseNet, options: TrainOptions) -> None:
        self.options, self._units = options, net.config.units
        with torch.no_grad():
            self._tracks = [_track(s, net) for s in samples if s.ticks >= 2]
        self._real = [t for t in self._tracks if t.sample.real]
        self._made = [t for t in self._tracks if not t.sample.real] or self._real
        self._real = self._real or self._made

    def draw(self, rng: np.random.Generator, real_share: float) -> dict[str, torch.Tensor]:
        """One batch. ``label*`` belong to the tick after the one given; ``cut`` marks truncation points."""
        o = self.options
        parts: dict[str, list[NDArray[Any] | torch.Tensor]] = {}
        for _ in range(o.batch):
            group = self._real if rng.random() < real_share else self._made
            weights = np.array([t.sample.ticks for t in group], np.float64)
            track = group[int(rng.choice(len(group), p=weights / weights.sum()))]
            s = track.sample
            piece, cuts = truncate(s, o.ticks, o.truncation_points, rng)
            after = slice(piece.start + 1, piece.stop + 1)
            before = np.maximum(np.arange(piece.start, piece.stop) - 1, 0)
            cut = np.zeros(piece.stop - piece.start, np.float32)
            cut[cuts] = 1
            for name, value in (
                ("rows", _other_microphone(s.rows[piece], rng)), ("pose", track.pose[piece]),
                ("before", track.pose[before]), ("detail", track.detail[piece]),
                ("plan", s.plan[piece]), ("next_plan", s.plan[after]),
                ("rest", track.rest), ("cut", cut), ("label", s.pose[after, :, :2]),
                ("confidence", s.pose[after, :, 2]), ("event", s.event[after]),
                ("unit", np.where(s.code[piece] < 0, self._units, s.code[piece])),
                ("next_unit", np.where(s.code[after] < 0, self._units, s.code[after])),
                ("speech", s.speech[piece]),
            ):  # fmt: skip
                parts.setdefault(name, []).append(value)
        shortest = min(len(c) for c in parts["cut"])
        out = {}
        for name, values in parts.items():
            tensors = [torch.as_tensor(v) for v in values]
            tensors = [t.float() if t.dtype == torch.float16 else t for t in tensors]
            if name != "rest":
                tensors = [t[:shortest] for t in tensors]
            out[name] = torch.stack(tensors)
        return out


def _other_microphone(rows: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Gain of +-6 dB and a gentle tilt, in the MFCC domain (log-mel offsets)."""
    out = np.array(rows, np.float32)
    out[..., 0] += rng.uniform(-1.4, 1.4) * math.sqrt(40)
    out[..., 1:4] += rng.normal(0, 0.5, 3).astype(np.float32)
    return out


def wander(shape: tuple[int, ...], rng: np.random.Generator, size: float) -> torch.Tensor:
    """Slow noise ``(B, T, n)``: each sequence has its own size, up to ``size``."""
    batch, ticks, _ = shape
    white = rng.normal(0, 1, shape).astype(np.float32)
    out = np.empty_like(white)
    keep = rng.uniform(0.5, 0.97, (batch, 1)).astype(np.float32)
    out[:, 0] = white[:, 0]
    for t in range(1, ticks):
        out[:, t] = keep * out[:, t - 1] + np.sqrt(1 - keep**2) * white[:, t]
    scale = size * rng.random((batch, 1, 1)).astype(np.float32) ** 2
    return torch.as_tensor(out * scale)
