"""Frames in order: the last step of the method."""

from vcam_avatar.media import Frame, Size
from vcam_avatar.ports import FrameSink


class FrameSequencer:
    """Hands frames to the sink in the order of their units, one for every unit.

    Attributes:
        sent: frames handed over so far.
        repeated: of these, repetitions that filled a gap.
    """

    def __init__(self, sink: FrameSink) -> None:
        self._sink = sink
        self._previous: Frame | None = None
        self.sent = 0
        self.repeated = 0

    def push(self, frame: Frame) -> None:
        """Send ``frame``, after repetitions for the units missing before it.

        Raises:
            ValueError: a unit at or before the previous frame's.
            DeviceError: the sink has failed.
        """
        previous = self._previous
        first = 0 if previous is None else previous.index + 1
        if frame.index < first:
            raise ValueError(f"expected a frame of unit {first} or later, got {frame.index}")
        for index in range(first, frame.index):
            self._send(Frame(index, (previous or frame).image_bgr))
            self.repeated += 1
        self._send(frame)
        self._previous = frame

    def _send(self, frame: Frame) -> None:
        self._sink.send(frame)
        self.sent += 1


class GaplessSink:
    """Another sink that gets one frame for every unit, whatever was skipped: for recordings."""

    def __init__(self, sink: FrameSink) -> None:
        self._sink = sink
        self._sequencer = FrameSequencer(sink)

    def open(self, size: Size, fps: float) -> None:
        """Open the other sink."""
        self._sink.open(size, fps)
        self._sequencer = FrameSequencer(self._sink)

    def send(self, frame: Frame) -> None:
        """Send ``frame``, after repetitions for the units missing before it."""
        self._sequencer.push(frame)

    def close(self) -> None:
        """Close the other sink."""
        self._sink.close()
