"""People whose hands, torso or one arm the picture does not show."""

import cv2
import numpy as np
import pytest

from vcam_avatar import resources
from vcam_avatar.avatars.analysis import PictureAnalyser
from vcam_avatar.avatars.create import create_avatar
from vcam_avatar.avatars.format import load_avatar
from vcam_avatar.errors import AvatarError
from vcam_avatar.evaluation.body_hard import cut_pictures
from vcam_avatar.evaluation.body_poses import sheet_poses
from vcam_avatar.media import Size
from vcam_avatar.stages.body import BodyGenerator
from vcam_avatar.stages.hands import load_hand_mesh

SIZE = Size(640, 360)


@pytest.fixture(scope="module")
def analyser() -> PictureAnalyser:
    return PictureAnalyser()


@pytest.fixture(scope="module")
def generator() -> BodyGenerator:
    return BodyGenerator()


@pytest.mark.parametrize("name", ["no-hands", "cut-arm"])
def test_hands_that_the_picture_lacks_are_drawn_in_its_skin(name, analyser, generator, tmp_path):
    cv2.imwrite(str(tmp_path / f"{name}.png"), cut_pictures()[name])
    made = create_avatar(tmp_path / f"{name}.png", folder=tmp_path / "avatars", analyser=analyser)
    assert "--hands" in " ".join(made.notes)
    body = generator.prepare(load_avatar(made.folder), SIZE)
    poses = sheet_poses(load_hand_mesh(resources.models_dir() / "hand_mesh.npz"))
    rest = generator.generate(body, poses["rest"]).image_bgr.astype(float).copy()
    body.reset()
    pose = poses["before face"]
    raised = generator.generate(body, pose).image_bgr.astype(float)
    points = body.retargeter.to_pixels(pose) @ body.view[:, :2].T + body.view[:, 2]
    x, y = points[15:36].mean(0).astype(int)
    palm = raised[y - 4 : y + 5, x - 4 : x + 5].reshape(-1, 3).mean(0)
    assert palm[2] > palm[1] > palm[0]
    assert palm[2] > 110
    # Far from head and arms nothing changes.
    assert np.abs(raised[:, :60] - rest[:, :60]).max() <= 1


def test_a_bare_head_is_refused_with_a_remedy(analyser, tmp_path):
    cv2.imwrite(str(tmp_path / "head.png"), cut_pictures()["no-torso"])
    with pytest.raises(AvatarError, match=r"shoulders|chest|upper body"):
        create_avatar(tmp_path / "head.png", folder=tmp_path / "avatars", analyser=analyser)
