"""Audio files at their own rate and channels: libsndfile first, PyAV for what it cannot read."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile as sf

from vcam_avatar.errors import MediaError
from vcam_avatar.media import FloatArray

if TYPE_CHECKING:
    import av

MIN_RATE_HZ, MAX_RATE_HZ = 8_000, 192_000
_BLOCK_FRAMES = 4096
_UNKNOWN_LENGTH = 0xFFFFFFFF - 64
"""Data sizes above this are placeholders of writers that could not seek back."""


class AudioFile:
    """One audio file (or the sound of a video), opened for reading once.

    Attributes:
        rate_hz: its own sample rate.
        channels: its own channel count.
        duration_s: length in seconds when the header tells it, else None.
    """

    def __init__(self, path: Path) -> None:
        """Open ``path`` and check that it holds sound.

        Raises:
            MediaError: missing, empty, damaged, no sound in it, no samples, or an unusual sample rate.
        """
        self.path = path
        if path.is_dir():
            raise MediaError(f"{path} is a folder, not an audio file")
        try:
            length = path.stat().st_size
        except OSError as exc:
            raise MediaError(f"{path} cannot be read ({exc.strerror}): check the name") from exc
        if length == 0:
            raise MediaError(f"{path} is empty (0 bytes): record or copy it again")
        self.duration_s: float | None = None
        self._sound: sf.SoundFile | None = None
        self._container: av.container.InputContainer | None = None
        try:
            self._sound = sf.SoundFile(str(path))
        except (sf.LibsndfileError, OSError):
            self._open_av()
        else:
            self.rate_hz, self.channels = self._sound.samplerate, self._sound.channels
            self.duration_s = self._sound.frames / self.rate_hz
            self._check_complete(self._sound)
        if not MIN_RATE_HZ <= self.rate_hz <= MAX_RATE_HZ:
            self.close()
            raise MediaError(
                f"{path} has {self.rate_hz} Hz: convert it to between {MIN_RATE_HZ} and {MAX_RATE_HZ} Hz"
            )
        if self.duration_s == 0:
            self.close()
            raise self._no_samples()

    def blocks(self) -> Iterator[FloatArray]:
        """Yield float32 ``(n, channels)`` blocks, n >= 1, full scale +-1, at the file's own rate.

        Raises:
            MediaError: damaged or cut short, NaN or infinite samples, or no samples at all.
        """
        total = 0
        for block in self._sound_blocks(self._sound) if self._sound else self._av_blocks():
            if not np.isfinite(block).all():
                raise MediaError(f"{self.path} has samples that are not numbers: export it again")
            total += len(block)
            if len(block):
                yield block
        if total == 0:
            raise self._no_samples()

    def close(self) -> None:
        """Close the file; may be called twice."""
        if self._sound is not None:
            self._sound.close()
        if self._container is not None:
            self._container.close()

    def _no_samples(self) -> MediaError:
        return MediaError(f"{self.path} has no samples in it: record it again")

    def _check_complete(self, sound: sf.SoundFile) -> None:
        # libsndfile silently shortens a WAV whose header promises more; only its log tells.
        for promised, actual in re.findall(r"data\s*:\s*(\d+)\s*\(should be (\d+)\)", sound.extra_info):
            if int(actual) < int(promised) < _UNKNOWN_LENGTH:
                share = 100 * int(actual) // int(promised)
                raise MediaError(f"{self.path} is cut short ({share} % of it is there): copy it again")

    def _sound_blocks(self, sound: sf.SoundFile) -> Iterator[FloatArray]:
        read = 0
        try:
            while len(block := sound.read(_BLOCK_FRAMES, dtype="float32", always_2d=True)):
                read += len(block)
                yield block
        except sf.LibsndfileError as exc:
            raise MediaError(f"{self.path} is damaged ({exc}): copy it again") from exc
        if sound.format in ("FLAC", "WAV", "AIFF") and read < sound.frames:
            raise MediaError(f"{self.path} is cut short ({read} of {sound.frames} samples): copy it again")

    def _open_av(self) -> None:
        import av  # 17 MB that a microphone does without

        try:
            self._container = av.open(str(self.path))
            stream = next((s for s in self._container.streams if s.type == "audio"), None)
        except (av.FFmpegError, ValueError, OSError) as exc:
            raise MediaError(
                f"{self.path} is not an audio file that can be read (damaged, cut short, or of another "
                "kind than its name says): convert it to WAV"
            ) from exc
        rate = getattr(stream, "rate", None)
        if stream is None or not rate:
            self.close()
            raise MediaError(f"{self.path} has no sound in it")
        self.rate_hz, self.channels = int(rate), int(stream.codec_context.channels)
        if self._container.duration:
            self.duration_s = self._container.duration / av.time_base

    def _av_blocks(self) -> Iterator[FloatArray]:
        import av

        assert self._container is not None
        resampler = av.AudioResampler(format="fltp", rate=self.rate_hz)
        try:
            for packet in self._container.decode(audio=0):
                for frame in resampler.resample(packet):
                    yield np.ascontiguousarray(frame.to_ndarray().T, np.float32)
            for frame in resampler.resample(None):
                yield np.ascontiguousarray(frame.to_ndarray().T, np.float32)
        except (av.FFmpegError, OSError) as exc:
            raise MediaError(f"{self.path} is damaged ({exc}): copy it again") from exc
