"""Mouths of real speech, so that random faces are not all invented."""

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vcam_avatar.media import FACE_ACTIONS, FloatArray

MOUTH_SHAPES_FILE = "mouth_shapes.npz"
"""In ``models/``: typical mouths, uint8 ``(n, 52)`` in 1/200."""

FACEGOOD_TO_ACTIONS: dict[str, dict[str, float]] = {
    "mouth_stretch_c": {"jawOpen": 0.95},
    "mouth_oh_c": {"jawOpen": 0.35, "mouthFunnel": 0.7},
    "mouth_oo_c": {"mouthPucker": 0.8, "mouthFunnel": 0.3},
    "mouth_pucker_l": {"mouthPucker": 0.5},
    "mouth_pucker_r": {"mouthPucker": 0.5},
    "mouth_funnel_dl": {"mouthFunnel": 0.25},
    "mouth_funnel_dr": {"mouthFunnel": 0.25},
    "mouth_funnel_ul": {"mouthFunnel": 0.25},
    "mouth_funnel_ur": {"mouthFunnel": 0.25},
    "mouth_lowerLipDepress_l": {"mouthLowerDownLeft": 2.0},
    "mouth_lowerLipDepress_r": {"mouthLowerDownRight": 2.0},
    "mouth_upperLipRaise_l": {"mouthUpperUpLeft": 2.0},
    "mouth_upperLipRaise_r": {"mouthUpperUpRight": 2.0},
    "mouth_lipCornerPull_l": {"mouthSmileLeft": 1.5},
    "mouth_lipCornerPull_r": {"mouthSmileRight": 1.5},
    "mouth_lipStretch_l": {"mouthStretchLeft": 1.0},
    "mouth_lipStretch_r": {"mouthStretchRight": 1.0},
    "mouth_press_l": {"mouthPressLeft": 1.0},
    "mouth_press_r": {"mouthPressRight": 1.0},
    "mouth_suck_dl": {"mouthRollLower": 0.5},
    "mouth_suck_dr": {"mouthRollLower": 0.5},
    "mouth_suck_ul": {"mouthRollUpper": 0.5},
    "mouth_suck_ur": {"mouthRollUpper": 0.5},
    "mouth_chinRaise_d": {"mouthShrugLower": 1.0},
    "mouth_chinRaise_u": {"mouthShrugUpper": 1.0},
    "mouth_dimple_l": {"mouthDimpleLeft": 1.0},
    "mouth_dimple_r": {"mouthDimpleRight": 1.0},
    "jaw_thrust_c": {"jawForward": 0.6},
    "mouth_lipCornerDepress_l": {"mouthFrownLeft": 1.0},
    "mouth_lipCornerDepress_r": {"mouthFrownRight": 1.0},
}
"""How the controls of the FACEGOOD recordings move a face of ours; gains above 1 where they are shy."""


def to_actions(controls: NDArray[np.floating], names: list[str]) -> FloatArray:
    """FACEGOOD controls ``(n, len(names))`` -> actions float32 ``(n, 52)``, clipped to 0..1."""
    out = np.zeros((len(controls), len(FACE_ACTIONS)), np.float32)
    for name, targets in FACEGOOD_TO_ACTIONS.items():
        for action, gain in targets.items():
            out[:, FACE_ACTIONS.index(action)] += gain * controls[:, names.index(name)]
    return np.clip(out, 0, 1)


def typical_mouths(actions: FloatArray, count: int, seed: int = 1) -> FloatArray:
    """``count`` mouths far apart from each other: float32 ``(count, 52)``, rare ones included."""
    rng = np.random.default_rng(seed)
    chosen = [int(rng.integers(len(actions)))]
    nearest = ((actions - actions[chosen[0]]) ** 2).sum(1)
    while len(chosen) < min(count, len(actions)):
        # Far ones are likelier, but not only the farthest: that would be the recording's errors.
        pick = int(rng.choice(len(actions), p=nearest / nearest.sum()))
        chosen.append(pick)
        nearest = np.minimum(nearest, ((actions - actions[pick]) ** 2).sum(1))
    return actions[chosen]


def learn(folder: Path, out: Path, count: int = 256) -> int:
    """Write ``MOUTH_SHAPES_FILE`` from a FACEGOOD data folder; returns how many mouths."""
    names = (folder / "bs_names.txt").read_text().split()
    recorded = []
    for file in sorted((folder / "bs").glob("*.npz")):
        with np.load(file) as stored:
            recorded.append(to_actions(stored["bs"][::2], names))
    mouths = typical_mouths(np.concatenate(recorded), count)
    np.savez_compressed(out, actions=np.rint(mouths * 200).astype(np.uint8))
    return len(mouths)


@lru_cache(maxsize=1)
def real_mouths() -> tuple[dict[str, float], ...]:
    """The shipped typical mouths as action -> amount; empty when the file is not there."""
    from vcam_avatar.resources import models_dir

    file = models_dir() / MOUTH_SHAPES_FILE
    if not file.is_file():
        return ()
    with np.load(file) as stored:
        table = stored["actions"].astype(np.float32) / 200
    return tuple({n: float(a) for n, a in zip(FACE_ACTIONS, row, strict=True) if a > 0.01} for row in table)
