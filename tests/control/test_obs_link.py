"""The link to OBS against a loopback server that speaks the protocol, and breaks it."""

import gc
import logging
import threading
import time

import pytest
from control_doubles import FakeShow
from fake_obs import FakeObs
from pydantic import SecretStr

from vcam_avatar.control.commands import OBS
from vcam_avatar.control.dispatcher import Dispatcher
from vcam_avatar.control.obs import client, link
from vcam_avatar.control.obs.files import Address
from vcam_avatar.control.obs.follow import Follower, Rules
from vcam_avatar.control.obs.link import ObsLink
from vcam_avatar.errors import ControlError

PASSWORD = "fake-password-91"

pytestmark = [
    # The library leaves sockets to the garbage collector, and its event thread to its fate.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
]


def eventually(check, limit_s=5.0):
    end = time.monotonic() + limit_s
    while not check():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


class Bed:
    """A show, a link, and the address the link is told."""

    def __init__(self, port, password=PASSWORD, **follower):
        self.show = FakeShow()
        self.dispatcher = Dispatcher(self.show)
        self.address = Address("127.0.0.1", port, SecretStr(password), "test")
        self.link = ObsLink(Follower(self.dispatcher, **{"rules": Rules(), **follower}), lambda: self.address)
        self.link.start()


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    monkeypatch.setattr(client, "TIMEOUT_S", 0.4)
    monkeypatch.setattr(link, "HEARTBEAT_S", 0.3)
    monkeypatch.setattr(link, "FIRST_RETRY_S", 0.05)
    monkeypatch.setattr(link, "LAST_RETRY_S", 0.2)
    monkeypatch.setattr(link, "ADDRESS_CHECK_S", 0.1)
    yield
    for thread in threading.enumerate():
        if thread.name == "obs-link":
            thread.join(3)
    gc.collect()


@pytest.fixture
def log_text(caplog):
    """Everything logged at DEBUG by anybody; the password must not be in it."""
    caplog.set_level(logging.DEBUG)
    yield caplog
    assert PASSWORD not in caplog.text
    assert not any(PASSWORD in str(record.args) for record in caplog.records)


@pytest.fixture
def obs():
    server = FakeObs()
    yield server
    server.close()


@pytest.fixture
def bed(obs, log_text):
    bed = Bed(obs.port)
    eventually(lambda: bed.link.state.connected and "GetCurrentProgramScene" in obs.requests)
    yield bed
    bed.link.stop()


def test_a_failing_search_for_obs_does_not_end_the_link(obs):
    answers = iter([OSError("odd")])

    def find():
        for error in answers:
            raise error
        return Address("127.0.0.1", obs.port, SecretStr(PASSWORD), "test")

    searching = ObsLink(Follower(Dispatcher(FakeShow()), Rules()), find)
    searching.start()
    eventually(lambda: searching.state.connected)
    searching.stop()


def test_hotkeys_reach_the_show(obs, bed):
    obs.press("next")
    eventually(lambda: bed.show.shown == "Bob")
    obs.press("switch", slot=3, name="")
    eventually(lambda: bed.show.shown == "Åsa Lind")
    obs.press("switch", slot=3, name="Mara")  # the name counts, the order may have changed
    eventually(lambda: bed.show.shown == "Mara")
    obs.press("switch", slot=2, name="Long gone")
    eventually(lambda: bed.show.shown == "Bob")
    obs.press("mute")
    eventually(lambda: bed.show.muted)
    obs.press("idle")
    eventually(lambda: bed.show.idle)


def test_hold_shows_until_release(obs, bed):
    obs.press("hold", slot=2, name="Bob")
    eventually(lambda: bed.show.shown == "Bob")
    obs.press("hold", slot=2, name="Bob", pressed=False)
    eventually(lambda: bed.show.shown == "Mara")


@pytest.mark.parametrize("vendor", ["avatar-cam-2", "avatar-cam-14"])
def test_a_reloaded_script_is_still_heard(obs, bed, vendor):
    obs.press("next", vendor="avatar-camera")
    obs.press("next", vendor="other-avatar-cam")
    obs.press("previous", vendor=vendor)
    eventually(lambda: bed.show.history == ["Åsa Lind"])


def test_the_second_way_of_the_script_is_heard(obs, bed):
    obs.emit(
        "InputNameChanged", oldInputName="x", inputName='avatar-cam:{"action":"next","pressed":true,"seq":1}'
    )
    eventually(lambda: bed.show.shown == "Bob")


def test_nonsense_events_cost_nothing(obs, bed, log_text):
    obs.emit("InputNameChanged", inputName="avatar-cam:{broken")
    obs.emit("InputNameChanged", inputName='avatar-cam:{"slot": [1]}')
    obs.emit("VendorEvent", vendorName="avatar-cam", eventType="hotkey", eventData="text")
    obs.emit("VendorEvent", vendorName=7)
    obs.emit("InputMuteStateChanged")
    obs.emit("InputAudioSyncOffsetChanged", inputName="Mic/Aux", inputAudioSyncOffset="much")
    obs.press("fly")
    obs.press("switch", slot=99, name="")
    obs.press("next")
    eventually(lambda: bed.show.shown == "Bob")
    assert obs.identified == 2  # requests and events, once
    assert "unknown action 'fly'" in log_text.text


def test_muting_the_microphone_in_obs_shuts_the_mouth(obs, bed):
    obs.emit("InputMuteStateChanged", inputName="Music", inputMuted=False)
    obs.emit("InputMuteStateChanged", inputName="Mic/Aux", inputMuted=True)
    eventually(lambda: bed.show.muted)
    assert bed.dispatcher.muted_by == {OBS}
    obs.emit("InputMuteStateChanged", inputName="Mic/Aux", inputMuted=False)
    eventually(lambda: not bed.show.muted)


def test_a_microphone_muted_before_we_came_counts_and_is_forgotten_with_obs(log_text):
    obs = FakeObs()
    obs.inputs["Mic/Aux"]["muted"] = True
    bed = Bed(obs.port)
    eventually(lambda: bed.show.muted)
    obs.close()
    eventually(lambda: not bed.show.muted)
    bed.link.stop()


def test_scenes_bring_their_avatars_but_not_while_a_collection_changes(obs, log_text):
    bed = Bed(obs.port, rules=Rules(scenes={"Game": "Bob", "Chat": "Åsa Lind"}))
    eventually(lambda: bed.show.shown == "Åsa Lind")  # the scene shown when we came
    obs.emit("CurrentProgramSceneChanged", sceneName="Game")
    eventually(lambda: bed.show.shown == "Bob")
    obs.emit("CurrentSceneCollectionChanging", sceneCollectionName="Main")
    obs.emit("CurrentProgramSceneChanged", sceneName="Chat")
    obs.emit("InputMuteStateChanged", inputName="Mic/Aux", inputMuted=True)
    obs.inputs["Mic/Aux"]["muted"] = False
    obs.emit("CurrentSceneCollectionChanged", sceneCollectionName="Other")
    obs.press("next")
    eventually(lambda: bed.show.history[-1] == "Åsa Lind" and len(bed.show.history) == 3)
    assert not bed.show.muted
    bed.link.stop()


@pytest.mark.parametrize("mode", ["silent", "garbage", "nonsense", "stranger", "frozen"])
def test_a_server_that_misbehaves_is_survived(log_text, mode):
    obs = FakeObs(mode=mode)
    bed = Bed(obs.port)
    time.sleep(0.5)
    obs.mode = "good"
    obs.drop()
    eventually(lambda: bed.link.state.connected and "GetCurrentProgramScene" in obs.requests)
    obs.press("next")
    eventually(lambda: bed.show.shown == "Bob")
    bed.link.stop()
    obs.close()


def test_killed_and_restarted_it_comes_back_and_says_each_change_once(log_text):
    obs = FakeObs()
    bed = Bed(obs.port)
    for _ in range(2):
        eventually(lambda server=obs: bed.link.state.connected and server.identified == 2)
        obs.close()
        eventually(lambda: not bed.link.state.connected)
        time.sleep(0.2)
        obs = FakeObs(port=obs.port)
    eventually(lambda: bed.link.state.connected and "GetInputMute" in obs.requests)
    obs.press("next")
    eventually(lambda: bed.show.shown == "Bob")
    bed.link.stop()
    obs.close()
    lines = [r.message for r in log_text.records if r.levelno >= logging.INFO]
    assert len([line for line in lines if "connected to OBS" in line]) == 3
    assert len([line for line in lines if "not connected" in line]) == 2


def test_a_frozen_obs_is_noticed_by_the_heartbeat(obs, bed):
    obs.mode = "frozen"
    eventually(lambda: not bed.link.state.connected, 3)
    obs.mode = "good"
    eventually(lambda: bed.link.state.connected, 3)


@pytest.mark.parametrize("wrong", ["not-it", ""])
def test_a_wrong_password_is_named_and_a_right_one_taken_up(obs, log_text, wrong):
    bed = Bed(obs.port, password=wrong)
    eventually(lambda: "wrong or missing password" in bed.link.state.text)
    tried = obs.identified
    bed.address = Address("127.0.0.1", obs.port, SecretStr(PASSWORD), "test")
    eventually(lambda: bed.link.state.connected, 3)
    assert tried == 0
    bed.link.stop()


def test_an_obs_without_password_is_fine(log_text):
    obs = FakeObs(password=None)
    bed = Bed(obs.port, password="")
    eventually(lambda: bed.link.state.connected)
    bed.link.stop()
    obs.close()


def test_stopping_is_quick_whatever_obs_does(obs, log_text):
    for mode in ("good", "frozen", "silent"):
        obs.mode = mode
        bed = Bed(obs.port)
        time.sleep(0.1)
        start = time.perf_counter()
        bed.link.stop()
        assert time.perf_counter() - start < 0.95


def test_a_thousand_events_do_not_grow_the_queue(obs, bed):
    for _ in range(1500):
        obs.emit("InputMuteStateChanged", inputName="Music", inputMuted=True)
    obs.press("next")
    eventually(lambda: bed.show.shown == "Bob" or bed.link._events.qsize() == 0)
    assert bed.link.state.connected


def test_without_obs_nothing_happens_and_no_thread_is_left(log_text):
    with_server = FakeObs()
    with_server.close()
    before = threading.active_count()
    bed = Bed(with_server.port)
    eventually(lambda: "not running" in bed.link.state.text)
    bed.link.stop()
    eventually(lambda: threading.active_count() <= before)


def test_the_command_line_gets_a_remedy():
    gone = FakeObs()
    gone.close()
    with pytest.raises(ControlError, match="Enable WebSocket server"):
        client.connect(Address("127.0.0.1", gone.port, None, "test"))


def test_the_state_of_obs_own_camera_arrives(log_text):
    told = []
    obs = FakeObs()
    bed = Bed(obs.port, own_camera=told.append)
    eventually(lambda: told == [False])
    obs.emit("VirtualcamStateChanged", outputActive=True, outputState="OBS_WEBSOCKET_OUTPUT_STARTED")
    eventually(lambda: told == [False, True])
    bed.link.stop()
    obs.close()
