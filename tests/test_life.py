"""Blinks, glances and brows come at human rates, from a seed, and whatever the frame rate."""

from fractions import Fraction

import numpy as np
import pytest

from vcam_avatar.media import FACE_ACTIONS, FloatArray, UnitFeatures
from vcam_avatar.stages.life import Life, LifeSettings

BLINK = FACE_ACTIONS.index("eyeBlinkLeft")
BROW = FACE_ACTIONS.index("browInnerUp")


def _live(
    seconds: float, fps: Fraction, seed: int, speaking: bool = False, settings: LifeSettings | None = None
) -> FloatArray:
    life = Life(settings, seed)
    empty = np.zeros((0, 40), np.float32)
    out = []
    for n in range(int(seconds * fps)):
        t = float(n / fps)
        talk = speaking and t % 3.0 < 2.2
        level = -20 + 8 * np.sin(2 * np.pi * 3 * t) if talk else -70.0
        unit = UnitFeatures(n, fps, empty, np.zeros((4, 40), np.float32), float(level))
        out.append(life.step(unit, 1.0 if talk else 0.0))
    return np.array(out)


def _count(curve: FloatArray) -> int:
    shut = curve > 0.6
    return int((shut[1:] & ~shut[:-1]).sum())


def test_blinks_at_a_human_rate_and_shuts_fully() -> None:
    curve = _live(300, Fraction(25), 1)[:, BLINK]
    assert 10 <= _count(curve) / 5 <= 28
    assert curve.max() > 0.95


def test_phrase_ends_bring_blinks() -> None:
    curve = _live(300, Fraction(25), 2, speaking=True)[:, BLINK]
    at = np.nonzero((curve[1:] > 0.3) & (curve[:-1] <= 0.3))[0] / 25 % 3.0
    share = ((at > 2.2) & (at < 2.75)).mean()
    assert share > 0.3  # by chance it would be 0.18


def test_brows_move_with_the_voice_only() -> None:
    assert _live(60, Fraction(25), 3)[:, BROW].max() < 0.12
    assert _live(60, Fraction(25), 3, speaking=True)[:, BROW].max() > 0.15


def test_frame_rate_keeps_the_blinks() -> None:
    slow, fast = _live(120, Fraction(25), 4)[:, BLINK], _live(120, Fraction(60), 4)[:, BLINK]
    assert abs(_count(slow) - _count(fast)) <= 1


@pytest.mark.parametrize("seed", [0, 7])
def test_deterministic(seed: int) -> None:
    np.testing.assert_array_equal(_live(20, Fraction(25), seed, True), _live(20, Fraction(25), seed, True))


def test_everything_can_be_switched_off() -> None:
    assert np.abs(_live(30, Fraction(25), 5, True, LifeSettings(0, 0, 0, 0))).max() == 0


def test_in_range_and_the_eyes_agree() -> None:
    out = _live(120, Fraction(25), 6, True)
    assert out.min() >= 0
    assert out.max() <= 1
    names = {n: k for k, n in enumerate(FACE_ACTIONS)}
    np.testing.assert_array_equal(out[:, names["eyeLookOutLeft"]], out[:, names["eyeLookInRight"]])
    np.testing.assert_array_equal(out[:, names["eyeLookInLeft"]], out[:, names["eyeLookOutRight"]])
