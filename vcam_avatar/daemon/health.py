"""How the service is: one state made of what its parts report."""

import enum
import logging
import threading

log = logging.getLogger(__name__)


class State(enum.StrEnum):
    """States of the service, in the order of a life."""

    STARTING = "STARTING"
    RUNNING = "RUNNING"
    DEGRADED = "DEGRADED"
    STOPPING = "STOPPING"


class Health:
    """Collects the troubles of the parts; any thread may report, any may look.

    A trouble is logged when it begins, when it changes and when it is over, never in between.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._troubles: dict[str, str] = {}
        self._started = False
        self._stopping = False
        self.past_troubles = 0
        """How many troubles have begun so far."""

    def started(self) -> None:
        """The first frame is out."""
        self._started = True

    def stopping(self) -> None:
        """The end has begun."""
        self._stopping = True

    def trouble(self, part: str, reason: str) -> None:
        """``part`` does not work, for ``reason``: one line, with the remedy."""
        with self._lock:
            before = self._troubles.get(part)
            self._troubles[part] = reason
            self.past_troubles += before is None
        if before != reason:
            log.warning("%s: %s", part, reason)

    def well(self, part: str) -> None:
        """``part`` works."""
        with self._lock:
            before = self._troubles.pop(part, None)
        if before is not None:
            log.info("%s: works again", part)

    @property
    def troubles(self) -> dict[str, str]:
        """The present troubles by part."""
        with self._lock:
            return dict(self._troubles)

    @property
    def state(self) -> State:
        """The state of the whole."""
        if self._stopping:
            return State.STOPPING
        if self._troubles:
            return State.DEGRADED
        return State.RUNNING if self._started else State.STARTING

    def __str__(self) -> str:
        reasons = "; ".join(f"{part}: {reason}" for part, reason in self.troubles.items())
        return f"{self.state} ({reasons})" if reasons else str(self.state)
