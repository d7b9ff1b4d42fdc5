"""Avatars edited while one of them is on air."""

import dataclasses
import threading

from daemon_doubles import SIZE, Stage, eventually
from doubles import make_avatar

from vcam_avatar.daemon.health import State
from vcam_avatar.daemon.shelf import Shelf
from vcam_avatar.errors import AvatarDataError


class Editor:
    """An avatar folder that is edited, damaged and mended."""

    def __init__(self):
        self.changed = set()
        self.look = 1
        self.damaged = False

    def poll(self):
        changed, self.changed = self.changed, set()
        return changed

    def prepare(self, name):
        if self.damaged:
            raise AvatarDataError(f"{name}: keypoints.json: neck is not a finite number")
        look = make_avatar(self.look if name == "avatar1" else 2, SIZE)
        return dataclasses.replace(look, name=name)


def test_an_edit_shows_without_a_switch_and_damage_keeps_the_picture():
    editor = Editor()
    with Stage(watch=editor.poll) as stage:
        stage.shelf._prepare = editor.prepare
        editor.look, editor.changed = 7, {"avatar1"}
        stage.service.look_for_edits()
        eventually(lambda: stage.shown == 7)
        editor.look, editor.damaged, editor.changed = 9, True, {"avatar1"}
        stage.service.look_for_edits()
        eventually(lambda: "neck is not a finite number" in str(stage.service.health))
        assert stage.shown == 7
        editor.damaged, editor.changed = False, {"avatar1"}
        stage.service.look_for_edits()
        eventually(lambda: stage.shown == 9)
        eventually(lambda: stage.service.health.state is State.RUNNING)
        assert stage.loop.held == 0


def test_new_avatars_join_the_list_and_others_stay_ready():
    editor = Editor()
    with Stage(watch=editor.poll) as stage:
        ready = stage.shelf.get("avatar2")
        stage.names.append("avatar5")
        editor.changed = {"avatar5"}
        stage.service.look_for_edits()
        assert "avatar5" in stage.service.avatars()
        assert stage.shelf.get("avatar2") is ready
        assert stage.service.current() == "avatar1"


def test_a_wanted_avatar_does_not_queue_behind_those_made_ready_in_case():
    gate, order = threading.Event(), []

    def prepare(name):
        order.append(name)
        if name == "b":
            gate.wait(5)
        return name

    shelf = Shelf(lambda: list("abcde"), prepare, capacity=5)
    shelf.warm("a")
    eventually(lambda: order == ["b"])
    assert shelf.get("d") == "d"
    assert order == ["b", "d"]
    gate.set()
    assert shelf.get("b") == "b"
    eventually(lambda: len(order) == 4)
    assert sorted(order) == ["b", "c", "d", "e"]
    shelf.close()
