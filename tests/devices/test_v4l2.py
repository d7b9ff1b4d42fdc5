"""Finding and curing Linux loopback cameras, on a made-up /sys and a fake kernel."""

import errno
import struct
import sys

import numpy as np
import pytest
from devices.fake_camera import FakeCamera

from vcam_avatar.devices import v4l2, virtual_camera
from vcam_avatar.devices.fit import Letterbox
from vcam_avatar.devices.virtual_camera import CAMERA_LABEL, VirtualCameraSink
from vcam_avatar.errors import DeviceError
from vcam_avatar.media import Frame, Size

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux only")

SIZE = Size(64, 48)


@pytest.fixture
def sysfs(tmp_path, monkeypatch):
    """Two loopback cameras and a webcam; Debian 12's module."""
    for number, label in ((8, "OBS Virtual Camera"), (10, "Avatar Cam")):
        folder = tmp_path / f"devices/virtual/video4linux/video{number}"
        folder.mkdir(parents=True)
        (folder / "name").write_text(f"{label}\n")
    (tmp_path / "module/v4l2loopback").mkdir(parents=True)
    for name in ("loopback_cameras", "module_loaded", "module_version", "needs_cure"):
        function = getattr(v4l2, name)
        monkeypatch.setattr(v4l2, name, lambda _sysfs=tmp_path, function=function: function(_sysfs))
    return tmp_path


class Kernel:
    """Answers ioctls; a device that was only written to is stuck after closing, as in 0.12.7."""

    def __init__(self):
        self.size = None
        self.marked = False
        self.stuck = False
        self.repaired = []

    def ioctl(self, descriptor, request, buffer, mutate=False):
        if request == v4l2._STREAMON:
            self.marked = True
            return 0
        if request == v4l2._G_FMT and self.size is not None:
            struct.pack_into("II", buffer, 8, self.size.width_px, self.size.height_px)
            return 0
        raise OSError(errno.EINVAL, "no")


@pytest.fixture
def kernel(monkeypatch, sysfs, fake_camera):
    kernel = Kernel()
    camera = pytest.importorskip("pyvirtualcam.camera")

    class Loopback(FakeCamera):
        def __init__(self, width, height, fps, fourcc, device, **kw):
            if kernel.stuck:
                raise RuntimeError(f"Device {device} is not a video output device.")
            super().__init__(width, height, fps, fourcc, device, **kw)
            kernel.marked = False
            if kernel.size is None:
                kernel.asked = Size(width, height)

        def close(self):
            kernel.stuck = not kernel.marked
            super().close()

    def repair(path):
        kernel.repaired.append(path)
        kernel.stuck = False
        return True

    Loopback.opened = []
    monkeypatch.setitem(camera.BACKENDS, "v4l2loopback", Loopback)
    monkeypatch.setattr(v4l2.fcntl, "ioctl", kernel.ioctl)
    monkeypatch.setattr(v4l2, "own_descriptor", lambda path: 99)
    monkeypatch.setattr(v4l2, "repair", repair)
    kernel.cameras = Loopback.opened
    return kernel


def frame(value=7):
    return Frame(0, np.full((48, 64, 3), value, np.uint8))


def test_cameras_are_found_by_label(sysfs):
    assert [(c.path, c.label) for c in v4l2.loopback_cameras()] == [
        ("/dev/video8", "OBS Virtual Camera"),
        ("/dev/video10", "Avatar Cam"),
    ]
    assert virtual_camera.find_device() == "/dev/video10"
    assert virtual_camera.find_device("Nobody") is None


@pytest.mark.parametrize(
    ("version", "cure"),
    [(None, True), ("0.12.7", True), ("0.12.5", True), ("0.13.2", False), ("0.14.0-3", False)],
)
def test_the_cure_is_taken_only_where_it_is_needed(sysfs, version, cure):
    if version:
        (sysfs / "module/v4l2loopback/version").write_text(f"{version}\n")
    assert v4l2.needs_cure() is cure


def test_without_the_module_the_next_step_is_named(sysfs, fake_camera):
    (sysfs / "module/v4l2loopback").rmdir()
    for number in (8, 10):
        (sysfs / f"devices/virtual/video4linux/video{number}/name").unlink()
    with pytest.raises(DeviceError, match=r"v4l2loopback is not loaded.*camera install"):
        VirtualCameraSink().open(SIZE, 25)


def test_somebody_elses_device_is_never_taken(sysfs, fake_camera):
    (sysfs / "devices/virtual/video4linux/video10/name").write_text("Other\n")
    with pytest.raises(DeviceError, match="only: OBS Virtual Camera, Other"):
        VirtualCameraSink().open(SIZE, 25)


def test_our_device_opens_again_and_again(kernel):
    sink = VirtualCameraSink()
    for _ in range(3):
        sink.open(SIZE, 25)
        assert sink.name == "/dev/video10"
        sink.send(frame())
        sink.close()
    assert kernel.repaired == []


def test_a_device_that_obs_would_take_too_is_recognised(kernel, sysfs):
    sink = VirtualCameraSink()
    sink.open(SIZE, 25)
    assert not sink.shared_with_obs
    sink.close()
    (sysfs / "devices/virtual/video4linux/video8/name").unlink()
    sink.open(SIZE, 25)
    assert sink.shared_with_obs
    sink.close()


def test_a_stuck_device_is_repaired(kernel):
    kernel.stuck = True
    sink = VirtualCameraSink(CAMERA_LABEL)
    sink.open(SIZE, 25)
    sink.send(frame())
    assert kernel.repaired == ["/dev/video10"]
    sink.close()


def test_a_device_that_another_program_sends_to_is_not_repaired(kernel, monkeypatch):
    kernel.stuck = True
    monkeypatch.setattr(v4l2, "writers_of", lambda path: [(77, "obs")])
    with pytest.raises(DeviceError, match=r"busy: obs \(77\) sends to it.*close that one"):
        VirtualCameraSink().open(SIZE, 25)
    assert kernel.repaired == []


def test_senders_are_told_from_viewers(tmp_path):
    device = tmp_path / "video9"
    device.touch()
    for pid, name, maps in (
        (41, "viewer", f"7f00-7f01 rw-s 00000000 00:05 9 {device}\n"),
        (42, "sender", ""),
    ):
        (tmp_path / f"{pid}/fd").mkdir(parents=True)
        (tmp_path / f"{pid}/fd/5").symlink_to(device)
        (tmp_path / f"{pid}/comm").write_text(name + "\n")
        (tmp_path / f"{pid}/maps").write_text(maps)
    assert sorted(v4l2.users_of(str(device), tmp_path)) == [(41, "viewer"), (42, "sender")]
    assert v4l2.writers_of(str(device), tmp_path) == [(42, "sender")]


def test_a_newer_module_is_left_alone(kernel, sysfs):
    (sysfs / "module/v4l2loopback/version").write_text("0.15.0\n")
    VirtualCameraSink().open(SIZE, 25)
    assert not kernel.marked
    kernel.stuck = True
    with pytest.raises(DeviceError, match="not a video output"):
        VirtualCameraSink().open(SIZE, 25)
    assert kernel.repaired == []


def test_a_size_held_by_a_viewer_is_kept_and_filled(kernel):
    kernel.size = Size(128, 48)
    sink = VirtualCameraSink()
    sink.open(SIZE, 25)
    sink.send(frame(9))
    shown = kernel.cameras[-1].frames[-1]
    assert shown.shape == (48, 128, 3)
    assert (shown[:, 32:96] == 9).all()
    assert (shown[:, :32] == 0).all()
    sink.close()
    kernel.size = None
    sink.open(SIZE, 25)
    sink.send(frame(9))
    assert kernel.cameras[-1].frames[-1].shape == (48, 64, 3)


@pytest.mark.parametrize(
    ("cause", "says"), [("Device busy", "close that one"), ("Permission denied", "usermod")]
)
def test_the_remedy_fits_the_cause(cause, says):
    assert says in virtual_camera.camera_remedy(cause)


@pytest.mark.parametrize("outer", [Size(128, 48), Size(64, 96), Size(32, 24), Size(64, 48), Size(200, 30)])
def test_letterbox_keeps_the_shape(outer):
    image = np.full((48, 64, 3), 200, np.uint8)
    fitted = Letterbox(SIZE, outer).fit(image)
    assert fitted.shape == (outer.height_px, outer.width_px, 3)
    lit = np.argwhere(fitted[..., 0] > 100)
    height, width = np.ptp(lit, axis=0) + 1
    assert width / height == pytest.approx(64 / 48, rel=0.1)
    assert height == outer.height_px or width == outer.width_px


def test_a_missing_device_cannot_be_asked():
    assert v4l2.can_write("/dev/video-none") is None
    assert v4l2.repair("/dev/video-none") is False
    assert v4l2.own_descriptor("/dev/video-none") is None
    assert v4l2.users_of("/dev/video-none") == []
