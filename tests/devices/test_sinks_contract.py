"""What every sink must do, and every source: one suite over all of them."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from audio_files import babble, write_audio
from devices.fake_camera import FakeCamera

from vcam_avatar.devices.audio_file import FileAudioSource
from vcam_avatar.devices.memory import MemoryAudioSource, MemorySink, PreviewSink
from vcam_avatar.devices.paced import PacedSource
from vcam_avatar.devices.video_file import VideoFileSink
from vcam_avatar.devices.virtual_camera import VirtualCameraSink
from vcam_avatar.errors import DeviceError
from vcam_avatar.media import Frame, Size
from vcam_avatar.ports import AudioSource, FrameSink

SIZE = Size(64, 48)

SINKS: dict[str, Callable[[Path], Any]] = {
    "memory": lambda folder: MemorySink(),
    "preview": lambda folder: PreviewSink(),
    "video": lambda folder: VideoFileSink(folder / "out.mp4"),
    "camera": lambda folder: VirtualCameraSink(backend="fake"),
}


@pytest.fixture(params=sorted(SINKS))
def sink(
    request: pytest.FixtureRequest, tmp_path: Path, fake_camera: type[FakeCamera]
) -> Iterator[FrameSink]:
    made = SINKS[request.param](tmp_path)
    yield made
    made.close()


def frame(index: int, value: int = 0, size: Size = SIZE) -> Frame:
    return Frame(index, np.full((size.height_px, size.width_px, 3), value, np.uint8))


def test_sends_after_open(sink: FrameSink) -> None:
    sink.open(SIZE, 25)
    for index in range(3):
        sink.send(frame(index))


def test_refuses_before_open_and_after_close(sink: FrameSink) -> None:
    with pytest.raises(ValueError, match="not open"):
        sink.send(frame(0))
    sink.open(SIZE, 25)
    sink.send(frame(0))
    sink.close()
    with pytest.raises(ValueError, match="not open"):
        sink.send(frame(1))


def test_refuses_other_sizes_and_types(sink: FrameSink) -> None:
    sink.open(SIZE, 25)
    with pytest.raises(ValueError, match="expected uint8"):
        sink.send(frame(0, size=Size(48, 64)))
    with pytest.raises(ValueError, match="expected uint8"):
        sink.send(Frame(0, np.zeros((48, 64, 3), np.float32)))  # type: ignore[arg-type]


def test_closes_twice_and_opens_again(sink: FrameSink) -> None:
    sink.close()
    sink.open(SIZE, 30)
    sink.send(frame(0))
    sink.close()
    sink.close()
    sink.open(SIZE, 30)
    sink.send(frame(0))


def test_does_not_change_or_keep_the_image(sink: FrameSink) -> None:
    sink.open(SIZE, 25)
    sent = frame(0, 7)
    sink.send(sent)
    assert (sent.image_bgr == 7).all()
    sent.image_bgr[:] = 9
    if isinstance(sink, MemorySink):
        assert (sink.frames[-1].image_bgr == 7).all()
    if isinstance(sink, PreviewSink):
        latest = sink.latest()
        assert latest is not None
        assert (latest.image_bgr == 7).all()


def test_camera_gets_the_pixels_and_is_freed(fake_camera: type[FakeCamera]) -> None:
    sink = VirtualCameraSink(backend="fake")
    sink.open(SIZE, 25)
    assert sink.name == "/dev/video-fake"
    sink.send(frame(0, 5))
    sink.close()
    (camera,) = fake_camera.opened
    assert camera.closed
    assert (camera.frames[0] == 5).all()


def test_busy_or_unknown_camera_is_explained(fake_camera: type[FakeCamera]) -> None:
    fake_camera.busy = True
    for backend in ("fake", "no-such-backend"):
        with pytest.raises(DeviceError, match="no virtual camera"):
            VirtualCameraSink(backend=backend).open(SIZE, 25)


SOURCES: dict[str, Callable[[Path], AudioSource]] = {
    "file": lambda folder: FileAudioSource(write_audio(folder / "voice.wav", babble(0.5))),
    "memory": lambda folder: MemoryAudioSource(babble(0.5)),
    "paced": lambda folder: PacedSource(MemoryAudioSource(babble(0.5))),
}


@pytest.fixture(params=sorted(SOURCES))
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AudioSource]:
    made = SOURCES[request.param](tmp_path)
    yield made
    made.close()


def test_source_gives_float_blocks_until_the_end(source: AudioSource) -> None:
    blocks = list(source.blocks())
    assert all(block.dtype == np.float32 and block.ndim == 1 and len(block) for block in blocks)
    assert sum(map(len, blocks)) == 8000


def test_source_ends_when_closed(source: AudioSource) -> None:
    blocks = source.blocks()
    next(blocks)
    source.close()
    source.close()
    assert list(blocks) == []


def test_paced_source_keeps_real_time() -> None:
    paced = PacedSource(MemoryAudioSource(babble(0.2)))
    started = time.monotonic()
    assert sum(map(len, paced.blocks())) == 3200
    assert time.monotonic() - started >= 0.19
    paced = PacedSource(MemoryAudioSource(babble(10.0)))
    threading.Timer(0.05, paced.close).start()
    assert sum(map(len, paced.blocks())) < 16_000
