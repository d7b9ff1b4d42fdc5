import cv2
import numpy as np
import pytest

from vcam_avatar.media import ByteArray, FloatArray
from vcam_avatar.stages.face_drawn import DrawnMouth, find_drawn_mouth
from vcam_avatar.stages.visemes import VISEME_ACTIONS, VISEMES

SKIN, INK, SIDE = (174, 194, 238), (64, 4, 28), 256
SAID = dict(zip(VISEMES, VISEME_ACTIONS, strict=True))


def landmarks() -> FloatArray:
    """Lips about the middle of the lower face; only they and the nose count."""
    points = np.full((68, 2), 0.5, np.float32)
    angles = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    points[48:68] = np.stack([0.5 + 0.14 * np.cos(angles), 0.6 + 0.05 * np.sin(angles)], 1)
    points[33] = (0.5, 0.45)
    return points


def drawing() -> ByteArray:
    """A face of one colour with a line for a mouth."""
    face: ByteArray = np.empty((SIDE, SIDE, 3), np.uint8)
    face[:] = SKIN
    cv2.line(face, (100, 154), (156, 154), INK, 8, cv2.LINE_AA)
    return face


@pytest.fixture
def mouth() -> DrawnMouth:
    found = find_drawn_mouth(drawing(), landmarks())
    assert found is not None
    return found


def shown(mouth: DrawnMouth, viseme: str) -> tuple[ByteArray, ByteArray]:
    """Patch and what it looks like over the picture."""
    picture = cv2.resize(drawing(), (len(mouth.erased),) * 2, interpolation=cv2.INTER_AREA)
    patch = np.zeros((*picture.shape[:2], 4), np.uint8)
    patch[..., :3] = picture
    mouth.draw(SAID[viseme], patch)
    alpha = patch[..., 3:].astype(np.float32) / 255
    return patch, np.rint(patch[..., :3] * alpha + picture * (1 - alpha)).astype(np.uint8)


def height_of(picture: ByteArray) -> int:
    """Rows that are not skin in the middle column."""
    column = picture[:, len(picture) // 2].astype(int)
    return int((np.abs(column - SKIN).max(1) > 30).sum())


def test_mouth_of_a_drawing_is_found_where_it_is(mouth: DrawnMouth) -> None:
    assert np.hypot(mouth.middle[0] - 128, mouth.middle[1] - 154) < 3
    assert 55 < mouth.width < 72
    assert 7 < mouth.stroke <= 9.5
    assert not mouth.open_mouth


def test_own_mouth_is_left_alone_in_silence(mouth: DrawnMouth) -> None:
    patch, _ = shown(mouth, "sil")
    assert not patch[..., 3].any()


def test_vowels_open_and_lips_close(mouth: DrawnMouth) -> None:
    heights = {v: height_of(shown(mouth, v)[1]) for v in ("aa", "E", "SS", "PP")}
    assert heights["aa"] > heights["E"] > heights["SS"] > heights["PP"]
    assert heights["PP"] <= height_of(drawing()) + 2


def test_round_vowels_are_narrower(mouth: DrawnMouth) -> None:
    def width(viseme: str) -> int:
        picture = shown(mouth, viseme)[1].astype(int)
        return int((np.abs(picture - SKIN).max(2) > 30).any(0).sum())

    assert width("U") < 0.75 * width("I")


def test_nothing_of_the_own_mouth_shows_through(mouth: DrawnMouth) -> None:
    _, picture = shown(mouth, "U")
    corner = picture[150:158, 100:106].astype(int)
    assert np.abs(corner - SKIN).max() < 12


def test_smaller_patches_show_the_same(mouth: DrawnMouth) -> None:
    small = mouth.scaled(128)
    assert abs(height_of(shown(small, "aa")[1]) * 2 - height_of(shown(mouth, "aa")[1])) <= 4


def test_pictures_with_many_colours_are_not_drawings() -> None:
    shaded = drawing().astype(np.int16) + np.linspace(-40, 40, SIDE).astype(np.int16)[:, None, None]
    assert find_drawn_mouth(np.clip(shaded, 0, 255).astype(np.uint8), landmarks()) is None


def test_open_mouth_stays_above_the_chin() -> None:
    picture = drawing()
    cv2.line(picture, (60, 190), (196, 190), INK, 8, cv2.LINE_AA)
    near = find_drawn_mouth(picture, landmarks())
    assert near is not None
    assert 28 < near.room < 34
    patch = np.zeros((SIDE, SIDE, 4), np.uint8)
    patch[..., :3] = picture
    near.draw(SAID["aa"], patch)
    between = patch[181:185, 128, :3].astype(int)
    assert np.abs(between - SKIN).max() < 30
