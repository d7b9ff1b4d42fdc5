"""How far a mouth opens for a sequence of phones, learnt where phones and lips are both known.

Most voices have phones but no picture. This gives them an opening that does not depend on the voice.
"""

import numpy as np
from numpy.typing import NDArray

from vcam_avatar.media import FloatArray
from vcam_avatar.stages.visemes import VISEMES
from vcam_avatar.training.speech_clips import Clip

STEP_MS = 10
_REACH = 24
"""Steps of phones to either side that shape an instant: lips prepare and linger."""


def _context(track: NDArray[np.int8]) -> FloatArray:
    """Viseme track in ms -> float32 ``(steps, features)``: who sounds when around each step of 10 ms."""
    steps = len(track) // STEP_MS
    hot = np.eye(len(VISEMES), dtype=np.float32)[track[: steps * STEP_MS].reshape(steps, STEP_MS)].mean(1)
    padded = np.concatenate([np.tile(hot[:1] * 0, (_REACH, 1)), hot, np.tile(hot[:1] * 0, (_REACH, 1))])
    padded[:_REACH, 0] = padded[-_REACH:, 0] = 1
    # Fine near the instant, coarse far from it.
    offsets = [(k, k + 1) for k in range(-6, 7)]
    offsets += [(6 + 3 * k + 1, 6 + 3 * k + 4) for k in range(6)]
    offsets += [(-a - 2, -a + 1) for a in range(7, 25, 3)]
    total = np.concatenate([np.zeros((1, len(VISEMES)), np.float32), np.cumsum(padded, 0)])
    parts = []
    for low, high in offsets:
        a = np.clip(np.arange(steps) + _REACH + low, 0, len(padded))
        b = np.clip(np.arange(steps) + _REACH + high, 0, len(padded))
        parts.append((total[b] - total[a]) / max(1, high - low))
    return np.concatenate([*parts, np.ones((steps, 1), np.float32)], 1).astype(np.float32)


class Articulation:
    """Linear map from phones in context to lip opening."""

    def __init__(self, clips: list[Clip]) -> None:
        """Fit on ``clips`` that have visemes and a measured opening.

        Raises:
            ValueError: none has both.
        """
        square: NDArray[np.float64] | None = None
        product: NDArray[np.float64] | None = None
        for clip in clips:
            if clip.visemes is None or clip.curves is None or np.isnan(clip.curves[:, 0]).any():
                continue
            x = _context(clip.visemes).astype(np.float64)
            times = (np.arange(len(x)) + 0.5) * STEP_MS / 1000
            y = np.interp(times, (np.arange(len(clip.curves)) + 0.5) / clip.curve_fps, clip.curves[:, 0])
            square = x.T @ x if square is None else square + x.T @ x
            product = x.T @ y if product is None else product + x.T @ y
        if square is None or product is None:
            raise ValueError("no clip has both phones and a measured opening")
        self._weights = np.linalg.solve(square + 30 * np.eye(len(square)), product).astype(np.float32)

    def opening(self, track: NDArray[np.int8]) -> FloatArray:
        """Opening at every 10 ms of a viseme track in ms, float32 ``(steps,)``; 0 = rest, about 1 = wide."""
        curve = np.clip(_context(track) @ self._weights, -0.2, 1.4)
        # Silence is closed lips, whatever this speaker does in pauses.
        steps = len(curve)
        silent = (track[: steps * STEP_MS].reshape(steps, STEP_MS) == 0).mean(1)
        return np.asarray(curve * (1 - silent), np.float32)
