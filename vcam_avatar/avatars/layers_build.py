"""Picture -> layers, by classical means: no network, a second or two."""

import itertools
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from vcam_avatar.avatars.format import Avatar
from vcam_avatar.avatars.layers import LAYERS_FILE, ArmLayers, HandStyle, Layers, Strip, load_layers
from vcam_avatar.avatars.layers_fill import (
    Mask,
    add_grain,
    blur,
    continue_cloth,
    continue_rows,
    distance_to_bone,
    fill_smooth,
    grow,
    guided,
    large_parts,
    nearest_colour,
    polygon,
    smooth,
)
from vcam_avatar.avatars.layers_strip import cloth_sleeve, cut_upper_arm, empty_strip, hue_of, narrow_elbow
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

MAX_HEIGHT_PX = 1440
"""Layers of larger pictures are made at this height."""
_MASK_HEIGHT_PX = 640
"""Height at which the person is cut out."""
_SIDES = {
    "left": (LEFT_SHOULDER, LEFT_ELBOW, LEFT_WRIST, LEFT_HAND, 1.0),
    "right": (RIGHT_SHOULDER, RIGHT_ELBOW, RIGHT_WRIST, RIGHT_HAND, -1.0),
}
"""Keypoints of an arm, and whether it lies to the right (1) or left (-1) of the body in the picture."""


@dataclass
class _Arm:
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
    lower: Mask | None = None
    """Forearm and hand only."""
    reach: Mask | None = None
    """``lower`` before it is cut with the person: hands stick out of rough masks."""


@dataclass(frozen=True)
class _Scene:
    picture: FloatArray
    grid: FloatArray
    unit: float
    """Shoulder width."""
    person: Mask
    alpha: FloatArray
    points: FloatArray
    face: FloatArray


def build_layers(
    picture: ByteArray, keypoints: FloatArray, landmarks68: FloatArray, person_mask: ByteArray
) -> Layers:
    """Take a picture apart.

    Args:
        picture: uint8 ``(h, w, 3)`` BGR photo, or ``(h, w, 4)`` BGRA cut-out with straight alpha.
        keypoints: ``(57, 3)`` in picture pixels; unseen ones have confidence 0. Shoulders are needed.
        landmarks68: ``(68, 2)`` face landmarks in picture pixels.
        person_mask: uint8 ``(h, w)``, 255 on the person; rough is good enough for photos.

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
    hands = [
        points[s : s + 21]
        for s, c in ((LEFT_HAND, seen), (RIGHT_HAND, seen))
        if c[s : s + 21, 2].mean() > 0.5
    ]
    person, alpha = _cut_person(bgr, person_mask, hands, picture[..., 3] if cut_out else None)
    height, width = person.shape
    xs, ys = np.meshgrid(np.arange(width, dtype=np.float32) + 0.5, np.arange(height, dtype=np.float32) + 0.5)
    scene = _Scene(
        bgr.astype(np.float32), np.stack([xs, ys], -1), target.unit_px, person, alpha, points, face
    )
    upper, fore, palm = target.bone_lengths_px
    arms = {}
    for name, (s, e, w, h, side) in _SIDES.items():
        arm = _Arm(
            points[s], points[e], points[w], points[h : h + 21], side,
            bool(seen[h : h + 21, 2].mean() > 0.5), bool(min(seen[s, 2], seen[e, 2]) > 0.3),
            upper, fore, palm,
        )  # fmt: skip
        _find_arm(scene, arm)
        arms[name] = arm
    core = _core(scene, list(arms.values()))
    background = None if cut_out else _background(scene, list(arms.values()))
    skin = _skin(scene, list(arms.values()))
    cuts = {name: _upper_arm(scene, arm, skin) for name, arm in arms.items()}
    ends = [end for _, end in cuts.values()]
    # Both sleeves are alike; the arm that shows more of itself is the one with the shorter reading.
    sleeve_end = float(np.mean(ends)) if abs(ends[0] - ends[1]) < 0.15 else min(ends)
    hidden = all(np.hypot(*(arm.wrist - arm.elbow)) < 0.6 * arm.fore_px for arm in arms.values())
    if sleeve_end > 0.78 and (hidden or sleeve_end > 1.05):
        # A foreshortened forearm hides its sleeve: one that reaches the elbow goes a little beyond it.
        sleeve_end = max(sleeve_end, 1.18)
    sleeve_end = min(sleeve_end, 0.84) if sleeve_end < 1.05 else sleeve_end
    made = {name: _arm_layers(scene, arm, skin, sleeve_end) for name, arm in arms.items()}
    return Layers(Size(width, height), core, background, made["left"], made["right"])


def _cut_person(
    bgr: ByteArray, mask: ByteArray, hands: list[FloatArray], given: ByteArray | None
) -> tuple[Mask, FloatArray]:
    """Refine the rough person mask on the colours. Returns it hard and as soft alpha 0 to 1."""
    if given is not None:
        return np.asarray(given > 127), np.asarray(given / 255, np.float32)
    height, width = mask.shape
    scale = min(1.0, _MASK_HEIGHT_PX / height)
    size = (max(2, round(width * scale)), max(2, round(height * scale)))
    small = np.asarray(cv2.resize(bgr, size, interpolation=cv2.INTER_AREA))
    rough = cv2.resize(mask, size, interpolation=cv2.INTER_LINEAR).astype(np.float32) / 255
    extra = np.zeros(rough.shape, bool)
    for hand in hands:
        extra |= grow(polygon(cv2.convexHull(hand * scale)[:, 0], rough.shape), 6)
    state = np.where(rough > 0.5, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    state[extra & (state == cv2.GC_PR_BGD)] = cv2.GC_PR_FGD
    state[grow(np.asarray(rough > 0.95), -5)] = cv2.GC_FGD
    state[~grow(np.asarray(rough > 0.05), 8) & ~grow(extra, 8)] = cv2.GC_BGD
    if (state == cv2.GC_FGD).any() and (state == cv2.GC_BGD).any():
        cv2.setRNGSeed(1)
        cv2.grabCut(small, state, None, np.zeros((1, 65)), np.zeros((1, 65)), 3, cv2.GC_INIT_WITH_MASK)  # type: ignore[call-overload]
    found = (state == cv2.GC_FGD) | (state == cv2.GC_PR_FGD)
    count, label, stats, _ = cv2.connectedComponentsWithStats(found.astype(np.uint8))
    keep = stats[:, cv2.CC_STAT_AREA] > 0.002 * found.size
    keep[0] = False
    found = keep[label] if count > 1 else found
    soft = cv2.resize(found.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    grey = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY).astype(np.float32)
    alpha = smooth(
        guided(grey, np.asarray(soft, np.float32), max(2, round(3 * height / 720)), 40.0), 0.15, 0.9
    )
    return np.asarray(soft > 0.5), np.asarray(alpha, np.float32)


def _find_arm(scene: _Scene, arm: _Arm) -> None:
    """Radius of the upper arm, and the region of the picture that the arm covers."""
    height, width = scene.person.shape
    bone = arm.elbow - arm.shoulder
    normal = np.array([bone[1], -bone[0]]) / max(float(np.hypot(*bone)), 1e-3)
    outward = normal if normal[0] * arm.side > 0 else -normal

    hand = _hand_region(scene, arm)

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
    upper |= (t_upper >= 1.0) & (to_upper < arm.radius * 1.05)
    # The cap of the shoulder stays with the torso, which carries it along with the arm.
    upper &= t_upper > 0.34
    to_fore, t_fore, _ = distance_to_bone(scene.grid, arm.elbow, arm.wrist)
    thick = np.interp(np.clip(t_fore, 0, 1), [0, 1], [arm.radius * 1.1, 0.55 * arm.palm_px])
    lower = (to_fore < thick) | hand
    # What sticks out of the torso's sides below the shoulders can only be arm.
    outside_torso = scene.person & ~_torso(scene, -0.04)
    below = scene.grid[..., 1] > arm.shoulder[1] + 0.3 * scene.unit
    mine = (scene.grid[..., 0] - scene.points[1, 0]) * arm.side > 0.35 * scene.unit
    # Legs and chairs stick out as well: only what is near the arm's bones.
    near = np.minimum(to_upper, to_fore) < 0.3 * scene.unit
    mine &= near | grow(hand, 0.12 * scene.unit)
    upper |= outside_torso & below & mine
    arm.reach = grow(lower, 0.17 * scene.unit)
    arm.lower = lower & scene.person
    arm.region = (upper & scene.person) | arm.lower


def _hand_region(scene: _Scene, arm: _Arm) -> Mask:
    """Where the hand covers the picture, generously."""
    if not arm.hand_seen:
        return np.asarray(np.hypot(*np.moveaxis(scene.grid - arm.wrist, -1, 0)) < 0.6 * arm.palm_px)
    distance = np.full(scene.person.shape, 1e9, np.float32)
    for finger in range(5):
        chain = [0, *range(1 + 4 * finger, 5 + 4 * finger)]
        for a, b in itertools.pairwise(chain):
            distance = np.minimum(distance, distance_to_bone(scene.grid, arm.hand[a], arm.hand[b])[0])
    hull = polygon(cv2.convexHull(arm.hand[[0, 1, 2, 5, 9, 13, 17]])[:, 0], scene.person.shape)
    return np.asarray((distance < 0.30 * arm.palm_px) | grow(hull, 0.05 * arm.palm_px))


def _torso(scene: _Scene, inset: float) -> Mask:
    """The torso's outline from the joints; ``inset`` narrows it, in shoulder widths."""
    p, unit = scene.points, scene.unit
    height, width = scene.person.shape
    right, left = p[RIGHT_SHOULDER], p[LEFT_SHOULDER]
    hip_right, hip_left = p[9], p[10]
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


def _core(scene: _Scene, arms: list[_Arm]) -> ByteArray:
    """Head, hair, neck, torso; what the arms hid is filled from the cloth around."""
    unit, person = scene.unit, scene.person
    region = np.zeros(person.shape, bool)
    for arm in arms:
        assert arm.region is not None
        region |= arm.region
    chin = float(scene.face[:, 1].max())
    region &= (scene.grid[..., 1] > chin - 0.1 * unit) | (blur(region, 1) < 0)
    # Inside the torso's outline everything stays, filled where an arm covers it: no holes behind arms.
    inner = _torso(scene, 0.06)
    for arm in arms:
        distance, along, _ = distance_to_bone(scene.grid, arm.shoulder, arm.elbow)
        inner |= (distance < 0.95 * arm.radius) & (along < 0.34)
    inner &= grow(person, 2)
    core = (person & ~region) | (inner & (person | region))
    core = np.asarray(cv2.morphologyEx(core.astype(np.uint8), cv2.MORPH_OPEN, np.ones((5, 5), np.uint8)) > 0)
    # A drawn head may float above its body; slivers of sleeves are smaller.
    core = large_parts(core, 0.08)
    # A calm outline where arms were cut away, without slivers.
    calm = grow(grow(core, -0.035 * unit), 0.035 * unit)
    calm = np.asarray(blur(calm, 0.02 * unit) > 0.5)
    core = np.where(grow(region, 3) & (scene.grid[..., 1] > chin), calm, core)
    covered = core & grow(region, 4)
    shoulder = np.zeros(person.shape, bool)
    for arm in arms:
        distance, along, _ = distance_to_bone(scene.grid, arm.shoulder, arm.elbow)
        shoulder |= (along < 0.3) & (distance < 1.6 * arm.radius) & ~grow(np.asarray(arm.lower), 6)
    covered &= ~shoulder
    good = grow(person & ~grow(region & ~shoulder, 6), -2) & core
    cloth = good & (scene.grid[..., 1] > scene.points[1, 1] + 0.12 * unit)
    # What lies below a hidden part may be another garment: then only what is above is continued.
    under = np.maximum.accumulate(covered & (scene.grid[..., 1] > scene.points[1, 1]), 0) & ~covered
    if int((cloth & ~under).sum()) > 500 and int((cloth & under).sum()) > 100:
        above, below = (np.median(scene.picture[cloth & part], 0) for part in (~under, under))
        if float(np.linalg.norm(hue_of(above) - hue_of(below))) > 0.3:
            cloth &= ~under
    source = cloth if int(cloth.sum()) > 500 else good
    filled = fill_smooth(scene.picture, source)
    filled = continue_cloth(filled, scene.picture, covered, source, 0.05 * unit)
    filled = add_grain(filled, covered, scene.picture, grow(source, -3))
    base = nearest_colour(scene.picture, good)
    soft = blur(covered, 4)[..., None]
    colour = np.where(covered[..., None], filled, base * (1 - soft) + filled * soft)
    colour = np.where((core & ~covered & (soft[..., 0] < 0.02))[..., None], base, colour)
    edge = np.where(grow(region, 3), blur(core, 1.2), scene.alpha * blur(grow(core, 1), 0.8))
    image = np.concatenate([np.clip(colour, 0, 255), np.clip(edge, 0, 1)[..., None] * 255], -1)
    return np.asarray(np.rint(image), np.uint8)


def _background(scene: _Scene, arms: list[_Arm]) -> ByteArray:
    """The picture without the person."""
    height = scene.person.shape[0]
    person = scene.person | (scene.alpha > 0.02)
    for arm in arms:
        if arm.hand_seen:
            person |= np.asarray(arm.reach)
    valid = ~grow(np.asarray(person), max(5, height // 65))
    if int(valid.sum()) < 100:
        valid = ~scene.person
    filled = np.asarray(cv2.GaussianBlur(fill_smooth(scene.picture, valid), (0, 0), 2), np.float32)
    # Rooms are made of level lines: near the hole's edge each row goes on as it is.
    rows = continue_rows(scene.picture, valid)
    distance = cv2.distanceTransform((~valid).astype(np.uint8), cv2.DIST_L2, 5)
    share = np.clip(1.0 - distance / (0.22 * height), 0, 1)[..., None] * 0.85
    filled = add_grain(
        (filled * (1 - share) + rows * share).astype(np.float32), ~valid, scene.picture, grow(valid, -6)
    )
    soft = blur(~valid, 3)[..., None]
    blended = np.where(valid[..., None], scene.picture * (1 - soft) + filled * soft, filled)
    return np.asarray(np.clip(np.rint(blended), 0, 255), np.uint8)


def _skin(scene: _Scene, arms: list[_Arm]) -> dict[str, Any]:
    """Colours of skin: from the hands where they are seen, else from the face."""
    mask = np.zeros(scene.person.shape, bool)
    for arm in arms:
        if arm.hand_seen:
            for finger in range(5):
                chain = [0, *range(1 + 4 * finger, 5 + 4 * finger)]
                for a, b in itertools.pairwise(chain):
                    mask |= distance_to_bone(scene.grid, arm.hand[a], arm.hand[b])[0] < 0.05 * arm.palm_px
    face = scene.face
    cheeks = np.zeros(scene.person.shape, bool)
    width = float(np.hypot(*(face[45] - face[36])))
    sides = []
    for a, b in ((31, 2), (35, 14)):
        centre = face[a] * 0.45 + face[b] * 0.55
        disc = np.hypot(*np.moveaxis(scene.grid - centre, -1, 0)) < 0.13 * width
        cheeks |= disc
        sides.append(float(scene.picture[disc].mean()) if disc.any() else 128.0)
    for arm in arms:
        if arm.upper_seen:
            mask |= distance_to_bone(scene.grid, arm.elbow, arm.wrist)[0] < 0.4 * arm.elbow_radius
            to_bone, along, _ = distance_to_bone(scene.grid, arm.shoulder, arm.elbow)
            mask |= (to_bone < 0.4 * arm.elbow_radius) & (along > 0.5)
    mask &= scene.person
    pixels = scene.picture[mask]
    face_pixels = scene.picture[cheeks & scene.person]
    if len(face_pixels) < 10:
        face_pixels = np.array([[140.0, 165.0, 215.0]], np.float32)
    face_colour = np.median(face_pixels, 0)
    if len(pixels) > 60:
        # Sleeves, rings and what is seen between fingers are not skin.
        ratio = np.log((pixels + 8) / (pixels.sum(1, keepdims=True) + 24)) - np.log(
            (face_colour + 8) / (face_colour.sum() + 24)
        )
        light = pixels.sum(1) / max(float(face_colour.sum()), 1.0)
        pixels = pixels[(np.abs(ratio).max(1) < 0.2) & (light > 0.3) & (light < 1.25)]
    if len(pixels) < 60:
        pixels = face_pixels
    order = pixels.sum(1).argsort()
    bright = pixels[order[int(0.55 * len(order)) : max(int(0.95 * len(order)), 1)]].mean(0)
    dark = pixels[order[int(0.04 * len(order)) : max(int(0.2 * len(order)), 1)]].mean(0)
    # Hands in shade still have to go with the face.
    bright = np.clip(bright, 0.88 * face_colour, 1.12 * face_colour)
    dark = np.clip(dark, 0.42 * bright, 0.66 * bright * np.array([0.9, 0.97, 1.08]))
    balance = float(np.clip((sides[1] - sides[0]) / max(sum(sides), 1), -0.25, 0.25))
    light = np.array([3.0 * balance, -0.5, 0.85])
    light /= np.linalg.norm(light)
    return {"skin": bright, "shadow": dark, "light": light}


def _upper_arm(
    scene: _Scene, arm: _Arm, skin: dict[str, Any], sleeve_end: float | None = None
) -> tuple[Strip, float]:
    return cut_upper_arm(
        scene.picture, scene.alpha, skin["skin"],
        shoulder=arm.shoulder, elbow=arm.elbow, wrist=arm.wrist, side=arm.side, radius=arm.radius,
        elbow_radius=arm.elbow_radius, length_px=arm.upper_px, lower=np.asarray(arm.lower),
        seen=arm.upper_seen, sleeve_end=sleeve_end,
    )  # fmt: skip


def _arm_layers(scene: _Scene, arm: _Arm, skin: dict[str, Any], sleeve_end: float) -> ArmLayers:
    upper, _ = _upper_arm(scene, arm, skin, sleeve_end)
    if sleeve_end < 0.85:
        upper = narrow_elbow(upper, min(arm.elbow_radius, 0.44 * arm.palm_px))
    if sleeve_end > 1.08:
        fore = cloth_sleeve(upper, sleeve_end - 1, arm.fore_px, arm.radius, arm.palm_px)
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
