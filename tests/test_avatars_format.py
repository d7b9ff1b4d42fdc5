"""The avatar folder: what is read, what is refused, what the message says."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from vcam_avatar.avatars import AvatarSettings, find_avatar, list_avatars, load_avatar
from vcam_avatar.avatars.format import write_avatar
from vcam_avatar.avatars.keypoints import BODY_NAMES, LEFT_HAND, Keypoints, make_keypoints, read_keypoints
from vcam_avatar.avatars.settings import BackgroundSettings, read_settings, write_settings
from vcam_avatar.errors import AvatarDataError
from vcam_avatar.media import Size


def example_keypoints(width: int = 320, height: int = 400) -> Keypoints:
    """A person without hands in the middle of a picture."""
    points = np.zeros((57, 3), np.float32)
    place = {
        "nose": (0, -60), "neck": (0, 0), "right_shoulder": (-50, 0), "left_shoulder": (50, 0),
        "right_elbow": (-60, 70), "left_elbow": (60, 70), "mid_hip": (0, 150),
    }  # fmt: skip
    for name, (x, y) in place.items():
        points[BODY_NAMES.index(name)] = width / 2 + x, height / 2 + y, 0.9
    face = np.zeros((68, 2), np.float32)
    face[:] = width / 2, height / 2 - 50
    face[36:42] = width / 2 - 12, height / 2 - 75
    face[42:48] = width / 2 + 12, height / 2 - 75
    face[48:60] = width / 2, height / 2 - 45
    return make_keypoints(Size(width, height), points, face)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    picture = np.zeros((400, 320, 4), np.uint8)
    cv2.ellipse(picture, (160, 300), (70, 130), 0, 0, 360, (90, 120, 200, 255), -1)
    cv2.circle(picture, (160, 140), 40, (150, 180, 220, 255), -1)
    write_avatar(tmp_path / "ana", AvatarSettings(name='Ana "the" \\ Great'), picture, example_keypoints())
    return tmp_path / "ana"


def test_written_is_read_back(folder: Path) -> None:
    avatar = load_avatar(folder)
    assert avatar.name == "ana"
    assert avatar.settings == AvatarSettings(name='Ana "the" \\ Great')
    assert avatar.picture_bgr.shape == (400, 320, 3)
    assert not avatar.has_background
    np.testing.assert_allclose(avatar.points_px, example_keypoints().points_px, atol=0.01)
    np.testing.assert_allclose(avatar.face_px, example_keypoints().face_px, atol=0.01)
    assert not avatar.keypoints.has_hand(LEFT_HAND)
    with pytest.raises(ValueError, match="read-only"):
        avatar.picture_bgr[0] = 0


def test_photo_needs_its_mask(folder: Path) -> None:
    cv2.imwrite(str(folder / "picture.png"), np.full((400, 320, 3), 99, np.uint8))
    with pytest.raises(AvatarDataError, match=r"mask.png is missing; run 'avatars repair ana'"):
        load_avatar(folder)
    cv2.imwrite(str(folder / "mask.png"), np.full((400, 320), 255, np.uint8))
    assert load_avatar(folder).has_background


DAMAGE = [
    ("picture.png", None, "picture.png is missing"),
    ("keypoints.json", None, "keypoints.json is missing"),
    ("avatar.toml", None, "avatar.toml is missing"),
    ("avatar.toml", lambda data: data + b"\nsurprise = 1\n", "gains.surprise: unknown key"),
    ("avatar.toml", lambda data: b"surprise = 1\n" + data, "surprise: unknown key"),
    ("avatar.toml", lambda data: data.replace(b"mouth = 1.0", b"mouth = nan"), r"gains.mouth: .*finite"),
    ("avatar.toml", lambda data: data.replace(b"mouth = 1.0", b"mouth = 7"), r"gains.mouth: .*less than"),
    ("avatar.toml", lambda data: data.replace(b"#00B140", b"green"), r"background.colour: .*#00B140"),
    (
        "avatar.toml",
        lambda data: data.replace(b'picture = ""', b'picture = "../../x.png"'),
        "without folders",
    ),
    ("avatar.toml", lambda data: b"\xff\xfe", "cannot be read"),
    ("picture.png", lambda data: b"GIF89a" + data, "is not a PNG picture"),
    ("picture.png", lambda data: data[: len(data) // 2], "is damaged"),
    ("picture.png", lambda data: data[:16] + b"\x00\x10\x00\x00" + data[20:], "1048576x400"),
    ("keypoints.json", lambda data: data.replace(b'"width": 320', b'"width": 322'), "is 320x400, but"),
    ("keypoints.json", lambda data: data.replace(b'"neck": [160', b'"neck": [NaN, 1'), "body.neck: expected"),
    ("keypoints.json", lambda data: data.replace(b'"neck": [160.0', b'"neck": [NaN'), "not a finite number"),
    ("keypoints.json", lambda data: data.replace(b'"neck": [160.0', b'"neck": [9e9'), "far outside"),
    ("keypoints.json", lambda data: data.replace(b'"neck"', b'"neckk"'), "body.neckk is not a known point"),
    ("keypoints.json", lambda data: data[:-20], "cannot be read"),
]


@pytest.mark.parametrize(("name", "change", "message"), DAMAGE)
def test_damage_is_named(folder: Path, name: str, change: object, message: str) -> None:
    path = folder / name
    if change is None:
        path.unlink()
    else:
        before = path.read_bytes()
        after = change(before)  # type: ignore[operator]
        assert after != before
        path.write_bytes(after)
    with pytest.raises(AvatarDataError, match=message):
        load_avatar(folder)


def test_background_picture_must_exist(folder: Path) -> None:
    back = BackgroundSettings(kind="picture", picture="wall.png")
    write_settings(folder / "avatar.toml", AvatarSettings(name="Ana", background=back))
    with pytest.raises(AvatarDataError, match=r"wall.png is missing"):
        load_avatar(folder)


def test_keypoints_file_is_one_point_a_line(folder: Path) -> None:
    text = (folder / "keypoints.json").read_text()
    assert '"neck": [160.0, 200.0, 0.9]' in text
    assert read_keypoints(folder / "keypoints.json").size == Size(320, 400)


def test_settings_survive_control_characters(tmp_path: Path) -> None:
    write_settings(tmp_path / "a.toml", AvatarSettings(name="a\nb\tc", licence="CC0"))
    assert read_settings(tmp_path / "a.toml").name == "a b c"


def test_found_by_name_path_and_not_at_all(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vcam_avatar.avatars.format.user_avatars_dir", lambda: folder.parent)
    monkeypatch.setattr("vcam_avatar.resources.presets_dir", lambda: folder.parent / "none")
    assert find_avatar("ana") == folder
    assert find_avatar(str(folder)) == folder
    with pytest.raises(AvatarDataError, match="did you mean ana"):
        find_avatar("anna")
    with pytest.raises(AvatarDataError, match="no avatar"):
        find_avatar("../ana")
    assert [(entry.name, entry.problem) for entry in list_avatars()] == [("ana", "")]
    (folder / "picture.png").unlink()
    assert "picture.png is missing" in list_avatars()[0].problem


def test_slots_come_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vcam_avatar.avatars.format.user_avatars_dir", lambda: folder.parent)
    monkeypatch.setattr("vcam_avatar.resources.presets_dir", lambda: folder.parent / "none")
    for name, slot in (("bea", 0), ("cid", 2), ("dan", 1)):
        (folder.parent / name).mkdir()
        write_settings(folder.parent / name / "avatar.toml", AvatarSettings(name=name, slot=slot))
    assert [entry.name for entry in list_avatars()] == ["dan", "cid", "ana", "bea"]


@pytest.mark.parametrize("framing", ["head", "bust", "half_body", "whole"])
@pytest.mark.parametrize("size", [Size(1280, 720), Size(720, 1280), Size(64, 64)])
def test_framing_keeps_the_face_in_and_the_cut_edge_out(folder: Path, framing: str, size: Size) -> None:
    points = example_keypoints()
    settings = AvatarSettings(name="x", framing=framing)
    from vcam_avatar.avatars.framing import view_matrix

    for cut in (False, True):
        view = view_matrix(points, settings, size, cut)
        eyes = view[:, :2] @ points.face_px[36:48].mean(0) + view[:, 2]
        assert 0 < eyes[0] < size.width_px
        assert 0 < eyes[1] < size.height_px
        if cut:
            assert view[1, 1] * 400 + view[1, 2] >= size.height_px - 0.01
