"""Time, so that tests can supply their own, and frames sent on an absolute schedule."""

import threading
import time
from fractions import Fraction
from typing import Protocol


class Clock(Protocol):
    """A monotonic clock that can be waited on."""

    def now(self) -> float:
        """Seconds since some fixed moment."""
        ...

    def wait(self, condition: threading.Condition, timeout_s: float) -> None:
        """Wait until ``condition`` (held by the caller) is notified, at most ``timeout_s``."""
        ...

    def sleep_until(self, moment_s: float) -> None:
        """Return at ``moment_s``, or at once when it has passed."""
        ...


class MonotonicClock:
    """The machine's own clock."""

    def now(self) -> float:
        """Seconds on the monotonic clock."""
        return time.monotonic()

    def wait(self, condition: threading.Condition, timeout_s: float) -> None:
        """Wait for a notification, at most ``timeout_s``."""
        condition.wait(timeout_s)

    def sleep_until(self, moment_s: float) -> None:
        """Sleep until ``moment_s``."""
        remaining = moment_s - time.monotonic()
        if remaining > 0:
            time.sleep(remaining)


class Pacer:
    """Holds frames of a faster-than-real-time source back: frame n is due at ``t0 + n / fps``."""

    def __init__(self, fps: Fraction, clock: Clock) -> None:
        self._fps = fps
        self._clock = clock
        self._t0: float | None = None

    def wait(self, frame: int) -> None:
        """Return when ``frame`` is due; the first call sets the start. A late frame is not made up for
        by shifting the schedule: those after it are due when they always were."""
        if self._t0 is None:
            self._t0 = self._clock.now() - float(frame / self._fps)
        self._clock.sleep_until(self._t0 + float(frame / self._fps))
