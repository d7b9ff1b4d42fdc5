"""The single measures of the lips, on clips in memory."""

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from vcam_avatar.evaluation.lips_hear import Ear, best_lag, correlation, labels_at, peaks
from vcam_avatar.evaluation.lips_sounds import at_level, room, silences
from vcam_avatar.media import SAMPLE_RATE_HZ, FloatArray
from vcam_avatar.stages.features import mfcc
from vcam_avatar.stages.visemes import VISEMES
from vcam_avatar.training.speech_clips import Clip, load_clips

FPS = Fraction(25)
OPEN = 0.1
"""Openings above this count as an open mouth."""
_OPEN_VOWELS = [VISEMES.index(v) for v in ("aa", "E", "O")]
_PP, _SIL = VISEMES.index("PP"), VISEMES.index("sil")


@dataclass
class Clips:
    """Held-out clips by what they measure."""

    clips: list[Clip]
    training: list[Clip] = field(default_factory=list)
    """Clips with opening that the baselines are fitted on."""

    @classmethod
    def load(cls, sets: Path, split: str) -> "Clips":
        """The ``split`` of every set in a folder made by ``training.speech``."""
        held, training = [], []
        for path in sorted(sets.glob("*.npz")):
            for clip in load_clips(path):
                if clip.split == split:
                    held.append(clip)
                elif clip.split == "train" and clip.curves is not None and not clip.name.endswith("~"):
                    training.append(clip)
        return cls(held, training)

    def of(self, *voices: str) -> list[Clip]:
        """Clips of these voices."""
        return [c for c in self.clips if c.voice in voices]

    def opening_groups(self) -> dict[str, list[Clip]]:
        """Clips with measured opening by data set."""
        groups = {n: self.of(n) for n in ("grid-others", "facegood", "grid-s1")}
        return {n: v for n, v in groups.items() if v}

    def phone_groups(self) -> dict[str, list[Clip]]:
        """Clips with phone times: voices trained on, and voices and a language never trained on."""
        groups = {n: self.of(n) for n in ("woman", "man", "grid-s1", "librivox", "grid-others", "piper")}
        others = [c for c in self.clips if c.voice not in groups and c.voice not in ("noise", "facegood")]
        groups["italian" if all(c.language == "it" for c in others) else "synthetic"] = others
        return {n: [c for c in v if c.visemes is not None] for n, v in groups.items() if v}


Spoil = Callable[[FloatArray], FloatArray]
"""What a bad line does to a sound."""


def silence(ear: Ear, clips: Clips) -> dict[str, Any]:
    """L1: share of frames with an open mouth where nobody speaks, and closing time after speech."""
    shares = open_shares(ear, silences())
    music = [c for c in clips.clips if c.voice == "noise"]
    played = [c for c in music if "choir" not in c.name]
    late = closing_ms(ear, clips.of("woman", "man", "piper"))
    return {
        "open_percent": {k: round(v, 2) for k, v in shares.items()},
        "worst_percent": round(max(shares.values()), 2),
        "music_percent": _music_percent(ear, music),
        "music_without_choir_percent": _music_percent(ear, played),
        "closed_after_ms_p50": float(np.percentile(late, 50)) if late else None,
        "closed_after_ms_p95": float(np.percentile(late, 95)) if late else None,
        "n": len(late),
    }


def open_shares(ear: Ear, sounds: dict[str, FloatArray], spoil: Spoil | None = None) -> dict[str, float]:
    """Percent of frames with an open mouth in each sound."""
    return {
        name: float((ear.openings(sound if spoil is None else spoil(sound), FPS) > OPEN).mean() * 100)
        for name, sound in sounds.items()
    }


def closing_ms(ear: Ear, spoken: list[Clip], spoil: Spoil | None = None) -> list[float]:
    """How long after the last phone of each clip the mouth is open, the clip cut there, in a quiet room."""
    late = []
    rng = np.random.default_rng(3)
    for clip in spoken:
        assert clip.visemes is not None
        heard = np.nonzero(clip.visemes)[0]
        if not len(heard):
            continue
        end = int(heard[-1]) + 1
        cut = clip.samples[: end * SAMPLE_RATE_HZ // 1000]
        sound = np.concatenate([cut, np.zeros(SAMPLE_RATE_HZ, np.float32)])
        sound = sound + room(len(sound), -55, rng)
        openings = ear.openings(sound if spoil is None else spoil(sound), FPS)
        times = (np.arange(len(openings)) + 0.5) * 1000 / float(FPS)
        after = np.nonzero((openings > OPEN) & (times > end))[0]
        late.append(float(times[after[-1]] + 1000 / float(FPS) - end) if len(after) else 0.0)
    return late


def _music_percent(ear: Ear, pieces: list[Clip]) -> float | None:
    """Frames with an open mouth in pieces played one after the other at -35 dBFS; None without pieces."""
    if not pieces:
        return None
    sound = np.concatenate([at_level(piece.samples, -1) for piece in pieces])
    return round(float((ear.openings(at_level(sound, -35), FPS) > OPEN).mean() * 100), 2)


def closures(ear: Ear, clips: Clips, look_ahead_ms: int = 20) -> dict[str, Any]:
    """L2: opening on open vowels over opening on p b m; share of closures that are closed."""
    vowels: list[float] = []
    lips: list[float] = []
    least: list[float] = []
    for clip in clips.of("woman", "man", "grid-s1"):
        if clip.visemes is None:
            continue
        heard = ear.hear(clip.samples, look_ahead_ms)
        labels = labels_at(clip.visemes, heard.times_ms)
        vowels += list(heard.opening[np.isin(labels, _OPEN_VOWELS)])
        lips += list(heard.opening[labels == _PP])
        edges = np.diff(np.concatenate([[0], (labels == _PP).astype(int), [0]]))
        for a, b in zip(np.nonzero(edges == 1)[0], np.nonzero(edges == -1)[0], strict=True):
            least.append(float(heard.opening[max(0, a - 4) : b + 4].min()))
    if not least or not vowels:
        return {"ratio": 0.0, "closed_percent": 0.0, "n": 0}
    scale = float(np.percentile(vowels, 90))
    return {
        "ratio": round(float(np.mean(vowels)) / (float(np.mean(lips)) + 1e-6), 2),
        "closed_percent": round(100 * float(np.mean(np.array(least) < 0.1 * scale)), 1),
        "n": len(least),
    }


def _real(clip: Clip) -> FloatArray:
    assert clip.curves is not None
    return clip.curves[:, 0]


def _fps(clip: Clip) -> Fraction:
    return Fraction(clip.curve_fps).limit_denominator(1001)


def opening_fit(ear: Ear, clips: list[Clip], spoil: Any = None) -> dict[str, float]:
    """L3 and L6 on one group: mean correlation, its best lag, events and flutter over the real speaker's."""
    fits, lags, ours_events, real_events, ours_turns, real_turns = [], [], 0, 0, 0, 0
    for clip in clips:
        samples = clip.samples if spoil is None else spoil(clip.samples)
        ours = ear.openings(samples, _fps(clip))
        n = min(len(ours), len(_real(clip)))
        ours, real = ours[:n], _real(clip)[:n]
        fits.append(correlation(ours, real))
        lags.append(best_lag(ours, real, clip.curve_fps))
        a, b = _scaled(ours), _scaled(real)
        ours_events, real_events = ours_events + peaks(a, 0.2), real_events + peaks(b, 0.2)
        ours_turns, real_turns = ours_turns + peaks(a, 0.05), real_turns + peaks(b, 0.05)
    return {
        "r": round(float(np.mean(fits)), 3),
        "lag_ms": float(np.median(lags)),
        "events": round(ours_events / max(1, real_events), 2),
        "flutter": round(ours_turns / max(1, real_turns), 2),
    }


def _scaled(curve: FloatArray) -> FloatArray:
    return np.asarray(
        (curve - np.percentile(curve, 5)) / (np.percentile(curve, 95) - np.percentile(curve, 5) + 1e-6)
    )


def drive(ear: Ear, clips: list[Clip]) -> dict[str, float]:
    """L5: correlation with one's own sound minus with another clip's; lag that follows a shift of 500 ms."""
    own, other, moved = [], [], []
    curves = [ear.openings(c.samples, _fps(c)) for c in clips]
    for k, clip in enumerate(clips):
        real, wrong = _real(clip), curves[(k + 1) % len(clips)]
        n = min(len(curves[k]), len(real), len(wrong))
        own.append(correlation(curves[k][:n], real[:n]))
        other.append(correlation(wrong[:n], real[:n]))
        delayed = np.concatenate([np.zeros(SAMPLE_RATE_HZ // 2, np.float32), clip.samples])
        late = ear.openings(delayed, _fps(clip))
        moved.append(best_lag(late, np.pad(curves[k], (0, 30)), clip.curve_fps, 700.0))
    return {
        "own_minus_other": round(float(np.mean(own) - np.mean(other)), 3),
        "shift_ms": float(np.median(moved)),
    }


def viseme_accuracy(ear: Ear, clips: list[Clip], look_ahead_ms: int, spoil: Any = None) -> dict[str, float]:
    """L4: share of rows with the right viseme, in percent; recall of closures within 40 ms."""
    right, total, hit, closures_ = 0, 0, 0, 0
    confusion = np.zeros((15, 15), int)
    for clip in clips:
        assert clip.visemes is not None
        samples = clip.samples if spoil is None else spoil(clip.samples)
        heard = ear.hear(samples, look_ahead_ms)
        labels, said = labels_at(clip.visemes, heard.times_ms), heard.visemes.argmax(1)
        known = labels >= 0
        right, total = right + int((labels == said)[known].sum()), total + int(known.sum())
        np.add.at(confusion, (labels[known], said[known]), 1)
        edges = np.diff(np.concatenate([[0], (labels == _PP).astype(int), [0]]))
        for a, b in zip(np.nonzero(edges == 1)[0], np.nonzero(edges == -1)[0], strict=True):
            closures_ += 1
            hit += bool((said[max(0, a - 4) : b + 4] == _PP).any())
    score = 2 * np.diag(confusion) / np.maximum(confusion.sum(0) + confusion.sum(1), 1)
    return {
        "accuracy": round(100 * right / max(1, total), 1),
        "macro_f1": round(100 * float(score[confusion.sum(1) > 0].mean()), 1),
        "closure_recall": round(100 * hit / max(1, closures_), 1),
        "commonest": round(100 * confusion.sum(1).max() / max(1, total), 1),
        "rows": total,
    }


def opening_baselines(clips: Clips) -> dict[str, dict[str, float]]:
    """Mean correlation per group of log energy and of a ridge regression on the same data (20 ms)."""

    def stacked(samples: FloatArray) -> FloatArray:
        rows = mfcc(samples)
        past = np.concatenate([np.repeat(rows[:1], 19, 0), rows])
        return np.concatenate(
            [past[k : k + len(rows)] for k in range(20)] + [np.ones((len(rows), 1), np.float32)], 1
        )

    def at_frames(values: FloatArray, clip: Clip) -> FloatArray:
        times = (np.arange(len(_real(clip))) + 0.5) * 1000 / clip.curve_fps
        return np.asarray(np.interp(times, 10 * np.arange(len(values)) + 5.0, values))

    a: Any = 0
    b: Any = 0
    for clip in clips.training[::2]:
        x = stacked(clip.samples)[::3]
        times = (10 * np.arange(0, 3 * len(x), 3) + 5.0) / 1000
        y = np.interp(times, (np.arange(len(_real(clip))) + 0.5) / clip.curve_fps, _real(clip))
        a, b = a + x.T.astype(float) @ x, b + x.T @ y
    ridge = np.linalg.solve(a + 300 * np.eye(len(a)), b) if clips.training else None
    out: dict[str, dict[str, float]] = {"log energy": {}, "ridge": {}, "always shut": {}}
    for group, members in clips.opening_groups().items():
        energy = [correlation(at_frames(mfcc(c.samples)[:, 0], c), _real(c)) for c in members]
        out["log energy"][group] = round(float(np.mean(energy)), 3)
        out["always shut"][group] = 0.0
        if ridge is not None:
            fits = [correlation(at_frames(stacked(c.samples) @ ridge, c), _real(c)) for c in members]
            out["ridge"][group] = round(float(np.mean(fits)), 3)
    return out
