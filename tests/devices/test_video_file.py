"""Written videos: counts, sync, colours, and no half-finished files."""

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from audio_files import babble, write_audio

from vcam_avatar.devices.sound_track import FileSoundTrack, HeardSoundTrack
from vcam_avatar.devices.video_file import VideoFileSink
from vcam_avatar.errors import DeviceError, MediaError
from vcam_avatar.media import Frame, Size, UnitClock

SIZE = Size(128, 96)


def write_flashes(path: Path, track: object, fps: Fraction, frames: int, flash: int) -> None:
    sink = VideoFileSink(path, track, fps)  # type: ignore[arg-type]
    sink.open(SIZE, float(fps))
    for index in range(frames):
        value = 255 if index == flash else 0
        sink.send(Frame(index, np.full((SIZE.height_px, SIZE.width_px, 3), value, np.uint8)))
    sink.close()


@pytest.mark.parametrize("fps", [Fraction(10), Fraction(25), Fraction(30_000, 1001), Fraction(60)])
@pytest.mark.parametrize("rate_hz", [8_000, 44_100, 48_000])
def test_picture_and_sound_are_in_step(tmp_path: Path, fps: Fraction, rate_hz: int) -> None:
    frames, flash = int(2 * fps), int(fps)
    sound = np.zeros(round(frames / fps * rate_hz), np.float32)
    click = round(flash / fps * rate_hz)
    sound[click : click + rate_hz // 100] = 0.9
    track = FileSoundTrack(write_audio(tmp_path / "click.wav", sound, rate_hz))
    out = tmp_path / "out.mp4"
    write_flashes(out, track, fps, frames, flash)
    with av.open(str(out)) as container:
        video = container.streams.video[0]
        assert video.average_rate == fps
        bright = [(p.time, p.to_ndarray(format="gray").mean()) for p in container.decode(video)]
    assert len(bright) == frames
    flash_s = max(bright, key=lambda pair: pair[1])[0]
    with av.open(str(out)) as container:
        parts = list(container.decode(audio=0))
        heard = np.concatenate([part.to_ndarray()[0] for part in parts])
        click_s = parts[0].time + np.argmax(np.abs(heard)) / parts[0].sample_rate
        end_s = parts[0].time + len(heard) / parts[0].sample_rate
    assert click_s == pytest.approx(flash_s, abs=0.02)
    assert end_s == pytest.approx(frames / fps, abs=max(1 / fps, 0.13))


def test_heard_sound_can_be_recorded(tmp_path: Path) -> None:
    track, clock = HeardSoundTrack(), UnitClock(Fraction(25))
    sink = VideoFileSink(tmp_path / "out.mp4", track)
    sink.open(SIZE, 25)
    for unit in range(25):
        track.hear(babble(1.0)[clock.start_sample(unit) : clock.start_sample(unit + 1)])
        sink.send(Frame(unit, np.zeros((96, 128, 3), np.uint8)))
    sink.close()
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert sum(part.samples for part in container.decode(audio=0)) == pytest.approx(16_000, abs=2048)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX limits")
@pytest.mark.parametrize("room_bytes", [0, 30_000])
def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, room_bytes: int) -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    track = HeardSoundTrack()
    sink = VideoFileSink(tmp_path / "out.mp4", track)
    rng = np.random.default_rng(0)

    def write_noise() -> None:
        for unit in range(500):
            track.hear(np.zeros(640, np.float32))
            sink.send(Frame(unit, rng.integers(0, 255, (96, 128, 3)).astype(np.uint8)))

    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room_bytes, before[1]))
        sink.open(SIZE, 25)
        with pytest.raises(DeviceError, match=r"out\.mp4 cannot be written .*: choose a place with room"):
            write_noise()
        sink.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_colours_survive(tmp_path: Path) -> None:
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 128, 128), (80, 120, 200)]
    sink = VideoFileSink(tmp_path / "out.mkv")
    sink.open(SIZE, 25)
    for index, colour in enumerate(colours):
        sink.send(Frame(index, np.full((96, 128, 3), colour, np.uint8)))
    sink.close()
    with av.open(str(tmp_path / "out.mkv")) as container:
        for picture, colour in zip(container.decode(video=0), colours, strict=True):
            assert picture.colorspace == 1  # BT.709
            seen = picture.reformat(format="bgr24", src_colorspace="ITU709").to_ndarray().mean((0, 1))
            np.testing.assert_allclose(seen, colour, atol=4)


def test_aborted_video_leaves_the_target_alone(tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    target.write_bytes(b"before")
    sink = VideoFileSink(target)
    sink.open(SIZE, 25)
    sink.send(Frame(0, np.zeros((96, 128, 3), np.uint8)))
    assert target.read_bytes() == b"before"
    sink.abort()
    assert target.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [target]


def test_height_that_is_not_a_multiple_of_four(tmp_path: Path) -> None:
    sink = VideoFileSink(tmp_path / "out.mp4")
    sink.open(Size(130, 98), 25)
    sink.send(Frame(0, np.zeros((98, 130, 3), np.uint8)))
    sink.close()


def test_targets_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"\.mp4"):
        VideoFileSink(tmp_path / "out.txt")
    with pytest.raises(MediaError, match="no folder"):
        VideoFileSink(tmp_path / "nowhere" / "out.mp4")
    with pytest.raises(ValueError, match="even"):
        VideoFileSink(tmp_path / "out.mp4").open(Size(127, 96), 25)


_ENCODE = """
import hashlib, sys
from pathlib import Path
import numpy as np
from vcam_avatar.devices.video_file import VideoFileSink
from vcam_avatar.media import Frame, Size
path = Path(sys.argv[1])
rng = np.random.default_rng(0)
picture = np.kron(rng.integers(0, 255, (18, 32, 3)), np.ones((10, 10, 1))).astype(np.uint8)
sink = VideoFileSink(path)
sink.open(Size(320, 180), 25)
for index in range(40):
    sink.send(Frame(index, np.roll(picture, index * 3, 1)))
sink.close()
print(hashlib.sha256(path.read_bytes()).hexdigest())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="fills fresh memory with a glibc setting")
def test_the_same_frames_give_the_same_file_whatever_memory_held(tmp_path: Path) -> None:
    digests = set()
    for fill in ("1", "255"):
        command = [sys.executable, "-c", _ENCODE, str(tmp_path / "out.mp4")]
        environment = {**os.environ, "MALLOC_PERTURB_": fill}
        result = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        digests.add(result.stdout)
    assert len(digests) == 1
