"""The virtual camera. This file alone knows pyvirtualcam."""

import logging
import sys
from typing import Any

import numpy as np

from vcam_avatar.devices.memory import _CheckedSink
from vcam_avatar.errors import DeviceError
from vcam_avatar.media import Frame, Size

logger = logging.getLogger(__name__)

_REMEDY = {
    "linux": "load the kernel module:  sudo apt install v4l2loopback-dkms && "
    "sudo modprobe v4l2loopback card_label='Avatar Cam' exclusive_caps=1",
    "win32": "install OBS Studio (its virtual camera is used) or UnityCapture",
    "darwin": "install OBS Studio 30 or newer and start its virtual camera once",
}


class VirtualCameraSink(_CheckedSink):
    """Sends frames to a camera that OBS, Zoom, Teams and browsers can open."""

    def __init__(self, device: str | None = None, backend: str | None = None) -> None:
        """Choose the camera; nothing is opened yet.

        Args:
            device: device name or path; None takes the first free one.
            backend: a pyvirtualcam backend; None takes the platform's.
        """
        super().__init__()
        self._device = device
        self._backend = backend
        self._camera: Any = None

    @property
    def name(self) -> str | None:
        """The name of the opened device, None when closed."""
        return None if self._camera is None else str(self._camera.device)

    def open(self, size: Size, fps: float) -> None:
        """Take the device.

        Raises:
            DeviceError: no camera there, or another program has it.
        """
        super().open(size, fps)
        import pyvirtualcam
        from pyvirtualcam.camera import BACKENDS

        if self._backend is not None and self._backend not in BACKENDS:
            super().close()
            raise DeviceError(
                f"no virtual camera backend {self._backend!r}; there are: {', '.join(BACKENDS)}"
            )
        try:
            self._camera = pyvirtualcam.Camera(
                width=size.width_px,
                height=size.height_px,
                fps=fps,
                fmt=pyvirtualcam.PixelFormat.BGR,
                device=self._device,
                backend=self._backend,
            )
        except (RuntimeError, OSError, ValueError, KeyError) as exc:
            super().close()
            cause = " ".join(str(exc).split())
            raise DeviceError(f"no virtual camera ({cause}): {camera_remedy()}") from exc
        logger.info("virtual camera %s, %s, %.4g fps", self._camera.device, size, fps)

    def send(self, frame: Frame) -> None:
        """Deliver one frame.

        Raises:
            DeviceError: the device has gone.
        """
        self.check(frame)
        try:
            self._camera.send(np.ascontiguousarray(frame.image_bgr))
        except (RuntimeError, OSError) as exc:
            raise DeviceError(f"the virtual camera {self.name} has failed ({exc})") from exc

    def close(self) -> None:
        """Give the device back; may be called twice."""
        camera, self._camera = self._camera, None
        super().close()
        if camera is not None:
            camera.close()


def camera_remedy() -> str:
    """What to do on this platform when there is no virtual camera."""
    return _REMEDY.get(sys.platform, "this system has no virtual camera")
