"""Figures drawn on one flat colour are told from it by the colour."""

import cv2
import numpy as np
import pytest

from vcam_avatar.avatars.face_shape import STANDARD_FACE
from vcam_avatar.avatars.flat_ground import flat_ground_mask
from vcam_avatar.media import ByteArray

FACE = (STANDARD_FACE * 40 + [160, 120]).astype(np.float32)
GROUND = (230, 240, 250)


def drawing(gap_px: int = 0) -> ByteArray:
    """A head with a white face inside a black line, on shoulders that reach the lower edge."""
    picture = np.full((400, 320, 3), GROUND, np.uint8)
    cv2.ellipse(picture, (160, 400), (120, 170), 0, 0, 360, (180, 90, 60), -1)
    cv2.ellipse(picture, (160, 130), (70, 90), 0, 0, 360, GROUND, -1)
    cv2.ellipse(picture, (160, 130), (70, 90), 0, 0, 360, (0, 0, 0), 5, cv2.LINE_AA)
    if gap_px:
        cv2.rectangle(picture, (225, 130), (240, 130 + gap_px - 1), GROUND, -1)
    return picture


def test_the_figure_is_found_even_where_it_has_the_grounds_colour() -> None:
    mask = flat_ground_mask(drawing(gap_px=2), FACE)
    assert mask is not None
    assert mask[130, 160] == 255  # the face, as white as the paper
    assert mask[390, 160] == 255
    assert mask[20, 20] == 0
    assert mask[130, 20] == 0
    # Soft at the edge, as the line is.
    row = mask[130, :160]
    assert ((row > 20) & (row < 235)).any()


def test_jpeg_noise_is_still_flat() -> None:
    noisy = cv2.imdecode(cv2.imencode(".jpg", drawing(), [cv2.IMWRITE_JPEG_QUALITY, 90])[1], cv2.IMREAD_COLOR)
    assert flat_ground_mask(np.asarray(noisy, np.uint8), FACE) is not None


@pytest.mark.parametrize("case", ["a room", "an open outline", "nothing drawn"])
def test_other_pictures_are_left_to_the_network(case: str) -> None:
    if case == "a room":
        picture = drawing()
        picture[:, :, 0] = np.linspace(80, 250, 320)
    elif case == "an open outline":
        picture = drawing(gap_px=30)
    else:
        picture = np.full((400, 320, 3), GROUND, np.uint8)
    assert flat_ground_mask(picture, FACE) is None
