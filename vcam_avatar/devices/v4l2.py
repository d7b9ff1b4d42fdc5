"""Linux loopback cameras: finding ours, and the cures for what the kernel module does wrong.

Debian 12's v4l2loopback (0.12.7) with ``exclusive_caps=1`` can be opened for writing only once per load
of the module when frames are sent with ``write()``, as pyvirtualcam does: the writer is never marked as
one, so closing does not give the device back. STREAMON on the writer's own descriptor marks it; on a
device that is stuck already, STREAMON and close frees it. Newer versions need neither, and one of them
is reported to suffer from it, so the cure is taken only where it is needed.
"""

import contextlib
import os
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vcam_avatar.media import Size

if sys.platform.startswith("linux"):
    import fcntl

SYSFS = Path("/sys")
_STREAMON = 0x40045612
_G_FMT = 0xC0D05604
_QUERYCAP = 0x80685600
_BUF_TYPE_CAPTURE, _BUF_TYPE_OUTPUT = 1, 2
_CAP_CAPTURE, _CAP_OUTPUT = 0x1, 0x2
_FORMAT_BYTES = 208
_CAPABILITY_BYTES = 104
_CURED_VERSION = (0, 12, 8)


@dataclass(frozen=True, slots=True)
class LoopbackCamera:
    """One loopback camera of this machine."""

    number: int
    label: str

    @property
    def path(self) -> str:
        """Its device file."""
        return f"/dev/video{self.number}"


def loopback_cameras(sysfs: Path = SYSFS) -> list[LoopbackCamera]:
    """The loopback cameras there are, by number."""
    found = []
    for folder in (sysfs / "devices/virtual/video4linux").glob("video*"):
        number = folder.name.removeprefix("video")
        with contextlib.suppress(OSError):
            if number.isdecimal():
                found.append(LoopbackCamera(int(number), (folder / "name").read_text().strip()))
    return sorted(found, key=lambda camera: camera.number)


def module_loaded(sysfs: Path = SYSFS) -> bool:
    """Whether the kernel has v4l2loopback."""
    return (sysfs / "module/v4l2loopback").is_dir()


def module_version(sysfs: Path = SYSFS) -> tuple[int, ...] | None:
    """Version of the loaded module; None where it does not tell, as Debian 12's does not."""
    try:
        text = (sysfs / "module/v4l2loopback/version").read_text().strip()
        return tuple(int(part) for part in text.split("-")[0].split("."))
    except (OSError, ValueError):
        return None


def needs_cure(sysfs: Path = SYSFS) -> bool:
    """Whether the loaded module forgets who writes."""
    if not module_loaded(sysfs):
        return False
    version = module_version(sysfs)
    return version is None or version < _CURED_VERSION


def own_descriptor(path: str, proc: Path = Path("/proc/self/fd")) -> int | None:
    """This process's open descriptor of a device file, None when it has none."""
    wanted = os.path.realpath(path)
    for entry in proc.iterdir():
        with contextlib.suppress(OSError, ValueError):
            if os.path.realpath(os.readlink(entry)) == wanted:
                return int(entry.name)
    return None


def mark_writer(descriptor: int) -> bool:
    """Tell the module that this descriptor is the writer's, so that closing gives the device back.

    Returns:
        Whether the module took it; a newer one refuses, and needs no telling.
    """
    return _ioctl(descriptor, _STREAMON, bytearray(struct.pack("i", _BUF_TYPE_OUTPUT)))


def repair(path: str, opener: Callable[[str, int], int] = os.open) -> bool:
    """Give back a device that a writer left stuck.

    Returns:
        Whether it could be tried; whether it helped is seen by opening the device.
    """
    try:
        descriptor = opener(path, os.O_RDWR)
    except OSError:
        return False
    try:
        mark_writer(descriptor)
    finally:
        os.close(descriptor)
    return True


def current_size(descriptor: int) -> Size | None:
    """The picture size the device really has, whatever was asked of it; None if it does not say."""
    for kind in (_BUF_TYPE_OUTPUT, _BUF_TYPE_CAPTURE):
        answer = bytearray(_FORMAT_BYTES)
        struct.pack_into("I", answer, 0, kind)
        if _ioctl(descriptor, _G_FMT, answer):
            # struct v4l2_format: type, padding to 8 bytes, then width and height.
            width, height = struct.unpack_from("II", answer, 8)
            if width and height:
                return Size(width, height)
    return None


def can_write(path: str) -> bool | None:
    """Whether the device takes frames now: False while another program's frames occupy it, or when it is
    stuck; None when it cannot be asked."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        answer = bytearray(_CAPABILITY_BYTES)
        if not _ioctl(descriptor, _QUERYCAP, answer):
            return None
        # struct v4l2_capability: driver 16, card 32, bus 32, version, capabilities, device_caps.
        (device_caps,) = struct.unpack_from("I", answer, 88)
        return bool(device_caps & _CAP_OUTPUT)
    finally:
        os.close(descriptor)


def users_of(path: str, proc: Path = Path("/proc")) -> list[tuple[int, str]]:
    """Other processes that have the device open, as far as we may see: process id and name."""
    return [(pid, name) for pid, name, _ in _openers(path, proc)]


def writers_of(path: str, proc: Path = Path("/proc")) -> list[tuple[int, str]]:
    """Of these, the ones that seem to send: viewers have the device's buffers mapped, senders write."""
    return [(pid, name) for pid, name, mapped in _openers(path, proc) if not mapped]


def _openers(path: str, proc: Path) -> list[tuple[int, str, bool]]:
    wanted, found = os.path.realpath(path), []
    for process in proc.iterdir():
        if not process.name.isdecimal() or int(process.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            if any(_points_to(entry, wanted) for entry in (process / "fd").iterdir()):
                mapped = f"{wanted}\n" in (process / "maps").read_text()
                found.append((int(process.name), (process / "comm").read_text().strip(), mapped))
    return found


def _points_to(entry: Path, wanted: str) -> bool:
    try:
        return os.readlink(entry) == wanted
    except OSError:
        return False


def _ioctl(descriptor: int, request: int, buffer: bytearray) -> bool:
    try:
        fcntl.ioctl(descriptor, request, buffer, True)
    except OSError:
        return False
    return True
