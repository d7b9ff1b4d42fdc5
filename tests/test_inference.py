"""Loading and running networks: sidecar checks, providers, threads."""

import json
from pathlib import Path

import numpy as np
import pytest

from vcam_avatar import resources
from vcam_avatar.errors import ModelError
from vcam_avatar.inference import Network, ProviderReport, choose_provider, provider
from vcam_avatar.inference.sidecar import sidecar_path, write_sidecar

onnx = pytest.importorskip("onnx")


def build_network(path: Path, *, sample_rate_hz: int | None = 16_000) -> Path:
    """A network that adds 1 to a ``(1, 3)`` tensor, with its sidecar."""
    helper, tensor = onnx.helper, onnx.TensorProto
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "one"], ["y"])],
        "add",
        [helper.make_tensor_value_info("x", tensor.FLOAT, ["n", 3])],
        [helper.make_tensor_value_info("y", tensor.FLOAT, ["n", 3])],
        [helper.make_tensor("one", tensor.FLOAT, [1], [1.0])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, str(path))
    write_sidecar(
        path,
        description="adds one",
        training_data=[{"name": "none", "licence": "MIT", "amount": "0 h"}],
        recipe="tests/test_inference.py",
        sample_rate_hz=sample_rate_hz,
        hop_samples=160,
        keypoint_order=("nose", "neck"),
        values={"mean": [0.0]},
    )
    return path


def test_network_runs_and_reports(tmp_path: Path) -> None:
    network = Network(build_network(tmp_path / "add.onnx"), keypoint_order=("nose", "neck"))
    np.testing.assert_array_equal(network.run({"x": np.zeros((2, 3), np.float32)})["y"], np.ones((2, 3)))
    assert network.provider == ProviderReport("cpu", "cpu", None)
    assert network.values == {"mean": [0.0]}
    assert network.sidecar.opset == 17


def test_wrong_shape_names_the_network(tmp_path: Path) -> None:
    network = Network(build_network(tmp_path / "add.onnx"))
    with pytest.raises(ModelError, match="add failed"):
        network.run({"x": np.zeros((2, 4), np.float32)})


def test_changed_weights_are_refused(tmp_path: Path) -> None:
    path = build_network(tmp_path / "add.onnx")
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(ModelError, match="differs from its sidecar"):
        Network(path)


def test_missing_network_and_sidecar(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        Network(tmp_path / "none.onnx")
    path = build_network(tmp_path / "add.onnx")
    sidecar_path(path).unlink()
    with pytest.raises(ModelError, match=r"add\.json, which belongs to add\.onnx, cannot be read"):
        Network(path)
    with pytest.raises(ModelError, match="no-such"):
        resources.model_path("no-such")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("sample_rate_hz", 8000, "8000 Hz"),
        ("hop_samples", 320, "hop of 320"),
        ("surprise", 1, "damaged"),
        ("inputs", [{"name": "z", "dtype": "float32", "shape": [1]}], "inputs of"),
        ("outputs", [{"name": "y", "dtype": "int64", "shape": ["n", 3]}], "outputs of"),
    ],
)
def test_sidecar_that_does_not_fit_is_refused(tmp_path: Path, key: str, value: object, message: str) -> None:
    path = build_network(tmp_path / "add.onnx")
    content = json.loads(sidecar_path(path).read_text())
    sidecar_path(path).write_text(json.dumps({**content, key: value}))
    with pytest.raises(ModelError, match=message):
        Network(path)


def test_other_keypoint_order_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="order of keypoints"):
        Network(build_network(tmp_path / "add.onnx"), keypoint_order=("neck", "nose"))


def test_cuda_that_is_not_there_is_reported(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    class Runtime:
        @staticmethod
        def get_available_providers() -> list[str]:
            return ["CPUExecutionProvider"]

    provider._warn_once.cache_clear()
    monkeypatch.setattr(provider, "onnxruntime", Runtime)
    for wheels, word in (
        (("onnxruntime",), "vcam-avatar[gpu]"),
        (("onnxruntime-gpu",), "cuDNN"),
        (("onnxruntime", "onnxruntime-gpu"), "hide each other"),
    ):
        monkeypatch.setattr(provider, "installed_wheels", lambda wheels=wheels: wheels)
        report = choose_provider("cuda")
        assert report.used == "cpu"
        assert report.reason is not None
        assert word in report.reason
    assert len(caplog.records) == 3
