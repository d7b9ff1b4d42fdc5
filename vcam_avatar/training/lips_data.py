"""Random training batches for the lip network, made rough in the mel domain."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vcam_avatar.media import FloatArray
from vcam_avatar.stages.features import N_COEFFICIENTS, mel_energies
from vcam_avatar.training.lips_articulate import STEP_MS, Articulation
from vcam_avatar.training.lips_net import LOOK_AHEAD_MS
from vcam_avatar.training.speech_clips import CURVES, Clip, load_clips
from vcam_avatar.training.speech_phones import UNKNOWN

ROWS = 192
"""Rows of a training example, 1.92 s."""
SHARES = {
    "woman": 1.2,
    "man": 1.5,
    "grid-s1": 1.6,
    "facegood": 1.8,
    "hibari": 0.2,
    "kokoro": 3.0,
    "espeak": 0.7,
}
"""How often each source is drawn; voices of ``speech_tts`` count as kokoro."""
WHITE = float(mel_energies(np.random.default_rng(0).standard_normal(32_000).astype(np.float32)).mean())


SUGGESTED_TRUST = 0.35


@dataclass(frozen=True)
class Example:
    """One clip on the row grid."""

    mel: FloatArray
    """float32 ``(rows, 40)``."""
    visemes: NDArray[np.int64]
    """int64 ``(3, rows)``, ``UNKNOWN`` where not known."""
    curves: FloatArray
    """float32 ``(3, 6, rows)``, NaN where not measured."""
    source: str
    trust: float = 1.0
    """Weight of its curves: less than 1 where they follow from the phones only."""


def source_of(clip: Clip) -> str:
    """Which share a clip belongs to."""
    return (
        clip.voice
        if clip.voice in SHARES or clip.voice in ("noise", "librivox", "grid-others", "piper")
        else "kokoro"
    )


def example(clip: Clip, articulation: Articulation | None = None) -> Example:
    """Labels of ``clip`` at the instants its rows stand for, one set per look-ahead.

    With ``articulation``, a clip whose mouth was not seen gets the opening that its phones suggest.
    """
    assert clip.mel is not None
    mel, trust = clip.mel, 1.0
    if clip.curves is None and clip.visemes is not None and articulation is not None:
        trust = SUGGESTED_TRUST
        suggested = np.full((len(clip.visemes) // STEP_MS, len(CURVES)), np.nan, np.float32)
        suggested[:, 0] = articulation.opening(clip.visemes)
        clip = replace(clip, curves=suggested, curve_fps=1000 / STEP_MS)
    rows = len(mel)
    visemes = np.full((len(LOOK_AHEAD_MS), rows), UNKNOWN, np.int64)
    curves = np.full((len(LOOK_AHEAD_MS), len(CURVES), rows), np.nan, np.float32)
    for head, ahead in enumerate(LOOK_AHEAD_MS):
        ms = 10 * np.arange(rows) + 25 - ahead
        if clip.visemes is not None:
            known = (ms >= 0) & (ms < len(clip.visemes))
            visemes[head, known] = clip.visemes[ms[known]]
        if clip.curves is not None:
            frame_ms = (np.arange(len(clip.curves)) + 0.5) * 1000 / clip.curve_fps
            for k in range(len(CURVES)):
                if not np.isnan(clip.curves[:, k]).any():
                    curves[head, k] = np.clip(np.interp(ms, frame_ms, clip.curves[:, k]), -1.5, 1.5)
    return Example(mel, visemes, curves, source_of(clip), trust)


class Batches:
    """Draws examples and spoils them: level, tone, vocal tract, noise, music, missing bands."""

    def __init__(self, folder: Path, seed: int, negatives: float = 0.16) -> None:
        self.rng = np.random.default_rng(seed)
        self.negatives = negatives
        clips = [c for path in sorted(folder.glob("*.npz")) for c in load_clips(path)]
        self.dev = [c for c in clips if c.split == "dev" and c.voice != "noise"]
        train = [c for c in clips if c.split == "train"]
        self._noises = [c.mel for c in train if c.voice == "noise" and c.mel is not None]
        self._by_source: dict[str, list[Example]] = {}
        articulation = Articulation([c for c in train if not c.name.endswith("~")])
        for clip in train:
            if clip.voice != "noise" and clip.mel is not None and len(clip.mel) > 20:
                self._by_source.setdefault(source_of(clip), []).append(example(clip, articulation))
        self.sources = {name: len(v) for name, v in self._by_source.items()}
        self._names = list(self._by_source)
        shares = np.array([SHARES[n] for n in self._names])
        self._shares = shares / shares.sum()
        self._weights = {
            n: (w := np.array([len(e.mel) for e in v], float)) / w.sum() for n, v in self._by_source.items()
        }

    def log_mel_statistics(self) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation of log mel over the training set, float32 ``(40,)`` each."""
        rows = np.concatenate([np.log(e.mel + 1e-7) for v in self._by_source.values() for e in v])
        return rows.mean(0).astype(np.float32), rows.std(0).astype(np.float32)

    def viseme_counts(self) -> NDArray[np.int64]:
        """Training frames of each viseme."""
        counts = np.zeros(15, np.int64)
        for values in self._by_source.values():
            for e in values:
                counts += np.bincount(e.visemes[1][e.visemes[1] >= 0], minlength=15)
        return counts

    def _noise(self) -> FloatArray:
        """Mel energies ``(ROWS, 40)`` of something that is not speech, mean 1."""
        rng, kind, n = self.rng, self.rng.random(), ROWS
        bands = np.arange(N_COEFFICIENTS)
        if kind < 0.3:  # steady and coloured
            colour = np.exp(np.linspace(0, rng.uniform(-5, 1.5), N_COEFFICIENTS))
            sound = colour * rng.gamma(6, 1 / 6, (n, N_COEFFICIENTS))
        elif kind < 0.86 and self._noises:  # recorded or made: music, ambience, typing, breath ...
            mel = self._noises[rng.integers(len(self._noises))]
            start = rng.integers(0, max(1, len(mel) - n))
            mel = mel[start : start + n]
            mel = np.pad(mel, ((0, n - len(mel)), (0, 0)), mode="wrap")
            sound = warp(mel, rng.uniform(0.75, 1.3)).astype(np.float64)
            if rng.random() < 0.3:
                other = self._noises[rng.integers(len(self._noises))]
                sound = sound / (sound.mean() + 1e-9) + np.resize(other, (n, N_COEFFICIENTS)) / (
                    other.mean() + 1e-9
                )
        elif kind < 0.92:  # clicks and keys
            sound = np.full((n, N_COEFFICIENTS), 1e-4)
            at = rng.integers(0, n, rng.integers(2, 14))
            hit = rng.gamma(1, 6, (len(at), 1)) * np.exp(rng.normal(0, 0.8, (len(at), N_COEFFICIENTS)))
            for delay in range(4):
                np.add.at(sound, np.minimum(at + delay, n - 1), hit * (1.0, 0.5, 0.12, 0.03)[delay])
        elif kind < 0.97:  # breath
            swell = np.abs(np.sin(np.linspace(0, rng.uniform(2, 8), n) + rng.uniform(0, 3))) ** 2
            hiss = np.exp(-0.5 * ((bands - rng.uniform(14, 32)) / rng.uniform(5, 12)) ** 2)
            sound = swell[:, None] * hiss * rng.gamma(5, 0.2, (n, N_COEFFICIENTS))
        else:  # hum with harmonics, beeps
            lines = np.exp(-0.5 * ((bands - rng.uniform(0, 30)) / 1.2) ** 2) + 1e-3
            sound = (
                lines * (np.sin(np.arange(n) * rng.uniform(0.01, 0.4) + 1) > rng.uniform(-1, 0.8))[:, None]
                + 1e-5
            )
        return np.asarray(sound / (sound.mean() + 1e-12), np.float32)

    def _silence(self) -> tuple[FloatArray, NDArray[np.int64], FloatArray, float]:
        rng = self.rng
        mel = np.zeros((ROWS, N_COEFFICIENTS), np.float32)
        if rng.random() < 0.9:
            mel += self._noise() * np.float32(10 ** (rng.uniform(-80, -20) / 10) * WHITE)
        heads = len(LOOK_AHEAD_MS)
        return mel, np.zeros((heads, ROWS), np.int64), np.zeros((heads, len(CURVES), ROWS), np.float32), 1.0

    def _speech(self) -> tuple[FloatArray, NDArray[np.int64], FloatArray, float]:
        rng, heads = self.rng, len(LOOK_AHEAD_MS)
        name = self._names[rng.choice(len(self._names), p=self._shares)]
        e = self._by_source[name][rng.choice(len(self._weights[name]), p=self._weights[name])]
        pace = float(np.exp(rng.uniform(-0.2, 0.2))) if rng.random() < 0.5 else 1.0
        rows = int(np.ceil(ROWS * pace)) + 1
        n, k = len(e.mel), int(rng.integers(-50, max(1, len(e.mel) - 100)))
        mel = np.zeros((rows, N_COEFFICIENTS), np.float32)
        visemes = np.full((heads, rows), 0 if (e.visemes >= 0).any() else UNKNOWN, np.int64)
        curves = np.full((heads, len(CURVES), rows), np.nan, np.float32)
        a, b = max(0, k), min(n, k + rows)
        mel[a - k : b - k] = e.mel[a:b]
        visemes[:, a - k : b - k] = e.visemes[:, a:b]
        curves[:, :, a - k : b - k] = e.curves[:, :, a:b]
        mel, visemes, curves = _stretch(mel, visemes, curves, pace)
        if rng.random() < 0.75:
            mel = warp(mel, rng.uniform(0.8, 1.22))
        if rng.random() < 0.15:
            mel = linger(mel, rng.uniform(0.5, 0.9), rng.uniform(0.02, 0.2))
        tone = np.interp(np.arange(N_COEFFICIENTS), np.linspace(0, 39, 5), rng.normal(0, 0.4, 5))
        mel = mel * (10 ** (rng.uniform(-30, 10) / 10) * np.exp(tone)).astype(np.float32)
        if rng.random() < 0.6:
            if rng.random() < 0.5:
                level = 10 ** (rng.uniform(-85, -45) / 10) * WHITE
            else:
                loud = np.quantile(mel.mean(1), 0.9)
                level = loud * 10 ** (-rng.uniform(3, 36) / 10)
            mel = mel + self._noise() * np.float32(level)
        return mel, visemes, curves, e.trust

    def draw(self, size: int) -> tuple[FloatArray, NDArray[np.int64], FloatArray, FloatArray]:
        """A batch: log mel ``(B, T, 40)``, visemes ``(B, 3, T)``, curves ``(B, 3, 6, T)``, trust ``(B,)``."""
        mels, visemes, curves, trusts = [], [], [], []
        for _ in range(size):
            mel, v, c, trust = self._silence() if self.rng.random() < self.negatives else self._speech()
            mels.append(np.log(mel + np.float32(1e-7)))
            visemes.append(v)
            curves.append(c)
            trusts.append(trust)
        return np.stack(mels), np.stack(visemes), np.stack(curves), np.array(trusts, np.float32)


def warp(mel: FloatArray, factor: float) -> FloatArray:
    """Another vocal tract length: the mel axis stretched by ``factor``."""
    at = np.clip(np.arange(N_COEFFICIENTS) * factor, 0, N_COEFFICIENTS - 1)
    low = at.astype(int)
    high = np.minimum(low + 1, N_COEFFICIENTS - 1)
    part = (at - low).astype(np.float32)
    return np.asarray(mel[:, low] * (1 - part) + mel[:, high] * part, np.float32)


def _stretch(
    mel: FloatArray, visemes: NDArray[np.int64], curves: FloatArray, factor: float
) -> tuple[FloatArray, NDArray[np.int64], FloatArray]:
    """``ROWS`` rows at another speaking rate: resampled in time, the pitch stays."""
    at = np.arange(ROWS) * factor
    low = at.astype(int)
    part = (at - low).astype(np.float32)
    mel = mel[low] * (1 - part)[:, None] + mel[low + 1] * part[:, None]
    curves = curves[:, :, low] * (1 - part) + curves[:, :, low + 1] * part
    return np.asarray(mel, np.float32), visemes[:, np.rint(at).astype(int)], np.asarray(curves, np.float32)


def linger(mel: FloatArray, decay: float, share: float) -> FloatArray:
    """A room in which every band's energy dies away by ``decay`` a row."""
    out, tail = mel.copy(), np.zeros(mel.shape[1], np.float32)
    for row in out:
        row += share * tail
        tail = np.float32(decay) * (tail + row)
    return out
