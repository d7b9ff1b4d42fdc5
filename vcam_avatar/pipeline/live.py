"""Units from sound that arrives in its own time, or does not arrive: the frames never wait for it."""

import logging
import threading
from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from vcam_avatar.media import SAMPLE_RATE_HZ, FloatArray, UnitClock
from vcam_avatar.pipeline.clock import Clock
from vcam_avatar.pipeline.units import UnitSound

logger = logging.getLogger(__name__)

LATE_AFTER_S = 0.030
"""How long after its time a unit's sound is waited for; a microphone's blocks jitter by 10 to 20 ms."""
_JITTER_S = 0.040
"""Sound may be this much ahead of the schedule before the oldest is thrown away."""
_LOST_AFTER_S = 1.0
"""So far behind (a suspended machine), the schedule starts anew instead of catching up."""
_FOLLOW = 0.02
"""Share of each timing error by which the schedule follows the sound device's own clock."""


class LiveUnits:
    """Collects blocks from the sound thread and gives units to the frame thread, one per frame.

    A unit is given as soon as it is complete. When it is not complete ``LATE_AFTER_S`` after its time,
    what is there is given with silence before it. The schedule follows the microphone's clock while
    sound comes and the monotonic clock while none does. The buffer holds one second at most.

    Attributes:
        late_units: units filled with silence because sound was late or missing.
        skipped_units: units heard but not drawn because the pipeline was behind.
        dropped_samples: samples thrown away: came after their unit had been given, or too many.
        restarts: times the schedule started anew.
    """

    def __init__(self, fps: Fraction, clock: Clock) -> None:
        self._units = UnitClock(fps)
        self._clock = clock
        self._condition = threading.Condition()
        self._buffer = np.zeros(0, np.float32)
        self._needed = self._units.start_sample(1)
        self._ended = False
        self.late_units = 0
        self.skipped_units = 0
        self.dropped_samples = 0
        self.restarts = 0

    @property
    def buffered_samples(self) -> int:
        """Samples waiting now."""
        with self._condition:
            return len(self._buffer)

    @property
    def missing_samples(self) -> int:
        """How much sound the next unit still lacks; when that is complete but not yet taken, the one after
        it. 0 when both are complete."""
        with self._condition:
            lacking = self._needed - len(self._buffer)
        return lacking if lacking > 0 else max(0, lacking + self._needed)

    def push(self, samples: FloatArray) -> None:
        """Add float32 ``(n,)``; called by the sound thread, never blocks."""
        with self._condition:
            self._buffer = np.concatenate([self._buffer, samples])
            self._drop(len(self._buffer) - SAMPLE_RATE_HZ)
            if len(self._buffer) >= self._needed:  # less is nothing to wake up for
                self._condition.notify_all()

    def end(self) -> None:
        """No more units: those complete by now are the last."""
        with self._condition:
            self._ended = True
            self._condition.notify_all()

    def __iter__(self) -> Iterator[UnitSound]:
        """Give units until ``end``; to be used once, by one thread."""
        period_s = float(1 / self._units.fps)
        t0 = self._clock.now()
        unit = 0
        while True:
            needed = self._units.start_sample(unit + 1) - self._units.start_sample(unit)
            due = t0 + self._units.time_s(unit + 1)
            with self._condition:
                self._needed = needed
                while len(self._buffer) < needed and not self._ended:
                    remaining = due + LATE_AFTER_S - self._clock.now()
                    if remaining <= 0:
                        break
                    self._clock.wait(self._condition, remaining)
                if self._ended and len(self._buffer) < needed:
                    return
                error = self._clock.now() - due
                if error > _LOST_AFTER_S:
                    logger.warning("%.1f s behind: starting anew", error)
                    self.restarts += 1
                    self._drop(len(self._buffer) - needed)
                    t0 += error
                    error = 0.0
                # What is there beyond this unit may be as much as we are behind; more is a burst, whose
                # beginning belongs to units that were given as silence.
                behind = round(max(0.0, error) * SAMPLE_RATE_HZ)
                excess = len(self._buffer) - needed - behind
                if excess > _JITTER_S * SAMPLE_RATE_HZ:
                    self._drop(excess)
                on_time = len(self._buffer) >= needed
                taken = self._buffer[:needed]
                self._buffer = self._buffer[len(taken) :]
                self._needed = self._units.start_sample(unit + 2) - self._units.start_sample(unit + 1)
            skip = error > LATE_AFTER_S + period_s
            if on_time and not skip:
                t0 += _FOLLOW * error
            self.late_units += not on_time
            self.skipped_units += skip
            yield UnitSound(np.pad(taken, (needed - len(taken), 0)), late=not on_time, skip=skip)
            unit += 1

    def _drop(self, count: int) -> None:
        if count > 0:
            self.dropped_samples += count
            self._buffer = self._buffer[count:]
