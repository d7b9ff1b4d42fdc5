"""Every kind of background at every size; the frame's size never varies."""

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
from test_avatars_format import example_keypoints

from vcam_avatar.avatars import Avatar, AvatarSettings, load_avatar
from vcam_avatar.avatars.create import still
from vcam_avatar.avatars.format import write_avatar
from vcam_avatar.avatars.layers import Layers
from vcam_avatar.avatars.settings import BackgroundSettings
from vcam_avatar.media import Size
from vcam_avatar.stages.body_background import make_background

SIZE = Size(256, 144)


@pytest.fixture
def photo(tmp_path: Path) -> tuple[Avatar, Layers]:
    """A grey person in front of a picture that is red on the left and blue on the right."""
    picture = np.zeros((400, 320, 3), np.uint8)
    picture[:, :160] = 0, 0, 200
    picture[:, 160:] = 200, 0, 0
    plate = picture.copy()
    mask = np.zeros((400, 320), np.uint8)
    cv2.ellipse(mask, (160, 300), (60, 160), 0, 0, 360, 255, -1)
    picture[mask > 0] = 128
    write_avatar(tmp_path / "ana", AvatarSettings(name="Ana"), picture, example_keypoints(), mask)
    wall = np.full((100, 400, 3), 90, np.uint8)
    wall[:, :200] = 250
    cv2.imwrite(str(tmp_path / "ana" / "wall.jpg"), wall)
    core = np.dstack([picture, mask])
    return load_avatar(tmp_path / "ana"), Layers(Size(320, 400), core, plate, None, None)


def with_settings(avatar: Avatar, **changes: object) -> Avatar:
    settings = AvatarSettings.model_validate({**avatar.settings.model_dump(), **changes})
    return dataclasses.replace(avatar, settings=settings)


@pytest.mark.parametrize("kind", ["keep", "blur", "colour", "transparent", "picture"])
@pytest.mark.parametrize("size", [SIZE, Size(144, 256), Size(854, 480)])
def test_every_kind_fills_the_frame(photo: tuple[Avatar, Layers], kind: str, size: Size) -> None:
    avatar, layers = photo
    background = BackgroundSettings(kind=kind, picture="wall.jpg", colour="#102030")  # type: ignore[arg-type]
    image = make_background(with_settings(avatar, background=background.model_dump()), layers, size)
    assert image.shape == (size.height_px, size.width_px, 3)
    assert image.dtype == np.uint8
    if kind in ("colour", "transparent"):
        assert (image == (0x30, 0x20, 0x10)).all()
    if kind in ("keep", "blur"):
        left, right = image[5, 2].astype(int), image[5, -3].astype(int)
        # Near the frame's edges the picture goes on, in its own colours.
        assert max(left[[0, 2]]) > 100
        assert max(right[[0, 2]]) > 100


def test_background_pictures_are_not_mirrored(photo: tuple[Avatar, Layers]) -> None:
    avatar, layers = photo
    background = {"kind": "picture", "picture": "wall.jpg"}
    plain = still(with_settings(avatar, background=background), layers, SIZE)
    mirrored = still(with_settings(avatar, background=background, mirror=True), layers, SIZE)
    for image in (plain, mirrored):
        assert image[5, 5, 1] > 200
        assert image[5, -5, 1] < 120


def test_mirroring_flips_person_and_own_background(photo: tuple[Avatar, Layers]) -> None:
    avatar, layers = photo
    plain = still(avatar, layers, SIZE).astype(int)
    mirrored = still(with_settings(avatar, mirror=True), layers, SIZE).astype(int)
    assert np.abs(plain - mirrored[:, ::-1]).max() <= 1
    assert np.abs(plain - mirrored).max() > 100


def test_scale_and_position_move_the_person(photo: tuple[Avatar, Layers]) -> None:
    avatar, _ = photo
    plain = avatar.view(SIZE)
    larger = with_settings(avatar, scale=2.0).view(SIZE)
    assert larger[0, 0] == pytest.approx(2 * plain[0, 0])
    tops = [view[1, 1] * avatar.head_top_px + view[1, 2] for view in (plain, larger)]
    assert tops[1] == pytest.approx(tops[0], abs=1)
    assert tops[0] > 0
    shifted = with_settings(avatar, position=(0.25, -0.125)).view(SIZE)
    np.testing.assert_allclose(shifted[:, 2] - plain[:, 2], [36, -18], atol=1e-3)
    flipped = with_settings(avatar, position=(0.25, 0), mirror=True).view(SIZE)
    assert flipped[0, 2] - plain[0, 2] == pytest.approx(-36)
