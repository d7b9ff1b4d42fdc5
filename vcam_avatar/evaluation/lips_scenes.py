"""Nine scenes of 20 s for videos of the lips: what is heard, and when lips must be shut.

Made of held-out clips with known phone times, those with most p, b and m first; the Mandarin is a made voice
that is not trained on. Fast speech is the man's, cut and overlapped again without a change of pitch; the
whisper is the woman's envelope over noise; the song is her envelope over a melody, twice as slow; music and
the second voice are mixed in.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vcam_avatar.evaluation.lips_sounds import at_level, room, silences
from vcam_avatar.media import SAMPLE_RATE_HZ, FloatArray
from vcam_avatar.stages.visemes import VISEMES
from vcam_avatar.training.speech_clips import Clip, load_clips
from vcam_avatar.training.speech_styles import sung, whispered

SECONDS = 20.0
_PP, _SIL = VISEMES.index("PP"), VISEMES.index("sil")
_VOICE_DB = -23.0
_SLOW, _FAST = 2.0, 1 / 1.55


@dataclass(frozen=True, slots=True)
class Scene:
    """One sound and its truth."""

    name: str
    avatar: str
    """Preset that speaks."""
    samples: FloatArray
    """float32 ``(20 s,)`` mono 16 kHz."""
    closures_ms: list[tuple[int, int]]
    """Begin and end of every p, b, m."""
    open_ms: list[tuple[int, int]]
    """Begin and end of the open vowels."""


def scenes(sets: Path) -> list[Scene]:
    """All nine, from the folder of speech sets that training made."""
    held = [c for path in sorted(sets.glob("*.npz")) for c in load_clips(path) if c.split != "train"]
    test = {
        voice: _rich([c for c in held if c.voice == voice and c.split == "test"])
        for voice in ("woman", "man")
    }
    woman, man = (_joined(test[voice]) for voice in ("woman", "man"))
    later = _joined(test["woman"][10:])
    mandarin = _joined(_rich([c for c in held if c.voice == "zf_xiaoyi"]))
    rng = np.random.default_rng(7)
    fast = _cut(_overlapped(_whole(test["man"])[0], _FAST), _stretched(_whole(test["man"])[1], _FAST))
    song = _cut(
        at_level(sung(later[0], _SLOW, np.random.default_rng(2)), _VOICE_DB), _stretched(later[1], _SLOW)
    )
    music = np.concatenate([c.samples for c in held if c.voice == "noise" and c.split == "test"])
    under = man[0] + at_level(np.resize(music, len(man[0])), _VOICE_DB - 10)
    two, known = _taking_turns(woman, man)
    typing = np.resize(silences()["typing"], len(woman[0]))
    return [
        _scene("english_woman", "mei", *woman),
        _scene("english_man", "samir", *man),
        _scene("mandarin", "elif", *mandarin),
        _scene("fast", "noah", *fast),
        _scene("whisper", "mei", whispered(later[0], rng), later[1]),
        _scene("singing", "luna", *song),
        _scene("under_music", "max", under, man[1]),
        _scene("two_people", "marcus", two, known),
        _scene("typing", "ruth", typing, np.zeros(len(typing) // 16, np.int8)),
    ]


_Spoken = tuple[FloatArray, NDArray[np.int8]]
"""Samples, and the viseme of every millisecond."""


def _scene(name: str, avatar: str, samples: FloatArray, track: NDArray[np.int8]) -> Scene:
    hiss = room(len(samples), -60, np.random.default_rng(11))
    vowels = [VISEMES.index(v) for v in ("aa", "E", "O")]
    return Scene(
        name,
        avatar,
        np.clip(samples + hiss, -1, 1).astype(np.float32),
        spans(track == _PP),
        spans(np.isin(track, vowels)),
    )


def spans(true: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Begin and end of every stretch of ``true`` values."""
    edges = np.diff(np.concatenate([[0], true.astype(np.int8), [0]]))
    return list(zip(np.flatnonzero(edges == 1).tolist(), np.flatnonzero(edges == -1).tolist(), strict=True))


def _whole(clips: list[Clip]) -> _Spoken:
    """Clips one after the other, each at the same level, 250 ms between them."""
    samples, tracks = [], []
    for clip in clips:
        assert clip.visemes is not None
        count = len(clip.samples) // 16
        track = np.full(count + 250, _SIL, np.int8)
        track[: min(count, len(clip.visemes))] = clip.visemes[:count]
        samples += [at_level(clip.samples[: count * 16], _VOICE_DB), np.zeros(250 * 16, np.float32)]
        tracks.append(track)
    return np.concatenate(samples), np.concatenate(tracks)


def _rich(clips: list[Clip]) -> list[Clip]:
    """Clips with most p, b and m a second first."""

    def share(clip: Clip) -> float:
        assert clip.visemes is not None
        return float((np.diff((clip.visemes == _PP).astype(np.int8)) == 1).sum() / len(clip.visemes))

    return sorted(clips, key=share, reverse=True)


def _cut(samples: FloatArray, track: NDArray[np.int8]) -> _Spoken:
    count = int(SECONDS * SAMPLE_RATE_HZ)
    padded = np.zeros(count, np.float32)
    padded[: min(count, len(samples))] = samples[:count]
    labels = np.full(count // 16, _SIL, np.int8)
    labels[: min(len(labels), len(track))] = track[: len(labels)]
    return padded, labels


def _joined(clips: list[Clip]) -> _Spoken:
    return _cut(*_whole(clips))


def _stretched(track: NDArray[np.int8], factor: float) -> NDArray[np.int8]:
    at = np.minimum((np.arange(int(len(track) * factor)) / factor).astype(int), len(track) - 1)
    return np.asarray(track[at], np.int8)


def _overlapped(samples: FloatArray, factor: float, window: int = 640, reach: int = 160) -> FloatArray:
    """Another duration at the same pitch (WSOLA): windows are added where they fit best."""
    step = window // 2
    count = int(len(samples) * factor) // step - 2
    fade = np.hanning(window).astype(np.float32)
    out = np.zeros((count + 2) * step, np.float32)
    natural = 0
    for n in range(count):
        wanted = int(n * step / factor)
        low, high = max(0, wanted - reach), min(len(samples) - window - 1, wanted + reach)
        if high <= low:
            break
        follows = samples[natural + step : natural + step + window]
        if n and len(follows) == window:
            fits = np.correlate(samples[low : high + window], follows, "valid")
            at = low + int(fits.argmax())
        else:
            at = min(wanted, high)
        out[n * step : n * step + window] += samples[at : at + window] * fade
        natural = at
    return out


def _taking_turns(one: _Spoken, other: _Spoken) -> _Spoken:
    """Two people: turns of 2.5 s that overlap by half a second; the lips are known outside the overlaps."""
    t = np.arange(len(one[0])) / SAMPLE_RATE_HZ
    turn = np.mod(t, 5.0)
    first = np.clip(np.minimum(turn / 0.05, (2.75 - turn) / 0.05), 0, 1)
    second = np.clip(np.maximum((turn - 2.25) / 0.05, (0.25 - turn) / 0.05), 0, 1)
    mixed = one[0] * first + other[0] * second
    by_ms = slice(None, None, 16)
    a, b = first[by_ms][: len(one[1])] > 0.5, second[by_ms][: len(one[1])] > 0.5
    track = np.where(a & ~b, one[1], np.where(b & ~a, other[1], -1)).astype(np.int8)
    return mixed.astype(np.float32), track
