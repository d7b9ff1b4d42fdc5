"""Points in video are made calm without lagging behind."""

import numpy as np

from vcam_avatar.training.dataset_smooth import OneEuro


def filtered(track):
    smooth = OneEuro(0.05, 80.0)
    return np.stack([smooth.next(points, 1000.0) for points in track])


def test_trembling_points_become_calm():
    track = 500 + np.random.default_rng(0).normal(0, 2.0, (200, 3, 2))
    assert filtered(track)[50:].std(0).max() < 0.7 * track[50:].std(0).min()


def test_quick_motion_is_followed_within_two_frames():
    track = np.full((60, 1, 2), 200.0)
    track[20:50] += np.linspace(0, 600, 30)[:, None, None]
    track[50:] += 600
    got = filtered(track)
    lag_px = np.abs(got[25:50] - track[25:50]).max()
    assert lag_px < 2 * 600 / 29


def test_the_first_frame_is_kept_and_the_input_is_not_modified():
    points = np.arange(6, dtype=np.float64).reshape(3, 2)
    before = points.copy()
    smooth = OneEuro(0.05, 80.0)
    assert np.array_equal(smooth.next(points, 10.0), before)
    smooth.next(points + 1, 10.0)
    assert np.array_equal(points, before)
