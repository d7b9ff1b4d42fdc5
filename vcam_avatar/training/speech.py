"""Speech with what the mouth does, ready for training.

    python -m vcam_avatar.training.speech OUT --data ../shared/data [--only woman man ...]
        [--grid-landmarks FILE] [--synthetic FOLDER ...]

Every source becomes ``OUT/<source>.npz``. A source whose files are absent is skipped with a note.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vcam_avatar.media import SAMPLE_RATE_HZ, FloatArray
from vcam_avatar.stages.features import mel_energies
from vcam_avatar.training import speech_sounds
from vcam_avatar.training.speech_align import Aligner
from vcam_avatar.training.speech_audio import change_speed, read_audio, roughen
from vcam_avatar.training.speech_phones import (
    LAG_S,
    Phone,
    from_synthesiser,
    viseme_track,
)

CURVES = ("opening", "rounding", "width", "lower", "upper", "corner")
"""What is measured on real mouths: lip opening; rounding and funnel; width against rest, signed; lower lip
down; upper lip up; corners pulled. 0 = rest, 1 = the speaker's 95th percentile; NaN = not measured."""


@dataclass(frozen=True)
class Clip:
    """A stretch of speech."""

    name: str
    voice: str
    language: str
    split: str
    """train, dev or test."""
    samples: FloatArray
    """float32 mono 16 kHz."""
    visemes: NDArray[np.int8] | None = None
    """Viseme of every millisecond; ``UNKNOWN`` where not known."""
    curves: FloatArray | None = None
    """float32 ``(n, 6)`` at ``curve_fps``, in the middle of each video frame."""
    curve_fps: float = 25.0
    mel: FloatArray | None = None
    """float32 ``(rows, 40)`` mel energies; filled on saving."""


def save_clips(path: Path, clips: list[Clip]) -> None:
    """Write clips as one npz: ragged arrays joined, their lengths beside them. Keeps the samples as int16."""
    arrays: dict[str, NDArray[np.generic]] = {}
    meta = []
    parts: dict[str, list[NDArray[np.generic]]] = {"samples": [], "mel": [], "visemes": [], "curves": []}
    for clip in clips:
        parts["samples"].append((np.clip(clip.samples, -1, 1) * 32767).astype(np.int16))
        parts["mel"].append(mel_energies(clip.samples))
        parts["visemes"].append(np.zeros(0, np.int8) if clip.visemes is None else clip.visemes)
        parts["curves"].append(
            np.zeros((0, len(CURVES)), np.float32) if clip.curves is None else clip.curves.astype(np.float32)
        )
        meta.append([clip.name, clip.voice, clip.language, clip.split, clip.curve_fps])
    for key, values in parts.items():
        arrays[key] = np.concatenate(values)
        arrays[key + "_lengths"] = np.array([len(v) for v in values])
    arrays["meta"] = np.array(json.dumps(meta))
    temporary = path.with_suffix(".tmp.npz")
    np.savez(temporary, **arrays)  # type: ignore[arg-type]
    temporary.replace(path)


def load_clips(path: Path) -> list[Clip]:
    """Read what ``save_clips`` wrote."""
    with np.load(path, allow_pickle=False) as store:
        meta = json.loads(str(store["meta"]))
        cut = {
            k: np.split(store[k], np.cumsum(store[k + "_lengths"])[:-1])
            for k in ("samples", "mel", "visemes", "curves")
        }
    out = []
    for i, (name, voice, language, split, fps) in enumerate(meta):
        visemes, curves = cut["visemes"][i], cut["curves"][i]
        out.append(
            Clip(
                name, voice, language, split, cut["samples"][i].astype(np.float32) / np.float32(32767),
                visemes if len(visemes) else None, curves if len(curves) else None, fps, cut["mel"][i],
            )
        )  # fmt: skip
    return out


def _split(number: int, test_every: int) -> str:
    return "test" if number % test_every == 0 else "dev" if number % (2 * test_every) == 1 else "train"


def _with_phones(phones: Path, sounds: Path, voice: str, test_every: int) -> Iterator[Clip]:
    """English clips of one voice with aligned phones, a JSON object on each line of ``phones``."""
    for n, line in enumerate(phones.read_text().splitlines()):
        row = json.loads(line)
        track = viseme_track(row["phones"], row["phones"][-1][1], ipa=False)
        yield Clip(row["id"], voice, "en", _split(n, test_every), read_audio(sounds / row["file"]), track)


def woman(data: Path) -> Iterator[Clip]:
    """Asterisk's English prompts, one woman, with aligned phones."""
    return _with_phones(data / "asterisk_speech/en_phones.jsonl", data / "asterisk_speech/en", "woman", 5)


def man(data: Path) -> Iterator[Clip]:
    """dc_tts takes, one man at home, with aligned phones."""
    return _with_phones(data / "dctts_male_speech/phones.jsonl", data / "dctts_male_speech/flac", "man", 4)


def man_more(data: Path) -> Iterator[Clip]:
    """The man's takes without phone times, aligned here; all for training."""
    root, aligner = data / "dctts_male_speech", Aligner()
    done = {json.loads(line)["id"] for line in (root / "phones.jsonl").read_text().splitlines()}
    for line in (root / "transcripts.csv").read_text().splitlines():
        name, text = line.split("|")[0], line.split("|")[-1]
        path = root / f"flac/{name}.flac"
        if name in done or not path.is_file():
            continue
        samples = read_audio(path)
        phones = aligner.phones(samples, text)
        if phones:
            yield Clip(name, "man", "en", "train", samples, viseme_track(phones, phones[-1][1], ipa=False))


def librivox(data: Path) -> Iterator[Clip]:
    """Five sentences of an audiobook: only for testing."""
    aligner = Aligner()
    for line in (data / "librivox_5clips/transcription").read_text().splitlines():
        text, name = line.split("</s>")
        name = name.strip(" ()\n")
        samples = read_audio(data / f"librivox_5clips/{name}.wav")
        phones = aligner.phones(samples, text.replace("<s>", ""))
        if phones:
            track = viseme_track(phones, phones[-1][1], ipa=False)
            yield Clip(name, "librivox", "en", "test", samples, track)


def _unit(values: FloatArray, low: float = 5, high: float = 95) -> FloatArray:
    """Scale so that the given percentiles become 0 and 1."""
    a, b = np.nanpercentile(values, [low, high])
    return np.asarray((values - a) / (b - a + 1e-6), np.float32)


def facegood(data: Path) -> Iterator[Clip]:
    """FACEGOOD: captured mouth controls, Mandarin, one woman. 3_16 tests, the end of 3_15 chooses."""
    names = (data / "facegood_a2f/bs_names.txt").read_text().split()
    for path in sorted((data / "facegood_a2f/bs").glob("*.npz")):
        with np.load(path) as store:
            controls = store["bs"]
        samples = read_audio(data / f"facegood_a2f/wav/{path.stem}.flac")

        def get(name: str, controls: FloatArray = controls) -> FloatArray:
            return np.asarray(controls[:, names.index(name)], np.float32)

        rounding = (
            get("mouth_oo_c") + get("mouth_pucker_l") + 0.6 * get("mouth_funnel_dl") + 0.4 * get("mouth_oh_c")
        )
        curves = np.full((len(controls), len(CURVES)), np.nan, np.float32)
        curves[:, 0] = _unit(get("mouth_stretch_c"))
        curves[:, 1] = np.clip(rounding, 0, 1)
        curves[:, 3] = get("mouth_lowerLipDepress_l") / 0.25
        curves[:, 4] = get("mouth_upperLipRaise_l") / 0.15
        curves[:, 5] = get("mouth_lipCornerPull_l") / 0.15
        curves[:, 3:] = np.clip(curves[:, 3:], 0, 1.5)
        name, cut = path.stem, int(0.8 * len(controls))
        if name.endswith("3_16"):
            yield Clip(name, "facegood", "cmn", "test", samples, None, curves, 30.0)
        elif name.endswith("3_15"):
            at = cut * SAMPLE_RATE_HZ // 30
            yield Clip(name + "a", "facegood", "cmn", "train", samples[:at], None, curves[:cut], 30.0)
            yield Clip(name + "b", "facegood", "cmn", "dev", samples[at:], None, curves[cut:], 30.0)
        else:
            yield Clip(name, "facegood", "cmn", "train", samples, None, curves, 30.0)


def grid(data: Path, landmarks: Path) -> Iterator[Clip]:
    """GRID: lip opening and width from landmarks, phones from the fixed sentences. Only s1 is for training.

    Args:
        data: the data folder.
        landmarks: npz, clip name -> float ``(frames, 478, 2)`` MediaPipe face mesh in pixels.
    """
    root, aligner = data / "grid_corpus", Aligner()
    words: dict[str, list[str]] = {}
    for line in (root / "s1_words.tsv").read_text().splitlines()[1:]:
        name, _, _, word = line.split("\t")
        words.setdefault(name, []).append(word)
    measured: dict[str, FloatArray] = {}
    with np.load(landmarks) as store:
        for name in store.files:
            p = store[name].astype(np.float32)
            gap = np.linalg.norm(p[:, [13, 82, 312]] - p[:, [14, 87, 317]], axis=2).mean(1)
            width = np.linalg.norm(p[:, 61] - p[:, 291], axis=1)
            eyes = np.linalg.norm(p[:, 33] - p[:, 263], axis=1) + 1e-6
            if not np.isnan(gap).any():
                measured[name] = np.stack([gap / eyes, width / eyes], 1)
    mine = [
        n
        for n in measured
        if (root / f"s1/{n}.mp4").exists() and not (root / f"other_speakers/{n}.mpg").exists()
    ]
    everything = np.concatenate([measured[n] for n in mine])
    low, high = np.percentile(everything[:, 0], [5, 95])
    rest, spread = (
        np.median(everything[:, 1]),
        np.percentile(np.abs(everything[:, 1] - np.median(everything[:, 1])), 95),
    )
    for number, name in enumerate([*sorted(mine), *sorted(set(measured) - set(mine))]):
        other = name not in mine
        path = root / (f"other_speakers/{name}.mpg" if other else f"s1/{name}.mp4")
        samples, raw = read_audio(path), measured[name]
        curves = np.full((len(raw), len(CURVES)), np.nan, np.float32)
        curves[:, 0] = _unit(raw[:, 0]) if other else (raw[:, 0] - low) / (high - low)
        curves[:, 2] = np.clip((raw[:, 1] - (np.median(raw[:, 1]) if other else rest)) / spread, -1.5, 1.5)
        said = _grid_words(name) if name not in words else [w for w in words[name] if w not in ("sil", "sp")]
        phones = aligner.phones(samples, " ".join(said)) if said else None
        track = viseme_track(phones, phones[-1][1], ipa=False) if phones else None
        split = "test" if other or number % 20 == 0 else "dev" if number % 20 == 10 else "train"
        yield Clip(name, "grid-others" if other else "grid-s1", "en", split, samples, track, curves, 25.0)


def _grid_words(name: str) -> list[str]:
    """The sentence a GRID file name stands for, e.g. bbaf2n = bin blue at f two now."""
    code = name.split("_")[-1] if len(name) != 6 and "_" in name else name
    code = code[:6]
    tables = (
        {"b": "bin", "l": "lay", "p": "place", "s": "set"},
        {"b": "blue", "g": "green", "r": "red", "w": "white"},
        {"a": "at", "b": "by", "i": "in", "w": "with"},
    )
    digits = dict(
        zip(
            "z123456789",
            ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"],
            strict=True,
        )
    )
    if len(code) < 6 or any(c not in t for c, t in zip(code, tables, strict=False)) or code[4] not in digits:
        return []
    last = {"n": "now", "a": "again", "p": "please", "s": "soon"}
    return [*(t[c] for c, t in zip(code, tables, strict=False)), code[3], digits[code[4]], last[code[5]]]


def synthetic(folder: Path) -> Iterator[Clip]:
    """What ``speech_tts`` wrote: aligned where the aligner knows the words."""
    aligner = Aligner()
    for line in (folder / "clips.jsonl").read_text().splitlines():
        row = json.loads(line)
        path = folder / f"{row['id']}.flac"
        samples = read_audio(path)
        tokens: list[Phone] = [(s, e, c) for s, e, c in row["phones"]]
        phones = (
            aligner.phones(samples, row["text"])
            if row["language"] == "en-us" and "espeak" not in row["voices"]
            else None
        )
        if phones:
            track = viseme_track(phones, len(samples) / SAMPLE_RATE_HZ, ipa=False)
        else:
            lag = LAG_S[row["id"].split("_")[0]]
            track = viseme_track(from_synthesiser(tokens, lag), len(samples) / SAMPLE_RATE_HZ, ipa=True)
        voice = "+".join(row["voices"])
        yield Clip(row["id"], voice, row["language"], row["split"], samples, track)


def noise(data: Path) -> Iterator[Clip]:
    """Music, ambience and noise without speech: silence for the mouth."""
    for n, path in enumerate(sorted((data / "noise_music").glob("*.flac"))):
        yield Clip(
            path.stem,
            "noise",
            "",
            "test" if n % 3 == 0 else "dev" if n % 9 == 1 else "train",
            read_audio(path),
        )


def sounds() -> Iterator[Clip]:
    """Made sounds without speech."""
    for name, samples in speech_sounds.make(130, 4.0, seed=7):
        yield Clip(name, "noise", "", "train", samples)


def roughened(clips: list[Clip], rooms: list[FloatArray], seed: int) -> Iterator[Clip]:
    """A second copy of the training clips: another speed, room, microphone or line."""
    for n, clip in enumerate(clips):
        rng = np.random.default_rng([seed, n])
        speed = float(np.exp(rng.uniform(np.log(0.84), np.log(1.2)))) if rng.random() < 0.7 else 1.0
        samples = roughen(change_speed(clip.samples, speed), rng, rooms)
        track = clip.visemes
        if track is not None:
            at = np.minimum((np.arange(int(len(track) / speed)) * speed).astype(int), len(track) - 1)
            track = track[at]
        yield replace(
            clip,
            name=clip.name + "~",
            samples=samples,
            visemes=track,
            curve_fps=clip.curve_fps * speed,
            mel=None,
        )


def main(argv: list[str] | None = None) -> int:
    """Build the sets."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--grid-landmarks", type=Path)
    parser.add_argument("--synthetic", type=Path, nargs="*", default=[])
    options = parser.parse_args(argv)
    options.out.mkdir(parents=True, exist_ok=True)
    data: Path = options.data
    rooms = [read_audio(p) for p in sorted((data / "noise_music").glob("ir-*"))]
    sources: dict[str, Callable[[], Iterator[Clip]]] = {
        "woman": lambda: woman(data),
        "man": lambda: man(data),
        "man_more": lambda: man_more(data),
        "librivox": lambda: librivox(data),
        "facegood": lambda: facegood(data),
        "noise": lambda: noise(data),
        "sounds": sounds,
    }
    if options.grid_landmarks:
        sources["grid"] = lambda: grid(data, options.grid_landmarks)
    for folder in options.synthetic:
        sources[folder.name] = lambda folder=folder: synthetic(folder)  # type: ignore[misc]
    for name, source in sources.items():
        if options.only and name not in options.only:
            continue
        try:
            clips = list(source())
        except FileNotFoundError as exc:
            print(f"{name}: skipped, {exc}")
            continue
        train = [c for c in clips if c.split == "train" and c.voice != "noise"]
        clips += roughened(train, rooms, seed=len(name))
        save_clips(options.out / f"{name}.npz", clips)
        seconds = Fraction(sum(len(c.samples) for c in clips), SAMPLE_RATE_HZ)
        labelled = sum(c.visemes is not None for c in clips)
        print(f"{name}: {len(clips)} clips, {float(seconds):.0f} s, {labelled} with phones", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
