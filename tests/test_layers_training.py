"""Training of the layer network: its data, a few steps, and what is exported."""

import numpy as np
import pytest

from vcam_avatar.avatars.layers_parts import CHANNELS, PARTS, SIDE_PX
from vcam_avatar.factory.truth import PARTS as MATERIALS

pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
torch = pytest.importorskip("torch")

from vcam_avatar.training.layers_data import (  # noqa: E402
    UNKNOWN,
    LayerSet,
    make_example,
    part_labels,
    plain_example,
)


def people(count=4):
    """A box person with two box arms, arms and hands of different colours."""
    size = (count, SIDE_PX, SIDE_PX)
    rgba, label = np.zeros((*size, 4), np.uint8), np.zeros(size, np.uint8)
    boxes = (
        (1, 30, 90, 100, 156), (2, 90, 256, 80, 176), (3, 100, 200, 50, 80), (5, 200, 230, 50, 80),
        (6, 100, 200, 176, 206), (8, 200, 230, 176, 206),
    )  # fmt: skip
    for part, top, bottom, left, right in boxes:
        rgba[:, top:bottom, left:right] = (20 * part, 240 - 20 * part, 100, 255)
        label[:, top:bottom, left:right] = part
    core = np.isin(label, (1, 2)).astype(np.uint8) * 255
    points = np.zeros((57, 3), np.float32)
    points[:, :2] = SIDE_PX / 2
    points[[0, 1, 2, 3, 4, 5, 6, 7]] = [
        (128, 60, 1), (128, 95, 1), (75, 105, 1), (65, 150, 1), (65, 200, 1), (181, 105, 1), (191, 150, 1),
        (191, 200, 1),
    ]  # fmt: skip
    return LayerSet(
        rgba, label, core, np.arange(count) % 2 == 0, np.repeat(points[None], count, 0),
        np.zeros((count, 68, 2), np.float32),
    )  # fmt: skip


def test_materials_and_owners_become_parts():
    materials = np.array(
        [[MATERIALS.index(n) for n in ("background", "hair", "clothes", "sleeve", "hand")]], np.uint8
    )
    owner = np.array([[0, 1, 1, 3, 2]], np.uint8)
    names = [PARTS[k] for k in part_labels(materials, owner)[0]]
    assert names == ["background", "head", "torso", "left_sleeve", "right_hand"]


def test_pixels_of_a_clip_belong_to_the_nearer_arm_or_to_nobody():
    from vcam_avatar.training.layers_clips import labels_by_bones

    data = people(1)
    sleeve = MATERIALS.index("sleeve")
    materials = np.full((SIDE_PX, SIDE_PX), MATERIALS.index("clothes"), np.uint8)
    materials[140:180, 55:75] = materials[140:180, 180:200] = sleeve
    points = data.points[0].copy()
    points[36:57, :2], points[15:36, :2] = points[4, :2] + [0, 20], points[7, :2] + [0, 20]
    label = labels_by_bones(materials, points)
    assert (label[140:180, 55:75] == PARTS.index("right_sleeve")).all()
    assert (label[140:180, 180:200] == PARTS.index("left_sleeve")).all()
    points[[3, 4, 6, 7], 0] = 128  # both forearms in the middle
    points[15:, 0] = 128
    materials[150:190, 120:136] = sleeve
    assert (labels_by_bones(materials, points)[150:190, 120:136] == UNKNOWN).all()


def test_examples_are_reproducible_and_know_what_they_do_not_know():
    data = people()
    first, again = (make_example(data, 0, np.random.default_rng(5)) for _ in range(2))
    assert first.planes.shape == (CHANNELS, SIDE_PX, SIDE_PX)
    assert np.array_equal(first.planes, again.planes)
    assert np.array_equal(first.label, again.label)
    assert not np.array_equal(first.planes, make_example(data, 0, np.random.default_rng(6)).planes)
    shrunk = [make_example(data, 0, np.random.default_rng(seed)) for seed in range(8)]
    around = np.concatenate([e.label[e.planes[4] == 0] for e in shrunk])
    assert len(around) > 1000
    assert (around == UNKNOWN).mean() > 0.95
    assert (make_example(data, 1, np.random.default_rng(5)).core == -1).all()


def test_a_mirrored_person_has_left_and_right_exchanged():
    data = people()
    data.label[:, :10, :10] = UNKNOWN
    seen = set()
    for seed in range(12):
        example = make_example(data, 0, np.random.default_rng(seed))
        where = {part: np.nonzero(example.label == part)[1].mean() for part in (3, 6)}
        # The person's right is on the left of the picture, mirrored or not.
        assert where[3] < where[6]
        colour = example.planes[:3][:, example.label == 2]
        seen.add(bool(colour.size))
    assert seen == {True}


def test_a_few_steps_teach_something_and_a_checkpoint_goes_on(tmp_path):
    from vcam_avatar.training.layers_train import LayerTrainer

    torch.manual_seed(0)
    data = people(2)
    trainer = LayerTrainer(3e-3)
    examples = [plain_example(data, row) for row in (0, 1)]
    losses = [trainer.step(examples, 1.0) for _ in range(8)]
    assert losses[-1] < 0.75 * losses[0]
    trainer.save(tmp_path / "checkpoint.pt")
    other = LayerTrainer(3e-3, seed=9)
    other.load(tmp_path / "checkpoint.pt")
    assert other.steps == 8
    assert other.step(examples, 1.0) == pytest.approx(trainer.step(examples, 1.0), rel=1e-3)


def test_the_export_says_what_torch_says_and_mirrored_pictures_get_mirrored_answers(tmp_path):
    import onnxruntime

    from vcam_avatar.training.layers_export import Shipped, export_layers
    from vcam_avatar.training.layers_net import LayerNet

    torch.manual_seed(1)
    net = LayerNet((8, 8, 8, 8, 8))
    torch.nn.init.normal_(net.last.weight, 0, 0.5)
    file = export_layers(net, tmp_path, amount="few", minutes=0, metrics={})
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    planes = np.random.default_rng(0).random((1, CHANNELS, SIDE_PX, SIDE_PX), np.float32)
    shares = session.run(None, {"planes": planes})[0]
    assert shares.std() > 0.02
    wanted = Shipped(net).eval()(torch.from_numpy(planes)).detach().numpy()
    assert np.abs(shares - wanted).max() <= 1e-3
    assert np.allclose(shares[:, : len(PARTS)].sum(1), 1, atol=1e-4)
    mirrored = planes[:, [0, 1, 2, 3, 4, 6, 5, 8, 7, 9, 10], :, ::-1]
    back = session.run(None, {"planes": np.ascontiguousarray(mirrored)})[0][:, :, :, ::-1]
    assert np.abs(back[:, [0, 1, 2, 6, 7, 8, 3, 4, 5, 9]] - shares).max() < 1e-3
