"""Random sample, alignment, truncation points: what lies before is given, the pose after it is the label."""

import numpy as np
import pytest

from vcam_avatar.training.dataset import Sample, truncate


def numbered(ticks: int) -> Sample:
    """A sample whose sound and pose carry their tick as a value."""
    number = np.arange(ticks, dtype=np.float32)
    return Sample(
        "numbers", True, np.tile(number[:, None, None], (1, 4, 40)),
        np.tile(number[:, None, None], (1, 57, 3)),
        np.zeros((57, 2), np.float32), np.zeros((ticks, 3), np.float32), np.zeros(ticks, bool),
        np.full(ticks, -1), np.ones(ticks, bool),
    )  # fmt: skip


@pytest.mark.parametrize("points", [1, 3, 60])
def test_claim_4_pieces_are_aligned_and_cut_inside(points):
    rng = np.random.default_rng(0)
    sample = numbered(200)
    starts, cut_places = set(), set()
    for _ in range(600):
        piece, cuts = truncate(sample, 60, points, rng)
        assert piece.stop - piece.start == 60
        assert len(cuts) == points
        assert len(set(cuts.tolist())) == points
        assert (np.diff(cuts) > 0).all()
        # Sound and pose of the piece are of the same ticks, and a label exists after every cut.
        assert np.array_equal(sample.rows[piece][:, 0, 0], sample.pose[piece][:, 0, 0])
        labels = sample.pose[piece.start + cuts + 1, 0, 0]
        assert np.array_equal(labels, piece.start + cuts + 1)
        starts.add(piece.start)
        cut_places |= set(cuts.tolist())
    assert min(starts) < 10
    assert max(starts) > 125
    assert cut_places == set(range(60))


def test_claim_4_short_samples_and_too_short_ones():
    rng = np.random.default_rng(0)
    piece, cuts = truncate(numbered(5), 60, 10, rng)
    assert (piece.start, piece.stop) == (0, 4)
    assert cuts.tolist() == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="at least 2"):
        truncate(numbered(1), 60, 1, rng)


def test_claim_4_same_seed_same_pieces():
    first = [truncate(numbered(99), 20, 4, np.random.default_rng(7)) for _ in range(3)]
    assert all(p == first[0][0] and np.array_equal(c, first[0][1]) for p, c in first)
