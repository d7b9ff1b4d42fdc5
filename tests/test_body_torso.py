"""The torso behind arms, rims of cut-outs, the room where the person stood."""

import numpy as np
from body_scene import CLOTH, HEIGHT, UNIT, WALL, WIDTH, draw, landmarks, points

from vcam_avatar.avatars.layers_core import make_core
from vcam_avatar.avatars.layers_matte import look_at_rim
from vcam_avatar.avatars.layers_room import make_room
from vcam_avatar.avatars.layers_scene import ArmSeen, Scene
from vcam_avatar.avatars.layers_sides import torso_sides

GRID = np.stack(np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5), -1).astype(np.float32)


def scene_of(person: np.ndarray, picture: np.ndarray | None = None) -> Scene:
    shown = np.zeros((HEIGHT, WIDTH, 3), np.float32) if picture is None else picture.astype(np.float32)
    return Scene(shown, GRID, UNIT, person, person * np.float32(1), points()[:, :2], landmarks())


def arm(side: float, region: np.ndarray, known: bool = True) -> ArmSeen:
    p = points()[:, :2]
    s = 5 if side > 0 else 2
    return ArmSeen(
        p[s], p[s + 1], p[s + 2], p[15:36], side, True, True, 90.0, 70.0, 30.0, region=region,
        upper=region, lower=region & False, reach=region & False, known=known,
    )  # fmt: skip


def torso_and_arms() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A torso whose sides slant, arms beside it from the armpits on, and a hand before its left side."""
    x, y = GRID[..., 0] - WIDTH / 2, GRID[..., 1]
    torso = (np.abs(x) < 60 + 0.05 * (y - 150)) & (y > 150)
    beside = (np.abs(x) >= 58) & (np.abs(x) < 100) & (y > 180) & (y < 300)
    hand = (np.hypot(x - 62, (y - 270) * 0.9) < 34) & (y < 310)
    return torso, (beside & (x < 0)), (beside & (x > 0)) | hand


def test_the_torsos_hidden_sides_are_calm_lines_that_meet_the_seen_ones():
    torso, right, left = torso_and_arms()
    scene = scene_of(torso | right | left)
    found, _ = torso_sides(scene, [arm(-1, right), arm(1, left)], torso & False, torso)
    below = slice(215, HEIGHT - 2)
    for sign in (-1, 1):
        width = (found & ((GRID[..., 0] - WIDTH / 2) * sign > 0))[below].sum(1).astype(float)
        truth = (torso & ((GRID[..., 0] - WIDTH / 2) * sign > 0))[below].sum(1).astype(float)
        assert np.abs(width - truth).max() < 9, np.abs(width - truth).max()
        # No ledge, bite or barb.
        assert np.abs(np.diff(width)).max() <= 2
        assert np.abs(width - truth)[-60:].max() <= 1


def test_a_barb_left_of_a_sleeve_is_no_torso():
    torso, right, left = torso_and_arms()
    x, y = GRID[..., 0] - WIDTH / 2, GRID[..., 1]
    barb = (x > 0) & (x < 86) & (y >= 300) & (y < 309)
    found, seen = torso_sides(
        scene_of(torso | right | left | barb), [arm(-1, right), arm(1, left)], torso & False, torso
    )
    assert not (found & barb & (x > 78)).any()
    assert seen[200, WIDTH // 2]


def test_outlines_of_drawings_are_found_and_a_rim_of_room_is_told_from_the_figure():
    x, y = GRID[..., 0] - WIDTH / 2, GRID[..., 1] - HEIGHT / 2
    far = np.hypot(x, y)
    picture = np.full((HEIGHT, WIDTH, 3), (200, 190, 180), np.float32)
    picture[far < 100] = (60, 60, 160)
    # The cut-out is two pixels too large.
    line, _, room = look_at_rim(picture, far < 102)
    assert not line.any()
    assert room[(far > 100.8) & (far < 102)].mean() > 0.6
    assert room[far < 98.5].max() < 0.1
    picture[(far >= 98) & (far < 100)] = (20, 20, 20)
    line, _, room = look_at_rim(picture, far < 100)
    assert line[(far >= 98.3) & (far < 99.5)].mean() > 0.9
    assert room[far < 99].max() < 0.1


def test_the_room_shows_no_outline_of_who_stood_there():
    picture, mask = draw()
    ramp = np.clip(np.array(WALL) + 0.25 * (GRID[..., :1] - WIDTH / 2), 0, 255)
    stripes = 25 * np.sign(np.sin(GRID[..., 1:] / 9))
    room = np.clip(ramp + stripes, 0, 255)
    shown = np.where(mask[..., None] > 127, picture, room)
    scene = scene_of(mask > 127, shown)
    nobody = np.zeros(mask.shape, bool)
    made = make_room(scene, [arm(-1, nobody), arm(1, nobody)]).astype(float)
    inside = mask > 127
    assert np.abs(made - room)[inside].mean() < 30
    edge = inside & ~np.roll(inside, 4, 1)
    step = np.abs(made - np.roll(made, 10, 1)).mean(-1)
    assert np.median(step[edge]) < 12
    assert np.abs(made[inside] - np.array(CLOTH)).max(1).min() > 10


def test_hands_between_shirt_and_trousers_leave_a_clear_border():
    torso, right, left = torso_and_arms()
    x, y = GRID[..., 0] - WIDTH / 2, GRID[..., 1]
    shirt, trousers = np.array((210, 205, 200.0)), np.array((90, 40, 30.0))
    picture = np.where((y < 322)[..., None], shirt, trousers)
    hands = (np.abs(x) < 110) & (y > 290) & (y < 330 + 0.1 * x)
    picture[hands] = (120, 150, 210)
    arms = [arm(-1, right | (hands & (x < 0))), arm(1, left | (hands & (x >= 0)))]
    for each in arms:
        each.radius = each.elbow_radius = 20.0
    core = make_core(scene_of(torso | right | left | hands, picture), arms, torso & False, torso)
    inside = torso & hands & (core[..., 3] > 250)
    off = np.minimum(*(np.abs(core[..., :3] - c).max(-1) for c in (shirt, trousers)))
    # Nothing between the two garments, but for a soft line where they meet.
    assert (off[inside] > 25).mean() < 0.06
    assert core[300, WIDTH // 2, :3].mean() > 180
    assert core[HEIGHT - 5, WIDTH // 2, :3].mean() < 80


def test_stripes_go_on_behind_a_hand():
    torso, right, left = torso_and_arms()
    y = GRID[..., 1]
    bands = np.where((y // 12 % 2 == 0)[..., None], (40, 160, 90), (60, 210, 220)).astype(float)
    picture = bands.copy()
    hidden = right | left
    picture[hidden] = (120, 150, 210)
    arms = [arm(-1, right), arm(1, left)]
    for each in arms:
        each.radius = each.elbow_radius = 20.0
    core = make_core(scene_of(torso | hidden, picture), arms, torso & False, torso)
    inside = torso & hidden & (core[..., 3] > 250) & (y > 230)
    assert int(inside.sum()) > 500
    assert np.abs(core[..., :3] - bands)[inside].mean() < 25
