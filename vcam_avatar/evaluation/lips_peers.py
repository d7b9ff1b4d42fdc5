"""Other people's lip-sync packages on our clips: npm ``@met4citizen/headaudio`` and PyPI ``pylipsync``.

Both are optional. Each is scored at the delay that suits it best, which is more than we allow ourselves.
"""

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray

from vcam_avatar.evaluation.lips_hear import labels_at
from vcam_avatar.media import SAMPLE_RATE_HZ
from vcam_avatar.stages.visemes import VISEMES
from vcam_avatar.training.speech_clips import Clip

_DELAYS_MS = range(0, 141, 20)
_RATES_HZ = (16_000, 24_000, 48_000)
"""headaudio's filters depend on the rate: the best one counts."""
Track = tuple[NDArray[np.int64], float, float]
"""Viseme of each block, ms until the first is known, ms per block."""


def headaudio(clips: list[Clip], package: Path, rate_hz: int) -> list[Track]:
    """What headaudio says to each clip.

    Raises:
        FileNotFoundError: Node or the package is not installed.
        subprocess.CalledProcessError: the package failed.
    """
    script = Path(__file__).with_name("lips_headaudio.mjs")
    with tempfile.TemporaryDirectory() as folder:
        for k, clip in enumerate(clips):
            sound = soxr.resample(clip.samples, SAMPLE_RATE_HZ, rate_hz).astype(np.float32)
            sound.tofile(f"{folder}/{k:05d}.f32")
        out = Path(folder) / "out.json"
        command = ["node", str(script), str(package), folder, str(out), str(rate_hz)]
        subprocess.run(command, check=True, capture_output=True)
        rows = json.loads(out.read_text())
    return [(np.array([VISEMES.index(v) for v in rows[f"{k:05d}"]]), 8.0, 8.0) for k in range(len(clips))]


def pylipsync(clips: list[Clip]) -> list[Track]:
    """What pylipsync says to each clip; it knows five vowels and silence.

    Raises:
        ImportError: the package is not installed.
    """
    from pylipsync import PhonemeAnalyzer

    analyzer = PhonemeAnalyzer()
    ours = {"aa": "aa", "ee": "E", "ih": "I", "oh": "O", "ou": "U", "silence": "sil"}
    tracks = []
    for clip in clips:
        said = []
        for segment in analyzer.extract_phoneme_segments(clip.samples, SAMPLE_RATE_HZ):
            weights = {p.name: p.target for p in segment.phonemes}
            loud = sum(w for name, w in weights.items() if name != "silence") > 1e-9
            said.append(VISEMES.index(ours[segment.dominant_phoneme.name]) if loud else 0)
        tracks.append((np.array(said), 40.3, 16.625))
    return tracks


def best_accuracy(clips: list[Clip], tracks: list[Track]) -> dict[str, Any]:
    """Share of 10 ms instants with the right viseme, in percent, at the best delay."""
    best: dict[str, Any] = {"accuracy": -1.0}
    for delay in _DELAYS_MS:
        right = total = 0
        for clip, (said, known_ms, step_ms) in zip(clips, tracks, strict=True):
            assert clip.visemes is not None
            times = np.arange(0, len(clip.visemes), 10.0)
            at = np.floor((times + delay - known_ms) / step_ms).astype(int)
            answer = np.where(at < 0, 0, said[np.clip(at, 0, len(said) - 1)])
            right += int((answer == labels_at(clip.visemes, times)).sum())
            total += len(times)
        accuracy = round(100 * right / max(1, total), 1)
        if accuracy > best["accuracy"]:
            best = {"accuracy": accuracy, "delay_ms": delay}
    return best


def compare(groups: dict[str, list[Clip]], package: Path | None) -> dict[str, Any]:
    """Accuracy of every peer that is installed, per group of clips; why not, for the others.

    Args:
        groups: clips with phone times.
        package: folder of the unpacked npm package, None = not there.
    """
    out: dict[str, Any] = {}
    try:
        out["pylipsync"] = {name: best_accuracy(clips, pylipsync(clips)) for name, clips in groups.items()}
    except ImportError:
        out["pylipsync"] = "not measured: pip install pylipsync"
    if package is None:
        out["headaudio"] = "not measured: npm pack @met4citizen/headaudio, unpack, --headaudio FOLDER"
        return out
    out["headaudio"] = {}
    for name, clips in groups.items():
        tries = [{**best_accuracy(clips, headaudio(clips, package, hz)), "rate_hz": hz} for hz in _RATES_HZ]
        out["headaudio"][name] = max(tries, key=lambda t: float(t["accuracy"]))
    return out
