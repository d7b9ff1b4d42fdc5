"""The arms as the picture shows them: drawn while the pose is near the picture's own: nothing is truer."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vcam_avatar.avatars.layers_fill import smooth
from vcam_avatar.media import ByteArray, FloatArray
from vcam_avatar.stages.body_core import cover_with_cells
from vcam_avatar.stages.raster import IndexArray, draw_triangles

_UPPER_FREE, _FORE_FREE, _HAND_FREE = 0.30, 0.28, 0.30
"""How far elbow, wrist (in shoulder widths) and hand points (in palm lengths, after turning) may leave
their places before the picture's arm no longer serves."""
_TURN_FREE_RAD = 0.55
"""The same for the turn of a bone that is long enough to show one."""
_COMES, _GOES = 0.2, 0.34
"""Shares of that at which the picture's arm comes back and leaves. Small: bent far, a cut-out arm tears,
and drawn arms cover it closely only near its own pose. Between them it stays as it is: half an arm over
another looks like two."""
_STEP = 0.5
"""Greatest change of opacity from frame to frame: one frame shows both, as blurred as a hand that moves."""


@dataclass(slots=True)
class OwnArm:
    """One arm of the picture at the frame's scale."""

    texture: ByteArray
    """uint8 premultiplied BGRA."""
    texture_px: FloatArray
    triangles: IndexArray
    points: FloatArray
    """float32 ``(V, 2)`` at rest, frame pixels."""
    weights: FloatArray
    """float32 ``(V, 4)``: torso, upper arm, forearm, hand."""
    rest: FloatArray
    """``(24, 2)`` joints and hand points at rest."""
    unit: float
    palm_px: float
    hand_seen: bool
    shown: bool = field(default=False)
    """Whether it is to be seen."""
    share: float = field(default=-1.0)
    """Opacity in the last frame; negative: none yet."""

    def distance(self, now: FloatArray, shoulder_shift: FloatArray) -> float:
        """How far joints at ``now``, ``(24, 2)``, are from the picture's own pose; 1: another pose."""
        rest = self.rest + shoulder_shift
        far = max(
            float(np.hypot(*(now[1] - rest[1]))) / self.unit / _UPPER_FREE,
            float(np.hypot(*(now[2] - rest[2]))) / self.unit / _FORE_FREE,
        )
        for a, b in ((0, 1), (1, 2)):
            bone, bone_now = rest[b] - rest[a], now[b] - now[a]
            if float(np.hypot(*bone)) > 0.2 * self.unit:
                turn = np.arctan2(bone_now[1], bone_now[0]) - np.arctan2(bone[1], bone[0])
                far = max(far, abs(float((turn + np.pi) % (2 * np.pi) - np.pi)) / _TURN_FREE_RAD)
        if not self.hand_seen:
            # Where the forearm goes was guessed.
            far *= 1.6
        elif far < 1:
            matrix = _similarity(self.rest[3:], now[3:])
            left = now[3:] - (self.rest[3:] @ matrix[:, :2].T + matrix[:, 2])
            turned = abs(float(np.arctan2(matrix[1, 0], matrix[0, 0]))) / 0.6
            far = max(far, float(np.hypot(*left.T).mean()) / self.palm_px / (0.5 * _HAND_FREE), turned)
        return far

    def follow(self, far: float) -> float:
        """Opacity of this frame at that distance: all or nothing, with a short fade that does not pop."""
        if self.share < 0:
            self.shown = far < _GOES
        elif self.shown != (far < (_GOES if self.shown else _COMES)):
            self.shown = not self.shown
        wanted = float(self.shown)
        self.share = (
            wanted if self.share < 0 else self.share + float(np.clip(wanted - self.share, -_STEP, _STEP))
        )
        return self.share

    def draw(self, target: ByteArray, now: FloatArray, torso: FloatArray) -> None:
        """Draw with joints at ``now``; ``torso``: where the torso's bending takes ``points``."""
        rest, points = self.rest.astype(np.float64), self.points
        upper = _bone(rest[0], rest[1], now[0], now[1], self.unit)
        fore = _bone(rest[1], rest[2], now[1], now[2], self.unit)
        hand = _similarity(rest[3:], now[3:]) if self.hand_seen else fore
        out = torso * self.weights[:, :1]
        for k, matrix in enumerate((upper, fore, hand)):
            out = out + (points @ matrix[:, :2].T + matrix[:, 2]) * self.weights[:, k + 1 : k + 2]
        draw_triangles(
            target, self.texture, np.ascontiguousarray(out, np.float32), self.texture_px, self.triangles
        )


def _bone(a: Any, b: Any, a_now: Any, b_now: Any, unit: float) -> Any:
    """2x3: a bone onto its new place; a short one only moves."""
    bone, now = b - a, b_now - a_now
    length, length_now = float(np.hypot(*bone)), float(np.hypot(*now))
    middle, middle_now = (a + b) / 2, (a_now + b_now) / 2
    if min(length, length_now) < 0.2 * unit:
        return np.concatenate([np.eye(2), (middle_now - middle)[:, None]], 1)
    angle = np.arctan2(now[1], now[0]) - np.arctan2(bone[1], bone[0])
    scale = float(np.clip(length_now / length, 0.8, 1.25))
    cos, sin = np.cos(angle), np.sin(angle)
    # Longer or shorter along the bone, as wide as before.
    axis = bone / length
    stretch = np.eye(2) + (scale - 1) * np.outer(axis, axis)
    turn = np.array([[cos, -sin], [sin, cos]]) @ stretch
    return np.concatenate([turn, (middle_now - turn @ middle)[:, None]], 1)


def _similarity(rest: Any, now: Any) -> Any:
    """2x3: best turn, scale and shift between two sets of points."""
    a, b = np.asarray(rest, np.float64), np.asarray(now, np.float64)
    ca, cb = a.mean(0), b.mean(0)
    p, q = a - ca, b - cb
    power = max(float((p * p).sum()), 1e-6)
    re, im = float((p * q).sum()) / power, float((p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]).sum()) / power
    turn = np.array([[re, -im], [im, re]])
    return np.concatenate([turn, (cb - turn @ ca)[:, None]], 1)


def prepare_own_arm(
    texture: ByteArray,
    origin_px: tuple[float, float],
    rest: FloatArray,
    unit: float,
    palm_px: float,
    hand_seen: bool,
) -> OwnArm:
    """Cover an arm's texture with cells and find out what moves them.

    Args:
        texture: premultiplied BGRA, as for the core's mesh.
        origin_px: where its corner lies in the frame.
        rest: ``(24, 2)`` shoulder, elbow, wrist and hand points in frame pixels.
        unit: shoulder width in frame pixels.
        palm_px: palm length in frame pixels.
        hand_seen: the picture shows the hand.
    """
    points, texture_px, triangles = cover_with_cells(texture, origin_px)

    def to(a: FloatArray, b: FloatArray) -> tuple[Any, Any]:
        bone, offset = b - a, points - a
        along = offset @ bone / max(float(bone @ bone), 1e-3)
        foot = a + np.clip(along, 0, 1)[:, None] * bone
        return np.hypot(*(points - foot).T), along

    to_upper, along = to(rest[0], rest[1])
    to_fore, _ = to(rest[1], rest[2])
    weights = np.zeros((len(points), 4), np.float32)
    fore = smooth(to_upper - to_fore, -0.08 * unit, 0.08 * unit)
    hand = np.zeros(len(points), np.float32)
    if hand_seen:
        to_hand = np.minimum(to(rest[3], rest[12])[0], np.hypot(*(points - rest[3:].mean(0)).T))
        hand = smooth(to_fore - to_hand, -0.06 * unit, 0.08 * unit)
    torso = (1 - smooth(along, 0.12, 0.5)) * (1 - fore)
    weights[:, 3] = hand
    weights[:, 2] = fore * (1 - hand)
    weights[:, 1] = (1 - fore) * (1 - hand)
    weights[:, 0] = weights[:, 1] * torso
    weights[:, 1] *= 1 - torso
    return OwnArm(texture, texture_px, triangles, points, weights, rest, unit, palm_px, hand_seen)
