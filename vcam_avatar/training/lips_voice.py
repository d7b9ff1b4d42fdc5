"""Train the lip network's ear for voices: a head that tells people from music. All else stays as it is.

python -m vcam_avatar.training.lips_voice SETS CHECKPOINT OUT --music MUSIC.npz --minutes 6

The head remembers (a GRU over the trunk's features). Sounds that begin are given the benefit of the doubt, so
that nobody speaks with shut lips; music that goes on is not.
"""

import argparse
import copy
import itertools
import math
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from vcam_avatar.media import FloatArray
from vcam_avatar.stages.features import N_COEFFICIENTS, mel_energies
from vcam_avatar.training.checkpoint import load_checkpoint, save_checkpoint
from vcam_avatar.training.lips_data import WHITE, linger, warp
from vcam_avatar.training.lips_net import LipNet
from vcam_avatar.training.speech_clips import Clip, load_clips
from vcam_avatar.training.speech_styles import shouted, sung, whispered

ROWS = 700
"""Rows of an example, 7 s."""
_RATE = 3e-3
_GAP_ROWS = 30
"""Pauses within speech up to this long count as voice: nothing is lost by waiting for the next word."""
_ONSET_ROWS = 12
_STYLED = 150
"""Clips made again in each style."""
_STYLES = ("whisper", "song", "shout")
_SHARES = {
    "woman": 0.4,
    "man": 0.4,
    "grid-s1": 0.4,
    "facegood": 0.6,
    "whisper": 0.5,
    "song": 0.4,
    "shout": 0.5,
}
"""How often each voice is drawn; all made voices together 1."""


@dataclass(frozen=True)
class Sound:
    """Mel energies ``(T, 40)`` and where somebody speaks, bool ``(T,)``."""

    mel: FloatArray
    voice: NDArray[np.bool_]


def sound_of(clip: Clip) -> Sound:
    """A clip on the row grid; without phone times, where it is loud."""
    mel = clip.mel if clip.mel is not None else mel_energies(clip.samples)
    if clip.voice in ("noise", "music"):
        return Sound(mel, np.zeros(len(mel), bool))
    if clip.visemes is not None:
        at = np.minimum(10 * np.arange(len(mel)) + 12, len(clip.visemes) - 1)
        voice = clip.visemes[at] > 0
    else:
        level = mel.mean(1)
        voice = level > 0.01 * np.quantile(level, 0.95)
    return Sound(mel, _filled(voice))


def _filled(voice: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Short pauses closed."""
    out, spoken = voice.copy(), np.flatnonzero(voice)
    for a, b in itertools.pairwise(spoken):
        if b - a <= _GAP_ROWS:
            out[a:b] = True
    return out


class Scenes:
    """Draws stretches of talk, music, both and neither."""

    def __init__(self, sets: Path, music: Path, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        clips = [c for path in sorted(sets.glob("*.npz")) for c in load_clips(path) if c.split == "train"]
        spoken = [c for c in clips if c.voice != "noise" and len(c.samples) > 16_000]
        self._voices: dict[str, list[Sound]] = {}
        for clip in spoken:
            self._voices.setdefault(clip.voice, []).append(sound_of(clip))
        plain = [c for c in spoken if c.visemes is not None and not c.name.endswith("~")]
        for k, n in enumerate(self.rng.choice(len(plain), min(3 * _STYLED, len(plain)), replace=False)):
            style = _STYLES[k % 3]
            again = _styled(plain[n], style, self.rng)
            self._voices.setdefault(style, []).append(sound_of(again))
        self._noises = [sound_of(c) for c in clips if c.voice == "noise"]
        self._music = [sound_of(c) for c in load_clips(music) if c.split == "train"]
        self._names = list(self._voices)
        made = max(1, sum(n not in _SHARES for n in self._names))
        shares = np.array([_SHARES.get(n, 1.0 / made) for n in self._names])
        self._shares = shares / shares.sum()

    def _placed(self, sound: Sound, begin: int, length: int) -> Sound:
        """``length`` rows of ``sound``, somewhere in ``ROWS`` rows of nothing."""
        mel, voice = np.zeros((ROWS, N_COEFFICIENTS), np.float32), np.zeros(ROWS, bool)
        length = min(length, ROWS - begin, len(sound.mel))
        first = int(self.rng.integers(0, len(sound.mel) - length + 1))
        mel[begin : begin + length] = sound.mel[first : first + length]
        voice[begin : begin + length] = sound.voice[first : first + length]
        return Sound(mel, voice)

    def _track(self, spoken: bool, busy: float) -> Sound:
        """Sounds of one kind, pauses between them; mean level of what sounds 1."""
        rng = self.rng
        mel, voice = np.zeros((ROWS, N_COEFFICIENTS), np.float32), np.zeros(ROWS, bool)
        at = int(rng.integers(0, 150)) if rng.random() < 0.7 else 0
        name = self._names[rng.choice(len(self._names), p=self._shares)]
        while at < ROWS - 30:
            if spoken:
                group, length = self._voices[name], int(rng.integers(60, 350))
            else:
                group = self._music if rng.random() < 0.7 else self._noises
                length = int(rng.integers(100, ROWS))
            sound = group[rng.integers(len(group))]
            piece = self._placed(sound, at, length)
            altered = warp(piece.mel, rng.uniform(0.8, 1.25) if spoken else rng.uniform(0.7, 1.4))
            if rng.random() < 0.3:
                altered = linger(altered, rng.uniform(0.4, 0.9), rng.uniform(0.02, 0.2))
            tone = np.interp(np.arange(N_COEFFICIENTS), np.linspace(0, 39, 5), rng.normal(0, 0.5, 5))
            altered = altered * np.exp(tone)
            loud = float(np.quantile(altered[at : at + length].mean(1), 0.8)) + 1e-12
            mel += (altered / loud).astype(np.float32)
            voice |= piece.voice
            at += min(length, len(sound.mel)) + int(rng.exponential(80 / busy))
        return Sound(mel, voice)

    def draw(self, size: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Log mel ``(B, T, 40)``, voice 0 or 1 ``(B, T)``, weight of each row ``(B, T)``."""
        rng = self.rng
        mels, voices, weights = [], [], []
        for _ in range(size):
            kind = rng.random()
            talk = self._track(True, 1.5) if kind < 0.65 else None
            other = self._track(False, 2.0) if kind > 0.4 else None
            level = 10 ** (rng.uniform(-48, -8) / 10) * WHITE
            mel = np.zeros((ROWS, N_COEFFICIENTS), np.float32)
            voice = np.zeros(ROWS, bool)
            heard = np.zeros(ROWS)
            if talk is not None:
                mel, voice = talk.mel * np.float32(level), talk.voice
            if other is not None:
                below = rng.uniform(3, 30) if talk is not None else 0.0
                added = other.mel * np.float32(level * 10 ** (-below / 10))
                heard = added.mean(1)
                mel = mel + added
            hiss = 10 ** (rng.uniform(-85, -50) / 10) * WHITE
            slope = np.exp(np.linspace(0, rng.uniform(-5, 0.5), N_COEFFICIENTS))
            mel = mel + (hiss * slope / slope.mean() * rng.gamma(6, 1 / 6, mel.shape)).astype(np.float32)
            mels.append(np.log(mel + np.float32(1e-7)))
            voices.append(voice)
            weights.append(row_weights(voice, heard > 3 * hiss))
        return np.stack(mels), np.stack(voices).astype(np.float32), np.stack(weights)


def row_weights(voice: NDArray[np.bool_], other: NDArray[np.bool_]) -> FloatArray:
    """How much each row matters, float32 ``(T,)``: the first syllable most, the first beat and silence least.

    Args:
        voice: somebody speaks.
        other: something else is heard.
    """
    weight = np.where(voice, 1.3, np.where(other, 1.0, 0.05)).astype(np.float32)
    for k in np.flatnonzero(np.diff(np.concatenate([[False], voice]).astype(np.int8)) == 1):
        weight[k : k + _ONSET_ROWS] = 4.0
    quiet = ~voice & ~other
    began = np.flatnonzero(np.diff(np.concatenate([[True], quiet]).astype(np.int8)) == -1)
    for k in began:
        first = slice(k, k + _ONSET_ROWS)
        weight[first] = np.where(voice[first], weight[first], 0.1)
    return weight


def _styled(clip: Clip, style: str, rng: np.random.Generator) -> Clip:
    if style == "whisper":
        return replace(clip, samples=whispered(clip.samples, rng), mel=None)
    if style == "shout":
        return replace(clip, samples=shouted(clip.samples, rng), mel=None)
    slow = float(rng.uniform(1.2, 2.2))
    melody = tuple(110 * 2 ** (rng.integers(0, 25, 8) / 12))
    samples = sung(clip.samples, slow, rng, melody)
    assert clip.visemes is not None
    at = np.minimum((np.arange(int(len(clip.visemes) * slow)) / slow).astype(int), len(clip.visemes) - 1)
    return replace(clip, samples=samples, visemes=clip.visemes[at], mel=None)


def train(net: LipNet, scenes: Scenes, minutes: float, steps: int | None = None) -> None:
    """Teach the head of ``net`` for ``minutes`` of wall time, or ``steps``; nothing else changes."""
    net.eval()
    parameters = [*net.listen.parameters(), *net.heard.parameters()]
    torch.nn.init.normal_(net.heard.weight, 0, 0.2)
    torch.nn.init.zeros_(net.heard.bias)
    optimiser = torch.optim.AdamW(parameters, _RATE, weight_decay=1e-2)
    average = [p.detach().clone() for p in parameters]
    start = told = time.monotonic()
    step, seen = 0, []
    while (gone := step / steps if steps else (time.monotonic() - start) / 60 / minutes) < 1:
        for group in optimiser.param_groups:
            group["lr"] = _RATE * min(1.0, step / 30 + 0.05) * (0.5 + 0.5 * math.cos(math.pi * gone)) + 1e-5
        mel, voice, weight = (torch.from_numpy(a) for a in scenes.draw(16))
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            y = net.features(net.normalise(mel), *net.initial(len(mel)))[0]
        logit = net.voice(y.float(), net.forgotten(len(mel)))[0]
        loss = functional.binary_cross_entropy_with_logits(logit, voice, weight)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        step += 1
        with torch.no_grad():
            for mine, theirs in zip(average, parameters, strict=True):
                mine.lerp_(theirs, max(0.01, 1 / (1 + step / 4)))
            said = logit > 0
            right = [
                float(said[voice > 0].float().mean()),
                float(said[(voice == 0) & (weight == 1)].float().mean()),
            ]
        seen.append([float(loss.detach()), *right])
        if time.monotonic() - told > 30:
            told = time.monotonic()
            loss_, speech, other = np.nanmean(seen, 0)
            print(
                f"{step} {gone * minutes:.1f} min loss {loss_:.3f}, speech {speech:.3f}, other {other:.3f}",
                flush=True,
            )
            seen = []
    with torch.no_grad():
        for mine, theirs in zip(average, parameters, strict=True):
            theirs.copy_(mine)


def main(argv: list[str] | None = None) -> int:
    """Write a checkpoint that differs from the given one in this head only."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sets", type=Path)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--music", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=6.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    stored = load_checkpoint(options.checkpoint)
    net = LipNet(stored["channels"], tuple(stored["dilations"]))
    untaught = {k: v for k, v in net.state_dict().items() if k.startswith(("listen.", "heard."))}
    net.load_state_dict(untaught | stored["average"])
    train(net, Scenes(options.sets, options.music, options.seed), options.minutes)
    taught = {k: v for k, v in copy.deepcopy(net.state_dict()).items() if k in untaught}
    for kind in ("raw", "average"):
        stored[kind] = stored[kind] | taught
    save_checkpoint(options.out, stored)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
