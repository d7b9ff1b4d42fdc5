"""A running service with stand-in stages and real devices, for tests of devices.

usage: stand_in.py SOURCE SINK SIZE FPS     SOURCE: mic, mic:NAME, silence; SINK: camera, pipewire
The picture's colour is the avatar (avatar1, avatar2...), its square is as bright as the sound is loud.
"""

import logging
import sys
import threading
from fractions import Fraction
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from doubles import make_avatar, make_stages

from vcam_avatar.config import load_config
from vcam_avatar.control.server import ControlServer
from vcam_avatar.daemon.parts import Parts
from vcam_avatar.daemon.service import AvatarService
from vcam_avatar.daemon.shelf import Shelf
from vcam_avatar.devices.microphone import MicrophoneSource
from vcam_avatar.devices.virtual_camera import VirtualCameraSink
from vcam_avatar.pipeline.clock import MonotonicClock
from vcam_avatar.pipeline.live import LiveUnits
from vcam_avatar.pipeline.loop import FrameLoop
from vcam_avatar.stages.features import FeatureStage


class Silence:
    """Sound of an empty room, in real time."""

    name = "silence"

    def __init__(self):
        self._closed = threading.Event()

    def blocks(self):
        while not self._closed.wait(0.02):
            yield np.zeros(320, np.float32)

    def close(self):
        self._closed.set()


COLOURS = {n: 60 * n for n in range(1, 5)}
"""Blue of avatar n."""


def main() -> int:
    source, sink, size, fps = sys.argv[1:5]
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    config = load_config(None, {"video.size": size, "video.fps": fps})
    rate = Fraction(config.video.fps)
    FeatureStage(rate)  # loads what the first frame needs
    kind, _, name = source.partition(":")
    server = ControlServer()
    server.start()

    def avatar(name: str):
        number = int(name.removeprefix("avatar"))
        prepared = make_avatar(COLOURS[number], config.video.size)
        return type(prepared)(name, prepared.start_pose, prepared.body, prepared.face)

    parts = Parts(
        config,
        FrameLoop(make_stages(rate), avatar("avatar1"), hold_faults=True),
        LiveUnits(rate, MonotonicClock()),
        Shelf(lambda: [f"avatar{n}" for n in COLOURS], avatar),
        Silence if kind == "silence" else lambda: MicrophoneSource(name or None),
        VirtualCameraSink(backend="pipewire" if sink == "pipewire" else None),
    )
    return AvatarService(parts, server).run()


if __name__ == "__main__":
    sys.exit(main())
