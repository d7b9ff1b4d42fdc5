"""What a face does besides speaking: blinks, glances, brows that go with the voice, a little smile.

Everything is sampled from a seeded generator and is a function of time, so the same seed and sound give
the same face, and the rate of frames hardly matters.
"""

import math
from dataclasses import dataclass

import numpy as np

from vcam_avatar.media import FACE_ACTIONS, Expression, UnitFeatures
from vcam_avatar.stages.visemes import action_indices


@dataclass(frozen=True, slots=True)
class LifeSettings:
    """How lively a face is. Gains: 0 = off, 1 = natural."""

    blinks: float = 1.0
    """How often the eyes blink, 1 = about 17 times a minute."""
    gaze: float = 1.0
    """How far glances go."""
    brows: float = 1.0
    """How much the brows go with the voice."""
    smile: float = 0.12
    """Resting smile, 0 none to 1 full."""


_CLOSE_S, _SHUT_S, _OPEN_S = 0.07, 0.03, 0.16
_DOUBLE_SHARE = 0.14
_DOUBLE_AFTER_S = 0.33
_PHRASE_PAUSE_S = 0.25
_PHRASE_BLINK_SHARE = 0.55
_REST_S = 0.9
"""No blink sooner after the last."""


class Life:
    """Everything in a face that is not the mouth's speech."""

    def __init__(self, settings: LifeSettings | None = None, seed: int = 0) -> None:
        self.settings = settings or LifeSettings()
        self.reset(seed)

    def reset(self, seed: int) -> None:
        """Begin anew; the same seed and sound give the same face."""
        # One generator a part, so that switching one off does not change the others.
        self._blink_rng, self._gaze_rng, self._brow_rng, drift = (
            np.random.default_rng([seed, part]) for part in range(4)
        )
        self._drift = drift.uniform(0, 2 * math.pi, (3, 3))
        self._blinks: list[float] = []
        self._next_blink_s = float(self._blink_rng.uniform(0.8, 2.5))
        self._was_speaking_s = -1e9
        self._phrase_open = False
        self._gaze_from = self._gaze_to = (0.0, 0.0)
        self._gaze_start_s, self._next_gaze_s = -1.0, float(self._gaze_rng.uniform(0.5, 2.0))
        self._slow_db: float | None = None
        self._accent: tuple[float, float] = (-1e9, 0.0)
        self._next_accent_s = 0.5

    def step(self, unit: UnitFeatures, speech: float) -> Expression:
        """The face at the middle of ``unit``, float32 ``(52,)``; the mouth's part is only the resting smile.

        Args:
            unit: what is heard; only its time and level are used.
            speech: how sure it is that somebody speaks, 0..1.
        """
        now = float((unit.index + 0.5) / unit.fps)
        out = np.zeros(len(FACE_ACTIONS), np.float32)
        self._watch_phrases(now, speech)
        blink = self._lids(now)
        down = self._look(now, out, speech)
        out[action_indices("eyeBlink")] = min(1.0, max(blink, 0.25 * down))
        out[action_indices("eyeSquint")] += 0.25 * blink
        self._move_brows(now, unit, speech, out, blink)
        smile = self.settings.smile * (1 + 0.35 * self._wander(now, 0))
        out[action_indices("mouthSmile")] = np.clip(smile, 0, 1)
        out[action_indices("cheekSquint")] = np.clip(0.4 * smile, 0, 1)
        return np.clip(out, 0.0, 1.0)

    def _wander(self, now: float, part: int) -> float:
        """Slow, smooth, never repeating within hours, about -1..1."""
        phases = self._drift[part]
        return sum(math.sin(now * w + p) for w, p in zip((0.31, 0.173, 0.0971), phases, strict=True)) / 2

    def _watch_phrases(self, now: float, speech: float) -> None:
        if speech > 0.5:
            self._was_speaking_s, self._phrase_open = now, True
        elif self._phrase_open and now - self._was_speaking_s > _PHRASE_PAUSE_S:
            self._phrase_open = False
            if self._blink_rng.random() < _PHRASE_BLINK_SHARE:
                last = self._blinks[-1] if self._blinks else -1e9
                if now - last > _REST_S:
                    self._next_blink_s = min(
                        self._next_blink_s, now + float(self._blink_rng.uniform(0.0, 0.12))
                    )

    def _lids(self, now: float) -> float:
        if self.settings.blinks <= 0:
            return 0.0
        while now >= self._next_blink_s:
            begin = self._next_blink_s
            self._blinks.append(begin)
            if self._blink_rng.random() < _DOUBLE_SHARE:
                self._blinks.append(begin + _DOUBLE_AFTER_S)
            pause = float(np.exp(self._blink_rng.normal(math.log(3.1), 0.55)))
            self._next_blink_s = self._blinks[-1] + max(_REST_S, pause / self.settings.blinks)
        self._blinks = self._blinks[-4:]
        return max((_blink_shape(now - begin) for begin in self._blinks), default=0.0)

    def _look(self, now: float, out: Expression, speech: float) -> float:
        """Write the gaze; return how far the eyes look down."""
        while now >= self._next_gaze_s:
            rng = self._gaze_rng
            self._gaze_from = self._gaze_to
            home = rng.random() < (0.55 if self._gaze_from == (0.0, 0.0) else 0.8)
            aside = (float(rng.normal(0, 0.28)), float(rng.normal(-0.02, 0.14)))
            self._gaze_to = (float(rng.normal(0, 0.02)), float(rng.normal(0, 0.015))) if home else aside
            self._gaze_start_s = self._next_gaze_s
            self._next_gaze_s += float(rng.uniform(0.9, 3.2) if home else rng.uniform(0.35, 1.1))
        t = min(1.0, max(0.0, (now - self._gaze_start_s) / 0.05))
        gain = self.settings.gaze * (1.0 if speech < 0.5 else 0.75)
        across = gain * (self._gaze_from[0] + t * (self._gaze_to[0] - self._gaze_from[0]))
        up = gain * (self._gaze_from[1] + t * (self._gaze_to[1] - self._gaze_from[1]))
        # Positive = to the person's left: the left eye turns out, the right eye in.
        names = ("eyeLookOutLeft", "eyeLookInRight") if across > 0 else ("eyeLookInLeft", "eyeLookOutRight")
        for name in names:
            out[FACE_ACTIONS.index(name)] = min(1.0, abs(across))
        out[action_indices("eyeLookUp" if up > 0 else "eyeLookDown")] = min(1.0, abs(up))
        return max(0.0, -up)

    def _move_brows(
        self, now: float, unit: UnitFeatures, speech: float, out: Expression, blink: float
    ) -> None:
        """Raise the brows on loud syllables, sometimes, and let them drift."""
        level = max(unit.level_db, -70.0)
        step_s = float(1 / unit.fps)
        if self._slow_db is None:
            self._slow_db = level
        if speech > 0.5:
            loud = level - self._slow_db
            self._slow_db += (1 - math.exp(-step_s / 0.8)) * loud
            if loud > 3.5 and now >= self._next_accent_s:
                self._next_accent_s = now + float(self._brow_rng.uniform(0.7, 2.4))
                if self._brow_rng.random() < 0.6:
                    self._accent = (now, float(self._brow_rng.uniform(0.18, 0.5)))
        since, height = now - self._accent[0], self._accent[1]
        rise = min(1.0, since / 0.12) if since < 0.2 else math.exp(-(since - 0.2) / 0.25)
        raised = self.settings.brows * max(0.0, height * rise + 0.05 * self._wander(now, 1))
        out[action_indices("browInnerUp")] = raised
        out[action_indices("browOuterUp")] = 0.7 * raised
        out[action_indices("browDown")] = self.settings.brows * (
            0.12 * blink + 0.06 * max(0.0, self._wander(now, 2))
        )
        out[action_indices("eyeWide")] = 0.25 * raised * (1 - blink)


def _blink_shape(since_s: float) -> float:
    if since_s < 0:
        return 0.0
    if since_s < _CLOSE_S:
        return since_s / _CLOSE_S
    since_s -= _CLOSE_S + _SHUT_S
    if since_s < 0:
        return 1.0
    opened = min(1.0, since_s / _OPEN_S)
    return 1.0 - opened * (2 - opened)
