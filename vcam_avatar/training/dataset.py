"""The training set: sound and pose of the same length, unit by unit, stored as samples.

A sample holds, for each tick of the 25 Hz motion clock, the MFCC rows heard in it and the pose seen in it.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from vcam_avatar.errors import MediaError
from vcam_avatar.media import FloatArray
from vcam_avatar.stages.features import N_COEFFICIENTS, mfcc
from vcam_avatar.stages.pose_layout import layout_of
from vcam_avatar.training.pose_clean import MOTION_HZ

ROWS_PER_TICK = 4
INDEX_NAME = "samples.json"


@dataclass
class Sample:
    """One stretch of speech with its motion. All arrays have T ticks."""

    source: str
    """Where it comes from."""
    real: bool
    """Sound and motion were recorded together."""
    rows: FloatArray
    """float ``(T, 4, 40)`` MFCC rows heard in each tick."""
    pose: FloatArray
    """float ``(T, K, 3)`` normalised pose, third column confidence."""
    rest: FloatArray
    """float ``(K, 2)`` pose to which this person returns."""
    plan: FloatArray
    """float ``(T, P)`` plan under which each pose was reached; P may be 0."""
    event: NDArray[np.bool_]
    """``(T,)``: a motion unit begins with this pose."""
    code: NDArray[np.int64]
    """``(T,)`` motion unit, -1 at rest."""
    speech: NDArray[np.bool_]
    """``(T,)``: somebody speaks."""

    def __post_init__(self) -> None:
        ticks = len(self.rows)
        for name in ("pose", "plan", "event", "code", "speech"):
            if len(getattr(self, name)) != ticks:
                raise ValueError(f"{name} has {len(getattr(self, name))} ticks, the sound {ticks}")
        if self.rows.shape[1:] != (ROWS_PER_TICK, N_COEFFICIENTS):
            raise ValueError(f"expected rows of shape (T, 4, 40), got {self.rows.shape}")
        layout_of(self.pose.shape[1])

    @property
    def ticks(self) -> int:
        """Length T."""
        return len(self.rows)


def tick_rows(samples: FloatArray, ticks: int) -> FloatArray:
    """MFCC rows of each tick, float32 ``(ticks, 4, 40)``, of float32 ``(n,)`` 16 kHz sound (silence after
    its end). Tick k holds the rows that begin in ``[40 k, 40 k + 40)`` ms."""
    needed = ticks * ROWS_PER_TICK * 160 + 240
    padded = np.zeros(needed, np.float32)
    padded[: min(needed, len(samples))] = samples[:needed]
    return mfcc(padded)[: ticks * ROWS_PER_TICK].reshape(ticks, ROWS_PER_TICK, N_COEFFICIENTS)


def truncate(
    sample: Sample, length: int, points: int, rng: np.random.Generator
) -> tuple[slice, NDArray[np.int64]]:
    """Choose an aligned piece of a sample and where to cut it.

    Sound and pose are cut at the same ticks. What lies before a truncation point is given, the pose right
    after it is the label.

    Args:
        sample: at least two ticks long.
        length: ticks of the piece (shorter when the sample is).
        points: how many truncation points, at least one.
        rng: source of chance.

    Returns:
        The piece as a slice of ticks, and sorted truncation points: tick ``p`` of the piece is the last one
        given, tick ``p + 1`` of the sample's motion is the label, ``0 <= p < piece length``.
    """
    usable = sample.ticks - 1
    if usable < 1:
        raise ValueError(f"sample {sample.source} has {sample.ticks} ticks; at least 2 are needed")
    length = min(length, usable)
    start = int(rng.integers(0, usable - length + 1))
    count = int(np.clip(points, 1, length))
    cuts = np.sort(rng.choice(length, count, replace=False))
    return slice(start, start + length), cuts.astype(np.int64)


def save_samples(folder: Path, samples: Iterable[Sample], about: dict[str, Any] | None = None) -> int:
    """Store samples, float16, one archive each; the index is written last, so a half-written set is not
    mistaken for a whole one. Returns how many."""
    folder.mkdir(parents=True, exist_ok=True)
    index: list[dict[str, Any]] = []
    for number, sample in enumerate(samples):
        name = f"{number:05d}.npz"
        arrays = {f.name: getattr(sample, f.name) for f in fields(sample) if f.name not in ("source", "real")}
        halves = {k: v.astype(np.float16) if v.dtype.kind == "f" else v for k, v in arrays.items()}
        np.savez_compressed(folder / name, **halves)
        index.append({"file": name, "source": sample.source, "real": sample.real, "ticks": sample.ticks})
    temporary = folder / (INDEX_NAME + ".tmp")
    text = json.dumps({"hz": MOTION_HZ, "about": about or {}, "samples": index}, indent=1)
    temporary.write_text(text)
    os.replace(temporary, folder / INDEX_NAME)
    return len(index)


def load_samples(folder: Path) -> list[Sample]:
    """Read a stored set.

    Raises:
        MediaError: no set there, or damaged.
    """
    try:
        index = json.loads((folder / INDEX_NAME).read_text())
        samples = []
        for entry in index["samples"]:
            with (folder / entry["file"]).open("rb") as file, np.load(file) as data:
                arrays = {k: data[k] for k in data.files}
            floats = {k: v.astype(np.float32) if v.dtype == np.float16 else v for k, v in arrays.items()}
            samples.append(Sample(entry["source"], bool(entry["real"]), **floats))
    except FileNotFoundError as exc:
        raise MediaError(f"{folder}: no training set ({INDEX_NAME} is missing); make one first") from exc
    except (ValueError, KeyError, TypeError, OSError, BadZipFile) as exc:
        raise MediaError(f"{folder}: damaged training set ({exc})") from exc
    return samples
