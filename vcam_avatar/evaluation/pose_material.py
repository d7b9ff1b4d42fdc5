"""What gestures are measured on, and the simple ways of making motion that they are compared with."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vcam_avatar.evaluation import pose_measure as m
from vcam_avatar.media import SAMPLE_RATE_HZ, FloatArray, UnitClock
from vcam_avatar.stages.features import FeatureStage
from vcam_avatar.stages.pose import NeuralPosePredictor
from vcam_avatar.stages.pose_layout import rest_pose

FPS = Fraction(m.HZ)


@dataclass
class Talk:
    """A real person talking: canonical motion at 25 Hz and sound."""

    name: str
    motion: FloatArray
    sound: FloatArray


@dataclass
class Material:
    """What is measured on."""

    talks: list[Talk]
    """Real pairs that may have been learnt."""
    held: Talk
    """Never learnt: the end of demo3, or all of a person who was left out."""
    voices: list[tuple[str, FloatArray]]
    """Held-out speech without motion."""


def load_material(data: Path, left_out: str | None = None) -> Material:
    """Read the real recordings and the held-out voices from the data folder.

    Args:
        data: the folder.
        left_out: measure on this person (``demo2``) instead of the end of demo3.
    """
    from vcam_avatar.training.pose_corpus import held_out, talkers
    from vcam_avatar.training.pose_sound import load_audio, speech_files

    people = talkers(data)
    end = Talk("demo3 end", *held_out(*people["demo3"]))
    held = end if left_out is None else Talk(left_out, *people.pop(left_out))
    talks = []
    for name, (motion, sound) in people.items():
        kept = len(motion) - (len(end.motion) if name == "demo3" else 0)
        talks.append(Talk(name, motion[:kept], sound[: kept * SAMPLE_RATE_HZ // m.HZ]))
    voices = []
    for voice, files in speech_files(data, held=True).items():
        sound = np.concatenate([load_audio(f) for f in files])[: 45 * SAMPLE_RATE_HZ]
        if len(sound) > 8 * SAMPLE_RATE_HZ:
            voices.append((voice, (sound * (0.5 / (np.abs(sound).max() + 1e-6))).astype(np.float32)))
    return Material(talks, held, voices)


def perform(
    predictor: NeuralPosePredictor,
    sound: FloatArray,
    seed: int,
    fps: Fraction = FPS,
    start: FloatArray | None = None,
) -> FloatArray:
    """Motion to a sound: float32 ``(T, 57, 3)`` at ``fps``; row n is the pose shown in unit n + 1."""
    stage, clock = FeatureStage(fps), UnitClock(fps)
    predictor.reset(np.array(rest_pose()) if start is None else start, seed)
    out = []
    for n in range(int(len(sound) * fps / SAMPLE_RATE_HZ)):
        out.append(predictor.predict(stage.push(sound[clock.start_sample(n) : clock.start_sample(n + 1)])))
    return np.stack(out)


class Ridge:
    """Linear prediction of the pose from the last second of MFCC."""

    def __init__(self, talks: list[Talk], strength: float = 3e3) -> None:
        inputs, labels = [], []
        for talk in talks:
            heard = self._windows(talk.sound, len(talk.motion))
            inputs.append(heard[:-1])
            labels.append(talk.motion[1:, :, :2].reshape(len(talk.motion) - 1, -1))
        x, y = np.concatenate(inputs), np.concatenate(labels)
        self._mean, self._scale, self._bias = x.mean(0), x.std(0) + 1e-3, y.mean(0)
        z = (x - self._mean) / self._scale
        self._weights = np.linalg.solve(z.T @ z + strength * np.eye(z.shape[1]), z.T @ (y - self._bias))

    @staticmethod
    def _windows(sound: FloatArray, ticks: int) -> NDArray[np.float64]:
        from vcam_avatar.training.dataset import tick_rows

        rows = tick_rows(sound, ticks).mean(1)[:, :20]
        padded = np.concatenate([np.repeat(rows[:1], m.HZ - 1, 0), rows])
        view = np.lib.stride_tricks.sliding_window_view(padded, m.HZ, axis=0)[:, :, ::3]
        return view.reshape(len(view), -1).astype(np.float64)

    def motion(self, sound: FloatArray, ticks: int) -> FloatArray:
        """float32 ``(ticks, 57, 2)``: row k predicts the pose of tick k + 1."""
        z = (self._windows(sound, ticks) - self._mean) / self._scale
        return np.asarray((z @ self._weights + self._bias).reshape(ticks, -1, 2), np.float32)


def baselines(
    material: Material, sound: FloatArray, ticks: int, seed: int, start: FloatArray | None = None
) -> dict[str, FloatArray]:
    """Motion of the simple ways, float32 ``(ticks, 57, 2)`` each; nothing in them comes from ``held``
    except the pose ``start`` in which "last pose" is frozen."""
    rng = np.random.default_rng(seed)
    rest = np.array(rest_pose()[:, :2])
    snippets: list[FloatArray] = []
    while sum(map(len, snippets)) < ticks:
        talk = material.talks[int(rng.integers(len(material.talks)))]
        length = min(len(talk.motion), 5 * m.HZ)
        first = int(rng.integers(0, len(talk.motion) - length + 1))
        snippets.append(talk.motion[first : first + length, :, :2])
    frozen = material.talks[int(rng.integers(len(material.talks)))].motion[0] if start is None else start
    return {
        "rest pose": np.tile(rest, (ticks, 1, 1)),
        "last pose": np.tile(frozen[:, :2], (ticks, 1, 1)),
        "ridge": Ridge(material.talks).motion(sound, ticks),
        "random snippet": np.concatenate(snippets)[:ticks],
    }
