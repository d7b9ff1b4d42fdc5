"""Microphone -> service -> PipeWire camera -> Chromium, all real, on the machine itself."""

import os
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
from browser import BrowserCrashed, look
from calm import hold, timed
from lab import wait_for

pytestmark = pytest.mark.device

SECONDS = float(os.environ.get("VCAM_E2E_SECONDS", "20"))
FPS = 25
REAL = os.environ.get("VCAM_E2E_STAGES") == "real"
MOUTH = (0.035, 0.035, 0.015, 0.025)
"""Where the stand-in's square lies: x, y, width, height as shares of the picture."""


@pytest.fixture(scope="module")
def desktop(lab):
    """PipeWire and the camera portal beside PulseAudio."""
    bus = lab.start("dbus", "dbus-daemon", "--session", "--nofork", f"--address=unix:path={lab.folder}/bus")
    lab.env |= {"DBUS_SESSION_BUS_ADDRESS": f"unix:path={lab.folder}/bus", "XDG_CURRENT_DESKTOP": "GNOME"}
    assert wait_for(lambda: (lab.folder / "bus").exists())
    lab.start("pipewire", "pipewire")
    assert wait_for(lambda: (lab.folder / "xdg/pipewire-0").exists())
    lab.start("wireplumber", "wireplumber")
    assert wait_for(lambda: "WirePlumber" in lab.run("pw-cli", "list-objects", "Client", check=False))
    yield lab
    del lab.env["DBUS_SESSION_BUS_ADDRESS"]
    bus.terminate()


def allow_cameras(lab):
    """What clicking "allow" does."""
    for name, bus_name in (
        ("xdg-desktop-portal-gtk", "org.freedesktop.impl.portal.desktop.gtk"),
        ("xdg-desktop-portal", "org.freedesktop.portal.Desktop"),
    ):
        lab.start(name, f"/usr/libexec/{name}")
        lab.run("gdbus", "wait", "--session", "--timeout", "30", bus_name, timeout=35)
    store = "org.freedesktop.impl.portal.PermissionStore"
    lab.run(
        "gdbus", "call", "--session", "--dest", store,
        "--object-path", "/org/freedesktop/impl/portal/PermissionStore",
        "--method", f"{store}.SetPermission", "devices", "true", "camera", "", "['yes']",
    )  # fmt: skip
    assert wait_for(lambda: '"avatar-cam"' in lab.run("pw-dump", check=False), 20), lab.log("service")


def mouth_of_the_first_avatar(lab):
    """Writes a configuration with a still body; where the mouth then is, as shares of the picture."""
    from vcam_avatar.config import load_config
    from vcam_avatar.pipeline import build

    file = lab.folder / "config.toml"
    file.write_text(
        f'[video]\nsize = "640x360"\nfps = {FPS}\n[camera]\nbackend = "pipewire"\n'
        "[motion]\ngain = 0.0\nhead_gain = 0.0\n[obs]\nfollow = false\n"
    )
    config = load_config(file)
    stages = build.build_stages(config)
    avatar = build.prepare_avatar(stages, build.find_configured_avatar(config), config)
    grid = stages.body.generate(avatar.body, avatar.start_pose).face_grid
    # The lips' middle lies at (0.5, 0.58) of the face crop; with some skin around, a head that sways
    # changes little.
    rows, columns = grid.shape[:2]
    part = grid[
        round(0.50 * rows) : round(0.70 * rows) + 1, round(0.38 * columns) : round(0.62 * columns) + 1
    ]
    (left, top), (right, bottom) = part.reshape(-1, 2).min(0), part.reshape(-1, 2).max(0)
    width, height = right - left, bottom - top
    return (float(left / 640), float(top / 360), float(width / 640), float(height / 360))


def processor_seconds(process):
    """Processor time of all its threads so far, without its children."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cores(process, seconds):
    before, start = processor_seconds(process), time.monotonic()
    time.sleep(seconds)
    return (processor_seconds(process) - before) / (time.monotonic() - start)


@pytest.mark.skipif(not REAL, reason="the load of the shipped networks")
def test_processor_load_in_silence_and_while_speaking(desktop, record_property):
    """1280x720 at 25 fps, the default microphone, a PipeWire camera, every network."""
    from vcam_avatar import resources

    lab = desktop
    config = lab.folder / "load.toml"
    config.write_text('[camera]\nbackend = "pipewire"\n[obs]\nfollow = false\n')
    voice = lab.folder / "voice.wav"
    soundfile.write(voice, *soundfile.read(resources.asset_path("demo_voice.flac")))
    service = lab.start("load", sys.executable, "-m", "vcam_avatar.cli.main", "run", "--config", str(config))
    assert wait_for(lambda: (a := lab.ctl("status", check=False)) and a["state"] == "RUNNING", 40, 0.2)
    # The neighbours on the shelf are made ready first.
    wait_for(lambda: len(lab.ctl("status")["avatar_memory_mb"]) >= 4, 40, 0.5)
    time.sleep(2)

    def silent_and_speaking():
        silent = cores(service, 10)
        player = lab.play(voice)
        time.sleep(1)
        speaking = cores(service, 10)
        player.terminate()
        fps = lab.ctl("status")["fps"]
        time.sleep(2)
        return {"silent": round(silent, 3), "speaking": round(speaking, 3), "fps": fps}

    def keeps_up(load, silent=0.25):
        in_time = abs(load["fps"] - FPS) <= 0.3
        return in_time and load["silent"] <= silent and load["speaking"] <= 1.0

    load = timed(silent_and_speaking, keeps_up)
    status = lab.ctl("status")
    threads = len(os.listdir(f"/proc/{service.pid}/task"))
    service.terminate()
    service.wait(5)
    print(
        f"\nload in cores: silent {load['silent']:.2f}, speaking {load['speaking']:.2f}; "
        f"{status['memory_mb']:.0f} MB with {len(status['avatar_memory_mb'])} avatars ready, "
        f"{threads} threads; {load['fps']} fps"
    )
    record_property("load", load)
    assert threads < 40
    # A core is not the same everywhere: the target is for the machine of the README, the limit for all.
    hold(keeps_up(load, silent=0.35), load)
    if load["silent"] > 0.25:
        pytest.xfail(f"{load['silent']} core in silence, devices included; the target is 0.25")


@dataclass
class Seen:
    """What the browser saw."""

    label: str
    size: tuple[int, int]
    fps: float
    gaps_ms: np.ndarray
    correlation: float
    """Of the mouth with the sound's envelope, at the best delay."""
    moving: float
    """Spread of the opening while speaking."""
    still: float
    """The same in silence."""

    def __str__(self):
        p50, p99 = np.percentile(self.gaps_ms, [50, 99])
        return (
            f"{self.label} {self.size[0]}x{self.size[1]}, {self.fps:.2f} fps, "
            f"{len(self.gaps_ms) + 1} frames, gaps p50 {p50:.1f} p99 {p99:.1f} "
            f"max {self.gaps_ms.max():.1f} ms; correlation {self.correlation:.2f}, "
            f"mouth moving {self.moving:.3f}, in silence {self.still:.3f}"
        )

    def is_steady(self):
        """The target: the full rate, and no gap over two periods (and a display's refresh)."""
        return abs(self.fps - FPS) <= 0.5 and self.gaps_ms.max() <= 2 * 1000 / FPS + 5


class Talk:
    """Plays speech into the microphone after a while."""

    def __init__(self, lab, speech, after_s):
        self.began = 0.0
        """Wall-clock seconds."""
        self._lab, self._speech = lab, speech
        self._no_more = threading.Event()
        self._thread = threading.Thread(target=self._play, args=[after_s])
        self._thread.start()

    def _play(self, after_s):
        if not self._no_more.wait(after_s):
            self.began = time.time()
            self._lab.play(self._speech).wait(60)

    def over(self):
        """Wait for the end of the speech, or let it not begin."""
        self._no_more.set()
        self._thread.join()


def watch(lab, speech, region):
    """Look at the camera; after a third of the time, play the speech. None: the browser got no picture."""
    flags = ("--enable-features=WebRtcPipeWireCamera",)
    for _ in range(3):
        talk = Talk(lab, speech, SECONDS / 3)
        try:
            seen = look(lab, "Avatar Cam", SECONDS + 6, flags, headless=False, region=region)
            break
        except BrowserCrashed as exc:
            print(f"\nChromium ended by its own race check ({exc}): another one")
        finally:
            talk.over()
    else:
        return None
    if seen.get("frames", 0) <= 30:
        print(f"\n{seen}\n{lab.ctl('status')}\n{lab.log('service')[-1500:]}")
        return None
    levels = np.array(seen["levels"])
    # How open the mouth is: the area that is dark between the lips, which a smile or teeth change little; the
    # stand-in's square is as bright as the sound is loud.
    moments, mouth = levels[:, 0] / 1000, levels[:, 2 if REAL else 1]
    samples, rate = soundfile.read(speech, dtype="float32")
    period = rate // 50
    loudness = np.array([samples[k : k + period].std() for k in range(0, len(samples), period)])
    envelope = np.clip(20 * np.log10(loudness + 1e-6) + 60, 0, 60)
    grid = np.arange(talk.began, min(moments[-1], talk.began + len(envelope) * 0.02 + 1.0), 0.02)
    opening = np.interp(grid, moments, mouth)
    scores = []
    for lag in range(min(45, len(opening) - 50)):
        part = opening[lag : lag + len(envelope)]
        scores.append(np.corrcoef(part, envelope[: len(part)])[0, 1])
    return Seen(
        seen["label"], (seen["width"], seen["height"]), seen["fps"], np.array(seen["gaps_ms"]),
        max(scores), float(np.std(opening)), float(np.std(mouth[moments < talk.began])),
    )  # fmt: skip


def test_chromium_sees_the_speaking_avatar(desktop, record_property):
    lab = desktop
    speech = lab.folder / "speech.wav"
    text = (
        "Hello there. One, two, three. This is the avatar camera. It follows the voice that it hears, and "
        "nothing else. Bring me five apples, four pears and a lemon. Do you see how the mouth moves? "
        "Thank you, and good night."
    )
    lab.run("espeak-ng", "-s", "140", "-w", str(speech), text)
    region = MOUTH
    command = [str(Path(__file__).parent / "stand_in.py"), "mic", "pipewire", "640x360", str(FPS)]
    if REAL:
        region = mouth_of_the_first_avatar(lab)
        command = ["-m", "vcam_avatar.cli.main", "-v", "run", "--config", str(lab.folder / "config.toml")]
    service = lab.start("service", sys.executable, *command)
    answer = wait_for(
        lambda: (a := lab.ctl("status", check=False)) and a["state"] == "RUNNING" and a, 40, 0.2
    )
    assert answer, lab.log("service")
    allow_cameras(lab)
    seen = timed(lambda: watch(lab, speech, region), lambda seen: seen is not None and seen.is_steady())
    status = lab.ctl("status")
    service.terminate()
    hold(seen is not None, "the browser got no picture")
    print(f"\n{seen}; sent {status['fps']} fps, interval p99 {status['interval_p99_ms']} ms")
    record_property("fps", seen.fps)
    record_property("longest_gap_ms", float(seen.gaps_ms.max()))
    assert seen.label == "Avatar Cam"
    assert seen.size == (640, 360)
    assert seen.correlation >= 0.5
    assert seen.still < 0.15 * seen.moving
    hold(seen.is_steady(), seen)
