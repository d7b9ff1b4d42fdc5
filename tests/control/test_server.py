"""The local socket, the instance file, and ``ctl``."""

import json
import os
import socket
import stat
import subprocess
import sys
import threading
import time

import pytest
from control_doubles import FakeShow

from vcam_avatar.cli.main import main
from vcam_avatar.control import server as server_module
from vcam_avatar.control.client import send
from vcam_avatar.control.commands import Status, Switch
from vcam_avatar.control.dispatcher import Dispatcher
from vcam_avatar.control.instance import RUNTIME_DIR_VARIABLE, Instance, InstanceFile, read_instance
from vcam_avatar.control.server import ControlServer
from vcam_avatar.errors import ControlError


@pytest.fixture
def runtime(tmp_path, monkeypatch):
    monkeypatch.setenv(RUNTIME_DIR_VARIABLE, str(tmp_path / "run"))
    return tmp_path / "run" / "instance.json"


@pytest.fixture
def show():
    return FakeShow()


@pytest.fixture
def server(runtime, show):
    server = ControlServer()
    server.start(Dispatcher(show))
    yield server
    server.stop()


def raw(line: bytes) -> dict:
    instance, _ = read_instance()
    with socket.create_connection(("127.0.0.1", instance.port), timeout=2) as connection:
        connection.sendall(line)
        return json.loads(connection.makefile().readline())


def test_a_command_goes_there_and_back(server, show):
    assert send(Switch("bob")).data == {"avatar": "Bob"}
    assert show.shown == "Bob"


def test_ctl_prints_the_answer_and_the_known_names(server, capsys):
    assert main(["ctl", "switch", "2"]) == 0
    assert capsys.readouterr().out == "showing Bob\n"
    assert main(["ctl", "switch", "nobody"]) == ControlError.exit_code
    assert "Known avatars: Mara, Bob, Åsa Lind" in capsys.readouterr().err
    assert main(["ctl", "--json", "status"]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "RUNNING"
    assert main(["ctl", "hold", "3", "press"]) == 0
    assert "Åsa" in capsys.readouterr().out


def test_answers_come_within_50_ms(server):
    send(Status())
    times = []
    for n in range(40):
        start = time.perf_counter()
        send(Switch(str(n % 3 + 1)))
        times.append(time.perf_counter() - start)
    assert sorted(times)[37] < 0.05


def test_without_a_service_the_next_step_is_named(runtime, capsys):
    assert main(["ctl", "next"]) == ControlError.exit_code
    assert "vcam-avatar run" in capsys.readouterr().err


@pytest.mark.parametrize(
    "line",
    [
        b"GET / HTTP/1.1\r\n",
        b"[]\n",
        b"\xff\xfe\n",
        b'{"command": "stop"}\n',
        b'{"command": "stop", "token": "guess"}\n',
        b'{"command": "stop", "token": 7}\n',
        b'{"command": "stop", "token": "\\ud800"}\n',
        b"[" * 100_000 + b"\n",
    ],
)
def test_strangers_are_turned_away(server, show, line):
    reply = raw(line)
    assert reply["ok"] is False
    assert not show.stopped


def test_a_second_service_is_told_who_runs(server, show):
    show.shown = "Bob"
    with pytest.raises(ControlError, match=rf"already running: process {os.getpid()}, .* showing Bob"):
        ControlServer().start(Dispatcher(FakeShow()))
    assert send(Status()).data["avatar"] == "Bob"


def test_stopping_gives_the_instance_up(runtime):
    for _ in range(2):
        server = ControlServer()
        server.start(Dispatcher(FakeShow()))
        assert runtime.exists()
        start = time.perf_counter()
        server.stop()
        server.stop()
        assert time.perf_counter() - start < 0.5
        assert not runtime.exists()


def test_a_heartbeat_during_the_end_leaves_no_file(runtime, monkeypatch):
    monkeypatch.setattr(server_module, "HEARTBEAT_S", 0.0)
    beating, go_on = threading.Event(), threading.Event()
    beat = InstanceFile.beat

    def slow(file):
        beating.set()
        go_on.wait(5)
        beat(file)

    monkeypatch.setattr(InstanceFile, "beat", slow)
    server = ControlServer()
    server.start(Dispatcher(FakeShow()))
    assert beating.wait(5)
    threading.Timer(0.1, go_on.set).start()
    server.stop()
    assert not runtime.exists()


@pytest.mark.parametrize("content", ['{"pid": "x", "port": "y", "token": 1, "started_at": "z"}', "[]", "{"])
def test_rubbish_in_the_instance_file_is_nobody(runtime, content):
    runtime.parent.mkdir(parents=True)
    runtime.write_text(content)
    assert read_instance() is None
    server = ControlServer()
    server.start(Dispatcher(FakeShow()))
    assert send(Status()).data["state"] == "RUNNING"
    server.stop()


def test_a_folder_without_hard_links_will_do(runtime, monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    server = ControlServer()
    server.start(Dispatcher(FakeShow()))
    with pytest.raises(ControlError, match="already running"):
        ControlServer().start()
    server.stop()
    assert list(runtime.parent.iterdir()) == []


def test_a_full_disk_is_one_clear_error(runtime, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(json, "dump", full)
    with pytest.raises(ControlError, match=r"cannot write .*No space left on device"):
        ControlServer().start()
    assert list(runtime.parent.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_only_the_owner_can_read_the_token(server, runtime):
    assert stat.S_IMODE(runtime.stat().st_mode) == 0o600
    instance, age_s = read_instance()
    assert instance.token not in repr(instance)
    assert age_s < 5


def test_what_a_crash_left_is_cleared_away(runtime):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    InstanceFile(Instance(gone.pid, port, "old", time.time() - 99)).claim()
    with pytest.raises(ControlError, match=f"process {gone.pid} ended"):
        send(Status())
    server = ControlServer()
    instance = server.start(Dispatcher(FakeShow()))
    try:
        assert read_instance()[0] == instance
        assert send(Status()).data["state"] == "RUNNING"
    finally:
        server.stop()


def test_a_stale_file_is_not_taken_from_a_new_owner(runtime):
    old, new = Instance(1, 1, "old", 1.0), Instance(2, 2, "new", 2.0)
    InstanceFile(new).claim()
    InstanceFile(old).remove_stale(old)
    assert read_instance()[0] == new


def test_a_handler_that_breaks_is_answered_and_logged(runtime, caplog):
    class Broken(FakeShow):
        def status(self):
            raise RuntimeError("boom")

    server = ControlServer()
    server.start(Dispatcher(Broken()))
    try:
        with pytest.raises(ControlError, match="the log has the reason"):
            send(Status())
        assert "boom" in caplog.text
        assert send(Switch("2")).text == "showing Bob"
    finally:
        server.stop()


def test_before_the_dispatcher_is_there_it_says_starting(runtime):
    server = ControlServer()
    server.start()
    try:
        with pytest.raises(ControlError, match="still starting"):
            send(Status())
        with pytest.raises(ControlError, match="already running"):
            ControlServer().start()
    finally:
        server.stop()
