"""PortAudio behind a lock: its device list is frozen when it starts, and its calls can hang.

One call at a time: while a call hangs because the sound server is frozen, others give up instead of
joining it, since PortAudio's starting and ending under an open stream would end the process.
"""

import contextlib
import logging
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from vcam_avatar.errors import DeviceError

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

CALL_LIMIT_S = 3.0
_HANGS = "the sound system does not answer: is its server frozen? This is tried again"


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
    index: int = -1
    """PortAudio's number, valid until its list is read anew."""


class PortAudio:
    """The library, its lock and its open streams."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open_streams = 0
        self._stale = False

    def library(self) -> Any:
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

    def something_changed(self) -> None:
        """A device was lost or not found: read the list anew before the next opening."""
        self._stale = True

    def devices(self) -> list[InputDevice]:
        """All inputs, as of now if no stream is open, else as of the last reading.

        Raises:
            DeviceError: PortAudio is missing, refuses or hangs.
        """
        return self.call(self._devices)

    def open(self, start: Callable[[Any, list[InputDevice]], Any]) -> Any:
        """Open a stream: ``start(library, devices)`` makes and starts it.

        Raises:
            DeviceError: PortAudio is missing or hangs, or what ``start`` raises.
        """

        def opening() -> Any:
            stream = start(self.library(), self._devices())
            self._open_streams += 1
            return stream

        return self.call(opening, undo=self._close)

    def close(self, stream: Any) -> None:
        """Close a stream that ``open`` gave, on a thread of its own: it may hang."""

        def closing() -> None:
            with self._lock:
                self._close(stream)

        threading.Thread(target=closing, name="microphone-close", daemon=True).start()

    def call(self, function: Callable[[], Result], undo: Callable[[Result], None] | None = None) -> Result:
        """Run ``function`` with the lock held, for a limited time.

        Args:
            undo: called with the result when it comes after the limit.

        Raises:
            DeviceError: it, or a call before it, hangs.
        """
        if not self._lock.acquire(timeout=CALL_LIMIT_S):
            self._stale = True
            raise DeviceError(_HANGS)
        outcome: list[Result] = []
        failure: list[BaseException] = []
        state = threading.Lock()
        given_up = False
        done = threading.Event()

        def run() -> None:
            try:
                try:
                    outcome.append(function())
                except BaseException as exc:
                    failure.append(exc)
                with state:
                    done.set()
                    late = given_up
                if late and outcome and undo is not None:
                    undo(outcome[0])
            finally:
                self._lock.release()

        threading.Thread(target=run, name="portaudio", daemon=True).start()
        if not done.wait(CALL_LIMIT_S):
            with state:
                given_up = not done.is_set()
            if given_up:
                self._stale = True
                raise DeviceError(_HANGS)
        if failure:
            raise failure[0]
        return outcome[0]

    def _close(self, stream: Any) -> None:
        self._open_streams -= 1
        with _complaints(self.library(), "closing the microphone"):
            stream.close()

    def _devices(self) -> list[InputDevice]:
        sd = self.library()
        if self._stale and self._open_streams == 0:
            with _complaints(sd, "reading the list of devices"):
                sd._terminate()
            sd._initialize()
            self._stale = False
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
                index=index,
            )
            for index, device in enumerate(devices)
            if device["max_input_channels"] > 0
        ]


def sound_server_refusal() -> str:
    """Why the sound server cannot be used, with the next step; empty when it can or there is none to ask.

    PortAudio does not tell: without the server it only lists no devices.
    """
    if not sys.platform.startswith("linux") or shutil.which("pactl") is None:
        return ""
    try:
        asked = subprocess.run(
            ["pactl", "info"], env={**os.environ, "LC_ALL": "C"}, capture_output=True, text=True, timeout=1.0
        )
    except (OSError, subprocess.TimeoutExpired):
        return "the sound server does not answer: start it anew"
    if asked.returncode == 0:
        return ""
    said = asked.stderr.strip().rpartition(": ")[2]
    step = "run this as the user who is logged in" if "denied" in said else "start PulseAudio or PipeWire"
    return f"the sound server cannot be used ({said}): {step}"


@contextlib.contextmanager
def _complaints(library: Any, doing: str) -> Iterator[None]:
    try:
        yield
    except library.PortAudioError as exc:
        logger.debug("%s: %s", doing, exc)


PORTAUDIO = PortAudio()
"""The process's only PortAudio."""
