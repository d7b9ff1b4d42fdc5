"""(1/M) sum wing(y - label) + lambda (1/N) sum |y - label| over fingertips, in pixels of a 256 grid."""

import math

import numpy as np
import pytest

from vcam_avatar.evaluation import pose_measure
from vcam_avatar.stages.pose_layout import LAYOUTS, UPPER_BODY

torch = pytest.importorskip("torch")

from vcam_avatar.training.pose_loss import (  # noqa: E402
    FINGERTIP_WEIGHT,
    GRID_PX_PER_UNIT,
    WING_EPS,
    WING_W,
    pose_loss,
    wing,
)

pytestmark = pytest.mark.train


def test_claim_5_constants():
    assert (WING_W, WING_EPS, FINGERTIP_WEIGHT) == (5.0, 1.0, 0.5)
    assert GRID_PX_PER_UNIT * 3.2 == 256


def test_claim_5_wing_is_logarithmic_inside_and_linear_outside():
    x = torch.tensor([0.0, 1.0, -3.0, 10.0, -100.0], dtype=torch.float64)
    constant = 5 - 5 * math.log(6)
    expected = [0, 5 * math.log(2), 5 * math.log(4), 10 - constant, 100 - constant]
    np.testing.assert_allclose(wing(x).numpy(), expected)


def test_claim_5_wing_is_continuous_at_w():
    for sign in (1, -1):
        at = torch.tensor([5 - 1e-9, 5.0, 5 + 1e-9], dtype=torch.float64) * sign
        values = wing(at).numpy()
        assert np.abs(values - 5 * math.log(6)).max() < 1e-8


def test_claim_5_fingertips_are_the_ten_tips_and_count_extra():
    for layout in LAYOUTS.values():
        names = [layout.keypoints[i] for i in layout.fingertips]
        fingers = ("Thumb4", "Index4", "Middle4", "Ring4", "Little4")
        assert names == [side + finger for side in ("LHand", "RHand") for finger in fingers]
    label = torch.zeros(1, 57, 2)
    tip, knuckle = label.clone(), label.clone()
    tip[0, UPPER_BODY.fingertips[2]] = 0.1
    knuckle[0, UPPER_BODY.fingertips[2] - 1] = 0.1
    error = 0.1 * GRID_PX_PER_UNIT
    constant = 5 - 5 * math.log(6)
    assert float(pose_loss(knuckle, label, UPPER_BODY.fingertips)) == pytest.approx((error - constant) / 57)
    both = (error - constant) / 57 + 0.5 * error / 10
    assert float(pose_loss(tip, label, UPPER_BODY.fingertips)) == pytest.approx(both)


def test_claim_5_weights_leave_out_what_was_not_seen():
    label = torch.zeros(2, 57, 2)
    wrong = label.clone()
    wrong[:, 20] = 1.0
    weight = torch.ones(2, 57)
    weight[:, 20] = 0
    assert float(pose_loss(wrong, label, UPPER_BODY.fingertips, weight)) == 0


def test_claim_5_evaluation_measures_the_same_loss():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 0.1, (2, 9, 57, 2)).astype(np.float32)
    trained = float(pose_loss(torch.as_tensor(a), torch.as_tensor(b), UPPER_BODY.fingertips))
    assert pose_measure.errors(a, b)["loss"] == pytest.approx(trained, rel=1e-5)
