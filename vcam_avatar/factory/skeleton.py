"""Posing: two-bone arm IK with correct hinges, hand orientation, finger curls, spine and head."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vcam_avatar.factory.human import HumanModel, Rotation
from vcam_avatar.factory.mesh import FloatArray

Vector = NDArray[np.float64]
Rotations = dict[str, Rotation]

HAND_SHAPES: dict[str, tuple[float, ...]] = {
    "open": (0.0, 0.05, 0.05, 0.05, 0.08),
    "relax": (0.25, 0.30, 0.38, 0.45, 0.5),
    "fist": (0.9, 1.45, 1.5, 1.5, 1.5),
    "point": (0.8, 0.0, 1.4, 1.45, 1.45),
    "peace": (0.9, 0.0, 0.0, 1.45, 1.45),
    "thumb": (-0.25, 1.45, 1.5, 1.5, 1.5),
    "ok": (0.75, 0.85, 0.15, 0.1, 0.05),
    "claw": (0.3, 0.7, 0.7, 0.7, 0.7),
    "three": (0.0, 0.0, 0.0, 1.4, 1.45),
    "cup": (0.5, 0.55, 0.6, 0.65, 0.7),
    "spread": (-0.2, 0.0, 0.0, 0.0, 0.0),
}
"""Curl of thumb .. little finger, rad at the middle joint."""


def unit(vector: ArrayLike) -> Vector:
    """Scaled to length one."""
    v = np.asarray(vector, np.float64)
    return v / (np.linalg.norm(v) + 1e-9)


def rotation(axis: ArrayLike, angle: float) -> Rotation:
    """Rotation about ``axis`` by ``angle`` rad, right-handed."""
    x, y, z = unit(axis)
    c, s = np.cos(angle), np.sin(angle)
    d = 1 - c
    return np.array(
        [
            [c + x * x * d, x * y * d - z * s, x * z * d + y * s],
            [y * x * d + z * s, c + y * y * d, y * z * d - x * s],
            [z * x * d - y * s, z * y * d + x * s, c + z * z * d],
        ]
    )


def euler(yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0) -> Rotation:
    """Head-like rotation: about y, then x, then z. Radians; positive pitch looks down."""
    turned: Rotation = rotation((0, 1, 0), yaw) @ rotation((1, 0, 0), pitch) @ rotation((0, 0, 1), roll)
    return turned


def part_of(turn: Rotation, share: float) -> Rotation:
    """A share of a rotation."""
    angle = float(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1)))
    if angle < 1e-5:
        return np.eye(3)
    axis = np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]])
    return rotation(axis, angle * share)


def bend_body(rotations: Rotations, spine: ArrayLike = (0, 0, 0), head: ArrayLike = (0, 0, 0)) -> None:
    """Spread yaw, pitch, roll (rad) over the spine and over neck and head."""
    yaw, pitch, roll = np.asarray(spine, float)
    for bone in ("spine04", "spine03", "spine02"):
        rotations[bone] = euler(yaw / 3, pitch / 3, roll / 3)
    yaw, pitch, roll = np.asarray(head, float)
    for bone, w in (("neck01", 0.2), ("neck02", 0.2), ("neck03", 0.2), ("head", 0.4)):
        rotations[bone] = euler(yaw * w, pitch * w, roll * w)


def palm_normal(model: HumanModel, joints: FloatArray, side: str) -> Vector:
    """Rest direction out of the palm, ``side`` 'L' or 'R'."""
    sign = 1.0 if side == "L" else -1.0
    wrist, index, little = (joints[model.bone[f"{n}.{side}"]] for n in ("wrist", "finger2-1", "finger5-1"))
    normal = unit(np.cross(index - wrist, little - wrist)) * sign
    return -normal if normal @ np.array([-sign, -0.3, 0]) < 0 else normal


def curl_fingers(
    model: HumanModel,
    joints: FloatArray,
    side: str,
    curl: ArrayLike,
    spread: float,
    rotations: Rotations,
) -> None:
    """Bend the fingers of a hand.

    Args:
        curl: ``(5,)`` curl in rad at the middle joint, or ``(5, 3)`` per joint from the palm out.
        spread: fan of the fingers in rad between neighbours.
        rotations: gets the finger bones.
    """
    sign = 1.0 if side == "L" else -1.0
    angles = np.asarray(curl, np.float64)
    if angles.ndim == 1:
        angles = angles[:, None] * np.array([[0.45, 0.5, 0.6]] + [[0.85, 1.0, 0.65]] * 4)
    normal = palm_normal(model, joints, side)
    for finger in range(2, 6):
        h = [joints[model.bone[f"finger{finger}-{j}.{side}"]] for j in (1, 2, 3)]
        axis = unit(np.cross(unit(h[2] - h[0]), normal))
        a = angles[finger - 1]
        fan = (3.4 - finger) * spread * sign * float(np.clip(1.3 - a[1], 0.2, 1.0))
        rotations[f"finger{finger}-1.{side}"] = rotation(normal, -fan) @ rotation(axis, a[0])
        rotations[f"finger{finger}-2.{side}"] = rotation(axis, a[1])
        rotations[f"finger{finger}-3.{side}"] = rotation(axis, a[2])
    index, little = (joints[model.bone[f"finger{n}-1.{side}"]] for n in (2, 5))
    h = [joints[model.bone[f"finger1-{j}.{side}"]] for j in (1, 2, 3)]
    axis = unit(np.cross(unit(h[2] - h[0]), unit(0.55 * normal - 0.85 * unit(index - little))))
    for j in range(3):
        rotations[f"finger1-{j + 1}.{side}"] = rotation(axis, angles[0, j])


def reach(
    model: HumanModel,
    joints: FloatArray,
    side: str,
    target: ArrayLike,
    palm: ArrayLike,
    rotations: Rotations,
    *,
    swivel: float = 0.0,
    flex: float = 0.0,
    deviate: float = 0.0,
) -> Rotation:
    """Bring the wrist of an arm to ``target`` with the palm facing ``palm``.

    Args:
        side: 'L' or 'R', the person's.
        target: wrist position in rest chest coordinates, dm; pulled into reach when too far.
        palm: wished direction out of the palm; followed as far as the forearm can turn (1.5 rad).
        rotations: gets the arm bones.
        swivel: elbow out of its natural plane, rad. flex, deviate: wrist, rad.

    Returns:
        Forearm orientation relative to rest, in chest axes.
    """
    sign = 1.0 if side == "L" else -1.0
    shoulder, elbow, wrist = (
        joints[model.bone[f"{n}.{side}"]].astype(np.float64) for n in ("upperarm01", "lowerarm01", "wrist")
    )
    upper0, fore0 = unit(elbow - shoulder), unit(wrist - elbow)
    l1, l2 = float(np.linalg.norm(elbow - shoulder)), float(np.linalg.norm(wrist - elbow))
    d = np.asarray(target, np.float64) - shoulder
    length = float(np.clip(np.linalg.norm(d), abs(l1 - l2) * 1.05 + 0.3, (l1 + l2) * 0.995))
    d = unit(d)
    bend = float(np.arccos(np.clip((l1 * l1 + length * length - l2 * l2) / (2 * l1 * length), -1, 1)))
    hint = unit(np.array([sign * 0.55, -1.0, -0.35]))
    out = rotation(d, swivel * sign) @ unit(hint - d * (hint @ d))
    upper = np.cos(bend) * d + np.sin(bend) * out
    fore = unit(shoulder + length * d - (shoulder + l1 * upper))
    normal0 = unit(np.cross(upper0, fore0))
    normal = np.cross(upper, fore)
    normal = unit(normal) if np.linalg.norm(normal) > 1e-3 else normal0
    frame0 = np.stack([upper0, normal0, np.cross(upper0, normal0)], 1)
    frame = np.stack([upper, normal, np.cross(upper, normal)], 1)
    whole: Rotation = frame @ frame0.T
    axis = np.cross(upper0, upper)
    swing = np.eye(3)
    if np.linalg.norm(axis) > 1e-4:
        swing = rotation(axis, float(np.arccos(np.clip(upper0 @ upper, -1, 1))))
    twist: Rotation = swing.T @ whole
    rotations[f"upperarm01.{side}"] = swing @ part_of(twist, 0.45)
    rotations[f"upperarm02.{side}"] = part_of(twist, 0.55)
    hinge = float(np.arccos(np.clip(upper @ fore, -1, 1)) - np.arccos(np.clip(upper0 @ fore0, -1, 1)))
    elbow_turn = rotation(normal0, hinge)
    rotations[f"lowerarm01.{side}"] = elbow_turn
    forearm: Rotation = whole @ elbow_turn

    palm0 = palm_normal(model, joints, side)
    want = unit(forearm.T @ unit(palm))
    p = unit(palm0 - fore0 * (palm0 @ fore0))
    q = want - fore0 * (want @ fore0)
    turn = 0.0
    if np.linalg.norm(q) > 0.15:
        turn = float(np.clip(np.arctan2(fore0 @ np.cross(p, q), p @ q), -1.5, 1.5))
    index, little = (joints[model.bone[f"finger{n}-1.{side}"]] for n in (2, 5))
    flex_axis = unit(np.cross(unit((index + little) / 2 - wrist), palm0))
    rotations[f"lowerarm02.{side}"] = rotation(fore0, turn * 0.55)
    rotations[f"wrist.{side}"] = (
        rotation(fore0, turn * 0.45) @ rotation(flex_axis, flex) @ rotation(palm0, deviate * sign)
    )
    return forearm
