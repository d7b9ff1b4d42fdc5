from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vcam_avatar.media import UnitClock
from vcam_avatar.stages.features import FeatureStage, MfccStream, dct_matrix, mel_filters, mfcc

RNG = np.random.default_rng(0)
NOISE = RNG.normal(0, 0.1, 16_000).astype(np.float32)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 3000), min_size=1, max_size=30))
def test_streaming_rows_equal_offline_rows_for_any_split(cuts: list[int]) -> None:
    stream, position, rows = MfccStream(), 0, []
    for cut in cuts:
        rows.append(stream.push(NOISE[position : position + cut]))
        position += cut
    rows.append(stream.push(NOISE[position:]))
    np.testing.assert_array_equal(np.concatenate(rows), mfcc(NOISE))


def test_the_dct_loses_nothing() -> None:
    np.testing.assert_allclose(dct_matrix() @ dct_matrix().T, np.eye(40), atol=1e-5)


@pytest.mark.parametrize("fps", [Fraction(10), Fraction(24), Fraction(30000, 1001), Fraction(60)])
def test_units_tile_the_sound(fps: Fraction) -> None:
    clock = UnitClock(fps)
    units = clock.unit_count(len(NOISE))
    assert clock.start_sample(units - 1) < len(NOISE) <= clock.start_sample(units)
    stage = FeatureStage(fps)
    sound = np.concatenate([NOISE, np.zeros(4000, np.float32)])
    rows = []
    for n in range(units):
        unit = stage.push(sound[clock.start_sample(n) : clock.start_sample(n + 1)])
        assert unit.index == n
        assert unit.resampled.shape == (4, 40)
        rows.append(unit.rows)
    np.testing.assert_array_equal(np.concatenate(rows), mfcc(sound[: clock.start_sample(units)]))


def test_a_row_does_not_see_later_samples() -> None:
    changed = NOISE.copy()
    changed[8000:] = 0
    same = 1 + (8000 - 400) // 160
    np.testing.assert_array_equal(mfcc(changed)[:same], mfcc(NOISE)[:same])


def test_wrong_sample_count_is_a_caller_bug() -> None:
    with pytest.raises(ValueError, match="unit 0 has 640 samples, got 3"):
        FeatureStage(Fraction(25)).push(np.zeros(3, np.float32))


def test_filters_are_those_of_librosa() -> None:
    filters = pytest.importorskip("librosa.filters")
    theirs = filters.mel(sr=16_000, n_fft=512, n_mels=40, fmin=60, fmax=7600)
    np.testing.assert_allclose(mel_filters(), theirs, atol=1e-8)
