"""From a checkpoint to ``pose.onnx``: one tick of the motion clock with explicit state."""

import base64
import os
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vcam_avatar.errors import ModelError
from vcam_avatar.inference import write_sidecar
from vcam_avatar.media import HOP_SAMPLES, SAMPLE_RATE_HZ
from vcam_avatar.stages.pose_layout import layout_of
from vcam_avatar.training.checkpoint import OPSET
from vcam_avatar.training.pose_clean import MOTION_HZ
from vcam_avatar.training.pose_net import ROWS_PER_TICK, PoseNet
from vcam_avatar.training.pose_pairs import TRUNK_SMOOTH_TICKS
from vcam_avatar.training.pose_space import arm_space
from vcam_avatar.training.pose_units import MotionBank, unit_energy

TOLERANCE = 2e-4
UNPLANNED = 0.6
"""Share of the predicted change that is believed without a plan, after training. On the development part all
of it was worse than none after 0.4 s, this much was better after one tick and after 0.4 s. Live there always
is a plan.
"""
_OUTPUTS = ("next_pose", "event", "unit", "voice")


TRAINING_DATA = [
    {
        "name": "LatentSync demo videos: three people talking with their hands (real pairs)",
        "licence": "Apache-2.0",
        "amount": "40 s; of the last 10 s of demo3 half is held out, half chose among checkpoints",
    },
    {
        "name": "EchoMimicV2 half-body poses 01-04 and good (real motion without its sound)",
        "licence": "Apache-2.0",
        "amount": "48 s",
    },
    {
        "name": "dc_tts male speech, FACEGOOD, Asterisk prompts it and ru, LibriVox (speech only)",
        "licence": "Apache-2.0, MIT, CC-BY-3.0 (Carlo Flora, Maxim Topal), public domain",
        "amount": "about 4000 s, performed to several times by rules from the real motion above (made pairs)",
    },
    {"name": "Sonic Pi samples (noise and music)", "licence": "CC0-1.0", "amount": "151 s"},
]
"""What the shipped weights learnt."""


class PoseTick(torch.nn.Module):
    """``PoseNet.step`` with positional tensors."""

    def __init__(self, net: PoseNet) -> None:
        super().__init__()
        self.net = net
        self.states = tuple(net.state_shapes())
        transformer = net.config.kind == "transformer"
        self.extras = ("age_enc", "age_dec", "heard") if transformer else ()

    @property
    def input_names(self) -> tuple[str, ...]:
        """In the order of ``forward``."""
        fixed = (
            "rows",
            "pose",
            "before",
            "plan",
            "plan_kept",
            "plan_new",
            "unit_now",
            "unit_new",
            "chance",
            "rest",
        )
        return (*fixed, *self.extras, *self.states)

    @property
    def output_names(self) -> tuple[str, ...]:
        """In the order of ``forward``'s result."""
        return (*_OUTPUTS, *(f"{name}_new" for name in self.states))

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """One tick; see ``PoseNet.step``."""
        state = dict(zip((*self.extras, *self.states), tensors[10:], strict=True))
        rows, pose, before, plan, kept, new, unit, unit_new, chance, rest = tensors[:10]
        said = self.net.step(rows, pose, before, plan, kept, new, unit, unit_new, chance, rest, state)
        return (*said, *(state[f"{name}_new"] for name in self.states))

    def example(self, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        """Inputs of the right shapes, half of the rings filled."""
        c = self.net.config
        shapes: dict[str, tuple[int, ...]] = {
            "rows": (ROWS_PER_TICK, 40), "pose": (c.keypoints, 2), "before": (c.keypoints, 2),
            "plan": (c.plan,), "plan_kept": (c.plan,), "plan_new": (c.plan,), "chance": (1,),
            "rest": (c.keypoints, 2), "heard": (1,),
            **{n: s for n, (_, s) in self.net.state_shapes().items()},
        }  # fmt: skip
        feeds = {}
        for name in self.input_names:
            if name.startswith("age_"):
                window = c.audio_window if name == "age_enc" else c.window
                age = np.arange(window, dtype=np.int64) + 1
                age[window // 2 :] = -1
                feeds[name] = torch.as_tensor(age)
            elif name in ("unit_now", "unit_new"):
                feeds[name] = torch.as_tensor(rng.integers(0, c.units + 1, 1))
            elif name == "heard":
                feeds[name] = torch.full((1,), 7.0)
            else:
                feeds[name] = torch.as_tensor(rng.normal(0, 0.5, shapes[name]).astype(np.float32))
        return feeds


def packed(values: NDArray[Any]) -> dict[str, Any]:
    """An array as JSON: float16, base64, with its shape."""
    halves = np.ascontiguousarray(values, np.float16)
    return {"shape": list(halves.shape), "float16": base64.b64encode(halves.tobytes()).decode()}


def runtime_values(net: PoseNet, bank: MotionBank) -> dict[str, Any]:
    """What the predictor needs beside the network: the units it may choose, and how trunks drift."""
    basis, offset = arm_space(bank.arms, net.config.keypoints)
    from scipy.ndimage import gaussian_filter1d

    whole = []
    for body in bank.body:
        flat = body.reshape(len(body), -1)
        whole.append(
            gaussian_filter1d((flat - bank.trunk.mean) @ bank.trunk.basis, TRUNK_SMOOTH_TICKS, axis=0)
        )
    return {
        "motion_hz": MOTION_HZ,
        "layout": layout_of(net.config.keypoints).name,
        "kind": net.config.kind,
        "plan": net.config.plan,
        "state": {n: {"kind": kind, "shape": list(s)} for n, (kind, s) in net.state_shapes().items()},
        "audio_window": net.config.audio_window,
        "window": net.config.window,
        "arm_basis": packed(basis),
        "arm_offset": packed(offset),
        "unit_start": packed(bank.starts),
        "unit_middle": packed(bank.middles),
        "unit_end": packed(bank.ends),
        "unit_ticks": packed(np.array([len(u.bones) - 1 for u in bank.units])),
        "unit_energy": packed(unit_energy(bank)),
        "trunk_mean": packed(np.concatenate(whole).mean(0)),
        "trunk_deviation": packed(np.concatenate(whole).std(0)),
    }


def export(
    net: PoseNet, bank: MotionBank, target: Path, *, training_data: list[dict[str, str]], recipe: str,
    metrics: dict[str, float] | None = None,
) -> None:  # fmt: skip
    """Write ``target`` (``.onnx``) and its sidecar.

    Raises:
        ModelError: the exported network does not compute what the trained one does.
    """
    learnt = net.config
    net.config = replace(learnt, unplanned=UNPLANNED)
    try:
        _write(net, target)
    finally:
        net.config = learnt
    layout = layout_of(net.config.keypoints)
    write_sidecar(
        target,
        description=(
            "One tick (40 ms) of the pose predictor: sound, pose and plan of this tick and the state of all "
            "ticks before -> pose of the next tick"
        ),
        training_data=training_data,
        recipe=recipe,
        sample_rate_hz=SAMPLE_RATE_HZ,
        hop_samples=HOP_SAMPLES,
        keypoint_order=layout.keypoints,
        metrics=metrics,
        values=runtime_values(net, bank),
    )


def _write(net: PoseNet, target: Path) -> None:
    tick = PoseTick(net.eval()).eval()
    example = tick.example(np.random.default_rng(0))
    temporary = target.with_suffix(".part.onnx")
    target.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            tick, tuple(example[n] for n in tick.input_names), str(temporary), dynamo=False,
            input_names=list(tick.input_names), output_names=list(tick.output_names), opset_version=OPSET,
        )  # fmt: skip
    try:
        check_export(tick, temporary)
    except ModelError:
        temporary.unlink()
        raise
    os.replace(temporary, target)


def check_export(tick: PoseTick, path: Path) -> None:
    """Compare the exported network with the trained one on several inputs.

    Raises:
        ModelError: they disagree by more than ``TOLERANCE``.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for seed in range(3):
        feeds = tick.example(np.random.default_rng(seed))
        with torch.no_grad():
            expected = tick(*(feeds[n] for n in tick.input_names))
        known = {i.name for i in session.get_inputs()}
        actual = session.run(list(tick.output_names), {n: v.numpy() for n, v in feeds.items() if n in known})
        for name, want, got in zip(tick.output_names, expected, actual, strict=True):
            difference = float(np.abs(want.numpy() - got).max())
            if not difference <= TOLERANCE:
                raise ModelError(f"export differs from the trained network: {name} by {difference:.2g}")
