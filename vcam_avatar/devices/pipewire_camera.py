"""A PipeWire camera: no kernel module and no root, for programs that take cameras from the portal.

Browsers do (Chromium with the flag WebRtcPipeWireCamera), OBS 30.1 and newer does; programs that know
only V4L2, such as Zoom and older OBS, do not. The sink registers it with its camera library under the name
``pipewire`` and treats it like every other camera.
"""

import contextlib
import os
import select
import shutil
import subprocess
import threading
import time
from typing import Any

import cv2
import numpy as np

from vcam_avatar.media import ByteArray

BACKEND = "pipewire"
NODE_NAME = "avatar-cam"
_END_S = 1.0
_STUCK_S = 1.0
_PIPE_BYTES = 1 << 20
_REMEDY = "sudo apt install gstreamer1.0-tools gstreamer1.0-pipewire gstreamer1.0-plugins-base"


class PipeWireCamera:
    """The backend: frames go to a GStreamer child that offers them as a video source.

    Not run inside this process, because GStreamer's PipeWire elements can crash or spin when a viewer
    leaves; a child that ends shows up as a failed ``send``.
    """

    def __init__(
        self, *, width: int, height: int, fps: float, fourcc: int, device: str | None, **_: Any
    ) -> None:
        """Start the child. Takes BGR frames.

        Raises:
            RuntimeError: GStreamer or its PipeWire plug-in is missing, PipeWire does not run, or the size
                is odd.
        """
        if width % 2 or height % 2:
            raise RuntimeError(f"{width}x{height} is odd")
        if shutil.which("gst-launch-1.0") is None:
            raise RuntimeError(f"gst-launch-1.0 is missing: {_REMEDY}")
        self._label = (device or "Avatar Cam").replace('"', "'")
        self._shape = (height, width, 3)
        self._yuv = np.empty((height * 3 // 2, width), np.uint8)
        self._converted: Any = None
        self._child = subprocess.Popen(
            _pipeline(width, height, fps, self._label),
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        with contextlib.suppress(subprocess.TimeoutExpired):
            # What is missing shows at once: the plug-in, or PipeWire itself.
            self._child.wait(0.3)
        if self._child.poll() is not None:
            self._close_input()
            raise RuntimeError(self._complaint())
        assert self._child.stdin is not None
        os.set_blocking(self._child.stdin.fileno(), False)
        with contextlib.suppress(OSError):
            import fcntl  # not on every system

            # A frame in one or two pieces instead of twenty.
            fcntl.fcntl(self._child.stdin.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        # Whatever the child says later must not fill the pipe and stop it.
        threading.Thread(target=self._drain, name="pipewire-log", daemon=True).start()

    def send(self, frame: ByteArray) -> None:
        """Hand over one BGR frame, in any shape of the right size.

        Raises:
            RuntimeError: the child has ended.
        """
        whole = frame if frame.base is None else frame.base
        # A frame that nobody can have changed since: in silence most frames are the same array again.
        if whole is not self._converted or not isinstance(whole, np.ndarray) or whole.flags.writeable:
            cv2.cvtColor(frame.reshape(self._shape), cv2.COLOR_BGR2YUV_I420, dst=self._yuv)
            self._converted = whole
        try:
            self._write(self._yuv.data.cast("B"))
        except (BrokenPipeError, ValueError) as exc:
            raise RuntimeError("PipeWire's side has ended") from exc

    def _write(self, data: memoryview) -> None:
        """All of ``data``; a child that hangs must not take the picture with it."""
        assert self._child.stdin is not None
        pipe = self._child.stdin.fileno()
        deadline = time.monotonic() + _STUCK_S
        while True:
            with contextlib.suppress(BlockingIOError):
                data = data[os.write(pipe, data) :]
            if not data:
                return
            _, ready, _ = select.select([], [pipe], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise RuntimeError("PipeWire's side takes no frames")

    def close(self) -> None:
        """End the child."""
        self._close_input()
        self._child.terminate()
        try:
            self._child.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()

    def device(self) -> str:
        """Name of the camera."""
        return self._label

    def native_fourcc(self) -> int | None:
        """None: frames are converted here."""
        return None

    def _close_input(self) -> None:
        assert self._child.stdin is not None
        with contextlib.suppress(OSError, ValueError):
            self._child.stdin.close()

    def _complaint(self) -> str:
        assert self._child.stderr is not None
        lines = self._child.stderr.read().decode(errors="replace").strip().splitlines()
        self._child.stderr.close()
        if any("no element" in line for line in lines):
            return f"GStreamer's PipeWire plug-in is missing: {_REMEDY}"
        return lines[0] if lines else "PipeWire refused the camera: is it running?"

    def _drain(self) -> None:
        assert self._child.stderr is not None
        with self._child.stderr as log:
            while log.read(4096):
                pass


def _pipeline(width: int, height: int, fps: float, label: str) -> list[str]:
    from fractions import Fraction

    rate = Fraction(fps).limit_denominator(1001)
    properties = (
        f"p,media.class=Video/Source,media.role=Camera,node.name={NODE_NAME},"
        f'node.description=(string)"{label}"'
    )
    return [
        "gst-launch-1.0", "-q", "--no-fault",
        "fdsrc", "fd=0", f"blocksize={width * height * 3 // 2}", "do-timestamp=true", "!",
        "rawvideoparse", "format=i420", f"width={width}", f"height={height}",
        f"framerate={rate.numerator}/{rate.denominator}", "!",
        "queue", "leaky=downstream", "max-size-buffers=2", "!",
        # Without this, a viewer that leaves takes the whole pipeline down.
        "identity", "drop-allocation=true", "!",
        "pipewiresink", "mode=provide", "sync=false", f'stream-properties="{properties}"',
    ]  # fmt: skip
