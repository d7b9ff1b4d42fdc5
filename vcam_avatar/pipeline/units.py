"""Cuts sound into units: one per video frame."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from vcam_avatar.media import FloatArray, UnitClock


@dataclass(frozen=True, slots=True)
class UnitSound:
    """The sound of one unit, and how it came about."""

    samples: FloatArray
    """float32 ``(n,)``, exactly as many as the clock says for this unit."""
    late: bool = False
    """Sound did not arrive in time; what is missing is silence."""
    skip: bool = False
    """The pipeline is behind: hear this unit, but draw no frame for it."""


def cut_units(blocks: Iterable[FloatArray], clock: UnitClock) -> Iterator[UnitSound]:
    """Cut a finite stream into units; the last one is filled up with silence.

    Gives ``clock.unit_count(total)`` units for any way the blocks are cut.
    """
    pending = np.zeros(0, np.float32)
    unit = total = 0
    needed = clock.start_sample(1)
    for block in blocks:
        total += len(block)
        pending = np.concatenate([pending, block])
        while len(pending) >= needed:
            yield UnitSound(pending[:needed])
            pending = pending[needed:]
            unit += 1
            needed = clock.start_sample(unit + 1) - clock.start_sample(unit)
    # The last sample may belong to a unit that begins between two samples: then that unit is all silence.
    while unit < clock.unit_count(total):
        needed = clock.start_sample(unit + 1) - clock.start_sample(unit)
        yield UnitSound(np.pad(pending, (0, needed - len(pending))))
        pending = pending[:0]
        unit += 1
