"""Load a network, check it against its sidecar, and run it with few threads that sleep when idle."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vcam_avatar.errors import ModelError
from vcam_avatar.inference.provider import (
    CPU_PROVIDER,
    CUDA_PROVIDER,
    Device,
    ProviderReport,
    choose_provider,
    fall_back,
    onnxruntime,
)
from vcam_avatar.inference.sidecar import Sidecar, TensorInfo, read_sidecar
from vcam_avatar.media import HOP_SAMPLES, SAMPLE_RATE_HZ
from vcam_avatar.resources import model_path

_ONNX_TYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
    "tensor(uint8)": "uint8",
    "tensor(bool)": "bool",
}


class Network:
    """One loaded network.

    ``run`` may be called from several threads, but a caller that keeps state between calls must
    keep it itself: state tensors are ordinary inputs and outputs.
    """

    def __init__(
        self,
        path: Path,
        *,
        device: Device = "cpu",
        threads: int = 1,
        keypoint_order: Sequence[str] | None = None,
        warm_up: bool = True,
    ) -> None:
        """Load ``path``; see ``load_network``."""
        try:
            content = path.read_bytes()
        except OSError as exc:
            raise ModelError(
                f"network {path} cannot be read ({exc.strerror}); install the package again"
            ) from exc
        self.path = path
        self.sidecar: Sidecar = read_sidecar(path)
        self._check_sidecar(content, keypoint_order)
        self._session, self.provider = _open_session(path, content, device, threads)
        self._check_tensors()
        self._output_names = [tensor.name for tensor in self.sidecar.outputs]
        if warm_up:
            self.warm_up()

    @property
    def values(self) -> dict[str, Any]:
        """What the sidecar holds for the stage."""
        return self.sidecar.values

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Run once.

        Args:
            feeds: every input tensor by name, dtype and shape as in the sidecar.

        Returns:
            Every output tensor by name, newly allocated.

        Raises:
            ModelError: the runtime refuses (a wrong shape names expected and actual).
        """
        try:
            results = self._session.run(self._output_names, dict(feeds))
        except Exception as exc:  # the runtime's exceptions have no common root
            raise ModelError(f"network {self.sidecar.name} failed: {exc}") from exc
        return dict(zip(self._output_names, results, strict=True))

    def warm_up(self, runs: int = 2) -> None:
        """Run on zeros, axes of any length set to 1, so that the first real call is not the slow one."""
        feeds = {
            tensor.name: np.zeros(
                [axis if isinstance(axis, int) else 1 for axis in tensor.shape], np.dtype(tensor.dtype)
            )
            for tensor in self.sidecar.inputs
        }
        for _ in range(runs):
            self.run(feeds)

    def _check_sidecar(self, content: bytes, keypoint_order: Sequence[str] | None) -> None:
        sidecar, name = self.sidecar, self.path.name
        digest = hashlib.sha256(content).hexdigest()
        if digest != sidecar.sha256:
            raise ModelError(
                f"network {self.path} differs from its sidecar (sha256 {digest[:12]}, expected "
                f"{sidecar.sha256[:12]}): it is damaged or was exchanged; install the package again"
            )
        if sidecar.sample_rate_hz not in (None, SAMPLE_RATE_HZ):
            raise ModelError(
                f"{name} expects {sidecar.sample_rate_hz} Hz, the pipeline has {SAMPLE_RATE_HZ} Hz: "
                "train and export it again"
            )
        if sidecar.hop_samples not in (None, HOP_SAMPLES):
            raise ModelError(
                f"{name} expects a hop of {sidecar.hop_samples}, the pipeline has {HOP_SAMPLES}: "
                "train and export it again"
            )
        if keypoint_order is not None and sidecar.keypoint_order != tuple(keypoint_order):
            raise ModelError(f"{name} was trained with another order of keypoints; export it again")

    def _check_tensors(self) -> None:
        for kind, actual, expected in (
            ("inputs", self._session.get_inputs(), self.sidecar.inputs),
            ("outputs", self._session.get_outputs(), self.sidecar.outputs),
        ):
            found = tuple(
                TensorInfo(
                    name=node.name,
                    dtype=_ONNX_TYPES.get(node.type, node.type),
                    shape=tuple(axis if isinstance(axis, int) else str(axis or "?") for axis in node.shape),
                )
                for node in actual
            )
            if [_fixed(tensor) for tensor in found] != [_fixed(tensor) for tensor in expected]:
                raise ModelError(
                    f"{kind} of {self.path.name} are {_words(found)}, its sidecar says {_words(expected)}: "
                    "export it again"
                )


def load_network(
    name: str,
    *,
    device: Device = "cpu",
    threads: int = 1,
    keypoint_order: Sequence[str] | None = None,
    warm_up: bool = True,
) -> Network:
    """Load one of the shipped networks.

    Args:
        name: file name without ``.onnx``, in the package's models folder.
        device: where to run; CUDA that is not there means the CPU and a warning.
        threads: threads inside one operator, at least 1. They sleep between calls.
        keypoint_order: the names the caller's poses have, when the network takes or gives poses.
        warm_up: run on zeros before returning.

    Raises:
        ModelError: missing, damaged, or it does not fit its sidecar or the caller.
    """
    return Network(
        model_path(name), device=device, threads=threads, keypoint_order=keypoint_order, warm_up=warm_up
    )


def _open_session(path: Path, content: bytes, device: Device, threads: int) -> tuple[Any, ProviderReport]:
    if threads < 1:
        raise ValueError(f"threads must be at least 1, got {threads}")
    ort = onnxruntime()
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    # Spinning threads burn whole cores while they wait for the next frame.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    # The networks are small: an arena for each costs 15 MB together and saves no time.
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 3
    report = choose_provider(device)
    providers = [CUDA_PROVIDER, CPU_PROVIDER] if report.used == "cuda" else [CPU_PROVIDER]
    try:
        session = ort.InferenceSession(content, options, providers=providers)
    except Exception as exc:  # the runtime's exceptions have no common root
        raise ModelError(f"network {path} cannot be loaded ({exc}); install the package again") from exc
    if report.used == "cuda" and CUDA_PROVIDER not in session.get_providers():
        report = fall_back(
            "the CUDA libraries cannot be loaded; install the NVIDIA driver, CUDA 12 and cuDNN 9"
        )
    return session, report


def _fixed(tensor: TensorInfo) -> tuple[str, str, tuple[int | None, ...]]:
    """What must agree: names of axes of any length need not."""
    return tensor.name, tensor.dtype, tuple(axis if isinstance(axis, int) else None for axis in tensor.shape)


def _words(tensors: Sequence[TensorInfo]) -> str:
    return ", ".join(f"{t.name} {t.dtype}{list(t.shape)}" for t in tensors)
