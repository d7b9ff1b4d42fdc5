"""Annotations against the picture and against independent arithmetic."""

import cv2
import numpy as np
import pytest

from vcam_avatar.factory.assets import AssetFolder
from vcam_avatar.factory.bodies import LAYERS, BodyShot, composite, layer_cuts, owner_of, owners
from vcam_avatar.factory.expressions import VISEMES, FaceState, neutral_face
from vcam_avatar.factory.faces import load_person, visible_in_source
from vcam_avatar.factory.gestures import sample_pose
from vcam_avatar.factory.human import human_model
from vcam_avatar.factory.renderer import Renderer, crop_projection, project
from vcam_avatar.factory.scene import over
from vcam_avatar.factory.truth import (
    PARTS,
    full_body_px,
    keypoints_3d,
    keypoints_px,
    landmark_anchors,
    landmarks_3d,
    landmarks_px,
)

GREY = np.full((256, 256, 3), 90, np.uint8)
STILL = FaceState({}, (0.0, 0.0))


def test_keypoints_agree_with_an_independent_projection(shot: BodyShot) -> None:
    posed = shot.pose(shot.first, STILL)
    points = keypoints_3d(posed).astype(np.float64)
    # A pinhole camera written down from the eye, without any 4x4 matrix.
    eye, view = shot.camera.eye.astype(np.float64), shot.camera.view.astype(np.float64)
    right = np.cross([0, 1, 0], view)
    right /= np.linalg.norm(right)
    up = np.cross(view, right)
    offset = points - eye
    ahead = -offset @ view
    focal = 128 / np.tan(0.30 / 2)
    by_hand = np.stack([128 + focal * (offset @ right) / ahead, 128 - focal * (offset @ up) / ahead], 1)
    found = keypoints_px(posed, shot.camera.matrix, 256, 256)
    assert np.abs(found[:, :2] - by_hand).max() < 0.5


def test_keypoints_have_the_documented_order(shot: BodyShot) -> None:
    p = keypoints_px(shot.pose(shot.first, STILL), shot.camera.matrix, 256, 256)
    assert p.shape == (57, 3)
    assert p[2, 0] < p[1, 0] < p[5, 0], "the person's right shoulder lies left in the picture"
    assert p[0, 1] < p[1, 1] < p[8, 1], "nose above neck above hip"
    assert p[11, 0] < p[12, 0], "right eye, then left eye"
    assert np.hypot(*(p[15] - p[7])[:2]) < 12, "the left hand starts at the left wrist"
    assert np.hypot(*(p[36] - p[4])[:2]) < 12, "the right hand starts at the right wrist"


def test_landmarks_lie_on_their_triangles_and_their_features(shot: BodyShot) -> None:
    index, weight = landmark_anchors()
    assert index.shape == weight.shape == (68, 3)
    assert np.abs(weight.sum(1) - 1).max() < 1e-4
    assert weight.min() >= 0
    posed = shot.pose(shot.first, STILL)
    corner = project(posed.positions[index].reshape(-1, 3), shot.camera.matrix, 512, 512)[:, :2].reshape(
        68, 3, 2
    )
    flat = np.einsum("ik,ikd->id", weight, corner)
    assert np.abs(landmarks_px(posed, shot.camera.matrix, 512, 512) - flat).max() < 1.0
    rest = np.einsum("ik,ikd->id", weight, human_model().vertices[index])
    assert (
        np.abs(
            rest[36:42].mean(0)[:2] - human_model().centre(human_model().vertices, "helper-r-eye")[:2]
        ).max()
        < 0.06
    )
    mirrored = rest[[16, 26, 45, 54, 42]] * np.array([-1, 1, 1])
    assert np.abs(mirrored - rest[[0, 17, 36, 48, 39]]).max() < 0.06


def test_an_open_mouth_parts_the_lip_landmarks(shot: BodyShot) -> None:
    def gap(actions: dict[str, float]) -> float:
        p = landmarks_3d(shot.pose(shot.first, FaceState(actions, (0.0, 0.0))))
        return float(p[62, 1] - p[66, 1])

    assert gap(VISEMES["aa"]) > gap({}) + 0.15
    assert abs(gap(VISEMES["PP"])) < 0.09


def test_flow_brings_the_source_to_the_target(renderer: Renderer, shot: BodyShot) -> None:
    pose = sample_pose(np.random.default_rng(2), shot.person)
    before, after = shot.pose(shot.first, STILL), shot.pose(pose, STILL)
    source = shot.draw(renderer, before, STILL)
    target = shot.draw(renderer, after, STILL, before)
    assert target.flow is not None
    seen = visible_in_source(target.flow, source, 0.10 * shot.camera.depth_per_dm)
    # Away from edges, where neighbouring pixels come from different surfaces.
    inner = cv2.erode(seen.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    # The gaze turns the iris and the shine moves over the hair; neither is motion of the surface.
    inner &= ~np.isin(target.part, [PARTS.index(n) for n in ("hair", "iris", "eye_white")])
    where = (target.flow[..., :2] - 0.5).astype(np.float32)
    warped = cv2.remap(over(source.rgba, GREY), where[..., 0], where[..., 1], cv2.INTER_LINEAR)
    error = (warped.astype(float) - over(target.rgba, GREY))[inner]
    assert inner.mean() > 0.1
    assert 10 * np.log10(255**2 / (error**2).mean()) > 30


def test_layers_in_order_give_the_picture_back(renderer: Renderer, shot: BodyShot) -> None:
    posed = shot.pose(sample_pose(np.random.default_rng(3), shot.person), STILL)
    whole = shot.draw(renderer, posed, STILL)
    layers = {n: shot.draw(renderer, posed, STILL, None, cut) for n, cut in layer_cuts().items()}
    joined = composite({n: layers[n].rgba for n in LAYERS}, owners(layers))
    difference = np.abs(over(joined, GREY).astype(int) - over(whole.rgba, GREY).astype(int))
    assert difference.mean() <= 2
    assert (layers["core"].rgba[..., 3] > 0).sum() > 5000


def test_the_same_camera_draws_into_a_crop(renderer: Renderer, shot: BodyShot) -> None:
    posed = shot.pose(shot.first, neutral_face((0.0, 0.0)))
    crop = np.array([[64, 0, 96], [0, 64, 40]], np.float32)
    matrix = crop_projection(shot.camera.matrix, 256, 256, crop)
    inside = project(keypoints_3d(posed), matrix, 256, 256)[:, :2]
    whole = keypoints_px(posed, shot.camera.matrix, 256, 256)[:, :2]
    assert np.abs(inside / 256 @ crop[:, :2].T + crop[:, 2] - whole).max() < 0.01


def test_nothing_that_shows_is_left_out(
    renderer: Renderer, bare: AssetFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = []
    counts = []
    for leave_out in (True, False):
        if not leave_out:
            monkeypatch.setattr(
                "vcam_avatar.factory.person.never_seen", lambda faces, *_, **__: np.zeros(len(faces), bool)
            )
        renderer.resize(256, 256, 2)
        shots = [BodyShot(np.random.default_rng(seed), "mixed", bare, 256) for seed in (4, 5, 6, 9)]
        for one in shots:
            load_person(renderer, one.person)
            posed = one.pose(one.first, STILL)
            pictures.append(one.draw(renderer, posed, STILL).rgba)
            counts.append(len(one.person.faces))
    for few, all_of_them in zip(pictures[:4], pictures[4:], strict=True):
        assert np.abs(few.astype(int) - all_of_them).max() <= 2
    assert sum(counts[:4]) < 0.9 * sum(counts[4:]), "clothes hide a part of the body"


def test_owners_are_the_same_from_layers_and_from_parts(renderer: Renderer, shot: BodyShot) -> None:
    posed = shot.pose(sample_pose(np.random.default_rng(3), shot.person), STILL)
    layers = {n: shot.draw(renderer, posed, STILL, None, cut) for n, cut in layer_cuts().items()}
    by_parts = owner_of(shot.draw(renderer, posed, STILL))
    differ = (owners(layers) != by_parts) & (by_parts > 0)
    assert differ.mean() < 0.003, "only along edges"
    assert {1, 2, 3} <= set(np.unique(by_parts).tolist())


def test_the_full_body_has_67_points(shot: BodyShot) -> None:
    posed = shot.pose(shot.first, STILL)
    p = full_body_px(posed, shot.camera.matrix, 256, 256)
    assert p.shape == (67, 3)
    assert np.array_equal(p[:57], keypoints_px(posed, shot.camera.matrix, 256, 256))
    assert (p[57:, 1] > p[8, 1]).all(), "legs lie below the hip"


def test_the_hair_shell_has_no_slits(renderer: Renderer, bare: AssetFolder) -> None:
    renderer.resize(256, 256, 2)
    slits = []
    for seed in range(8):
        shot = BodyShot(np.random.default_rng(seed), "flat", bare, 256)
        load_person(renderer, shot.person)
        posed = shot.pose(sample_pose(np.random.default_rng(seed), shot.person), STILL)
        seen = shot.draw(renderer, posed, STILL).rgba[..., 3] > 127
        eyes = int(landmarks_px(posed, shot.camera.matrix, 256, 256)[36:48, 1].mean())
        head = np.pad(seen[:eyes].astype(np.uint8), 8)
        closed = cv2.morphologyEx(head, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
        slits.append(int((closed > head).sum()))
    # Notches of the outline remain; strips of hair that did not meet left 30 to 110 pixels.
    assert np.median(slits) < 20, slits
