"""Which recordings the shipped weights learn from, and how they become samples."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from vcam_avatar.media import SAMPLE_RATE_HZ, FloatArray
from vcam_avatar.stages.pose_layout import UPPER_BODY, mirrored, rest_pose
from vcam_avatar.stages.pose_retarget import limit_pose
from vcam_avatar.training.dataset import Sample, save_samples, tick_rows
from vcam_avatar.training.pose_clean import MOTION_HZ, CleanRules, canonicalise, clean, good_spans, resample
from vcam_avatar.training.pose_pairs import Choreographer, Performance, make_plan
from vcam_avatar.training.pose_prosody import analyse
from vcam_avatar.training.pose_sound import Mix, load_audio, sessions, ticks_of
from vcam_avatar.training.pose_sources import read_dwpose, read_holistic
from vcam_avatar.training.pose_space import ARM_POINTS, from_bones, to_bones
from vcam_avatar.training.pose_units import (
    BANK_NAME,
    MotionBank,
    build_bank,
    cut_units,
    hand_speed,
    save_bank,
)

DWPOSE_FPS = 24.0
TALKERS = ("demo1", "demo2", "demo3")
GESTURES = ("01", "02", "03", "04", "good")
"""Hand motion without its sound; the film poses beside them are not how people talk."""
HELD_OUT_S = 5.0
"""The end of demo3 is never learnt."""
DEVELOPMENT_S = 5.0
"""What lies before it is not learnt either: among checkpoints and settings it decides."""


def talkers(data: Path, leave_out: tuple[str, ...] = ()) -> dict[str, tuple[FloatArray, FloatArray]]:
    """Name -> canonical motion ``(T, 57, 3)`` at 25 Hz and sound, of people recorded talking."""
    found = {}
    for name in TALKERS:
        if name in leave_out:
            continue
        pose_px, fps = read_holistic(data / "latentsync_people" / f"{name}_holistic.npz")
        pose = resample(canonicalise(clean(pose_px, fps)), fps)
        found[name] = (pose, load_audio(data / "latentsync_people" / f"{name}_video.mp4"))
    return found


def held_out(pose: FloatArray, sound: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The last seconds of a talker."""
    ticks = int(HELD_OUT_S * MOTION_HZ)
    first = len(pose) - ticks
    return pose[first:], sound[first * SAMPLE_RATE_HZ // MOTION_HZ :][: ticks * SAMPLE_RATE_HZ // MOTION_HZ]


def learnt_part(name: str, pose: FloatArray, sound: FloatArray) -> tuple[FloatArray, FloatArray]:
    """What of a talker may be learnt."""
    ticks = len(pose) - (int((HELD_OUT_S + DEVELOPMENT_S) * MOTION_HZ) if name == "demo3" else 0)
    return pose[:ticks], sound[: ticks * SAMPLE_RATE_HZ // MOTION_HZ]


def development_part(pose: FloatArray, sound: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The seconds before the held-out ones."""
    last = len(pose) - int(HELD_OUT_S * MOTION_HZ)
    first = last - int(DEVELOPMENT_S * MOTION_HZ)
    rate = SAMPLE_RATE_HZ // MOTION_HZ
    return pose[first:last], sound[first * rate : last * rate]


def gestures(data: Path) -> dict[str, FloatArray]:
    """Name -> canonical motion without sound."""
    found = {}
    for name in GESTURES:
        pose_px = read_dwpose(data / "echomimic_v2" / "poses" / f"{name}.npz")
        for start, end in good_spans(pose_px, DWPOSE_FPS, CleanRules()):
            motion = resample(canonicalise(clean(pose_px[start:end], DWPOSE_FPS)), DWPOSE_FPS)
            found[f"{name}@{start}" if start else name] = motion
    return found


def training_bank(data: Path, leave_out: tuple[str, ...] = ()) -> MotionBank:
    """Motion units of everything that may be learnt."""
    people = {n: learnt_part(n, *pair)[0] for n, pair in talkers(data, leave_out).items()}
    return build_bank({**people, **gestures(data)}, set(people))


def real_sample(bank: MotionBank, name: str, pose: FloatArray, sound: FloatArray) -> Sample:
    """A recording of a talker with the plan that explains it."""
    ticks = min(len(pose), len(sound) * MOTION_HZ // SAMPLE_RATE_HZ)
    pose = pose[:ticks]
    prosody = analyse(sound)
    coarse = bank.arms.encode(to_bones(pose))
    speed = hand_speed(pose)
    # Where this person's hands usually are when they do nothing.
    calm = coarse[speed <= np.percentile(speed, 30)]
    home_at = int(np.argmin(np.linalg.norm(coarse - np.median(calm, 0), axis=1) + 5 * (speed > 0.5)))
    rest = np.array(rest_pose()[:, :2])
    bones = to_bones(rest)
    bones[list(ARM_POINTS)] = to_bones(pose[home_at])[list(ARM_POINTS)]
    rest = from_bones(bones)
    spans, code, event = cut_units(pose), np.full(ticks, -1), np.zeros(ticks, bool)
    for a, b in spans:
        middle = coarse[(a + b) // 2]
        cost = (
            np.linalg.norm(bank.starts - coarse[a], axis=1)
            + np.linalg.norm(bank.middles - middle, axis=1)
            + np.linalg.norm(bank.ends - coarse[b], axis=1)
        )
        event[a + 1] = True
        away = np.linalg.norm(coarse[b] - coarse[home_at])
        still = speed[a : b + 1].max() < 0.35
        code[a + 1 : b + 1] = -1 if still and away < 1.2 else int(np.argmin(cost))
    plan = make_plan(bank, pose[..., :2], [(a + 1, b + 1) for a, b in spans], code, rest)
    speech = ticks_of(prosody.speech, ticks)
    return Sample(name, True, tick_rows(sound, ticks), pose, rest, plan, event, code, speech)


def _some_rest(bank: MotionBank, rng: np.random.Generator) -> FloatArray:
    """A pose in which an avatar's picture may show its hands."""
    rest = np.array(rest_pose()[:, :2])
    if rng.random() < 0.3:
        return rest
    bones = to_bones(rest)
    unit = bank.units[int(rng.integers(len(bank.units)))]
    arms = np.asarray(unit.bones[0] if rng.random() < 0.5 else unit.bones[-1], np.float32)
    part = rng.uniform(0.4, 1.0)
    bones[list(ARM_POINTS)] = part * arms + (1 - part) * bones[list(ARM_POINTS)]
    return np.asarray(limit_pose(from_bones(bones)), np.float32)


def pseudo_samples(data: Path, bank: MotionBank, mix: Mix, seed: int) -> Iterator[Sample]:
    """Made performances to real speech."""
    rng = np.random.default_rng(seed)
    choreographer = Choreographer(bank)
    for number, session in enumerate(sessions(data, mix, rng)):
        ticks = len(session.clean) * MOTION_HZ // SAMPLE_RATE_HZ
        performance: Performance = choreographer.perform(
            analyse(session.clean), ticks, rng, _some_rest(bank, rng)
        )
        confidence = np.ones((ticks, UPPER_BODY.size, 1), np.float32)
        yield Sample(
            f"{session.voice}-{number}",
            False,
            tick_rows(session.heard, ticks),
            np.concatenate([performance.pose[..., :2], confidence], -1),
            performance.rest,
            performance.plan,
            performance.event,
            performance.code,
            performance.speech,
        )


def build_pairs(data: Path, folder: Path, *, mix: Mix, seed: int = 0, leave_out: tuple[str, ...] = ()) -> int:
    """Make and store the set that the shipped weights learn: real pairs, their mirror images, pseudo-pairs.

    Args:
        data: folder with ``latentsync_people``, ``echomimic_v2``, the speech sets and ``noise_music``.
        folder: gets samples and bank.
        mix: how much is made.
        seed: of everything made by chance.
        leave_out: people whose motion must not be learnt.

    Returns:
        Number of samples.
    """
    bank = training_bank(data, leave_out)
    save_bank(folder / BANK_NAME, bank)

    def every() -> Iterator[Sample]:
        for name, (pose, sound) in talkers(data, leave_out).items():
            pose, sound = learnt_part(name, pose, sound)
            yield real_sample(bank, name, pose, sound)
            yield real_sample(bank, f"{name}/mirrored", mirrored(pose), sound)
        yield from pseudo_samples(data, bank, mix, seed)

    return save_samples(
        folder, every(), {"units": len(bank.units), "seed": seed, "left_out": list(leave_out)}
    )


def main(argv: Sequence[str] | None = None) -> int:
    """``vcam-avatar dataset pairs``."""
    parser = argparse.ArgumentParser(prog="vcam-avatar dataset pairs", description=__doc__)
    parser.add_argument("data", type=Path, help="folder with the recordings")
    parser.add_argument("--out", type=Path, required=True, help="folder for the samples")
    parser.add_argument("--passes", type=int, default=4, help="performances per recording (default: 4)")
    parser.add_argument("--seed", type=int, default=0, help="of everything made by chance (default: 0)")
    parser.add_argument("--leave-out", nargs="*", default=[], help="people not to learn from, such as demo2")
    args = parser.parse_args(argv)
    mix = Mix(passes=args.passes)
    count = build_pairs(args.data, args.out, mix=mix, seed=args.seed, leave_out=tuple(args.leave_out))
    print(f"{count} samples in {args.out}")
    return 0
