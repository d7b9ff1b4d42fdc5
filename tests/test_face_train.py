from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vcam_avatar.media import FACE_ACTIONS

# torch is imported inside the tests: collecting them must not need it.
pytestmark = pytest.mark.train

JAW = FACE_ACTIONS.index("jawOpen")


def sliding_faces(people: int = 6, expressions: int = 4) -> Any:
    """People whose lower half slides down by a tenth of the crop when the jaw opens fully."""
    from vcam_avatar.training.face_data import FaceSet

    rng = np.random.default_rng(1)
    side = 200
    shape = (people, expressions - 1, side, side)
    pictures = np.zeros((people, expressions, side, side, 3), np.uint8)
    actions = np.zeros((people, expressions, 52), np.float32)
    flow = np.zeros((*shape, 2), np.float16)
    inside = np.zeros(shape, np.uint8)
    landmarks = np.zeros((people, expressions, 68, 2), np.float32)
    landmarks[:, :, 36:48] = rng.uniform(0.2, 0.8, (12, 2)) * [1, 0.3]
    landmarks[:, :, 48:68] = rng.uniform((0.4, 0.5), (0.6, 0.7), (20, 2))
    for person in range(people):
        texture = np.kron(rng.integers(60, 200, (25, 25, 3)), np.ones((8, 8, 1))).astype(np.uint8)
        pictures[person, 0] = texture
        for e in range(1, expressions):
            actions[person, e, JAW] = rng.uniform(0.2, 1)
            drop = round(16 * float(actions[person, e, JAW]))
            moved = texture.copy()
            moved[100 + drop :] = texture[100 : 200 - drop]
            moved[100 : 100 + drop] = 10
            pictures[person, e] = moved
            flow[person, e - 1, 100 + drop :, :, 1] = -drop / 160
            inside[person, e - 1, 100 : 100 + drop] = 255
    visible = 255 - inside
    return FaceSet(pictures, actions, landmarks, flow, visible, inside, np.zeros_like(inside), 20)


def test_augmented_flow_still_leads_from_target_to_source() -> None:
    import torch

    from vcam_avatar.training.face_data import augmented_batch
    from vcam_avatar.training.face_net import sampling_grid

    faces = sliding_faces()
    batch = augmented_batch(faces, np.arange(4), 3, np.random.default_rng(0))
    source = batch.source.repeat_interleave(3, 0)
    warped = torch.nn.functional.grid_sample(
        source, sampling_grid(batch.flow), padding_mode="border", align_corners=False
    )
    sure = (batch.visible > 0.99) & (batch.inside < 0.01)
    inner = torch.zeros_like(sure)
    inner[..., 20:-20, 20:-20] = True
    sure &= inner
    by_flow = ((warped - batch.target).abs() * sure).sum() / sure.sum()
    by_copy = ((source - batch.target).abs() * sure).sum() / sure.sum()
    assert float(by_flow) < 0.7 * float(by_copy)


def test_the_average_face_explains_a_motion_that_all_share() -> None:
    from vcam_avatar.training.face import start_from_average
    from vcam_avatar.training.face_net import Decoder

    faces = sliding_faces()
    decoder = Decoder()
    start_from_average(decoder, faces)
    jaw = decoder.basis_whole.detach()[JAW].reshape(2, 40, 40)
    assert float(jaw[1, 32:].mean()) == pytest.approx(-1.0, abs=0.3), "a tenth of the crop, up"
    assert float(jaw[:, :16].abs().max()) < 0.1


def test_training_lowers_the_loss_resumes_and_exports(tmp_path: Path) -> None:
    import torch

    from vcam_avatar.training.face import FaceTrainer, held_out_loss, train
    from vcam_avatar.training.face_data import augmented_batch
    from vcam_avatar.training.face_export import export_face

    faces = sliding_faces()
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    trainer = FaceTrainer(1e-3)
    first = trainer.step(augmented_batch(faces, np.arange(4), 2, rng), 1.0, 1e-3)
    for _ in range(12):
        last = trainer.step(augmented_batch(faces, np.arange(4), 2, rng), 1.0, 1e-3)
    assert last["picture"] + last["hide"] < first["picture"] + first["hide"]
    trainer.save(tmp_path / "checkpoint.pt")
    resumed = train(faces, faces, tmp_path, minutes=0.02, faces_per_step=2, expressions_per_face=2)
    assert resumed.steps >= trainer.steps
    assert set(held_out_loss(*resumed.averaged(), faces, 2)) >= {"mouth_l1", "copy_l1"}
    files = export_face(*resumed.averaged(), tmp_path, people=6, minutes=0.1, metrics={})
    assert all(file.is_file() and file.with_suffix(".json").is_file() for file in files)


def test_what_runs_agrees_with_what_was_trained() -> None:
    import torch

    from vcam_avatar.training.face_net import Decoder, Encoder
    from vcam_avatar.training.face_runtime import RuntimeDecoder, RuntimeEncoder

    torch.manual_seed(1)
    encoder, decoder = Encoder().eval(), Decoder().eval()
    picture, maps, wanted = torch.rand(1, 3, 160, 160), torch.rand(1, 3, 160, 160), torch.rand(1, 52)
    with torch.no_grad():
        expected = decoder(*encoder(picture, maps), wanted)
        got = RuntimeDecoder(decoder)(*RuntimeEncoder(encoder, decoder)(picture, maps), wanted)
    for a, b in zip(expected, got, strict=True):
        assert float((a - b).abs().max()) < 1e-4


def test_mouth_classes_cover_nine_states() -> None:
    from vcam_avatar.training.face_data import mouth_class

    actions = np.zeros((3, 52), np.float32)
    actions[1, JAW] = 1
    actions[2, FACE_ACTIONS.index("mouthPucker")] = 1
    assert mouth_class(actions).tolist() == [1, 7, 2]


def test_a_critic_gains_nothing_by_calling_everything_false() -> None:
    import torch

    from vcam_avatar.training.face_losses import hinge_critic_loss

    same = [hinge_critic_loss(*(torch.full((4, 1), level) for _ in range(3))) for level in (-1.0, 0.0, 1.0)]
    assert max(same) - min(same) < 1e-5
    assert hinge_critic_loss(torch.ones(4), -torch.ones(4), -torch.ones(4)) < 1e-6
