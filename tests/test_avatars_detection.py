"""Regions, anchors, suppression, and agreement with the original implementation of the networks."""

import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from vcam_avatar.avatars.analysis import PictureAnalyser
from vcam_avatar.avatars.detection import Region, crop, facing_region, make_anchors, merge
from vcam_avatar.avatars.mesh import landmarks68, mirrored68
from vcam_avatar.avatars.people import PeopleReader, to_keypoints

skimage_data = pytest.importorskip("skimage.data")
GOLDEN = Path(__file__).parent / "golden" / "astronaut_mediapipe.npz"


@pytest.fixture(scope="module")
def reader() -> PeopleReader:
    return PeopleReader()


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    return np.ascontiguousarray(skimage_data.astronaut())


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(GOLDEN) as file:
        return dict(file)


def test_a_crop_shows_what_its_region_says() -> None:
    picture = np.zeros((200, 300, 3), np.uint8)
    cv2.circle(picture, (180, 90), 4, (255, 255, 255), -1)
    region = Region(160, 80, 100, 0.4)
    part = crop(picture, region, 64)
    y, x = np.argwhere(part[..., 0] > 200).mean(0)
    back = region.to_picture(np.array([[x, y]]), 64)[0]
    np.testing.assert_allclose(back, [180, 90], atol=0.7)


def test_large_pictures_are_averaged_before_sampling() -> None:
    picture = np.zeros((1024, 1024, 3), np.uint8)
    picture[::2] = 255
    part = crop(picture, Region(512, 512, 1024), 128)
    assert abs(float(part[8:-8, 8:-8].mean()) - 127.5) < 2
    assert part[8:-8, 8:-8].std() < 8


def test_anchors_are_cell_centres_in_order() -> None:
    anchors = make_anchors(8, [4, 8], [2, 1])
    expected = [[0.25, 0.25], [0.25, 0.25], [0.75, 0.25], [0.75, 0.25]]
    np.testing.assert_allclose(anchors[:4], expected)
    np.testing.assert_allclose(anchors[-1], [0.5, 0.5])
    assert len(anchors) == 9


def test_overlapping_boxes_become_their_weighted_mean() -> None:
    rows = np.array([[0, 0, 10, 10, 1, 1], [1, 0, 11, 10, 3, 1], [50, 50, 60, 60, 9, 9]], np.float32)
    groups = merge(np.array([0.6, 0.9, 0.5], np.float32), rows)
    assert [score for score, _ in groups] == pytest.approx([0.9, 0.5])
    np.testing.assert_allclose(groups[0][1], [0.6, 0, 10.6, 10, 2.2, 1], atol=1e-5)


def test_facing_region_turns_with_the_eyes() -> None:
    tilt = math.radians(20)
    corners = np.array([[0, 0], [100, 100]], float)
    region = facing_region(
        corners, np.array([0.0, 0.0]), np.array([math.cos(tilt), math.sin(tilt)]), 0.0, 1.5
    )
    assert region.angle == pytest.approx(tilt)
    assert (region.x_px, region.y_px) == pytest.approx((50, 50))


def test_face_mesh_agrees_with_the_original(
    reader: PeopleReader, astronaut: np.ndarray, golden: dict[str, np.ndarray]
) -> None:
    face = reader.faces(astronaut)[0]
    distance = np.hypot(*(face.mesh_px - golden["face"]).T)
    assert face.presence > 0.9
    # Eyes and mouth are 44 px apart here; the first look differs, as two passes are made.
    assert distance.mean() < 1.0
    assert distance.max() < 4.0


def test_body_agrees_with_the_original(
    reader: PeopleReader, astronaut: np.ndarray, golden: dict[str, np.ndarray]
) -> None:
    body = reader.bodies(astronaut)[0]
    seen = golden["visibility"][:13] > 0.8
    distance = np.hypot(*(body.points_px[:13, :2] - golden["body"][:13]).T)[seen]
    assert distance.mean() < 8
    points = to_keypoints(body, None, None)
    np.testing.assert_allclose(points[1, :2], points[[2, 5], :2].mean(0), atol=1e-3)
    assert (points[15:] == 0).all()


def test_landmarks_keep_the_order_of_the_face(reader: PeopleReader, astronaut: np.ndarray) -> None:
    face = landmarks68(reader.faces(astronaut)[0].mesh_px)
    assert (np.diff(face[:8, 1]) > 0).all()
    assert (np.diff(face[8:17, 1]) < 0).all()
    assert (np.diff(face[17:27, 0]) > 0).all()
    assert (np.diff(face[27:31, 1]) > 0).all()
    assert (np.diff(face[48:55, 0]) > 0).all()
    assert (face[61:64, 1] < face[65:68, 1][::-1]).all()
    mirrored = mirrored68(face, 512)
    np.testing.assert_allclose(mirrored68(mirrored, 512), face, atol=1e-3)
    seen = landmarks68(reader.faces(np.ascontiguousarray(astronaut[:, ::-1]))[0].mesh_px)
    assert np.hypot(*(mirrored - seen).T).mean() < 3


def test_a_turned_face_is_found_as_well(reader: PeopleReader, astronaut: np.ndarray) -> None:
    turn = cv2.getRotationMatrix2D((220, 200), 30, 1)
    turned = cv2.warpAffine(astronaut, turn, (512, 512))
    plain = landmarks68(reader.faces(astronaut)[0].mesh_px)
    seen = landmarks68(reader.faces(turned)[0].mesh_px)
    expected = plain @ turn[:, :2].T + turn[:, 2]
    assert np.hypot(*(seen - expected).T).mean() < 3


def test_nobody_in_a_cup_of_coffee(reader: PeopleReader) -> None:
    picture = np.ascontiguousarray(skimage_data.coffee())
    assert reader.faces(picture) == []
    assert reader.find_hands(picture) == []


def test_person_mask_agrees_with_the_original(
    reader: PeopleReader, astronaut: np.ndarray, golden: dict[str, np.ndarray]
) -> None:
    found = PictureAnalyser(1).analyse(np.ascontiguousarray(astronaut[..., ::-1]))
    ours = cv2.resize(found.mask, (64, 64), interpolation=cv2.INTER_AREA) > 127
    theirs = golden["mask"] > 127
    assert (ours & theirs).sum() / (ours | theirs).sum() > 0.88
