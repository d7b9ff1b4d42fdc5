"""A stored sound played as if it were spoken now."""

import threading
import time
from collections.abc import Iterator

from vcam_avatar.media import SAMPLE_RATE_HZ, FloatArray
from vcam_avatar.ports import AudioSource


class PacedSource:
    """Gives another source's blocks in real time, on an absolute schedule: none before it was heard."""

    def __init__(self, source: AudioSource, name: str = "file") -> None:
        self._source = source
        self._closed = threading.Event()
        self.name = name
        """What status reports show."""

    def blocks(self) -> Iterator[FloatArray]:
        """Yield the other source's blocks, each when its last sample is due."""
        started, samples = time.monotonic(), 0
        for block in self._source.blocks():
            samples += len(block)
            if self._closed.wait(max(0.0, started + samples / SAMPLE_RATE_HZ - time.monotonic())):
                return
            yield block

    def close(self) -> None:
        """Stop at once; may be called twice and from another thread."""
        self._closed.set()
        self._source.close()
