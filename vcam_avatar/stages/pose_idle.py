"""Small motion that never stops: breathing, sway, shifts of weight."""

import numpy as np

from vcam_avatar.media import FloatArray
from vcam_avatar.stages.pose_layout import (
    ARMS,
    HAND_POINTS,
    HEAD,
    LEFT_HIP,
    LEFT_SHOULDER,
    MID_HIP,
    RIGHT_HIP,
)

BREATH, SWAY, HEAD_DRIFT = 0.007, 0.010, 0.006
"""Amplitudes in shoulder widths."""


class IdleMotion:
    """A function of time alone, different for each seed: sums of waves whose periods share no multiple."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._breath_hz = rng.uniform(0.22, 0.28)
        # Slow waves that change the breath's pace, and those of sway and head, per axis.
        self._hz = np.array([[0.031, 0.077, 0.143], [0.043, 0.091, 0.171], [0.057, 0.119, 0.229]])
        self._hz = self._hz * rng.uniform(0.85, 1.15, self._hz.shape)
        self._phase = rng.uniform(0, 2 * np.pi, (6, 3))
        self._weight = np.array([0.55, 0.3, 0.15])

    def _wave(self, row: int, time_s: float) -> float:
        angles = 2 * np.pi * self._hz[row % 3] * time_s + self._phase[row]
        return float((np.sin(angles) * self._weight).sum())

    def breath(self, time_s: float) -> float:
        """-1 (out) to 1 (in); in takes less time than out."""
        pace = self._breath_hz * time_s + 0.35 * self._wave(0, time_s)
        turn = 2 * np.pi * pace
        return float(np.sin(turn + 0.45 * np.sin(turn)))

    def apply(self, pose: FloatArray, time_s: float) -> FloatArray:
        """Add the motion of that moment to a normalised pose ``(K, 2 or 3)``; a new array."""
        out = np.array(pose, np.float32)
        breath = BREATH * self.breath(time_s)
        # A shift of weight is a wave with flat tops.
        shift = float(np.tanh(2.5 * self._wave(1, time_s * 0.6)))
        lean = np.array([SWAY * (self._wave(2, time_s) + shift), breath + 0.4 * SWAY * self._wave(3, time_s)])
        # The origin is the neck: a neck that rises is hips that sink.
        out[[MID_HIP, RIGHT_HIP, LEFT_HIP], :2] += lean
        if len(out) > 57:
            out[57:, :2] += lean
        nod = np.array([HEAD_DRIFT * self._wave(4, time_s), 0.7 * HEAD_DRIFT * self._wave(5, time_s)])
        out[list(HEAD), :2] += nod
        for shoulder, elbow, wrist, hand in ARMS:
            rise = np.array([0.0, -0.6 * breath])
            side = 1.0 if shoulder == LEFT_SHOULDER else -1.0
            out[shoulder, :2] += rise
            out[elbow, :2] += np.array([side * 0.5 * breath, rise[1]])
            # Hands in the lap stay with the hips; the arm gives.
            hang = 0.5 * rise + 0.35 * lean
            out[wrist, :2] += hang
            out[hand : hand + HAND_POINTS, :2] += hang
        return out
