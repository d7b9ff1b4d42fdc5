"""The hand in 3D: kinematics, pixels, and the lift network that poses it."""

import numpy as np
import pytest

from vcam_avatar.errors import ModelError
from vcam_avatar.inference import load_network
from vcam_avatar.resources import models_dir
from vcam_avatar.stages.body_arm import FrontOrder, HandTrack, place_arm
from vcam_avatar.stages.body_paint import HandPainter, make_ramp, over
from vcam_avatar.stages.hands import (
    LOWER,
    UPPER,
    bone_matrices,
    forearm_matrix,
    hand_keypoints,
    load_hand_mesh,
)

MESH = load_hand_mesh(models_dir() / "hand_mesh.npz")
RAMP = make_ramp((120, 150, 210), (50, 70, 120), (-0.2, -0.5, 0.8))
EYE = np.eye(3, dtype=np.float32)


def turn(seed):
    q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return (q * np.sign(np.linalg.det(q))).astype(np.float32)


def paint(matrices, mirror=False, size=(240, 240), fade=(0.7, 0.8), wrist=(120.0, 170.0), until=9.0):
    painter = HandPainter(MESH)
    painter.pose(matrices, mirror, wrist, 60.0, RAMP)
    painted = painter.draw(size, fade, until)
    image = np.zeros((size[1], size[0], 3), np.uint8)
    if painted is not None:
        over(image, painted.image_bgra, painted.left_px, painted.top_px)
    return image, painted


def test_the_relaxed_hand_is_the_mesh_itself():
    points = hand_keypoints(MESH, bone_matrices(MESH, EYE, np.zeros(20, np.float32)))
    assert np.allclose(points[9], [0, -1, 0], atol=1e-5)
    assert np.allclose(points[[4, 8, 12, 16, 20]], MESH.tips, atol=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_bones_keep_their_lengths_in_every_pose(seed):
    rng = np.random.default_rng(seed)
    angles = (LOWER + (UPPER - LOWER) * rng.random(20)).astype(np.float32)
    posed = hand_keypoints(MESH, bone_matrices(MESH, turn(seed), angles))
    rest = hand_keypoints(MESH, bone_matrices(MESH, EYE, np.zeros(20, np.float32)))
    for finger in range(5):
        for k in range(3):
            a, b = 1 + 4 * finger + k, 2 + 4 * finger + k
            assert np.linalg.norm(posed[a] - posed[b]) == pytest.approx(
                np.linalg.norm(rest[a] - rest[b]), abs=1e-4
            )


def test_a_bent_finger_comes_to_the_palm_side():
    angles = np.zeros(20, np.float32)
    angles[[4, 6, 7]] = 0.5
    posed = hand_keypoints(MESH, bone_matrices(MESH, EYE, angles))
    # The palm looks at the viewer: towards it is negative z.
    assert posed[8, 2] < MESH.tips[1, 2] - 0.3
    assert posed[8, 1] > MESH.tips[1, 1] + 0.3


def test_the_forearm_reaches_the_elbow():
    towards = np.array([0.6, 0.64, 0.48], np.float32)
    rotation = turn(1)
    lower = forearm_matrix(MESH, rotation, towards, 1.3, 0.9)
    matrices = bone_matrices(MESH, rotation, np.zeros(20, np.float32), lower)
    elbow = matrices[0, :, :3] @ MESH.joints[0] + matrices[0, :, 3]
    assert np.allclose(elbow, towards * 1.3 * np.linalg.norm(MESH.joints[0]), atol=1e-4)


def test_right_hands_are_mirrored_left_hands():
    matrices = bone_matrices(MESH, turn(2), np.zeros(20, np.float32))
    left, _ = paint(matrices)
    right, _ = paint(matrices, mirror=True)
    difference = np.abs((left > 0).any(2)[:, ::-1].astype(int) - (right > 0).any(2).astype(int))
    # The crop starts at whole pixels: one row or column of edge pixels may differ.
    assert difference.mean() < 0.01
    assert (left > 0).any(2).sum() > 2000


def test_five_fingers_are_seen_on_an_open_hand():
    angles = np.zeros(20, np.float32)
    angles[[0, 4, 8, 12, 16]] = -0.3
    angles[[6, 10, 14, 18]] = -0.3
    image, _ = paint(bone_matrices(MESH, EYE, angles))
    row = (image[int(170 - 1.25 * 60)] > 0).any(1).astype(int)
    assert (np.diff(row) == 1).sum() >= 4
    posed = hand_keypoints(MESH, bone_matrices(MESH, EYE, angles))[:, :2] * 60 + [120, 170]
    for tip in (4, 8, 12, 16, 20):
        x, y = (posed[tip] * 0.7 + posed[tip - 1] * 0.3).astype(int)
        assert (image[y, x] > 0).any(), tip


def test_edges_are_soft_and_the_wrist_fades_in():
    _, painted = paint(bone_matrices(MESH, EYE, np.zeros(20, np.float32)))
    alpha = painted.image_bgra[..., 3]
    assert ((alpha > 20) & (alpha < 235)).sum() > 100
    assert (painted.image_bgra[..., :3].max(2) <= alpha).all()


def test_what_lies_outside_the_frame_is_cut_off():
    matrices = bone_matrices(MESH, EYE, np.zeros(20, np.float32))
    assert paint(matrices, wrist=(1000.0, 1000.0))[1] is None
    _, painted = paint(matrices, wrist=(5.0, 60.0))
    assert painted.left_px == 0
    assert painted.top_px == 0


def test_the_forearm_alone_can_be_drawn():
    matrices = bone_matrices(MESH, EYE, np.zeros(20, np.float32))
    image, _ = paint(matrices, fade=(-0.1, 0.0), until=1.0, wrist=(120.0, 80.0))
    assert (image[120:200, 90:160] > 0).any()
    assert not (image[:40] > 0).any()


def test_lift_finds_the_hand_again():
    lift = load_network("hand_lift")
    rng = np.random.default_rng(5)
    errors = []
    for seed in range(40):
        angles = np.clip(rng.normal(0.3, 0.35, 20), LOWER, UPPER).astype(np.float32)
        angles[1::4] *= 0.2
        rotation = turn(seed)
        matrices = bone_matrices(MESH, rotation, angles)
        truth = hand_keypoints(MESH, matrices)
        arm = rotation @ (MESH.joints[0] / np.linalg.norm(MESH.joints[0]))
        if arm[2] < 0:
            continue
        out = lift.run(
            {"points": np.stack([truth[:, :2]] * 2), "forearm": np.stack([arm] * 2).astype(np.float32)}
        )
        guess = hand_keypoints(MESH, bone_matrices(MESH, out["rotation"][0], out["angles"][0]))
        errors.append(np.linalg.norm(guess - truth, axis=1).mean())
        assert (out["angles"] >= LOWER - 1e-4).all()
        assert (out["angles"] <= UPPER + 1e-4).all()
    assert len(errors) > 10
    assert np.median(errors) < 0.15


def test_tracking_is_calm_at_rest_and_quick_in_motion():
    track, rng = HandTrack(), np.random.default_rng(0)
    still = [track.follow(EYE, rng.normal(0, 0.1, 20).astype(np.float32))[1].copy() for _ in range(60)]
    assert np.std(still[10:], 0).mean() < 0.07
    fast = HandTrack()
    fast.follow(EYE, np.zeros(20, np.float32))
    for _ in range(14):
        rotation, angles = fast.follow(turn(3), np.full(20, 1.0, np.float32))
    assert np.trace(rotation.T @ turn(3)) > 2.9
    assert np.allclose(rotation @ rotation.T, EYE, atol=1e-5)
    assert angles.min() > 0.85


def test_a_single_wrong_frame_is_hardly_seen():
    track = HandTrack()
    track.follow(EYE, np.zeros(20, np.float32))
    flipped = np.diag([-1.0, 1.0, -1.0]).astype(np.float32)
    rotation, _ = track.follow(flipped, np.zeros(20, np.float32))
    assert np.degrees(np.arccos((np.trace(rotation) - 1) / 2)) < 10
    for _ in range(5):
        rotation, _ = track.follow(EYE, np.zeros(20, np.float32))
    assert np.trace(rotation) > 2.99


def test_short_forearms_point_at_the_viewer():
    arm = place_arm(np.array([0.0, 0]), np.array([0.0, 100]), np.array([30.0, 100]), 100.0, 100.0)
    assert arm.towards_elbow[2] == pytest.approx(np.sqrt(1 - 0.09), abs=1e-5)
    assert arm.wrist[2] < arm.elbow[2] <= 0
    assert np.linalg.norm(arm.towards_elbow) == pytest.approx(1, abs=1e-6)


def test_the_front_arm_changes_only_when_clearly_nearer():
    order = FrontOrder()
    assert order.decide(0.0, -0.05, 0.1) == ("right", "left")
    assert order.decide(0.0, -0.2, 0.1) == ("left", "right")
    assert order.decide(0.0, 0.05, 0.1) == ("left", "right")
    assert order.decide(0.0, 0.2, 0.1) == ("right", "left")


def test_a_missing_mesh_says_what_to_do(tmp_path):
    with pytest.raises(ModelError, match="install the package again"):
        load_hand_mesh(tmp_path / "none.npz")


def test_what_points_at_the_viewer_looks_larger():
    fingers = MESH.joints[8] / np.linalg.norm(MESH.joints[8])
    side = np.cross(fingers, [0.0, 0.0, 1.0])
    side /= np.linalg.norm(side)
    own = np.stack([side, fingers, np.cross(side, fingers)], 1)
    areas = []
    for direction in (-1.0, 1.0):
        wanted = np.stack([[1.0, 0, 0], [0, 0, direction], np.cross([1.0, 0, 0], [0, 0, direction])], 1)
        matrices = bone_matrices(MESH, (wanted @ own.T).astype(np.float32), np.zeros(20, np.float32))
        areas.append(int((paint(matrices, fade=(0.95, 0.97))[1].hand > 127).sum()))
    assert areas[0] > 1.15 * areas[1]
