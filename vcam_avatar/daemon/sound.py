"""Keeps sound coming into the pipeline, whatever the microphone does."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from vcam_avatar.daemon.health import Health
from vcam_avatar.errors import DeviceError, MediaError
from vcam_avatar.media import SAMPLE_RATE_HZ, FloatArray
from vcam_avatar.ports import AudioSource

log = logging.getLogger(__name__)

RETRY_S = 1.0
_EARLY_S = 0.007
"""How long before a unit's sound can be complete its blocks are waited for one by one."""
_SHORTEST_REST_S = 0.020
_CLIPPED = 0.999
_LEVEL_MEMORY_S = 0.5
PART = "microphone"


@runtime_checkable
class PilingSource(Protocol):
    """A source that hands over all that has come since the last block in one piece."""

    wanted: Callable[[], int]
    """How many samples the reader can use next."""


class Units(Protocol):
    """Where samples go."""

    @property
    def missing_samples(self) -> int: ...
    def push(self, samples: FloatArray) -> None: ...
    def end(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Level:
    """How loud it is."""

    rms_db: float
    """Over the last half second, dBFS; -120 for digital silence."""
    peak_db: float
    """Highest sample of the last half second, dBFS."""
    clipped_samples: int
    """Samples at full scale since the start."""
    silent_s: float
    """Seconds since a sample was anything but zero."""


class NoiseGate:
    """Turns sound below a level into silence; opens at once, shuts after a while, without clicks."""

    HOLD_S = 0.3
    FADE_S = 0.02
    PIECE_SAMPLES = 160
    """Loudness is judged in pieces of this length, however much comes at once."""

    def __init__(self, threshold_db: float = -120.0) -> None:
        self.threshold_db = threshold_db
        """Blocks quieter than this (dBFS) are noise; -120 lets everything through."""
        self._open_for = 0
        self._gain = 1.0

    def push(self, samples: FloatArray) -> FloatArray:
        """Gate one block, float32 ``(n,)``; the input is not modified."""
        if self.threshold_db <= -120.0:
            self._gain = 1.0
            return samples
        starts = np.arange(0, len(samples), self.PIECE_SAMPLES)
        energies = np.add.reduceat(np.square(samples, dtype=np.float64), starts)
        powers = energies / np.diff(starts, append=len(samples))
        if _db(float(np.sqrt(powers.max()))) >= self.threshold_db:
            self._open_for = round(self.HOLD_S * SAMPLE_RATE_HZ)
        target = 1.0 if self._open_for > 0 else 0.0
        self._open_for -= len(samples)
        if self._gain == target == 1.0:
            return samples
        step = np.arange(1, len(samples) + 1) / (self.FADE_S * SAMPLE_RATE_HZ)
        gains = np.clip(self._gain + (step if target else -step), 0.0, 1.0)
        self._gain = float(gains[-1])
        return (samples * gains).astype(np.float32)


class SoundKeeper:
    """A thread that reads the source, and opens it again when it fails.

    Meanwhile the pipeline hears silence, so the avatar idles and frames go on.
    """

    def __init__(
        self,
        open_source: Callable[[], AudioSource],
        units: Units,
        health: Health,
        *,
        gate: NoiseGate | None = None,
        retry_s: float = RETRY_S,
    ) -> None:
        """``open_source`` is called for every attempt and may raise ``DeviceError``. A source that ends
        by itself, such as a file, ends the units."""
        self._open_source = open_source
        self._units = units
        self._health = health
        self.gate = gate or NoiseGate()
        self._retry_s = retry_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sound", daemon=True)
        self._source: AudioSource | None = None
        self._blocks: list[tuple[int, float, float]] = []
        self._clipped = 0
        self._last_nonzero = time.monotonic()
        self._level_lock = threading.Lock()
        self.openings = 0
        """How often the source was opened."""

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self, limit_s: float = 0.5) -> None:
        """Free the source; a sound system that hangs is left behind after ``limit_s``."""
        self._stopped.set()
        closer = threading.Thread(target=self._close, name="sound-close", daemon=True)
        closer.start()
        closer.join(limit_s)
        if self._thread.is_alive():
            self._thread.join(limit_s)

    @property
    def source(self) -> AudioSource | None:
        """The source that is open now."""
        return self._source

    def level(self) -> Level:
        """How loud it is now."""
        with self._level_lock:
            blocks, clipped = list(self._blocks), self._clipped
            silent_s = time.monotonic() - self._last_nonzero
        count = sum(n for n, _, _ in blocks) or 1
        energy = sum(e for _, e, _ in blocks) / count
        peak = max((p for _, _, p in blocks), default=0.0)
        return Level(_db(energy**0.5), _db(peak), clipped, silent_s)

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._read_to_the_end()
            except (DeviceError, MediaError) as exc:
                self._health.trouble(PART, str(exc))
            except Exception as exc:
                log.exception("the sound thread failed")
                self._health.trouble(PART, f"failed ({exc}); trying again")
            else:
                self._units.end()
                return
            self._close()
            self._forget_level()
            self._stopped.wait(self._retry_s)

    def _read_to_the_end(self) -> None:
        source = self._source = self._open_source()
        self.openings += 1
        piles_up = False
        if isinstance(source, PilingSource):
            piles_up = True
            source.wanted = lambda: self._units.missing_samples
        heard = False
        for block in source.blocks():
            if self._stopped.is_set():
                break
            if not heard:
                heard = True
                self._health.well(PART)
            self._measure(block)
            self._units.push(self.gate.push(block))
            if not piles_up:
                continue
            # Nobody can use sound before a unit of it is there: until shortly before, let it pile up.
            rest_s = self._units.missing_samples / SAMPLE_RATE_HZ - _EARLY_S
            if rest_s >= _SHORTEST_REST_S:
                self._stopped.wait(rest_s)

    def _close(self) -> None:
        source, self._source = self._source, None
        if source is not None:
            source.close()

    def _measure(self, block: FloatArray) -> None:
        magnitude = np.abs(block)
        peak = float(magnitude.max(initial=0.0))
        energy = float(np.sum(np.square(block, dtype=np.float64)))
        with self._level_lock:
            self._clipped += int(np.count_nonzero(magnitude >= _CLIPPED))
            self._blocks.append((len(block), energy, peak))
            if peak > 0:
                self._last_nonzero = time.monotonic()
            total = sum(n for n, _, _ in self._blocks)
            while total - self._blocks[0][0] >= _LEVEL_MEMORY_S * SAMPLE_RATE_HZ:
                total -= self._blocks.pop(0)[0]

    def _forget_level(self) -> None:
        with self._level_lock:
            self._blocks.clear()


def _db(amplitude: float) -> float:
    return round(20 * float(np.log10(max(amplitude, 1e-6))), 1)
