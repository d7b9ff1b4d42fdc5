"""Sources and sinks without a device: for tests, previews and measuring."""

import hashlib
import threading
from collections import deque
from collections.abc import Iterator

import numpy as np

from vcam_avatar.media import FloatArray, Frame, Size


class MemoryAudioSource:
    """Plays an array."""

    def __init__(self, samples: FloatArray, block_samples: int = 320) -> None:
        """Keep ``samples``, float32 ``(n,)`` mono 16 kHz."""
        self._samples = np.asarray(samples, np.float32)
        self._block_samples = block_samples
        self._closed = threading.Event()

    def blocks(self) -> Iterator[FloatArray]:
        """Yield the array in blocks; the last one may be shorter."""
        for first in range(0, len(self._samples), self._block_samples):
            if self._closed.is_set():
                return
            yield self._samples[first : first + self._block_samples]

    def close(self) -> None:
        """Stop; a running ``blocks()`` ends at its next block."""
        self._closed.set()


class _CheckedSink:
    """What all sinks check: opened first, one size for ever."""

    def __init__(self) -> None:
        self.size: Size | None = None

    def open(self, size: Size, fps: float) -> None:
        """Get ready for frames of exactly ``size``."""
        if not fps > 0:
            raise ValueError(f"fps must be positive, got {fps}")
        self.size = size

    def close(self) -> None:
        """Finish; may be called twice."""
        self.size = None

    def check(self, frame: Frame) -> None:
        """Raise ``ValueError`` unless the sink is open for frames of this shape."""
        if self.size is None:
            raise ValueError("the sink is not open")
        expected = (self.size.height_px, self.size.width_px, 3)
        if frame.image_bgr.shape != expected or frame.image_bgr.dtype != np.uint8:
            raise ValueError(
                f"expected uint8 {expected}, got {frame.image_bgr.dtype} {frame.image_bgr.shape}"
            )


class MemorySink(_CheckedSink):
    """Remembers a digest of every frame and copies of the last few."""

    def __init__(self, keep: int = 1) -> None:
        """Keep the last ``keep`` frames whole."""
        super().__init__()
        self.digests: list[str] = []
        """Hex digest of each frame's pixels, in order."""
        self.indices: list[int] = []
        """Unit number of each frame, in order."""
        self.frames: deque[Frame] = deque(maxlen=keep)

    def send(self, frame: Frame) -> None:
        """Remember one frame."""
        self.check(frame)
        pixels = np.ascontiguousarray(frame.image_bgr)
        self.digests.append(hashlib.blake2b(pixels.data, digest_size=16).hexdigest())
        self.indices.append(frame.index)
        if self.frames.maxlen:
            self.frames.append(Frame(frame.index, pixels.copy()))


class PreviewSink(_CheckedSink):
    """Holds the latest frame for whoever looks, and counts them all."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._latest: Frame | None = None
        self.count = 0

    def send(self, frame: Frame) -> None:
        """Replace the latest frame."""
        self.check(frame)
        copy = Frame(frame.index, frame.image_bgr.copy())
        with self._lock:
            self._latest = copy
            self.count += 1

    def latest(self) -> Frame | None:
        """The latest frame; its image is never written again. None before the first one."""
        with self._lock:
            return self._latest
