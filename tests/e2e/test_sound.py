"""A real sound server and PortAudio; the real service (stand-in stages, frames into memory)."""

import signal
import time

import numpy as np
import pytest
import soundfile
from calm import hold, timed
from daemon.daemon_doubles import Stage, eventually
from lab import end, wait_for
from sound_stage import make_stage, moves_in_time, opening

from vcam_avatar.daemon.health import State

pytestmark = pytest.mark.device


@pytest.fixture(scope="module")
def speech(lab):
    """A spoken sentence with pauses, at the speaker's rate."""
    path = lab.folder / "speech.wav"
    text = "Hello there. This is the avatar camera, speaking. One, two, three, four, five, six."
    lab.run("espeak-ng", "-s", "140", "-w", str(path), text)
    return path


@pytest.fixture
def stage(lab):
    """The service on the default microphone; the sound server runs."""
    from vcam_avatar.devices.microphone import MicrophoneSource

    if lab.pulse is None or lab.pulse.poll() is not None:
        lab.start_sound()
    stage = make_stage(MicrophoneSource)
    with stage:
        eventually(lambda: stage.service.health.state is State.RUNNING, 8)
        yield stage
    assert stage.own_gap_s() < 0.3


def test_speech_opens_the_mouth_and_silence_keeps_it_shut(lab, stage, speech):
    time.sleep(3)  # a fresh null sink gives nothing for up to two seconds
    eventually(lambda: stage.service.health.state is State.RUNNING, 8)
    assert opening(stage, time.monotonic() - 0.5).max() == 0
    start = time.monotonic()
    player = lab.play(speech)
    player.wait(30)
    time.sleep(0.5)
    heard = np.array([(t, v) for t, v in stage.mouth if t >= start])
    samples, rate = soundfile.read(speech, dtype="float32")
    period = rate // 50
    loudness = np.array([samples[k : k + period].std() for k in range(0, len(samples), period)])
    envelope = np.clip(
        20 * np.log10(loudness + 1e-6) + 60, 0, 60
    )  # the stand-in's mouth follows the level in dB
    grid = start + np.arange(0, heard[-1, 0] - start, 0.02)
    mouth = np.interp(grid, heard[:, 0], heard[:, 1])
    best = max(
        np.corrcoef(mouth[lag : lag + len(envelope)], envelope[: len(mouth) - lag])[0, 1] for lag in range(25)
    )
    print(f"\ncorrelation of mouth and sound {best:.2f}")
    assert best >= 0.5
    assert opening(stage, time.monotonic() - 0.2).max() == 0


@pytest.mark.parametrize(
    ("rate", "channels", "form"),
    [
        (44_100, 2, "s16le"),
        (48_000, 1, "float32le"),
        (16_000, 1, "s16le"),
        (48_000, 4, "s24le"),
        (8_000, 1, "u8"),
    ],
)
def test_odd_microphones_are_heard(lab, rate, channels, form):
    from vcam_avatar.devices.microphone import MicrophoneSource

    module = lab.run(
        "pactl", "load-module", "module-null-sink", "sink_name=odd", f"rate={rate}", f"channels={channels}",
        f"format={form}",
    ).strip()  # fmt: skip
    lab.keep_ticking("odd")
    time.sleep(2)
    lab.run("pactl", "set-default-source", "odd.monitor")
    stage = make_stage(MicrophoneSource)
    with stage:
        eventually(lambda: stage.service.health.state is State.RUNNING, 8)
        time.sleep(0.5)
        assert opening(stage, time.monotonic() - 0.3).max() == 0
        print(f"\n{rate} Hz, {channels} channels, {form}: {moves_in_time(lab, stage, 'odd')} ms")
    lab.run("pactl", "set-default-source", "mic")
    lab.run("pactl", "unload-module", module)


def test_a_server_that_refuses_us_is_a_trouble_and_frames_go_on(lab, environment):
    from vcam_avatar.devices.microphone import MicrophoneSource

    environment.setenv("PULSE_SERVER", f"unix:{lab.folder}/nobody.sock")
    stage = make_stage(MicrophoneSource)
    with stage:
        eventually(lambda: stage.service.health.state is State.DEGRADED, 8)
        print("\n", stage.service.health)
        assert "microphone" in str(stage.service.health)
        frames = len(stage.camera.frames)
        time.sleep(0.5)
        assert len(stage.camera.frames) > frames + 10
        environment.setenv("PULSE_SERVER", lab.env["PULSE_SERVER"])
        eventually(lambda: stage.service.health.state is State.RUNNING, 8)
        moves_in_time(lab, stage)


def test_a_killed_server_is_waited_for(lab, stage, speech):
    lab.pulse.kill()
    lab.pulse.wait()
    eventually(lambda: stage.service.health.state is State.DEGRADED, 4)
    print("\n", stage.service.health)
    time.sleep(2)
    frames = len(stage.camera.frames)
    time.sleep(0.5)
    assert len(stage.camera.frames) > frames + 10
    lab.start_sound()
    start = time.monotonic()
    eventually(lambda: stage.service.health.state is State.RUNNING, 6)
    print(f"heard again {time.monotonic() - start:.1f} s after the server is back")
    assert time.monotonic() - start < 3.5
    time.sleep(2)  # a fresh null sink gives nothing for up to two seconds
    print(f"first movement {moves_in_time(lab, stage)} ms after the player starts")


def test_a_frozen_server_hangs_nothing(lab, stage):
    lab.pulse.send_signal(signal.SIGSTOP)
    try:
        eventually(lambda: stage.service.health.state is State.DEGRADED, 4)
        time.sleep(4)
        print("\n", stage.service.health)
        frames = len(stage.camera.frames)
        time.sleep(0.5)
        assert len(stage.camera.frames) > frames + 10
    finally:
        lab.pulse.send_signal(signal.SIGCONT)
    start = time.monotonic()
    eventually(lambda: stage.service.health.state is State.RUNNING, 8)
    print(f"heard again {time.monotonic() - start:.1f} s after the server goes on")


def test_ending_while_the_server_is_frozen_takes_less_than_a_second(lab):
    from vcam_avatar.devices.microphone import MicrophoneSource

    stage = Stage()
    stage.make_source = MicrophoneSource
    with stage:
        eventually(lambda: stage.service.health.state is State.RUNNING, 8)
        lab.pulse.send_signal(signal.SIGSTOP)
        try:
            start = time.monotonic()
            stage.service.close()
            assert time.monotonic() - start < 1.0
        finally:
            lab.pulse.send_signal(signal.SIGCONT)
    time.sleep(1)


def unload(lab, *kinds):
    for line in lab.run("pactl", "list", "short", "modules").splitlines():
        number, name = line.split("\t")[:2]
        if any(kind in name for kind in kinds):
            lab.run("pactl", "unload-module", number)


def test_an_unplugged_source_is_replaced_by_another_and_found_again(lab, stage, speech):
    unload(lab, "remap-source")  # the server moves us to the monitor that is left
    time.sleep(1.5)
    start = time.monotonic()
    lab.play(speech)
    assert wait_for(lambda: opening(stage, start).max(initial=0) > 40, 3)
    unload(lab, "null-sink")  # none is left
    eventually(lambda: stage.service.health.state is State.DEGRADED, 5)
    print("\n", stage.service.health)
    lab.run("pactl", "load-module", "module-null-sink", "sink_name=spk", "rate=48000")
    lab.run("pactl", "set-default-sink", "spk")
    lab.run("pactl", "set-default-source", "spk.monitor")
    start = time.monotonic()
    eventually(lambda: stage.service.health.state is State.RUNNING, 6)
    print(f"heard again {time.monotonic() - start:.1f} s after a source is back")
    end(lab.pulse)


def test_a_changed_default_is_followed_there_and_back(lab, stage):
    lab.run("pactl", "load-module", "module-null-sink", "sink_name=other", "rate=48000")
    lab.keep_ticking("other")
    time.sleep(2)
    for source, sink in (("other.monitor", "other"), ("mic", "spk")):
        lab.run("pactl", "set-default-source", source)
        time.sleep(1)
        moves_in_time(lab, stage, sink)
        assert stage.service.health.state is State.RUNNING


def test_latency_measured_with_clicks_is_what_the_parts_add_up_to(lab):
    from vcam_avatar.cli.latency import measure
    from vcam_avatar.devices.microphone import MicrophoneSource

    if lab.pulse is None or lab.pulse.poll() is not None:
        lab.start_sound()
    time.sleep(2)

    def click():
        stage = Stage()
        stage.make_source = MicrophoneSource
        figures = measure(stage.service._parts, 12, clicks=True)
        print("\n", figures["clicks"], figures["estimate_ms"])
        return figures

    def agrees(figures):
        clicks, parts = figures["clicks"], figures["estimate_ms"]
        heard = clicks is not None and clicks["heard"] >= 0.8 * clicks["played"]
        return heard and clicks["p95_ms"] <= 60 and abs(clicks["p50_ms"] - parts["p50"]) <= 20

    figures = timed(click, agrees)
    hold(agrees(figures), figures["clicks"])
