"""Devices that fail on request, and a service made of stand-ins."""

import threading
import time
from fractions import Fraction

import numpy as np
from doubles import make_avatar, make_stages

from vcam_avatar.config import load_config
from vcam_avatar.daemon.parts import Parts
from vcam_avatar.daemon.service import AvatarService
from vcam_avatar.daemon.shelf import Shelf
from vcam_avatar.errors import AvatarDataError, DeviceError
from vcam_avatar.media import Size
from vcam_avatar.pipeline.clock import MonotonicClock
from vcam_avatar.pipeline.live import LiveUnits
from vcam_avatar.pipeline.loop import FrameLoop

FPS = Fraction(50)
SIZE = Size(96, 64)
BEAT_S = 0.005


def eventually(check, limit_s=5.0):
    end = time.monotonic() + limit_s
    while not (value := check()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)
    return value


class ToneSource:
    """A microphone that hears a tone, in real time, until closed or ``fail``."""

    delay_s = 0.012

    def __init__(self, name="Tone", amplitude=0.1, failure=None):
        self.name = name
        self.amplitude = amplitude
        self.failure = failure
        self._closed = threading.Event()

    def blocks(self):
        wave = np.sin(np.arange(160, dtype=np.float32) * 0.2)
        while not self._closed.wait(0.01):
            if self.failure is not None:
                raise self.failure
            yield (wave * self.amplitude).astype(np.float32)

    def close(self):
        self._closed.set()


class TestCamera:
    """A camera that can be absent, or break."""

    __test__ = False
    name = "/dev/video-test"

    def __init__(self):
        self.absent = False
        self.broken = False
        self.is_open = False
        self.frames = []
        self.moments = []

    def open(self, size, fps):
        if self.absent:
            raise DeviceError("no camera 'Avatar Cam': run `vcam-avatar camera install`")
        self.is_open = True

    def send(self, frame):
        if self.broken:
            raise DeviceError("the camera has failed")
        self.frames.append((frame.index, frame.image_bgr[0, 0, 0]))
        self.moments.append(time.monotonic())

    def close(self):
        self.is_open = False


class Stage:
    """A whole service on stand-ins, and everything to poke it with."""

    def __init__(self, server=None, config=None, avatars=4, **changes):
        flags = {"video.fps": "50", "video.size": str(SIZE), "obs.follow": False, **(config or {})}
        self.config = load_config(None, flags)
        self.names = [f"avatar{n}" for n in range(1, avatars + 1)]
        self.sources = []
        self.make_source = ToneSource
        self.camera = TestCamera()
        self.stages = make_stages(FPS)
        self.loop = FrameLoop(self.stages, make_avatar(1, SIZE), hold_faults=True)
        self.units = LiveUnits(FPS, MonotonicClock())
        self.shelf = Shelf(lambda: list(self.names), self.prepare)
        self.applied = []
        parts = Parts(
            self.config, self.loop, self.units, self.shelf, self.open_source, self.camera,
            apply=self.applied.append, apply_keys=("voice.mouth_gain",), **changes,
        )  # fmt: skip
        self.service = AvatarService(parts, server)
        self._beats, self._ended = [], threading.Event()
        self.service.sound._retry_s = 0.05
        self.service.feed._retry_s = 0.05

    def prepare(self, name):
        if name == "avatar3":
            raise AvatarDataError("avatar3 is damaged: picture.png is missing")
        return make_avatar(int(name.removeprefix("avatar")), SIZE)

    def open_source(self):
        source = self.make_source()
        self.sources.append(source)
        return source

    def __enter__(self):
        threading.Thread(target=self._beat, daemon=True).start()
        self.service.start()
        eventually(lambda: len(self.camera.frames) > 3)
        return self

    def __exit__(self, *exc):
        self.service.close()
        self._ended.set()

    def _beat(self):
        while not self._ended.wait(BEAT_S):
            self._beats.append(time.monotonic())

    @property
    def shown(self):
        """Number of the avatar in the latest frame."""
        return int(self.camera.frames[-1][1])

    def gap_s(self):
        """The longest time between two frames at the camera."""
        return float(np.diff(self.camera.moments).max())

    def own_gap_s(self):
        """The same, counted in beats of an idle thread: without the time in which a busy machine let
        nothing of this process run."""
        beats = np.searchsorted(self._beats, self.camera.moments)
        return float(np.diff(beats).max() * BEAT_S)
