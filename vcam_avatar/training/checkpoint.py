"""Between two trainings, and at the end of one: checkpoints on disk, and networks as ONNX files."""

import os
import warnings
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from vcam_avatar.errors import ModelError

OPSET = 17
Net = TypeVar("Net", bound=nn.Module)


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


class Averaged(Generic[Net]):
    """A network in training, its average over time, and the optimiser; all resumable."""

    def __init__(self, net: Net, learning_rate: float) -> None:
        self.net, self.average = net, deepcopy(net).eval()
        self.optimiser = torch.optim.AdamW(net.parameters(), lr=learning_rate, weight_decay=1e-3)
        self.learning_rate, self.steps, self.minutes = learning_rate, 0, 0.0
        self.curve: list[dict[str, float]] = []

    def descend(self, loss: Tensor, rate: float, longest: float, keep: float) -> None:
        """One step at ``rate`` of the full learning rate.

        Args:
            longest: greatest norm of the gradient.
            keep: share of the average that a step leaves as it is; less at the beginning.
        """
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate * rate
        self.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), longest)
        self.optimiser.step()
        self.steps += 1
        keep = min(keep, self.steps / (self.steps + 20))
        with torch.no_grad():
            now = self.net.state_dict()
            for name, value in self.average.state_dict().items():
                if value.dtype.is_floating_point:
                    value.lerp_(now[name], 1 - keep)
                else:
                    value.copy_(now[name])

    def save(self, file: Path) -> None:
        """Write a checkpoint atomically."""
        state = {
            "net": self.net.state_dict(), "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(), "steps": self.steps, "minutes": self.minutes,
            "curve": self.curve,
        }  # fmt: skip
        save_checkpoint(file, state)

    def load(self, file: Path) -> None:
        """Go on from a checkpoint."""
        state = load_checkpoint(file)
        self.net.load_state_dict(state["net"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.steps, self.minutes, self.curve = state["steps"], state["minutes"], state["curve"]


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
