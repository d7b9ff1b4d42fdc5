"""Faces to make: visemes, emotions, blinks, random mixes, gaze."""

from dataclasses import dataclass

import numpy as np

from vcam_avatar.factory.mouths import real_mouths
from vcam_avatar.media import FACE_ACTIONS, FloatArray

Actions = dict[str, float]


def _both(name: str, amount: float) -> Actions:
    return {f"{name}Left": amount, f"{name}Right": amount}


VISEMES: dict[str, Actions] = {
    "sil": {},
    "PP": {"mouthRollUpper": 0.55, "mouthRollLower": 0.55, **_both("mouthPress", 0.5)},
    "FF": {"jawOpen": 0.10, "mouthRollLower": 0.80, "mouthShrugUpper": 0.3, **_both("mouthUpperUp", 0.40)},
    "TH": {"jawOpen": 0.22, "tongueOut": 0.55, **_both("mouthUpperUp", 0.2), **_both("mouthLowerDown", 0.3)},
    "DD": {"jawOpen": 0.22, **_both("mouthUpperUp", 0.25), **_both("mouthLowerDown", 0.40)},
    "kk": {"jawOpen": 0.30, **_both("mouthStretch", 0.25), **_both("mouthLowerDown", 0.3)},
    "CH": {"jawOpen": 0.14, "mouthFunnel": 0.85, **_both("mouthUpperUp", 0.25),
           **_both("mouthLowerDown", 0.35)},
    "SS": {"jawOpen": 0.07, **_both("mouthStretch", 0.45), **_both("mouthUpperUp", 0.35),
           **_both("mouthLowerDown", 0.60)},
    "nn": {"jawOpen": 0.18, **_both("mouthLowerDown", 0.3), **_both("mouthUpperUp", 0.18)},
    "RR": {"jawOpen": 0.18, "mouthFunnel": 0.50, "mouthPucker": 0.40},
    "aa": {"jawOpen": 0.75, **_both("mouthLowerDown", 0.3), **_both("mouthUpperUp", 0.1)},
    "E": {"jawOpen": 0.38, **_both("mouthStretch", 0.5), **_both("mouthLowerDown", 0.3),
          **_both("mouthUpperUp", 0.2)},
    "ih": {"jawOpen": 0.24, **_both("mouthSmile", 0.40), **_both("mouthLowerDown", 0.35)},
    "oh": {"jawOpen": 0.50, "mouthFunnel": 0.70, "mouthPucker": 0.30},
    "ou": {"jawOpen": 0.18, "mouthPucker": 1.0, "mouthFunnel": 0.35},
}  # fmt: skip
"""The 15 usual visemes at full strength, as face actions."""

EMOTIONS: dict[str, Actions] = {
    "neutral": {},
    "smile": {**_both("mouthSmile", 0.7), **_both("cheekSquint", 0.4)},
    "grin": {"jawOpen": 0.18, **_both("mouthSmile", 0.8), **_both("mouthUpperUp", 0.35),
             **_both("mouthLowerDown", 0.3), **_both("cheekSquint", 0.5)},
    "surprise": {"jawOpen": 0.45, "browInnerUp": 0.8, **_both("browOuterUp", 0.8), **_both("eyeWide", 0.8)},
    "sad": {"browInnerUp": 0.9, "mouthShrugLower": 0.3, **_both("mouthFrown", 0.7)},
    "angry": {**_both("browDown", 0.9), **_both("noseSneer", 0.4), **_both("mouthPress", 0.4),
              **_both("eyeSquint", 0.4)},
    "wink": {"eyeBlinkLeft": 1.0, "mouthSmileLeft": 0.7, "mouthSmileRight": 0.4},
    "skeptic": {"browOuterUpLeft": 0.8, "browDownRight": 0.7, "mouthLeft": 0.4, "mouthPressLeft": 0.4},
}  # fmt: skip

SIDED_LIMITS: Actions = {
    "jawOpen": 0.85, "jawForward": 0.5, "jawLeft": 0.4, "jawRight": 0.4, "mouthClose": 0.3, "tongueOut": 0.6,
    "mouthLeft": 0.5, "mouthRight": 0.5, "cheekPuff": 0.6, "noseSneerLeft": 0.7, "noseSneerRight": 0.7,
}  # fmt: skip
"""Upper ends below 1 for actions that tear the mesh or look broken at full strength."""

MOUTH_ACTIONS = tuple(n for n in FACE_ACTIONS if n.startswith(("mouth", "jaw", "tongue", "cheekPuff")))


@dataclass(frozen=True, slots=True)
class FaceState:
    """An expression and where the eyes look."""

    actions: Actions
    gaze_rad: tuple[float, float]
    """Yaw (positive to the person's left) and pitch (positive up) relative to the head."""

    def vector(self) -> FloatArray:
        """float32 ``(52,)`` in ``FACE_ACTIONS`` order."""
        return np.array([self.actions.get(n, 0.0) for n in FACE_ACTIONS], np.float32)

    def gaze_vector(self) -> tuple[float, float, float]:
        """Unit vector in head axes (x to the person's left, y up, z ahead)."""
        yaw, pitch = self.gaze_rad
        x, y = float(np.sin(yaw) * np.cos(pitch)), float(np.sin(pitch))
        return x, y, float(np.sqrt(max(0.0, 1 - x * x - y * y)))


def look_actions(gaze_rad: tuple[float, float]) -> Actions:
    """The eight look-direction actions for a gaze; 0.6 rad sideways and 0.45 rad up or down are full."""
    yaw, pitch = gaze_rad
    left, right = max(yaw, 0) / 0.6, max(-yaw, 0) / 0.6
    up, down = max(pitch, 0) / 0.45, max(-pitch, 0) / 0.45
    raw = {
        "eyeLookOutLeft": left, "eyeLookInRight": left, "eyeLookInLeft": right, "eyeLookOutRight": right,
        **_both("eyeLookUp", up), **_both("eyeLookDown", down),
    }  # fmt: skip
    return {name: min(1.0, float(a)) for name, a in raw.items() if a > 0}


def _merge(into: Actions, more: Actions, gain: float) -> None:
    for name, amount in more.items():
        into[name] = max(into.get(name, 0.0), amount * gain)


def _limit(actions: Actions) -> Actions:
    out = {n: float(np.clip(a, 0, SIDED_LIMITS.get(n, 1.0))) for n, a in actions.items()}
    if out.get("jawOpen", 0) < out.get("mouthClose", 0):
        out["mouthClose"] = out.get("jawOpen", 0.0)
    # A closed lid and a wide eye, or a pout and a stretch, cannot both be had.
    for side in ("Left", "Right"):
        out[f"eyeWide{side}"] = out.get(f"eyeWide{side}", 0.0) * (1 - out.get(f"eyeBlink{side}", 0.0))
        out[f"mouthStretch{side}"] = out.get(f"mouthStretch{side}", 0.0) * (
            1 - 0.6 * out.get("mouthPucker", 0.0)
        )
    return {n: a for n, a in out.items() if a > 0.005}


def sample_gaze(
    rng: np.random.Generator, head_yaw: float = 0.0, head_pitch: float = 0.0
) -> tuple[float, float]:
    """Mostly at the camera, at times beside it; ``head_*`` rad turn the eyes back to the camera."""
    yaw = -0.75 * head_yaw + rng.normal(0, 0.05 if rng.random() < 0.7 else 0.16)
    pitch = 0.6 * head_pitch + rng.normal(0, 0.03 if rng.random() < 0.7 else 0.08)
    return float(np.clip(yaw, -0.42, 0.42)), float(np.clip(pitch, -0.20, 0.10))


def sample_face(rng: np.random.Generator, gaze_rad: tuple[float, float]) -> FaceState:
    """A face of someone talking: a viseme, a mix, an emotion, brows and lids."""
    actions: Actions = {}
    names = list(VISEMES)[1:]
    kinds = ["viseme", "mix", "real", "random", "emotion", "closed"]
    kind = rng.choice(kinds, p=[0.28, 0.18, 0.18, 0.15, 0.13, 0.08])
    mouths = real_mouths()
    if kind == "real" and mouths:
        _merge(actions, mouths[int(rng.integers(len(mouths)))], float(rng.uniform(0.8, 1.2)))
    elif kind in ("viseme", "real"):
        _merge(actions, VISEMES[str(rng.choice(names))], float(rng.uniform(0.75, 1.1)))
    elif kind == "mix":
        share = float(rng.uniform(0.2, 0.8))
        a, b = (VISEMES[str(rng.choice(names))] for _ in range(2))
        for name in {*a, *b}:
            actions[name] = share * a.get(name, 0.0) + (1 - share) * b.get(name, 0.0)
    elif kind == "random":
        for name in rng.choice(MOUTH_ACTIONS, int(rng.integers(2, 6)), replace=False):
            amount = float(rng.uniform(0.15, 0.9))
            actions[str(name)] = amount
            twin = (
                str(name).replace("Left", "Right") if "Left" in name else str(name).replace("Right", "Left")
            )
            if twin != name and twin.startswith("mouth") and twin not in ("mouthLeft", "mouthRight"):
                actions[twin] = amount * float(rng.uniform(0.7, 1.0))
        if rng.random() < 0.6:
            actions["jawOpen"] = float(rng.uniform(0.05, 0.8))
    elif kind == "emotion":
        _merge(actions, EMOTIONS[str(rng.choice(list(EMOTIONS)))], float(rng.uniform(0.5, 1.1)))
    if rng.random() < 0.3:
        smile = float(rng.uniform(0.1, 0.5))
        _merge(actions, _both("mouthSmile", smile), 1.0)
    if rng.random() < 0.4:
        brow = str(rng.choice(["browInnerUp", "browOuterUp", "browDown"]))
        amount = float(rng.uniform(0.2, 1.0))
        _merge(actions, {brow: amount} if brow == "browInnerUp" else _both(brow, amount), 1.0)
    blink = rng.random()
    if blink < 0.14:
        _merge(actions, _both("eyeBlink", float(rng.uniform(0.3, 1.0))), 1.0)
    elif blink < 0.24:
        _merge(actions, _both("eyeSquint", float(rng.uniform(0.2, 0.8))), 1.0)
    if rng.random() < 0.2:
        gaze_rad = (gaze_rad[0] + float(rng.normal(0, 0.12)), gaze_rad[1] + float(rng.normal(0, 0.05)))
    return FaceState({**_limit(actions), **look_actions(gaze_rad)}, gaze_rad)


def neutral_face(gaze_rad: tuple[float, float]) -> FaceState:
    """Closed mouth, open eyes."""
    return FaceState(look_actions(gaze_rad), gaze_rad)
