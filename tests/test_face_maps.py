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


def test_ink_keeps_its_brightness_and_takes_the_face_s_hues() -> None:
    from vcam_avatar.stages.face_maps import own_ink

    maps = np.zeros((4, 4, 7), np.float32)
    maps[..., 3:6] = (50, 60, 230)
    maps[0, 0, 3:6] = (90, 100, 130)
    hues = np.array([[0.8, 0.9, 1.1], [1.0, 1.0, 1.3]], np.float32)
    own_ink(maps, hues)
    np.testing.assert_allclose(maps[0, 0, 3:6], (90, 100, 130), atol=2)
    red = maps[1, 1, 3:6]
    bright = 50 * 0.11 + 60 * 0.59 + 230 * 0.30
    assert abs(red @ [0.11, 0.59, 0.30] - bright) < 0.1 * bright
    assert red[2] <= 1.3 * bright + 0.1
    assert maps[1, 1, 6] == 0


def test_steps_of_two_cells_become_a_slope_on_skin_only() -> None:
    from vcam_avatar.stages.face_maps import steady_skin

    maps = np.zeros((80, 80, 7), np.float32)
    maps[..., 1] = (np.arange(80) // 2)[:, None] / 80
    away = np.ones((80, 80), np.float32)
    away[:, :40] = 0
    before = maps.copy()
    steady_skin(maps, away)
    np.testing.assert_array_equal(maps[:, :40], before[:, :40])
    slopes = np.diff(maps[2:-2, 60, 1])
    assert np.ptp(slopes) < 1e-6
    np.testing.assert_array_equal(maps[..., 2:], before[..., 2:])


def test_hues_span_lips_and_cheeks() -> None:
    from vcam_avatar.stages.face_picture import own_hues

    points = np.full((68, 2), 0.5)
    points[36], points[45] = (0.3, 0.35), (0.7, 0.35)
    angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    points[48:60] = np.stack([0.5 - 0.2 * np.cos(angles), 0.7 - 0.1 * np.sin(angles)], 1)
    points[60:68] = (0.5, 0.7)
    face = np.full((128, 128, 3), (120, 150, 190), np.uint8)
    face[76:104, 60:68] = (90, 90, 200)
    low, high = own_hues(face, points)
    plain = np.array([120, 150, 190]) / (np.array([120, 150, 190]) @ [0.11, 0.59, 0.30])
    assert (low < plain).all()
    assert (high > plain).all()
    assert high[2] > 1.07 * plain[2]
