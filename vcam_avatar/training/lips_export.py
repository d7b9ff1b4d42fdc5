"""The trained lip network as the file that ships, and the check that both say the same."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vcam_avatar.errors import ModelError
from vcam_avatar.inference import write_sidecar
from vcam_avatar.media import HOP_SAMPLES, SAMPLE_RATE_HZ
from vcam_avatar.stages.features import N_COEFFICIENTS, WINDOW_SAMPLES
from vcam_avatar.stages.visemes import VISEMES
from vcam_avatar.training.checkpoint import OPSET, load_checkpoint
from vcam_avatar.training.lips_net import LOOK_AHEAD_MS, OUTPUTS, LipNet, Streaming
from vcam_avatar.training.speech_clips import CURVES

_STATES = ("inputs", "past", "memory")


def load(checkpoint: Path) -> tuple[LipNet, dict[str, Any]]:
    """The averaged network of a checkpoint, and the checkpoint."""
    stored = load_checkpoint(checkpoint)
    net = LipNet(stored["channels"], tuple(stored["dilations"]))
    net.load_state_dict(stored["average"])
    return net.eval(), stored


def export(checkpoint: Path, target: Path, card: dict[str, Any]) -> None:
    """Write ``target`` (onnx) and its sidecar (json) after checking that both compute the same.

    Args:
        checkpoint: what ``train`` wrote.
        target: ends in ``.onnx``.
        card: ``training_data`` (dicts of name, licence, amount), ``recipe`` and optionally ``metrics``.

    Raises:
        ModelError: torch and onnxruntime disagree.
    """
    import onnxruntime

    net, stored = load(checkpoint)
    model = Streaming(net).eval()
    inputs, past = (s[0] for s in net.initial(1))
    memory = net.forgotten(1)[0]
    rows = torch.randn(7, N_COEFFICIENTS) * 3
    temporary = target.with_suffix(".tmp")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model, (rows, inputs, past, memory), str(temporary), opset_version=OPSET, dynamo=False,
            input_names=["rows", *_STATES],
            output_names=["mouth", "voice", *("next_" + name for name in _STATES)],
            dynamic_axes={"rows": {0: "t"}, "mouth": {0: "t"}, "voice": {0: "t"}},
        )  # fmt: skip
    _state_shapes(
        temporary,
        {
            "mouth": ("t", len(LOOK_AHEAD_MS), OUTPUTS),
            "voice": ("t",),
            "next_inputs": tuple(inputs.shape),
            "next_past": tuple(past.shape),
            "next_memory": tuple(memory.shape),
        },
    )
    session = onnxruntime.InferenceSession(str(temporary), providers=["CPUExecutionProvider"])
    worst = 0.0
    states = [inputs, past, memory]
    with torch.no_grad():
        for k in (1, 4, 3, 9):
            rows = torch.randn(k, N_COEFFICIENTS) * 3
            expected = model(rows, *states)
            feeds = dict(zip(_STATES, (s.numpy() for s in states), strict=True))
            got = session.run(None, {"rows": rows.numpy(), **feeds})
            worst = max(
                worst, *(float(np.abs(e.numpy() - g).max()) for e, g in zip(expected, got, strict=True))
            )
            states = [torch.from_numpy(g) for g in got[2:]]
    if worst > 1e-4:
        temporary.unlink()
        raise ModelError(f"torch and onnxruntime differ by {worst:.2g}; nothing exported")
    temporary.replace(target)
    write_sidecar(
        target,
        description="MFCC rows -> for 3 look-aheads 15 viseme posteriors, 6 mouth curves; voice or not",
        training_data=card["training_data"],
        recipe=card["recipe"],
        sample_rate_hz=SAMPLE_RATE_HZ,
        hop_samples=HOP_SAMPLES,
        metrics={**stored["dev"], **card.get("metrics", {})},
        values={
            "window_samples": WINDOW_SAMPLES,
            "look_ahead_ms": list(LOOK_AHEAD_MS),
            "visemes": list(VISEMES),
            "curves": list(CURVES),
            "parameters": sum(p.numel() for p in net.parameters()),
            "steps": stored["step"],
        },
    )


def _state_shapes(path: Path, shapes: dict[str, tuple[int | str, ...]]) -> None:
    """Write the shapes of the outputs into the file: the exporter leaves some of them open."""
    import onnx

    model = onnx.load(str(path))
    for output in model.graph.output:
        for axis, size in zip(output.type.tensor_type.shape.dim, shapes[output.name], strict=True):
            axis.Clear()
            if isinstance(size, str):
                axis.dim_param = size
            else:
                axis.dim_value = size
    onnx.save(model, str(path))
