"""Measuring latency with clicks."""

import numpy as np
import pytest
from daemon_doubles import Stage

from vcam_avatar.cli.latency import _lines, measure
from vcam_avatar.daemon.clicks import ClickPlayer, ClickWatch

UNIT = 640


def test_each_click_is_matched_with_the_frame_that_heard_it():
    now = [0.0]
    watch = ClickWatch(lambda: now[0])
    played = []
    rng = np.random.default_rng(4)
    next_click = 0.5
    for unit in range(400):
        samples = np.zeros(UNIT, np.float32)
        start = unit * 0.04
        if start <= next_click < start + 0.04:
            at = int((next_click - start) * 16000)
            samples[at : at + 80] = 0.5
            played.append(next_click)
            next_click += 0.7 + 0.01 * rng.random()
        now[0] = start + 0.04
        watch.hear(samples)
        now[0] += 0.012
        watch.sent(unit)
    latency = watch.latency(played)
    assert latency.heard == latency.played == len(played) > 15
    # Half a unit of waiting on average and 12 ms of work.
    assert latency.p50_ms == pytest.approx(32, abs=7)
    assert latency.p95_ms <= 53


def test_a_click_on_the_border_of_two_units_counts_once_and_speech_is_no_click():
    watch = ClickWatch(lambda: 1.0)
    border = np.zeros((2, UNIT), np.float32)
    border[0, -20:] = border[1, :60] = 0.5
    for samples in (*np.zeros((8, UNIT), np.float32), *border, *np.full((20, UNIT), 0.3, np.float32)):
        watch.hear(samples)
    assert watch._clicks == [8]


def test_nothing_heard_is_no_figure():
    assert ClickWatch().latency([1.0, 2.0]) is None


def test_the_player_says_when_each_click_sounds():
    class When:
        currentTime, outputBufferDacTime = 5.0, 5.020

    player = ClickPlayer()
    out = np.zeros((480, 1), np.float32)
    sound = []
    for _ in range(400):
        player._fill(out, 480, When, None)
        sound.append(out[:, 0].copy())
    track = np.concatenate(sound)
    assert player._played.qsize() == 3
    starts = [
        k
        for k in np.flatnonzero(np.abs(track) > 1e-4)
        if not np.any(np.abs(track[max(0, k - 400) : k]) > 1e-4)
    ]
    assert len(starts) == 3
    assert starts[0] == pytest.approx(2.0 * 48000, abs=40)


def test_a_service_is_measured_without_clicks():
    figures = measure(Stage().service._parts, 0.6, clicks=False)
    assert figures["frames"] > 10
    assert figures["clicks"] is None
    assert figures["estimate_ms"]["p50"] > 20
    text = "\n".join(_lines(figures))
    assert "sum of the parts" in text
    assert "pipeline" in text
