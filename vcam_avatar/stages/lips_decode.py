"""From what the lip network says to how the mouth moves.

The curves carry the shape, the posteriors only close the lips: on p b m, on f v, and in silence.
"""

import math
from dataclasses import dataclass

import numpy as np

from vcam_avatar.media import FACE_ACTIONS, FloatArray
from vcam_avatar.stages.visemes import SHAPES, VISEME_ACTIONS, VISEME_OPENING, VISEMES, action_indices

STEP_MS = 10.0
"""The decoder runs once per feature row."""
_LOUD_FALL_DB = 0.3
"""How fast the loudest is forgotten, dB a step."""
_SIL, _PP, _FF = (VISEMES.index(v) for v in ("sil", "PP", "FF"))
_JAW_FULL = SHAPES["aa"]["jawOpen"]
_JAW = FACE_ACTIONS.index("jawOpen")
_PARTED = [i for n in ("mouthLowerDown", "mouthUpperUp", "tongueOut") for i in action_indices(n)]
_LIFTED = [i for n in ("mouthLowerDown", "mouthUpperUp") for i in action_indices(n)]
_ROUND = [FACE_ACTIONS.index(n) for n in ("mouthFunnel", "mouthPucker")]
_ROUND_FULL = np.array([0.75, 0.9], np.float32)
_LIP_CLOSERS = [i for n in ("mouthPress", "mouthRollLower", "mouthRollUpper") for i in action_indices(n)]
_TEETH_TOGETHER = np.array(
    [{"SS": 1.0, "CH": 0.9, "FF": 0.8, "DD": 0.35}.get(v, 0.0) for v in VISEMES], np.float32
)
_MOUTH = np.array([n.startswith(("jaw", "mouth", "tongue")) for n in FACE_ACTIONS])


@dataclass(frozen=True, slots=True)
class DecoderSettings:
    """Constants of the decoder; times in ms, levels in dB."""

    direct: float = 0.85
    """Share of the opening that the curve decides; the rest is what the visemes say."""
    open_ms: float = 8.0
    close_ms: float = 5.0
    """Time constants of the two one-sided poles each curve runs through."""
    shape_ms: float = 16.0
    """Time constant of the other face actions."""
    silence_from: float = 0.50
    silence_full: float = 0.80
    """Posterior of silence at which the lips begin to close and are closed."""
    attack: float = 0.2
    """How much surer of speech a step may become: a knock is over before the lips open."""
    closure_from: float = 0.15
    closure_full: float = 0.35
    """Posterior of p b m at which the lips begin to close and are closed."""
    closure_fall: float = 0.25
    """How much the closure may fade per step: a hold of 30 to 40 ms."""
    dead_zone: float = 0.04
    """Openings below this are closed lips."""
    gate_open_db: float = 9.0
    gate_close_db: float = 5.0
    """Above the noise floor by this much sound may open the lips; below by that much it may not."""
    gate_sure_db: float = 0.0
    """The same while the network is sure that somebody speaks: voices hardly louder than their room."""
    gate_sure_from: float = 0.85
    gate_sure_full: float = 0.97
    """Likelihood of speech, averaged over ``gate_sure_ms``, at which it begins to be sure and is."""
    gate_sure_ms: float = 40.0
    gate_drop_db: float = 30.0
    """So much below the voice's loudest of late, sureness no longer counts: what is left is the room."""
    gate_least_db: float = -75.0
    """Sound below this never opens the lips."""
    gate_hold_ms: float = 60.0
    """How long the gate stays open after the last loud row."""
    floor_rise_db_s: float = 2.5
    """How fast the noise floor may rise."""
    voice_from: float = 0.15
    voice_full: float = 0.35
    """Likelihood that what sounds is a voice at which the lips may begin to open and may open wholly."""


class NoiseGate:
    """Open while there is more than the room's noise. Follows the noise floor; hysteresis and hold."""

    def __init__(self, settings: DecoderSettings) -> None:
        self._settings = settings
        self.reset()

    def reset(self) -> None:
        """Nothing heard yet."""
        self.floor_db = -50.0
        self.is_open = False
        self._speech = 0.0
        self._loud_db = -90.0
        self._hold_ms = 0.0

    def step(self, level_db: float, speech: float = 0.0) -> bool:
        """Hear one row; say whether the lips may be open.

        Args:
            level_db: its level in dBFS.
            speech: how likely somebody speaks, 0..1.
        """
        s = self._settings
        if level_db < self.floor_db:
            self.floor_db += 0.3 * (max(level_db, -90.0) - self.floor_db)
        else:
            self.floor_db += min(s.floor_rise_db_s * STEP_MS / 1000, 0.02 * (level_db - self.floor_db))
        self._speech += _rate(s.gate_sure_ms) * (speech - self._speech)
        sure = _ramp(self._speech, s.gate_sure_from, s.gate_sure_full)
        self._loud_db = max(level_db, self._loud_db - _LOUD_FALL_DB)
        if level_db < self._loud_db - s.gate_drop_db:
            sure = 0.0
        needed = s.gate_close_db if self.is_open else s.gate_open_db
        needed += sure * (min(s.gate_sure_db, needed) - needed)
        if level_db > s.gate_least_db and level_db - self.floor_db > needed:
            self.is_open, self._hold_ms = True, s.gate_hold_ms
        else:
            self._hold_ms -= STEP_MS
            self.is_open = self.is_open and self._hold_ms > 0
        return self.is_open

    def copy_from(self, other: "NoiseGate") -> None:
        """Take over the state of ``other``."""
        self.floor_db, self.is_open = other.floor_db, other.is_open
        self._speech, self._hold_ms, self._loud_db = other._speech, other._hold_ms, other._loud_db


class MouthDecoder:
    """One step per feature row: posteriors and curves in, mouth face actions out. Causal."""

    def __init__(self, settings: DecoderSettings | None = None, slowness: float = 1.0) -> None:
        """``slowness`` multiplies the time constants; 1 is natural."""
        self.settings = settings or DecoderSettings()
        s = self.settings
        self._opening = _rate(s.open_ms * slowness)
        self._closing = _rate(s.close_ms * max(1.0, 0.5 + 0.5 * slowness))
        self._shaping = _rate(s.shape_ms * slowness)
        self.gate = NoiseGate(s)
        self.reset()

    def reset(self) -> None:
        """Closed lips, nothing heard."""
        self.gate.reset()
        self._speaking = self._closed = 0.0
        self._first = 0.0
        self.opening = 0.0
        """Smoothed lip opening, 0 closed, 1 = a full open vowel."""
        self._teeth = 0.0
        self._shape = np.zeros(len(FACE_ACTIONS), np.float32)

    @property
    def shown(self) -> float:
        """Lip opening that is shown: small ones are closed lips."""
        return self.opening if self.opening > self.settings.dead_zone else 0.0

    def copy_from(self, other: "MouthDecoder") -> None:
        """Take over the state of ``other``, which has the same settings."""
        self.gate.copy_from(other.gate)
        self._speaking, self._closed = other._speaking, other._closed
        self._first, self.opening = other._first, other.opening
        self._teeth, self._shape = other._teeth, other._shape.copy()

    def step(
        self, visemes: FloatArray, curves: FloatArray, level_db: float, muted: bool, voice: float = 1.0
    ) -> FloatArray:
        """Decode one row.

        Args:
            visemes: float32 ``(15,)`` posteriors.
            curves: float32 ``(6,)`` opening, rounding, width, lower lip, upper lip, corners.
            level_db: level of the row in dBFS.
            muted: close the mouth whatever is heard.
            voice: how likely what sounds is a voice, 0..1.

        Returns:
            float32 ``(52,)`` face actions of the mouth, each 0..1; a new array.
        """
        s = self.settings
        loud = self.gate.step(level_db, 1.0 - float(visemes[_SIL])) and not muted
        surely = 1.0 - _ramp(float(visemes[_SIL]), s.silence_from, s.silence_full) if loud else 0.0
        surely *= _ramp(voice, s.voice_from, s.voice_full)
        speaking = self._speaking = min(surely, self._speaking + s.attack)
        self._closed = max(float(visemes[_PP]) + 0.3 * float(visemes[_FF]), self._closed - s.closure_fall)
        lips = _ramp(self._closed, s.closure_from, s.closure_full)
        wanted = max(0.0, s.direct * float(curves[0]) + (1 - s.direct) * float(VISEME_OPENING @ visemes))
        wanted *= speaking * (1.0 - lips)
        self._first += (self._opening if wanted > self._first else self._closing) * (wanted - self._first)
        rate = self._opening if self._first > self.opening else self._closing
        self.opening += rate * (self._first - self.opening)
        opening = self.shown

        shape = speaking * (visemes @ VISEME_ACTIONS)
        rounding = float(np.clip(curves[1], 0.0, 1.0)) * speaking
        shape[_ROUND] = 0.65 * shape[_ROUND] + 0.35 * rounding * _ROUND_FULL
        pressed = lips * speaking * VISEME_ACTIONS[_PP]
        shape[_LIP_CLOSERS] = np.maximum(shape[_LIP_CLOSERS] * (1 - lips), pressed[_LIP_CLOSERS])
        self._shape += self._shaping * (shape - self._shape)
        self._teeth += self._shaping * (float(visemes @ _TEETH_TOGETHER) - self._teeth)
        out = self._shape.copy()
        # On s, sh and f the lips part but the teeth stay near each other: the lips do what the jaw does not.
        out[_JAW] = _JAW_FULL * opening * (1 - 0.6 * self._teeth)
        out[_LIFTED] += 0.35 * self._teeth * opening
        # Lips part with the opening, never while they touch.
        out[_PARTED] *= min(1.0, opening / 0.12)
        return np.clip(np.where(_MOUTH, out, 0.0), 0.0, 1.0).astype(np.float32)


def _rate(time_ms: float) -> float:
    return 1.0 - math.exp(-STEP_MS / time_ms)


def _ramp(value: float, low: float, high: float) -> float:
    return min(1.0, max(0.0, (value - low) / (high - low)))
