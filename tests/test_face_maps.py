import numpy as np

from vcam_avatar.stages.face_maps import settle, still

RNG = np.random.default_rng(5)


def sigmoid(logit: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logit))


def test_rest_is_taken_off_above_the_row_and_only_there() -> None:
    raw = RNG.normal(0, 1, (1, 7, 20, 20)).astype(np.float32)
    rest = RNG.normal(0, 1, (20, 20, 7)).astype(np.float32)
    doubt = np.full((20, 20), 0.5, np.float32)
    turned = raw[0].transpose(1, 2, 0)
    maps = settle(raw, rest, 12, doubt)
    np.testing.assert_allclose(maps[:12, :, :2], turned[:12, :, :2] - rest[:12, :, :2], atol=1e-6)
    np.testing.assert_allclose(maps[12:, :, :2], turned[12:, :, :2], atol=1e-6)
    np.testing.assert_allclose(maps[..., 3:6], turned[..., 3:6] * 255, rtol=1e-5, atol=1e-3)
    for channel, taken in ((2, doubt), (6, 0 * doubt)):
        share = sigmoid(maps[..., channel] + taken)
        left = sigmoid(turned[..., channel]) * (1 - sigmoid(rest[..., channel]))
        np.testing.assert_allclose(share[:12], left[:12], atol=1e-4)
        np.testing.assert_allclose(share[12:], sigmoid(turned[12:, :, channel]), atol=1e-4)


def test_an_answer_like_rest_changes_nothing() -> None:
    raw = np.zeros((1, 6, 8, 8), np.float32)
    raw[:, :2], raw[:, 2] = 0.03, -8
    rest = np.ascontiguousarray(raw[0].transpose(1, 2, 0))
    maps = settle(raw, rest, 8, np.zeros((8, 8), np.float32))
    assert still(maps, 200).max() == 0


def test_a_little_flow_is_stilled_and_much_is_kept() -> None:
    maps = np.zeros((4, 4, 6), np.float32)
    maps[..., 2] = -9
    maps[0, 0, 0], maps[1, 1, 1] = 0.0001, 0.02
    changed = still(maps, 200)
    assert maps[0, 0, 0] == 0
    assert changed[0, 0] == 0
    assert abs(maps[1, 1, 1] - 0.02) < 1e-7
    assert abs(changed[1, 1] - 4.0) < 1e-4
