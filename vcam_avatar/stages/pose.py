"""Sound and all poses so far -> the next pose: the first network of the method, running live.

The network ticks at 25 Hz on the rows of sound, whatever the frame rate; the pose of a frame is read off the
motion at the exact time the frame begins. The same voice therefore gives the same motion at any frame rate.
"""

from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vcam_avatar.errors import ModelError
from vcam_avatar.inference import Network, load_network
from vcam_avatar.media import HOP_SAMPLES, SAMPLE_RATE_HZ, FloatArray, UnitClock, UnitFeatures
from vcam_avatar.stages.features import WINDOW_SAMPLES
from vcam_avatar.stages.pose_idle import IdleMotion
from vcam_avatar.stages.pose_layout import LAYOUTS, MID_HIP, layout_of, rest_pose
from vcam_avatar.stages.pose_plan import MOTION_HZ, RESTING, Offer, Planner, UnitTable
from vcam_avatar.stages.pose_retarget import limit_pose, spread_fingers, steady_shoulders
from vcam_avatar.stages.pose_voice import NoiseFloor, Stress

ROWS_PER_TICK = 4
_TICK_S = 1 / MOTION_HZ
_EASE_TICKS = 12.0
"""How slowly the body settles into the exact rest pose, where only breath and sway are left."""


class NeuralPosePredictor:
    """The ``PosePredictor`` of the pipeline.

    State: keys and values of the last seconds, running means of everything since the start, the last few
    poses. Its size does not depend on how much was heard.
    """

    def __init__(self, network: Network | None = None) -> None:
        """Load the shipped network, or use ``network``.

        Raises:
            ModelError: it is missing, damaged or not a pose predictor.
        """
        self._network = network or load_network("pose")
        values = self._network.values
        try:
            self._layout = LAYOUTS[values["layout"]]
            self._table = UnitTable.from_values(values)
            self._state_kinds: dict[str, dict[str, Any]] = values["state"]
            self._windows = {"age_enc": values["audio_window"], "age_dec": values["window"]}
            plan = int(values["plan"])
        except (KeyError, TypeError, ValueError) as exc:
            raise ModelError(f"{self._network.path} is not a pose predictor ({exc!r})") from exc
        if tuple(self._network.sidecar.keypoint_order or ()) != self._layout.keypoints:
            raise ModelError(f"{self._network.path} was trained with another order of keypoints")
        if plan != 3 + 2 * self._table.start.shape[1] + len(self._table.trunk_mean):
            raise ModelError(f"{self._network.path} does not fit its table of motion units")
        self._inputs = {tensor.name for tensor in self._network.sidecar.inputs}
        self.reset(np.zeros(0, np.float32), 0)

    def reset(self, start_pose: FloatArray, seed: int) -> None:
        """Begin anew.

        Args:
            start_pose: float32 ``(K, 3)`` normalised, 57 or 67 keypoints: where motion starts and where the
                hands return to in silence. Empty: the canonical rest pose.
            seed: of everything that is left to chance.
        """
        pose = np.array(start_pose if start_pose.size else rest_pose(self._layout), np.float32)
        layout_of(len(pose))
        known = min(len(pose), self._layout.size)
        self._start = pose
        base = np.array(rest_pose(self._layout)[:, :2], np.float32)
        base[:known] = pose[:known, :2]
        self._rest = base
        rng = np.random.default_rng(seed)
        self._planner = Planner(self._table, base, rng)
        self._idle = IdleMotion(np.random.default_rng([seed, 1]))
        self._state: dict[str, NDArray[Any]] = {
            name: np.zeros(info["shape"], np.float32) for name, info in self._state_kinds.items()
        }
        self._ages = {n: np.full(w, -1, np.int64) for n, w in self._windows.items() if n in self._inputs}
        self._ticks = 0
        self._pose, self._before = base, base
        self._unit_logits: FloatArray | None = None
        self._voice = 0.0
        self._floor, self._stress = NoiseFloor(), Stress()
        self._ease = 1.0
        self._rows: list[FloatArray] = []
        # Poses with the time at which each is due; three make a curve.
        self._track: deque[tuple[float, FloatArray]] = deque(maxlen=4)
        self._track.append((-1.0, base))
        self.units_begun = 0

    @property
    def voice(self) -> float:
        """Probability that somebody spoke in the last tick."""
        return self._voice

    def predict(self, unit: UnitFeatures) -> FloatArray:
        """Hear one more unit; return the pose of the next one.

        Returns:
            float32 ``(K, 3)`` normalised; third column is the start pose's confidence.
        """
        clock = UnitClock(unit.fps)
        samples = clock.start_sample(unit.index + 1)
        completed = max(0, 1 + (samples - WINDOW_SAMPLES) // HOP_SAMPLES)
        first_row = completed - len(unit.rows)
        for i, row in enumerate(unit.rows):
            self._rows.append(row)
            if len(self._rows) == ROWS_PER_TICK:
                ended = ((first_row + i) * HOP_SAMPLES + WINDOW_SAMPLES) / SAMPLE_RATE_HZ
                self._tick(np.stack(self._rows).astype(np.float32), ended)
                self._rows = []
        time_s = clock.time_s(unit.index + 1)
        pose = limit_pose(steady_shoulders(spread_fingers(self._idle.apply(self._at(time_s), time_s))))
        out = self._start.copy()
        known = min(len(out), len(pose))
        out[:known, :2] = pose[:known]
        if len(out) > known:
            out[known:, :2] += pose[MID_HIP] - self._rest[MID_HIP]
        return out

    def _tick(self, rows: FloatArray, ended_s: float) -> None:
        stress = self._stress.heard(rows) * (self._voice > 0.5)
        offer = self._planner.offer(self._pose, self._unit_logits, self._voice, stress)
        said = self._run(rows, offer)
        self._advance(said)
        self.units_begun += self._planner.settle(offer, float(said["event"][0]))
        self._unit_logits = said["unit"]
        said_voice = float(1 / (1 + np.exp(-np.clip(said["voice"][0], -30, 30))))
        self._voice = said_voice if self._floor.heard(rows) else 0.0
        self._before, self._pose = self._pose, limit_pose(said["next_pose"])
        target = 1.0 if self._planner.at_rest else 0.0
        self._ease += np.clip(target - self._ease, -3 / _EASE_TICKS, 1 / _EASE_TICKS)
        weight = self._ease * self._ease * (3 - 2 * self._ease)
        shown = self._pose + np.float32(weight) * (self._rest - self._pose)
        if len(self._track) == 1:
            self._track[0] = (ended_s, self._track[0][1])
        self._track.append((ended_s + _TICK_S, shown))

    def _run(self, rows: FloatArray, offer: Offer, plan: FloatArray | None = None) -> dict[str, NDArray[Any]]:
        """One tick of the network; the state is left as it is. ``plan`` instead of the planner's."""
        ages = {n: np.where(age >= 0, age + 1, age) for n, age in self._ages.items()}
        feeds: dict[str, NDArray[Any]] = {
            "rows": rows, "pose": self._pose, "before": self._before,
            "plan": self._planner.plan if plan is None else plan, "plan_kept": offer.kept,
            "plan_new": offer.new, "unit_now": self._planner.number(self._planner.unit),
            "unit_new": self._planner.number(offer.unit), "chance": np.array([offer.chance], np.float32),
            "rest": self._rest, "heard": np.array([self._ticks], np.float32), **ages, **self._state,
        }  # fmt: skip
        return self._network.run({name: value for name, value in feeds.items() if name in self._inputs})

    def _advance(self, said: dict[str, NDArray[Any]]) -> None:
        """Take over the state after a tick."""
        for name, info in self._state_kinds.items():
            new = said[f"{name}_new"]
            if info["kind"] == "ring":
                self._state[name][self._ticks % len(self._state[name])] = new
            else:
                self._state[name] = new
        for age in self._ages.values():
            age[age >= 0] += 1
            age[self._ticks % len(age)] = 0
        self._ticks += 1

    def _at(self, time_s: float) -> FloatArray:
        """The motion at a moment not later than the newest pose: a curve through the last poses."""
        (t1, p1), (t0, p0) = self._track[-1], self._track[-2] if len(self._track) > 1 else self._track[-1]
        part = float(np.clip((time_s - t0) / _TICK_S, 0, 1)) if t1 > t0 else 1.0
        if len(self._track) < 3:
            return np.asarray(p0 + (p1 - p0) * np.float32(part), np.float32)
        slope0 = (p1 - self._track[-3][1]) / 2
        slope1 = p1 - p0
        h = np.float32(part)
        return np.asarray(
            (2 * h**3 - 3 * h**2 + 1) * p0 + (h**3 - 2 * h**2 + h) * slope0
            + (-2 * h**3 + 3 * h**2) * p1 + (h**3 - h**2) * slope1, np.float32,
        )  # fmt: skip

    def expect(self, rows: FloatArray, real: FloatArray, ahead: int = 1) -> FloatArray:
        """Predict a recording without a plan: what the sound and the true history make likely.

        Args:
            rows: float32 ``(T, 4, 40)`` MFCC of each tick.
            real: float32 ``(T, K, 2)`` true poses at 25 Hz; up to each tick they are given.
            ahead: ticks to predict on from there; beyond the first, on own predictions.

        Returns:
            float32 ``(T - ahead, K, 2)``: row k predicts the true pose of tick ``k + ahead``. The
            predictor is left as after a fresh start.
        """
        self.reset(np.zeros(0, np.float32), 0)
        blank = np.zeros_like(self._planner.plan)
        offer = Offer(blank, blank, RESTING, 0.0)
        out = []
        for k in range(len(real) - ahead):
            self._pose, self._before = real[k], real[max(0, k - 1)]
            said = self._run(rows[k], offer, blank)
            self._advance(said)
            pose, before = limit_pose(said["next_pose"]), real[k]
            if ahead > 1:
                kept = self._snapshot()
                for step in range(1, ahead):
                    self._pose, self._before = pose, before
                    said = self._run(rows[k + step], offer, blank)
                    self._advance(said)
                    before, pose = pose, limit_pose(said["next_pose"])
                self._state, self._ages, self._ticks = kept
            out.append(pose)
        self.reset(np.zeros(0, np.float32), 0)
        return np.stack(out)

    def _snapshot(self) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[np.int64]], int]:
        state = {name: value.copy() for name, value in self._state.items()}
        return state, {name: age.copy() for name, age in self._ages.items()}, self._ticks
