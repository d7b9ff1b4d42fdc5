"""Typed commands, and the dispatcher that carries them out."""

import pytest
from control_doubles import FakeShow

from vcam_avatar.control.commands import (
    COMMANDS,
    OBS,
    Hold,
    Idle,
    Mute,
    Next,
    Previous,
    Reload,
    Resume,
    Set,
    Status,
    Stop,
    Switch,
    Talk,
    ToggleIdle,
    ToggleMute,
    Unmute,
    from_wire,
    to_wire,
)
from vcam_avatar.control.dispatcher import Dispatcher
from vcam_avatar.errors import ControlError


@pytest.mark.parametrize(
    "command", [Switch("Bob"), Hold("2", True), Next(), Mute(OBS), Talk(False), Set("a", "b"), Stop()]
)
def test_commands_survive_the_wire(command):
    assert from_wire(to_wire(command)) == command


def test_every_command_has_a_handler():
    dispatcher = Dispatcher(FakeShow())
    assert set(dispatcher._handlers) == set(COMMANDS.values())


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ({}, "there is no command None"),
        ({"command": "explode"}, "switch, hold, next"),
        ({"command": "switch"}, "needs avatar"),
        ({"command": "switch", "avatar": 3}, "wrong type"),
        ({"command": "next", "avatar": "Bob"}, "takes no avatar"),
        ({"command": "hold", "avatar": "Bob", "pressed": "yes"}, "wrong type"),
        ({"command": ["switch"]}, "there is no command"),
    ],
)
def test_wrong_messages_say_what_is_wrong(message, says):
    with pytest.raises(ControlError, match=says):
        from_wire(message)


@pytest.mark.parametrize(
    ("wanted", "meant"), [("Bob", "Bob"), ("bob", "Bob"), ("3", "Åsa Lind"), ("åsa LIND", "Åsa Lind")]
)
def test_an_avatar_is_found_by_name_case_or_number(wanted, meant):
    show = FakeShow()
    assert Dispatcher(show).run(Switch(wanted)).data == {"avatar": meant}
    assert show.shown == meant


@pytest.mark.parametrize("wanted", ["Bobb", "0", "4", ""])
def test_an_unknown_avatar_is_answered_with_the_known_ones(wanted):
    show = FakeShow()
    with pytest.raises(ControlError, match="Known avatars: Mara, Bob, Åsa Lind"):
        Dispatcher(show).run(Switch(wanted))
    assert show.history == []


def test_a_near_miss_is_recognised():
    with pytest.raises(ControlError, match=r"Did you mean Mara\?"):
        Dispatcher(FakeShow()).run(Switch("marra"))


def test_next_and_previous_go_round():
    show = FakeShow()
    dispatcher = Dispatcher(show)
    for command in (Next(), Next(), Next(), Previous()):
        dispatcher.run(command)
    assert show.history == ["Bob", "Åsa Lind", "Mara", "Åsa Lind"]


def test_next_without_avatars_says_how_to_get_one():
    show = FakeShow()
    show.names = []
    with pytest.raises(ControlError, match="avatars create"):
        Dispatcher(show).run(Next())


def test_hold_shows_while_pressed_and_goes_back():
    show = FakeShow()
    dispatcher = Dispatcher(show)
    dispatcher.run(Hold("Bob", True))
    dispatcher.run(Hold("Bob", True))  # keys repeat
    assert show.shown == "Bob"
    dispatcher.run(Hold("Bob", False))
    assert show.shown == "Mara"
    dispatcher.run(Hold("Bob", False))
    assert show.shown == "Mara"


def test_a_switch_during_hold_stays():
    show = FakeShow()
    dispatcher = Dispatcher(show)
    for command in (Hold("Bob", True), Switch("3"), Hold("Bob", False)):
        dispatcher.run(command)
    assert show.shown == "Åsa Lind"


def test_the_mouth_opens_only_when_nobody_mutes():
    show = FakeShow()
    dispatcher = Dispatcher(show)
    dispatcher.run(Mute())
    dispatcher.run(Mute(OBS))
    assert dispatcher.run(Unmute()).text == "still muted by obs"
    assert show.muted
    dispatcher.run(Unmute(OBS))
    assert not show.muted
    dispatcher.run(ToggleMute())
    assert show.muted
    dispatcher.run(ToggleMute())
    assert not show.muted


def test_push_to_talk_mutes_between_presses_until_resume():
    show = FakeShow()
    dispatcher = Dispatcher(show)
    dispatcher.run(Talk(True))
    assert not show.muted
    dispatcher.run(Talk(False))
    assert show.muted
    dispatcher.run(Resume())
    assert not show.muted


def test_idle_toggles_and_status_tells():
    show = FakeShow()
    dispatcher = Dispatcher(show)
    dispatcher.run(ToggleIdle())
    assert show.idle
    assert dispatcher.run(Status()).data["idle"] is True
    dispatcher.run(ToggleIdle())
    dispatcher.run(Idle())
    assert show.idle


def test_reload_set_and_stop_reach_the_show():
    show = FakeShow()
    told = []
    dispatcher = Dispatcher(show, told.append)
    assert "New" in dispatcher.run(Reload()).text
    assert dispatcher.run(Set("mouth-gain", "1.2")).text == "mouth-gain is 1.2"
    with pytest.raises(ControlError, match="the settings are mouth-gain"):
        dispatcher.run(Set("colour", "red"))
    dispatcher.run(Stop())
    assert show.stopped
    assert told == [Reload(), Set("mouth-gain", "1.2"), Stop()]
