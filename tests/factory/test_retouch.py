"""Other people out of one picture: only what is meant changes."""

import cv2
import numpy as np
import pytest

from vcam_avatar import resources
from vcam_avatar.avatars import LEFT_HAND, RIGHT_HAND, Avatar, load_avatar
from vcam_avatar.factory.painting import painted
from vcam_avatar.factory.retouch import Retouch, hair_mask, retouch, skin_mask
from vcam_avatar.media import ByteArray


@pytest.fixture(scope="module")
def noah() -> Avatar:
    return load_avatar(resources.presets_dir() / "noah")


def _change(avatar: Avatar, wish: Retouch) -> ByteArray:
    hands = [avatar.points_px[hand, :2] for hand in (LEFT_HAND, RIGHT_HAND)]
    return retouch(avatar.picture_bgr, avatar.face_px, hands, avatar.person_alpha, wish)


def _cheeks(avatar: Avatar, picture: ByteArray) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    x, y = np.rint(avatar.face_px[[2, 31]].mean(0)).astype(int)
    return np.asarray(picture[y - 4 : y + 5, x - 4 : x + 5].reshape(-1, 3).mean(0), np.float64)


def test_the_skin_takes_the_wanted_tone_and_the_room_stays(noah: Avatar) -> None:
    changed = _change(noah, Retouch(skin="6b4433"))
    wanted = np.array([0x33, 0x44, 0x6B])
    assert np.abs(_cheeks(noah, changed) - wanted).max() < 30
    assert np.abs(_cheeks(noah, noah.picture_bgr) - wanted).max() > 60
    room = cv2.dilate(noah.person_alpha, np.ones((9, 9))) == 0
    assert np.array_equal(changed[room], noah.picture_bgr[room])


def test_hair_and_skin_do_not_overlap_and_lie_where_they_belong(noah: Avatar) -> None:
    hands = [noah.points_px[hand, :2] for hand in (LEFT_HAND, RIGHT_HAND)]
    skin = skin_mask(noah.picture_bgr, noah.face_px, hands, noah.person_alpha)
    hair = hair_mask(noah.picture_bgr, noah.face_px, noah.person_alpha)
    for hand in hands:
        x, y = np.rint(hand[[0, 5, 17]].mean(0)).astype(int)
        assert skin[y, x] > 0.8
    chest_x, chest_y = np.rint(noah.points_px[[1, 8], :2].mean(0)).astype(int)
    assert skin[chest_y, chest_x] < 0.1
    mouth_y = int(noah.face_px[48:60, 1].mean())
    assert hair[: int(noah.face_px[17:27, 1].min())].sum() > 500
    assert hair[mouth_y:, int(noah.face_px[4, 0]) : int(noah.face_px[12, 0])].max() < 0.1


def test_grey_hair_is_grey(noah: Avatar) -> None:
    hair = hair_mask(noah.picture_bgr, noah.face_px, noah.person_alpha) > 0.95
    changed = _change(noah, Retouch(hair="a6a6a8")).astype(int)
    spread = changed[hair].max(1) - changed[hair].min(1)
    assert np.median(spread) < 20
    assert changed[hair].mean() > noah.picture_bgr[hair].mean() + 20


def test_a_painting_is_calm_within_its_strokes_and_keeps_its_edges() -> None:
    rng = np.random.default_rng(1)
    picture = np.full((80, 80, 3), 60, np.uint8)
    picture[:, 40:] = 180
    noisy = np.clip(picture + rng.normal(0, 12, picture.shape), 0, 255).astype(np.uint8)
    drawn = painted(noisy, 5).astype(float)
    assert drawn[10:70, 5:30].std() < 0.5 * noisy[10:70, 5:30].std()
    assert drawn[10:70, 44:].mean() - drawn[10:70, :36].mean() > 100
    assert drawn[40, 42:44].mean() - drawn[40, 36:38].mean() > 90
