"""How far head and torso are from where they truly are: flow of synthetic people never trained on.

``python -m vcam_avatar.evaluation.body_flow OUT.npz --data DATA`` makes ``held_out_motion.npz`` from what
``vcam-avatar train motion-data`` wrote.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from vcam_avatar import resources
from vcam_avatar.evaluation.report import Result
from vcam_avatar.inference import load_network
from vcam_avatar.stages.body_motion import FIELDS_MODEL, WEIGHTS_MODEL, MotionFields, sample_fields

HELD_OUT_MOTION = "held_out_motion.npz"
"""Squares, keypoints, points and what joints leave them away from the truth, in ``vcam_avatar/assets``."""
_HEAD = -0.3
"""Above this height, shoulder widths from the neck, points are the head's."""
_UNIT_PX = 86
"""Shoulder width in pictures of 256 px."""


def measure_flow() -> Result:
    """Mean end-point error over points of head and torso, in pixels of a picture of 256 px."""
    fields, weigh = load_network(FIELDS_MODEL), load_network(WEIGHTS_MODEL)
    joints: list[Any] = []
    fitted: list[Any] = []
    on_head: list[Any] = []
    with np.load(resources.asset_path(HELD_OUT_MOTION)) as data:
        squares, rests, nows, places, lacks = (
            data[name].astype(np.float32) for name in ("square", "rest", "now", "place", "lack")
        )
    for square, rest, now, place, lack in zip(squares / 255, rests, nows, places, lacks, strict=True):
        for k in range(len(now)):
            basis = sample_fields(fields, square, rest[k], place[k])
            shift = MotionFields(basis, rest[k], weigh).shift(now[k])
            joints.append(np.hypot(*lack[k].T))
            fitted.append(np.hypot(*(lack[k] - shift).T))
            on_head.append(place[k, :, 1] < _HEAD)
    head = np.concatenate(on_head)

    def both(errors: list[Any]) -> dict[str, float]:
        each = np.concatenate(errors) * _UNIT_PX
        return {"head": round(float(each[head].mean()), 2), "torso": round(float(each[~head].mean()), 2)}

    value, alone = both(fitted), both(joints)
    holds = all(value[name] < alone[name] for name in value)
    return Result(
        value, "px", "below the joints' alone", holds, "synthetic people never trained on", len(squares),
        {"by joints alone": alone},
    )  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """Choose people and points."""
    from vcam_avatar.training.motion_data import load_people

    parser = argparse.ArgumentParser(description="Held-out people of the networks that bend head and torso.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--count", type=int, default=24)
    options = parser.parse_args(argv)
    _, held = load_people(options.data)
    people = held.part(np.linspace(0, len(held) - 1, options.count).astype(int))
    poses, points = slice(0, 3), slice(0, 128)
    np.savez_compressed(
        options.out, square=people.square, rest=people.rest[:, poses], now=people.now[:, poses],
        place=people.place[:, poses, points], lack=people.lack[:, poses, points],
    )  # fmt: skip
    print(options.out, options.out.stat().st_size // 1024, "KiB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
