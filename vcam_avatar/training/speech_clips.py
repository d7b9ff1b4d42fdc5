"""Clips of speech with what the mouth does, and the files they are kept in."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vcam_avatar.media import FloatArray
from vcam_avatar.stages.features import mel_energies

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
