"""Training of the body's networks: what is exported says what torch says."""

import numpy as np
import onnxruntime
import pytest

pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


def crops(folder, people=2):
    """Made-up pairs as ``body_crops_people`` stores them: limbs drawn too dark."""
    rng = np.random.default_rng(3)
    for index in range(people):
        real = rng.integers(90, 200, (4, 104, 104, 3)).astype(np.uint8)
        limb = np.zeros((4, 104, 104), np.uint8)
        limb[:, 20:90, 30:70] = 255
        drawn = np.where(limb[..., None] > 0, real - 40, real).astype(np.uint8)
        masks = np.stack([limb, limb], -1)
        np.savez(
            folder / f"person_{index:05d}.npz", drawn=np.concatenate([drawn, masks], -1), real=real,
            limb=limb, hand=np.array([True, True, False, False]), moment=np.array([2, 2, 0, 4]),
        )  # fmt: skip


def test_the_limb_refiner_is_the_same_in_onnx_and_torch(tmp_path):
    torch = pytest.importorskip("torch")
    from vcam_avatar.training.body_gan import Refiner, Shipped, export
    from vcam_avatar.training.body_pairs import SIZE

    torch.manual_seed(5)
    net = Refiner()
    # An untrained outlet is nearly silent: parity of noughts would say nothing.
    torch.nn.init.normal_(net.outlet.weight, 0, 0.2)
    shipped = Shipped(net).eval()
    path = tmp_path / "limb_refiner.onnx"
    export(shipped, path, {}, "test")
    crop = torch.rand(1, 5, SIZE, SIZE, generator=torch.Generator().manual_seed(6))
    wanted = shipped(crop).detach().numpy()
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    got = session.run(None, {"crop": crop.numpy()})[0]
    assert np.abs(wanted).max() > 0.02
    assert np.abs(got - wanted).max() <= 1e-3


@pytest.mark.parametrize("adversarial", [False, True])
def test_steps_of_the_limb_refiner_bring_limbs_nearer_to_the_truth(tmp_path, adversarial):
    torch = pytest.importorskip("torch")
    from vcam_avatar.training.body_gan import Training, correct
    from vcam_avatar.training.body_pairs import Pairs

    crops(tmp_path)
    train, held = Pairs(tmp_path, False), Pairs(tmp_path, True)
    assert {name: len(rows) for name, rows in train.kinds.items()} == {
        "hand": 1, "elbow": 2, "video": 0,
    }  # fmt: skip
    assert len(held) == 3
    torch.manual_seed(1)
    training, rng = Training(), np.random.default_rng(1)
    condition, real = held.batch(2, np.random.default_rng(2), ("hand",))
    before = float((condition[:, :, :3] - real).abs().mean())
    assert before > 0.01
    for _ in range(12):
        training.learn(*train.batch(2, rng), adversarial, False)
    with torch.no_grad():
        after = float((correct(training.net, condition) - real).abs().mean())
    assert after < 0.8 * before
    training.save(tmp_path / "checkpoint.pt")
    again = Training()
    again.load(tmp_path / "checkpoint.pt")
    assert again.step == 12


def test_the_hand_lift_is_the_same_in_onnx_and_torch(tmp_path):
    torch = pytest.importorskip("torch")
    from vcam_avatar.training.body_lift import HandLift, export

    torch.manual_seed(5)
    net = HandLift(64).eval()
    path = tmp_path / "hand_lift.onnx"
    export(net, path, {}, "test")
    points, forearm = torch.randn(2, 21, 2), torch.nn.functional.normalize(torch.randn(2, 3), dim=1)
    wanted = [out.detach().numpy() for out in net(points, forearm)]
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    got = session.run(None, {"points": points.numpy(), "forearm": forearm.numpy()})
    for a, b in zip(got, wanted, strict=True):
        assert np.abs(a - b).max() <= 1e-3
