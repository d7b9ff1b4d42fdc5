"""A real kernel camera: v4l2loopback in User-Mode Linux; the real service sends, real programs read.

Runs as root inside the kernel that ``uml/run.sh`` boots.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from calm import hold
from lab import PATIENCE, Lab, end, wait_for

pytestmark = [
    pytest.mark.device,
    pytest.mark.skipif(not os.environ.get("IN_UML"), reason="loads kernel modules: only inside uml/run.sh"),
]

HERE = Path(__file__).parent
SIZE, FPS = "640x360", "25"
TWO = ["devices=2", "video_nr=0,1", "card_label=OBS Virtual Camera,Avatar Cam", "exclusive_caps=1,1"]
OURS, OBSS = "/dev/video1", "/dev/video0"
PICTURES = os.environ.get("VCAM_E2E_PICTURES")
"""Folder for a picture of OBS with the avatar in it."""
REAL = os.environ.get("VCAM_E2E_STAGES") == "real"


def modprobe(*options):
    subprocess.run(["modprobe", "-r", "v4l2loopback"], capture_output=True)
    if options:
        subprocess.run(["modprobe", "v4l2loopback", *options], check=True)


@pytest.fixture
def lab():
    with Lab() as lab:
        lab.env["XDG_STATE_HOME"] = str(lab.folder / "state")
        # A page fault costs a hundred times more in here than outside: keep memory once had.
        lab.env |= {"MALLOC_MMAP_THRESHOLD_": "1000000000", "MALLOC_TRIM_THRESHOLD_": "4000000000"}
        yield lab
    modprobe()


def start(lab, size=SIZE, real=REAL):
    """The service; returns when it runs or is degraded. ``real``: with the shipped networks."""
    if real:
        wav = Path(os.environ["VCAM_E2E_WAV"])
        arguments = ["-m", "vcam_avatar.cli.main", "-v", "run", "--source", f"file:{wav}", "--loop"]
        arguments += ["--size", size, "--fps", FPS, "--log", str(lab.folder / "run.log")]
    else:
        arguments = [str(HERE / "stand_in.py"), "silence", "camera", size, FPS]
    process = lab.start("service", sys.executable, *arguments)
    assert wait_for(lambda: state(lab) in ("RUNNING", "DEGRADED"), 60, 0.2), lab.log("service")[-2000:]
    return process


def state(lab):
    answer = lab.ctl("status", check=False)
    return answer["state"] if answer else None


def running(lab, limit_s=15):
    ok = wait_for(lambda: state(lab) == "RUNNING", limit_s, 0.2)
    assert ok, f"{lab.ctl('status', check=False)}\n{lab.log('service')[-2000:]}"


def see(device=OURS, frames=15):
    """Open with OpenCV; frames per second and the last picture."""
    capture = cv2.VideoCapture(device, cv2.CAP_V4L2)
    assert capture.isOpened(), device
    try:
        picture, moments = None, []
        for _ in range(frames):
            ok, picture = capture.read()
            assert ok
            moments.append(time.monotonic())
    finally:
        capture.release()
    return (len(moments) - 3) / (moments[-1] - moments[2]), picture


def see_patiently(device, frames):
    """As ``see``, for a device whose sender may take a while to begin."""
    for _ in range(3):
        try:
            return see(device, frames)
        except AssertionError:
            time.sleep(2 * PATIENCE)
    return see(device, frames)


def test_every_reader_sees_our_camera_in_the_right_size(lab):
    modprobe(*TWO)
    process = start(lab)
    running(lab)
    fps, picture = see(frames=60)
    assert picture.shape == (360, 640, 3)
    said = lab.run("v4l2-ctl", "-d", OURS, "--all")
    assert "Avatar Cam" in said
    assert "640/360" in said
    streamed = subprocess.run(
        ["v4l2-ctl", "-d", OURS, "--stream-mmap", "--stream-count=50", "--stream-to=/dev/null"],
        capture_output=True, text=True, timeout=20,
    )  # fmt: skip
    assert streamed.returncode == 0, streamed.stderr
    probed = lab.run(
        "ffprobe", "-v", "error", "-f", "v4l2", "-show_entries", "stream=width,height,r_frame_rate", OURS
    )
    assert "width=640" in probed
    assert "height=360" in probed
    report = lab.ctl("status")
    print(f"\nread {fps:.1f} fps; sent {report['fps']} fps, interval p99 {report['interval_p99_ms']} ms")
    assert report["camera"]["device"] == OURS
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.wait(5)
    took = time.monotonic() - began
    hold(took < 3.0, f"{took:.1f} s")  # ending Python is slow in here; outside it is below a second
    hold(20 < fps < 30, f"{fps:.1f} fps")  # gaps are measured outside: there is one slow processor in here


def test_three_starts_and_a_kill_leave_it_usable(lab):
    modprobe(*TWO)
    for ending in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL, signal.SIGTERM):
        process = start(lab)
        running(lab)
        _, picture = see(frames=5)
        assert picture.shape == (360, 640, 3)
        process.send_signal(ending)
        process.wait(10)
    assert "failed" not in lab.log("service")


def test_a_device_that_another_program_left_stuck_is_repaired(lab):
    modprobe(*TWO)
    code = f"""
import numpy as np, pyvirtualcam
camera = pyvirtualcam.Camera(640, 360, 25, device={OURS!r})
for _ in range(3): camera.send(np.zeros((360, 640, 3), np.uint8))
camera.close()
try: pyvirtualcam.Camera(640, 360, 25, device={OURS!r}); print('opens')
except RuntimeError as exc: print(exc)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    assert "not a video output device" in said  # the defect is there
    start(lab, real=False)
    running(lab)
    assert "repairing it" in lab.log("service")
    see(frames=5)


def test_absent_then_there_it_recovers_without_a_restart(lab):
    modprobe()
    start(lab, real=False)
    answer = wait_for(lambda: (a := lab.ctl("status"))["troubles"] and a, 10)
    assert answer["state"] == "DEGRADED"
    assert "camera install" in answer["troubles"]["camera"]
    frames = lab.ctl("status")["frames"]
    modprobe(*TWO)
    running(lab)
    see(frames=5)
    assert lab.ctl("status")["frames"] > frames


def test_busy_then_free_and_never_somebody_elses(lab):
    modprobe(*TWO)
    code = f"""
import numpy as np, pyvirtualcam, time, sys
sys.path.insert(0, {str(HERE.parents[1])!r})
from vcam_avatar.devices.v4l2 import mark_writer, own_descriptor
camera = pyvirtualcam.Camera(640, 360, 25, device={OURS!r})
mark_writer(own_descriptor({OURS!r}))
print('has it', flush=True)
while True: camera.send(np.zeros((360, 640, 3), np.uint8)); time.sleep(0.04)
"""
    other = lab.start("other", sys.executable, "-c", code)
    assert wait_for(lambda: "has it" in lab.log("other"), 20)
    start(lab, real=False)
    answer = wait_for(lambda: (a := lab.ctl("status"))["troubles"] and a, 10)
    print("\n", answer["troubles"])
    assert "camera" in answer["troubles"]
    assert "output" in lab.run("v4l2-ctl", "-d", OBSS, "--all").lower()  # OBS's is still free
    end(other)
    running(lab)
    see(frames=5)


def test_a_viewer_that_holds_another_size_gets_bars(lab):
    modprobe(*TWO)
    first = start(lab, "640x480", real=False)
    running(lab)
    viewer = cv2.VideoCapture(OURS, cv2.CAP_V4L2)
    assert viewer.read()[0]
    first.terminate()
    first.wait(10)
    start(lab, "640x360", real=False)
    running(lab)
    deadline = time.monotonic() + 15
    picture = np.full((480, 640, 3), 255, np.uint8)
    while picture[5].max() > 40 and time.monotonic() < deadline:
        ok, now = viewer.read()
        if ok:
            picture = now
    viewer.release()
    assert picture.shape == (480, 640, 3)
    assert picture[5].max() < 40  # the bar above
    assert picture[240].max() > 40  # the picture


def configure_obs(lab):
    from vcam_avatar.cli.main import main

    lab.start_display()
    lab.start_sound(tick_ms=100)
    lab.configure_obs(size=(640, 360), fps=15, preview=False)
    assert main(["obs", "install"]) == 0
    lab.start_obs(60)
    return lab.obs_client(60)  # one processor for everything in here


def picture_in_obs(client, source):
    """What OBS shows of a source; None while that is black or nothing."""
    import base64

    try:
        shot = client.get_source_screenshot(source, "png", 640, 360, -1)
    except Exception:
        return None
    data = np.frombuffer(base64.b64decode(shot.image_data.split(",", 1)[1]), np.uint8)
    picture = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return picture if picture is not None and picture.max() > 40 else None


def shown_in_obs(client, source, limit_s=20):
    deadline = time.monotonic() + limit_s * PATIENCE
    while (picture := picture_in_obs(client, source)) is None:
        assert time.monotonic() < deadline, f"{source} stays black"
        time.sleep(0.5)
    return picture


@pytest.mark.obs
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_obs_sees_it_a_black_source_revives_and_its_own_camera_runs_beside(lab, monkeypatch):
    from vcam_avatar.cli.main import main

    for key in ("HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(key, lab.env[key])
    modprobe(*TWO)
    client = configure_obs(lab)
    settings = {"device_id": OURS, "input": 0, "buffering": False}
    client.create_input("Scene", "Early", "v4l2_input", settings, True)  # before there are frames: black
    process = start(lab)
    running(lab, 30)
    assert shown_in_obs(client, "Early").shape == (360, 640, 3)
    assert main(["obs", "add-source"]) == 0  # in this process: starting another Python takes long in here
    shown_in_obs(client, "Avatar Cam")
    if PICTURES:
        client.remove_input("Early")
        time.sleep(5)
        cv2.imwrite(str(Path(PICTURES) / "obs-scene.png"), shown_in_obs(client, "Scene"))
    listed = client.get_input_properties_list_property_items("Avatar Cam", "device_id").property_items
    assert any("Avatar Cam" in item["itemName"] for item in listed)
    if not REAL:
        before = shown_in_obs(client, "Scene")[5, 5].astype(int)
        client.trigger_hot_key_by_name("avatar_cam.next")
        changed = wait_for(lambda: np.abs(shown_in_obs(client, "Scene")[5, 5] - before).max() > 30, 10, 0.1)
        assert changed, "the hotkey did not change the picture in OBS"
    client.start_virtual_cam()
    time.sleep(2)
    assert client.get_virtual_cam_status().output_active
    _, both = see_patiently(OBSS, 5)
    assert both.shape == (360, 640, 3)
    assert both.max() > 40
    assert state(lab) == "RUNNING"
    before = lab.ctl("status")["camera"]["sent"]
    time.sleep(1)
    assert lab.ctl("status")["camera"]["sent"] > before + 5
    process.terminate()
    process.wait(10)
    start(lab)
    running(lab, 30)
    time.sleep(2)
    shown_in_obs(client, "Avatar Cam")  # a restart with OBS attached
    client.stop_virtual_cam()
    client.disconnect()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_chromium_sees_it(lab):
    from browser import look

    modprobe(*TWO)
    start(lab)
    running(lab)
    seen = look(lab, "Avatar Cam", seconds=6)
    print("\n", {k: v for k, v in seen.items() if k != "gaps_ms"})
    assert seen["label"] == "Avatar Cam"
    assert (seen["width"], seen["height"]) == (640, 360)
    hold(seen["frames"] > 30, f"{seen['frames']} frames")
