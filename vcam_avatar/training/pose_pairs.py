"""Pseudo-pairs: real strokes, holds and rests laid on the stresses, phrases and pauses of real speech.

What is real: every arm and finger movement (cut from recordings of people), every trunk and head movement,
the speech. What is made: which movement goes with which word, by rules with chance.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from vcam_avatar.media import FloatArray
from vcam_avatar.stages.pose_layout import HEAD, rest_pose
from vcam_avatar.stages.pose_plan import raised_share
from vcam_avatar.stages.pose_retarget import limit_pose
from vcam_avatar.training.pose_clean import MOTION_HZ
from vcam_avatar.training.pose_prosody import ROWS_HZ, Prosody
from vcam_avatar.training.pose_space import ARM_POINTS, BODY_POINTS, from_bones, to_bones
from vcam_avatar.training.pose_units import MotionBank, unit_energy

ROWS_PER_TICK = ROWS_HZ // MOTION_HZ
TRUNK_SMOOTH_TICKS = 12.0
"""Width of the smoothing that turns trunk motion into its slow plan."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How a made performance behaves."""

    quiet_before_rest_s: tuple[float, float] = (0.30, 0.55)
    """A pause this long sends the hands to rest."""
    retraction_s: tuple[float, float] = (0.50, 0.85)
    """How long the way back takes."""
    reaction_s: tuple[float, float] = (0.12, 0.36)
    """From the first sound of a phrase to the first movement: what is not heard cannot be answered."""
    calm_phrase_share: float = 0.1
    """Phrases spoken without the hands."""
    home: float = 0.6
    """How much people whose hands rest high keep to gestures near there, for each unit of distance in arm
    space beyond the nearest gesture, up to ``home_reach``."""
    home_reach: float = 3.0
    nearest: int = 14
    """Continuations among which chance decides."""
    amplitude: tuple[float, float] = (0.88, 1.2)
    stroke_energy: float = 0.7
    """Least energy, as a rank among all units, of a unit that lands on a stress; the strongest gets 1."""
    hold_energy: float = 0.3
    """Energy wanted between stresses."""
    stroke_ticks: int = 11
    """Longer units are not liked for strokes: what a stress calls for must come soon after it."""
    stroke_warp: tuple[float, float] = (0.7, 1.0)
    peak_ticks: tuple[int, int] = (3, 5)
    """When a stroke is fastest, after the stress that calls for it can be heard."""
    interrupt: float = 0.35
    """Stresses at least this strong end what the hands are at, a stroke at the earliest half-way."""
    smooth_ticks: float = 0.45
    """Width of the smoothing over joins."""
    nod: float = 0.022
    """Depth of the nod on the strongest stress, shoulder widths."""
    quiet_trunk: float = 0.25
    """Trunk motion left in silence."""


@dataclass
class Performance:
    """A made or real performance on the 25 Hz motion clock, with the plan behind it."""

    pose: FloatArray
    """float32 ``(T, 57, 2)`` canonical."""
    plan: FloatArray
    """float32 ``(T, PLAN)``: what the hands are up to, see ``plan_size``."""
    event: NDArray[np.bool_]
    """``(T,)``: a new unit begins with this pose."""
    code: NDArray[np.int64]
    """``(T,)`` index in the bank of the unit being performed, -1 for the way to rest and rest itself."""
    speech: NDArray[np.bool_]
    """``(T,)``: somebody speaks in this tick."""
    rest: FloatArray
    """float32 ``(57, 2)`` the pose to which the hands return."""


def plan_size(bank: MotionBank) -> int:
    """Resting, phase, duration; middle and end of the unit in arm space; slow trunk motion."""
    return 3 + 2 * bank.arms.size + bank.trunk.size


def _smoothstep(x: NDArray[np.float64]) -> NDArray[np.float64]:
    x = np.clip(x, 0, 1)
    return x * x * x * (x * (6 * x - 15) + 10)


def _stretch(values: FloatArray, count: int) -> NDArray[np.float64]:
    """``values (n, ...)`` resampled to ``count`` ticks."""
    at = np.linspace(0, len(values) - 1, count)
    low = np.minimum(at.astype(int), len(values) - 2) if len(values) > 1 else np.zeros(count, int)
    part = (at - low).reshape(-1, *([1] * (values.ndim - 1)))
    return np.asarray(values[low] * (1 - part) + values[np.minimum(low + 1, len(values) - 1)] * part)


def _landing(bones: FloatArray, count: int, peak: int) -> NDArray[np.float64]:
    """The unit ``bones (n, A, 2)`` in ``count`` ticks, fastest at about tick ``peak``."""
    speed = np.linalg.norm(np.diff(bones, axis=0), axis=-1).sum(1)
    top = int(np.argmax(gaussian_filter1d(speed, 1.0))) + 1
    last = len(bones) - 1
    count = max(count, peak + 3)
    at = np.interp(np.arange(1, count + 1), [0, peak, count], [0, min(top, last - 1), last])
    # The change of pace is spread over some ticks.
    at = gaussian_filter1d(at, 1.0, mode="nearest")
    low = np.minimum(at.astype(int), last - 1)
    part = (at - low)[:, None, None]
    return np.asarray(bones[low] * (1 - part) + bones[low + 1] * part)


def _carried(step: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """What is left of the movement ``step (A, 2)`` of the last tick over the next ``count``: hands that are
    called away slow down first and are then drawn back."""
    at = np.arange(1, count + 1)
    left = at * 0.55**at * np.clip((count - at) / count, 0, 1)
    return np.asarray(left[:, None, None] * step)


class Choreographer:
    """Lays real motion on speech."""

    def __init__(self, bank: MotionBank, rules: Rules | None = None) -> None:
        self.bank, self.rules = bank, rules or Rules()
        self._length = np.array([len(u.bones) - 1 for u in bank.units])
        self._energy = unit_energy(bank)
        self._away = np.zeros(len(bank.units))
        whole = to_bones(np.array(rest_pose())[None])[0]
        self._whole_rest = whole

    def perform(
        self, prosody: Prosody, ticks: int, rng: np.random.Generator, rest: FloatArray | None = None
    ) -> Performance:
        """Make a performance of ``ticks`` ticks; ``rest`` float ``(57, 2)`` defaults to the canonical one."""
        rest = np.array(rest_pose()[:, :2] if rest is None else rest[:, :2], np.float32)
        speech = _per_tick(prosody.speech, ticks)
        arms, event, code, spans = self._arms(prosody, speech, ticks, rng, to_bones(rest))
        body = self._body(prosody, speech, ticks, rng)
        bones = np.tile(self._whole_rest, (ticks, 1, 1)).astype(np.float32)
        bones[:, list(ARM_POINTS)] = arms
        bones[:, list(BODY_POINTS)] = body
        pose = limit_pose(from_bones(bones))
        return Performance(pose, make_plan(self.bank, pose, spans, code, rest), event, code, speech, rest)

    def _arms(
        self, prosody: Prosody, speech: NDArray[np.bool_], ticks: int, rng: np.random.Generator,
        rest_bones: FloatArray,
    ) -> tuple[FloatArray, NDArray[np.bool_], NDArray[np.int64], list[tuple[int, int]]]:  # fmt: skip
        rules = self.rules
        rest = np.asarray(rest_bones[list(ARM_POINTS)], np.float64)
        away = np.linalg.norm(self.bank.middles - self.bank.arms.encode(rest_bones), axis=1)
        raised = raised_share(from_bones(rest_bones))
        self._away = raised * rules.home * np.minimum(away - away.min(), rules.home_reach)
        stress_tick = np.ceil((prosody.stress_rows + 3) / ROWS_PER_TICK).astype(int) + 1
        strength_at = dict(zip(stress_tick.tolist(), prosody.stress.tolist(), strict=True))
        quiet = np.zeros(ticks, int)
        spoken = np.zeros(ticks, int)
        for t in range(1, ticks):
            quiet[t] = 0 if speech[t] else quiet[t - 1] + 1
            spoken[t] = spoken[t - 1] + 1 if speech[t] else 0
        track = np.zeros((ticks, len(ARM_POINTS), 2))
        event, code = np.zeros(ticks, bool), np.full(ticks, -1)
        spans: list[tuple[int, int]] = []
        used: list[int] = []
        now, t, resting, calm = rest.copy(), 0, True, False
        patience = int(rng.uniform(*rules.quiet_before_rest_s) * MOTION_HZ)
        reaction = rng.uniform(*rules.reaction_s) * MOTION_HZ
        while t < ticks:
            silent = quiet[t] >= patience or not speech[: t + 1].any()
            if resting and (silent or calm or spoken[t] < reaction):
                if silent:
                    calm = rng.random() < rules.calm_phrase_share
                track[t] = now
                spans.append((t, t + 1)) if not spans or code[t - 1] >= 0 else None
                t += 1
                continue
            event[t] = True
            if silent or (not resting and calm and quiet[t] >= 4):
                length = int(rng.uniform(*rules.retraction_s) * MOTION_HZ)
                move = now + (rest - now) * _smoothstep(np.arange(1, length + 1) / length)[:, None, None]
                chosen, resting = -1, True
                patience = int(rng.uniform(*rules.quiet_before_rest_s) * MOTION_HZ)
            else:
                resting, reaction = False, rng.uniform(*rules.reaction_s) * MOTION_HZ
                near = [k for k in (t - 1, t, t + 1) if k in strength_at]
                want = strength_at[near[0]] if near else None
                coming = next((k for k in range(t + 2, min(t + 60, ticks)) if k in strength_at), t + 60)
                chosen = self._choose(now, want, coming - t, used, rng)
                used = [*used[-7:], chosen]
                move = self._fit(chosen, now, want, coming - t, rng)
                move = move + _carried(now - track[max(0, t - 2)], len(move))
            end = min(ticks, t + len(move))
            if chosen >= 0:
                early = t + (4 if want is None else max(5, len(move) // 2))
                beats = (k for k in range(early, end) if strength_at.get(k, 0.0) >= rules.interrupt)
                end = next(beats, end)
                # The voice falls silent: leave the unit, do not finish the sentence with the hands.
                for k in range(t + 3, end):
                    if quiet[k] >= patience:
                        end = k
                        break
            track[t:end] = move[: end - t]
            code[t:end] = chosen
            spans.append((t, t + len(move)))
            now = track[end - 1].copy()
            t = end
        # Joins of units are still moments, cut ones are not: take the corner off.
        return gaussian_filter1d(track, rules.smooth_ticks, axis=0).astype(np.float32), event, code, spans

    def _choose(
        self,
        now: NDArray[np.float64],
        want: float | None,
        room: int,
        used: list[int],
        rng: np.random.Generator,
    ) -> int:
        bank = self.bank
        whole = np.array(self._whole_rest, np.float32)
        whole[list(ARM_POINTS)] = now
        cost = np.linalg.norm(bank.starts - bank.arms.encode(whole), axis=1)
        low, hold = self.rules.stroke_energy, self.rules.hold_energy
        energy = low + (1 - low) * want if want is not None else hold
        cost = cost + 2.5 * np.abs(self._energy - energy) + self._away
        if want is None:
            cost = cost + 0.05 * np.maximum(0, self._length - 1.3 * room)
        else:
            cost = cost + 0.12 * np.maximum(0, self._length - self.rules.stroke_ticks)
        cost[used] += 4.0
        best = np.argsort(cost)[: self.rules.nearest]
        weight = np.exp(-(cost[best] - cost[best[0]]) / 1.0)
        return int(rng.choice(best, p=weight / weight.sum()))

    def _fit(
        self, index: int, now: NDArray[np.float64], want: float | None, room: int, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        unit = self.bank.units[index]
        natural = len(unit.bones) - 1
        warp = rng.uniform(*self.rules.stroke_warp)
        if want is None:
            warp = np.clip(room / natural, 0.8, 1.5)
        count = int(np.clip(round(natural * warp), 4, 45))
        move = _stretch(unit.bones[1:], count)
        if want is not None:
            move = _landing(unit.bones, count, int(rng.integers(*self.rules.peak_ticks, endpoint=True)))
        low, high = self.rules.amplitude
        scale = rng.uniform(low, high) * (1.0 if want is None else 0.92 + 0.2 * want)
        middle = move.mean(0)
        move = middle + (move - middle) * scale
        join = now - (middle + (unit.bones[0] - middle) * scale)
        fade = 1 - _smoothstep(np.arange(1, len(move) + 1) / (len(move) + 1))
        # A little of where the hands were stays: no two performances of a unit are alike.
        return np.asarray(move + join * (0.12 + 0.88 * fade)[:, None, None])

    def _body(
        self, prosody: Prosody, speech: NDArray[np.bool_], ticks: int, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        bank, rules = self.bank, self.rules
        points = list(BODY_POINTS)
        rest = np.asarray(self._whole_rest[points], np.float64)
        out = np.zeros((ticks, len(points), 2))
        total = np.zeros(ticks)
        t = -int(rng.integers(0, 60))
        while t < ticks:
            source = bank.body[int(rng.integers(len(bank.body)))]
            length = int(rng.uniform(3.0, 7.0) * MOTION_HZ)
            first = int(rng.integers(0, max(1, len(source) - length)))
            piece = _stretch(source[first : first + length], int(length * rng.uniform(0.9, 1.2)))
            ramp = np.minimum(np.arange(len(piece)) + 1, np.arange(len(piece))[::-1] + 1) / 18.0
            weight = _smoothstep(ramp) + 1e-4
            a, b = max(0, t), min(ticks, t + len(piece))
            if b > a:
                out[a:b] += (piece[a - t : b - t] - rest) * weight[a - t : b - t, None, None]
                total[a:b] += weight[a - t : b - t]
            t += len(piece) - 18
        out /= np.maximum(total, 1e-3)[:, None, None]
        lively = gaussian_filter1d(speech.astype(float), 10.0)
        out *= (rules.quiet_trunk + (1 - rules.quiet_trunk) * lively)[:, None, None]
        out += rest
        depth = self._nods(prosody, ticks, rng)
        for i, point in enumerate(points):
            if point in HEAD:
                # A nod brings nose and eyes down more than ears.
                out[:, i, 1] += depth * (0.45 if point >= 13 else 0.85 if point >= 11 else 1.0)
        return out

    def _nods(self, prosody: Prosody, ticks: int, rng: np.random.Generator) -> NDArray[np.float64]:
        pulse = np.concatenate([_smoothstep(np.arange(1, 5) / 4), 1 - _smoothstep(np.arange(1, 8) / 7)])
        depth = np.zeros(ticks + 32)
        for row, strength in zip(prosody.stress_rows, prosody.stress, strict=True):
            if rng.random() < 0.35 + 0.5 * strength:
                at = int(np.ceil((row + 3) / ROWS_PER_TICK)) + 1
                if at < ticks:
                    size = self.rules.nod * (0.35 + 0.65 * strength) * rng.uniform(0.5, 1.3)
                    depth[at : at + len(pulse)] += size * pulse
        return depth[:ticks]


def _per_tick(rows: NDArray[np.bool_], ticks: int) -> NDArray[np.bool_]:
    """A row flag, at the end of each tick."""
    padded = np.concatenate([rows, np.zeros(max(0, ticks * ROWS_PER_TICK - len(rows)), bool)])
    return np.asarray(padded[: ticks * ROWS_PER_TICK].reshape(ticks, ROWS_PER_TICK).any(1), bool)


def make_plan(
    bank: MotionBank,
    pose: FloatArray,
    spans: list[tuple[int, int]],
    code: NDArray[np.int64],
    rest: FloatArray,
) -> FloatArray:
    """float32 ``(T, plan_size)``: the plan under which each pose of ``(T, 57, 2)`` was reached.

    Args:
        bank: the spaces in which middle and end are told.
        pose: the performance.
        spans: planned ``[start, end)`` of each unit, in order; a unit may be cut short by the next.
        code: as in ``Performance``.
        rest: float ``(57, 2)``.
    """
    ticks = len(pose)
    bones = to_bones(pose)
    arm = bank.arms.encode(bones)
    trunk = gaussian_filter1d(bank.trunk.encode(bones), TRUNK_SMOOTH_TICKS, axis=0)
    home = bank.arms.encode(to_bones(rest))
    size = bank.arms.size
    plan = np.zeros((ticks, plan_size(bank)), np.float32)
    spans = spans or [(0, ticks)]
    for i, (start, end) in enumerate(spans):
        stop = spans[i + 1][0] if i + 1 < len(spans) else ticks
        start_pose = arm[max(0, start - 1)]
        resting = code[min(start, ticks - 1)] < 0
        last = home if resting else arm[min(end, stop, ticks) - 1]
        middle_at = min((start + end) // 2, stop - 1, ticks - 1)
        middle = (start_pose + home) / 2 if resting else arm[middle_at]
        length = max(1, end - start)
        rows = slice(start, stop)
        plan[rows, 0] = resting
        plan[rows, 1] = np.clip((np.arange(start, stop) - start + 1) / length, 0, 1.5)
        plan[rows, 2] = length / 20.0
        plan[rows, 3 : 3 + size] = middle
        plan[rows, 3 + size : 3 + 2 * size] = last
    plan[:, 3 + 2 * size :] = trunk
    return plan
