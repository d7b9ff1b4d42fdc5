"""How people hold arms, hands and head when they talk; nothing passes through anything."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from vcam_avatar.factory.mesh import FloatArray
from vcam_avatar.factory.person import Person
from vcam_avatar.factory.skeleton import HAND_SHAPES, Rotations, bend_body, curl_fingers, reach, unit

HAND_SHAPES_FILE = "hand_shapes.npz"
"""In ``models/``: finger bends of real hands, see ``learn_hand_shapes``."""
_TRIES = 14
_HEAD = np.array([0.0, 7.1, 0.35])
"""Middle of the head of the untouched base mesh, dm."""


def finger_bends(points: FloatArray) -> FloatArray:
    """Bend of the 15 finger joints, rad ``(n, 5, 3)``, from hands ``(n, 21, 3)`` in hand order."""
    out = np.zeros((len(points), 5, 3), np.float32)
    for finger in range(5):
        chain = points[:, [0, *range(1 + 4 * finger, 5 + 4 * finger)]]
        bone = np.diff(chain, axis=1)
        bone /= np.linalg.norm(bone, axis=2, keepdims=True) + 1e-6
        out[:, finger] = np.arccos(np.clip((bone[:, :-1] * bone[:, 1:]).sum(2), -1, 1))
    # The palm's own bones are at an angle to the straight fingers; the thumb's even more.
    out[:, 0] -= np.array([0.55, 0.25, 0.10], np.float32)
    out[:, 1:, 0] -= 0.12
    return np.clip(out, -0.2, 1.7)


def learn_hand_shapes(hands: FloatArray, count: int, seed: int = 1) -> FloatArray:
    """``count`` typical finger bends ``(count, 5, 3)`` rad of real hands ``(n, 21, 3)``: k-means centres."""
    rng = np.random.default_rng(seed)
    bends = finger_bends(hands).reshape(-1, 15)
    bends = bends[np.isfinite(bends).all(1)]
    chosen = bends[rng.choice(len(bends), min(count, len(bends)), replace=False)]
    for _ in range(6):
        nearest = np.argmin(((bends[:, None] - chosen[None]) ** 2).sum(2), 1)
        chosen = np.stack([
            bends[nearest == k].mean(0) if (nearest == k).any() else chosen[k] for k in range(len(chosen))
        ])  # fmt: skip
    return chosen.reshape(-1, 5, 3).astype(np.float32)


@lru_cache(maxsize=4)
def _real_shapes(file: Path) -> FloatArray | None:
    if not file.is_file():
        return None
    with np.load(file) as stored:
        bends: FloatArray = np.radians(stored["bends_deg"].astype(np.float32))
    return bends


def sample_hand(rng: np.random.Generator) -> Any:
    """Finger bends ``(5, 3)`` rad: a real hand, a named shape or a mix of two."""
    from vcam_avatar.resources import models_dir

    real = _real_shapes(models_dir() / HAND_SHAPES_FILE)
    if real is not None and rng.random() < 0.45:
        return real[rng.integers(len(real))] + rng.normal(0, 0.06, (5, 3))
    names = list(HAND_SHAPES)
    a, b = (np.array(HAND_SHAPES[str(rng.choice(names))]) for _ in range(2))
    share = rng.random() * 0.4
    curl = (a * (1 - share) + b * share + rng.normal(0, 0.05, 5))[:, None]
    return curl * np.array([[0.45, 0.5, 0.6]] + [[0.85, 1.0, 0.65]] * 4)


@dataclass(slots=True)
class ArmPose:
    """What one arm does."""

    target: Any
    """Wrist relative to the shoulder, dm."""
    palm: Any
    bends: Any
    spread: float
    flex: float
    deviate: float
    swivel: float

    def mixed(self, other: "ArmPose", share: float) -> "ArmPose":
        """Between this and ``other``."""
        names = ("target", "palm", "bends", "spread", "flex", "deviate", "swivel")
        values = [getattr(self, n) * (1 - share) + getattr(other, n) * share for n in names]
        return ArmPose(*values)


@dataclass(slots=True)
class BodyPose:
    """A whole upper body."""

    spine: Any
    head: Any
    arms: dict[str, ArmPose]

    def mixed(self, other: "BodyPose", share: float) -> "BodyPose":
        """Between this and ``other``, for smooth sequences."""
        return BodyPose(
            self.spine * (1 - share) + other.spine * share, self.head * (1 - share) + other.head * share,
            {side: arm.mixed(other.arms[side], share) for side, arm in self.arms.items()},
        )  # fmt: skip

    def rotations(self, person: Person) -> Rotations:
        """Bone rotations for ``person``."""
        out: Rotations = {}
        bend_body(out, self.spine, self.head)
        for side, arm in self.arms.items():
            shoulder = person.joints[person.model.bone[f"upperarm01.{side}"]].astype(np.float64)
            reach(person.model, person.joints, side, shoulder + arm.target, arm.palm, out,
                  swivel=arm.swivel, flex=arm.flex, deviate=arm.deviate)  # fmt: skip
            curl_fingers(person.model, person.joints, side, arm.bends, arm.spread, out)
        return out


def _resting(rng: np.random.Generator, sign: float, length: float) -> ArmPose:
    target = length * np.array([sign * rng.uniform(0.06, 0.24), -0.94, 0.10 + 0.10 * rng.random()])
    curl = np.array(HAND_SHAPES["relax"])[:, None] * rng.uniform(0.6, 1.2)
    bends = curl * np.array([[0.45, 0.5, 0.6]] + [[0.85, 1.0, 0.65]] * 4)
    return ArmPose(target, np.array([-sign, 0, -0.2]), bends, 0.03, 0.0, 0.0, 0.0)


def _raised(rng: np.random.Generator, sign: float, width: float) -> ArmPose:
    """A gesturing arm: the hand before or beside the chest, seldom as high as the face."""
    high = rng.random() < 0.25
    across = sign * (rng.uniform(1.9, 3.0) if high else rng.uniform(0.35, 2.7))
    up = rng.uniform(6.0, 7.2) if high else rng.uniform(2.6, 5.4)
    target = np.array([across - sign * width, up - 5.25, rng.uniform(1.9, 3.6)])
    palm = unit([-sign * rng.uniform(-0.2, 1.2), rng.normal(0, 0.4), rng.uniform(-0.6, 1.2)])
    return ArmPose(target, palm, sample_hand(rng), float(rng.uniform(0, 0.14)), float(rng.normal(0, 0.22)),
                   float(rng.normal(0, 0.13)), float(rng.uniform(-0.3, 0.5)))  # fmt: skip


def open_pose(rng: np.random.Generator, person: Person) -> BodyPose:
    """Both hands up beside the body, palms to the camera, fingers apart: shows everything."""
    arms = {}
    for side, sign in (("L", 1.0), ("R", -1.0)):
        target = np.array([sign * rng.uniform(0.3, 0.7), -rng.uniform(0.3, 0.9), 2.0])
        bends = np.abs(rng.normal(0.05, 0.05, (5, 3)))
        arms[side] = ArmPose(target, np.array([0, 0, 1.0]), bends, 0.10, 0.0, 0.0, 0.1)
    return BodyPose(np.zeros(3), rng.normal(0, [0.06, 0.03, 0.02]), arms)


def _is_clear(person: Person, pose: BodyPose) -> bool:
    """No hand in the head, before the face or inside the torso, hands apart."""
    model = person.model
    matrices = model.pose(person.joints, pose.rotations(person))
    places = np.einsum("bij,bj->bi", matrices[:, :, :3], person.joints) + matrices[:, :, 3]
    head = places[model.bone["head"]] + (_HEAD - model.joints(model.vertices)[model.bone["head"]])
    hands = {}
    for side in "LR":
        names = [f"wrist.{side}", *(f"finger{f}-{j}.{side}" for f in range(1, 6) for j in (1, 3))]
        points = places[[model.bone[n] for n in names]]
        tip = points[2::2] + (points[2::2] - points[1::2]) * 0.5
        hands[side] = np.concatenate([points, tip])
        p = hands[side] - head
        if (np.linalg.norm(p, axis=1) < 1.5).any():
            return False
        if ((np.abs(p[:, 0]) < 1.4) & (p[:, 1] > -1.15) & (p[:, 1] < 1.4) & (p[:, 2] > 0)).any():
            return False
        inside = (np.abs(hands[side][:, 0]) < 1.5) & (hands[side][:, 1] < 5.2) & (hands[side][:, 1] > -0.5)
        front = 1.35 * np.sqrt(np.clip(1 - (hands[side][:, 0] / 1.8) ** 2, 0, 1)) + 0.25
        if (inside & (hands[side][:, 2] < front)).any():
            return False
    apart = np.linalg.norm(hands["L"][:, None] - hands["R"][None], axis=2)
    return bool(apart.min() > 0.35)


def sample_pose(rng: np.random.Generator, person: Person) -> BodyPose:
    """A pose of someone talking; falls back to hanging arms when no clear one is found."""
    joints, bone = person.joints, person.model.bone
    length = {
        s: float(
            np.linalg.norm(joints[bone[f"lowerarm01.{s}"]] - joints[bone[f"upperarm01.{s}"]])
            + np.linalg.norm(joints[bone[f"wrist.{s}"]] - joints[bone[f"lowerarm01.{s}"]])
        )
        for s in "LR"
    }
    width = float(abs(joints[bone["upperarm01.L"], 0]))
    for attempt in range(_TRIES):
        spine = rng.normal(0, 0.05, 3)
        head = np.clip(rng.normal(0, [0.2, 0.09, 0.07]), -0.5, 0.5)
        kind = (
            str(rng.choice(["rest", "one", "two"], p=[0.15, 0.3, 0.55])) if attempt < _TRIES - 1 else "rest"
        )
        only = str(rng.choice(["L", "R"]))
        arms = {
            side: _raised(rng, sign, width)
            if kind == "two" or (kind == "one" and side == only)
            else _resting(rng, sign, length[side])
            for side, sign in (("L", 1.0), ("R", -1.0))
        }
        pose = BodyPose(spine, head, arms)
        if kind == "rest" or _is_clear(person, pose):
            break
    return pose
