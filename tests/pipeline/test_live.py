"""Sound that is late, missing, in bursts, or on another clock: frames go on, queues stay short."""

import threading
from fractions import Fraction

import numpy as np
import pytest
from doubles import ManualClock

from vcam_avatar.media import SAMPLE_RATE_HZ, UnitClock
from vcam_avatar.pipeline.live import LATE_AFTER_S, LiveUnits
from vcam_avatar.pipeline.units import UnitSound

FPS = Fraction(25)


class Microphone:
    """Delivers a ramp of samples in 10 ms blocks on its own clock."""

    def __init__(self, clock: ManualClock, live: LiveUnits, ppm: float = 0.0) -> None:
        self.clock, self.live = clock, live
        self.period_s = 0.01 / (1 + ppm * 1e-6)
        self.blocks = 0
        self.silent: list[tuple[float, float]] = []
        self.stalled: list[tuple[float, float]] = []
        self._held: list[np.ndarray] = []
        clock.at(self.period_s, self._deliver)

    def _deliver(self) -> None:
        now = self.clock.time
        block = np.arange(self.blocks * 160, self.blocks * 160 + 160, dtype=np.float64) + 1
        self.blocks += 1
        if any(a <= now < b for a, b in self.stalled):
            self._held.append(block)
        elif not any(a <= now < b for a, b in self.silent):
            for held in [*self._held, block]:
                self.live.push(held.astype(np.float32))
            self._held = []
        self.clock.at((self.blocks + 1) * self.period_s, self._deliver)


def run(seconds: float, ppm: float = 0.0, fps: Fraction = FPS, **faults: list[tuple[float, float]]) -> tuple:
    clock = ManualClock()
    live = LiveUnits(fps, clock)
    microphone = Microphone(clock, live, ppm)
    microphone.silent = faults.get("silent", [])
    microphone.stalled = faults.get("stalled", [])
    given: list[tuple[float, UnitSound]] = []
    most = 0
    for sound in live:
        given.append((clock.time, sound))
        most = max(most, live.buffered_samples)
        for start, length in faults.get("slow", []):
            if start <= clock.time < start + 0.04:
                clock.advance_to(clock.time + length)
        if clock.time >= seconds:
            break
    return live, given, most


@pytest.mark.parametrize("fps", [Fraction(10), FPS, Fraction(30_000, 1001), Fraction(60)])
def test_punctual_sound_is_given_when_complete(fps: Fraction) -> None:
    live, given, most = run(10, fps=fps)
    assert (live.late_units, live.skipped_units, live.dropped_samples) == (0, 0, 0)
    joined = np.concatenate([sound.samples for _, sound in given])
    np.testing.assert_array_equal(joined, np.arange(1, len(joined) + 1))
    for unit, (moment, _) in enumerate(given):
        assert moment == pytest.approx(float((unit + 1) / fps), abs=0.011)
    assert most <= 320


@pytest.mark.parametrize("ppm", [-500, -200, 200, 500])
def test_the_microphones_own_clock_is_followed(ppm: float) -> None:
    live, given, most = run(120, ppm)
    assert (live.late_units, live.skipped_units, live.dropped_samples) == (0, 0, 0)
    joined = np.concatenate([sound.samples for _, sound in given])
    np.testing.assert_array_equal(joined, np.arange(1, len(joined) + 1))
    assert most <= 640


def test_a_dead_microphone_does_not_stop_the_frames() -> None:
    live, given, _ = run(70, silent=[(5, 65)])
    moments = np.array([moment for moment, _ in given])
    assert np.diff(moments).max() <= 0.04 + LATE_AFTER_S + 0.011
    dead = [sound for moment, sound in given if 5.2 < moment < 65]
    assert all(sound.late and not sound.samples.any() for sound in dead)
    after = [sound for moment, sound in given if moment > 65.2]
    assert not any(sound.late for sound in after)
    assert live.late_units == pytest.approx(1500, abs=3)
    # Back in step with the clock: as many frames as time says, and no old sound kept.
    assert len(given) == pytest.approx(70 * 25, abs=2)
    assert live.buffered_samples < 1000


def test_a_burst_after_a_stall_is_not_played_late() -> None:
    live, given, most = run(20, stalled=[(5, 5.5)])
    assert len(given) == pytest.approx(20 * 25, abs=2)
    assert live.dropped_samples > 0
    assert live.skipped_units == 0
    last_moment, last = given[-1]
    assert last.samples[-1] / SAMPLE_RATE_HZ == pytest.approx(last_moment, abs=0.03)
    assert most <= 0.6 * SAMPLE_RATE_HZ


def test_a_slow_pipeline_catches_up_by_skipping() -> None:
    live, given, _ = run(20, slow=[(5, 0.3)])
    assert 4 <= live.skipped_units <= 8
    assert live.dropped_samples == 0  # everything was heard
    joined = np.concatenate([sound.samples for _, sound in given])
    np.testing.assert_array_equal(joined, np.arange(1, len(joined) + 1))
    last_moment, last = given[-1]
    assert last.samples[-1] / SAMPLE_RATE_HZ == pytest.approx(last_moment, abs=0.03)


def test_a_suspended_machine_starts_anew() -> None:
    live, given, most = run(80, slow=[(5, 60.0)])
    assert live.restarts == 1
    assert len(given) < 21 * 25
    assert most <= SAMPLE_RATE_HZ
    last_moment, last = given[-1]
    assert not last.late
    assert last.samples[-1] / SAMPLE_RATE_HZ == pytest.approx(last_moment, abs=0.05)


def test_end_finishes_the_iteration_from_another_thread() -> None:
    from vcam_avatar.pipeline.clock import MonotonicClock

    live = LiveUnits(FPS, MonotonicClock())
    live.push(np.ones(1000, np.float32))
    threading.Timer(0.01, live.end).start()
    assert [len(sound.samples) for sound in live] == [640]


def test_frames_are_woken_for_whole_units_and_told_how_much_is_missing() -> None:
    class Counted(threading.Condition):
        woken = 0

        def notify_all(self) -> None:
            self.woken += 1
            super().notify_all()

    live = LiveUnits(FPS, ManualClock())
    condition = live._condition = Counted()
    missing = [live.missing_samples]
    for _ in range(8):
        live.push(np.ones(160, np.float32))
        missing.append(live.missing_samples)
    # The first is complete with the fourth block; nobody takes it, so the second is what is missing.
    assert missing == [640, 480, 320, 160, 640, 480, 320, 160, 0]
    assert condition.woken == 5
    next(iter(live))
    assert live.missing_samples == 640


@pytest.mark.soak
def test_two_hours_with_drift_and_stalls() -> None:
    rng = np.random.default_rng(0)
    starts = np.sort(rng.uniform(10, 7190, 60))
    stalled = [(float(s), float(s + rng.uniform(0.05, 0.8))) for s in starts]
    live, given, most = run(7200, 200, stalled=stalled)
    assert len(given) == pytest.approx(7200 * 25 * (1 + 200e-6), abs=25)
    last_moment, last = given[-1]
    assert last.samples[-1] / SAMPLE_RATE_HZ / (1 + 200e-6) == pytest.approx(last_moment, abs=0.04)
    assert most <= SAMPLE_RATE_HZ
    assert live.restarts == 0
    assert UnitClock(FPS).time_s(len(given)) == pytest.approx(7200 * (1 + 200e-6), abs=1)
