"""A microphone as the source of sound, through PortAudio."""

import logging
import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from vcam_avatar.devices.resample import LowDelayResampler
from vcam_avatar.errors import DeviceError
from vcam_avatar.media import FloatArray

logger = logging.getLogger(__name__)

BLOCK_S = 0.010
_QUEUE_BLOCKS = 100
"""One second; a reader that is further behind loses the newest blocks."""
_SILENT_DEVICE_S = 2.0


@dataclass(frozen=True, slots=True)
class InputDevice:
    """One thing that can be recorded from."""

    name: str
    host: str
    """Sound system that offers it."""
    rate_hz: int
    """Its own sample rate."""
    channels: int
    is_default: bool


def portaudio() -> Any:
    """The sounddevice module.

    Raises:
        DeviceError: PortAudio's library is missing.
    """
    try:
        import sounddevice
    except OSError as exc:
        raise DeviceError(
            f"PortAudio is missing ({exc}): on Debian or Ubuntu  sudo apt install libportaudio2"
        ) from exc
    return sounddevice


def input_devices() -> list[InputDevice]:
    """All microphones, as PortAudio lists them.

    Raises:
        DeviceError: PortAudio is missing or refuses.
    """
    sd = portaudio()
    try:
        devices, hosts, default = sd.query_devices(), sd.query_hostapis(), sd.default.device[0]
    except sd.PortAudioError as exc:
        raise DeviceError(f"the sound system cannot be asked ({exc}): is it running?") from exc
    return [
        InputDevice(
            name=device["name"],
            host=hosts[device["hostapi"]]["name"],
            rate_hz=round(device["default_samplerate"]),
            channels=device["max_input_channels"],
            is_default=index == default,
        )
        for index, device in enumerate(devices)
        if device["max_input_channels"] > 0
    ]


class MicrophoneSource:
    """Records at the device's own rate; the callback copies, enqueues and returns."""

    def __init__(self, name: str | None = None) -> None:
        """Open the microphone.

        Args:
            name: any part of the device's name; None takes the system's default.

        Raises:
            DeviceError: none there, none of that name, busy, or not allowed.
        """
        self._sd = portaudio()
        self._queue: queue.Queue[FloatArray | None] = queue.Queue(_QUEUE_BLOCKS)
        self._closed = threading.Event()
        self.dropped_blocks = 0
        """Blocks lost because the reader was too slow."""
        self.overflows = 0
        """Times the sound system itself lost sound."""
        try:
            info = self._sd.query_devices(name, "input")
            self.name: str = info["name"]
            self.rate_hz = round(info["default_samplerate"])
            self.channels = min(int(info["max_input_channels"]), 2)
            self._stream = self._sd.InputStream(
                device=info["index"],
                samplerate=self.rate_hz,
                channels=self.channels,
                dtype="float32",
                blocksize=round(self.rate_hz * BLOCK_S),
                latency="low",
                callback=self._on_block,
                finished_callback=self._on_finished,
            )
            self._stream.start()
        except (ValueError, self._sd.PortAudioError) as exc:
            raise DeviceError(_remedy(name, str(exc))) from exc
        logger.info("microphone %s at %d Hz, %d channels", self.name, self.rate_hz, self.channels)

    def blocks(self) -> Iterator[FloatArray]:
        """Yield float32 ``(n,)`` mono 16 kHz blocks of about 10 ms until closed.

        Raises:
            DeviceError: the device stopped, or gave nothing for two seconds.
        """
        resampler = LowDelayResampler(self.rate_hz)
        while not self._closed.is_set():
            try:
                block = self._queue.get(timeout=_SILENT_DEVICE_S)
            except queue.Empty:
                raise DeviceError(
                    f"microphone {self.name} gives no sound any more: is it unplugged?"
                ) from None
            if block is None:
                break
            samples = resampler.push(block)
            if len(samples):
                yield samples
        if not self._closed.is_set():
            raise DeviceError(f"microphone {self.name} has stopped: is it unplugged?")

    def close(self) -> None:
        """Free the device; may be called twice and from another thread."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._stream.close()
        self._wake()

    def _on_block(self, data: FloatArray, frames: int, time: Any, status: Any) -> None:
        if status.input_overflow:
            self.overflows += 1
        try:
            self._queue.put_nowait(np.array(data, np.float32))
        except queue.Full:
            self.dropped_blocks += 1

    def _on_finished(self) -> None:
        self._wake()

    def _wake(self) -> None:
        try:
            self._queue.put_nowait(None)
        except queue.Full:
            # The reader has blocks left and sees the closed flag, or runs dry and times out.
            logger.debug("microphone queue full at the end")


def _remedy(name: str | None, cause: str) -> str:
    wanted = f"microphone {name!r}" if name else "the default microphone"
    try:
        names = [device.name for device in input_devices()]
    except DeviceError:
        names = []
    if not names:
        return f"no microphone found ({cause}): plug one in, or use  --source file:voice.wav"
    return f"{wanted} cannot be opened ({cause}); there are: {', '.join(names)}"
