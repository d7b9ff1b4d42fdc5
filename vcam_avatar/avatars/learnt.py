"""What an avatar has learnt from a video of its person: the folder ``learnt/`` beside ``layers/``.

``learnt.json`` says from what and how much better it is, ``motion.json`` holds how the person bends, the rest
are layers like those in ``layers/`` with what the picture hides. Everything is plain numbers and pictures, so
that it can travel in an ``.avatar`` file; it belongs to one picture and counts only with that.
"""

import hashlib
import json
import logging
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vcam_avatar.avatars.format import PICTURE_FILE
from vcam_avatar.avatars.layers import Layers, load_layers, save_layers
from vcam_avatar.errors import AvatarDataError
from vcam_avatar.media import FloatArray

logger = logging.getLogger(__name__)

LEARNT_FOLDER = "learnt"
ABOUT_FILE, MOTION_FILE = "learnt.json", "motion.json"
LEARNT_FORMAT = 1
FEATURES = 22
"""Numbers that describe a pose, see ``stages.body_learnt.features``."""
_MOST_NODES = 64
_MOST_SHIFT = 0.5
"""Of any number in the table, in shoulder widths."""
_MEASURES = ("l1", "psnr", "ssim", "hand_l1", "hand_ssim")


@dataclass(frozen=True, slots=True)
class MotionTable:
    """Displacements on a grid around the neck, linear in a pose's features."""

    shifts: FloatArray
    """float32 ``(FEATURES, G, G, 2)``: rows, columns; x and y in shoulder widths per feature."""
    spread: FloatArray
    """float32 ``(FEATURES,)``: features are divided by it first."""
    lowest: FloatArray
    highest: FloatArray
    """float32 ``(FEATURES,)``: limits of the divided features; what was never seen is not extrapolated."""


@dataclass(frozen=True, slots=True)
class About:
    """Where it comes from."""

    video: str
    """File name."""
    date: str
    frames: int
    """That were learnt from."""
    before: dict[str, float]
    after: dict[str, float]
    """Means over the frames held out: ``l1`` (share), ``psnr`` (dB), ``ssim``, ``hand_l1``, ``hand_ssim``."""

    @property
    def summary(self) -> str:
        """In one line."""
        figures = ", ".join(
            f"{name.upper()} {self.before[key]:.3g} -> {self.after[key]:.3g}"
            for key, name in (("l1", "l1"), ("psnr", "psnr"), ("ssim", "ssim"))
            if key in self.before and key in self.after
        )
        return f"{self.video}, {self.frames} frames, {self.date}; held-out frames: {figures}"


@dataclass(frozen=True, slots=True)
class Learnt:
    """All of it."""

    layers: Layers
    motion: MotionTable | None
    about: About


def save_learnt(folder: Path, learnt: Learnt) -> Path:
    """Put ``learnt`` into an avatar's folder, whole or not at all.

    Returns:
        The new folder.

    Raises:
        AvatarDataError: it cannot be written.
    """
    target = folder / LEARNT_FOLDER
    try:
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".learnt-") as scratch:
            fresh = Path(scratch) / LEARNT_FOLDER
            save_layers(fresh, learnt.layers)
            if learnt.motion is not None:
                (fresh / MOTION_FILE).write_text(_motion_text(learnt.motion), encoding="utf-8")
            data = {
                "format": LEARNT_FORMAT,
                "picture_sha256": _picture_hash(folder),
                "video": learnt.about.video,
                "date": learnt.about.date,
                "frames": learnt.about.frames,
                "before": learnt.about.before,
                "after": learnt.about.after,
                "motion": learnt.motion is not None,
            }
            (fresh / ABOUT_FILE).write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
            if target.exists():
                target.rename(Path(scratch) / "old")
            fresh.rename(target)
    except OSError as exc:
        raise AvatarDataError(f"{target} cannot be written: {exc}") from exc
    return target


def forget_learnt(folder: Path) -> bool:
    """Remove what an avatar has learnt; False when there was nothing.

    Raises:
        AvatarDataError: it cannot be removed.
    """
    target = folder / LEARNT_FOLDER
    if not target.exists():
        return False
    try:
        shutil.rmtree(target)
    except OSError as exc:
        raise AvatarDataError(f"{target} cannot be removed: {exc}") from exc
    return True


def load_learnt(folder: Path) -> Learnt | None:
    """Read what the avatar in ``folder`` has learnt; None when it has not learnt anything.

    Raises:
        AvatarDataError: a file is missing or damaged, or belongs to another picture; says how to mend it.
    """
    place = folder / LEARNT_FOLDER
    if not place.is_dir():
        return None
    cure = f"learn again, or remove it: vcam-avatar train body --avatar {folder.name} --forget"
    try:
        data = _read_json(place / ABOUT_FILE)
        if data["format"] != LEARNT_FORMAT:
            raise AvatarDataError(f"{place}: format {data['format']!r} is unknown; update the program")
        if data["picture_sha256"] != _picture_hash(folder):
            raise AvatarDataError(f"{place} was learnt with another picture than {PICTURE_FILE}; {cure}")
        measured = [
            {name: float(data[key][name]) for name in _MEASURES if name in data[key]}
            for key in ("before", "after")
        ]
        about = About(str(data["video"]), str(data["date"]), int(data["frames"]), *measured)
        motion = _motion_of(_read_json(place / MOTION_FILE)) if data["motion"] else None
        return Learnt(load_layers(place), motion, about)
    except (OSError, KeyError, TypeError, ValueError) as exc:
        raise AvatarDataError(f"{place} is damaged ({exc!r}); {cure}") from exc


def usable_learnt(folder: Path) -> Learnt | None:
    """Like ``load_learnt``; what is damaged is told in the log and not used."""
    try:
        return load_learnt(folder)
    except AvatarDataError as exc:
        logger.warning("shown as it was before it learnt from a video: %s", exc)
        return None


def _picture_hash(folder: Path) -> str:
    return hashlib.sha256((folder / PICTURE_FILE).read_bytes()).hexdigest()


def _read_json(path: Path) -> dict[str, Any]:
    data = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(data, dict):
        raise ValueError(f"{path.name} holds no object")
    return data


def _motion_text(table: MotionTable) -> str:
    def numbers(values: FloatArray) -> list[float]:
        return [round(float(v), 5) for v in values.ravel()]

    data = {
        "nodes": table.shifts.shape[1],
        "spread": numbers(table.spread),
        "lowest": numbers(table.lowest),
        "highest": numbers(table.highest),
        "shifts": numbers(table.shifts),
    }
    return json.dumps(data, separators=(",", ":")) + "\n"


def _motion_of(data: dict[str, Any]) -> MotionTable:
    nodes = int(data["nodes"])
    if not 2 <= nodes <= _MOST_NODES:
        raise ValueError(f"{nodes} nodes")
    spread, lowest, highest = (_numbers(data[key], FEATURES) for key in ("spread", "lowest", "highest"))
    shifts = _numbers(data["shifts"], FEATURES * nodes * nodes * 2)
    if (spread <= 0).any() or (lowest > highest).any() or np.abs(shifts).max() > _MOST_SHIFT:
        raise ValueError("numbers beyond their limits")
    return MotionTable(shifts.reshape(FEATURES, nodes, nodes, 2), spread, lowest, highest)


def _numbers(values: Any, count: int) -> FloatArray:
    array = np.asarray(values, np.float32)
    if array.shape != (count,) or not np.isfinite(array).all():
        raise ValueError(f"expected {count} finite numbers, got {array.shape}")
    return array
