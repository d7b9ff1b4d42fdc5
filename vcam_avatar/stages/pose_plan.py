"""What the hands are up to: chance chooses motion units, the network performs them.

A plan says whether the hands rest or perform, how far the unit is, how long it takes, where the arms will be
in its middle and at its end, and how the trunk drifts. It is drawn from what the network finds likely, with
a seed; the network then moves along it in step with the sound.
"""

import base64
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vcam_avatar.media import FloatArray
from vcam_avatar.stages.pose_layout import ARMS, NECK

MOTION_HZ = 25
RESTING = -1
"""Number of the unit that leads to rest and stays there."""
_QUIET_TICKS = 10
"""After this long without a voice the hands go to rest whatever the network says."""
_QUIET_TO_REST_TICKS = 5
"""Only after this long without a voice may they go to rest for the pause's sake."""
_SHORTEST_TICKS = 5
_REACTION_TICKS, _SURE, _READY = 2, 0.8, 0.08
"""Least time from the first sound to the first movement, how sure that it is a voice (music may seem one for
a moment), and how likely the movement is in each tick after that, if no strong syllable calls for it."""
_DONE, _IMPATIENT = 0.7, 0.02
"""From this share of a unit on the hands wait for the next strong syllable; how likely they begin without one
in each tick."""
_SNAP = 0.65
"""Share of its time that a unit takes when a syllable calls for it: nobody knew before, so hands hurry."""
_ALWAYS, _NEVER = -1e4, 1e4
_RECENT = 8
_CALM, _LIVELY, _FORCE = 1.0, 1.5, 2.0
"""How much lively units are preferred over calm ones that are as likely: uncalled for; on a syllable, and how
much more on the strongest."""
_TRUST = 0.25
"""How far chance follows what the network finds likely: 0 would draw any unit."""
_REACH = 0.9
"""Share of a unit's distance from the middle of all that the arms go: chance brings far units more often than
people do."""
_HOME, _HOME_REACH = 0.6, 3.0
"""How much units are held back for each unit of distance (in arm space, beyond the nearest unit, up to the
second number) between their middle and where the hands rest: who holds the hands up gestures around there."""
_HANDS_DOWN, _HANDS_UP = 1.27, 1.12
"""Heights of the wrists below the neck, shoulder widths."""
_STROKE_TICKS, _LONG = 12, 0.05
"""What a stroke takes, and how much units are held back for each tick beyond that."""


def unpacked(value: dict[str, Any]) -> FloatArray:
    """An array stored in a sidecar as float16 in base64."""
    flat = np.frombuffer(base64.b64decode(value["float16"]), np.float16)
    return flat.reshape(value["shape"]).astype(np.float32)


@dataclass(frozen=True)
class UnitTable:
    """The motion units that may be chosen, told in the coarse arm space."""

    arm_basis: FloatArray
    """float32 ``(2K, D)``: arm coordinates of a flattened pose are ``pose @ arm_basis - arm_offset``."""
    arm_offset: FloatArray
    start: FloatArray
    """float32 ``(U, D)``."""
    middle: FloatArray
    end: FloatArray
    ticks: NDArray[np.int64]
    """``(U,)`` natural durations."""
    energy: FloatArray
    """``(U,)`` how lively, 0 to 1."""
    trunk_mean: FloatArray
    trunk_deviation: FloatArray

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> "UnitTable":
        """From the sidecar's values."""
        arrays = {
            "arm_basis": "arm_basis", "arm_offset": "arm_offset", "start": "unit_start",
            "middle": "unit_middle", "end": "unit_end", "energy": "unit_energy", "trunk_mean": "trunk_mean",
            "trunk_deviation": "trunk_deviation",
        }  # fmt: skip
        loaded = {name: unpacked(values[key]) for name, key in arrays.items()}
        return cls(ticks=unpacked(values["unit_ticks"]).astype(np.int64), **loaded)

    def arms(self, pose: FloatArray) -> FloatArray:
        """float32 ``(D,)`` of a pose ``(K, 2)``."""
        return np.asarray(pose.reshape(-1) @ self.arm_basis - self.arm_offset, np.float32)


def raised_share(rest: FloatArray) -> float:
    """How far the hands of the pose ``(K, 2)`` are up: 0 hanging or in the lap, which says nothing about
    where its owner gestures, to 1."""
    wrists = [arm[2] for arm in ARMS]
    height = float(rest[wrists, 1].mean() - rest[NECK, 1])
    return float(np.clip((_HANDS_DOWN - height) / (_HANDS_DOWN - _HANDS_UP), 0, 1))


class _Drift:
    """Slow smooth chance motion of unit deviation: white noise through two leaks."""

    def __init__(self, size: int, rng: np.random.Generator, seconds: float = 0.9) -> None:
        self._keep = math.exp(-1 / (seconds * MOTION_HZ))
        gain = 1 - self._keep
        # Deviation of white noise after both leaks, so that the output has deviation 1.
        a2 = self._keep**2
        power = gain**4 * (1 + a2) / (1 - a2) ** 3
        self._scale = gain / math.sqrt(power)
        self._gain, self._rng = gain, rng
        self._inner, self.value = np.zeros(size), np.zeros(size)

    def tick(self) -> NDArray[np.float64]:
        """The next value, ``(size,)``."""
        white = self._rng.normal(0, 1, len(self.value))
        self._inner = self._keep * self._inner + self._scale * white
        self.value = self._keep * self.value + self._gain * self._inner
        return self.value


@dataclass
class Offer:
    """What the network is given for one tick."""

    kept: FloatArray
    """Plan when nothing new begins."""
    new: FloatArray
    """Plan when it does."""
    unit: int
    """Unit when it does, ``RESTING`` or a number."""
    chance: float
    """Logit above which it does."""


class Planner:
    """Keeps the plan and draws the next one."""

    def __init__(self, table: UnitTable, rest: FloatArray, rng: np.random.Generator) -> None:
        """``rest`` float32 ``(K, 2)``: where the hands return to."""
        self._table, self._rng = table, rng
        self._home = table.arms(rest)
        away = np.linalg.norm(table.middle - self._home, axis=1)
        self._away = raised_share(rest) * _HOME * np.minimum(away - away.min(), _HOME_REACH)
        likely = np.exp(-self._away)
        self._centre = (likely / likely.sum()).astype(np.float32) @ table.middle
        self._drift = _Drift(len(table.trunk_mean), rng)
        self._lively = 0.0
        self._trunk = np.zeros(len(table.trunk_mean), np.float32)
        self._length = 1.0
        self._quiet = 10**6
        self._spoken = 0
        self._age = 10**6
        self._recent: list[int] = []
        self._next = RESTING
        self._next_length = 1.0
        self.unit = RESTING
        self.plan = self._plan(RESTING, 1.0, self._home)
        self.plan[1] = 1.5

    def number(self, unit: int) -> NDArray[np.int64]:
        """How the network numbers a unit, ``(1,)``: rest comes last."""
        return np.array([len(self._table.ticks) if unit == RESTING else unit], np.int64)

    @property
    def resting(self) -> bool:
        """The hands are at rest or on their way there."""
        return self.unit == RESTING

    @property
    def at_rest(self) -> bool:
        """The way to rest is nearly over."""
        return self.resting and self._age >= 0.6 * self._length

    def _plan(self, unit: int, length: float, now: FloatArray) -> FloatArray:
        table = self._table
        if unit == RESTING:
            middle, end = (now + self._home) / 2, self._home
        else:
            join = now - table.start[unit]
            middle, end = table.middle[unit] + 0.56 * join, table.end[unit] + 0.12 * join
            middle, end = (self._centre + np.float32(_REACH) * (x - self._centre) for x in (middle, end))
        head = np.array([unit == RESTING, 1 / length, length / 20], np.float32)
        return np.concatenate([head, middle, end, self._trunk]).astype(np.float32)

    def offer(
        self, pose: FloatArray, unit_logits: FloatArray | None, voice: float, stress: float = 0.0
    ) -> Offer:
        """Draw the possibilities of the next tick.

        Args:
            pose: float32 ``(K, 2)`` reached so far.
            unit_logits: float32 ``(U + 1,)`` of the tick before, or None at the start.
            voice: probability that somebody speaks.
            stress: strength, 0..1, of a syllable that begins now.
        """
        self._quiet = 0 if voice > 0.5 else self._quiet + 1
        self._spoken = self._spoken + 1 if voice > 0.5 else 0
        target = 1.0 if self._quiet < _QUIET_TO_REST_TICKS else 0.25
        self._lively += (target - self._lively) * (0.12 if target > self._lively else 0.05)
        table = self._table
        drift = self._drift.tick() * self._lively
        self._trunk = (table.trunk_mean + table.trunk_deviation * drift).astype(np.float32)
        self._age += 1
        kept = self.plan.copy()
        kept[1] = min(1.5, kept[1] + 1 / self._length)
        kept[-len(self._trunk) :] = self._trunk
        silent = self._quiet >= _QUIET_TICKS
        u = float(np.clip(self._rng.random(), 1e-4, 1 - 1e-4))
        chance = math.log(u / (1 - u))
        if self.resting:
            if self._spoken < _REACTION_TICKS or voice < _SURE or self._age < _SHORTEST_TICKS:
                chance = _NEVER
            elif stress or u < _READY:
                # Whoever begins to speak begins to move, sooner or later.
                chance = _ALWAYS
        elif silent:
            chance = _ALWAYS
        elif self._age >= _DONE * self._length:
            # What is done waits for a strong syllable, though not for ever.
            chance = _ALWAYS if stress or u < _IMPATIENT else _NEVER
        elif self._age < _SHORTEST_TICKS:
            chance = _NEVER
        elif u < stress and self._age >= min(_STROKE_TICKS, 0.5 * self._length):
            # A strong syllable wants its own stroke; one under way is let through to its landing.
            chance = _ALWAYS
        self._next = RESTING if silent and not self.resting else self._draw(unit_logits, stress)
        if self._next == RESTING:
            self._next_length = float(self._rng.uniform(12, 17))
        else:
            natural = float(table.ticks[self._next])
            self._next_length = float(
                np.clip(natural * self._rng.uniform(0.65, 1.0) * (_SNAP if stress > 0 else 1.0), 4, 45)
            )
        return Offer(kept, self._plan(self._next, self._next_length, table.arms(pose)), self._next, chance)

    def _draw(self, logits: FloatArray | None, stress: float) -> int:
        if logits is None:
            return int(self._rng.integers(len(self._table.ticks)))
        score = _TRUST * np.array(logits, np.float64)
        score[:-1] += (_LIVELY + _FORCE * stress if stress else _CALM) * self._table.energy
        score[:-1] -= self._away
        score[:-1] -= _LONG * np.maximum(0, self._table.ticks - _STROKE_TICKS)
        score[self._recent] -= 3.0
        if self.resting or self._quiet == 0:
            score[-1] -= 30.0 if self.resting else 1.5
        score -= score.max()
        weight = np.exp(score)
        weight[weight < 0.02] = 0
        chosen = int(self._rng.choice(len(weight), p=weight / weight.sum()))
        return RESTING if chosen == len(weight) - 1 else chosen

    def settle(self, offer: Offer, event: float) -> bool:
        """Take over what the network decided; True when a new unit begins."""
        if event <= offer.chance:
            self.plan = offer.kept
            return False
        self.plan, self.unit = offer.new, offer.unit
        self._length, self._age = self._next_length, 0
        if self.unit != RESTING:
            self._recent = [*self._recent[-(_RECENT - 1) :], self.unit]
        return True
