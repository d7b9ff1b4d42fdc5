"""Where sleeves end: what the layer network sees of them, and what both arms together say."""

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

from vcam_avatar.avatars.layers_cloth import hue_of
from vcam_avatar.avatars.layers_fill import Mask, distance_to_bone
from vcam_avatar.avatars.layers_parts import ARM_PARTS, PartMaps
from vcam_avatar.avatars.layers_scene import ArmSeen, Scene
from vcam_avatar.media import FloatArray

_STEP = 0.05
"""Length of the stretches of bone looked at, shares of the bone."""
_SHOWN = 0.3
"""Share of a stretch's pixels that must be sleeve or bare arm for it to count."""
_MIXED = 0.25
"""Cost for each stretch beyond which there is no hem to be found."""
_FAR_DOWN = 1.7
"""Cloth seen this far goes on to the wrist."""
_TO_ELBOW = 0.78
"""Cloth seen this far, and no skin anywhere, goes on to the wrist."""
_NO_SKIN, _HARDLY_SKIN = 0.002, 0.006
"""Bare arm over sleeve, in pixels: none between cloth and hand; none where forearms point at the viewer."""
_HAND = 0.05
"""Hand over sleeve, in pixels, from which the hand is seen."""
_LONG = 1.9
"""Sleeves from here on reach the wrist."""
_ALIKE = 0.35
"""Two readings that differ by less are of the same hem."""
_ENOUGH = 20
"""Pixels that tell the colour of a sleeve."""
_SURE_HUE, _TOO_ALIKE = 0.2, 0.28
"""Difference of ``hue_of``, brightness aside, within which skin is skin and cloth is cloth; that of the two
below which colours say nothing."""
_BARE_FROM = 0.3
"""Arms of which nothing is seen above this place are not called bare for what is seen below it."""


@dataclass(frozen=True, slots=True)
class Hem:
    """What one arm says about its sleeve."""

    end: float
    """0 to 1 from shoulder to elbow, 1 to 2 to the wrist."""
    gap: float
    """Length of bone between the last cloth and the first skin, neither of which was seen there."""
    seen: bool = True
    """False: nothing but cloth was seen, though not all the way."""


def sleeve_end_seen(scene: Scene, arm: ArmSeen, parts: PartMaps, skin_bgr: Any) -> Hem | None:
    """Where cloth becomes skin; None: not seen.

    A forearm before the upper arm does not count as the upper arm's skin. Where the colour of ``skin_bgr`` is
    not the shoulder's, what has either counts as that, whatever the network takes it for.
    """
    side = "left" if arm.side > 0 else "right"
    sleeve, skin, hand = (parts.share[..., k] for k in ARM_PARTS[side])
    to_upper, upper_along, _ = distance_to_bone(scene.grid, arm.shoulder, arm.elbow)
    top = (to_upper < 0.75 * arm.radius) & (upper_along > 0.1) & (upper_along < 0.4) & (sleeve > 0.5)
    if int(top.sum()) > _ENOUGH:
        bare, covered = _colours(scene.picture, scene.picture[top], skin_bgr)
        sleeve, skin = np.where(bare, 0, sleeve), np.where(bare, skin + sleeve, skin)
        sleeve, skin = np.where(covered, sleeve + skin, sleeve), np.where(covered, 0, skin)
    # On the inner side the torso is taken for a sleeve at times, on the outer a forearm may lie before it.
    found = [_read(scene, arm, (sleeve, skin, hand), low * arm.radius) for low in (-0.25, -1.0)]
    known = [hem for hem in found if hem is not None]
    return next((hem for hem in known if hem.gap < 4 * _STEP), known[0] if known else None)


def _read(
    scene: Scene, arm: ArmSeen, shares: tuple[FloatArray, FloatArray, FloatArray], inner_px: float
) -> Hem | None:
    """``sleeve_end_seen`` from shares of sleeve, bare arm and hand; upper arms not further in than that."""
    sleeve, skin, hand = shares
    to_upper, upper_along, across = distance_to_bone(scene.grid, arm.shoulder, arm.elbow)
    to_fore, fore_along, _ = distance_to_bone(scene.grid, arm.elbow, arm.wrist)
    bins: list[tuple[float, float]] = []
    for first, (start, end) in enumerate(((arm.shoulder, arm.elbow), (arm.elbow, arm.wrist))):
        if np.hypot(*(end - start)) < 0.4 * (arm.upper_px, arm.fore_px)[first]:
            continue
        if first == 0:
            low, along = 0.1, upper_along
            close = (to_upper < 0.75 * arm.radius) & (to_fore > 0.85 * arm.radius)
            close &= across * arm.side > inner_px
        else:
            low, along = 0.0, fore_along
            close = (to_fore < 0.5 * arm.radius) & (hand < 0.4)
        bins += [(first + at, share) for at, share in _stretches(along, close, low, sleeve, skin)]
    if len(bins) < 5:
        return None
    places = [at for at, _ in bins]
    cuts = np.array([0.0, *((a + b) / 2 for a, b in itertools.pairwise(places)), 2.0])
    costs = [sum(share if at < cut else 1 - share for at, share in bins) for cut in cuts]
    best = int(np.argmin(costs))
    if costs[best] > _MIXED * len(bins):
        return None
    if best == 0:
        return Hem(0.0, 0.0) if places[0] < _BARE_FROM else None
    if best < len(cuts) - 1:
        return Hem(float(cuts[best]), places[best] - places[best - 1])
    if places[-1] <= _FAR_DOWN:
        near = np.minimum(to_upper, to_fore) < 0.33 * scene.unit
        naked, cloth, fist = (float(share[near].sum()) for share in (skin, sleeve, hand))
        to_hand = fist > _HAND * cloth and naked < _NO_SKIN * cloth
        if not to_hand and (places[-1] < _TO_ELBOW or naked > _HARDLY_SKIN * cloth):
            return None
    return Hem(2.0, 0.0, places[-1] > _FAR_DOWN)


def agree(hems: list[Hem | None]) -> float | None:
    """Where both sleeves end, as they are alike: the finer of two readings; None: neither was seen."""
    found = [hem for hem in hems if hem is not None]
    # Skin that is seen says more than cloth that might go on.
    found = [hem for hem in found if hem.seen] or found
    if not found:
        return None
    found = [hem for hem in found if hem.end < _LONG and hem.gap < 4 * _STEP] or found
    ends = [hem.end for hem in found]
    if max(ends) - min(ends) < _ALIKE and max(hem.gap for hem in found) < 3 * _STEP:
        return float(np.mean(ends))
    return min(found, key=lambda hem: hem.gap).end


def _colours(picture: FloatArray, cloth: FloatArray, skin_bgr: Any) -> tuple[Mask, Mask]:
    """Pixels that are surely skin, and such that are surely that cloth."""
    skin, cloth_hue = hue_of(np.asarray(skin_bgr, np.float32)), hue_of(np.median(cloth, 0))
    if float(np.linalg.norm((skin - cloth_hue)[:3])) < _TOO_ALIKE:
        nothing = np.zeros(picture.shape[:2], bool)
        return nothing, nothing
    hue = hue_of(picture)[..., :3]
    to_skin = np.linalg.norm(hue - skin[:3], axis=-1)
    to_cloth = np.linalg.norm(hue - cloth_hue[:3], axis=-1)
    bare = (to_skin < _SURE_HUE) & (to_skin < 0.5 * to_cloth)
    return np.asarray(bare), np.asarray((to_cloth < _SURE_HUE) & (to_cloth < 0.5 * to_skin))


def _stretches(
    along: FloatArray, close: Mask, first: float, sleeve: FloatArray, skin: FloatArray
) -> list[tuple[float, float]]:
    """Middle and share of skin of every stretch of a bone that shows either."""
    out = []
    for low in np.arange(first, 0.95, _STEP):
        here = close & (along >= low) & (along < low + _STEP)
        cloth, bare = float(sleeve[here].sum()), float(skin[here].sum())
        if cloth + bare > _SHOWN * max(int(here.sum()), 8):
            out.append((float(low) + _STEP / 2, bare / (cloth + bare)))
    return out
