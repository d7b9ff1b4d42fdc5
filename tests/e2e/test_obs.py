"""Real OBS under Xvfb, real key presses, the real service (stand-in stages, frames into memory)."""

import dataclasses
import logging
import os
import signal
import sys
import time

import numpy as np
import pytest
from calm import hold, timed
from daemon.daemon_doubles import Stage, eventually
from lab import MICROPHONE, OBS_PASSWORD, wait_for

from vcam_avatar.control.commands import OBS, Set

pytestmark = [
    pytest.mark.obs,
    # The client library leaves sockets to the garbage collector, and its event thread to its fate.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
]

KEYS = {
    "avatar_cam.next": [{"key": "OBS_KEY_F9", "control": True}],
    "avatar_cam.previous": [{"key": "OBS_KEY_F8", "control": True}],
    "avatar_cam.mute": [{"key": "OBS_KEY_F7", "control": True}],
    "avatar_cam.show1": [{"key": "OBS_KEY_1", "alt": True}],
    "avatar_cam.show2": [{"key": "OBS_KEY_2", "alt": True}],
    "avatar_cam.show4": [{"key": "OBS_KEY_4", "alt": True}],
    "avatar_cam.hold2": [{"key": "OBS_KEY_F6", "control": True}],
}
PRESS_TO_SWITCH_MS = 150
PRESSES = int(os.environ.get("VCAM_E2E_PRESSES", "12"))


class Desk:
    """OBS with the script, and the service beside it."""

    def __init__(self, lab):
        self.lab = lab

    def configure(self, second_way):
        """Fresh OBS files, with the script put in by our own command."""
        import json

        self.lab.configure_obs()
        assert "script added" in self.lab.run(sys.executable, "-m", "vcam_avatar.cli.main", "obs", "install")
        content = json.loads(self.lab.collection.read_text())
        (entry,) = content["modules"]["scripts-tool"]
        entry["settings"] = {**KEYS, "second_way_only": second_way}
        self.lab.collection.write_text(json.dumps(content))

    def start(self):
        self.lab.start_obs()
        self.window = wait_for(
            lambda: self.lab.run("xdotool", "search", "--name", "^OBS ", check=False).split()
        )[-1]


@pytest.fixture(scope="module", params=["vendor event", "renaming"])
def desk(request, lab):
    desk = Desk(lab)
    desk.configure(request.param == "renaming")
    desk.start()
    yield desk
    lab.stop_obs()


@pytest.fixture
def stage(desk, caplog):
    """The service; nothing it logs at any level may hold the password."""
    caplog.set_level(logging.DEBUG)
    with Stage(config={"obs.follow": True}) as stage:
        eventually(lambda: connected(stage), 6)
        yield stage
    assert OBS_PASSWORD not in caplog.text


def show_by_key(desk, stage, number):
    """Press the key of an avatar; again when OBS, busy with starting, misses it."""
    for _ in range(4):
        desk.lab.press("alt", str(number))
        if wait_for(lambda: stage.shown == number, 2, 0.01):
            return
    pytest.fail(f"the key of avatar {number} is not heard")


def connected(stage):
    return stage.service.obs is not None and stage.service.obs.link.state.connected


def focus(desk, how):
    lab = desk.lab
    if how == "minimised":
        lab.run("xdotool", "windowminimize", "--sync", desk.window)
        return None
    lab.run("xdotool", "windowmap", "--sync", desk.window)
    lab.run("xdotool", "windowactivate", "--sync", desk.window)
    if how == "unfocused":
        other = lab.start("xev", "xev", "-name", "other")
        window = wait_for(lambda: lab.run("xdotool", "search", "--name", "^other$", check=False).split())[-1]
        lab.run("xdotool", "windowactivate", "--sync", window)
        assert lab.run("xdotool", "getactivewindow").strip() == window
        return other
    return None


@pytest.mark.parametrize("how", ["focused", "unfocused", "minimised"])
def test_a_key_in_obs_switches_the_avatar(desk, stage, how, record_property):
    other = focus(desk, how)
    time.sleep(0.3)

    def press():
        took = []
        for _ in range(PRESSES):
            before = stage.shown
            key = "F9" if before == 1 else "F8"  # the third avatar is damaged
            start = time.monotonic()
            desk.lab.run("xdotool", "keydown", "ctrl", "keydown", key)
            wait_for(lambda before=before: stage.shown != before, 2, 0.002)
            assert stage.shown != before
            took.append((time.monotonic() - start) * 1e3)
            desk.lab.run("xdotool", "keyup", key, "keyup", "ctrl")
            time.sleep(0.12)
        return [round(float(ms), 1) for ms in np.percentile(took, [50, 95])]

    p50, p95 = timed(press, lambda figures: figures[1] <= PRESS_TO_SWITCH_MS)
    if other is not None:
        other.kill()
    print(f"\npress to switched frame, {how}: p50 {p50:.0f} ms, p95 {p95:.0f} ms")
    record_property("p95_ms", p95)
    hold(p95 <= PRESS_TO_SWITCH_MS, f"p95 {p95} ms")


class RecordingSink:
    """Knows when each avatar was shown: compares every frame with the avatars' resting pictures."""

    def __init__(self, references):
        self.references = references
        self.shown = []

    def open(self, size, fps):
        pass

    def send(self, frame):
        moment = time.monotonic()
        small = frame.image_bgr[::20, ::20].astype(int)
        distances = {name: np.abs(small - picture).mean() for name, picture in self.references.items()}
        self.shown.append((moment, min(distances, key=distances.get)))

    def close(self):
        pass


def test_a_key_switches_avatars_made_by_the_real_networks(desk, lab, record_property):
    """Two of the presets at 1280x720, drawn by the shipped networks."""
    import soundfile

    from vcam_avatar.avatars import list_avatars
    from vcam_avatar.cli._live import make_live
    from vcam_avatar.config import load_config
    from vcam_avatar.daemon.service import AvatarService

    quiet = lab.folder / "quiet.wav"
    soundfile.write(quiet, np.zeros(16000 * 30, np.float32), 16000)
    live = make_live(("file", str(quiet)), ("memory", ""), load_config(), loop=True)
    names = [entry.name for entry in list_avatars()][:2]
    stages = live.parts.loop.stages
    references = {}
    for name in names:
        avatar = live.parts.shelf.get(name)
        references[name] = (
            stages.body.generate(avatar.body, avatar.start_pose).image_bgr[::20, ::20].astype(int)
        )
    sink = RecordingSink(references)
    service = AvatarService(dataclasses.replace(live.parts, sinks=[sink]))
    service.start()
    try:
        eventually(lambda: service.obs.link.state.connected and len(sink.shown) > 20, 20)
        time.sleep(8)  # the neighbours on the shelf
        focus(desk, "focused")
        time.sleep(0.5)

        def press():
            took = []
            for n in range(PRESSES):
                key = "1" if n % 2 else "2"
                before = sink.shown[-1][1]
                start = time.monotonic()
                desk.lab.run("xdotool", "keydown", "alt", "keydown", key)
                assert wait_for(lambda before=before: sink.shown[-1][1] != before, 3, 0.005), f"press {n}"
                changed = next(m for m, name in sink.shown if m > start and name != before)
                took.append((changed - start) * 1e3)
                desk.lab.run("xdotool", "keyup", key, "keyup", "alt")
                time.sleep(0.4)
            return [round(float(ms), 1) for ms in np.percentile(took, [50, 95])]

        p50, p95 = timed(press, lambda figures: figures[1] <= PRESS_TO_SWITCH_MS)
        gaps = np.diff([moment for moment, _ in sink.shown[25:]]) * 1e3
    finally:
        service.close()
    print(
        f"\npress to switched frame, real networks: p50 {p50:.0f} ms, p95 {p95:.0f} ms; "
        f"gaps p99 {np.percentile(gaps, 99):.0f} ms, longest {gaps.max():.0f} ms"
    )
    record_property("p95_ms", p95)
    hold(p95 <= PRESS_TO_SWITCH_MS, f"p95 {p95} ms")


def test_slots_hold_and_mute(desk, stage):
    focus(desk, "focused")
    desk.lab.press("alt", "4")
    eventually(lambda: stage.shown == 4)
    desk.lab.run("xdotool", "keydown", "ctrl", "keydown", "F6")
    eventually(lambda: stage.shown == 2)
    desk.lab.run("xdotool", "keyup", "F6", "keyup", "ctrl")
    eventually(lambda: stage.shown == 4)
    desk.lab.press("ctrl", "F7")
    eventually(lambda: stage.service.dispatcher.muted_by == {"user"})


def test_hotkeys_have_the_names_of_the_avatars(desk, stage):
    client = desk.lab.obs_client()
    hotkeys = [name for name in client.get_hotkey_list().hotkeys if name.startswith("avatar_cam.")]
    client.disconnect()
    assert len(hotkeys) == 5 + 12 + 12
    stage.names.append("avatar7")
    stage.service.reload()
    names = (desk.lab.folder / "home/.local/share/vcam-avatar/obs/avatar_cam_names.txt").read_text().split()
    assert names == ["avatar1", "avatar2", "avatar3", "avatar4", "avatar7"]


def test_muting_in_obs_shuts_the_mouth_and_the_offset_is_ours_then_theirs_again(desk, stage):
    client = desk.lab.obs_client()
    client.set_input_audio_sync_offset(MICROPHONE, 300)
    client.set_input_mute(MICROPHONE, True)
    eventually(lambda: stage.service.dispatcher.muted_by == {OBS})
    client.set_input_mute(MICROPHONE, False)
    eventually(lambda: not stage.service.dispatcher.muted_by)

    def offset():
        return client.get_input_audio_sync_offset(MICROPHONE).input_audio_sync_offset

    assert offset() == 300
    stage.service.dispatcher.run(Set("obs.sync_offset", "true"))
    eventually(lambda: offset() != 300)
    time.sleep(2)
    assert offset() == pytest.approx(stage.service.figures.latency().p50_ms, abs=10)
    stage.service.close()
    assert offset() == 300
    client.set_input_audio_sync_offset(MICROPHONE, 0)
    client.disconnect()


def test_another_collection_and_back_the_keys_work_again(desk, stage):
    """A switch reloads the script, which then has another vendor name; nothing is taken for a wish."""
    if "Second" not in (c := desk.lab.obs_client()).get_scene_collection_list().scene_collections:
        c.create_scene_collection("Second")
    else:
        c.set_current_scene_collection("Second")
    time.sleep(1)
    assert not stage.service.dispatcher.muted_by
    c.set_current_scene_collection("Untitled")
    time.sleep(1)
    c.disconnect()
    focus(desk, "focused")
    show_by_key(desk, stage, 4)
    assert connected(stage)


def test_status_sees_the_hotkeys_and_shows_no_password(desk):
    out = desk.lab.run(sys.executable, "-m", "vcam_avatar.cli.main", "obs", "status")
    assert "29 hotkeys" in out
    assert OBS_PASSWORD not in out


def test_killed_frozen_and_restarted_obs_comes_back_and_frames_go_on(desk, stage):
    frames = len(stage.camera.frames)
    lab = desk.lab
    lab.obs.send_signal(signal.SIGKILL)
    lab.obs.wait()
    eventually(lambda: not connected(stage), 3)
    desk.start()
    start = time.monotonic()
    eventually(lambda: connected(stage), 5)
    print(f"\nback {time.monotonic() - start:.1f} s after OBS listens again")
    focus(desk, "focused")
    show_by_key(desk, stage, 4)
    lab.obs.send_signal(signal.SIGSTOP)
    eventually(lambda: not connected(stage), 9)
    time.sleep(2)
    lab.obs.send_signal(signal.SIGCONT)
    start = time.monotonic()
    eventually(lambda: connected(stage), 5)
    print(f"back {time.monotonic() - start:.1f} s after OBS goes on")
    show_by_key(desk, stage, 1)
    assert len(stage.camera.frames) - frames > 200
    assert stage.own_gap_s() < 0.3


def test_absent_at_the_start_and_a_wrong_password(lab, environment, caplog):
    """Runs after the others, with an OBS of its own."""
    caplog.set_level(logging.DEBUG)
    lab.stop_obs()
    desk = Desk(lab)
    desk.configure(False)
    environment.setenv("VCAM_AVATAR_OBS_PASSWORD", "not-the-password")
    with Stage(config={"obs.follow": True}) as stage:
        time.sleep(1)
        assert "not running" in stage.service.report()["obs"]
        desk.start()
        eventually(lambda: "wrong or missing password" in stage.service.report()["obs"], 6)
        environment.delenv("VCAM_AVATAR_OBS_PASSWORD")
        start = time.monotonic()
        eventually(lambda: connected(stage), 5)
        print(f"\nback {time.monotonic() - start:.1f} s after the password is right")
        focus(desk, "focused")
        show_by_key(desk, stage, 2)
        assert stage.own_gap_s() < 0.3
    assert "not-the-password" not in caplog.text
    assert OBS_PASSWORD not in caplog.text
    lab.stop_obs()
