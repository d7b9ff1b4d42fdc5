"""A private desktop for the tests with real programs: X server, sound server, OBS.

Everything lives under one folder: home, configuration, sockets, logs. Nothing of the user's desktop is
touched, and every program started is ended by its process id.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

PATIENCE = float(os.environ.get("VCAM_E2E_PATIENCE", "1"))
"""Limits of waiting are multiplied by this: more on a busy machine."""
OBS_PASSWORD = "e2e-secret-7c1f"
MICROPHONE = "Mic/Aux"
PULSE_CONFIG = """\
load-module module-native-protocol-unix auth-anonymous=1 socket={socket}
load-module module-null-sink sink_name=spk rate=48000 sink_properties=device.description=Virtual_Speaker
load-module module-remap-source master=spk.monitor source_name=mic source_properties=device.description={mic}
set-default-sink spk
set-default-source mic
"""
GLOBAL_INI = """\
[General]
Pre19Defaults=false
Pre21Defaults=false
Pre23Defaults=false
Pre24.1Defaults=false
FirstRun=true
LastVersion=486539266
InfoIncrement=9999
EnableAutoUpdates=false
ConfirmOnExit=false
HotkeyFocusType=NeverDisableHotkeys

[OBSWebSocket]
FirstLoad=false
ServerEnabled=true
ServerPort={port}
AlertsEnabled=false
AuthRequired=true
ServerPassword={password}

[Basic]
Profile=Untitled
ProfileDir=Untitled
SceneCollection=Untitled
SceneCollectionFile=Untitled
ConfigOnNewProfile=false

[BasicWindow]
SysTrayEnabled=false
ShowTransitions=true
PreviewEnabled={preview}
DockState=
"""
BASIC_INI = """\
[General]
Name=Untitled
[Video]
BaseCX={width}
BaseCY={height}
OutputCX={width}
OutputCY={height}
FPSType=1
FPSInt={fps}
[Output]
Mode=Simple
[SimpleOutput]
FilePath={folder}
RecQuality=Small
StreamEncoder=x264
RecEncoder=x264
"""


def wait_for(ready: Callable[[], Any], limit_s: float = 10.0, every_s: float = 0.05) -> Any:
    """Poll until ``ready()`` is truthy; return it, or the last value at the limit."""
    end = time.monotonic() + limit_s * PATIENCE
    while not (value := ready()) and time.monotonic() < end:
        time.sleep(every_s)
    return value


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Lab:
    """The private desktop. Use as a context manager."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or Path(
            tempfile.mkdtemp(prefix="vcam-e2e-", dir=os.environ.get("TMPDIR", "/var/tmp"))
        )
        self._owns_folder = folder is None
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "home").mkdir(exist_ok=True)
        (self.folder / "xdg").mkdir(mode=0o700, exist_ok=True)
        self.port = free_port()
        self.env = {
            **{
                key: value
                for key, value in os.environ.items()
                if not key.startswith(("XDG_", "PULSE_", "DBUS_", "QT_"))
            },
            "HOME": str(self.folder / "home"),
            "XDG_RUNTIME_DIR": str(self.folder / "xdg"),
            "XDG_CONFIG_HOME": str(self.folder / "home/.config"),
            "PULSE_SERVER": f"unix:{self.folder}/pulse.sock",
            "QT_QPA_PLATFORM": "xcb",
            "QT_LOGGING_RULES": "*=false",
            "LIBGL_ALWAYS_SOFTWARE": "1",
            "GALLIUM_DRIVER": "llvmpipe",
            "NO_AT_BRIDGE": "1",
            "PYTHONFAULTHANDLER": "1",
        }
        self._started: list[subprocess.Popen[bytes]] = []
        self.obs: subprocess.Popen[bytes] | None = None
        self.pulse: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Lab":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End every program and remove the folder."""
        for process in reversed(self._started):
            end(process)
        if self._owns_folder and not os.environ.get("VCAM_E2E_KEEP"):
            shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, name: str, *command: str, **options: Any) -> subprocess.Popen[bytes]:
        """Start a program with its output in ``<name>.log``."""
        log = (self.folder / f"{name}.log").open("ab")
        process = subprocess.Popen(
            command, env=options.pop("env", self.env), stdout=log, stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL, **options,
        )  # fmt: skip
        log.close()
        self._started.append(process)
        return process

    def run(self, *command: str, check: bool = True, timeout: float = 20) -> str:
        """Run a program to its end and return what it printed."""
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=timeout)
        if check and done.returncode:
            raise RuntimeError(f"{command} failed: {done.stderr.strip()}")
        return done.stdout

    def log(self, name: str) -> str:
        path = self.folder / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    # ------------------------------------------------------------------ display

    def start_display(self, width: int = 1280, height: int = 800) -> None:
        """An X server with a window manager."""
        read_end, write_end = os.pipe()
        self.start(
            "xvfb", "Xvfb", "-displayfd", str(write_end), "-screen", "0", f"{width}x{height}x24",
            "-nolisten", "tcp", pass_fds=(write_end,),
        )  # fmt: skip
        os.close(write_end)
        with open(read_end) as number:
            self.env["DISPLAY"] = f":{number.readline().strip()}"
        self.start("openbox", "openbox")

    def press(self, *keys: str, hold_s: float = 0.12) -> None:
        """Press keys together. OBS polls the keyboard every 25 ms when it has no focus."""
        for key in keys:
            self.run("xdotool", "keydown", key)
        time.sleep(hold_s)
        for key in reversed(keys):
            self.run("xdotool", "keyup", key)

    def screenshot(self, path: Path) -> None:
        self.run("import", "-window", "root", str(path))

    # ------------------------------------------------------------------ sound

    def start_sound(self, tick_ms: int = 10) -> None:
        """PulseAudio with a virtual speaker whose monitor is the default microphone ``mic``."""
        config = self.folder / "pulse.pa"
        config.write_text(PULSE_CONFIG.format(socket=self.folder / "pulse.sock", mic="Virtual_Microphone"))
        (self.folder / "pulse.sock").unlink(missing_ok=True)
        self.pulse = self.start(
            "pulse", "pulseaudio", "-n", "-F", str(config), "--daemonize=no", "--exit-idle-time=-1",
            "--use-pid-file=no", "--disallow-exit",
        )  # fmt: skip
        assert wait_for(
            lambda: subprocess.run(["pactl", "info"], env=self.env, capture_output=True).returncode == 0
        )
        self.keep_ticking("spk", tick_ms)

    def keep_ticking(self, sink: str, tick_ms: int = 10) -> None:
        """A stream of silence keeps a null sink ticking every few ms like a sound card."""
        self.start(
            "silence", "pacat", "--playback", "--raw", f"--latency-msec={tick_ms}", f"--device={sink}",
            "--rate=48000", "--format=s16le", "--channels=2", "/dev/zero",
        )  # fmt: skip

    def play(self, wav: Path) -> subprocess.Popen[bytes]:
        """Play a file into the virtual microphone."""
        return self.start("paplay", "paplay", "--latency-msec=20", "--device=spk", str(wav))

    # ------------------------------------------------------------------ OBS

    @property
    def obs_folder(self) -> Path:
        return Path(self.env["XDG_CONFIG_HOME"]) / "obs-studio"

    @property
    def collection(self) -> Path:
        return self.obs_folder / "basic/scenes/Untitled.json"

    def configure_obs(
        self,
        scripts: Sequence[dict[str, Any]] = (),
        size: tuple[int, int] = (1280, 720),
        fps: int = 30,
        preview: bool = True,
    ) -> None:
        """Write a configuration that starts without wizard or dialogs."""
        (self.obs_folder / "basic/profiles/Untitled").mkdir(parents=True, exist_ok=True)
        self.collection.parent.mkdir(parents=True, exist_ok=True)
        (self.obs_folder / "global.ini").write_text(
            GLOBAL_INI.format(port=self.port, password=OBS_PASSWORD, preview=str(preview).lower())
        )
        (self.obs_folder / "basic/profiles/Untitled/basic.ini").write_text(
            BASIC_INI.format(width=size[0], height=size[1], fps=fps, folder=self.folder)
        )
        self.collection.write_text(json.dumps(scene_collection("Untitled", scripts)))

    def start_obs(self, limit_s: float = 30.0) -> subprocess.Popen[bytes]:
        """Start OBS and wait for its websocket."""
        self.obs = self.start(
            "obs", "obs", "--multi", "--disable-updater", "--disable-missing-files-check",
            "--disable-shutdown-check",
        )  # fmt: skip
        assert wait_for(self._obs_listens, limit_s), self.log("obs")[-2000:]
        return self.obs

    def _obs_listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 0.2):
            return True
        return False

    def stop_obs(self) -> None:
        if self.obs is not None:
            end(self.obs, limit_s=10)
            self.obs = None

    def obs_client(self, timeout_s: float = 10) -> Any:
        """A plain obs-websocket client of the test's own."""
        import logging

        import obsws_python

        logging.getLogger("obsws_python").setLevel(logging.CRITICAL)
        return obsws_python.ReqClient(
            host="127.0.0.1", port=self.port, password=OBS_PASSWORD, timeout=timeout_s
        )

    def service(
        self, name: str, *arguments: str, env: dict[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start ``vcam-avatar`` with these arguments."""
        return self.start(
            name, sys.executable, "-m", "vcam_avatar.cli.main", *arguments, env={**self.env, **(env or {})}
        )

    def ctl(self, *arguments: str, check: bool = True) -> Any:
        """What ``vcam-avatar ctl --json`` answers, asked without starting a process; None when it fails."""
        from vcam_avatar.control.client import send
        from vcam_avatar.control.commands import COMMANDS
        from vcam_avatar.errors import ControlError

        try:
            kind = COMMANDS[arguments[0]]
            answer = send(
                kind(*arguments[1:]), Path(self.env["XDG_RUNTIME_DIR"]) / "vcam-avatar/instance.json"
            )
        except ControlError:
            if check:
                raise
            return None
        return dict(answer.data)


def end(process: subprocess.Popen[bytes], limit_s: float = 3.0) -> None:
    """Ask a program to end, insist if it does not."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)
            process.terminate()
        try:
            process.wait(limit_s)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()


def scene_collection(name: str, scripts: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    """A scene collection with one empty scene and one microphone."""
    return {
        "name": name,
        "current_scene": "Scene",
        "current_program_scene": "Scene",
        "scene_order": [{"name": "Scene"}],
        "sources": [
            {
                "id": "scene",
                "versioned_id": "scene",
                "name": "Scene",
                "settings": {"items": [], "id_counter": 0},
                "hotkeys": {},
                "mixers": 0,
            }
        ],
        "AuxAudioDevice1": {
            "id": "pulse_input_capture",
            "versioned_id": "pulse_input_capture",
            "name": MICROPHONE,
            "settings": {"device_id": "default"},
            "mixers": 255,
            "volume": 1.0,
            "enabled": True,
        },
        "modules": {"scripts-tool": list(scripts)},
        "groups": [],
        "transitions": [],
        "quick_transitions": [],
        "saved_projectors": [],
    }
