"""The cross-fade between avatars."""

import numpy as np

from vcam_avatar.pipeline.fade import CrossFade

OLD, NEW = object(), object()


def grey(value: int) -> np.ndarray:
    return np.full((4, 6, 3), value, np.uint8)


def test_a_fade_passes_evenly_from_old_to_new() -> None:
    fade = CrossFade(3)
    assert fade.show(OLD, grey(100)).mean() == 100
    shown = [int(fade.show(NEW, grey(200))[0, 0, 0]) for _ in range(5)]
    assert shown == [125, 150, 175, 200, 200]


def test_a_change_in_mid_fade_goes_on_from_what_was_shown() -> None:
    fade = CrossFade(1)
    fade.show(OLD, grey(0))
    assert fade.show(NEW, grey(200)).mean() == 100
    assert fade.show(OLD, grey(0)).mean() == 50


def test_zero_units_are_a_cut_and_cost_nothing() -> None:
    fade = CrossFade(0)
    image = grey(9)
    assert fade.show(OLD, grey(0)).mean() == 0
    assert fade.show(NEW, image) is image


def test_inputs_are_not_changed() -> None:
    fade = CrossFade(2)
    first, second = grey(10), grey(90)
    fade.show(OLD, first)
    fade.show(NEW, second)
    assert (first == 10).all()
    assert (second == 90).all()
