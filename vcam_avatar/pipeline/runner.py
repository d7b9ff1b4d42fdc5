"""A finite source, the loop and a sink joined up: as fast as it goes, or on a schedule."""

from collections.abc import Callable
from fractions import Fraction
from time import perf_counter

from vcam_avatar.media import Size, UnitClock
from vcam_avatar.pipeline.clock import Pacer
from vcam_avatar.pipeline.loop import FrameLoop
from vcam_avatar.pipeline.sequencer import FrameSequencer
from vcam_avatar.pipeline.units import cut_units
from vcam_avatar.ports import AudioSource, FrameSink


def play_stored(
    source: AudioSource,
    loop: FrameLoop,
    sink: FrameSink,
    size: Size,
    fps: Fraction,
    *,
    pacer: Pacer | None = None,
    on_frame: Callable[[int], None] | None = None,
) -> int:
    """Turn all sound of a finite source into frames; none is late, none is left out.

    Args:
        size: of the loop's frames.
        pacer: sends frame n at its time; None sends as fast as frames are made.
        on_frame: told how many frames were sent, after each.

    Returns:
        How many frames were sent. The sink is open; closing it is the caller's choice.
    """
    sink.open(size, float(fps))
    sequencer = FrameSequencer(sink)
    for frame in loop.frames(cut_units(source.blocks(), UnitClock(fps))):
        if pacer is not None:
            pacer.wait(frame.index)
        started = perf_counter()
        sequencer.push(frame)
        loop.timings.add("send", (perf_counter() - started) * 1e3)
        if on_frame is not None:
            on_frame(sequencer.sent)
    return sequencer.sent
