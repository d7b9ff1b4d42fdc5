"""What is done to OBS: sync offsets, black sources, a camera source."""

import logging

import pytest
from control_doubles import FakeShow

from vcam_avatar.control.dispatcher import Dispatcher
from vcam_avatar.control.obs.camera_source import add_camera_source
from vcam_avatar.control.obs.follow import Follower, Rules
from vcam_avatar.control.obs.port import Event, Input
from vcam_avatar.errors import ControlError


class FakeObs:
    """OBS as the follower sees it."""

    def __init__(self):
        self.kinds = {"Mic/Aux": "pulse_input_capture", "Desktop": "pulse_output_capture"}
        self.offsets = {"Mic/Aux": 0}
        self.muted = {"Mic/Aux": False}
        self.settings = {}
        self.changes = []
        self.scene_names = ["Scene"]
        self.name = "Main"
        self.known_kinds = ["v4l2_input", "color_source"]
        self.listed = []
        self.sends = False

    def version(self):
        return "29"

    def inputs(self):
        return [Input(name, kind) for name, kind in self.kinds.items()]

    def is_muted(self, name):
        return self.muted.get(name, False)

    def sync_offset_ms(self, name):
        return self.offsets.get(name, 0)

    def set_sync_offset_ms(self, name, offset_ms):
        assert -950 <= offset_ms <= 20000
        self.offsets[name] = offset_ms

    def settings_of(self, name):
        return self.settings.get(name, {})

    def change_settings(self, name, settings):
        self.changes.append((name, settings))
        self.settings[name] = {**self.settings.get(name, {}), **settings}

    def devices_of(self, name, setting):
        return self.listed

    def current_scene(self):
        return "Scene"

    def scenes(self):
        return self.scene_names

    def input_kinds(self):
        return self.known_kinds

    def create_source(self, scene, name, kind, settings):
        self.kinds[name] = kind
        self.settings[name] = settings

    def remove_input(self, name):
        del self.kinds[name]

    def collection(self):
        return self.name

    def hotkeys(self):
        return []

    def own_camera_active(self):
        return self.sends


@pytest.fixture
def obs():
    return FakeObs()


class Bed:
    def __init__(self, memory=None, **rules):
        self.latency = 84.4
        self.device = None
        self.now = 0.0
        self.show = FakeShow()
        self.follower = Follower(
            Dispatcher(self.show),
            Rules(**rules),
            offset_ms=lambda: self.latency,
            camera=lambda: self.device,
            memory=memory,
            clock=lambda: self.now,
        )


def test_the_offset_is_the_latency_and_follows_it(obs):
    bed = Bed()
    bed.follower.connected(obs)
    assert obs.offsets["Mic/Aux"] == 84
    bed.latency = 87
    bed.follower.tick(obs)
    assert obs.offsets["Mic/Aux"] == 84  # within the tolerance: OBS is not bothered
    bed.latency = 120
    bed.follower.tick(obs)
    assert obs.offsets["Mic/Aux"] == 120


@pytest.mark.parametrize(("latency", "offset"), [(-5000.0, -950), (99999.0, 20000)])
def test_the_limits_of_obs_are_respected(obs, latency, offset):
    bed = Bed()
    bed.latency = latency
    bed.follower.connected(obs)
    assert obs.offsets["Mic/Aux"] == offset


def test_at_the_end_obs_has_its_own_offset_again(obs, tmp_path):
    obs.offsets["Mic/Aux"] = 33
    bed = Bed(tmp_path / "memory.json")
    bed.follower.connected(obs)
    bed.latency = 120
    bed.follower.tick(obs)
    bed.follower.leave(obs)
    assert obs.offsets["Mic/Aux"] == 33
    bed.follower.leave(obs)
    assert obs.offsets["Mic/Aux"] == 33


def test_after_a_crash_the_next_run_gives_the_offset_back(obs, tmp_path):
    obs.offsets["Mic/Aux"] = 33
    Bed(tmp_path / "memory.json").follower.connected(obs)
    second = Bed(tmp_path / "memory.json")
    second.latency = 90
    second.follower.connected(obs)
    assert obs.offsets["Mic/Aux"] == 90
    third = Bed(tmp_path / "memory.json")
    third.latency = None  # switched off meanwhile
    third.follower.connected(obs)
    assert obs.offsets["Mic/Aux"] == 33


def test_an_offset_changed_by_hand_is_the_users(obs, tmp_path):
    bed = Bed(tmp_path / "memory.json")
    bed.follower.connected(obs)
    bed.follower.event(Event("offset", {"input": "Mic/Aux", "offset_ms": 84}), obs)  # our own echo
    obs.offsets["Mic/Aux"] = 50
    bed.follower.event(Event("offset", {"input": "Mic/Aux", "offset_ms": 50}), obs)
    bed.follower.tick(obs)
    bed.follower.leave(obs)
    assert obs.offsets["Mic/Aux"] == 50


def test_another_collection_gets_its_own_offset_and_memory(obs, tmp_path):
    bed = Bed(tmp_path / "memory.json")
    bed.follower.connected(obs)
    bed.follower.event(Event("collection-changing"), obs)
    obs.name, obs.offsets = "Second", {"Mic/Aux": 10}
    bed.follower.tick(obs)
    assert obs.offsets == {"Mic/Aux": 10}
    bed.follower.event(Event("collection-changed"), obs)
    assert obs.offsets == {"Mic/Aux": 84}
    bed.follower.leave(obs)
    assert obs.offsets == {"Mic/Aux": 10}


def test_switched_off_nothing_is_touched(obs):
    bed = Bed()
    bed.latency = None
    obs.offsets["Mic/Aux"] = 7
    bed.follower.connected(obs)
    bed.follower.leave(obs)
    assert obs.offsets == {"Mic/Aux": 7}


def test_a_black_source_is_revived_once_per_opening(obs):
    obs.kinds |= {"Avatar": "v4l2_input", "Webcam": "v4l2_input"}
    obs.settings = {"Avatar": {"device_id": "/dev/video9"}, "Webcam": {"device_id": "/dev/video0"}}
    bed = Bed()
    bed.follower.connected(obs)
    assert obs.changes == []
    bed.device = "/dev/video9"
    for _ in range(3):
        bed.follower.tick(obs)
    assert obs.changes == [("Avatar", {"device_id": "/dev/video9"})]
    bed.follower.camera_opened()
    bed.follower.tick(obs)
    assert len(obs.changes) == 2


def test_all_microphones_must_be_muted_unless_one_is_named(obs):
    obs.kinds["Headset"] = "alsa_input_capture"
    obs.muted = {"Mic/Aux": True, "Headset": False}
    bed = Bed()
    bed.follower.connected(obs)
    assert not bed.show.muted
    bed.follower.event(Event("mute", {"input": "Headset", "muted": True}), obs)
    assert bed.show.muted
    named = Bed(microphone="Mic/Aux")
    named.follower.connected(obs)
    assert named.show.muted


def test_a_named_microphone_that_is_not_there_is_said(obs, caplog):
    bed = Bed(microphone="Gone")
    with caplog.at_level(logging.WARNING):
        bed.follower.connected(obs)
    assert "no microphone 'Gone'" in caplog.text
    assert not bed.show.muted


def test_events_of_a_collection_change_are_no_wishes(obs):
    bed = Bed(scenes={"Game": "Bob"})
    bed.follower.connected(obs)
    bed.follower.event(Event("collection-changing"), obs)
    bed.follower.event(Event("scene", {"scene": "Game"}), obs)
    bed.follower.event(Event("collection-changed"), obs)
    bed.now = 0.2
    bed.follower.event(Event("scene", {"scene": "Game"}), obs)
    assert bed.show.history == []
    bed.now = 1.0
    bed.follower.event(Event("scene", {"scene": "Game"}), obs)
    assert bed.show.history == ["Bob"]


def test_a_source_is_added(obs):
    assert "in scene 'Scene'" in add_camera_source(obs, "/dev/video9", "Avatar Cam")
    assert obs.settings["Avatar Cam"] == {"device_id": "/dev/video9"}
    with pytest.raises(ControlError, match="already"):
        add_camera_source(obs, "/dev/video9", "Avatar Cam")
    with pytest.raises(ControlError, match="its scenes are Scene"):
        add_camera_source(obs, "/dev/video9", "Avatar Cam", "Nowhere")


def test_elsewhere_the_device_is_looked_up_in_obs_list(obs):
    obs.known_kinds = ["dshow_input"]
    with pytest.raises(ControlError, match="sees no camera 'Avatar Cam', only: none"):
        add_camera_source(obs, None, "Avatar Cam")
    assert "Avatar Cam" not in obs.kinds
    obs.listed = [("Webcam", "w:1"), ("Avatar Cam", "Avatar Cam:2")]
    add_camera_source(obs, None, "Avatar Cam")
    assert obs.settings["Avatar Cam"] == {"video_device_id": "Avatar Cam:2"}


def test_an_obs_without_camera_sources_is_said(obs):
    obs.known_kinds = ["color_source"]
    with pytest.raises(ControlError, match="no camera source"):
        add_camera_source(obs, None, "Avatar Cam")


def test_obs_own_camera_is_watched(obs):
    told = []
    follower = Follower(Dispatcher(FakeShow()), Rules(), own_camera=told.append)
    obs.sends = True
    follower.connected(obs)
    follower.event(Event("own-camera", {"active": False}), obs)
    follower.event(Event("own-camera", {"active": True}), obs)
    follower.lost()
    assert told == [True, False, True, False]
