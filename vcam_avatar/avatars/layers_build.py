"""Picture -> layers: parts by the layer network where it is sure, else by rules; seconds."""

from typing import Any

import cv2
import numpy as np

from vcam_avatar.avatars.format import Avatar
from vcam_avatar.avatars.layers import LAYERS_FILE, ArmLayers, HandStyle, Layers, Strip, load_layers
from vcam_avatar.avatars.layers_apply import (
    better_mask,
    knows_torso,
    shows_lap,
    take_arm,
    things_held,
    torso_behind,
)
from vcam_avatar.avatars.layers_cloth import Cloth
from vcam_avatar.avatars.layers_core import make_core
from vcam_avatar.avatars.layers_fill import nearest_colour
from vcam_avatar.avatars.layers_hem import agree, sleeve_end_seen
from vcam_avatar.avatars.layers_matte import cut_person
from vcam_avatar.avatars.layers_own import cut_own_arms
from vcam_avatar.avatars.layers_parts import ARM_PARTS, read_parts
from vcam_avatar.avatars.layers_room import make_room
from vcam_avatar.avatars.layers_scene import ArmSeen, Scene, close_slots, find_arm
from vcam_avatar.avatars.layers_skin import read_arm_skin, read_skin
from vcam_avatar.avatars.layers_sleeve import cloth_sleeve, empty_strip, narrow_elbow
from vcam_avatar.avatars.layers_strip import cut_upper_arm
from vcam_avatar.avatars.layers_torso import claim_skin, skin_map, trim_forearms
from vcam_avatar.media import ByteArray, FloatArray, Size
from vcam_avatar.stages.pose_layout import (
    LEFT_ELBOW,
    LEFT_HAND,
    LEFT_SHOULDER,
    LEFT_WRIST,
    RIGHT_ELBOW,
    RIGHT_HAND,
    RIGHT_SHOULDER,
    RIGHT_WRIST,
)
from vcam_avatar.stages.pose_retarget import Retargeter

_LONG = 1.9
"""Where colours see sleeves end that reach the wrists."""
_OTHER = {"left": "right", "right": "left"}
MAX_HEIGHT_PX = 1440
"""Layers of larger pictures are made at this height."""
_WRIST_SEEN = 0.45
"""Confidence of a wrist without a hand from which a forearm is looked for there."""
_SIDES = {
    "left": (LEFT_SHOULDER, LEFT_ELBOW, LEFT_WRIST, LEFT_HAND, 1.0),
    "right": (RIGHT_SHOULDER, RIGHT_ELBOW, RIGHT_WRIST, RIGHT_HAND, -1.0),
}
"""Keypoints of an arm, and whether it lies to the right (1) or left (-1) of the body in the picture."""


def build_layers(
    picture: ByteArray, keypoints: FloatArray, landmarks68: FloatArray, person_mask: ByteArray,
    network: bool = True,
) -> Layers:  # fmt: skip
    """Take a picture apart.

    Args:
        picture: uint8 ``(h, w, 3)`` BGR photo, or ``(h, w, 4)`` BGRA cut-out with straight alpha.
        keypoints: ``(57, 3)`` in picture pixels; unseen ones have confidence 0. Shoulders are needed.
        landmarks68: ``(68, 2)`` face landmarks in picture pixels.
        person_mask: uint8 ``(h, w)``, 255 on the person; rough is good enough for photos.
        network: ask the layer network, and use rules only where it and the keypoints do not agree.

    Returns:
        The layers, at the picture's size or, for tall pictures, uniformly reduced to 1440 px height.

    Raises:
        ValueError: wrong shapes, or no shoulders.
    """
    if picture.ndim != 3 or picture.shape[2] not in (3, 4) or person_mask.shape != picture.shape[:2]:
        raise ValueError(f"picture {picture.shape} and mask {person_mask.shape} do not fit")
    scale = min(1.0, MAX_HEIGHT_PX / picture.shape[0])
    if scale < 1:
        size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
        person_mask = np.asarray(cv2.resize(person_mask, size, interpolation=cv2.INTER_AREA), np.uint8)
    seen = np.array(keypoints, np.float32)
    seen[:, :2] *= scale
    target = Retargeter(seen)
    points = target.to_pixels(target.start_pose)
    face = np.asarray(landmarks68, np.float32) * scale
    cut_out = picture.shape[2] == 4 and int(picture[..., 3].min()) < 250
    bgr = np.ascontiguousarray(picture[..., :3])
    if cut_out:
        # Colours of transparent pixels are accidents.
        solid = nearest_colour(bgr.astype(np.float32), np.asarray(picture[..., 3] > 250))
        bgr = np.ascontiguousarray(np.rint(solid), np.uint8)
    # A hand is where it is seen, whatever joints would allow.
    hands = {
        h: seen[h : h + 21, :2] if float(seen[h : h + 21, 2].mean()) > 0.5 else None
        for h in (LEFT_HAND, RIGHT_HAND)
    }
    shown = [
        np.concatenate([points[e][None], hand])
        for _, e, _, h, _ in _SIDES.values()
        if (hand := hands[h]) is not None
    ]
    parts = read_parts(bgr, person_mask, seen) if network else None
    if parts is not None:
        person_mask = better_mask(person_mask, parts, face)
    person, alpha = cut_person(bgr, person_mask, shown, picture[..., 3] if cut_out else None)
    height, width = person.shape
    xs, ys = np.meshgrid(np.arange(width, dtype=np.float32) + 0.5, np.arange(height, dtype=np.float32) + 0.5)
    scene = Scene(bgr.astype(np.float32), np.stack([xs, ys], -1), target.unit_px, person, alpha, points, face)
    if not cut_out:
        close_slots(scene)
    upper, fore, palm = target.bone_lengths_px
    arms = {}
    for name, (s, e, w, h, side) in _SIDES.items():
        hand = hands[h]
        arm = ArmSeen(
            points[s], points[e], points[w], points[h : h + 21] if hand is None else hand, side,
            hand is not None, bool(min(seen[s, 2], seen[e, 2]) > 0.3), upper, fore, palm,
            wrist_seen=hand is not None or bool(seen[w, 2] > _WRIST_SEEN),
        )  # fmt: skip
        find_arm(scene, arm)
        arms[name] = arm
    # Where the network is wrong about laps it may still know sleeves.
    skin = read_skin(scene, list(arms.values()))
    hems = [sleeve_end_seen(scene, a, parts, skin["skin"]) for a in arms.values()] if parts else []
    hem = agree(hems)
    if parts is not None and shows_lap(scene, list(arms.values()), parts):
        parts = None
    for arm in arms.values():
        arm.known = parts is not None and take_arm(scene, arm, parts)
    bare = skin_map(scene, list(arms.values()))
    guessed = [arm for arm in arms.values() if not arm.known]
    trim_forearms(scene, guessed, bare)
    bare = claim_skin(scene, list(arms.values()), bare)
    behind = held = None
    if parts is not None and not guessed and knows_torso(parts):
        behind = torso_behind(scene, parts)
        held = things_held(scene, list(arms.values()), parts, behind)
    core = make_core(scene, list(arms.values()), bare, behind, held)
    background = None if cut_out else make_room(scene, list(arms.values()))
    shares = {
        n: (parts.arm(n), parts.share[..., ARM_PARTS[n][0]]) if parts and a.known else (None, None)
        for n, a in arms.items()
    }
    ends = [_upper_arm(scene, arm, skin, shares[n])[1] for n, arm in arms.items()]
    # Both sleeves are alike; the arm that shows more of itself is the one with the shorter reading.
    sleeve_end = float(np.mean(ends)) if abs(ends[0] - ends[1]) < 0.15 else min(ends)
    # Pale sleeves look like skin to the network at times, never the other way round to the colours.
    sleeve_end = sleeve_end if hem is None or min(ends) > _LONG else hem
    hidden = all(np.hypot(*(arm.wrist - arm.elbow)) < 0.6 * arm.fore_px for arm in arms.values())
    if (hem is None and sleeve_end > 0.78 and hidden) or sleeve_end > 1.05:
        # A foreshortened forearm hides its sleeve: one that reaches the elbow goes a little beyond it.
        sleeve_end = max(sleeve_end, 1.18)
    sleeve_end = min(sleeve_end, 0.84) if sleeve_end < 1.05 else sleeve_end
    # Hands and forearms are of one colour, half way between what either shows.
    hand = skin["skin"]
    skin["skin"] = skin["arm"] = (hand + read_arm_skin(scene, list(arms.values()), hand, sleeve_end)) / 2
    skin["shadow"] = skin["shadow"] * skin["skin"] / hand
    seen_ends = dict(
        zip(
            arms,
            (h.end if h and h.gap < 0.2 else sleeve_end for h in hems or [None] * len(ends)),
            strict=True,
        )
    )
    cloths = {
        n: _upper_arm(scene, arm, skin, shares[n], sleeve_end, seen_ends[n])[2] for n, arm in arms.items()
    }
    made = {
        n: _arm_layers(scene, arm, skin, shares[n], sleeve_end, seen_ends[n], cloths[_OTHER[n]])
        for n, arm in arms.items()
    }
    layers = Layers(Size(width, height), core, background, made["left"], made["right"])
    joints = {n: points[[s, e, w, *range(h, h + 21)]] for n, (s, e, w, h, _) in _SIDES.items()}
    mask = np.asarray(np.rint(alpha * 255), np.uint8)
    return cut_own_arms(layers, np.dstack([bgr, mask]), joints)


def _upper_arm(
    scene: Scene,
    arm: ArmSeen,
    skin: dict[str, Any],
    shares: tuple[FloatArray | None, FloatArray | None],
    sleeve_end: float | None = None,
    seen_end: float | None = None,
    spare: Cloth | None = None,
) -> tuple[Strip, float, Cloth]:
    return cut_upper_arm(
        scene.picture, scene.alpha, skin["skin"], skin.get("arm", skin["skin"]),
        shoulder=arm.shoulder, elbow=arm.elbow, wrist=arm.wrist, side=arm.side, radius=arm.radius,
        elbow_radius=arm.elbow_radius, length_px=arm.upper_px, lower=np.asarray(arm.lower),
        seen=arm.upper_seen, sleeve_end=sleeve_end, seen_end=seen_end, share=shares[0],
        sleeve=shares[1], spare=spare,
    )  # fmt: skip


def _arm_layers(
    scene: Scene, arm: ArmSeen, skin: dict[str, Any], shares: tuple[FloatArray | None, FloatArray | None],
    sleeve_end: float, seen_end: float, spare: Cloth,
) -> ArmLayers:  # fmt: skip
    upper, _, _ = _upper_arm(scene, arm, skin, shares, sleeve_end, seen_end, spare)
    if sleeve_end < 0.85:
        upper = narrow_elbow(upper, min(arm.elbow_radius, 0.44 * arm.palm_px))
    if sleeve_end > 1.08:
        fore = cloth_sleeve(upper, sleeve_end - 1, arm.fore_px, arm.radius, arm.palm_px, arm.elbow_radius)
    else:
        fore = empty_strip(arm.fore_px, arm.radius)
    skin_bgr = tuple(float(round(v, 1)) for v in skin["skin"])
    shadow_bgr = tuple(float(round(v, 1)) for v in skin["shadow"])
    light = tuple(float(round(v, 3)) for v in skin["light"])
    style = HandStyle(
        palm_px=float(arm.palm_px),
        skin_bgr=(skin_bgr[0], skin_bgr[1], skin_bgr[2]),
        shadow_bgr=(shadow_bgr[0], shadow_bgr[1], shadow_bgr[2]),
        light=(light[0], light[1], light[2]),
        elbow_bgr=_elbow_colour(upper) if sleeve_end < 0.85 and arm.upper_seen else None,
        sleeve_end=float(sleeve_end),
    )
    return ArmLayers(upper, fore, style)


def _elbow_colour(upper: Strip) -> tuple[float, float, float]:
    """Lit skin at the lower end of a bare upper arm."""
    count, width = upper.image_bgra.shape[:2]
    first, last = (int((t - upper.start) / (upper.end - upper.start) * count) for t in (0.86, 1.04))
    patch = upper.image_bgra[first : max(last, first + 1), int(0.38 * width) : int(0.62 * width)]
    pixels = patch[..., :3].reshape(-1, 3).astype(np.float32)
    order = pixels.sum(1).argsort()
    lit = pixels[order[len(order) // 3 :]].mean(0)
    return float(round(lit[0], 1)), float(round(lit[1], 1)), float(round(lit[2], 1))


def avatar_layers(avatar: Avatar) -> Layers:
    """The avatar's stored layers, or, when there are none, newly built ones (not stored).

    Raises:
        AvatarDataError: stored layers are damaged.
    """
    if (avatar.layers_folder / LAYERS_FILE).is_file():
        return load_layers(avatar.layers_folder)
    picture = avatar.picture_bgr
    if not avatar.has_background:
        picture = np.concatenate([picture, avatar.person_alpha[..., None]], -1)
    return build_layers(picture, avatar.points_px, avatar.face_px, avatar.person_alpha)
