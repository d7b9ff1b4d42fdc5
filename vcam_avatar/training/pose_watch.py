"""While the pose predictor trains: how well it moves on its own, and which checkpoint is the best.

The losses of the training do not tell whether the network, left to itself, moves too much or too little. So
every now and then it is exported and measured as ``vcam-avatar evaluate pose`` does, but on the development
part: five seconds of demo3 that are neither learnt nor tested on, and learnt voices.
"""

import math
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from vcam_avatar.evaluation.pose import measure_short
from vcam_avatar.evaluation.pose_material import Material, Talk
from vcam_avatar.evaluation.report import Result, Value
from vcam_avatar.inference import Network
from vcam_avatar.media import SAMPLE_RATE_HZ
from vcam_avatar.stages.pose import NeuralPosePredictor
from vcam_avatar.training.pose_corpus import development_part, learnt_part, talkers
from vcam_avatar.training.pose_export import export
from vcam_avatar.training.pose_net import PoseNet
from vcam_avatar.training.pose_sound import load_audio, speech_files
from vcam_avatar.training.pose_units import MotionBank

_VOICES = ("dctts", "facegood", "russian")
_VOICE_S = 16


def development_material(data: Path) -> Material:
    """What checkpoints are measured on; nothing of it is in the held-out sets."""
    people = talkers(data)
    talks = [Talk(name, *learnt_part(name, *pair)) for name, pair in people.items()]
    voices = []
    for name in _VOICES:
        files = speech_files(data)[name]
        sound = np.concatenate([load_audio(f) for f in files[:: max(1, len(files) // 4)][:4]])
        sound = sound[: _VOICE_S * SAMPLE_RATE_HZ]
        voices.append((name, (sound * (0.5 / (np.abs(sound).max() + 1e-6))).astype(np.float32)))
    return Material(talks, Talk("demo3 before the end", *development_part(*people["demo3"])), voices)


class Watch:
    """Measures networks on the development part."""

    def __init__(self, data: Path, bank: MotionBank) -> None:
        """``data``: the folder of the recordings; ``bank``: that of the training set."""
        self._material, self._bank = development_material(data), bank

    def look(self, net: PoseNet) -> dict[str, float]:
        """Measures of ``net`` by name; ``score`` joins them, less is better."""
        training = net.training
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "pose.onnx"
            export(net, self._bank, path, training_data=[], recipe="")
            predictor = NeuralPosePredictor(Network(path))
            measured = measure_short(predictor, self._material)
        net.train(training)
        return joined(measured)


def joined(measured: dict[str, Result]) -> dict[str, float]:
    """Flat numbers of P1 to P6, and one to choose by.

    The score is the mean of terms that are 1 where a target is just met: P1 against the last pose, P2's
    distances and variance, P3 against real, P4 against the best baseline, P5's shoulders, P6's share of rest.
    """
    p1, p2, p4, p5, p6 = (_numbers(measured[key].value) for key in ("P1", "P2", "P4", "P5", "P6"))
    last = _numbers(measured["P1"].baselines["last pose"])
    ahead = [name for name in p1 if name.endswith(" loss")]
    rivals = [[float(x) for x in str(text).split("/")[:2]] for text in measured["P4"].baselines.values()]
    best = np.min(rivals, 0)
    real = _number(measured["P6"].baselines["real at rest in speech"])
    p3, p3_real = _number(measured["P3"].value), _number(measured["P3"].baselines["real"])
    terms = [
        *(p1[name] / last[name] for name in ahead),
        max(p2[name] for name in ("speed", "acceleration", "jerk")) / 0.2,
        abs(math.log(max(p2["variance ratio"], 1e-3))) / math.log(1.2),
        p3_real / max(p3, 1e-3),
        p4["pose"] / best[0],
        p4["window"] / best[1],
        p5["shoulder variation"] / 0.02,
        abs(p6["at rest in speech"] - real) / 0.2,
    ]
    out = {f"P1 {name}": p1[name] for name in ahead}
    out |= {f"P2 {name}": value for name, value in p2.items()}
    out |= {"P3": p3, "P4 pose": p4["pose"], "P4 window": p4["window"]}
    out |= {"P5 shoulders": p5["shoulder variation"], "P6 rest in speech": p6["at rest in speech"]}
    # No single failure may outweigh everything else.
    return {**out, "score": float(np.mean(np.minimum(terms, 3.0)))}


def _number(value: Value) -> float:
    assert isinstance(value, float | int)
    return float(value)


def _numbers(value: Value) -> dict[str, float]:
    assert isinstance(value, Mapping)
    return {name: float(number) for name, number in value.items()}
