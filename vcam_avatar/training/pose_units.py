"""Real motion cut into units: from one moment of stillness of the hands to the next."""

import itertools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

from vcam_avatar.errors import MediaError
from vcam_avatar.media import FloatArray
from vcam_avatar.stages.pose_layout import ARMS, FINGERS, UPPER_BODY, mirrored
from vcam_avatar.training.pose_clean import MOTION_HZ
from vcam_avatar.training.pose_space import ARM_POINTS, BODY_POINTS, LinearSpace, fit_space, to_bones

SHORTEST_TICKS, LONGEST_TICKS = 5, 40
BANK_NAME = "bank.npz"
"""The bank of a training set, beside its samples."""


def hand_speed(pose: FloatArray) -> NDArray[np.float64]:
    """Speed of the hands, ``(T,)`` shoulder widths per second: wrists plus half of the fingers' own."""
    xy = np.asarray(pose[..., :2], np.float64)
    total = np.zeros(len(xy))
    for _, _, wrist, hand in ARMS:
        tips = [hand + f[-1] for f in FINGERS]
        own = xy[:, tips] - xy[:, hand : hand + 1]
        for track, weight in ((xy[:, [wrist]], 1.0), (own, 0.5)):
            step = np.linalg.norm(np.gradient(track, axis=0), axis=-1).mean(-1)
            total += 0.5 * weight * step * MOTION_HZ
    return total


def cut_units(pose: FloatArray) -> list[tuple[int, int]]:
    """``[start, end]`` (both inclusive, neighbours share a frame) of the motion units of ``(T, K, 3)``."""
    speed = gaussian_filter1d(hand_speed(pose), 1.2)
    still, _ = find_peaks(-np.log(speed + 0.05), distance=SHORTEST_TICKS, prominence=0.25)
    cuts = [0, *(int(i) for i in still), len(pose) - 1]
    units: list[tuple[int, int]] = []
    for a, b in itertools.pairwise(cuts):
        pieces = max(1, int(np.ceil((b - a) / LONGEST_TICKS)))
        marks = np.linspace(a, b, pieces + 1).round().astype(int)
        units += [(int(m), int(n)) for m, n in itertools.pairwise(marks) if n - m >= 3]
    return units


@dataclass(frozen=True)
class Unit:
    """One piece of real motion of arms and hands."""

    bones: FloatArray
    """float32 ``(n, A, 2)`` bones of ``ARM_POINTS``, 25 a second, first and last nearly still."""
    travel: float
    """Path of the hands, shoulder widths."""
    source: str
    """Whose motion."""


@dataclass(frozen=True)
class MotionBank:
    """Real motion, ready to be laid on speech."""

    units: tuple[Unit, ...]
    """Arm motion units, each also mirrored."""
    body: tuple[FloatArray, ...]
    """float32 ``(n, B, 2)`` bones of ``BODY_POINTS``: trunk and head motion of people who talk."""
    arms: LinearSpace
    """Coarse space of arm poses, in which units are compared and named."""
    trunk: LinearSpace
    """Coarse space of trunk and head."""
    starts: FloatArray
    """float32 ``(U, D)`` first pose of each unit in ``arms``."""
    ends: FloatArray
    """float32 ``(U, D)`` last pose."""
    middles: FloatArray
    """float32 ``(U, D)`` middle pose."""


def unit_energy(bank: MotionBank) -> FloatArray:
    """How lively each unit is among all: float32 ``(U,)`` rank by speed, 0..1."""
    travel = np.array([u.travel for u in bank.units])
    seconds = np.array([len(u.bones) - 1 for u in bank.units]) / MOTION_HZ
    order = np.argsort(np.argsort(travel / (0.15 + seconds)))
    return np.asarray(order / max(1, len(order) - 1), np.float32)


def save_bank(path: Path, bank: MotionBank) -> None:
    """Store a bank as one archive."""
    lengths = [len(u.bones) for u in bank.units], [len(b) for b in bank.body]
    arrays: dict[str, Any] = {
        "unit_bones": np.concatenate([u.bones for u in bank.units]).astype(np.float16),
        "unit_length": np.array(lengths[0]), "travel": np.array([u.travel for u in bank.units]),
        "source": np.array([u.source for u in bank.units]),
        "body_bones": np.concatenate(bank.body).astype(np.float16), "body_length": np.array(lengths[1]),
    }  # fmt: skip
    for name, space in (("arms", bank.arms), ("trunk", bank.trunk)):
        arrays |= {f"{name}_{part}": getattr(space, part) for part in ("points", "mean", "basis", "back")}
    for part in ("starts", "ends", "middles"):
        arrays[part] = getattr(bank, part)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part.npz")
    np.savez_compressed(partial, **arrays)
    os.replace(partial, path)


def load_bank(path: Path) -> MotionBank:
    """Read what ``save_bank`` wrote.

    Raises:
        MediaError: missing or damaged.
    """
    try:
        with np.load(path) as data:
            a = {name: data[name] for name in data.files}
        arms, trunk = (
            LinearSpace(
                tuple(int(p) for p in a[f"{n}_points"]), a[f"{n}_mean"], a[f"{n}_basis"], a[f"{n}_back"]
            )
            for n in ("arms", "trunk")
        )
        bones = np.split(a["unit_bones"].astype(np.float32), np.cumsum(a["unit_length"])[:-1])
        body = np.split(a["body_bones"].astype(np.float32), np.cumsum(a["body_length"])[:-1])
        units = [Unit(b, float(t), str(s)) for b, t, s in zip(bones, a["travel"], a["source"], strict=True)]
        return MotionBank(tuple(units), tuple(body), arms, trunk, a["starts"], a["ends"], a["middles"])
    except (OSError, KeyError, ValueError) as exc:
        raise MediaError(f"{path}: no motion bank, or a damaged one ({exc}); make the set again") from exc


ARM_COMPONENTS, TRUNK_COMPONENTS = 12, 5


def build_bank(sequences: dict[str, FloatArray], body_from: set[str]) -> MotionBank:
    """Cut canonical sequences ``name -> (T, 57, 3)`` at 25 Hz; trunk motion is taken from ``body_from``."""
    both = {}
    for name, pose in sequences.items():
        both[name], both[name + "/mirrored"] = pose, mirrored(pose)
    every = to_bones(np.concatenate(list(both.values())))
    arms = fit_space(every, ARM_POINTS, ARM_COMPONENTS)
    talking = [to_bones(p) for n, p in both.items() if n.split("/")[0] in body_from]
    trunk = fit_space(np.concatenate(talking), BODY_POINTS, TRUNK_COMPONENTS)
    units = []
    for name, pose in both.items():
        bones = to_bones(pose)[:, list(ARM_POINTS)]
        speed = hand_speed(pose)
        for a, b in cut_units(pose):
            units.append(Unit(bones[a : b + 1], float(speed[a:b].sum() / MOTION_HZ), name))

    def coarse(pick: list[FloatArray]) -> FloatArray:
        whole = np.zeros((len(pick), UPPER_BODY.size, 2), np.float32)
        whole[:, list(ARM_POINTS)] = np.stack(pick)
        return arms.encode(whole)

    return MotionBank(
        tuple(units),
        tuple(b[:, list(BODY_POINTS)] for b in talking),
        arms,
        trunk,
        coarse([u.bones[0] for u in units]),
        coarse([u.bones[-1] for u in units]),
        coarse([u.bones[len(u.bones) // 2] for u in units]),
    )
