"""Poses, mouths and presets."""

from pathlib import Path

import numpy as np
import pytest

from vcam_avatar.avatars.format import load_avatar
from vcam_avatar.avatars.layers import load_layers
from vcam_avatar.errors import ConfigError
from vcam_avatar.factory import presets
from vcam_avatar.factory.assets import AssetFolder
from vcam_avatar.factory.bodies import BodyShot
from vcam_avatar.factory.characters import CAST
from vcam_avatar.factory.expressions import VISEMES, FaceState, sample_face
from vcam_avatar.factory.gestures import HAND_SHAPES_FILE, finger_bends, sample_pose
from vcam_avatar.factory.looks import STYLES, sample_look
from vcam_avatar.factory.mouths import FACEGOOD_TO_ACTIONS, MOUTH_SHAPES_FILE, real_mouths, to_actions
from vcam_avatar.factory.renderer import Renderer
from vcam_avatar.factory.truth import keypoints_px, landmarks_px, legs_3d
from vcam_avatar.media import FACE_ACTIONS
from vcam_avatar.resources import models_dir


def test_no_hand_before_the_face(renderer: Renderer, shot: BodyShot) -> None:
    covered = 0
    for seed in range(12):
        posed = shot.pose(sample_pose(np.random.default_rng(seed), shot.person), FaceState({}, (0.0, 0.0)))
        face = landmarks_px(posed, shot.camera.matrix, 256, 256)
        low, high = face.min(0), face.max(0)
        hands = keypoints_px(posed, shot.camera.matrix, 256, 256)[15:, :2]
        covered += bool(((hands > low) & (hands < high)).all(1).any())
    assert covered <= 1


def test_a_straight_finger_has_no_bend_and_a_hook_has() -> None:
    hand = np.zeros((2, 21, 3), np.float32)
    for finger in range(5):
        for joint in range(4):
            hand[:, 1 + 4 * finger + joint] = (0.2 * (finger - 2), 1 + 0.4 * joint, 0)
    hand[1, 8] = hand[1, 7] + (0, 0, 0.4)
    bends = finger_bends(hand)
    assert bends.shape == (2, 5, 3)
    assert bends[0, 1:, 1:].max() < 0.01
    assert abs(float(bends[1, 1, 2]) - np.pi / 2) < 0.01
    with np.load(models_dir() / HAND_SHAPES_FILE) as stored:
        assert stored["bends_deg"].shape[1:] == (5, 3)


def test_mouths_of_real_speech() -> None:
    names = [*FACEGOOD_TO_ACTIONS, "tongue_u"]
    controls = np.zeros((2, len(names)), np.float32)
    controls[1, names.index("mouth_stretch_c")] = 0.5
    actions = to_actions(controls, names)
    assert actions[0].max() == 0
    assert actions[1, FACE_ACTIONS.index("jawOpen")] == pytest.approx(0.475)
    assert (models_dir() / MOUTH_SHAPES_FILE).is_file()
    assert len(real_mouths()) == 256
    assert all(name in FACE_ACTIONS for mouth in real_mouths() for name in mouth)


def test_faces_stay_in_range_and_cover_the_mouth() -> None:
    rng = np.random.default_rng(0)
    vectors = np.stack([sample_face(rng, (0.0, 0.0)).vector() for _ in range(400)])
    assert vectors.min() >= 0
    assert vectors.max() <= 1
    moved = (vectors > 0.3).mean(0)
    for name in ("jawOpen", "mouthPucker", "mouthFunnel", "mouthSmileLeft", "eyeBlinkLeft", "mouthRollLower"):
        assert moved[FACE_ACTIONS.index(name)] > 0.01, name
    assert set(VISEMES["aa"]) <= set(FACE_ACTIONS)


def test_looks_of_every_style(bare: AssetFolder) -> None:
    for style in STYLES:
        look = sample_look(np.random.default_rng(3), style, bare)
        assert (look.outline_px > 0) == (style in ("toon", "line"))
        assert (look.shading["ink"] > 0) == (style == "line")
    with pytest.raises(ValueError, match="known are"):
        sample_look(np.random.default_rng(0), "baroque", bare)


def test_legs_follow_the_hips(renderer: Renderer, shot: BodyShot) -> None:
    legs = legs_3d(shot.pose(shot.first, FaceState({}, (0.0, 0.0))))
    assert legs.shape == (10, 3)
    assert legs[0, 0] < 0 < legs[2, 0], "right knee, then left knee"
    assert legs[1, 1] < legs[0, 1], "ankles below knees"
    assert legs[6, 2] < legs[4, 2], "heels behind toes"


def test_a_preset_has_exact_layers(
    tmp_path: Path, renderer: Renderer, bare: AssetFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presets, "PICTURE_PX", 240)
    renderer.resize(240, 240, 1)
    who = next(c for c in CAST if c.name == "leo")
    folder = presets.export_preset(who, bare, tmp_path, renderer)
    avatar = load_avatar(folder)
    layers = load_layers(folder / "layers")
    assert avatar.settings.name == "Leo"
    assert layers.left is not None
    assert layers.right is not None
    shoulder, elbow = avatar.points_px[5, :2], avatar.points_px[6, :2]
    # The bone hangs nearly in the picture plane, so the strip's natural length is a little more.
    assert 0.9 < layers.left.upper.length_px / np.hypot(*(elbow - shoulder)) < 1.25
    core = layers.core_bgra[..., 3] > 127
    person = avatar.person_alpha > 127
    assert 0.4 < core.sum() / person.sum() < 0.95, "the arms are not in the core"
    eyes = avatar.face_px[36:48].round().astype(int)
    assert (
        layers.core_bgra[eyes[:, 1], eyes[:, 0], :3] == avatar.picture_bgr[eyes[:, 1], eyes[:, 0]]
    ).mean() > 0.9
    presets.export_preset(who, bare, tmp_path, renderer)
    toml = folder / "avatar.toml"
    toml.write_text(toml.read_text().replace(presets.SOURCE, "somebody else"))
    with pytest.raises(ConfigError, match="stays as it is"):
        presets.export_preset(who, bare, tmp_path, renderer)
