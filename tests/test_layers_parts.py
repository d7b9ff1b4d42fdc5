"""The layer network's input, and where its answer is believed."""

import cv2
import numpy as np
import pytest

from vcam_avatar import resources
from vcam_avatar.avatars.format import load_avatar
from vcam_avatar.avatars.layers_apply import (
    better_mask,
    knows_torso,
    shows_lap,
    take_arm,
    torso_behind,
)
from vcam_avatar.avatars.layers_fill import distance_to_bone
from vcam_avatar.avatars.layers_hem import Hem, agree, sleeve_end_seen
from vcam_avatar.avatars.layers_parts import (
    ARM_PARTS,
    MAPS,
    PARTS,
    SIDE_PX,
    PartMaps,
    crop_square,
    draw_maps,
    network_input,
    place_maps,
    read_parts,
)
from vcam_avatar.avatars.layers_scene import ArmSeen, Scene

HEIGHT, WIDTH = 300, 360
SHOULDER, ELBOW, WRIST = (np.array(p, np.float32) for p in ((240, 110), (250, 190), (200, 250)))
UNIT = 100.0


def points():
    """A person whose left arm bends before the body; no hands were found."""
    out = np.zeros((57, 3), np.float32)
    out[:8] = [
        (190, 50, 1), (190, 105, 1), (140, 110, 1), (130, 190, 1), (120, 260, 1), (*SHOULDER, 1), (*ELBOW, 1),
        (*WRIST, 1),
    ]  # fmt: skip
    out[11:15] = [(180, 45, 1), (200, 45, 1), (165, 50, 1), (215, 50, 1)]
    return out


def grid():
    xs, ys = np.meshgrid(np.arange(WIDTH, dtype=np.float32) + 0.5, np.arange(HEIGHT, dtype=np.float32) + 0.5)
    return np.stack([xs, ys], -1)


def scene():
    picture = np.full((HEIGHT, WIDTH, 3), 100, np.float32)
    person = np.zeros((HEIGHT, WIDTH), bool)
    person[20:, 90:290] = True
    face = np.full((68, 2), 60, np.float32)
    return Scene(picture, grid(), UNIT, person, person.astype(np.float32), points()[:, :2], face)


def left_arm(upper_seen=True):
    hand = np.repeat(WRIST[None], 21, 0)
    return ArmSeen(
        SHOULDER, ELBOW, WRIST, hand, 1.0, False, upper_seen, 80.0, 78.0, 27.0, radius=18, elbow_radius=15
    )


def maps(bare_from=2.0, shift=(0, 0)):
    """Shares of a left arm 15 px around its bones, cloth up to ``bare_from``."""
    share = np.zeros((HEIGHT, WIDTH, len(PARTS)), np.float32)
    upper, along, _ = distance_to_bone(grid() - np.float32(shift), SHOULDER, ELBOW)
    fore, further, _ = distance_to_bone(grid() - np.float32(shift), ELBOW, WRIST)
    place = np.where(fore < upper, 1 + np.clip(further, 0, 1), np.clip(along, 0, 1))
    arm = np.minimum(upper, fore) < 15
    sleeve, skin, _ = ARM_PARTS["left"]
    share[..., sleeve] = arm & (place < bare_from)
    share[..., skin] = arm & (place >= bare_from)
    share[..., PARTS.index("torso")] = ~arm
    core = np.ones((HEIGHT, WIDTH), np.float32)
    return PartMaps(share, core, np.ones((HEIGHT, WIDTH), np.float32))


def test_what_is_cut_out_and_placed_again_lies_where_it_was():
    bgr = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.circle(mask, (200, 140), 40, 255, -1)
    bgr[mask > 0] = 220
    planes, square = network_input(bgr, mask, points())
    assert planes.shape == (5 + len(MAPS), SIDE_PX, SIDE_PX)
    assert planes.min() >= 0
    assert planes.max() <= 1
    scores = np.zeros((len(PARTS) + 1, SIDE_PX, SIDE_PX), np.float32)
    scores[0], scores[2], scores[-1] = 1 - planes[3], planes[3], planes[3]
    placed = place_maps(scores, square, bgr)
    assert np.allclose(placed.share.sum(-1), 1, atol=1e-3)
    differs = ((placed.share[..., 2] > 0.5) != (mask > 127)).sum()
    assert differs < 0.02 * (mask > 127).sum()


def test_limbs_are_drawn_on_their_side_and_only_when_found():
    left, top, side = crop_square(points())
    inside = points()
    inside[:, :2] = (inside[:, :2] - [left, top]) * SIDE_PX / side
    drawn = draw_maps(inside)
    elbow = np.rint(inside[6, :2]).astype(int)
    assert drawn[MAPS.index("left_arm"), elbow[1], elbow[0]] > 0.5
    assert drawn[MAPS.index("right_arm"), elbow[1], elbow[0]] < 0.05
    assert drawn[MAPS.index("left_hand")].max() == 0
    inside[7, 2] = 0
    wrist = np.rint(inside[7, :2]).astype(int)
    assert drawn[MAPS.index("left_arm"), wrist[1], wrist[0]] > 0.3
    assert draw_maps(inside)[MAPS.index("left_arm"), wrist[1], wrist[0]] < 0.05


def test_an_arm_that_lies_on_its_bones_is_believed():
    arm = left_arm()
    assert take_arm(scene(), arm, maps())
    at = tuple(np.rint((ELBOW + WRIST) / 2).astype(int)[::-1])
    assert arm.lower[at]
    assert not arm.upper[at]
    at = tuple(np.rint(0.3 * SHOULDER + 0.7 * ELBOW).astype(int)[::-1])
    assert arm.upper[at]
    assert not arm.lower[at]
    # The shoulder's cap stays with the torso, and so does what is far from the bones.
    at = tuple(np.rint(0.8 * SHOULDER + 0.2 * ELBOW).astype(int)[::-1])
    assert not arm.region[at]
    assert not arm.region[150, 150]


def test_an_arm_elsewhere_is_not_believed():
    arm = left_arm()
    assert not take_arm(scene(), arm, maps(shift=(-60, 0)))
    assert arm.region is None


def test_a_guessed_arm_needs_more_than_a_seen_one():
    faint = maps()
    share = faint.share * 0.55
    share[..., PARTS.index("torso")] += 0.45
    faint = PartMaps(share, faint.core, faint.known)
    assert take_arm(scene(), left_arm(), faint)
    assert not take_arm(scene(), left_arm(upper_seen=False), faint)


def test_thighs_taken_for_arms_give_a_sitting_person_away():
    assert not shows_lap(scene(), [left_arm()], maps())
    seen = maps()
    sleeve = ARM_PARTS["left"][0]
    seen.share[265:, 90:120, sleeve] = 1
    assert not shows_lap(scene(), [left_arm()], seen)  # on one side only: a wide sleeve, a thing held
    seen.share[265:, 260:290, sleeve] = 1
    assert shows_lap(scene(), [left_arm()], seen)


SKIN = (120.0, 150.0, 210.0)


@pytest.mark.parametrize("hem", [0.6, 1.4])
def test_the_hem_is_found_where_cloth_becomes_skin(hem):
    shown = maps(bare_from=hem)
    picture = scene()
    picture.picture[shown.share[..., ARM_PARTS["left"][1]] > 0] = SKIN
    seen = sleeve_end_seen(picture, left_arm(), shown, SKIN)
    assert seen is not None
    assert seen.seen
    assert seen.end == pytest.approx(hem, abs=0.08)


def test_cloth_to_the_wrist_is_a_long_sleeve_and_a_bare_shoulder_none():
    assert sleeve_end_seen(scene(), left_arm(), maps(), SKIN) == Hem(2.0, 0.0)
    assert sleeve_end_seen(scene(), left_arm(), maps(bare_from=0.0), SKIN) == Hem(0.0, 0.0)


def test_what_the_network_calls_cloth_but_has_the_colour_of_skin_is_skin():
    seen = scene()
    _, along, _ = distance_to_bone(seen.grid, SHOULDER, ELBOW)
    seen.picture[along > 0.6] = SKIN
    seen.picture[along <= 0.6] = (200, 60, 30)
    found = sleeve_end_seen(seen, left_arm(), maps(), SKIN)
    assert found is not None
    assert found.end == pytest.approx(0.6, abs=0.08)


def test_what_the_network_calls_skin_but_has_the_colour_of_the_sleeve_is_cloth():
    seen = scene()
    seen.picture[:] = (200, 60, 30)
    assert sleeve_end_seen(seen, left_arm(), maps(bare_from=0.6), SKIN) == Hem(2.0, 0.0)


def test_mixed_materials_are_no_hem():
    mixed = maps()
    sleeve, skin, _ = ARM_PARTS["left"]
    share = mixed.share.copy()
    share[..., skin] = share[..., sleeve] = share[..., sleeve] / 2
    parts = PartMaps(share, mixed.core, mixed.known)
    grey = (100.0, 100.0, 100.0)  # skin as cloth: colours cannot tell
    assert sleeve_end_seen(scene(), left_arm(), parts, grey) is None


def test_both_arms_have_one_sleeve():
    assert agree([None, None]) is None
    assert agree([None, Hem(0.6, 0.05)]) == 0.6
    assert agree([Hem(0.6, 0.05), Hem(0.7, 0.05)]) == pytest.approx(0.65)
    assert agree([Hem(0.4, 0.5), Hem(0.8, 0.05)]) == 0.8, "the finer one"
    assert agree([Hem(2.0, 0.0, seen=False), Hem(0.7, 0.05)]) == 0.7, "skin that is seen"
    assert agree([Hem(2.0, 0.0), Hem(0.7, 0.05)]) == 0.7


def test_outside_its_square_the_network_says_nothing():
    parts = maps()
    share = parts.share.copy()
    share[..., 0], share[..., 1:] = 1, 0
    known = np.zeros((HEIGHT, WIDTH), np.float32)
    known[:, :100] = 1
    mask = np.full((HEIGHT, WIDTH), 255, np.uint8)
    face = np.array([[20.0, 10.0], [60.0, 50.0]], np.float32)
    better = better_mask(mask, PartMaps(share, parts.core, known), face)
    assert (better[:, 100:] == 255).all()
    assert (better[50:, :100] <= 128).all()
    assert (better[:50, :84] == 255).all(), "nothing is taken from the head"


def test_a_torso_the_network_is_unsure_of_is_left_to_the_rules():
    parts = maps()
    assert knows_torso(PartMaps(parts.share, np.round(parts.core), parts.known))
    assert not knows_torso(PartMaps(parts.share, np.full_like(parts.core, 0.6), parts.known))


def test_a_torso_has_neither_holes_nor_notches():
    parts = maps()
    share, core = np.zeros_like(parts.share), np.zeros_like(parts.core)
    core[100:, 100:260] = 1
    core[160:200, 150:180] = 0
    behind = torso_behind(scene(), PartMaps(share, core, parts.known))
    assert behind[180, 165]
    assert not behind[50, 165]
    core[200:220, 240:260] = 0  # a forearm before the side
    assert torso_behind(scene(), PartMaps(share, core, parts.known))[210, 250]


def test_the_shipped_network_knows_head_and_torso_of_a_drawn_person():
    avatar = load_avatar(resources.presets_dir() / "mia")
    seen = avatar.points_px.copy()
    parts = read_parts(avatar.picture_bgr, avatar.person_alpha, seen)
    assert parts.share.shape == (*avatar.person_alpha.shape, len(PARTS))

    def share_at(point, names):
        x, y = np.rint(point[:2]).astype(int)
        return float(sum(parts.share[y, x, PARTS.index(name)] for name in names))

    assert share_at(seen[0], ["head"]) > 0.8
    chest = seen[1] + [0, 0.5 * np.hypot(*(seen[2, :2] - seen[5, :2])), 0]
    assert share_at(chest, ["torso"]) > 0.8
    behind = (avatar.person_alpha == 0) & (parts.known > 0)
    assert parts.share[behind][:, 0].mean() > 0.95
