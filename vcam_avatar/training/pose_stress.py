"""``python -m vcam_avatar.training.pose_stress DATA``: fits the weights of ``stages.pose_voice.Stress``.

The live detector knows nothing but the past; it learns from speech in rooms, whispered and disturbed, whose
stressed syllables are known from the analysis of the whole clean clip.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vcam_avatar.media import FloatArray
from vcam_avatar.stages.pose_voice import Stress
from vcam_avatar.training.pose_prosody import ROWS_HZ, analyse

_RIDGE = 3.0


def facts(rows: FloatArray) -> NDArray[np.float64]:
    """What the detector knows at each tick of MFCC ``(T, 4, 40)``: ``(T, lags)`` dB below the loudest."""
    stress = Stress()
    out = []
    for tick in rows:
        stress.heard(np.asarray(tick, np.float32))
        out.append(stress.facts())
    return np.array(out)


def stress_ticks(sound: FloatArray, ticks: int) -> NDArray[np.bool_]:
    """``(ticks,)``: a stress can be heard by the end of this tick, or of the one before."""
    at = np.ceil((analyse(sound).stress_rows + 3) * 25 / ROWS_HZ).astype(int)
    marks = np.zeros(ticks + 1, bool)
    marks[at[at < ticks]] = True
    marks[1:] |= marks[:-1]
    return marks[:ticks]


def fit(known: NDArray[np.float64], wanted: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Logistic regression ``(n, d)`` -> ``(n,)``: weights and, last, the bias."""
    mean, scale = known.mean(0), known.std(0) + 1e-6
    z = np.column_stack([(known - mean) / scale, np.ones(len(known))])
    weights = np.zeros(z.shape[1])
    ridge = np.full(len(weights), _RIDGE)
    ridge[-1] = 0
    for _ in range(15):
        likely = 1 / (1 + np.exp(-z @ weights))
        slope = likely * (1 - likely) + 1e-4
        gradient = z.T @ (likely - wanted) + ridge * weights
        weights -= np.linalg.solve(z.T @ (z * slope[:, None]) + np.diag(ridge + 1e-9), gradient)
    return np.append(weights[:-1] / scale, weights[-1] - (weights[:-1] * mean / scale).sum())


def main(argv: Sequence[str] | None = None) -> int:
    """Print the weights per dB and the bias."""
    from vcam_avatar.training.dataset import tick_rows
    from vcam_avatar.training.pose_sound import Mix, sessions

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of the recordings")
    parser.add_argument("--seed", type=int, default=77)
    args = parser.parse_args(argv)
    known, wanted = [], []
    for session in sessions(args.data, Mix(passes=2), np.random.default_rng(args.seed)):
        rows = tick_rows(session.heard, len(session.clean) * 25 // 16000)
        known.append(facts(rows))
        wanted.append(stress_ticks(session.clean, len(rows)))
    weights = fit(np.concatenate(known), np.concatenate(wanted))
    print(f"{sum(map(len, wanted)) / 1500:.0f} minutes of sound")
    print("weights", np.round(weights[:-1], 3).tolist(), "bias", round(float(weights[-1]), 2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
