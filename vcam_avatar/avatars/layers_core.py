"""Head and torso without arms."""

import cv2
import numpy as np

from vcam_avatar.avatars.layers_cloth import hue_of
from vcam_avatar.avatars.layers_fill import (
    Mask,
    blur,
    continue_rows,
    distance_to_bone,
    fill_smooth,
    grow,
    large_parts,
    nearest_colour,
    smooth,
)
from vcam_avatar.avatars.layers_inpaint import fill_patches
from vcam_avatar.avatars.layers_matte import look_at_rim
from vcam_avatar.avatars.layers_scene import ArmSeen, Scene, torso_outline
from vcam_avatar.avatars.layers_sides import ARMPIT, opened, torso_sides
from vcam_avatar.media import ByteArray, FloatArray

_FOLD = 0.06
"""Size of what makes a pattern rather than light and shade, shoulder widths."""
_OTHER_HUE = 0.3
"""Distance of hues from which cloth is of another colour."""
_PURE = 0.8
"""Share of a garment that must look like it."""
_NOOK = 0.045
"""Radius of bits of cloth beside arms that are made up as well, shoulder widths."""
_WEAVE = 0.01
"""Size of the threads of plain cloth."""


def make_core(
    scene: Scene, arms: list[ArmSeen], skin: Mask, behind: Mask | None = None, held: Mask | None = None
) -> ByteArray:
    """Head, hair, neck, torso; what the arms hid is filled from the cloth around.

    Args:
        skin: bare skin below the neck, see ``skin_map``.
        behind: head and torso also where arms hide them, when the layer network is believed.
        held: things in the hands, which go with the arms.
    """
    unit, person = scene.unit, scene.person
    region = np.zeros(person.shape, bool)
    for arm in arms:
        assert arm.region is not None
        region |= arm.region
    chin = float(scene.face[:, 1].max())
    region &= (scene.grid[..., 1] > chin - 0.1 * unit) | (blur(region, 1) < 0)
    # Inside the torso's outline everything stays, filled where an arm covers it: no holes behind arms.
    below = scene.grid[..., 1] > max(arm.shoulder[1] for arm in arms) + ARMPIT * unit
    usual = torso_outline(scene, 0.0)
    if behind is not None:
        # Between shoulders and hips is torso, whatever hides it.
        usual = behind | (region & torso_outline(scene, 0.16))
    inner, seen = torso_sides(scene, arms, skin, usual)
    for arm in arms:
        distance, along, _ = distance_to_bone(scene.grid, arm.shoulder, arm.elbow)
        inner |= (distance < 0.95 * arm.radius) & (along < 0.34)
    inner &= grow(person | region, 2) | below
    loose = person & ~region & ~inner
    loose &= ~below | _things(np.asarray(loose & below), _near_arm(scene, arms), (0.2 * unit) ** 2)
    core = loose | inner
    if held is not None:
        core &= ~held
    core = np.asarray(cv2.morphologyEx(core.astype(np.uint8), cv2.MORPH_OPEN, np.ones((5, 5), np.uint8)) > 0)
    # A drawn head may float above its body; slivers of sleeves are smaller.
    core = large_parts(core, 0.08)
    # A calm outline where arms were cut away, without slivers.
    calm = grow(grow(core, -0.035 * unit), 0.035 * unit)
    calm = np.asarray(blur(calm, 0.02 * unit) > 0.5)
    core = np.where(grow(region, 0.06 * unit) & (scene.grid[..., 1] > chin) & ~below, calm & core, core)
    hands = np.any([np.asarray(arm.lower) for arm in arms], 0)
    covered = core & (grow(region, 4) | grow(hands, 0.025 * unit) | (below & ~loose & ~grow(seen, 2)))
    shoulder = np.zeros(person.shape, bool)
    for arm in arms:
        distance, along, _ = distance_to_bone(scene.grid, arm.shoulder, arm.elbow)
        shoulder |= (along < 0.3) & (distance < 1.6 * arm.radius) & ~grow(np.asarray(arm.lower), 6)
    nook = below & ~loose & _nooks(scene, region, seen)
    covered |= core & nook
    covered &= ~shoulder
    # Beside arms cloth lies in their shade and light.
    beside = grow(region & ~shoulder, max(6, 0.02 * unit)) | grow(hands & ~shoulder, 0.05 * unit)
    line, mixed, room = look_at_rim(scene.picture, person)
    good = ((grow(person & ~beside, -2) & core & ~mixed) | (line & core & ~beside)) & ~nook
    cloth = good & (scene.grid[..., 1] > scene.points[1, 1] + 0.12 * unit)
    source = cloth if int(cloth.sum()) > 500 else good
    filled = _clothe(scene, np.asarray(covered), np.asarray(source))
    base = nearest_colour(scene.picture, good)
    soft = blur(covered, 4)[..., None]
    colour = np.where(covered[..., None], filled, base * (1 - soft) + filled * soft)
    colour = np.where((core & ~covered & (soft[..., 0] < 0.02))[..., None], base, colour)
    edge = np.where(
        grow(region, 3), blur(core, 1.2), scene.alpha * (1 - blur(room, 0.7)) * blur(grow(core, 1), 0.8)
    )
    image = np.concatenate([np.clip(colour, 0, 255), np.clip(edge, 0, 1)[..., None] * 255], -1)
    return np.asarray(np.rint(image), np.uint8)


def _nooks(scene: Scene, region: Mask, seen: Mask) -> Mask:
    """Bits between arm and body: narrow ones, and on plain cloth dark ones. Half of them are arm."""
    unit = scene.unit
    out = grow(region, 2 * _NOOK * unit) & ~grow(opened(seen, _NOOK * unit), 1)
    inside = grow(seen & ~region, -2 * _NOOK * unit)
    if int(inside.sum()) > 500 and _pattern(scene.picture, inside, _FOLD * unit) < 0.5:
        light = blur(scene.picture, 1)
        usual = fill_smooth(light, inside).mean(-1)
        dark = (light.mean(-1) < 0.62 * usual) & grow(region, 2.5 * _NOOK * unit)
        out |= grow(np.asarray(dark), 3)
    return np.asarray(out)


def _near_arm(scene: Scene, arms: list[ArmSeen]) -> Mask:
    """What beside the torso is so near to an arm's bones that it is arm, found or not."""
    out = np.zeros(scene.person.shape, bool)
    for arm in arms:
        out |= distance_to_bone(scene.grid, arm.shoulder, arm.elbow)[0] < 0.3 * scene.unit
        if arm.wrist_seen:
            out |= distance_to_bone(scene.grid, arm.elbow, arm.wrist)[0] < 0.3 * scene.unit
    return out


def _things(mask: Mask, arm: Mask, least_px: float) -> Mask:
    """Connected parts of at least ``least_px`` of which not nearly all is ``arm``: no scraps, no sleeves."""
    _, label, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    area = stats[:, cv2.CC_STAT_AREA]
    keep = (area >= least_px) & (np.bincount(label[arm], minlength=len(area)) < 0.8 * area)
    keep[0] = False
    return np.asarray(keep[label])


def _clothe(scene: Scene, covered: Mask, source: Mask) -> FloatArray:
    """Colours for what arms cover: two garments keep a clear border.

    Rows that show a garment beside the hole have it in the hole as well. Where nothing is seen beside it the
    upper one goes on down to its hem, or as far as the hole goes: hands rest on the end of a shirt more often
    than they hide where trousers begin.
    """
    centre = scene.points[1, 0]
    middle = covered & (np.abs(scene.grid[..., 0] - centre) < 0.3 * scene.unit)
    under = np.maximum.accumulate(middle & (scene.grid[..., 1] > scene.points[1, 1]), 0) & ~covered
    if int((source & under).sum()) < 100:
        rows = np.nonzero((covered | source).any(1))[0]
        under = scene.grid[..., 1] > rows.max(initial=0) - 0.15 * scene.unit
    above = source & ~under
    if int(above.sum()) < 500 or int((source & under).sum()) < 100:
        return _continue(scene, covered, source)
    hues = [hue_of(np.median(scene.picture[part], 0)) for part in (above, source & under)]
    if float(np.linalg.norm(hues[0] - hues[1])) < _OTHER_HUE:
        return _continue(scene, covered, source)
    hue = hue_of(scene.picture)
    nearer = np.linalg.norm(hue - hues[0], axis=-1) < np.linalg.norm(hue - hues[1], axis=-1)
    upper: Mask = np.asarray(blur(nearer & source, 4) > 0.5 * blur(source, 4))
    low, high = scene.points[1, 1] + np.array([0.2, 0.9]) * scene.unit
    chest = above & (scene.grid[..., 1] > low) & (scene.grid[..., 1] < high)
    chest &= np.abs(scene.grid[..., 0] - centre) < 0.35 * scene.unit
    if not chest.any() or min(float(upper[chest].mean()), float(1 - upper[source & under].mean())) < _PURE:
        # Not two garments one below the other.
        return _continue(scene, covered, source)
    hem = _hem(scene, source, hues[0], hues[1], middle)
    mine = _beside(covered, source, upper, hem)
    here: Mask = np.asarray(blur(mine, 0.02 * scene.unit) > 0.5)
    part = covered & here
    above_hem = source & upper & ~_row_below(scene, part)
    if int(above_hem.sum()) < 500:
        above_hem = source & upper
    lower = covered & ~here
    rest = _continue(scene, lower, source & ~upper)
    # Around the hole either goes on: its edge is blended.
    near = _distance(part) <= _distance(lower)
    return np.where(near[..., None], _continue(scene, part, np.asarray(above_hem)), rest)


def _distance(mask: Mask) -> FloatArray:
    if not mask.any():
        return np.full(mask.shape, 1e6, np.float32)
    return np.asarray(cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5), np.float32)


def _beside(hole: Mask, source: Mask, upper: Mask, hem: float) -> FloatArray:
    """1 where the upper garment goes on, by what is seen left and right in the same row."""
    out = np.zeros(hole.shape, np.float32)
    columns = np.arange(hole.shape[1])
    for y in np.nonzero(hole.any(1))[0]:
        known = np.nonzero(source[y])[0]
        if len(known) < 8:
            out[y] = float(y < hem)
        else:
            out[y] = np.interp(columns, known, upper[y, known].astype(np.float32))
    return out


def _hem(scene: Scene, source: Mask, above: FloatArray, under: FloatArray, hole: Mask) -> float:
    """The row where the upper garment ends beside the hole; below the hole when it is nowhere seen."""
    lowest = float(np.nonzero(hole.any(1))[0].max(initial=0)) + 1
    hue = hue_of(scene.picture)
    upper = np.linalg.norm(hue - above, axis=-1) < np.linalg.norm(hue - under, axis=-1)
    rows = np.arange(len(hole))[:, None]
    chest = rows > scene.points[1, 1] + 0.5 * scene.unit
    last = np.where(source & upper & chest, rows, -1).max(0)
    first = np.where(source & ~upper & (rows > last), rows, len(hole)).min(0)
    centre = scene.points[1, 0]
    columns = np.abs(np.arange(hole.shape[1]) - centre) < 0.6 * scene.unit
    seen = columns & (last > 0) & (first - last < 0.1 * scene.unit)
    if int(seen.sum()) < 0.03 * scene.unit:
        return lowest
    return min(lowest, float(np.median((first + last)[seen])) / 2)


def _row_below(scene: Scene, hole: Mask) -> Mask:
    """What lies lower than the hole's lowest third: another garment, also beside it."""
    rows = np.nonzero(hole.any(1))[0]
    if len(rows) == 0:
        return hole
    return np.asarray(scene.grid[..., 1] > rows[0] + 0.67 * (rows[-1] - rows[0]))


def _continue(scene: Scene, hole: Mask, source: Mask) -> FloatArray:
    """Clothes go on in ``hole``: patches of what is seen of them, on smooth colours far from any.

    Of plain cloth only the weave is taken from patches: whole ones leave blots of light and shade.
    """
    even = fill_smooth(scene.picture, source)
    if not hole.any():
        return even
    rows, columns = np.nonzero(hole | source)
    box = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    # Outside the clothes nothing guides.
    shown = np.where((source | hole)[..., None], scene.picture, even)
    out = even.copy()
    outside = np.asarray(~source)
    plain = 1 - _pattern(scene.picture, source, _FOLD * scene.unit)
    # Stripes run level more often than not.
    level = continue_rows(shown[box], source[box]) * (1 - plain) + even[box] * plain
    out[box] = fill_patches(shown[box], outside[box], source[box], 0.05, 0.7 * level + 0.3 * even[box])
    if plain > 0:
        weave = out - blur(out, _WEAVE * scene.unit)
        # Threads, not the folds and seams that patches end in.
        most = 2.5 * float(np.percentile(np.abs(weave[source]), 70)) + 0.5
        weave = np.clip(weave, -most, most)
        calm = blur(even, 0.4 * _FOLD * scene.unit) + weave
        out = np.where(source[..., None], out, out * (1 - plain) + calm * plain)
    return np.asarray(out, np.float32)


def _pattern(picture: FloatArray, source: Mask, size_px: float) -> float:
    """0 for plain cloth, 1 for patterns all over, several colours, or too little to tell."""
    inside = grow(source, -size_px)
    if int(inside.sum()) < 100:
        return 1.0
    hues = hue_of(picture[inside])
    if float(np.percentile(np.linalg.norm(hues - np.median(hues, 0), axis=-1), 85)) > _OTHER_HUE:
        return 1.0
    share = blur(source, size_px)
    mean = blur(picture * source[..., None], size_px) / np.maximum(share, 1e-3)[..., None]
    away = np.abs(picture - mean).mean(-1)[inside]
    return float(smooth(np.percentile(away, 65), 6.0, 12.0))
