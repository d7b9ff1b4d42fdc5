"""A sound server that refuses, and a microphone that is gone for a while and returns as another device."""

import os
import shutil
import subprocess
import time

import pytest
from daemon.daemon_doubles import eventually
from lab import PULSE_CONFIG, Lab, end, wait_for
from sound_stage import make_stage, moves_in_time

from vcam_avatar.daemon.health import State
from vcam_avatar.devices.microphone import MicrophoneSource

pytestmark = pytest.mark.device

ABSENCE_S = float(os.environ.get("VCAM_E2E_ABSENCE_S", "8"))
NOBODY = 65534


def frames_go_on(stage):
    frames = len(stage.camera.frames)
    time.sleep(0.5)
    return len(stage.camera.frames) > frames + 10


def test_a_server_that_denies_access_is_named_and_frames_go_on(lab, environment):
    """Another user's server, as after su or in a container."""
    if os.getuid() or not shutil.which("setpriv"):
        pytest.skip("only root can start a server as another user")
    folder = lab.folder / "other"
    folder.mkdir(mode=0o755)
    lab.folder.chmod(0o755)
    config = folder / "pulse.pa"
    text = PULSE_CONFIG.format(socket=folder / "pulse.sock", mic="Other").replace("auth-anonymous=1", "")
    config.write_text(text)
    os.chown(folder, NOBODY, NOBODY)
    theirs = {**lab.env, "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder), "PULSE_SERVER": ""}
    theirs["XDG_CONFIG_HOME"] = str(folder / "config")
    server = lab.start(
        "other-pulse", "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
        "pulseaudio", "-n", "-F", str(config), "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no",
        env=theirs,
    )  # fmt: skip
    assert wait_for((folder / "pulse.sock").exists), lab.log("other-pulse")
    environment.setenv("PULSE_SERVER", f"unix:{folder}/pulse.sock")
    refused = subprocess.run(["pactl", "info"], capture_output=True, text=True)
    assert "denied" in refused.stderr, refused
    stage = make_stage(MicrophoneSource)
    with stage:
        eventually(lambda: "Access denied" in str(stage.service.health), 8)
        print("\n", stage.service.health)
        assert stage.service.health.state is State.DEGRADED
        assert frames_go_on(stage)
        environment.setenv("PULSE_SERVER", lab.env["PULSE_SERVER"])
        eventually(lambda: stage.service.health.state is State.RUNNING, 8)
    end(server)


def sources(lab: Lab):
    """Numbers of the sources there are, by name."""
    lines = lab.run("pactl", "list", "short", "sources").splitlines()
    return {line.split("\t")[1]: int(line.split("\t")[0]) for line in lines}


def test_gone_for_a_while_and_back_as_another_device(lab):
    if lab.pulse is None or lab.pulse.poll() is not None:
        lab.start_sound()
        time.sleep(2)
    stage = make_stage(MicrophoneSource)
    with stage:
        eventually(lambda: stage.service.health.state is State.RUNNING, 8)
        before = sources(lab)
        for line in lab.run("pactl", "list", "short", "modules").splitlines():
            number, name = line.split("\t")[:2]
            if "remap-source" in name or "null-sink" in name:
                lab.run("pactl", "unload-module", number, check=False)
        gone = time.monotonic()
        eventually(lambda: stage.service.health.state is State.DEGRADED, 5)
        while time.monotonic() < gone + ABSENCE_S:
            assert frames_go_on(stage)
        assert stage.service.health.state is State.DEGRADED
        for name in ("first", "spk"):
            lab.run("pactl", "load-module", "module-null-sink", f"sink_name={name}", "rate=48000")
        lab.run(
            "pactl", "load-module", "module-remap-source", "master=spk.monitor", "source_name=mic",
        )  # fmt: skip
        lab.run("pactl", "set-default-source", "mic")
        start = time.monotonic()
        eventually(lambda: stage.service.health.state is State.RUNNING, 8)
        took = time.monotonic() - start
        now = sources(lab)["mic"]
        print(f"\naway {ABSENCE_S:.0f} s, source {before['mic']} is now {now}, heard again {took:.1f} s")
        assert now != before["mic"]
        assert took < 3.5
        lab.keep_ticking("spk")
        time.sleep(2)
        print(f"first movement {moves_in_time(lab, stage)} ms after the player starts")
    assert stage.own_gap_s() < 0.3
    end(lab.pulse)
