"""The virtual camera. This file alone knows pyvirtualcam."""

import logging
import sys
from typing import Any

import numpy as np

from vcam_avatar.devices import pipewire_camera, v4l2
from vcam_avatar.devices.fit import Letterbox
from vcam_avatar.devices.memory import _CheckedSink
from vcam_avatar.errors import DeviceError
from vcam_avatar.media import Frame, Size

logger = logging.getLogger(__name__)

CAMERA_LABEL = "Avatar Cam"
"""The name under which call programs list our camera."""

_REMEDY = {
    "linux": "run  vcam-avatar camera install",
    "win32": "install OBS Studio (its virtual camera is used) or UnityCapture; "
    "see  vcam-avatar camera install",
    "darwin": "install OBS Studio 30 or newer and start its virtual camera once; "
    "see  vcam-avatar camera install",
}


class VirtualCameraSink(_CheckedSink):
    """Sends frames to a camera that OBS, Zoom, Teams and browsers can open.

    On Linux only our own device is taken, found by its label; on Windows UnityCapture's device of that
    name before OBS's; on macOS OBS's. Where a viewer holds the device to another size, frames are fitted
    into that size.
    """

    def __init__(self, device: str | None = None, backend: str | None = None) -> None:
        """Choose the camera; nothing is opened yet.

        Args:
            device: label or path of the device; None takes ours.
            backend: a pyvirtualcam backend, or ``pipewire``; None takes the platform's.
        """
        super().__init__()
        self._device = device
        self._backend = backend
        self._camera: Any = None
        self._letterbox: Letterbox | None = None

    @property
    def name(self) -> str | None:
        """The name of the opened device, None when closed."""
        return None if self._camera is None else str(self._camera.device)

    @property
    def shared_with_obs(self) -> bool:
        """Whether OBS's own virtual camera would write into the opened device as well."""
        cameras = v4l2.loopback_cameras() if sys.platform.startswith("linux") else []
        return bool(cameras) and cameras[0].path == self.name

    def open(self, size: Size, fps: float) -> None:
        """Take the device.

        Raises:
            DeviceError: no camera there, or another program has it.
        """
        super().open(size, fps)
        try:
            self._camera = self._open_any(size, fps)
        except DeviceError:
            super().close()
            raise
        logger.info("virtual camera %s, %s, %.4g fps", self._camera.device, size, fps)

    def send(self, frame: Frame) -> None:
        """Deliver one frame.

        Raises:
            DeviceError: the device has gone.
        """
        self.check(frame)
        image = frame.image_bgr if self._letterbox is None else self._letterbox.fit(frame.image_bgr)
        try:
            self._camera.send(np.ascontiguousarray(image))
        except (RuntimeError, OSError) as exc:
            raise DeviceError(f"the virtual camera {self.name} has failed ({exc})") from exc

    def close(self) -> None:
        """Give the device back; may be called twice."""
        camera, self._camera = self._camera, None
        self._letterbox = None
        super().close()
        if camera is not None:
            camera.close()

    def _open_any(self, size: Size, fps: float) -> Any:
        causes = []
        for backend, device in self._choices():
            try:
                if backend == "v4l2loopback":
                    return self._open_loopback(_loopback_path(device), size, fps)
                return _camera(backend, device, size, fps)
            except (RuntimeError, OSError, ValueError, KeyError) as exc:
                causes.append((exc, " ".join(str(exc).split())))
        cause = "; ".join(text for _, text in causes) or "none for this system"
        raise DeviceError(f"no virtual camera ({cause}): {camera_remedy(cause)}") from (
            causes[-1][0] if causes else None
        )

    def _choices(self) -> list[tuple[str, str | None]]:
        """Backends to try in order, each with its device."""
        if self._backend is not None:
            return [(self._backend, self._device)]
        if sys.platform == "win32":
            return [("unitycapture", self._device or CAMERA_LABEL), ("obs", self._device)]
        if sys.platform == "darwin":
            return [("obs", self._device)]
        return [("v4l2loopback", self._device)]

    def _open_loopback(self, path: str, size: Size, fps: float) -> Any:
        try:
            camera = _camera("v4l2loopback", path, size, fps)
        except RuntimeError as exc:
            if "not a video output device" not in str(exc) or not v4l2.needs_cure():
                raise
            # The same refusal while another program sends, whose frames a repair would stop.
            if writers := v4l2.writers_of(path):
                names = ", ".join(f"{name} ({pid})" for pid, name in writers)
                raise OSError(f"{path} is busy: {names} sends to it") from exc
            logger.info("%s is stuck: repairing it", path)
            v4l2.repair(path)
            camera = _camera("v4l2loopback", path, size, fps)
        descriptor = v4l2.own_descriptor(path)
        if descriptor is None:
            return camera
        if v4l2.needs_cure():
            v4l2.mark_writer(descriptor)
        real = v4l2.current_size(descriptor)
        if real is None or real == size:
            return camera
        # A viewer has the device open and holds it to the size it began with.
        logger.warning("%s stays at %s while a viewer has it open: fitting %s into it", path, real, size)
        camera.close()
        self._letterbox = Letterbox(size, real)
        camera = _camera("v4l2loopback", path, real, fps)
        descriptor = v4l2.own_descriptor(path)
        if descriptor is not None and v4l2.needs_cure():
            v4l2.mark_writer(descriptor)
        return camera


def _camera(backend: str, device: str | None, size: Size, fps: float) -> Any:
    import pyvirtualcam

    backends = _backends()
    if backend not in backends:
        raise RuntimeError(f"no virtual camera backend {backend!r}; there are: {', '.join(backends)}")
    return pyvirtualcam.Camera(
        width=size.width_px,
        height=size.height_px,
        fps=fps,
        fmt=pyvirtualcam.PixelFormat.BGR,
        device=device,
        backend=backend,
    )


def _backends() -> tuple[str, ...]:
    """Names of all camera systems, the PipeWire camera among them where there can be one."""
    from pyvirtualcam.camera import BACKENDS, register_backend

    name = pipewire_camera.BACKEND
    if sys.platform.startswith("linux") and name not in BACKENDS:
        register_backend(name, pipewire_camera.PipeWireCamera)
    return tuple(BACKENDS)


def _loopback_path(device: str | None) -> str:
    """The device file for a label or path; None means our label.

    Raises:
        OSError: there is none of that label.
    """
    if device is not None and device.startswith("/"):
        return device
    label = device or CAMERA_LABEL
    found = find_device(label)
    if found is not None:
        return found
    others = ", ".join(camera.label for camera in v4l2.loopback_cameras())
    if others:
        raise OSError(f"there is no loopback camera {label!r}, only: {others}")
    loaded = "has no cameras" if v4l2.module_loaded() else "is not loaded"
    raise OSError(f"there is no loopback camera {label!r}: the kernel module v4l2loopback {loaded}")


def find_device(label: str = CAMERA_LABEL) -> str | None:
    """Path of the Linux loopback camera with this label; None on other systems or without one."""
    cameras = v4l2.loopback_cameras() if sys.platform.startswith("linux") else []
    return next((camera.path for camera in cameras if camera.label == label), None)


def camera_remedy(cause: str = "") -> str:
    """What to do on this platform when there is no virtual camera, or it gives this cause."""
    if "busy" in cause.lower():
        return "another program has it; close that one, this is tried again"
    if "ermission" in cause:
        return "allow it with  sudo usermod -aG video $USER  and log in again"
    return _REMEDY.get(sys.platform, "this system has no virtual camera")


def camera_backends() -> dict[str, str]:
    """What each of the platform's camera systems says when it is opened for a moment: empty when it
    works, else the cause."""
    found = {}
    for name in _backends():
        sink = VirtualCameraSink(backend=name)
        try:
            sink.open(Size(640, 360), 25)
            found[name] = ""
        except DeviceError as exc:
            found[name] = str(exc.__cause__ or exc)
        finally:
            sink.close()
    return {name: " ".join(text.split()) for name, text in found.items()}
