"""What is where in a picture: the person, the arms, the torso's outline."""

from dataclasses import dataclass

import cv2
import numpy as np

from vcam_avatar.avatars.layers_fill import Mask, distance_to_bone, grow, polygon
from vcam_avatar.media import FloatArray
from vcam_avatar.stages.pose_layout import LEFT_SHOULDER, RIGHT_SHOULDER


@dataclass
class ArmSeen:
    """What is found out about one arm in the picture."""

    shoulder: FloatArray
    elbow: FloatArray
    wrist: FloatArray
    hand: FloatArray
    side: float
    hand_seen: bool
    upper_seen: bool
    upper_px: float
    fore_px: float
    palm_px: float
    radius: float = 0.0
    elbow_radius: float = 0.0
    region: Mask | None = None
    """Where the arm covers the picture, generously."""
    upper: Mask | None = None
    """Upper arm and sleeve."""
    lower: Mask | None = None
    """Forearm and hand only."""
    reach: Mask | None = None
    """``lower`` before it is cut with the person: hands stick out of rough masks."""
    known: bool = False
    """Whether these were seen by the layer network."""
    wrist_seen: bool = True
    """Whether anything says where the forearm ends: behind the back or a thing nothing does."""


@dataclass(frozen=True)
class Scene:
    picture: FloatArray
    grid: FloatArray
    unit: float
    """Shoulder width."""
    person: Mask
    alpha: FloatArray
    points: FloatArray
    face: FloatArray


def close_slots(scene: Scene) -> None:
    """Make narrow slots of the person inside the torso part of it: white straps before a white wall."""
    wide = 2 * round(0.09 * scene.unit) + 1
    # Beyond the picture the person goes on: a slot may end at its border.
    framed = cv2.copyMakeBorder(scene.person.astype(np.uint8), wide, wide, wide, wide, cv2.BORDER_REPLICATE)
    closed = cv2.morphologyEx(framed, cv2.MORPH_CLOSE, np.ones((1, wide), np.uint8))[wide:-wide, wide:-wide]
    slots = np.asarray(closed > 0) & torso_outline(scene, 0.16) & ~scene.person
    scene.person[slots] = True
    scene.alpha[slots] = 1


def find_arm(scene: Scene, arm: ArmSeen) -> None:
    """Radius of the upper arm, and the region of the picture that the arm covers."""
    height, width = scene.person.shape
    bone = arm.elbow - arm.shoulder
    normal = np.array([bone[1], -bone[0]]) / max(float(np.hypot(*bone)), 1e-3)
    outward = normal if normal[0] * arm.side > 0 else -normal

    hand = hand_region(scene, arm)

    def edge(at: tuple[float, ...]) -> list[int]:
        """How far the person reaches outwards from the bone, up to background or hand."""
        found = []
        for t in at:
            for r in range(3, int(0.4 * scene.unit)):
                x, y = (arm.shoulder + bone * t + outward * r).astype(int)
                if not (0 <= x < width and 0 <= y < height) or not scene.person[y, x] or hand[y, x]:
                    found.append(r)
                    break
        return found

    reach = edge((0.4, 0.5, 0.6, 0.7, 0.8))
    usual = float(np.percentile(reach, 35)) if reach else 0.17 * scene.unit
    arm.radius = float(np.clip(usual, 0.12 * scene.unit, 0.24 * scene.unit))
    least = min(edge((0.86, 0.93, 1.0)), default=arm.radius)
    arm.elbow_radius = float(np.clip(least, max(0.1 * scene.unit, 0.62 * arm.radius), arm.radius))
    to_upper, t_upper, across = distance_to_bone(scene.grid, arm.shoulder, arm.elbow)
    outside = across * (1 if float(normal @ outward) > 0 else -1)
    inner = np.interp(t_upper, [0.0, 0.35, 0.7, 1.0], [0.15, 0.55, 0.8, 0.95]) * arm.radius
    upper = (t_upper > -0.02) & (t_upper < 1.0) & (outside < 1.9 * arm.radius) & (outside > -inner)
    upper |= (t_upper >= 1.0) & (to_upper < arm.radius * 1.05) & arm.wrist_seen
    # The cap of the shoulder stays with the torso, which carries it along with the arm.
    upper &= t_upper > 0.34
    to_fore, t_fore, _ = distance_to_bone(scene.grid, arm.elbow, arm.wrist)
    thick = np.interp(np.clip(t_fore, 0, 1), [0, 1], [arm.radius * 1.1, 0.55 * arm.palm_px])
    lower = (to_fore < thick) & arm.wrist_seen | hand
    # What sticks out of the torso's sides below the shoulders can only be arm.
    outside_torso = scene.person & ~torso_outline(scene, -0.04)
    below = scene.grid[..., 1] > arm.shoulder[1] + 0.3 * scene.unit
    mine = (scene.grid[..., 0] - scene.points[1, 0]) * arm.side > 0.35 * scene.unit
    # Legs and chairs stick out as well: only what is near the bones; beside the upper arm sleeves are wide.
    near = (to_upper < 0.3 * scene.unit) & (t_upper < 1.1)
    near |= arm.wrist_seen & (to_fore < np.maximum(1.15 * thick, 0.16 * scene.unit))
    mine &= near | grow(hand, 0.05 * scene.unit)
    upper |= outside_torso & below & mine
    arm.reach = grow(lower, 0.045 * scene.unit)
    arm.upper = upper & scene.person
    arm.lower = lower & scene.person
    arm.region = (upper & scene.person) | arm.lower


def hand_region(scene: Scene, arm: ArmSeen) -> Mask:
    """Where the hand covers the picture, generously."""
    if not arm.wrist_seen:
        return np.zeros(scene.person.shape, bool)
    if not arm.hand_seen:
        return np.asarray(np.hypot(*np.moveaxis(scene.grid - arm.wrist, -1, 0)) < 0.6 * arm.palm_px)
    fingers = np.zeros(scene.person.shape, np.uint8)
    for finger in range(5):
        chain = arm.hand[[0, *range(1 + 4 * finger, 5 + 4 * finger)]]
        cv2.polylines(fingers, [np.rint(chain).astype(np.int32)], False, 1, max(1, round(0.6 * arm.palm_px)))
    hull = polygon(cv2.convexHull(arm.hand[[0, 1, 2, 5, 9, 13, 17]])[:, 0], scene.person.shape)
    return np.asarray((fingers > 0) | grow(hull, 0.05 * arm.palm_px))


def torso_outline(scene: Scene, inset: float) -> Mask:
    """The torso's outline from the joints; ``inset`` narrows it, in shoulder widths."""
    p, unit = scene.points, scene.unit
    height, width = scene.person.shape
    right, left = p[RIGHT_SHOULDER], p[LEFT_SHOULDER]
    hip_right, hip_left = p[9], p[10]
    if min(hip_right[1], hip_left[1]) > height:
        # Hips below the picture are guessed, at times well beside the body: straight below the neck, then.
        aside = np.array([p[1][0] - (hip_right[0] + hip_left[0]) / 2, 0])
        hip_right, hip_left = hip_right + aside, hip_left + aside
    out_right = np.array([float(np.sign(right[0] - left[0])) or -1.0, 0])
    waist = 0.5
    corners = [
        p[1] - [0, 0.25 * unit], right - [0, 0.14 * unit], right + out_right * (0.06 - inset * 0.4) * unit,
        (1 - waist) * right + waist * hip_right + out_right * (0.14 - inset) * unit,
        hip_right + out_right * (0.17 - inset) * unit,
        [hip_right[0] + out_right[0] * (0.17 - inset) * unit, height + 80],
        [hip_left[0] - out_right[0] * (0.17 - inset) * unit, height + 80],
        hip_left - out_right * (0.17 - inset) * unit,
        (1 - waist) * left + waist * hip_left - out_right * (0.14 - inset) * unit,
        left - out_right * (0.06 - inset * 0.4) * unit, left - [0, 0.14 * unit],
    ]  # fmt: skip
    return polygon(np.array([np.asarray(c, np.float64) for c in corners]), (height, width))
