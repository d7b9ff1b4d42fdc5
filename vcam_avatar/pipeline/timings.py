"""How long each stage takes."""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter

import numpy as np

_REMEMBERED = 2048
"""Latest measurements kept per stage; older ones are forgotten."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Distribution of one stage's time, in milliseconds."""

    p50_ms: float
    p95_ms: float
    p99_ms: float
    count: int


class StageTimings:
    """Collects milliseconds by stage; any thread may add, any thread may look."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[str, deque[float]] = {}

    def add(self, stage: str, ms: float) -> None:
        """Remember one measurement."""
        with self._lock:
            self._values.setdefault(stage, deque(maxlen=_REMEMBERED)).append(ms)

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Time the block, also when it raises."""
        started = perf_counter()
        try:
            yield
        finally:
            self.add(stage, (perf_counter() - started) * 1e3)

    def clear(self) -> None:
        """Forget everything, for instance what warming up took."""
        with self._lock:
            self._values.clear()

    def spreads(self) -> dict[str, Spread]:
        """The distribution of every stage, in the order the stages first ran."""
        with self._lock:
            values = {stage: list(kept) for stage, kept in self._values.items()}
        spreads = {}
        for stage, kept in values.items():
            p50, p95, p99 = (float(p) for p in np.percentile(kept, [50, 95, 99]))
            spreads[stage] = Spread(p50, p95, p99, len(kept))
        return spreads
