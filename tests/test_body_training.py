"""Training of the body's networks: what is exported says what torch says."""

import numpy as np
import onnxruntime
import pytest

pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


def test_the_hand_refiner_is_the_same_in_onnx_and_torch(tmp_path):
    torch = pytest.importorskip("torch")
    from vcam_avatar.training.body_gan import SIZE, Refiner, Shipped, export

    torch.manual_seed(5)
    net = Refiner()
    # An untrained outlet is nearly silent: parity of noughts would say nothing.
    torch.nn.init.normal_(net.outlet.weight, 0, 0.2)
    shipped = Shipped(net).eval()
    path = tmp_path / "hand_refiner.onnx"
    export(shipped, path, {}, "test")
    crop = torch.rand(2, 4, SIZE, SIZE, generator=torch.Generator().manual_seed(6))
    wanted = shipped(crop).detach().numpy()
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    got = session.run(None, {"crop": crop.numpy()})[0]
    assert np.abs(wanted).max() > 0.02
    assert np.abs(got - wanted).max() <= 1e-3


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
