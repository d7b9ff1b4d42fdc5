"""The speaking face of a cut-out stays on the person."""

import cv2
import numpy as np
import pytest

from vcam_avatar.avatars import find_avatar, load_avatar
from vcam_avatar.media import FACE_ACTIONS, Size, face_crop_matrix
from vcam_avatar.stages.face import NeuralFaceGenerator
from vcam_avatar.stages.face_picture import cut_crop


class NoSound:
    """Hears nothing."""

    def reset(self, seed):
        pass

    def listen(self, unit, muted=False):
        return np.zeros(52, np.float32)


@pytest.mark.parametrize("name", ["vex", "sana"])
def test_nothing_is_drawn_beside_the_head(name: str) -> None:
    avatar = load_avatar(find_avatar(name))
    face = NeuralFaceGenerator(NoSound())
    prepared = face.prepare(avatar, Size(1280, 720))
    expression = np.zeros(52, np.float32)
    expression[FACE_ACTIONS.index("jawOpen")] = 0.8
    patch = face.draw(prepared, expression).image_bgra
    person = cut_crop(avatar.person_alpha, face_crop_matrix(avatar.face_px), len(patch))
    beside = cv2.dilate(person, np.ones((9, 9), np.uint8)) == 0
    assert beside.sum() > 300
    assert patch[..., 3][beside].max() == 0
    assert patch[..., 3][person == 255].max() > 200
