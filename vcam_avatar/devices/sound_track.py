"""The sound of a video file that is being written."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np

from vcam_avatar.devices.decode import AudioFile
from vcam_avatar.media import SAMPLE_RATE_HZ, FloatArray


class SoundTrack(Protocol):
    """Sound to put beside the pictures."""

    rate_hz: int
    channels: int

    def read(self, samples: int) -> FloatArray:
        """The next float32 ``(n, channels)``; n < ``samples`` only when no more is there."""
        ...

    def close(self) -> None:
        """Free the file; may be called twice."""
        ...


class FileSoundTrack:
    """The sound of an audio file at its own rate, at most stereo."""

    def __init__(self, path: Path) -> None:
        self._file = AudioFile(path)
        self._blocks: Iterator[FloatArray] = self._file.blocks()
        self._pending: list[FloatArray] = []
        self.rate_hz = self._file.rate_hz
        self.channels = min(self._file.channels, 2)

    def read(self, samples: int) -> FloatArray:
        """The next float32 ``(n, channels)``; n < ``samples`` only at the end."""
        while sum(map(len, self._pending)) < samples:
            block = next(self._blocks, None)
            if block is None:
                break
            # Beyond stereo there is no telling which channel is where: mix all into both.
            mixed = block if self._file.channels <= 2 else block.mean(1, keepdims=True).repeat(2, 1)
            self._pending.append(mixed)
        joined = np.concatenate(self._pending) if self._pending else np.zeros((0, self.channels), np.float32)
        self._pending = [joined[samples:]] if len(joined) > samples else []
        return joined[:samples]

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class HeardSoundTrack:
    """The sound the pipeline hears, unit by unit: for recordings from a microphone."""

    rate_hz = SAMPLE_RATE_HZ
    channels = 1

    def __init__(self) -> None:
        self._pending = np.zeros(0, np.float32)

    def hear(self, samples: FloatArray) -> None:
        """Append float32 ``(n,)`` mono 16 kHz."""
        self._pending = np.concatenate([self._pending, samples])

    def read(self, samples: int) -> FloatArray:
        """The next float32 ``(n, 1)`` of what was heard."""
        taken, self._pending = self._pending[:samples], self._pending[samples:]
        return taken[:, None]

    def close(self) -> None:
        """Nothing to free."""
