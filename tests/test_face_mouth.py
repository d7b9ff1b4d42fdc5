import cv2
import numpy as np

from vcam_avatar.media import FACE_ACTIONS
from vcam_avatar.stages.face_eyes import Eye, draw_eyes, make_eyes
from vcam_avatar.stages.face_mouth import make_interior

REST = np.zeros(52, np.float32)
SOFT = np.full((80, 80, 3), 60, np.float32)


def action(**amounts: float) -> np.ndarray:
    vector = REST.copy()
    for name, amount in amounts.items():
        vector[FACE_ACTIONS.index(name)] = amount
    return vector


def doll(skin: int = 165, side: int = 256) -> tuple[np.ndarray, np.ndarray]:
    """A BGRA patch of a doll's face, white eyes with dark irises, and its landmarks in the unit crop."""
    landmarks = np.full((68, 2), 0.5, np.float32)
    ring = np.linspace(np.pi, -np.pi, 7)[:6]
    for start, x in ((36, 0.36), (42, 0.64)):
        landmarks[start : start + 6] = np.stack([x + 0.07 * np.cos(ring), 0.266 - 0.03 * np.sin(ring)], 1)
    for start, x in ((17, 0.36), (22, 0.64)):
        landmarks[start : start + 5] = np.stack([np.linspace(x - 0.08, x + 0.08, 5), np.full(5, 0.15)], 1)
    ring = np.linspace(np.pi, -np.pi, 13)[:12]
    landmarks[48:60] = np.stack([0.5 + 0.1 * np.cos(ring), 0.578 - 0.03 * np.sin(ring)], 1)
    ring = np.linspace(np.pi, -np.pi, 9)[:8]
    landmarks[60:68] = np.stack([0.5 + 0.09 * np.cos(ring), 0.578 - 0.0005 * np.sin(ring)], 1)
    picture = np.full((side, side, 3), (skin * 0.8, skin * 0.95, skin * 1.2), np.uint8)
    for eye in (landmarks[36:42], landmarks[42:48]):
        cv2.fillPoly(picture, [np.rint(eye * side).astype(np.int32)], (245, 245, 245), cv2.LINE_AA)
        cv2.circle(picture, tuple(np.rint(eye.mean(0) * side).astype(int).tolist()), 6, (30, 20, 20), -1)
    return np.concatenate([picture, np.zeros((side, side, 1), np.uint8)], -1), landmarks


def test_teeth_hang_on_the_skull_and_stand_on_the_jaw() -> None:
    patch, landmarks = doll()
    interior = make_interior(patch[..., :3], landmarks)
    wide = np.ones((80, 80), np.float32)
    shut, opened = (interior.draw(action(jawOpen=a), wide, SOFT).astype(int) for a in (0.0, 0.8))
    upper_rows = np.flatnonzero(interior.upper[:, :, 3].max(1) > 0.9)
    lower_rows = np.flatnonzero(interior.lower[:, :, 3].max(1) > 0.9)
    assert upper_rows[-1] > lower_rows[0], "shut teeth overlap"
    middle = slice(interior.side_px // 2 - 8, interior.side_px // 2 + 8)
    between = opened[upper_rows[-1] + 2 : upper_rows[-1] + 8, middle].mean()
    teeth = opened[upper_rows[-1] - 8 : upper_rows[-1] - 3, middle].mean()
    assert between < 0.75 * teeth, "an open jaw shows the dark behind the teeth"
    np.testing.assert_allclose(
        shut[upper_rows[-1] - 8 : upper_rows[-1] - 3, middle],
        opened[upper_rows[-1] - 8 : upper_rows[-1] - 3, middle],
        atol=2,
    )


def test_lips_that_hardly_part_throw_shadow() -> None:
    patch, landmarks = doll()
    interior = make_interior(patch[..., :3], landmarks)
    wide, thin = np.ones((80, 80), np.float32), np.zeros((80, 80), np.float32)
    thin[30:32] = 1
    bright = interior.draw(REST, wide, SOFT).astype(int)
    assert interior.draw(REST, thin, SOFT).astype(int).mean() < 0.9 * bright.mean()


def test_dark_light_gives_dark_teeth() -> None:
    wide = np.ones((80, 80), np.float32)
    drawn = []
    for skin in (165, 60):
        patch, landmarks = doll(skin)
        drawn.append(make_interior(patch[..., :3], landmarks).draw(REST, wide, SOFT * 0).mean())
    assert drawn[1] < 0.8 * drawn[0]


def test_open_eyes_looking_ahead_are_left_to_the_bit() -> None:
    patch, landmarks = doll()
    before = patch.copy()
    draw_eyes(make_eyes(patch[..., :3], landmarks), patch, action(jawOpen=1.0))
    np.testing.assert_array_equal(patch, before)


def test_a_blink_covers_the_eye_with_skin_and_touches_nothing_else() -> None:
    patch, landmarks = doll()
    before = patch.copy()
    eyes = make_eyes(patch[..., :3].copy(), landmarks)
    assert len(eyes) == 2
    draw_eyes(eyes, patch, action(eyeBlinkLeft=1.0, eyeBlinkRight=1.0))
    outside = np.ones(patch.shape[:2], bool)
    for eye in eyes:
        height, width = eye.y.shape
        outside[eye.top : eye.top + height, eye.left : eye.left + width] = False
        box = (slice(eye.top, eye.top + height), slice(eye.left, eye.left + width))
        open_rows = (eye.y > eye.upper + 2) & (eye.y < eye.lower - 3) & (eye.reach > 0.99)
        changed = np.abs(patch[box][open_rows][:, :3].astype(int) - before[box][open_rows][:, :3]).mean()
        assert changed > 12
    np.testing.assert_array_equal(patch[outside], before[outside])
    changed_pixels = np.any(patch[..., :3] != before[..., :3], -1)
    assert (patch[..., 3][changed_pixels] == 255).all()
    assert (patch[..., 3][~changed_pixels] == 0).all()


def test_the_eyes_look_where_they_are_told() -> None:
    (left, landmarks), (right, _) = doll(), doll()
    eyes = make_eyes(left[..., :3].copy(), landmarks)
    draw_eyes(eyes, left, action(eyeLookOutRight=0.8, eyeLookInLeft=0.8))
    draw_eyes(eyes, right, action(eyeLookOutLeft=0.8, eyeLookInRight=0.8))
    for eye in eyes:
        height, width = eye.y.shape

        def iris(patch: np.ndarray, eye: Eye = eye, height: int = height, width: int = width) -> float:
            box = patch[eye.top : eye.top + height, eye.left : eye.left + width, :3].max(-1)
            return float(np.mean(np.nonzero(box < 80)[1]))

        assert iris(right) - iris(left) > 0.2 * eye.width


def test_on_th_the_tongue_lies_under_the_upper_teeth() -> None:
    patch, landmarks = doll()
    interior = make_interior(patch[..., :3], landmarks)
    wide = np.ones((80, 80), np.float32)
    teeth, tongue = (
        interior.draw(action(jawOpen=0.16, tongueOut=out), wide, SOFT).astype(int) for out in (0.0, 0.35)
    )
    edge = np.flatnonzero(interior.upper[:, interior.side_px // 2, 3] > 0.9)[-1]
    place = (slice(edge - 3, edge), interior.side_px // 2)
    redness = [float((image[place][:, 2] - image[place][:, 0]).mean()) for image in (teeth, tongue)]
    assert redness[1] > 1.4 * redness[0]
    np.testing.assert_array_equal(teeth[edge - 14 : edge - 10], tongue[edge - 14 : edge - 10])


def test_bared_teeth_are_taken_out_and_nothing_else() -> None:
    from vcam_avatar.stages.face_mouth import without_teeth

    side = 200
    points = np.full((68, 2), 0.5)
    for first, count, wide, high in ((48, 12, 0.2, 0.1), (60, 8, 0.16, 0.05)):
        angles = np.linspace(0, 2 * np.pi, count, endpoint=False)
        points[first : first + count] = np.stack(
            [0.5 - wide * np.cos(angles), 0.7 - high * np.sin(angles)], 1
        )
    face = np.full((side, side, 3), (120, 150, 190), np.uint8)
    face[125:155, 65:135] = (90, 90, 200)
    bare = face.copy()
    bare[137:144, 80:120] = (200, 210, 215)
    shut = without_teeth(bare, points)
    assert shut[138:143, 82:118].max() < 0.7 * 200
    np.testing.assert_array_equal(shut[:120], bare[:120])
    np.testing.assert_array_equal(shut[148:], bare[148:])
    np.testing.assert_array_equal(without_teeth(face, points)[126:154, 66:134], face[126:154, 66:134])
