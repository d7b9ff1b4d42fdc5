"""Where skin lies before the torso, and where the torso's sides are behind the arms."""

from typing import Any

import cv2
import numpy as np

from vcam_avatar.avatars.layers_fill import Mask, blur, distance_to_bone, grow, polygon
from vcam_avatar.avatars.layers_scene import ArmSeen, Scene
from vcam_avatar.media import FloatArray

_WORK_HEIGHT_PX = 480
"""Height at which materials are told apart."""
_LIGHT_SHARE = 0.35
"""How much a difference of lightness counts beside one of hue: shade is not another material."""
_FAR = 16.0
"""Distance of colours beyond which nothing is skin."""
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
    hands = np.zeros(person.shape, bool)
    for arm in arms:
        if arm.hand_seen:
            hands |= polygon(cv2.convexHull(arm.hand * np.float32(factor))[:, 0], person.shape)
    if int(hands.sum()) > 30:
        own = _kinds(lab[hands & person], 2)
        # Sleeves and gaps between fingers are not skin: only what is not far from the face's.
        near = [k for k in own if len(kinds) and float(np.linalg.norm((kinds - k)[:, 1:], axis=1).min()) < 14]
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


def claim_skin(scene: Scene, arms: list[ArmSeen], skin: Mask) -> None:
    """Give bare skin that no arm covers yet to the nearest arm: hands that were not found, bare elbows."""
    if not skin.any():
        return
    near = []
    skin = skin.copy()
    for arm in arms:
        to_upper, along, _ = distance_to_bone(scene.grid, arm.shoulder, arm.elbow)
        to_fore, _, _ = distance_to_bone(scene.grid, arm.elbow, arm.wrist)
        near.append(np.minimum(to_upper, to_fore))
        # The cap of the shoulder stays with the torso.
        skin &= ~((along < 0.36) & (to_upper < 1.5 * arm.radius))
    nearest = np.argmin(np.stack(near), 0)
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


def torso_sides(scene: Scene, arms: list[ArmSeen], skin: Mask, outline: Mask) -> Mask:
    """The torso's outline, narrowed where its sides are really seen.

    Every row is walked from the middle outwards until background or bare skin: background shows the torso's
    side, an arm only hides it. Between the sides that are seen the hidden ones are interpolated.
    """
    height, width = outline.shape
    unit, neck = scene.unit, scene.points[1]
    out = outline.copy()
    hips = (scene.points[9] + scene.points[10]) / 2
    first = int(np.clip(max(arm.shoulder[1] for arm in arms) + 0.36 * unit, 0, height - 1))
    gap = max(2, round(0.025 * unit))
    hand = np.zeros(outline.shape, bool)
    for arm in arms:
        if arm.hand_seen:
            hand |= np.asarray(arm.lower) & ~skin if not skin.any() else np.zeros_like(hand)
    # Rims of skin and of the person are unsure by a pixel or two.
    free = ~grow(scene.person, -1)
    bare = skin | hand
    solid = (~(free | bare)).astype(np.uint8)
    ok = np.asarray(cv2.morphologyEx(solid, cv2.MORPH_OPEN, np.ones((1, gap), np.uint8)))
    for sign in (-1, 1):
        rows = np.arange(first, height)
        if len(rows) < 2:
            # The picture ends at the shoulders.
            break
        edge = np.full(len(rows), np.nan)
        least = np.zeros(len(rows))
        most = np.zeros(len(rows))
        stops = np.zeros(len(rows))
        for k, y in enumerate(rows):
            share = np.clip((y - neck[1]) / max(float(hips[1] - neck[1]), 1.0), 0, 1)
            centre = int(np.clip(neck[0] + share * (hips[0] - neck[0]), 1, width - 2))
            line = outline[y, centre:] if sign > 0 else outline[y, centre::-1]
            most[k] = int(np.argmin(line)) if not line.all() else len(line)
            part = ok[y, centre:] if sign > 0 else ok[y, centre::-1]
            ends = np.nonzero(part == 0)[0]
            stop = int(ends[0]) if len(ends) else len(part)
            beyond = centre + sign * min(stop + gap // 2, len(part) - 1)
            is_bare = bare[
                y, max(0, min(beyond, beyond - sign * gap)) : max(beyond, beyond - sign * gap) + 1
            ].any()
            if is_bare:
                least[k] = min(stop, most[k])
            stops[k] = stop
            if 0.33 * unit < stop < most[k] and not is_bare:
                edge[k] = stop
        # Skin that begins upright where the torso should end lies beside it; arms before it cross slanting.
        reach = max(2, round(0.06 * unit))
        slope = np.abs(blur(np.gradient(stops)[None].astype(np.float32), reach)[0])
        upright = (slope < 0.25) & (least > 0.62 * most) & (least > 0.33 * unit)
        edge = np.where(upright & ~_near(np.isfinite(edge), 4 * reach), stops, edge)
        known = np.isfinite(edge)
        if int(known.sum()) < 0.06 * unit:
            continue
        side = np.interp(rows, rows[known], edge[known])
        # Above the first row that shows the side the outline narrows towards it.
        top = int(np.argmax(known))
        ramp = np.clip((np.arange(len(rows)) - top) / (0.5 * unit) + 1, 0, 1)
        side = side * ramp + most * (1 - ramp)
        side = np.clip(np.maximum(side, np.where(known, 0, least)), 0, most)
        soft = blur(side[None].astype(np.float32), max(0.03 * unit, 1.0))[0]
        side = np.where(known, edge, soft)
        for k, y in enumerate(rows):
            share = np.clip((y - neck[1]) / max(float(hips[1] - neck[1]), 1.0), 0, 1)
            centre = int(np.clip(neck[0] + share * (hips[0] - neck[0]), 1, width - 2))
            if sign > 0:
                out[y, min(width, centre + round(float(side[k]))) :] = False
            else:
                out[y, : max(0, centre - round(float(side[k])))] = False
    return out


def _near(rows: Any, reach: int) -> Any:
    return cv2.dilate(rows.astype(np.uint8)[:, None], np.ones((2 * reach + 1, 1), np.uint8))[:, 0] > 0
