"""Where points of head and torso really go beyond the joints' bending, from the factory's exact flow."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vcam_avatar.errors import ModelError
from vcam_avatar.factory.shards import Sample, ShardFolder
from vcam_avatar.factory.truth import PARTS
from vcam_avatar.media import ByteArray, FloatArray
from vcam_avatar.stages.body_core import CoreMesh, mesh_weights
from vcam_avatar.stages.body_motion import cut_square, relative
from vcam_avatar.stages.pose_layout import LEFT_SHOULDER, NECK, RIGHT_SHOULDER
from vcam_avatar.stages.pose_retarget import Retargeter

HELD_OUT = 150
"""People of the last file never trained on."""
TARGETS = 9
PLACES = 640
"""Points kept of a pair of pictures."""
_CORE = 1
_FACE_MOVES = [
    PARTS.index(n) for n in ("lips", "mouth_inside", "teeth", "tongue", "eye_white", "iris", "lashes")
]
_ROUGH = 0.014
"""Standard deviation of found keypoints, shoulder widths; the head's are half as rough."""
_HIP_ROUGH = 0.12
_NAMES = ("square", "rest", "now", "place", "lack")


@dataclass
class MotionSet:
    """Many people, ``n``, each in ``TARGETS`` poses beside the first."""

    square: ByteArray
    """uint8 ``(n, 4, SIDE_PX, SIDE_PX)``, see ``cut_square``."""
    rest: FloatArray
    """float32 ``(n, TARGETS, 22)``, see ``relative``; as rough as found ones, anew for every target."""
    now: FloatArray
    """float32 ``(n, TARGETS, 22)``."""
    place: Any
    """float16 ``(n, TARGETS, PLACES, 2)``: points of the first picture, from the neck, in shoulder widths."""
    lack: Any
    """float16, same shape: what joints alone leave them away from their true places."""

    def __len__(self) -> int:
        return len(self.square)

    def part(self, rows: Any) -> "MotionSet":
        """Some of the people."""
        return MotionSet(*(getattr(self, name)[rows] for name in _NAMES))

    @staticmethod
    def joined(sets: "list[MotionSet]") -> "MotionSet":
        """All of them in one."""
        return MotionSet(*(np.concatenate([getattr(s, name) for s in sets]) for name in _NAMES))

    def save(self, file: Path) -> None:
        """Write to ``file``, npz."""
        np.savez(file, **{name: getattr(self, name) for name in _NAMES})

    @staticmethod
    def load(file: Path) -> "MotionSet":
        """Read what ``save`` wrote."""
        with np.load(file) as data:
            return MotionSet(*(data[n] for n in _NAMES))


def bend_points(rest: FloatArray, face: FloatArray, points: FloatArray, pose: FloatArray) -> FloatArray:
    """Where the joints alone take ``points`` ``(P, 2)``, all in pixels of one picture."""
    unit = float(np.hypot(*(rest[LEFT_SHOULDER] - rest[RIGHT_SHOULDER])))
    mesh = CoreMesh(
        np.zeros((1, 1, 4), np.uint8), np.zeros((0, 2), np.float32), points,
        mesh_weights(points, rest, face, unit), np.zeros((0, 3), np.int32), rest, unit,
    )  # fmt: skip
    out = np.zeros_like(points)
    mesh.bend(pose, out)
    return out


def _offsets(unit: float, rng: np.random.Generator) -> FloatArray:
    """What finders of keypoints mean by a joint differs from the true joint, in every picture alike."""
    size = np.full(57, 2 * _ROUGH * unit)
    size[[0, 11, 12, 13, 14]] *= 0.4
    size[8:11] = _HIP_ROUGH * unit
    return np.asarray(rng.normal(size=(57, 2)) * size[:, None], np.float32)


def _noise(unit: float, rng: np.random.Generator) -> FloatArray:
    size = np.full(57, _ROUGH * unit)
    size[[0, 11, 12, 13, 14]] *= 0.5
    size[8:11] *= 2
    return np.asarray(rng.normal(size=(57, 2)) * size[:, None] * rng.random(), np.float32)


def _other_head(points: FloatArray, marks: FloatArray, share: FloatArray) -> None:
    """Move the head's points, in place, towards landmarks of the face that finders may take for them."""
    pairs = (
        (0, marks[33]),
        (11, marks[36:42].mean(0)),
        (12, marks[42:48].mean(0)),
        (13, marks[0]),
        (14, marks[16]),
    )
    for (index, mark), part in zip(pairs, share, strict=True):
        points[index, :2] += (mark - points[index, :2]) * part


def person(sample: Sample, rng: np.random.Generator) -> MotionSet | None:
    """One person of a 'factory bodies' set; None where too little is seen."""
    points = sample.arrays["keypoints"][:, :57].astype(np.float32)
    face = sample.arrays["landmarks"][0].astype(np.float32)
    exact = points[0].copy()
    exact[:, 2] = 1
    unit = float(np.hypot(*(exact[LEFT_SHOULDER, :2] - exact[RIGHT_SHOULDER, :2])))
    if unit < 30:
        return None
    core = sample.pictures["0_core"][..., [2, 1, 0, 3]].astype(np.float32)
    core[..., :3] *= core[..., 3:] / 255
    neck = exact[NECK, :2] - 0.5
    square = cut_square(np.rint(core).astype(np.uint8), neck, unit)
    step = float(sample.meta["flow_step_px"])
    rests, nows, places, lacks = [], [], [], []
    for k in range(TARGETS):
        valid = np.unpackbits(sample.arrays["valid"][k], axis=1).astype(bool)
        usable = valid & (sample.arrays["owner"][k + 1] == _CORE)
        usable &= ~np.isin(sample.arrays["parts"][k + 1], _FACE_MOVES)
        rows, columns = np.nonzero(usable)
        if len(rows) < 300:
            return None
        chosen = rng.choice(len(rows), PLACES, replace=len(rows) < PLACES)
        target = np.stack([columns[chosen], rows[chosen]], 1).astype(np.float32) + 0.5
        source = target + sample.arrays["flow"][k][rows[chosen], columns[chosen]].astype(np.float32) * step
        rest, now = exact.copy(), points[k + 1, :, :2].copy()
        if rng.random() < 0.75:
            share = rng.random(3).astype(np.float32)[[0, 1, 1, 2, 2]] * (1.0, 1.0, 1.0, 0.9, 0.9)
            _other_head(rest, face, share)
            _other_head(now, sample.arrays["landmarks"][k + 1].astype(np.float32), share)
            offset = _offsets(unit, rng)
            rest[:, :2] += offset + _noise(unit, rng)
            now += offset + _noise(unit, rng)
        rest_px = Retargeter(rest)._picture.astype(np.float32)
        scale = float(np.hypot(*(rest_px[LEFT_SHOULDER] - rest_px[RIGHT_SHOULDER])))
        bent = bend_points(rest_px, face, source, now)
        rests.append(relative(rest_px, rest_px))
        nows.append(relative(now, rest_px))
        places.append((source - rest_px[NECK]) / scale)
        lacks.append((target - bent) / scale)
    return MotionSet(
        np.rint(square * 255).astype(np.uint8)[None], np.stack(rests)[None], np.stack(nows)[None],
        np.stack(places)[None].astype(np.float16), np.stack(lacks)[None].astype(np.float16),
    )  # fmt: skip


def read_people(folder: Path, keys: list[str], seed: int) -> MotionSet:
    """Read the people ``keys`` of a 'factory bodies' set.

    Raises:
        MediaError: the folder has no finished shards.
    """
    shards = ShardFolder(folder)
    found = []
    for key in keys:
        sample = shards.read(key, lambda name: name == "0_core")
        one = person(sample, np.random.default_rng([seed, int(key)]))
        if one is not None:
            found.append(one)
    return MotionSet.joined(found)


def load_all(folder: Path) -> MotionSet:
    """Everybody in ``folder``.

    Raises:
        ModelError: nothing there.
    """
    files = sorted(f for f in folder.glob("*.npz") if not f.name.endswith(".part.npz"))
    if not files:
        raise ModelError(f"no data in {folder}; run 'vcam-avatar train motion-data' first")
    return MotionSet.joined([MotionSet.load(f) for f in files])


def load_people(folder: Path) -> tuple[MotionSet, MotionSet]:
    """Those to learn from and those held out of what ``motion-data`` wrote; see ``load_all``."""
    people = load_all(folder)
    count = min(HELD_OUT, len(people) // 4)
    return people.part(slice(0, -count)), people.part(slice(-count, None))


def main(argv: list[str] | None = None) -> int:
    """``vcam-avatar train motion-data --bodies DIR... -o FOLDER``."""
    parser = argparse.ArgumentParser(prog="vcam-avatar train motion-data", description=__doc__)
    parser.add_argument("--bodies", type=Path, nargs="+", required=True, help="'factory bodies' sets")
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--part", type=int, default=250, help="people a file")
    args = parser.parse_args(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    for number, folder in enumerate(args.bodies):
        keys = ShardFolder(folder).keys
        for first in range(0, len(keys), args.part):
            file = args.out / f"{number}-{first:06d}.npz"
            if not file.is_file():
                part = file.with_suffix(".part.npz")
                read_people(folder, keys[first : first + args.part], number).save(part)
                part.replace(file)
                print(file, flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
