"""Microphones of every kind, on a PortAudio made for the test."""

import os
import re
import sys
import threading
import time

import numpy as np
import pytest

from vcam_avatar.devices import microphone, portaudio
from vcam_avatar.devices.channels import ChannelMixer, DriftMeter
from vcam_avatar.devices.microphone import MicrophoneSource, input_devices
from vcam_avatar.errors import DeviceError

RATE = 48_000


class PortAudioError(Exception):
    """As in sounddevice."""


class Device:
    """One device of the machine: what it takes and what it hears."""

    def __init__(self, name, rate=RATE, channels=1, rates=None, dtypes=("float32", "int16"), refuse=None):
        self.name, self.rate, self.channels = name, rate, channels
        self.rates = rates or (rate,)
        self.dtypes = dtypes
        self.refuse = refuse
        self.sound = lambda n, rate, channels: np.full((n, channels), 0.25, np.float32)


class Library:
    """Stands for the sounddevice module; the list is frozen until it is started again."""

    PortAudioError = PortAudioError

    def __init__(self, *devices):
        self.machine = list(devices)
        self.listed = list(devices)
        self.streams = []
        self.restarts = 0
        self.frozen = threading.Event()
        self.frozen.set()
        self.default = type("Default", (), {"device": [0, 0]})

    def query_devices(self):
        return [
            {"name": d.name, "hostapi": 0, "default_samplerate": d.rate, "max_input_channels": d.channels}
            for d in self.listed
        ]

    def query_hostapis(self):
        return [{"name": "Test"}]

    def _terminate(self):
        assert not [s for s in self.streams if not s.closed], "the end of PortAudio under an open stream"

    def _initialize(self):
        self.restarts += 1
        self.listed = list(self.machine)

    def InputStream(self, **options):
        self.frozen.wait(10)
        stream = Stream(self, self.listed[options["device"]], options)
        self.streams.append(stream)
        return stream


class Status:
    input_overflow = False


class Stream:
    """Calls back in real time from a thread, as PortAudio does."""

    latency = 0.008

    def __init__(self, library, device, options):
        if device.refuse:
            raise PortAudioError(device.refuse)
        if device not in library.machine:
            raise PortAudioError("Illegal combination of I/O devices [PaErrorCode -9993]")
        if options["samplerate"] not in device.rates:
            raise PortAudioError("Invalid sample rate [PaErrorCode -9997]")
        if options["channels"] > device.channels:
            raise PortAudioError("Invalid number of channels [PaErrorCode -9998]")
        if options["dtype"] not in device.dtypes:
            raise PortAudioError("Sample format not supported [PaErrorCode -9994]")
        self.library, self.device, self.options = library, device, options
        self.closed = False
        self.silent = False
        self.ended = threading.Event()

    def start(self):
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        n, rate, channels = (self.options[k] for k in ("blocksize", "samplerate", "channels"))
        while not self.ended.wait(n / rate):
            if not self.silent:
                block = self.device.sound(n, rate, channels)
                if self.options["dtype"] == "int16":
                    block = (block * 32768).clip(-32768, 32767).astype(np.int16)
                self.options["callback"](block, n, None, Status)

    def unplug(self):
        self.library.machine.remove(self.device)
        self.ended.set()
        self.options["finished_callback"]()

    def close(self):
        self.library.frozen.wait(10)
        self.closed = True
        self.ended.set()


@pytest.fixture
def install(monkeypatch):
    monkeypatch.setattr(microphone, "SILENT_DEVICE_S", 0.2)
    monkeypatch.setattr(portaudio, "CALL_LIMIT_S", 0.3)
    monkeypatch.setattr(microphone, "sound_server_refusal", lambda: "")
    opened = []

    def install(*devices):
        library = Library(*devices)
        fresh = portaudio.PortAudio()
        fresh.library = lambda: library
        monkeypatch.setattr(microphone, "PORTAUDIO", fresh)
        opened.append(library)
        return library

    yield install
    for library in opened:
        library.frozen.set()
        for stream in library.streams:
            stream.ended.set()


def listen(source, blocks=12):
    heard = [block for _, block in zip(range(blocks), source.blocks(), strict=False)]
    return np.concatenate(heard)


ODD = {
    "44.1 kHz only": Device("a", 44_100),
    "48 kHz only": Device("b", 48_000),
    "16 kHz only": Device("c", 16_000),
    "says 44.1, takes 48": Device("d", 44_100, rates=(48_000,)),
    "int16 only": Device("e", dtypes=("int16",)),
    "4 channels": Device("f", channels=4),
    "32 channels": Device("g", channels=32),
    "96 kHz": Device("h", 96_000),
    "22.05 kHz": Device("i", 22_050),
}


@pytest.mark.parametrize("kind", ODD)
def test_odd_microphones_are_heard_at_their_level(install, kind):
    device = ODD[kind]
    library = install(device)
    source = MicrophoneSource()
    samples = listen(source, 15)
    source.close()
    assert samples.dtype == np.float32
    assert samples[-400:].mean() == pytest.approx(0.25, abs=0.01)
    assert library.streams[-1].options["samplerate"] in device.rates
    assert source.channels == {4: 4, 32: 2}.get(device.channels, 1)


def test_sounds_keep_their_pitch(install):
    device = Device("a", 44_100)
    phase = [0]

    def tone(n, rate, channels):
        t = (np.arange(n) + phase[0]) / rate
        phase[0] += n
        return np.sin(2 * np.pi * 1000 * t).astype(np.float32)[:, None].repeat(channels, 1)

    device.sound = tone
    install(device)
    source = MicrophoneSource()
    samples = listen(source, 40)[800:4896]
    source.close()
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    assert spectrum.argmax() * 16_000 / len(samples) == pytest.approx(1000, abs=4)


def test_none_at_all_says_what_to_do(install):
    install()
    with pytest.raises(DeviceError, match="plug one in"):
        MicrophoneSource()
    assert input_devices() == []


def test_a_name_is_found_in_part_and_missing_ones_are_listed(install):
    install(Device("Built-in"), Device("Blue Yeti: USB Audio"))
    source = MicrophoneSource("yeti")
    assert source.name == "Blue Yeti: USB Audio"
    source.close()
    with pytest.raises(DeviceError, match="there are: Built-in, Blue Yeti"):
        MicrophoneSource("Rode")


@pytest.mark.parametrize(
    ("cause", "says"),
    [
        ("Permission denied by the system", "privacy settings"),
        ("Device unavailable [PaErrorCode -9985]", "another program"),
        ("Unanticipated host error -9999", "there are also: Other"),
    ],
)
def test_a_refusal_names_cause_and_cure(install, cause, says):
    library = install(Device("Mic", refuse=cause), Device("Other"))
    with pytest.raises(DeviceError, match=says):
        MicrophoneSource()
    assert len(library.streams) == 0


def test_unplugged_and_back_under_another_number_it_is_found_by_name(install):
    yeti = Device("Yeti")
    library = install(yeti, Device("Other"))
    source = MicrophoneSource("Yeti")
    blocks = source.blocks()
    next(blocks)
    library.streams[-1].unplug()
    with pytest.raises(DeviceError, match="Yeti has stopped"):
        list(blocks)
    source.close()
    with pytest.raises(DeviceError, match="there is no microphone 'Yeti'"):
        MicrophoneSource("Yeti")
    library.machine.append(yeti)
    again = MicrophoneSource("Yeti")
    assert library.restarts == 2
    assert library.streams[-1].options["device"] == 1
    assert len(listen(again)) > 1000
    again.close()


def test_a_device_that_stops_calling_back_is_noticed(install):
    library = install(Device("Mic"))
    source = MicrophoneSource()
    blocks = source.blocks()
    next(blocks)
    library.streams[-1].silent = True
    start = time.monotonic()
    with pytest.raises(DeviceError, match="no sound any more"):
        list(blocks)
    assert time.monotonic() - start < 1.0
    source.close()


def test_a_frozen_sound_system_hangs_nobody(install):
    library = install(Device("Mic"))
    source = MicrophoneSource()
    blocks = source.blocks()
    next(blocks)
    library.streams[-1].silent = True
    library.frozen.clear()
    with pytest.raises(DeviceError, match="no sound any more"):
        list(blocks)
    start = time.monotonic()
    source.close()
    assert time.monotonic() - start < 0.1
    threads = threading.active_count()
    for _ in range(4):
        with pytest.raises(DeviceError, match="does not answer"):
            MicrophoneSource()
    assert threading.active_count() <= threads + 1
    library.frozen.set()
    deadline = time.monotonic() + 2
    while True:
        try:
            again = MicrophoneSource()
            break
        except DeviceError:
            assert time.monotonic() < deadline
    assert len(listen(again)) > 1000
    again.close()


def test_an_opening_that_comes_too_late_is_closed_again(install):
    library = install(Device("Mic"))
    library.frozen.clear()
    with pytest.raises(DeviceError, match="does not answer"):
        MicrophoneSource()
    library.frozen.set()
    deadline = time.monotonic() + 2
    while not (library.streams and library.streams[0].closed):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_has_piled_up_comes_in_one_piece_and_the_end_after_it(install):
    device = Device("a", 16_000)
    level = iter(np.arange(1, 100) / 100)
    device.sound = lambda n, rate, channels: np.full((n, channels), next(level), np.float32)
    library = install(device)
    source = MicrophoneSource()
    blocks = source.blocks()
    next(blocks)
    waited = time.monotonic() + 3
    while source._queue.qsize() < 5 and time.monotonic() < waited:
        time.sleep(0.005)
    library.streams[0].unplug()
    piece = next(blocks)
    assert len(piece) >= 5 * 160 - 20
    assert (np.diff(piece[20:]) > -0.01).all()  # in the order they came
    with pytest.raises(DeviceError, match="has stopped"):
        for _ in blocks:
            pass


def test_what_is_wanted_comes_in_one_piece_but_is_not_waited_for_long(install):
    device = Device("a", 16_000)
    library = install(device)
    source = MicrophoneSource()
    source.wanted = lambda: 640
    blocks = source.blocks()
    assert [len(next(blocks)) for _ in range(3)][1:] == [640, 640]
    source.wanted = lambda: 1600
    threading.Timer(0.055, setattr, [library.streams[0], "silent", True]).start()
    start = time.monotonic()
    assert 160 <= len(next(blocks)) < 1600
    assert time.monotonic() - start < 0.15
    source.close()


def test_clipping_is_counted_before_mixing(install):
    device = Device("Mic", channels=2)
    device.sound = lambda n, rate, channels: np.tile(np.array([1.0, 0.0], np.float32), (n, 1))
    install(device)
    source = MicrophoneSource()
    listen(source, 5)
    source.close()
    assert source.clipped_samples >= 4 * 480


def test_delay_is_known(install):
    install(Device("Mic"))
    source = MicrophoneSource()
    assert 0.010 <= source.delay_s < 0.020
    source.close()


def run_mixer(make, seconds=2.0, channels=2):
    mixer = ChannelMixer(channels, RATE)
    rng = np.random.default_rng(3)
    out = [mixer.push(make(rng.normal(0, 0.1, 480).astype(np.float32))) for _ in range(round(seconds * 100))]
    return mixer, np.concatenate(out)[:, 0]


def test_a_voice_on_one_channel_keeps_its_level():
    mixer, out = run_mixer(lambda voice: np.stack([voice, 0 * voice], 1))
    assert out[-4800:].std() == pytest.approx(0.1, rel=0.06)
    assert mixer.weights.sum() == pytest.approx(1)


def test_a_voice_on_the_third_of_four_channels_is_found():
    mixer, out = run_mixer(lambda v: np.stack([0 * v, v * 0.01, v, 0 * v], 1), channels=4)
    assert mixer.weights[2] > 0.95
    assert out[-4800:].std() == pytest.approx(0.1, rel=0.06)


def test_channels_of_opposite_polarity_do_not_cancel():
    _, out = run_mixer(lambda voice: np.stack([voice, -voice], 1))
    assert out[-4800:].std() == pytest.approx(0.1, rel=0.06)


def test_a_stereo_voice_is_averaged_and_nothing_clicks():
    mixer, out = run_mixer(lambda voice: np.stack([voice, voice], 1))
    np.testing.assert_allclose(mixer.weights, 0.5, atol=1e-3)
    assert out[-4800:].std() == pytest.approx(0.1, rel=0.06)
    steady = ChannelMixer(2, RATE)
    ones = np.tile(np.array([0.5, 0.0], np.float32), (480, 1))
    ramp = np.concatenate([steady.push(ones) for _ in range(200)])[:, 0]
    assert np.abs(np.diff(ramp)).max() < 1e-3


@pytest.mark.parametrize("ppm", [-200, 0, 150])
def test_the_clock_of_the_device_is_measured(ppm):
    meter = DriftMeter(RATE)
    rng = np.random.default_rng(1)
    assert meter.ppm is None
    for n in range(12_000):
        meter.push(480, n * 0.01 / (1 + ppm * 1e-6) + rng.exponential(0.004))
    assert meter.ppm == pytest.approx(ppm, abs=12)


@pytest.mark.skipif(sys.platform != "linux", reason="pactl")
@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("echo 'Connection failure: Access denied' >&2; exit 1", "Access denied.*who is logged in"),
        ("echo 'Connection failure: Connection refused' >&2; exit 1", "refused.*start PulseAudio"),
        ("exec sleep 5", "does not answer"),
        ("exit 0", "^$"),
    ],
)
def test_why_the_sound_server_cannot_be_used_is_asked(monkeypatch, tmp_path, script, says):
    pactl = tmp_path / "pactl"
    pactl.write_text(f"#!/bin/sh\n{script}\n")
    pactl.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert re.search(says, portaudio.sound_server_refusal())
