"""Keeps frames going to the camera, whatever the camera and the pipeline do."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

from vcam_avatar.daemon.health import Health
from vcam_avatar.errors import DeviceError
from vcam_avatar.media import Frame, Size
from vcam_avatar.ports import FrameSink

log = logging.getLogger(__name__)

RETRY_S = 1.0
_REPEAT_AFTER_PERIODS = 1.5
PART = "camera"


class Stopwatch(Protocol):
    """Where milliseconds go."""

    def add(self, stage: str, ms: float) -> None: ...


class CameraFeed:
    """A thread that sends the latest frame, repeats it when no new one comes, and opens the camera again
    when it fails.

    The pipeline never waits for the camera: a frame that is not sent when the next one comes is dropped.

    Attributes:
        sent: frames delivered, repetitions included.
        repeated: deliveries that repeated a frame because no new one came in time.
        dropped: frames replaced before they could be sent.
        openings: how often the camera was opened.
    """

    def __init__(
        self,
        sink: FrameSink,
        size: Size,
        fps: float,
        health: Health,
        *,
        stopwatch: Stopwatch | None = None,
        on_frames: Callable[[], None] | None = None,
        retry_s: float = RETRY_S,
    ) -> None:
        """``on_frames`` is called, on the feed's thread, when the first frame after an opening is out."""
        self._sink = sink
        self._size = size
        self._fps = fps
        self._health = health
        self._stopwatch = stopwatch
        self._on_frames = on_frames
        self._retry_s = retry_s
        self._condition = threading.Condition()
        self._frame: Frame | None = None
        self._pushed_at = 0.0
        self._is_new = False
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="camera", daemon=True)
        self.sent = self.repeated = self.dropped = self.openings = 0
        self.is_open = False

    def start(self) -> None:
        """Open the camera and begin to send."""
        self._thread.start()

    def push(self, frame: Frame) -> None:
        """Show ``frame`` from now on; never blocks. The image must not be written afterwards."""
        with self._condition:
            self.dropped += self._is_new and self.is_open
            self._frame, self._is_new, self._pushed_at = frame, True, time.perf_counter()
            self._condition.notify()

    def stop(self, limit_s: float = 0.5) -> None:
        """Give the camera back."""
        with self._condition:
            self._stopped = True
            self._condition.notify()
        if self._thread.is_alive():
            self._thread.join(limit_s)

    def _run(self) -> None:
        while not self._stopped:
            try:
                self._sink.open(self._size, self._fps)
            except DeviceError as exc:
                self._health.trouble(PART, str(exc))
            except Exception as exc:
                log.exception("opening the camera failed")
                self._health.trouble(PART, f"failed ({exc}); trying again")
            else:
                self._send_until_failure()
            with self._condition:
                if not self._stopped:
                    self._condition.wait_for(lambda: self._stopped, self._retry_s)

    def _send_until_failure(self) -> None:
        self.openings += 1
        self.is_open = True
        fresh = True
        try:
            while (frame := self._next()) is not None:
                self._sink.send(frame)
                self.sent += 1
                if fresh:
                    fresh = False
                    self._health.well(PART)
                    if self._on_frames is not None:
                        self._on_frames()
        except DeviceError as exc:
            self._health.trouble(PART, str(exc))
        except Exception as exc:
            log.exception("the camera failed")
            self._health.trouble(PART, f"failed ({exc}); trying again")
        finally:
            self.is_open = False
            self._sink.close()

    def _next(self) -> Frame | None:
        """The frame to send now; None at the end."""
        with self._condition:
            while not self._stopped:
                if self._is_new:
                    self._is_new = False
                    if self._stopwatch is not None:
                        waited_ms = (time.perf_counter() - self._pushed_at) * 1e3
                        self._stopwatch.add("wait for camera", waited_ms)
                    return self._frame
                in_time = self._condition.wait_for(
                    lambda: self._is_new or self._stopped, _REPEAT_AFTER_PERIODS / self._fps
                )
                if not in_time and self._frame is not None:
                    self.repeated += 1
                    return self._frame
        return None
