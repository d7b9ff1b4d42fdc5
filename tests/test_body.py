"""Layers of a picture, and the body drawn from them."""

import cv2
import numpy as np
import pytest
from body_scene import CLOTH, HEIGHT, SKIN, UNIT, WALL, WIDTH, draw, landmarks, points

from vcam_avatar.avatars.layers import Layers, load_layers, save_layers
from vcam_avatar.avatars.layers_build import build_layers
from vcam_avatar.avatars.layers_inpaint import fill_patches
from vcam_avatar.avatars.layers_matte import cut_person
from vcam_avatar.avatars.layers_scene import Scene, close_slots, torso_outline
from vcam_avatar.errors import AvatarDataError
from vcam_avatar.media import Size, face_crop_matrix
from vcam_avatar.stages.body import BodyGenerator
from vcam_avatar.stages.body_arm import FrameStrip, Raised, raised_share
from vcam_avatar.stages.body_background import cover, extend
from vcam_avatar.stages.body_paint import Painted

SIZE = Size(WIDTH, HEIGHT)
VIEW = np.array([[1, 0, 0], [0, 1, 0]], np.float32)


@pytest.fixture(scope="module")
def layers() -> Layers:
    picture, mask = draw()
    return build_layers(picture, points(), landmarks(), mask)


@pytest.fixture(scope="module")
def generator() -> BodyGenerator:
    return BodyGenerator()


@pytest.fixture
def prepared(layers, generator):
    background = layers.background_bgr
    return generator.prepare_layers(
        layers, points(), landmarks(), VIEW, SIZE, background=background, picture_width_px=WIDTH
    )


def flatten(bgra, wall):
    alpha = bgra[..., 3:] / 255
    return bgra[..., :3] * alpha + np.array(wall) * (1 - alpha)


def test_arms_leave_the_core(layers):
    bare, _ = draw(arms=False)
    core = flatten(layers.core_bgra, WALL)
    p = points()
    for joint in (3, 4, 6, 7):
        x, y = p[joint, :2].astype(int)
        window = np.s_[y - 12 : y + 12, x - 12 : x + 12]
        assert np.abs(core[window] - bare[window].astype(float)).mean() < 14, joint


def test_hands_that_were_not_found_leave_no_skin_on_the_torso():
    picture, mask = draw()
    bare, _ = draw(arms=False)
    known = points()
    known[[4, 7]] = known[[3, 6]]
    known[15:, 2] = known[[4, 7], 2] = 0
    layers = build_layers(picture, known, landmarks(), mask)
    core, p = flatten(layers.core_bgra, WALL), points()
    hands = np.zeros((HEIGHT, WIDTH), bool)
    for x, y in p[15:, :2].astype(int):
        hands[y - 3 : y + 3, x - 3 : x + 3] = True
    assert np.abs(core[hands] - bare[hands].astype(float)).mean() < 14


def test_sides_of_the_torso_are_those_that_are_seen(layers):
    _, mask = draw(arms=False)
    shown = layers.core_bgra[..., 3] > 127
    below = np.s_[230 : HEIGHT - 2]
    assert (shown[below] != (mask[below] > 127)).sum(1).max() <= 12


def test_patches_continue_stripes_across_a_hole():
    picture = np.zeros((90, 120, 3), np.float32)
    picture[:, :, 0] = 200 * (np.arange(90) // 6 % 2)[:, None]
    hole = np.zeros((90, 120), bool)
    hole[20:70, 40:80] = True
    seen = np.where(hole[..., None], 90, picture).astype(np.float32)
    filled = fill_patches(seen, hole, ~hole, 1.0)
    assert np.abs(filled - picture)[hole].mean() < 12


def test_the_wall_is_completed_behind_the_person(layers):
    error = np.abs(layers.background_bgr.astype(float) - np.array(WALL)).mean()
    assert error < 4


def test_head_and_torso_stay_as_they_are(layers):
    picture, mask = draw()
    inside = np.zeros((HEIGHT, WIDTH), bool)
    inside[50:130, WIDTH // 2 - 8 : WIDTH // 2 + 8] = True
    inside &= mask > 0
    assert np.abs(layers.core_bgra[inside][:, :3].astype(int) - picture[inside]).mean() < 0.5
    assert (layers.core_bgra[inside][:, 3] > 250).all()


def test_sleeves_and_skin_are_recognised(layers):
    for arm in (layers.left, layers.right):
        assert 0.8 < arm.hand.sleeve_end < 1.4
        assert np.abs(np.array(arm.hand.skin_bgr) - SKIN).max() < 30
        middle = arm.upper.image_bgra[arm.upper.image_bgra.shape[0] // 2, arm.upper.image_bgra.shape[1] // 2]
        assert np.abs(middle[:3].astype(float) - CLOTH).max() < 25
        assert middle[3] > 240


def test_a_thing_in_the_room_of_the_persons_colour_is_not_the_person():
    picture, mask = draw()
    picture[40:300, 20:40] = picture[mask > 127][0]
    rough = mask.copy()
    rough[40:300, 20:40] = 40
    person, alpha = cut_person(picture, rough, [], None)
    assert person[mask > 127].mean() > 0.9
    assert not person[60:280, 22:38].any()
    assert alpha[60:280, 22:38].max() < 0.2


def test_own_arms_bring_nothing_of_the_room_along(layers):
    _, mask = draw()
    shown = np.zeros((HEIGHT, WIDTH), np.uint8)
    for arm in (layers.left, layers.right):
        own = arm.own
        height, width = own.image_bgra.shape[:2]
        place = np.s_[own.top_px : own.top_px + height, own.left_px : own.left_px + width]
        np.maximum(shown[place], own.image_bgra[..., 3], out=shown[place])
        edge = own.image_bgra[(own.image_bgra[..., 3] > 20) & (own.image_bgra[..., 3] < 235)][:, :3].astype(
            int
        )
        # The wall is greener than it is red or blue; skin and cloth are not.
        green = edge[:, 1] - np.maximum(edge[:, 0], edge[:, 2])
        assert (green < 15).mean() > 0.95
    beyond = cv2.dilate((mask > 127).astype(np.uint8), np.ones((7, 7), np.uint8)) == 0
    assert shown[beyond].max() < 20
    wrist = points()[7, :2].astype(int)
    assert shown[wrist[1], wrist[0]] > 200


def test_raised_shoulders_do_not_stand_out():
    texture = np.full((120, 80, 4), 255, np.uint8)
    strip = FrameStrip(texture, -0.3, 1.2, 40, 80)
    shoulder, elbow = np.array([60.0, 100.0]), np.array([140.0, 100.0])
    tops = []
    for share in (0.0, 1.0):
        image = np.zeros((200, 220, 3), np.uint8)
        strip.draw(image, shoulder, elbow, Raised(share, 1.0, 0.5, 0.0))
        tops.append([int(np.argmax(image[:, x, 0] > 127)) for x in (62, 135)])
    hanging, raised = tops
    assert raised[0] - hanging[0] == pytest.approx(20, abs=2)
    assert abs(raised[1] - hanging[1]) <= 2


@pytest.mark.parametrize("outward", [-1.0, 1.0])
def test_arms_count_as_raised_only_outwards(outward):
    shares = [
        raised_share(np.array([outward * x, y]), outward) for x, y in ((-1, 1), (0, 1), (1, 1), (1, -0.2))
    ]
    assert shares[:2] == [0, 0]
    assert 0 < shares[2] < shares[3] == 1


def test_layers_survive_saving(layers, tmp_path):
    save_layers(tmp_path / "layers", layers)
    again = load_layers(tmp_path / "layers")
    assert again.size == layers.size
    assert np.array_equal(again.core_bgra, layers.core_bgra)
    assert np.array_equal(again.background_bgr, layers.background_bgr)
    assert again.left.hand == layers.left.hand
    assert np.array_equal(again.right.fore.image_bgra, layers.right.fore.image_bgra)
    assert again.left.upper.length_px == pytest.approx(layers.left.upper.length_px, abs=1e-3)
    assert np.array_equal(again.left.own.image_bgra, layers.left.own.image_bgra)
    assert (again.right.own.left_px, again.right.own.top_px) == (
        layers.right.own.left_px, layers.right.own.top_px,
    )  # fmt: skip


@pytest.mark.parametrize("damage", ["missing", "json", "image", "size", "unknown"])
def test_damaged_layers_name_the_file(layers, tmp_path, damage):
    folder = tmp_path / "layers"
    save_layers(folder, layers)
    path = folder / "layers.json"
    if damage == "missing":
        path.unlink()
    elif damage == "json":
        path.write_text("{")
    elif damage == "image":
        (folder / "left_upper.png").write_bytes(b"\x89PNG nonsense")
    elif damage == "size":
        path.write_text(path.read_text().replace(f'"width": {WIDTH}', '"width": 7'))
    else:
        path.write_text(path.read_text().replace('"detail"', '"shine"'))
    with pytest.raises(AvatarDataError, match="repair"):
        load_layers(folder)


def test_a_cut_out_picture_has_no_background(generator):
    picture, mask = draw()
    layers = build_layers(np.dstack([picture, mask]), points(), landmarks(), mask)
    assert layers.background_bgr is None
    assert layers.core_bgra[2, 2, 3] == 0


def test_pictures_without_arms_still_work(generator):
    picture, mask = draw(arms=False)
    known = points()
    known[3:5, 2] = known[6:8, 2] = known[15:, 2] = 0
    layers = build_layers(picture, known, landmarks(), mask)
    prepared = generator.prepare_layers(
        layers, known, landmarks(), VIEW, SIZE, background=layers.background_bgr, picture_width_px=WIDTH
    )
    body = generator.generate(prepared, prepared.retargeter.start_pose)
    assert np.isfinite(body.face_grid).all()
    assert body.image_bgr.shape == (HEIGHT, WIDTH, 3)


def test_the_picture_keeps_its_own_arms_near_its_own_pose(layers, generator):
    picture, mask = draw()
    prepared = generator.prepare_layers(
        layers, points(), landmarks(), VIEW, SIZE, background=layers.background_bgr, picture_width_px=WIDTH,
        picture=np.dstack([picture, mask]),
    )  # fmt: skip
    pose = prepared.retargeter.start_pose
    body = generator.generate(prepared, pose)
    assert np.abs(body.image_bgr.astype(float) - picture).mean() < 1.5
    away = pose.copy()
    away[[4, 7], 1] -= 0.6
    away[15:57, 1] -= 0.6
    shares = []
    for _ in range(5):
        generator.generate(prepared, away)
        shares.append(prepared.arms["left"].own.share)
    assert 0.4 < shares[0] < 0.6, "fades rather than pops"
    assert shares[1] == 0, "two hands are not seen for long"
    prepared.reset()
    more = np.concatenate([pose, np.ones((10, 3), np.float32)])
    again = generator.generate(prepared, more)
    assert np.array_equal(again.image_bgr, body.image_bgr), "points of legs and feet are ignored"


def test_the_picture_comes_back_in_its_own_pose(generator, prepared):
    picture, _ = draw()
    body = generator.generate(prepared, prepared.retargeter.start_pose)
    head = np.s_[20:120, WIDTH // 2 - 50 : WIDTH // 2 + 50]
    error = np.abs(body.image_bgr[head].astype(float) - picture[head]).mean()
    assert error < 2.5
    crop = face_crop_matrix(landmarks())
    assert np.allclose(body.face_grid[0, 0], crop[:, 2], atol=0.05)
    assert np.allclose(body.face_grid[-1, -1], crop @ [1, 1, 1], atol=0.05)


def test_the_face_grid_follows_the_head(generator, prepared):
    pose = np.array(prepared.retargeter.start_pose)
    still = generator.generate(prepared, pose).face_grid
    pose[[0, 11, 12, 13, 14], 0] += 0.1
    moved = generator.generate(prepared, pose).face_grid
    shift = (moved - still).mean((0, 1))
    assert shift[0] > 5
    assert abs(shift[1]) < 2


def test_same_poses_give_same_frames_and_still_pixels_do_not_flicker(generator, prepared):
    pose = np.array(prepared.retargeter.start_pose)
    first = generator.generate(prepared, pose).image_bgr.copy()
    moving = pose.copy()
    moving[15:36, :2] += 0.02
    moved = generator.generate(prepared, moving).image_bgr
    far = np.s_[:, : WIDTH // 2 - 90]
    assert np.array_equal(first[:60], moved[:60])
    assert np.abs(first[far].astype(int) - moved[far]).max() == 0
    prepared.reset()
    assert np.array_equal(generator.generate(prepared, pose).image_bgr, first)


def test_a_frame_survives_the_next_one(generator, prepared):
    pose = np.array(prepared.retargeter.start_pose)
    first = generator.generate(prepared, pose).image_bgr
    kept = first.copy()
    pose[[3, 4, 6, 7], 0] += 0.1
    second = generator.generate(prepared, pose).image_bgr
    assert second is not first
    assert np.array_equal(first, kept)


def test_a_hand_before_the_face_hides_it(generator, prepared):
    pose = np.array(prepared.retargeter.start_pose)
    assert generator.generate(prepared, pose).occlusion is None
    nose = pose[0, :2].copy()
    hand = pose[15:36, :2] - pose[15, :2]
    pose[6, :2] = pose[5, :2] + np.array([0.05, 0.25])
    pose[7, :2] = nose + np.array([0.05, 0.35])
    pose[15:36, :2] = pose[7, :2] + hand * [1, -1]
    prepared.reset()
    for _ in range(4):
        body = generator.generate(prepared, pose)
    assert body.occlusion is not None
    assert body.occlusion.shape == (HEIGHT, WIDTH)
    x, y = body.face_grid.mean((0, 1)).astype(int)
    assert body.occlusion[y - 30 : y + 60, x - 40 : x + 40].max() > 200
    assert body.occlusion[:10].max() == 0


def test_hands_shade_the_torso_and_nothing_else(prepared):
    image = np.full((HEIGHT, WIDTH, 3), 200, np.uint8)
    alpha = np.zeros((60, 60, 4), np.uint8)
    alpha[10:50, 10:50] = 255
    left, top = WIDTH // 2 - 30, 230
    painted = Painted(alpha, alpha[..., 3].copy(), left, top)
    prepared.shadow.cast(image, painted, 0.0)
    under = image[top + 20 : top + 50, left + 20 : left + 40].mean()
    assert under < 150
    assert (image[:150] == 200).all()
    assert (image[:, :100] == 200).all()
    far = np.full((HEIGHT, WIDTH, 3), 200, np.uint8)
    prepared.shadow.cast(far, painted, 0.8 * prepared.core.unit)
    assert far[top + 20 : top + 50, left + 20 : left + 40].mean() > under + 15
    beside = np.full((HEIGHT, WIDTH, 3), 200, np.uint8)
    prepared.shadow.cast(beside, Painted(alpha, alpha[..., 3].copy(), 5, 300), 0.0)
    assert (beside == 200).all()


def test_backgrounds_fill_the_frame():
    picture, _ = draw()
    assert cover(picture, Size(320, 180)).shape == (180, 320, 3)
    view = np.array([[0.5, 0, 100], [0, 0.5, 20]], np.float32)
    wide = extend(picture, view, Size(640, 240))
    assert wide.shape == (240, 640, 3)
    assert np.abs(wide[5, 320].astype(float) - np.array(WALL)).max() < 12
    same = extend(picture, VIEW, SIZE)
    assert np.abs(same.astype(int) - picture).mean() < 0.5


def test_narrow_slots_of_the_person_are_closed_but_not_the_room_beside_it():
    picture, mask = draw()
    grid = np.stack(np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5), -1).astype(np.float32)
    person = mask > 127
    person[300:, 238:246] = False
    scene = Scene(
        picture.astype(np.float32), grid, UNIT, person.copy(), person * 1.0, points()[:, :2], landmarks()
    )
    close_slots(scene)
    assert scene.person[300:, 238:246].all()
    assert (scene.alpha[300:, 238:246] == 1).all()
    assert not (scene.person & (mask == 0)).any()


def test_guessed_hips_below_the_picture_are_below_the_neck():
    picture, mask = draw()
    grid = np.stack(np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5), -1).astype(np.float32)
    aside = points()[:, :2]
    aside[9:11] += [40, 0]

    def middle(p, height):
        scene = Scene(
            picture[:height].astype(np.float32), grid[:height], UNIT, mask[:height] > 127,
            mask[:height] / 255, p, landmarks(),
        )  # fmt: skip
        row = np.flatnonzero(torso_outline(scene, 0.1)[height - 2])
        return (row[0] + row[-1]) / 2 - points()[1, 0]

    below = int(aside[9, 1]) - 10
    assert abs(middle(aside, below)) < 2
    assert middle(aside, HEIGHT) > 30
