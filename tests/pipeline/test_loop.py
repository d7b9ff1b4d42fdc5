"""The loop: order of the steps, what may wait for what, determinism, switching, faults."""

import threading
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest
from audio_files import babble
from doubles import SIZE, Log, make_avatar, make_stages

from vcam_avatar.devices.memory import MemorySink
from vcam_avatar.media import FloatArray, UnitClock, UnitFeatures
from vcam_avatar.pipeline.loop import STILL_POSE, FrameLoop
from vcam_avatar.pipeline.sequencer import FrameSequencer
from vcam_avatar.pipeline.units import UnitSound, cut_units

FPS = Fraction(25)
CLOCK = UnitClock(FPS)


def units(seconds: float = 1.0) -> Iterator[UnitSound]:
    return cut_units([babble(seconds)], CLOCK)


def digests(loop: FrameLoop, sounds: Iterator[UnitSound]) -> list[str]:
    sink = MemorySink()
    sink.open(SIZE, 25)
    sequencer = FrameSequencer(sink)
    for frame in loop.frames(sounds):
        sequencer.push(frame)
    return sink.digests


def test_claim_1_every_unit_goes_through_the_steps_in_order() -> None:
    log = Log()
    frames = list(FrameLoop(make_stages(FPS, log), make_avatar()).frames(units()))
    assert [frame.index for frame in frames] == list(range(25))
    for unit in range(1, 25):
        # S10/S14 pose, S11 body, S12 face, S13 paste; the pose is predicted after the unit before.
        assert log.index("listen", unit - 1) < log.index("pose", unit) < log.index("body", unit)
        assert log.index("listen", unit) < log.index("face", unit)
    assert sum(event[0] == "paste" for event in log.events) == 25


def test_claim_6_two_generators_and_the_same_pose_for_every_avatar() -> None:
    frames = {
        number: [f.image_bgr for f in FrameLoop(make_stages(FPS), make_avatar(number)).frames(units())]
        for number in (1, 2)
    }
    for one, two in zip(frames[1], frames[2], strict=True):
        assert (one[0, 0, 0], two[0, 0, 0]) == (1, 2)  # each avatar's own body
        assert (one[12, 22, 0], two[12, 22, 0]) == (1, 2)  # and face
        np.testing.assert_array_equal(one[..., 1:], two[..., 1:])  # moved by the same poses and words


def test_claim_8_body_is_finished_before_the_sound_of_its_unit_is_complete() -> None:
    log = Log()
    stages = make_stages(FPS, log)

    def withheld() -> Iterator[UnitSound]:
        # The last sample of unit n is given only once body n is there.
        for unit, sound in enumerate(units()):
            for _ in range(1000):
                if any(event[:2] == ("body", unit) for event in log.events):
                    break
                threading.Event().wait(0.005)
            else:
                raise AssertionError(f"body {unit} waits for the sound of its own unit")
            log.add("complete", unit)
            yield sound

    frames = FrameLoop(stages, make_avatar()).frames(withheld())
    assert len(list(frames)) == 25
    for unit in range(25):
        assert log.index("body", unit) < log.index("complete", unit)


def test_claim_8_only_features_face_and_paste_remain_after_the_last_sample() -> None:
    log = Log()
    stages = make_stages(FPS, log)
    made = threading.Semaphore(0)
    generate = stages.body.generate

    def counted(prepared: object, pose: object) -> object:
        body = generate(prepared, pose)  # type: ignore[arg-type]
        made.release()
        return body

    stages.body.generate = counted  # type: ignore[method-assign, assignment]

    def sounds() -> Iterator[UnitSound]:
        for unit, sound in enumerate(units()):
            made.acquire()
            log.add("complete", unit)
            yield sound

    for frame in FrameLoop(stages, make_avatar()).frames(sounds()):
        log.add("frame", frame.index)
    main = threading.current_thread().name
    for unit in range(25):
        between = log.events[log.index("complete", unit) + 1 : log.index("frame", unit)]
        mine = [name for name, _, thread in between if thread == main]
        assert mine == ["listen", "face", "paste"]
        # The worker may have begun the next unit by then, never this one.
        assert all(number == unit + 1 for name, number, thread in between if thread != main)


def test_same_seed_same_frames_other_seed_other_frames() -> None:
    loop = FrameLoop(make_stages(FPS), make_avatar(), seed=3)
    first = digests(loop, units())
    assert digests(loop, units()) == first  # a second run of the same loop starts anew
    assert digests(FrameLoop(make_stages(FPS), make_avatar(), seed=3), units()) == first
    assert digests(FrameLoop(make_stages(FPS), make_avatar(), seed=4), units()) != first


def test_block_sizes_do_not_change_the_frames() -> None:
    sound = babble(1.0)
    expected = digests(FrameLoop(make_stages(FPS), make_avatar()), cut_units([sound], CLOCK))
    for size in (1, 77, 640, 5000):
        blocks = (sound[i : i + size] for i in range(0, len(sound), size))
        assert digests(FrameLoop(make_stages(FPS), make_avatar()), cut_units(blocks, CLOCK)) == expected


def test_avatar_is_switched_between_frames_without_a_gap() -> None:
    loop = FrameLoop(make_stages(FPS), make_avatar(1))
    seen = []
    for frame in loop.frames(units()):
        body, face = int(frame.image_bgr[0, 0, 0]), int(frame.image_bgr[12, 22, 0])
        assert body == face  # never one avatar's face on the other's body
        seen.append(body)
        if frame.index == 10:
            loop.switch(make_avatar(2))
    assert seen == [1] * 11 + [2] * 14  # the very next frame


def test_mirrored_avatar_is_flipped() -> None:
    plain = next(FrameLoop(make_stages(FPS), make_avatar()).frames(units()))
    flipped = next(FrameLoop(make_stages(FPS), make_avatar(mirror=True)).frames(units()))
    np.testing.assert_array_equal(flipped.image_bgr, plain.image_bgr[:, ::-1])


@pytest.mark.parametrize("action", ["mute", "idle"])
def test_muted_or_idle_avatar_hears_nothing(action: str) -> None:
    stages = make_stages(FPS)
    loop = FrameLoop(stages, make_avatar())
    getattr(loop, action)(True)
    for frame in loop.frames(units()):
        if frame.index == 12:
            getattr(loop, action)(False)
    heard = stages.face.heard_db  # type: ignore[attr-defined]
    assert heard[:13] == [-120.0] * 13
    assert max(heard[13:]) > -40


@pytest.mark.parametrize("stage", ["face", "body", "pose"])
def test_a_failing_stage_holds_the_last_frame_or_raises(stage: str) -> None:
    stages = make_stages(FPS)
    getattr(stages, stage).fails_at = {5, 6}
    with pytest.raises(RuntimeError, match=f"{stage} failed"):
        list(FrameLoop(stages, make_avatar()).frames(units()))

    stages = make_stages(FPS)
    getattr(stages, stage).fails_at = {5, 6}
    loop = FrameLoop(stages, make_avatar(), hold_faults=True)
    frames = list(loop.frames(units()))
    assert [frame.index for frame in frames] == list(range(25))
    if stage == "pose":
        assert loop.held == 0  # the pose stays, breathing room for the body
    else:
        assert loop.held == 2
        np.testing.assert_array_equal(frames[5].image_bgr, frames[4].image_bgr)
        assert (frames[7].image_bgr != frames[6].image_bgr).any()


def test_skipped_units_are_heard_but_not_drawn() -> None:
    log = Log()
    sounds = (UnitSound(s.samples, skip=3 <= i < 8) for i, s in enumerate(units()))
    frames = list(FrameLoop(make_stages(FPS, log), make_avatar()).frames(sounds))
    assert [frame.index for frame in frames] == [0, 1, 2, *range(8, 25)]
    assert sum(event[0] == "listen" for event in log.events) == 25
    assert sum(event[0] == "pose" for event in log.events) == 25
    assert sum(event[0] == "face" for event in log.events) == 20


def test_timings_name_every_stage() -> None:
    loop = FrameLoop(make_stages(FPS), make_avatar())
    list(loop.frames(units()))
    spreads = loop.timings.spreads()
    assert set(spreads) == {
        "features", "listen", "face", "wait for body", "paste", "pose", "body", "latency",
    }  # fmt: skip
    assert spreads["latency"].count == 25
    assert 0 <= spreads["pose"].p50_ms <= spreads["pose"].p99_ms


def test_what_stands_still_is_not_drawn_again() -> None:
    log = Log()
    stages = make_stages(FPS, log)
    drift = np.zeros((57, 3), np.float32)

    def creeping(unit: UnitFeatures) -> FloatArray:
        drift[0, 0] += STILL_POSE / 4
        return drift.copy()

    stages.pose.predict = creeping  # type: ignore[method-assign]
    silence = cut_units([np.zeros(16_000, np.float32)], CLOCK)
    frames = list(FrameLoop(stages, make_avatar()).frames(silence))
    assert len(frames) == 25
    assert sum(event[0] == "face" for event in log.events) == 1
    # Small steps add up: the picture never lags further behind than the tolerance.
    assert 5 <= sum(event[0] == "body" for event in log.events) <= 8


def test_frames_cannot_be_written_to() -> None:
    loop = FrameLoop(make_stages(Fraction(25)), make_avatar(1, SIZE))
    frame = next(iter(loop.frames([UnitSound(np.zeros(640, np.float32))])))
    with pytest.raises(ValueError, match="read-only"):
        frame.image_bgr[:] = 0


def test_another_avatar_is_drawn_even_when_nothing_moves() -> None:
    stages = make_stages(FPS)
    still = np.zeros((57, 3), np.float32)
    stages.pose.predict = lambda unit: still  # type: ignore[method-assign]
    loop = FrameLoop(stages, make_avatar(1))
    seen = []
    for frame in loop.frames(cut_units([np.zeros(16_000, np.float32)], CLOCK)):
        seen.append((int(frame.image_bgr[0, 0, 0]), int(frame.image_bgr[12, 22, 0])))
        if frame.index == 10:
            loop.switch(make_avatar(2))
    assert seen == [(1, 1)] * 11 + [(2, 2)] * 14


def test_a_switch_while_sound_arrives_shows_in_the_frame_of_that_sound() -> None:
    loop = FrameLoop(make_stages(FPS), make_avatar(1))

    def sounds() -> Iterator[UnitSound]:
        for index, sound in enumerate(units()):
            if index == 10:
                loop.switch(make_avatar(2))
            yield sound

    seen = [int(frame.image_bgr[0, 0, 0]) for frame in loop.frames(sounds())]
    assert seen == [1] * 10 + [2] * 15


def test_of_many_switches_in_one_unit_only_the_last_is_drawn() -> None:
    log = Log()
    stages = make_stages(FPS, log)
    stages.body.delay_s = 0.05  # type: ignore[attr-defined]
    loop = FrameLoop(stages, make_avatar(1))

    def sounds() -> Iterator[UnitSound]:
        for index, sound in enumerate(units(0.2)):
            if index == 2:
                for number in range(2, 60):
                    loop.switch(make_avatar(number))
            yield sound

    assert [int(frame.image_bgr[0, 0, 0]) for frame in loop.frames(sounds())] == [1, 1, 59, 59, 59]
    assert sum(event[0] == "body" for event in log.events) < 10


def test_a_second_run_begins_without_the_pictures_of_the_first() -> None:
    stages = make_stages(FPS)
    loop = FrameLoop(stages, make_avatar(1), hold_faults=True, fade_units=3)
    list(loop.frames(units(0.2)))
    loop.switch(make_avatar(2))
    stages.face.fails_at = {0}  # type: ignore[attr-defined]
    frames = list(loop.frames(units(0.2)))
    assert [frame.index for frame in frames] == [1, 2, 3, 4]  # nothing to hold yet
    assert int(frames[0].image_bgr[0, 0, 0]) == 2  # and nothing to fade from


def test_a_switch_before_and_after_the_run_is_harmless() -> None:
    loop = FrameLoop(make_stages(FPS), make_avatar(1))
    loop.switch(make_avatar(2))
    assert next(loop.frames(units())).image_bgr[0, 0, 0] == 2
    loop.switch(make_avatar(3))
    assert next(loop.frames(units())).image_bgr[0, 0, 0] == 3
