"""The JSON file beside each network: what goes in and out, where it comes from, and its hash."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from vcam_avatar.errors import ModelError

_STRICT = ConfigDict(extra="forbid", frozen=True)


class TensorInfo(BaseModel):
    """One input or output tensor."""

    model_config = _STRICT

    name: str
    dtype: str
    """numpy name, such as ``float32``."""
    shape: tuple[int | str, ...]
    """A string names an axis that may have any length."""


class TrainingData(BaseModel):
    """One source of training data."""

    model_config = _STRICT

    name: str
    licence: str
    amount: str
    """Hours, frames or samples, in words."""


class Sidecar(BaseModel):
    """Everything a user of the network has to know."""

    model_config = _STRICT

    name: str
    description: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    sample_rate_hz: int | None = None
    """Rate of the sound behind the features; None for networks that hear nothing."""
    hop_samples: int | None = None
    """Samples between feature rows; None for networks that hear nothing."""
    keypoint_order: tuple[str, ...] | None = None
    """Names of the keypoints in the pose tensors; None for networks without poses."""
    opset: int
    sha256: str
    """Of the ``.onnx`` file."""
    training_data: tuple[TrainingData, ...]
    recipe: str
    """Command that made the weights."""
    metrics: dict[str, float] = {}
    """Held-out figures at export time."""
    values: dict[str, Any] = {}
    """What else the stage needs: means, thresholds, latent size."""


def sidecar_path(model: Path) -> Path:
    """Path of the sidecar of ``model``."""
    return model.with_suffix(".json")


def read_sidecar(model: Path) -> Sidecar:
    """Read the sidecar of ``model``, without checking the network itself.

    Raises:
        ModelError: missing, not JSON, unknown or missing keys.
    """
    path = sidecar_path(model)
    try:
        return Sidecar.model_validate_json(path.read_bytes())
    except OSError as exc:
        raise ModelError(
            f"{path}, which belongs to {model.name}, cannot be read ({exc.strerror}); "
            "install the package again"
        ) from exc
    except ValidationError as exc:
        first = exc.errors()[0]
        where = ".".join(map(str, first["loc"])) or "file"
        raise ModelError(f"{path} is damaged ({where}: {first['msg']}); install the package again") from exc


def write_sidecar(
    model: Path,
    *,
    description: str,
    training_data: list[dict[str, str]],
    recipe: str,
    sample_rate_hz: int | None = None,
    hop_samples: int | None = None,
    keypoint_order: list[str] | tuple[str, ...] | None = None,
    metrics: dict[str, float] | None = None,
    values: dict[str, Any] | None = None,
) -> Sidecar:
    """Write the sidecar of a network just exported. Needs ``onnx``, so only training calls it.

    Tensor names, shapes, opset and hash are read from the file itself. The write is atomic.

    Args:
        model: the ``.onnx`` file, weights inside.
        training_data: dicts with the keys of ``TrainingData``.
        values: JSON values the stage needs at run time.
    """
    import onnx

    proto = onnx.load(str(model), load_external_data=False)
    opset = next(entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx"))
    initial = {tensor.name for tensor in proto.graph.initializer}

    def tensor_info(value: Any) -> TensorInfo:
        tensor = value.type.tensor_type
        dims = [d.dim_value if d.HasField("dim_value") else d.dim_param or "?" for d in tensor.shape.dim]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
        return TensorInfo(name=value.name, dtype=dtype, shape=tuple(dims))

    sidecar = Sidecar(
        name=model.stem,
        description=description,
        inputs=tuple(tensor_info(value) for value in proto.graph.input if value.name not in initial),
        outputs=tuple(tensor_info(value) for value in proto.graph.output),
        sample_rate_hz=sample_rate_hz,
        hop_samples=hop_samples,
        keypoint_order=None if keypoint_order is None else tuple(keypoint_order),
        opset=opset,
        sha256=hashlib.sha256(model.read_bytes()).hexdigest(),
        training_data=tuple(TrainingData(**entry) for entry in training_data),
        recipe=recipe,
        metrics=metrics or {},
        values=values or {},
    )
    target = sidecar_path(model)
    partial = target.with_suffix(".json.part")
    partial.write_text(json.dumps(sidecar.model_dump(mode="json"), indent=1) + "\n", encoding="utf-8")
    os.replace(partial, target)
    return sidecar
