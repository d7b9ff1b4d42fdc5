"""The PipeWire backend with a stand-in for GStreamer."""

import os
import stat
import sys
import time

import numpy as np
import pytest

from vcam_avatar.devices import pipewire_camera
from vcam_avatar.devices.virtual_camera import VirtualCameraSink
from vcam_avatar.errors import DeviceError
from vcam_avatar.media import Frame, Size

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")

SIZE = Size(64, 48)
FRAME_BYTES = 64 * 48 * 3 // 2


@pytest.fixture
def gstreamer(tmp_path, monkeypatch):
    """Install a program in place of ``gst-launch-1.0``."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def install(code):
        program = folder / "gst-launch-1.0"
        program.write_text(f"#!{sys.executable}\nimport sys, os\n{code}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    return install


def frame(value):
    return Frame(0, np.full((48, 64, 3), value, np.uint8))


def send_for_ever(sink):
    while True:
        sink.send(frame(1))


def test_frames_arrive_as_yuv(gstreamer, tmp_path):
    out = tmp_path / "frames"
    gstreamer(
        f"assert 'framerate=30000/1001' in sys.argv\nopen({str(out)!r}, 'wb').write(sys.stdin.buffer.read())"
    )
    sink = VirtualCameraSink(backend="pipewire")
    sink.open(SIZE, 30000 / 1001)
    assert sink.name == "Avatar Cam"
    for value in (255, 0):
        sink.send(frame(value))
    camera = sink._camera._backend._child
    camera.stdin.close()
    camera.wait(5)
    sink.close()
    data = np.frombuffer(out.read_bytes(), np.uint8)
    assert len(data) == 2 * FRAME_BYTES
    assert (data[: 64 * 48] == 235).all()
    assert (data[FRAME_BYTES : FRAME_BYTES + 64 * 48] == 16).all()


def test_only_a_picture_that_nobody_can_have_changed_is_not_converted_again(gstreamer, tmp_path):
    out = tmp_path / "frames"
    gstreamer(f"open({str(out)!r}, 'wb').write(sys.stdin.buffer.read())")
    sink = VirtualCameraSink(backend="pipewire")
    sink.open(SIZE, 25)
    own = frame(255)
    sink.send(own)
    own.image_bgr[:] = 0
    sink.send(own)  # changed in place
    own.image_bgr.setflags(write=False)
    converted = sink._camera._backend._yuv
    sink.send(own)
    converted[:] = 7
    sink.send(own)  # not converted again
    other = frame(255)
    other.image_bgr.setflags(write=False)
    sink.send(other)
    camera = sink._camera._backend._child
    camera.stdin.close()
    camera.wait(5)
    sink.close()
    sent = np.frombuffer(out.read_bytes(), np.uint8).reshape(5, FRAME_BYTES)[:, : 64 * 48]
    assert sent.min(1).tolist() == sent.max(1).tolist() == [235, 16, 16, 7, 235]


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (
            "sys.stderr.write('WARNING: erroneous pipeline: no element \"pipewiresink\"\\n'); sys.exit(1)",
            "apt install",
        ),
        ("sys.stderr.write('ERROR: cannot connect to PipeWire\\n'); sys.exit(1)", "cannot connect"),
        ("sys.exit(1)", "is it running"),
    ],
)
def test_what_is_missing_is_named(gstreamer, code, says):
    gstreamer(code)
    with pytest.raises(DeviceError, match=says):
        VirtualCameraSink(backend="pipewire").open(SIZE, 25)


def test_without_gstreamer_it_says_what_to_install(gstreamer):
    with pytest.raises(DeviceError, match=r"gst-launch-1\.0 is missing"):
        VirtualCameraSink(backend="pipewire").open(SIZE, 25)


def test_a_child_that_dies_is_a_device_error_and_one_that_hangs_is_ended(gstreamer):
    gstreamer("sys.stdin.buffer.read(1000); sys.exit(0)")
    sink = VirtualCameraSink(backend="pipewire")
    sink.open(SIZE, 25)
    sink._camera._backend._child.stdin.write(bytes(1000))
    sink._camera._backend._child.wait(5)
    with pytest.raises(DeviceError, match="ended"):
        sink.send(frame(1))
    sink.close()
    gstreamer("import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)")
    sink.open(SIZE, 25)
    sink.close()


def test_a_child_that_takes_no_frames_is_a_device_error(gstreamer, monkeypatch):
    monkeypatch.setattr(pipewire_camera, "_STUCK_S", 0.2)
    gstreamer("import time; time.sleep(60)")
    sink = VirtualCameraSink(backend="pipewire")
    sink.open(SIZE, 25)
    start = time.monotonic()
    with pytest.raises(DeviceError, match="takes no frames"):
        send_for_ever(sink)
    assert time.monotonic() - start < 3
    sink.close()
