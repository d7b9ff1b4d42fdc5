"""A microphone as the source of sound, through PortAudio."""

import itertools
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from vcam_avatar.devices.channels import ChannelMixer, DriftMeter
from vcam_avatar.devices.portaudio import PORTAUDIO, InputDevice, sound_server_refusal
from vcam_avatar.devices.resample import LowDelayResampler
from vcam_avatar.errors import DeviceError
from vcam_avatar.media import SAMPLE_RATE_HZ, FloatArray

__all__ = ["InputDevice", "MicrophoneSource", "input_devices"]

logger = logging.getLogger(__name__)

BLOCK_S = 0.010
SILENT_DEVICE_S = 1.0
"""No block for this long: the device is gone, whatever PortAudio says."""
_QUEUE_BLOCKS = 100
"""One second; a reader that is further behind loses the newest blocks."""
_AT_ONCE_BLOCKS = 10
_SOON_S = 0.015
_CLIPPED = 0.999
_RATES_HZ = (48_000, 44_100, 32_000, 16_000)
"""Tried after the device's own rate."""
_TRIM_EVERY_S = 10.0


def input_devices() -> list[InputDevice]:
    """All microphones, as PortAudio lists them.

    Raises:
        DeviceError: PortAudio is missing or refuses.
    """
    return PORTAUDIO.devices()


class MicrophoneSource:
    """Records at the device's own rate; the callback copies, enqueues and returns.

    After a failure, make a new one: it finds the device by name again, also under another number.
    """

    def __init__(self, name: str | None = None) -> None:
        """Open the microphone.

        Args:
            name: any part of the device's name; None takes the system's default.

        Raises:
            DeviceError: none there, none of that name, busy, not allowed, or the sound system hangs.
        """
        self._queue: queue.Queue[FloatArray | None] = queue.Queue(_QUEUE_BLOCKS)
        self._closed = threading.Event()
        self._wanted = name
        self.dropped_blocks = 0
        """Blocks lost because the reader was too slow."""
        self.overflows = 0
        """Times the sound system itself lost sound."""
        self.clipped_samples = 0
        """Samples at full scale, in any channel."""
        self.wanted: Callable[[], int] = lambda: 0
        """How many 16 kHz samples the reader can use next; fewer are held back if more come soon."""
        self.name = ""
        self.rate_hz = 0
        self.channels = 0
        self._drift: DriftMeter | None = None
        try:
            self._stream = PORTAUDIO.open(self._start)
        except DeviceError:
            PORTAUDIO.something_changed()
            raise
        self._resampler = LowDelayResampler(self.rate_hz)
        self._mixer = ChannelMixer(self.channels, self.rate_hz)
        self._drift = DriftMeter(self.rate_hz)
        logger.info("microphone %s at %d Hz, %d channels", self.name, self.rate_hz, self.channels)

    @property
    def delay_s(self) -> float:
        """Time from a sound in the air to its samples being given, in seconds, as far as is known."""
        latency = self._stream.latency
        device_s = float(latency[0] if isinstance(latency, tuple | list) else latency)
        return max(device_s, BLOCK_S) + self._resampler.delay_s

    @property
    def drift_ppm(self) -> float | None:
        """How much faster than nominal the device's clock runs; None before it is known."""
        return None if self._drift is None else self._drift.ppm

    def blocks(self) -> Iterator[FloatArray]:
        """Yield float32 ``(n,)`` mono 16 kHz blocks until closed: of about 10 ms each, or of all that has
        come since the last was taken, or as much as is ``wanted``.

        Raises:
            DeviceError: the device stopped, or gave nothing for a second.
        """
        count = 0
        while not self._closed.is_set():
            try:
                block = self._queue.get(timeout=SILENT_DEVICE_S)
            except queue.Empty:
                PORTAUDIO.something_changed()
                raise DeviceError(
                    f"microphone {self.name} gives no sound any more: is it unplugged?"
                ) from None
            if block is None:
                break
            block = self._with_what_is_wanted(block)
            self.clipped_samples += int(np.count_nonzero(np.abs(block) >= _CLIPPED))
            count += len(block)
            if count >= _TRIM_EVERY_S * self.rate_hz:
                count = 0
                if (ppm := self.drift_ppm) is not None:
                    self._resampler.trim(ppm)
            samples = self._resampler.push(self._mixer.push(block))
            if len(samples):
                yield samples
        if not self._closed.is_set():
            PORTAUDIO.something_changed()
            raise DeviceError(f"microphone {self.name} has stopped: is it unplugged?")

    def _with_what_is_wanted(self, block: FloatArray) -> FloatArray:
        """``block``, what is in the queue, and what soon comes if more is wanted: one piece of work instead
        of several."""
        blocks, count = [block], len(block)
        wanted = self.wanted() * self.rate_hz / SAMPLE_RATE_HZ
        while len(blocks) < _AT_ONCE_BLOCKS:
            try:
                more = self._queue.get(timeout=_SOON_S) if count < wanted else self._queue.get_nowait()
            except queue.Empty:
                break
            if more is None:
                self._wake()  # the end is told again, after these
                break
            blocks.append(more)
            count += len(more)
        return block if len(blocks) == 1 else np.concatenate(blocks)

    def close(self) -> None:
        """Free the device; may be called twice and from another thread. Never waits for the device."""
        if self._closed.is_set():
            return
        self._closed.set()
        PORTAUDIO.close(self._stream)
        self._wake()

    def _start(self, library: Any, devices: list[InputDevice]) -> Any:
        device = _choose(devices, self._wanted)
        causes: list[str] = []
        rates = dict.fromkeys((device.rate_hz, *_RATES_HZ))
        # More than eight are a sound server's way of saying "as many as you like".
        counts = dict.fromkeys((device.channels if device.channels <= 8 else 2, 2, 1))
        for rate_hz, channels, dtype in itertools.product(rates, counts, ("float32", "int16")):
            stream = None
            try:
                stream = library.InputStream(
                    device=device.index,
                    samplerate=rate_hz,
                    channels=channels,
                    dtype=dtype,
                    blocksize=round(rate_hz * BLOCK_S),
                    latency="low",
                    callback=self._on_block,
                    finished_callback=self._wake,
                )
                stream.start()
            except (ValueError, library.PortAudioError) as exc:
                if stream is not None:
                    stream.close()
                causes.append(" ".join(str(exc).split()))
                if not _other_form_may_do(causes[-1]):
                    break
                continue
            self.name, self.rate_hz, self.channels = device.name, rate_hz, channels
            return stream
        others = ", ".join(d.name for d in devices if d.name != device.name)
        raise DeviceError(_remedy(device.name, causes[0], others))

    def _on_block(self, data: Any, frames: int, when: Any, status: Any) -> None:
        if status.input_overflow:
            self.overflows += 1
        if data.dtype == np.int16:
            block = data.astype(np.float32) / np.float32(32768)
        else:
            block = np.array(data, np.float32)
        if self._drift is not None:
            self._drift.push(frames, time.monotonic())
        try:
            self._queue.put_nowait(block)
        except queue.Full:
            self.dropped_blocks += 1

    def _wake(self) -> None:
        try:
            self._queue.put_nowait(None)
        except queue.Full:
            # The reader has blocks left and sees the closed flag, or runs dry and times out.
            logger.debug("microphone queue full at the end")


def _choose(devices: list[InputDevice], wanted: str | None) -> InputDevice:
    if not devices:
        if refusal := sound_server_refusal():
            raise DeviceError(f"no microphone found: {refusal}")
        raise DeviceError("no microphone found: plug one in, or use  --source file:voice.wav")
    if wanted is None:
        return next((d for d in devices if d.is_default), devices[0])
    exact = [d for d in devices if d.name == wanted]
    part = [d for d in devices if wanted.casefold() in d.name.casefold()]
    if not part:
        names = ", ".join(d.name for d in devices)
        raise DeviceError(f"there is no microphone {wanted!r}; there are: {names}. It is waited for")
    return (exact or part)[0]


def _other_form_may_do(cause: str) -> bool:
    """Whether another rate, sample format or number of channels might be taken."""
    lowered = cause.lower()
    return any(
        word in lowered for word in ("sample rate", "sample format", "channels", "-9997", "-9994", "-9998")
    )


def _remedy(name: str, cause: str, others: str) -> str:
    lowered = cause.lower()
    if "permission" in lowered or "not allowed" in lowered or "access" in lowered:
        step = "allow microphones for this program in the system's privacy settings"
    elif "unavailable" in lowered or "busy" in lowered:
        step = "another program has it to itself; close that one"
    else:
        step = f"there are also: {others}" if others else "plug it in again"
    return f"microphone {name!r} cannot be opened ({cause}): {step}"
