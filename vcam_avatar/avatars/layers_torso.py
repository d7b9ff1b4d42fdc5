"""Where bare skin lies before the torso, and which arm it belongs to."""

import cv2
import numpy as np

from vcam_avatar.avatars.layers_fill import Mask, distance_to_bone, grow, polygon
from vcam_avatar.avatars.layers_scene import ArmSeen, Scene
from vcam_avatar.media import FloatArray

_WORK_HEIGHT_PX = 480
"""Height at which materials are told apart."""
_LIGHT_SHARE = 0.35
"""How much a difference of lightness counts beside one of hue: shade is not another material."""
_FAR = 16.0
"""Distance of colours beyond which nothing is skin."""
_TOUCH = 0.2
"""Bare skin of an arm comes this close to its bones somewhere, shoulder widths."""
_HUES = 14.0
"""How far hues of one person's skin are apart."""
_KINDS_OF_SKIN, _KINDS_OF_CLOTH = 3, 5


def _lab(picture: FloatArray) -> FloatArray:
    """Lightness scaled down, two hues; distances are about those an eye sees."""
    lab = np.asarray(cv2.cvtColor(np.clip(picture, 0, 255).astype(np.float32) / 255, cv2.COLOR_BGR2LAB))
    return (lab * np.array([_LIGHT_SHARE, 1, 1], np.float32)).astype(np.float32)


def _kinds(pixels: FloatArray, count: int) -> FloatArray:
    """Typical colours, ``(n, 3)``, those of few pixels left out."""
    if len(pixels) < 4 * count:
        return pixels.mean(0, keepdims=True) if len(pixels) else np.zeros((0, 3), np.float32)
    pixels = pixels[:: max(1, len(pixels) // 4000)].astype(np.float32)
    cv2.setRNGSeed(1)
    _, label, centres = cv2.kmeans(
        pixels, count, None, (cv2.TERM_CRITERIA_MAX_ITER + cv2.TERM_CRITERIA_EPS, 12, 0.5), 1,
        cv2.KMEANS_PP_CENTERS,
    )  # type: ignore[call-overload]  # fmt: skip
    share = np.bincount(label.ravel(), minlength=count) / len(pixels)
    return np.asarray(centres[share > 0.06], np.float32)


def _nearest(lab: FloatArray, kinds: FloatArray) -> FloatArray:
    out = np.full(lab.shape[:2], 1e3, np.float32)
    for kind in kinds:
        np.minimum(out, np.sqrt(((lab - kind) ** 2).sum(-1)), out=out)
    return out


def skin_map(scene: Scene, arms: list[ArmSeen]) -> Mask:
    """Bare skin below the neck that can be told from the clothes; nothing where both look alike.

    What skin looks like comes from the face and from hands that were found; what clothes look like from the
    middle of the chest.
    """
    height, width = scene.person.shape
    factor = min(1.0, _WORK_HEIGHT_PX / height)
    size = (max(2, round(width * factor)), max(2, round(height * factor)))
    lab = _lab(np.asarray(cv2.resize(scene.picture, size, interpolation=cv2.INTER_AREA)))
    person = cv2.resize(scene.person.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    ys, xs = np.mgrid[: size[1], : size[0]].astype(np.float32)
    grid = np.stack([xs + 0.5, ys + 0.5], -1) / factor
    unit, neck = scene.unit, scene.points[1]
    skin = polygon(_inner_face(scene.face) * factor, (size[1], size[0]))
    kinds = _kinds(lab[skin & person], _KINDS_OF_SKIN)
    if len(kinds):
        # Eyes are no skin.
        usual = np.median(lab[skin & person], 0)
        kinds = kinds[np.linalg.norm((kinds - usual)[:, 1:], axis=1) < _HUES]
    hands = np.zeros(person.shape, bool)
    for arm in arms:
        if arm.hand_seen:
            hands |= polygon(cv2.convexHull(arm.hand * np.float32(factor))[:, 0], person.shape)
    if int(hands.sum()) > 30:
        own = _kinds(lab[hands & person], 2)
        # Sleeves and gaps between fingers are not skin: only what is not far from the face's.
        near = [k for k in own if len(kinds) and np.linalg.norm((kinds - k)[:, 1:], axis=1).min() < _HUES]
        kinds = np.concatenate([kinds, np.array(near, np.float32).reshape(-1, 3)])
    if len(kinds) == 0:
        return np.zeros((height, width), bool)
    to_skin = _nearest(lab, kinds)
    chest = person & (np.abs(grid[..., 0] - neck[0]) < 0.36 * unit)
    chest &= (grid[..., 1] > neck[1] + 0.2 * unit) & ~grow(hands, 4)
    if int(chest.sum()) < 100:
        return np.zeros((height, width), bool)
    cloth = chest & (to_skin > 8)
    if int(cloth.sum()) < 0.55 * int(chest.sum()):
        # Flesh-coloured clothes, or none.
        return np.zeros((height, width), bool)
    to_cloth = _nearest(lab, _kinds(lab[cloth], _KINDS_OF_CLOTH))
    found = person & (to_skin < _FAR) & (to_skin < 0.8 * to_cloth)
    found = np.asarray(cv2.medianBlur(found.astype(np.uint8), 5) > 0)
    found &= grid[..., 1] > neck[1] - 0.1 * unit
    # The neck and an open collar belong to the body.
    _, label, stats, _ = cv2.connectedComponentsWithStats(found.astype(np.uint8))
    top = (grid[..., 1] < neck[1] + 0.16 * unit) & (np.abs(grid[..., 0] - neck[0]) < 0.3 * unit)
    at_neck = np.unique(label[top & found])
    large = stats[:, cv2.CC_STAT_AREA] > (0.05 * unit * factor) ** 2
    large[0] = False
    large[at_neck] = False
    out = large[label].astype(np.float32)
    return np.asarray(cv2.resize(out, (width, height), interpolation=cv2.INTER_LINEAR) > 0.5)


def _inner_face(face: FloatArray) -> FloatArray:
    """Cheeks, nose and forehead without hair and mouth's inside."""
    middle = face[27:36].mean(0)
    around = face[[1, 2, 3, 4, 12, 13, 14, 15, 24, 19]]
    return np.asarray(cv2.convexHull((middle + 0.72 * (around - middle)).astype(np.float32))[:, 0])


def trim_forearms(scene: Scene, arms: list[ArmSeen], skin: Mask) -> None:
    """A bare forearm covers what is skin and no more; before this its width was guessed generously."""
    close = grow(skin, 0.04 * scene.unit)
    for arm in arms:
        assert arm.lower is not None
        assert arm.upper is not None
        to_fore, along, _ = distance_to_bone(scene.grid, arm.elbow, arm.wrist)
        middle = (to_fore < 0.35 * arm.elbow_radius) & (along > 0.15) & (along < 1) & scene.person
        if int(middle.sum()) < 20 or float(skin[middle].mean()) < 0.6:
            continue
        elbow = np.hypot(*np.moveaxis(scene.grid - arm.elbow, -1, 0)) < 0.9 * arm.elbow_radius
        arm.lower = arm.lower & (close | elbow | (to_fore < 0.5 * arm.elbow_radius))
        arm.region = arm.upper | arm.lower


def claim_skin(scene: Scene, arms: list[ArmSeen], skin: Mask) -> Mask:
    """Give bare skin that no arm covers yet to the nearest arm: hands that were not found, bare elbows.

    Returns:
        ``skin`` without what lies far from all arms: straps and other things of its colour.
    """
    if not skin.any():
        return skin
    near = []
    skin = skin.copy()
    for arm in arms:
        to_upper, along, _ = distance_to_bone(scene.grid, arm.shoulder, arm.elbow)
        to_fore, _, _ = distance_to_bone(scene.grid, arm.elbow, arm.wrist)
        near.append(np.minimum(to_upper, to_fore) if arm.wrist_seen else to_upper)
        # The cap of the shoulder stays with the torso.
        skin &= ~((along < 0.36) & (to_upper < 1.5 * arm.radius))
    nearest = np.argmin(np.stack(near), 0)
    _, label = cv2.connectedComponents(skin.astype(np.uint8))
    touched = np.unique(label[skin & (np.min(near, 0) < _TOUCH * scene.unit)])
    skin &= np.isin(label, touched)
    for index, arm in enumerate(arms):
        mine = skin & (nearest == index)
        if not mine.any():
            continue
        # The rim of a hand is soft, and its shadow lies beside it.
        wide = grow(mine, 0.035 * scene.unit) & scene.person
        assert arm.lower is not None
        assert arm.region is not None
        arm.lower = arm.lower | (wide & (near[index] < 0.45 * scene.unit)) | mine
        arm.region = arm.region | wide
    return skin
