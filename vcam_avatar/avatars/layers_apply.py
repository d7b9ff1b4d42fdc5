"""Where the layer network is believed: arms, the torso behind them, and where sleeves end."""

import cv2
import numpy as np

from vcam_avatar.avatars.layers_fill import Mask, distance_to_bone, grow
from vcam_avatar.avatars.layers_parts import ARM_PARTS, PartMaps
from vcam_avatar.avatars.layers_scene import ArmSeen, Scene, hand_region
from vcam_avatar.media import ByteArray, FloatArray

_AGREES = 0.6
"""Share of an arm's bones that must lie on what the network calls this arm."""
_SURE = 0.7
"""Mean share along the bones of an arm whose elbow or shoulder was not found."""
_FAR = 0.33
"""From a bone, shoulder widths."""
_WIDE = 0.12
"""Beside the torso, shoulder widths."""
_UNSURE = 0.12
"""Mean distance of its answer from yes and no, behind arms, at which the network does not know the torso:
0.05 to 0.10 on photos."""
_LAP_BELOW, _LAP_SHARE = 0.8, 0.03
"""Share of the picture's height below which laps lie, and what share of all arms must lie there on either
side of the body, far from their bones, to be one."""
_CAP = 0.34
"""The shoulder's cap stays with the torso: above this place along the upper arm."""


def side_of(arm: ArmSeen) -> str:
    """``"left"`` or ``"right"``."""
    return "left" if arm.side > 0 else "right"


def better_mask(mask: ByteArray, parts: PartMaps, face: FloatArray) -> ByteArray:
    """The rough person mask, corrected by half of what the network says where it looked.

    Nothing is taken from the head, where dark hair before a dark board misled the network; ``face``:
    landmarks ``(68, 2)``.
    """
    rough = mask.astype(np.float32) / 255
    person = np.where(parts.known > 0, 1 - parts.share[..., 0], rough)
    head = _around_head(face)
    person[head] = np.maximum(person[head], rough[head])
    return np.asarray(np.rint((rough + person) * 127.5), np.uint8)


def _around_head(face: FloatArray) -> tuple[slice, slice]:
    """Rows above the chin and columns of face and hair."""
    (left, _), (right, chin) = face.min(0), face.max(0)
    beside = 0.6 * (right - left)
    return np.s_[: max(0, round(chin)), max(0, round(left - beside)) : max(0, round(right + beside))]


def shows_lap(scene: Scene, arms: list[ArmSeen], parts: PartMaps) -> bool:
    """Whether the network takes the thighs of somebody who sits for arms: it has seen people stand only."""
    found = np.asarray(parts.arm("left") + parts.arm("right") > 0.5) & scene.person
    far = found & (scene.grid[..., 1] > _LAP_BELOW * scene.person.shape[0])
    for arm in arms:
        end = arm.wrist
        if not arm.hand_seen:
            # A hand that was not found goes on from its forearm.
            bone = arm.wrist - arm.elbow
            end = arm.wrist + bone * (2.2 * arm.palm_px / max(float(np.hypot(*bone)), 1.0))
        to_fore, _, _ = distance_to_bone(scene.grid, arm.elbow, end)
        far &= (to_fore > 0.5 * _FAR * scene.unit) & ~grow(hand_region(scene, arm), 0.1 * scene.unit)
    right = scene.grid[..., 0] > scene.points[1, 0]
    least = min(int((far & right).sum()), int((far & ~right).sum()))
    return least > _LAP_SHARE * max(int(found.sum()), 1)


def take_arm(scene: Scene, arm: ArmSeen, parts: PartMaps) -> bool:
    """Set where ``arm`` covers the picture from what the network sees.

    Returns:
        False, and nothing is changed: the network and the keypoints do not agree.
    """
    side = side_of(arm)
    share, other = parts.arm(side), parts.arm("right" if side == "left" else "left")
    seen = [(arm.shoulder, arm.elbow, 0.45, 1.0)]
    if arm.hand_seen or (arm.wrist_seen and np.hypot(*(arm.wrist - arm.elbow)) > 0.4 * arm.fore_px):
        seen.append((arm.elbow, arm.wrist, 0.0, 0.9))
    found = np.concatenate([_along(share + other, *bone) for bone in seen])
    if len(found) < 4 or float((found > 0.4).mean()) < _AGREES:
        return False
    if not arm.upper_seen and float(found.mean()) < _SURE:
        return False
    # Of two hands that touch each other neither may have half of a pixel.
    mine = np.asarray((share + other > 0.5) & (share > other))
    mine = np.asarray(cv2.morphologyEx(mine.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3))) > 0)
    to_upper, along, _ = distance_to_bone(scene.grid, arm.shoulder, arm.elbow)
    to_fore, _, _ = distance_to_bone(scene.grid, arm.elbow, arm.wrist)
    hand = parts.share[..., ARM_PARTS[side][2]] > 0.5
    if arm.hand_seen:
        hand |= hand_region(scene, arm) & (other < 0.5) & scene.person
    # Sleeves are wide, but no arm is far from its bones.
    mine &= (np.minimum(to_upper, to_fore) < _FAR * scene.unit) | grow(hand, 0.05 * scene.unit)
    below = hand | (to_fore < to_upper)
    # The rim of an arm is soft, and its shadow lies beside it.
    wide = grow(mine | hand, 0.02 * scene.unit) & scene.person
    arm.lower = wide & below
    arm.upper = wide & ~below & (along > _CAP)
    arm.region = arm.upper | arm.lower
    arm.reach = grow(arm.lower, 0.02 * scene.unit)
    return True


def _along(values: FloatArray, start: FloatArray, end: FloatArray, low: float, high: float) -> FloatArray:
    """Values at places along a bone, those inside the picture."""
    at = start + (end - start) * np.linspace(low, high, 12)[:, None]
    x, y = np.floor(at).astype(int).T
    inside = (x >= 0) & (y >= 0) & (x < values.shape[1]) & (y < values.shape[0])
    return np.asarray(values[y[inside], x[inside]], np.float32)


def knows_torso(parts: PartMaps) -> bool:
    """Whether the network has an opinion on what is behind the arms; of plain figures it has none."""
    hidden = parts.core[np.asarray(parts.arm("left") + parts.arm("right") > 0.5)]
    return len(hidden) > 0 and float(np.minimum(hidden, 1 - hidden).mean()) < _UNSURE


def torso_behind(scene: Scene, parts: PartMaps) -> Mask:
    """Head and torso, also where arms hide them: without holes, and without notches in their sides."""
    seen = np.asarray((parts.core > 0.5) | (parts.share[..., 1] + parts.share[..., 2] > 0.5))
    head = _around_head(scene.face)
    seen[head] |= scene.person[head] & (parts.arm("left") + parts.arm("right") < 0.5)[head]
    contours, _ = cv2.findContours(seen.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    out = np.zeros(seen.shape, np.uint8)
    cv2.drawContours(out, contours, -1, 1, cv2.FILLED)
    upright = np.ones((2 * round(0.35 * scene.unit) + 1, 1), np.uint8)
    return np.asarray(cv2.morphologyEx(out, cv2.MORPH_CLOSE, upright) > 0)


def things_held(scene: Scene, arms: list[ArmSeen], parts: PartMaps, behind: Mask) -> Mask:
    """What the network takes for arms but lies far from their bones and from the torso."""
    held = np.asarray(parts.arm("left") + parts.arm("right") > 0.5) & scene.person
    for arm in arms:
        held &= ~np.asarray(arm.region)
    # At the sides of wide clothes the network is often wrong.
    held &= ~grow(behind, _WIDE * scene.unit)
    return np.asarray(cv2.morphologyEx(held.astype(np.uint8), cv2.MORPH_OPEN, np.ones((5, 5))) > 0)
