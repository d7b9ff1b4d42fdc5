"""The service on stand-ins: commands, faults, and the end."""

import logging
import os
import signal
import threading
import time

import pytest
from daemon_doubles import Stage, ToneSource, eventually

from vcam_avatar.cli.main import main
from vcam_avatar.config import load_config
from vcam_avatar.control.client import send
from vcam_avatar.control.commands import Mute, Next, Reload, Set, Status, Stop, Switch, Unmute
from vcam_avatar.control.dispatcher import Dispatcher
from vcam_avatar.control.instance import RUNTIME_DIR_VARIABLE
from vcam_avatar.control.server import ControlServer
from vcam_avatar.daemon.health import Health, State
from vcam_avatar.daemon.obs_side import ObsSide
from vcam_avatar.daemon.signals import Signals
from vcam_avatar.errors import ControlError, DeviceError

PERIOD_S = 0.02
LONGEST_GAP_S, LONGEST_WALL_S = 0.15, 1.5
"""Without the time that other work on the machine took, and with it."""


def no_gap(stage):
    return stage.own_gap_s() < LONGEST_GAP_S and stage.gap_s() < LONGEST_WALL_S


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv(RUNTIME_DIR_VARIABLE, str(tmp_path / "run"))


@pytest.fixture
def stage():
    with Stage() as stage:
        yield stage


def test_it_runs_and_says_so(stage):
    eventually(lambda: stage.service.health.state is State.RUNNING)
    eventually(lambda: stage.service.report()["fps"])
    answer = stage.service.dispatcher.run(Status())
    data = answer.data
    assert data["avatar"] == "avatar1"
    assert data["microphone"]["name"] == "Tone"
    assert -25 < data["microphone"]["level_db"] < -20
    assert data["camera"]["device"] == "/dev/video-test"
    assert "RUNNING: avatar1" in answer.text
    assert data["latency_ms"]["microphone"] == 12.0
    parts = {k: v for k, v in data["latency_ms"].items() if k not in ("p50", "p95")}
    assert data["latency_ms"]["p50"] == pytest.approx(sum(parts.values()), abs=0.5)


def test_switching_shows_the_other_avatar_without_a_gap(stage):
    for name, number in (("avatar2", 2), ("avatar4", 4), ("avatar1", 1)):
        stage.service.dispatcher.run(Switch(name))
        eventually(lambda number=number: stage.shown == number)
    assert no_gap(stage)


def test_a_damaged_avatar_is_named_and_the_present_one_stays(stage):
    stage.service.dispatcher.run(Switch("avatar3"))
    eventually(lambda: "avatar3 is damaged" in str(stage.service.health))
    assert stage.service.current() == "avatar1"
    stage.service.dispatcher.run(Next())
    eventually(lambda: stage.shown == 2)
    assert stage.service.health.state is State.RUNNING


def test_muting_reaches_the_loop(stage):
    stage.service.dispatcher.run(Mute())
    eventually(lambda: stage.stages.face.heard_db[-1] == -120.0)
    stage.service.dispatcher.run(Unmute())
    eventually(lambda: stage.stages.face.heard_db[-1] > -60)


def test_a_dying_microphone_never_stops_the_picture(stage, caplog):
    caplog.set_level(logging.INFO)

    def absent():
        raise DeviceError("no microphone found: plug one in")

    stage.make_source = absent
    stage.sources[-1].failure = DeviceError("microphone Tone has stopped: is it unplugged?")
    eventually(lambda: "no microphone" in str(stage.service.health))
    assert stage.service.health.state is State.DEGRADED
    frames = len(stage.camera.frames)
    eventually(lambda: len(stage.camera.frames) > frames + 20)
    stage.make_source = lambda: ToneSource("Tone again")
    eventually(lambda: stage.service.health.state is State.RUNNING)
    assert stage.service.report()["microphone"]["name"] == "Tone again"
    assert no_gap(stage)
    lines = [r.message for r in caplog.records if "microphone:" in r.message]
    assert len(lines) == 3  # stopped, absent, works again: however often it was tried


def test_an_unexpected_failure_of_the_source_is_survived(stage):
    stage.sources[-1].failure = RuntimeError("driver bug")
    eventually(lambda: len(stage.sources) > 1)
    eventually(lambda: stage.service.health.state is State.RUNNING)


def test_a_camera_that_breaks_is_opened_again(stage):
    stage.camera.broken = stage.camera.absent = True
    eventually(lambda: "camera install" in str(stage.service.health))
    assert not stage.camera.is_open
    frames = stage.service.report()["frames"]
    eventually(lambda: stage.service.report()["frames"] > frames + 10)
    stage.camera.broken = stage.camera.absent = False
    eventually(lambda: stage.service.health.state is State.RUNNING)
    assert stage.service.report()["camera"]["openings"] == 2


def test_a_slow_pipeline_repeats_frames_for_the_camera(stage):
    stage.stages.body.delay_s = 0.2
    eventually(lambda: stage.service.feed.repeated > 5)
    assert no_gap(stage)


def test_stages_that_fail_hold_the_last_frame(stage):
    stage.stages.face.fails_at = range(10**6)

    def held_while_the_sound_changes():
        stage.sources[-1].amplitude *= 0.97  # what does not change is not drawn again, so cannot fail
        return stage.service.report()["held_frames"] > 3

    eventually(held_while_the_sound_changes)
    assert no_gap(stage)


def test_live_settings(stage):
    run = stage.service.dispatcher.run
    assert run(Set("microphone.noise_gate_db", "-10")).text == "microphone.noise_gate_db is -10.0"
    eventually(lambda: stage.stages.face.heard_db[-1] == -120.0)  # the tone is at -23
    assert run(Set("voice.mouth_gain", "1.2")).text == "voice.mouth_gain is 1.2"
    assert stage.applied[-1].voice.mouth_gain == 1.2
    with pytest.raises(ControlError, match="these can: microphone"):
        run(Set("video.fps", "30"))
    with pytest.raises(ControlError, match="mouth_gain"):
        run(Set("voice.mouth_gain", "7"))


def test_reloading_finds_new_avatars(stage):
    stage.names.append("avatar9")
    assert "avatar9" in stage.service.dispatcher.run(Reload()).text
    stage.service.dispatcher.run(Switch("avatar9"))
    eventually(lambda: stage.shown == 9)


def test_the_end_takes_less_than_a_second_whatever_hangs():
    release = threading.Event()

    class Hanging(ToneSource):
        def close(self):
            release.wait(20)

    with Stage() as stage:
        stage.make_source = Hanging
        stage.sources[-1].failure = DeviceError("gone")
        eventually(lambda: len(stage.sources) > 1)
        start = time.monotonic()
        stage.service.close()
        assert time.monotonic() - start < 1.0
        assert not stage.camera.is_open
        assert stage.service.health.state is State.STOPPING
    release.set()


def test_the_end_of_the_source_ends_the_service():
    stage = Stage()

    class Short(ToneSource):
        def blocks(self):
            for n, block in enumerate(super().blocks()):
                if n == 30:
                    return
                yield block

    stage.make_source = Short
    assert stage.service.run(duration_s=20) == 0
    assert 5 <= len(stage.camera.frames) <= 30


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it(number):
    stage = Stage()
    threading.Timer(0.4, os.kill, (os.getpid(), number)).start()
    start = time.monotonic()
    assert stage.service.run(duration_s=20) == 0
    assert time.monotonic() - start < 2
    assert stage.camera.frames


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_signal_handlers_only_take_note():
    before = signal.getsignal(signal.SIGTERM)
    with Signals() as signals:
        os.kill(os.getpid(), signal.SIGHUP)
        assert (signals.stop, signals.reload) == (False, True)
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.stop
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_sighup_reads_the_avatars_anew():
    stage = Stage()
    reloads = []
    stage.service.reload = lambda: reloads.append(threading.current_thread())
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGHUP)).start()
    threading.Timer(0.8, os.kill, (os.getpid(), signal.SIGTERM)).start()
    assert stage.service.run(duration_s=20) == 0
    assert reloads == [threading.main_thread()]


def test_it_is_controlled_from_outside_and_says_who_runs(capsys):
    server = ControlServer()
    server.start()
    with Stage(server) as stage:
        assert send(Switch("avatar2")).text == "showing avatar2"
        eventually(lambda: stage.shown == 2)
        assert main(["ctl", "status"]) == 0
        assert "RUNNING: avatar2" in capsys.readouterr().out
        with pytest.raises(ControlError, match=f"process {os.getpid()}.*avatar2"):
            ControlServer().start()
        send(Stop())
        eventually(lambda: stage.service.health.state is State.STOPPING)


def test_no_thread_is_left(stage):
    stage.service.close()
    names = {"frames", "sound", "camera", "control", "heartbeat", "obs-link"}
    eventually(lambda: not [t for t in threading.enumerate() if t.name in names])


def test_obs_own_camera_in_our_device_is_a_trouble():
    health, shared = Health(), []
    side = ObsSide(
        load_config().obs, Dispatcher(None), health,
        offset_ms=lambda: None, camera_device=lambda: None, camera_is_shared=lambda: bool(shared),
    )  # fmt: skip
    side.own_camera(True)
    assert not health.troubles  # two devices: beside each other
    shared.append(True)
    side.own_camera(True)
    assert "stop it in OBS" in str(health)
    side.own_camera(False)
    assert not health.troubles
