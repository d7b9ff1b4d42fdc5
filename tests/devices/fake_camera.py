"""A camera backend in place of a kernel module."""

from typing import Any

import numpy as np

from vcam_avatar.media import ByteArray


class FakeCamera:
    """What pyvirtualcam expects of a backend; remembers what was sent."""

    opened: "list[FakeCamera]"
    busy = False

    def __init__(
        self, width: int, height: int, fps: float, fourcc: int, device: str | None, **kw: Any
    ) -> None:
        if type(self).busy:
            raise RuntimeError("device is busy")
        self.shape = (height, width, 3)
        self.frames: list[ByteArray] = []
        self.closed = False
        self._device = device or "/dev/video-fake"
        self._fourcc = fourcc
        type(self).opened.append(self)

    def close(self) -> None:
        """Remember it."""
        self.closed = True

    def send(self, frame: ByteArray) -> None:
        """Keep a copy; pyvirtualcam hands frames over flat."""
        self.frames.append(np.array(frame).reshape(self.shape))

    def device(self) -> str:
        """Name of the device."""
        return self._device

    def native_fourcc(self) -> int:
        """What the caller asked for."""
        return self._fourcc
