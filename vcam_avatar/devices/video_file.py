"""A video file as the sink: H.264 pictures and AAC sound, in step, complete or not there at all."""

import contextlib
import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from vcam_avatar.devices.memory import _CheckedSink
from vcam_avatar.devices.sound_track import SoundTrack
from vcam_avatar.errors import DeviceError, MediaError
from vcam_avatar.media import ByteArray, Frame, Size

_AAC_RATES_HZ = (
    8_000,
    11_025,
    12_000,
    16_000,
    22_050,
    24_000,
    32_000,
    44_100,
    48_000,
    64_000,
    88_200,
    96_000,
)


class VideoFileSink(_CheckedSink):
    """Writes to a hidden file beside the target and renames it when ``close`` finds all well.

    Leave it with an exception (``abort``) and the target is as it was before.
    """

    def __init__(self, path: Path, track: SoundTrack | None = None, fps: Fraction | None = None) -> None:
        """Choose the target; nothing is written yet.

        Args:
            path: the video to write, ``.mp4``, ``.mov`` or ``.mkv``.
            track: sound to put in, or None for a silent video.
            fps: exact rate, when the number given to ``open`` is only nearly right.

        Raises:
            MediaError: another ending, or the folder is not there.
        """
        super().__init__()
        if path.suffix.lower() not in (".mp4", ".mov", ".mkv"):
            raise MediaError(f"{path} cannot be written: use a name that ends in .mp4")
        if not path.parent.is_dir():
            raise MediaError(f"{path} cannot be written: there is no folder {path.parent}")
        self._path = path
        self._partial = path.with_name(f".{path.stem}.part{path.suffix}")
        self._track = track
        self._exact_fps = fps
        self._container: Any = None
        self._frames = 0
        self._audio_done = 0

    def open(self, size: Size, fps: float) -> None:
        """Create the file.

        Raises:
            ValueError: odd width or height, which H.264 cannot hold.
            DeviceError: the folder cannot be written to.
        """
        if size.width_px % 2 or size.height_px % 2:
            raise ValueError(f"width and height must be even, got {size}")
        super().open(size, fps)
        self._fps = self._exact_fps or Fraction(fps).limit_denominator(1001)
        self._frames = self._audio_done = 0
        try:
            self._container = av.open(str(self._partial), "w", options={"movflags": "+faststart"})
        except (av.FFmpegError, OSError) as exc:
            super().close()
            raise self._unwritable(exc) from exc
        self._video = self._container.add_stream("libx264", rate=self._fps)
        self._video.width, self._video.height = size.width_px, size.height_px
        self._video.pix_fmt = "yuv420p"
        # x264's macroblock tree reads memory it never wrote: the same frames would give other videos.
        self._video.options = {"preset": "veryfast", "crf": "20", "x264-params": "mbtree=0"}
        self._video.codec_context.thread_count = 2
        context = self._video.codec_context
        # 1 = BT.709: players otherwise guess from the size and shift the colours.
        context.color_primaries = context.color_trc = context.colorspace = 1
        self._audio = None
        if self._track is not None:
            rate = min(_AAC_RATES_HZ, key=lambda known: (abs(known - self._track_rate()), known))
            layout = "mono" if self._track.channels == 1 else "stereo"
            self._audio = self._container.add_stream("aac", rate=rate, layout=layout)
            self._resampler = av.AudioResampler(format="fltp", layout=layout, rate=rate)

    def send(self, frame: Frame) -> None:
        """Encode one frame, and the sound up to its end.

        Raises:
            DeviceError: the disk is full or has gone; what was written is thrown away.
        """
        self.check(frame)
        picture = av.VideoFrame.from_ndarray(_i420(frame.image_bgr), format="yuv420p")
        picture.colorspace, picture.color_range = 1, 1
        picture.pts = self._frames
        picture.time_base = 1 / self._fps
        self._frames += 1
        try:
            self._container.mux(self._video.encode(picture))
            self._encode_audio(self._frames / self._fps)
        except (av.FFmpegError, OSError) as exc:
            self.abort()  # at once: going on after a failed write crashes inside the library
            raise self._unwritable(exc) from exc

    def close(self) -> None:
        """Finish the file and give it its name; may be called twice. Without a frame there is no file.

        Raises:
            DeviceError: the disk is full or has gone; the target is as before.
        """
        if self._container is None or self._frames == 0:
            self.abort()
            return
        container, self._container = self._container, None
        try:
            container.mux(self._video.encode(None))
            if self._audio is not None:
                for frame in self._resampler.resample(None):
                    container.mux(self._audio.encode(frame))
                container.mux(self._audio.encode(None))
            container.close()
            os.replace(self._partial, self._path)
        except (av.FFmpegError, OSError) as exc:
            self._discard(container)
            raise self._unwritable(exc) from exc
        finally:
            self._free()

    def abort(self) -> None:
        """Throw away what was written; the target is as before."""
        if self._container is not None:
            container, self._container = self._container, None
            self._discard(container)
        self._free()

    def _discard(self, container: Any) -> None:
        """Close what cannot or shall not be finished."""
        with contextlib.suppress(av.FFmpegError, OSError):  # its last bytes find no room either
            container.close()
        with contextlib.suppress(OSError):  # a disk that cannot be written to: nothing was
            self._partial.unlink(missing_ok=True)

    def _unwritable(self, exc: Exception) -> DeviceError:
        why = getattr(exc, "strerror", None) or exc
        return DeviceError(f"{self._path} cannot be written ({why}): choose a place with room for it")

    def _free(self) -> None:
        super().close()
        if self._track is not None:
            self._track.close()

    def _track_rate(self) -> int:
        assert self._track is not None
        return self._track.rate_hz

    def _encode_audio(self, until_s: Fraction) -> None:
        if self._track is None or self._audio is None:
            return
        wanted = int(until_s * self._track.rate_hz) - self._audio_done
        samples = self._track.read(wanted)
        if not len(samples):
            return
        layout = "mono" if self._track.channels == 1 else "stereo"
        planes = np.ascontiguousarray(samples.T)
        sound = av.AudioFrame.from_ndarray(planes, format="fltp", layout=layout)
        sound.sample_rate = self._track.rate_hz
        sound.pts = self._audio_done
        sound.time_base = Fraction(1, self._track.rate_hz)
        self._audio_done += len(samples)
        for frame in self._resampler.resample(sound):
            self._container.mux(self._audio.encode(frame))


def _i420(image_bgr: ByteArray) -> ByteArray:
    """BGR to planar YUV, BT.709, limited range; OpenCV's own conversion is BT.601."""
    y_of, u_of, v_of = (
        (0.0620, 0.6142, 0.1826, 16.0),
        (0.4392, -0.3386, -0.1006, 128.0),
        (-0.0403, -0.3989, 0.4392, 128.0),
    )
    height, width = image_bgr.shape[:2]
    area = height * width
    out = np.empty(area * 3 // 2, np.uint8)
    out[:area] = cv2.transform(image_bgr, np.array([y_of])).reshape(-1)
    half = cv2.resize(image_bgr, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    out[area : area + area // 4] = cv2.transform(half, np.array([u_of])).reshape(-1)
    out[area + area // 4 :] = cv2.transform(half, np.array([v_of])).reshape(-1)
    return out.reshape(height * 3 // 2, width)
