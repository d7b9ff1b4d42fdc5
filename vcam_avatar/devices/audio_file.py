"""A file as the source of sound."""

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vcam_avatar.devices.decode import AudioFile
from vcam_avatar.devices.resample import MonoResampler
from vcam_avatar.media import SAMPLE_RATE_HZ, FloatArray


class FileAudioSource:
    """Reads any audio file as 16 kHz mono, as fast as it is asked. Each ``blocks()`` starts anew."""

    def __init__(self, path: Path, block_samples: int = 320, loop: bool = False) -> None:
        """Check the file at once, so that a wrong name is known before anything else starts.

        Args:
            path: anything libsndfile or PyAV opens.
            block_samples: size of all blocks but the last, at 16 kHz.
            loop: start again at the end, for ever.

        Raises:
            MediaError: see ``AudioFile``.
        """
        if block_samples < 1:
            raise ValueError(f"block_samples must be at least 1, got {block_samples}")
        self.path = path
        self._block_samples = block_samples
        self._loop = loop
        self._closed = threading.Event()
        file = AudioFile(path)
        self.duration_s = file.duration_s
        file.close()

    def blocks(self) -> Iterator[FloatArray]:
        """Yield float32 ``(block_samples,)`` blocks; the last one may be shorter.

        Raises:
            MediaError: damaged, cut short, not a number, or nothing in it.
        """
        size = self._block_samples
        pending = np.zeros(0, np.float32)
        for part in self._resampled():
            pending = np.concatenate([pending, part])
            whole = len(pending) // size * size
            for first in range(0, whole, size):
                if self._closed.is_set():
                    return
                yield pending[first : first + size]
            pending = pending[whole:]
        if len(pending) and not self._closed.is_set():
            yield pending

    def close(self) -> None:
        """Stop; a running ``blocks()`` ends at its next block."""
        self._closed.set()

    def _resampled(self) -> Iterator[FloatArray]:
        while not self._closed.is_set():
            file = AudioFile(self.path)
            resampler = MonoResampler(file.rate_hz)
            try:
                for block in file.blocks():
                    yield resampler.push(block)
                yield resampler.push(np.zeros((0, file.channels), np.float32), last=True)
            finally:
                file.close()
            if not self._loop:
                return


def read_audio(path: Path) -> FloatArray:
    """A whole file as float32 ``(n,)`` mono 16 kHz; for training and measuring.

    Raises:
        MediaError: see ``AudioFile``.
    """
    return np.concatenate(list(FileAudioSource(path, block_samples=SAMPLE_RATE_HZ).blocks()))
