"""Units, sequence and schedule."""

from fractions import Fraction

import numpy as np
import pytest
from audio_files import babble
from doubles import ManualClock
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vcam_avatar.devices.memory import MemorySink
from vcam_avatar.media import Frame, Size, UnitClock
from vcam_avatar.pipeline.clock import Pacer
from vcam_avatar.pipeline.sequencer import FrameSequencer, GaplessSink
from vcam_avatar.pipeline.units import cut_units

RATES = [
    Fraction(10),
    Fraction(24),
    Fraction(25),
    Fraction(30_000, 1001),
    Fraction(30),
    Fraction(50),
    Fraction(60),
]


@settings(deadline=None)
@given(st.sampled_from(RATES), st.integers(1, 40_000), st.integers(1, 4000))
@example(RATES[3], 534, 100)  # the second unit begins between the last two samples
def test_units_cover_the_sound_exactly(fps: Fraction, total: int, block: int) -> None:
    sound = np.arange(1, total + 1, dtype=np.float32)
    clock = UnitClock(fps)
    got = list(cut_units((sound[i : i + block] for i in range(0, total, block)), clock))
    assert len(got) == clock.unit_count(total)
    for unit, heard in enumerate(got):
        assert len(heard.samples) == clock.start_sample(unit + 1) - clock.start_sample(unit)
    joined = np.concatenate([heard.samples for heard in got])
    np.testing.assert_array_equal(joined[:total], sound)
    assert not joined[total:].any()


def test_no_sound_no_units() -> None:
    assert list(cut_units([], UnitClock(Fraction(25)))) == []


def frame(index: int) -> Frame:
    return Frame(index, np.full((4, 4, 3), index, np.uint8))


def test_sequencer_keeps_order_and_fills_gaps() -> None:
    sink = MemorySink(keep=10)
    sink.open(Size(4, 4), 25)
    sequencer = FrameSequencer(sink)
    for index in (0, 1, 4):
        sequencer.push(frame(index))
    assert sink.indices == [0, 1, 2, 3, 4]
    assert [int(f.image_bgr[0, 0, 0]) for f in sink.frames] == [0, 1, 1, 1, 4]
    assert (sequencer.sent, sequencer.repeated) == (5, 2)
    with pytest.raises(ValueError, match="unit 5 or later"):
        sequencer.push(frame(4))


@pytest.mark.parametrize("fps", RATES)
def test_pacer_keeps_an_absolute_schedule(fps: Fraction) -> None:
    clock = ManualClock()
    clock.time = 100.0
    pacer = Pacer(fps, clock)
    for index in range(500):
        pacer.wait(index)
        assert clock.time == pytest.approx(float(100 + index / fps), abs=1e-6)
    clock.time += float(2.5 / fps)  # a stall: late for two frames, then on time again
    for index in range(500, 1000):
        pacer.wait(index)
        if index >= 502:
            assert clock.time == pytest.approx(float(100 + index / fps), abs=1e-6)


def test_units_of_real_sound_can_be_any_rate() -> None:
    for fps in RATES:
        assert len(list(cut_units([babble(1.01)], UnitClock(fps)))) == UnitClock(fps).unit_count(16_160)


def test_gapless_sink_repeats_for_skipped_units() -> None:
    memory = MemorySink(keep=10)
    sink = GaplessSink(memory)
    for _ in range(2):  # opening again starts anew
        sink.open(Size(4, 4), 25)
        for index in (0, 3):
            sink.send(frame(index))
    sink.close()
    assert memory.indices == [0, 1, 2, 3] * 2
