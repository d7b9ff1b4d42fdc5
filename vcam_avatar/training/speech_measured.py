"""Speech of people whose lips were measured: by capture (FACEGOOD) or in the picture (GRID)."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vcam_avatar.media import SAMPLE_RATE_HZ, FloatArray
from vcam_avatar.training.speech_align import Aligner
from vcam_avatar.training.speech_audio import read_audio
from vcam_avatar.training.speech_clips import CURVES, Clip
from vcam_avatar.training.speech_phones import viseme_track


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
