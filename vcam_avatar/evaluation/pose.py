"""How good the gestures are: measures P1 to P7, with baselines from the same run."""

import resource
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vcam_avatar.evaluation import pose_measure as m
from vcam_avatar.evaluation.pose_material import FPS, Material, Ridge, Talk, baselines, load_material, perform
from vcam_avatar.evaluation.report import Result, not_measured
from vcam_avatar.media import SAMPLE_RATE_HZ, FloatArray, UnitClock
from vcam_avatar.stages.features import FeatureStage
from vcam_avatar.stages.pose import NeuralPosePredictor
from vcam_avatar.stages.pose_layout import rest_pose

HORIZON = 10
"""Ticks ahead (0.4 s) at which free-running prediction is judged besides the next tick."""
_SEEDS = (1, 2, 3)
_HELD_SEEDS = tuple(range(1, 13))
"""Chance decides much in five seconds: how often the held-out talk is performed."""

TARGETS = {
    "P1": ("", "better than rest pose, last pose, ridge and random snippet"),
    "P2": ("", "Hellinger <= 0.2 each; variance ratio 0.8-1.2"),
    "P3": ("", ">= real"),
    "P4": ("", "nearer to real than every baseline"),
    "P5": ("", "bones <= 2 % beyond their length; fingertips as far apart as in the data"),
    "P6": ("", "rest shares like real; back at rest <= 1.5 s after speech"),
    "P7": ("", "no drift, flat memory, no loop"),
}


def measure(data: Path, quick: bool) -> dict[str, Result]:
    """P1 to P7."""
    try:
        material = load_material(data)
    except (OSError, KeyError, ValueError, ImportError) as exc:
        return {key: not_measured(*TARGETS[key], f"{exc}") for key in TARGETS}
    return measure_predictor(NeuralPosePredictor(), material, quick)


def measure_predictor(predictor: NeuralPosePredictor, material: Material, quick: bool) -> dict[str, Result]:
    """P1 to P7 of any predictor."""
    results = _measure(predictor, material, quick)
    return {**results, "P7": _p7(predictor, material, 600.0 if quick else 7200.0)}


def _measure(predictor: NeuralPosePredictor, material: Material, quick: bool) -> dict[str, Result]:
    from vcam_avatar.training.pose_prosody import analyse

    seeds = _SEEDS[:1] if quick else _SEEDS
    voices = material.voices[:3] if quick else material.voices
    talks = [*material.talks, material.held]
    made, simple, onsets, speech = [], [], [], []
    for seed in seeds:
        for _, sound in [*voices, *((t.name, t.sound) for t in material.talks)]:
            motion = perform(predictor, sound, seed)
            made.append(motion)
            simple.append(baselines(material, sound, len(motion), seed))
            prosody = analyse(sound)
            onsets.append(prosody.stress_rows / 100)
            speech.append(_ticks(prosody.speech, len(motion)))
    real = [t.motion for t in talks]
    return {
        "P1": _p1(predictor, material),
        "P2": _p2(made, real),
        "P3": _p3(made, onsets, talks, simple),
        "P4": _p4(predictor, made, simple, material),
        "P5": _p5(made, real),
        "P6": _p6(predictor, made, speech, talks, voices, seeds),
    }


def measure_short(predictor: NeuralPosePredictor, material: Material) -> dict[str, Result]:
    """P1 to P6 with one performance per voice."""
    return _measure(predictor, material, True)


def measure_held(predictor: NeuralPosePredictor, material: Material) -> dict[str, Result]:
    """P1 and P4: what needs nothing but held-out talk."""
    return {"P1": _p1(predictor, material), "P4": _p4(predictor, [], [], material)}


def _ticks(rows: NDArray[np.bool_], ticks: int) -> NDArray[np.bool_]:
    padded = np.zeros(ticks * 4, bool)
    padded[: min(len(rows), ticks * 4)] = rows[: ticks * 4]
    return np.asarray(padded.reshape(ticks, 4).any(1), bool)


def _p1(predictor: NeuralPosePredictor, material: Material) -> Result:
    from vcam_avatar.training.dataset import tick_rows

    held = material.held
    real = held.motion[..., :2]
    rows = tick_rows(held.sound, len(real))
    rest = np.array(rest_pose()[:, :2])
    ridge = Ridge(material.talks).motion(held.sound, len(real))
    rng = np.random.default_rng(0)
    values: dict[str, Any] = {}
    others: dict[str, dict[str, float]] = {}
    for name, ahead in (("next", 1), (f"{HORIZON} ticks", HORIZON)):
        got = predictor.expect(rows, real, ahead)
        label = real[m.HZ + ahead - 1 :]
        values[name] = m.errors(got[m.HZ - 1 :], label)
        last = real[m.HZ - 1 : len(real) - ahead]
        guess = ridge[m.HZ + ahead - 2 :][: len(label)]
        pool = np.concatenate([t.motion[..., :2] for t in material.talks])
        draw = pool[rng.integers(0, len(pool), len(label))]
        for key, motion in (
            ("rest pose", np.tile(rest, (len(label), 1, 1))), ("last pose", last), ("ridge", guess),
            ("random snippet", draw),
        ):  # fmt: skip
            others.setdefault(key, {})[f"{name} loss"] = m.errors(motion, label[: len(motion)])["loss"]
    holds = all(values[name]["loss"] < others[key][f"{name} loss"] for name in values for key in others)
    return Result(
        {f"{n} {k}": v for n, part in values.items() for k, v in part.items()}, *TARGETS["P1"], holds,
        f"{held.name}, real history given, no plan", len(real), others,
    )  # fmt: skip


def _p2(made: list[FloatArray], real: list[FloatArray]) -> Result:
    mine = [np.concatenate(x) for x in zip(*(m.derivatives(x) for x in made), strict=True)]
    theirs = [np.concatenate(x) for x in zip(*(m.derivatives(x) for x in real), strict=True)]
    distance = {
        name: m.hellinger(a, b)
        for name, a, b in zip(("speed", "acceleration", "jerk"), mine, theirs, strict=True)
    }

    def spread(motions: list[FloatArray]) -> float:
        # Within each recording: people differ more from each other than one moves.
        return float(np.mean([x[..., :2].var(0).sum() for x in motions]))

    ratio = spread(made) / spread(real)
    holds = max(distance.values()) <= 0.2 and 0.8 <= ratio <= 1.2
    value = {**distance, "variance ratio": ratio}
    return Result(
        value, *TARGETS["P2"], holds, "held-out voices against 50 s of real talk", sum(map(len, made))
    )


def _p3(
    made: list[FloatArray],
    onsets: list[NDArray[np.float64]],
    talks: list[Talk],
    simple: list[dict[str, FloatArray]],
) -> Result:
    from vcam_avatar.training.pose_prosody import analyse

    mine = float(np.mean([m.beat_alignment(x, o) for x, o in zip(made, onsets, strict=True)]))
    real = float(
        np.mean(
            [
                m.beat_alignment(t.motion, analyse(t.sound).stress_rows / 100)
                for t in talks
                if len(t.motion) > 200
            ]
        )
    )
    snippets = [m.beat_alignment(s["random snippet"], o) for s, o in zip(simple, onsets, strict=True)]
    others = {"real": real, "random snippet": float(np.mean(snippets))}
    return Result(
        mine, *TARGETS["P3"], mine >= real, "ends of strokes against stressed onsets", len(made), others
    )


def _p4(
    predictor: NeuralPosePredictor, made: list[FloatArray], simple: list[dict[str, FloatArray]],
    material: Material,
) -> Result:  # fmt: skip
    """Held-out real motion is what all must be near to; nobody has learnt it or may cut from it."""
    held = material.held
    everything = [t.motion for t in (*material.talks, held)]
    space = m.PoseSpace(everything)
    start = held.motion[0]

    def near(motions: list[FloatArray], reference: list[FloatArray]) -> dict[str, float]:
        poses, windows = (
            [np.concatenate([code(x) for x in group]) for group in (motions, reference)]
            for code in (space.poses, space.windows)
        )
        covered = [m.coverage(np.concatenate([x[..., :2] for x in group])) for group in (motions, reference)]
        return {"pose": m.frechet(*poses), "window": m.frechet(*windows), "dice": m.dice(*covered)}

    performed = [perform(predictor, held.sound, seed, start=start) for seed in _HELD_SEEDS]
    plain = [baselines(material, held.sound, len(held.motion), seed, start) for seed in _HELD_SEEDS]
    mine = near(performed, [held.motion])
    others = {name: near([s[name] for s in plain], [held.motion]) for name in plain[0]}
    holds = all(mine[k] < o[k] for o in others.values() for k in ("pose", "window"))
    flat = {name: " / ".join(f"{v:.3g}" for v in o.values()) for name, o in others.items()}
    # How like all talkers together, most of them learnt; snippets are then cut from what they are held to.
    pooled = {"all talk": made, "all talk, snippets of itself": [s["random snippet"] for s in simple]}
    for name, motions in pooled.items() if made else ():
        flat[name] = " / ".join(f"{v:.3g}" for v in near(motions, everything).values())
    data = f"{held.name}, its sound and first pose given; snippets of the learnt talk"
    return Result(mine, *TARGETS["P4"], holds, data, sum(map(len, performed)), flat)


def _p5(made: list[FloatArray], real: list[FloatArray]) -> Result:
    value = {
        "bone excess": max(m.bone_excess(x) for x in made),
        "shoulder variation": max(m.rigid_variation(x) for x in made),
        "fingertips touching": float(np.mean([m.touching_fingertips(x) for x in made])),
    }
    others = {
        "real fingertips touching": float(np.mean([m.touching_fingertips(x) for x in real])),
        "real shoulder variation": max(m.rigid_variation(x) for x in real),
    }
    holds = (
        value["bone excess"] <= 0.02
        and value["shoulder variation"] <= 0.02
        and value["fingertips touching"] <= others["real fingertips touching"] + 0.005
    )
    return Result(value, *TARGETS["P5"], holds, "every tick", sum(map(len, made)), others)


def _p6(
    predictor: NeuralPosePredictor, made: list[FloatArray], speech: list[NDArray[np.bool_]],
    talks: list[Talk], voices: list[tuple[str, FloatArray]], seeds: tuple[int, ...],
) -> Result:  # fmt: skip
    from vcam_avatar.training.pose_prosody import analyse

    back: list[float] = []
    silent: list[float] = []
    rng = np.random.default_rng(0)
    for seed in seeds:
        for _, sound in voices:
            talk = sound[: 8 * SAMPLE_RATE_HZ]
            quiet = rng.normal(0, 3e-4, 8 * SAMPLE_RATE_HZ).astype(np.float32)
            both = np.concatenate([talk, quiet])
            motion = perform(predictor, both, seed)
            said = _ticks(analyse(both).speech, len(motion))
            said[8 * m.HZ :] = False
            last = int(np.flatnonzero(said)[-1]) if said.any() else 0
            said[last + 1 :] = False
            back += m.time_to_rest(motion, said, 6.0)
            late = np.zeros(len(motion), bool)
            late[last + 40 :] = True
            silent.append(m.rest_share(motion, late))
    speaking = float(np.mean([m.rest_share(x, s) for x, s in zip(made, speech, strict=True)]))
    real = float(
        np.mean([m.rest_share(t.motion, _ticks(analyse(t.sound).speech, len(t.motion))) for t in talks])
    )
    value = {
        "at rest in speech": speaking, "at rest in silence": float(np.mean(silent)),
        "s to rest": float(np.median(back)), "s to rest p95": float(np.percentile(back, 95)),
    }  # fmt: skip
    holds = (
        value["s to rest p95"] <= 1.5 and value["at rest in silence"] >= 0.95 and abs(speaking - real) <= 0.2
    )
    data = "8 s of held-out speech, 8 s of room noise; real people in the set hardly fall silent"
    return Result(value, *TARGETS["P6"], holds, data, len(back), {"real at rest in speech": real})


def _p7(predictor: NeuralPosePredictor, material: Material, seconds: float) -> Result:
    voices = [sound for _, sound in material.voices]
    quiet = np.zeros(3 * SAMPLE_RATE_HZ, np.float32)
    loop = np.concatenate([part for sound in voices for part in (sound, quiet)])
    stage, clock = FeatureStage(FPS), UnitClock(FPS)
    predictor.reset(np.array(rest_pose()), 5)
    wrists, means, total = [], [], np.zeros(2)
    units = int(seconds * m.HZ)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    block: list[FloatArray] = []
    for n in range(units):
        a, b = clock.start_sample(n), clock.start_sample(n + 1)
        pose = predictor.predict(stage.push(np.take(loop, np.arange(a, b), mode="wrap")))
        block.append(pose[:, :2])
        if len(block) == 60 * m.HZ:
            motion = np.stack(block)
            means.append(motion.mean(0))
            wrists.append(motion[::5, [4, 7]].reshape(-1))
            block = []
            total = motion.std(0).mean(0)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    minutes = len(means)
    third = max(1, minutes // 3)
    drift = float(np.abs(np.mean(means[:third], 0) - np.mean(means[-third:], 0)).max())
    # A loop would make two minutes alike; compare all pairs of minutes with their mean distance.
    tracks = np.stack(wrists)
    distance = np.abs(tracks[:, None] - tracks[None]).mean(-1)[np.triu_indices(minutes, 1)]
    value = {
        "drift": drift, "grown MB": (after - before) / 1024,
        "nearest minutes / mean": float(distance.min() / distance.mean()), "minutes": minutes,
        "spread at end": float(total.mean()),
    }  # fmt: skip
    holds = drift < 0.12 and value["grown MB"] < 8 and value["nearest minutes / mean"] > 0.3
    return Result(value, *TARGETS["P7"], holds, "held-out voices in a loop with pauses", units)
