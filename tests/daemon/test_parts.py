"""The smaller parts of the service."""

import logging
import plistlib
import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError

import numpy as np
import pytest
from daemon_doubles import eventually

from vcam_avatar.daemon import autostart, logs
from vcam_avatar.daemon.health import Health, State
from vcam_avatar.daemon.latency import estimate
from vcam_avatar.daemon.logs import logging_to
from vcam_avatar.daemon.shelf import Shelf
from vcam_avatar.daemon.sound import NoiseGate, SoundKeeper
from vcam_avatar.daemon.usage import Usage, memory_mb
from vcam_avatar.errors import AvatarDataError, ConfigError
from vcam_avatar.pipeline.timings import Spread


def test_states_follow_each_other(caplog):
    caplog.set_level(logging.INFO)
    health = Health()
    assert health.state is State.STARTING
    health.trouble("camera", "absent")
    assert health.state is State.DEGRADED
    health.started()
    for _ in range(3):
        health.trouble("camera", "absent")
    health.well("camera")
    health.well("camera")
    assert health.state is State.RUNNING
    health.trouble("microphone", "dead")
    assert str(health) == "DEGRADED (microphone: dead)"
    health.stopping()
    assert health.state is State.STOPPING
    assert [r.message for r in caplog.records] == [
        "camera: absent",
        "camera: works again",
        "microphone: dead",
    ]


def test_the_gate_silences_noise_and_opens_at_once():
    gate = NoiseGate(-40.0)
    rng = np.random.default_rng(1)
    noise = [rng.normal(0, 0.001, 160).astype(np.float32) for _ in range(100)]
    speech = [rng.normal(0, 0.1, 160).astype(np.float32) for _ in range(100)]
    out = [gate.push(block) for block in noise]
    assert not np.any(out[5])
    first = gate.push(speech[0])
    assert np.abs(first[-40:]).max() > 0.02  # half open after 10 ms, no block lost
    assert gate.push(speech[1])[-1] == pytest.approx(speech[1][-1], rel=0.01)
    tail = np.concatenate([gate.push(block) for block in noise])
    assert np.any(tail[: 16 * 250])
    assert not np.any(tail[16 * 400 :])


def test_the_gate_hears_a_short_sound_however_much_comes_at_once():
    gate = NoiseGate(-40.0)
    loud = np.zeros(480, np.float32)
    loud[200:320] = 0.02
    gate.push(np.zeros(3200, np.float32))
    gate.push(loud)
    assert np.array_equal(gate.push(loud), loud)


def test_sound_is_left_to_pile_up_until_a_unit_can_be_complete():
    class Units:
        missing_samples = 640

        def __init__(self):
            self.came = []

        def push(self, samples):
            self.came.append((time.monotonic(), len(samples)))
            Units.missing_samples = 640 if len(self.came) % 2 else 160

        def end(self):
            pass

    class Source:
        """One that keeps its own time, like a file played live."""

        def blocks(self):
            for _ in range(6):
                yield np.zeros(160, np.float32)

        def close(self):
            pass

    class Microphone(Source):
        wanted = None

    def gaps(source):
        units = Units()
        keeper = SoundKeeper(source, units, Health())
        keeper.start()
        eventually(lambda: len(units.came) == 6)
        keeper.stop()
        return np.diff([moment for moment, _ in units.came])

    piled = gaps(Microphone)
    assert piled[::2].min() > 0.030  # 40 ms are missing: nothing can be complete for a while
    assert piled[1::2].min() < 0.015
    assert np.median(gaps(Source)) < 0.015  # it would fall behind


def test_the_gate_makes_no_clicks():
    gate = NoiseGate(-40.0)
    tone = (0.5 * np.sin(np.arange(1600) * 0.05)).astype(np.float32)
    out = np.concatenate([gate.push(block) for block in (np.zeros(8000, np.float32), tone)])
    assert np.abs(np.diff(out)).max() < 0.03


def test_an_open_gate_leaves_samples_alone():
    block = np.ones(10, np.float32)
    assert NoiseGate().push(block) is block


def test_the_shelf_prepares_in_the_background_and_once():
    made = []
    go = threading.Event()

    def prepare(name):
        go.wait(5)
        made.append(name)
        return name.upper()

    shelf = Shelf(lambda: ["a", "b", "c"], prepare, capacity=2)
    got = []
    shelf.want("a", got.append, pytest.fail)
    shelf.want("a", got.append, pytest.fail)
    assert got == []
    go.set()
    eventually(lambda: got == ["A", "A"])
    shelf.warm("a")
    eventually(lambda: made == ["a", "b"])
    assert shelf.get("b") == "B"
    assert shelf.get("c") == "C"  # "a" had to leave
    assert shelf.get("a") == "A"
    assert made == ["a", "b", "c", "a"]
    shelf.close()


def test_the_shelf_tries_again_after_a_failure_and_forgets_on_reload():
    bad = [True]

    def prepare(name):
        if bad[0]:
            raise AvatarDataError("damaged")
        return object()

    shelf = Shelf(lambda: ["a"], prepare)
    errors = []
    shelf.want("a", pytest.fail, errors.append)
    eventually(lambda: errors and str(errors[0]) == "damaged")
    bad[0] = False
    first = shelf.get("a")
    assert shelf.get("a") is first
    shelf.reload()
    assert shelf.get("a") is not first
    shelf.close()


def test_a_closed_shelf_prepares_nothing():
    shelf = Shelf(lambda: ["a"], lambda name: name)
    shelf.close()
    with pytest.raises((CancelledError, RuntimeError)):
        shelf.get("a")


def test_a_program_ends_while_an_avatar_is_prepared():
    code = (
        "import time; from vcam_avatar.daemon.shelf import Shelf; "
        "shelf = Shelf(lambda: ['a'], lambda name: time.sleep(30)); "
        "shelf.want('a', print, print); time.sleep(0.2); shelf.close()"
    )
    start = time.monotonic()
    subprocess.run([sys.executable, "-c", code], check=True, timeout=25)
    assert time.monotonic() - start < 20


def test_latency_is_the_sum_of_its_parts():
    spreads = {
        "features": Spread(1, 2, 3, 9),
        "latency": Spread(8.0, 12.0, 20.0, 9),
        "wait for camera": Spread(0.5, 1.0, 2.0, 9),
    }
    latency = estimate(spreads, 0.010, 25.0)
    assert latency.p50_ms == pytest.approx(10 + 20 + 8 + 0.5)
    assert latency.p95_ms == pytest.approx(10 + 20 + 12 + 1.0)
    assert estimate({}, 0.0, 25.0) is None
    assert estimate(spreads, 0.010, 25.0, waiting_ms=15.0).parts == latency.parts
    lagging = estimate(spreads, 0.010, 25.0, waiting_ms=118.0)
    assert lagging.p50_ms == pytest.approx(latency.p50_ms + 100)
    assert lagging.parts["behind"] == 100


def test_logs_go_to_the_file_while_inside_and_refusals_are_named(tmp_path, caplog):
    log = logging.getLogger("vcam_avatar.test")
    root = logging.getLogger()
    before = list(root.handlers), root.level
    with logging_to(tmp_path / "logs/a.log"):
        log.info("hello")
    log.warning("afterwards")
    text = (tmp_path / "logs/a.log").read_text()
    assert "hello" in text
    assert "afterwards" not in text
    assert (list(root.handlers), root.level) == before
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot write the log"), logging_to(tmp_path / "file/a.log"):
        pass


def test_the_log_cannot_grow_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr(logs, "MAX_BYTES", 1000)
    with logging_to(tmp_path / "a.log"):
        for n in range(200):
            logging.getLogger("vcam_avatar.test").info("line %d", n)
    files = list(tmp_path.glob("a.log*"))
    assert len(files) == 1 + logs.KEPT_FILES
    assert sum(f.stat().st_size for f in files) <= 4500


def test_autostart_texts_are_well_formed():
    command = ["/opt/a b/python", "-m", "vcam_avatar.cli.main", "run"]
    unit = autostart.systemd_unit(command)
    assert 'ExecStart="/opt/a b/python" -m vcam_avatar.cli.main run' in unit
    assert plistlib.loads(autostart.launchd_plist(command).encode())["ProgramArguments"] == command
    assert "schtasks" in autostart.windows_command(["C:\\py\\python.exe"])
    assert "pythonw.exe" in autostart.windows_command(["C:\\py\\python.exe"])
    for platform in ("linux", "win32", "darwin"):
        assert "run" in autostart.instructions(platform, command)


def test_usage_is_measured():
    usage = Usage()
    sum(i * i for i in range(300_000))
    assert 0 < usage.cores() < 4
    memory = memory_mb()
    assert memory is None or 10 < memory < 4000
