import cv2
import numpy as np
import pytest

from vcam_avatar.media import face_crop_matrix
from vcam_avatar.stages.face_picture import (
    MAP_PX,
    MOUTH_WINDOW,
    crop_feather,
    cut_crop,
    landmark_maps,
    paint_patch,
    seen_where_moved,
    to_unit_crop,
    window_weight,
)

RNG = np.random.default_rng(11)
WINDOW = np.array(MOUTH_WINDOW, np.float64)


def still_maps(channels: int = 6) -> np.ndarray:
    maps = np.zeros((MAP_PX, MAP_PX, channels), np.float32)
    maps[..., [2, channels - 1] if channels == 7 else 2] = -9
    return maps


def smooth(side: int) -> np.ndarray:
    return cv2.GaussianBlur(RNG.integers(0, 256, (side, side, 3), dtype=np.uint8), (0, 0), 3)


def painted(
    source: np.ndarray, whole: np.ndarray, mouth: np.ndarray, alpha: np.ndarray | None = None
) -> np.ndarray:
    patch = np.full((*source.shape[:2], 4), 77, np.uint8)
    teeth = np.full((64, 64, 3), 230, np.uint8)
    shown = np.ones((MAP_PX, MAP_PX), np.float32) if alpha is None else alpha
    paint_patch(source, whole, mouth, teeth, window_weight(), shown, WINDOW, 1.0, patch)
    return patch


def face_points(turn: float = 0.0, scale: float = 1.0, x: float = 200.0, y: float = 180.0) -> np.ndarray:
    """A crude but valid set of landmarks: eyes, mouth, a round jaw."""
    points = np.zeros((68, 2))
    points[:17] = np.stack(
        [np.cos(np.linspace(np.pi, 0, 17)) * 70, np.sin(np.linspace(np.pi, 0, 17)) * 90], 1
    )
    points[17:36] = RNG.normal((0, -20), 1, (19, 2))
    circle = np.linspace(np.pi, -np.pi, 7)[:6]
    for start, centre in ((36, -30), (42, 30)):
        points[start : start + 6] = np.stack([centre + 12 * np.cos(circle), -20 - 5 * np.sin(circle)], 1)
    ring = np.linspace(np.pi, -np.pi, 13)[:12]
    points[48:60] = np.stack([22 * np.cos(ring), 45 - 8 * np.sin(ring)], 1)
    ring = np.linspace(np.pi, -np.pi, 9)[:8]
    points[60:68] = np.stack([16 * np.cos(ring), 45 - 3 * np.sin(ring)], 1)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) * scale
    return (points @ rotation.T + [x, y]).astype(np.float32)


def test_a_still_face_is_the_source_to_the_bit() -> None:
    source = smooth(200)
    patch = painted(source, still_maps(), still_maps(7))
    np.testing.assert_array_equal(patch[..., :3], source)
    assert (patch[..., 3] == 255).all()


@pytest.mark.parametrize("shift", [(0.01, 0.0), (-0.0137, 0.0221)])
def test_flow_reads_the_source_where_it_says(shift: tuple[float, float]) -> None:
    source, maps, mouth = smooth(240), still_maps(), still_maps(7)
    maps[..., :2] = mouth[..., :2] = shift
    patch = painted(source, maps, mouth)
    y, x = np.mgrid[0:240, 0:240].astype(np.float32)
    expected = cv2.remap(source, x + shift[0] * 240, y + shift[1] * 240, cv2.INTER_LINEAR)
    inner = slice(10, -10)
    assert np.abs(patch[inner, inner, :3].astype(int) - expected[inner, inner]).max() <= 2


def test_the_mouth_map_rules_its_window_and_nothing_else() -> None:
    source, mouth = smooth(160), still_maps(7)
    mouth[..., 2] = 9
    mouth[..., 3:6] = (10, 20, 200)
    patch = painted(source, still_maps(), mouth)
    left, top, right, bottom = (round(edge * 160) for edge in MOUTH_WINDOW)
    outside = np.ones((160, 160), bool)
    outside[top:bottom, left:right] = False
    np.testing.assert_array_equal(patch[outside][:, :3], source[outside])
    middle = patch[(top + bottom) // 2, (left + right) // 2, :3]
    assert np.abs(middle.astype(int) - (10, 20, 200)).max() <= 1


def test_the_mouths_inside_is_drawn_over_the_paint() -> None:
    source, mouth = smooth(160), still_maps(7)
    mouth[30:50, 30:50, 6] = 9
    patch = painted(source, still_maps(), mouth)
    left, top = (round(edge * 160) for edge in MOUTH_WINDOW[:2])
    assert (patch[top + 40, left + 40, :3] >= 229).all()
    np.testing.assert_array_equal(patch[top + 10, left : left + 80, :3], source[top + 10, left : left + 80])


def test_alpha_is_smooth_and_hidden_parts_hold_the_source() -> None:
    source, maps = smooth(128), still_maps()
    maps[..., 0] = 0.02
    alpha = crop_feather()
    patch = painted(source, maps, still_maps(7), alpha)
    assert patch[0, :, 3].max() <= 4
    assert patch[64, 64, 3] == 255
    steps = np.abs(np.diff(patch[64, :, 3].astype(int)))
    assert steps.max() < 40, "a visible edge"


def test_what_moves_less_than_an_eye_can_tell_is_left_alone() -> None:
    whole, mouth = still_maps(), still_maps(7)
    whole[..., 0] = 0.0001
    assert seen_where_moved(whole, mouth, window_weight(), 256).max() == 0
    assert np.abs(whole[..., :2]).max() < 1e-6
    mouth[40, 40, 1] = 0.02
    alpha = seen_where_moved(still_maps(), mouth, window_weight(), 256)
    column = round((MOUTH_WINDOW[0] + 0.25) * MAP_PX)
    row = round((MOUTH_WINDOW[1] + 0.25) * MAP_PX)
    assert alpha[row, column] == pytest.approx(1, abs=0.01)
    assert alpha[0].max() == 0


@pytest.mark.parametrize(("turn", "scale"), [(0.0, 1.0), (0.3, 1.4), (-0.2, 3.1)])
def test_the_crop_stands_upright_whatever_the_picture(turn: float, scale: float) -> None:
    points = face_points(turn, scale, 400, 380)
    matrix = face_crop_matrix(points)
    unit = to_unit_crop(points, matrix)
    upright = to_unit_crop(face_points(), face_crop_matrix(face_points()))
    np.testing.assert_allclose(unit[36:68], upright[36:68], atol=0.01)
    picture = np.zeros((800, 800, 3), np.uint8)
    for k in (36, 45, 57):
        cv2.circle(picture, tuple(int(v) for v in points[k]), max(2, round(4 * scale)), (255, 255, 255), -1)
    crop = cut_crop(picture, matrix, 160)
    for k in (36, 45, 57):
        x, y = (unit[k] * 160).astype(int)
        assert crop[y, x].min() > 128, "a landmark and its pixel must meet"


def test_landmark_maps_tell_open_from_closed_and_survive_points_outside() -> None:
    unit = to_unit_crop(face_points(), face_crop_matrix(face_points()))
    shut = unit.copy()
    middle = (unit[[61, 62, 63]] + unit[[67, 66, 65]]) / 2
    shut[[61, 62, 63]] = shut[[67, 66, 65]] = middle
    opened, closed = landmark_maps(unit), landmark_maps(shut)
    assert opened.shape == (3, 160, 160)
    assert opened[1].sum() > 1.3 * closed[1].sum() > 0
    assert opened[2].sum() > 50
    assert np.isfinite(landmark_maps(unit * 1000 - 300)).all()
