"""Between two trainings, and at the end of one: checkpoints on disk, and networks as ONNX files."""

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vcam_avatar.errors import ModelError

OPSET = 17


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write ``content`` to ``path``, atomically; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".tmp")
    torch.save(content, partial)
    os.replace(partial, path)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint.

    Raises:
        ModelError: missing or damaged.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as exc:
        raise ModelError(f"{path}: no checkpoint; train first") from exc
    except Exception as exc:
        raise ModelError(f"{path}: damaged checkpoint ({exc})") from exc
    return dict(content)


def export_onnx(
    module: nn.Module,
    inputs: tuple[Tensor, ...],
    file: Path,
    *,
    input_names: Sequence[str],
    output_names: Sequence[str],
    tolerance: float,
) -> float:
    """Write ``module``, set to evaluation, as ``file``, atomically.

    Args:
        inputs: an example, with which torch and onnxruntime are compared.
        tolerance: the greatest difference allowed in any output.

    Returns:
        The greatest difference.

    Raises:
        ModelError: they differ by more; ``file`` is as before.
    """
    import onnxruntime

    module.eval()
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".part")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module, inputs, str(partial), input_names=list(input_names), output_names=list(output_names),
            opset_version=OPSET, dynamo=False,
        )  # fmt: skip
    session = onnxruntime.InferenceSession(str(partial), providers=["CPUExecutionProvider"])
    with torch.no_grad():
        expected = module(*inputs)
    if isinstance(expected, Tensor):
        expected = (expected,)
    got: list[Any] = session.run(
        list(output_names), {name: tensor.numpy() for name, tensor in zip(input_names, inputs, strict=True)}
    )
    worst = 0.0
    for name, ours, theirs in zip(output_names, expected, got, strict=True):
        difference = float(np.abs(ours.numpy() - theirs).max())
        if not difference <= tolerance:
            partial.unlink()
            raise ModelError(f"{file.name}: {name} differs by {difference:.2e} after export; do not use it")
        worst = max(worst, difference)
    os.replace(partial, file)
    return worst
