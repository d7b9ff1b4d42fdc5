"""Sleeves are continued where hands hide them, in pattern and outline."""

import numpy as np

from vcam_avatar.avatars.layers_cloth import Cloth, continue_cloth
from vcam_avatar.avatars.layers_strip import _smooth_sleeve

ROWS, COLUMNS = 120, 60


def stripes():
    image = np.full((ROWS, COLUMNS, 3), 90, np.float32)
    image[np.arange(ROWS) // 6 % 2 == 0] = 170
    return image


def test_a_hidden_sleeve_takes_its_stripes_from_the_other_arm():
    hidden = Cloth(np.full((ROWS, COLUMNS, 3), 20, np.float32), np.zeros((ROWS, COLUMNS), bool))
    out = continue_cloth(hidden, 16, Cloth(stripes(), np.ones((ROWS, COLUMNS), bool)))
    assert 100 < out.mean() < 160, "not the colour of what hides it"
    assert out[10:-10, 20:40].mean((1, 2)).std() > 15


def test_what_is_seen_stays_and_goes_on():
    seen = np.zeros((ROWS, COLUMNS), bool)
    seen[:70] = True
    image = stripes()
    image[70:] = (40, 60, 200)
    out = continue_cloth(Cloth(image, seen), 16)
    assert np.array_equal(out[:68], image[:68])
    assert np.ptp(out[75:], axis=-1).mean() < 12, "nothing of the hand"
    assert out[75:110, 20:40].mean((1, 2)).std() > 8


def test_the_outline_of_a_sleeve_goes_on_below_a_hand():
    t = np.linspace(-0.3, 1.22, ROWS).astype(np.float32)
    outward = np.broadcast_to(np.linspace(-35, 35, COLUMNS).astype(np.float32)[None], (ROWS, COLUMNS))
    person = (outward < 24).astype(np.float32)
    hidden = np.zeros((ROWS, COLUMNS), bool)
    low = (t > 0.4) & (t < 0.8)
    person[low] = outward[low] < 33
    hidden[low] = outward[low] > 0
    limit = np.full((ROWS, 1), 34, np.float32)
    out = _smooth_sleeve(person, hidden, outward, limit, t, 0.7)
    row = int(np.argmin(np.abs(t - 0.6)))
    assert out[row, outward[row] < 22].min() > 0.9
    assert out[row, outward[row] > 27].max() < 0.1, "the hand is not the sleeve"
    assert np.array_equal(out[t > 0.7], person[t > 0.7])
