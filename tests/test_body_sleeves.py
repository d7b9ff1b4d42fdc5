"""Sleeves and elbows of made-up arms, lines around drawn ones."""

import numpy as np
import pytest

from vcam_avatar.avatars.layers import Strip
from vcam_avatar.avatars.layers_scene import ArmSeen, Scene
from vcam_avatar.avatars.layers_skin import read_arm_skin
from vcam_avatar.avatars.layers_sleeve import cloth_sleeve
from vcam_avatar.stages.body_raster import soften
from vcam_avatar.stages.body_texture import frame_strip

RADIUS, FORE, PALM = 30.0, 160.0, 70.0


def upper_arm() -> Strip:
    """A grey upper arm with stripes along it."""
    image = np.full((228, 100, 4), (120, 110, 100, 255), np.uint8)
    image[:, ::8, :3] = 90
    image[:, :20, 3] = image[:, -20:, 3] = 0
    return Strip(image, -0.3, 1.22, 50.0, 150.0)


def widths(strip: Strip) -> tuple[np.ndarray, np.ndarray]:
    """Place along the bone, and width in pixels where the strip is more than half opaque."""
    count, columns = strip.image_bgra.shape[:2]
    t = strip.start + (np.arange(count) + 0.5) / count * (strip.end - strip.start)
    return t, (strip.image_bgra[..., 3] > 127).sum(1) * 2 * strip.half_width_px / columns


def test_a_rolled_sleeve_is_no_wider_than_the_elbow_and_close_to_the_arm():
    t, wide = widths(cloth_sleeve(upper_arm(), 0.18, FORE, RADIUS, PALM, 0.8 * RADIUS))
    elbow = wide[(t > 0) & (t < 0.03)].mean()
    hem = wide[(t > 0.1) & (t < 0.13)].mean()
    assert wide.max() <= 2 * 0.85 * RADIUS
    assert 0.8 * elbow < hem <= 1.06 * elbow


def test_a_sleeve_ends_in_a_soft_curved_hem_with_a_shadow_beyond():
    strip = cloth_sleeve(upper_arm(), 0.4, FORE, RADIUS, PALM)
    alpha = strip.image_bgra[..., 3].astype(float)
    middle = alpha.shape[1] // 2
    ends = [int(np.nonzero(alpha[:, c] > 200)[0].max()) for c in (middle, middle - round(0.8 * RADIUS))]
    assert ends[0] - ends[1] >= 2
    beyond = strip.image_bgra[ends[0] + 3 :, middle]
    assert 20 < beyond[0, 3] < 130
    assert beyond[0, :3].max() < 60
    assert beyond[-1, 3] < 20
    # It does not stop anywhere from one pixel to the next, except where it ends at the sides.
    assert np.abs(np.diff(alpha[:, middle])).max() < 160


def test_the_sleeve_goes_over_into_the_upper_arm_at_the_elbow():
    strip = cloth_sleeve(upper_arm(), 0.4, FORE, RADIUS, PALM)
    count = len(strip.image_bgra)
    t = strip.start + (np.arange(count) + 0.5) / count * (strip.end - strip.start)
    middle = strip.image_bgra[:, strip.image_bgra.shape[1] // 2, 3]
    assert middle[t < -0.17].max() < 40
    assert middle[(t > 0.02) & (t < 0.3)].min() > 240
    assert (np.diff(middle[t < 0].astype(int)) >= 0).all()


def test_drawn_arms_have_a_line_outside_their_silhouette():
    image = np.zeros((200, 100, 4), np.uint8)
    image[10:190, 30:70] = (150, 120, 200, 255)
    image[10:190, [30, 31, 68, 69], :3] = 20
    strip = frame_strip(Strip(image, -0.3, 1.22, 50.0, 130.0), 1.0, 2.0, 0.2)
    assert strip.line is not None
    assert strip.line.shape == strip.texture.shape
    texel = strip.texture.shape[1] / 100
    row = strip.line[round(150 * texel)]
    assert row[round(28.5 * texel), 3] > 200
    assert row[round(28.5 * texel), :3].max() < 60
    assert row[round(50 * texel), 3] == 0
    assert row[round(20 * texel), 3] == 0
    # None at the shoulder, where the arm goes over into the torso.
    assert strip.line[: round(40 * texel), :, 3].max() == 0
    assert frame_strip(Strip(image, -0.3, 1.22, 50.0, 130.0), 1.0).line is None


def test_strips_end_softly_at_their_borders():
    image = np.full((60, 40, 4), 255, np.uint8)
    texture = frame_strip(Strip(image, 0.0, 1.0, 20.0, 60.0), 1.0).texture
    for line in (texture[0], texture[-1], texture[:, 0], texture[:, -1]):
        assert line.max() < 100
    assert texture[len(texture) // 2, texture.shape[1] // 2].min() == 255


def test_softening_changes_edges_only():
    rng = np.random.default_rng(0)
    image = np.zeros((40, 40, 4), np.uint8)
    image[10:30, 10:30] = rng.integers(0, 255, (20, 20, 4))
    image[10:30, 10:30, 3] = 255
    out = np.zeros_like(image)
    soften(image, out)
    assert (out[12:28, 12:28] == image[12:28, 12:28]).all()
    assert not out[:8].any()
    assert 20 < out[9, 20, 3] < 80
    assert 160 < out[10, 20, 3] < 240


@pytest.mark.parametrize("arm_bgr", [(150.0, 175.0, 215.0), (60.0, 90.0, 40.0)])
def test_bare_arms_keep_their_own_colour_if_it_can_be_skin(arm_bgr):
    hand_bgr = np.array([140.0, 150.0, 205.0])
    picture = np.full((200, 200, 3), arm_bgr, np.float32)
    xs, ys = np.meshgrid(np.arange(200) + 0.5, np.arange(200) + 0.5)
    grid = np.stack([xs, ys], -1).astype(np.float32)
    person = np.ones((200, 200), bool)
    points = np.zeros((57, 3), np.float32)
    scene = Scene(picture, grid, 90.0, person, person.astype(np.float32), points, points[:, :2])
    place = np.array([[60.0, 30.0], [60.0, 100.0], [60.0, 160.0]], np.float32)
    hand = np.tile(np.array([[60.0, 180.0]], np.float32), (21, 1))
    arm = ArmSeen(*place, hand, 1.0, True, True, 70.0, 60.0, 30.0, radius=20.0, elbow_radius=16.0)
    read = read_arm_skin(scene, [arm], hand_bgr, 0.3)
    if arm_bgr[1] > 120:
        assert 0.2 < (read - hand_bgr)[1] / (np.array(arm_bgr) - hand_bgr)[1] <= 1.0
    else:
        assert (read == hand_bgr).all()
