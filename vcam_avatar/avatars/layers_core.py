"""Head and torso without arms, and the room without the person."""

import cv2
import numpy as np

from vcam_avatar.avatars.layers_fill import (
    Mask,
    add_grain,
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
from vcam_avatar.avatars.layers_sides import ARMPIT, torso_sides
from vcam_avatar.avatars.layers_strip import hue_of
from vcam_avatar.media import ByteArray, FloatArray

_FOLD = 0.06
"""Size of what makes a pattern rather than light and shade, shoulder widths."""
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
    loose &= ~below | _things(np.asarray(loose & below), _near_arm(scene, arms), (0.3 * unit) ** 2)
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
    covered &= ~shoulder
    # Beside arms cloth lies in their shade and light.
    beside = grow(region & ~shoulder, max(6, 0.02 * unit)) | grow(hands & ~shoulder, 0.05 * unit)
    line, mixed, room = look_at_rim(scene.picture, person)
    good = (grow(person & ~beside, -2) & core & ~mixed) | (line & core & ~beside)
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


def _near_arm(scene: Scene, arms: list[ArmSeen]) -> Mask:
    """What beside the torso is so near to an arm's bones that it is arm, found or not."""
    out = np.zeros(scene.person.shape, bool)
    for arm in arms:
        out |= distance_to_bone(scene.grid, arm.shoulder, arm.elbow)[0] < 0.4 * scene.unit
        if arm.wrist_seen:
            out |= distance_to_bone(scene.grid, arm.elbow, arm.wrist)[0] < 0.4 * scene.unit
    return out


def _things(mask: Mask, arm: Mask, least_px: float) -> Mask:
    """Connected parts of at least ``least_px`` most of which is not ``arm``: no scraps, no sleeves."""
    _, label, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    area = stats[:, cv2.CC_STAT_AREA]
    keep = (area >= least_px) & (np.bincount(label[arm], minlength=len(area)) < 0.5 * area)
    keep[0] = False
    return np.asarray(keep[label])


def _clothe(scene: Scene, covered: Mask, source: Mask) -> FloatArray:
    """Colours for what arms cover.

    Before the belly what lies above goes on: hands rest on the end of a shirt more often than they hide
    where trousers begin. At the sides both may be seen.
    """
    centre = scene.points[1, 0]
    middle = covered & (np.abs(scene.grid[..., 0] - centre) < 0.3 * scene.unit)
    under = np.maximum.accumulate(middle & (scene.grid[..., 1] > scene.points[1, 1]), 0) & ~covered
    above = source & ~under
    if int(above.sum()) > 500 and int((source & under).sum()) > 100:
        colours = [np.median(scene.picture[part], 0) for part in (above, source & under)]
        if float(np.linalg.norm(hue_of(colours[0]) - hue_of(colours[1]))) > 0.3:
            hem = _hem(scene, np.asarray(source), hue_of(colours[0]), hue_of(colours[1]), middle)
            if hem < float(np.nonzero(middle.any(1))[0].max()):
                # The hem is seen: it runs across the whole body.
                middle = covered
            above_hem = scene.grid[..., 1] < hem
            upper = _continue(
                scene, middle & above_hem, np.asarray(above & above_hem & ~_row_below(scene, middle))
            )
            rest = _continue(scene, covered & ~(middle & above_hem), source)
            return np.where((middle & above_hem)[..., None], upper, rest)
    return _continue(scene, covered, source)


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
    out[box] = fill_patches(shown[box], outside[box], source[box], 0.05, even[box])
    plain = 1 - _pattern(scene.picture, source, _FOLD * scene.unit)
    if plain > 0:
        weave = out - blur(out, _WEAVE * scene.unit)
        calm = blur(even, 0.4 * _FOLD * scene.unit) + weave
        out = np.where(source[..., None], out, out * (1 - plain) + calm * plain)
    return np.asarray(out, np.float32)


def _pattern(picture: FloatArray, source: Mask, size_px: float) -> float:
    """0 for plain cloth, 1 for cloth with a pattern all over."""
    inside = grow(source, -size_px)
    if int(inside.sum()) < 100:
        return 0.0
    share = blur(source, size_px)
    mean = blur(picture * source[..., None], size_px) / np.maximum(share, 1e-3)[..., None]
    away = np.abs(picture - mean).mean(-1)[inside]
    return float(smooth(np.percentile(away, 65), 6.0, 12.0))


def _busy(picture: FloatArray, valid: Mask) -> FloatArray:
    """0 where the room around is plain, 1 where it has things in it."""
    height = valid.shape[0]
    share = blur(valid, 0.02 * height)
    mean = blur(picture * valid[..., None], 0.02 * height) / np.maximum(share, 1e-3)[..., None]
    rough = np.abs(picture - mean).mean(-1) * valid
    around = blur(valid, 0.1 * height)
    level = blur(rough, 0.1 * height) / np.maximum(around, 1e-6)
    return smooth(np.where(around > 1e-4, level, 0), 2.5, 6.0)


def _is_upright(picture: FloatArray, valid: Mask) -> bool:
    """Whether the room's lines run up and down rather than level."""
    grey = cv2.GaussianBlur(picture, (0, 0), 2).mean(-1)
    inside = grow(valid, -8)
    if int(inside.sum()) < 100:
        return False
    across, down = np.abs(np.diff(grey, axis=1))[:-1], np.abs(np.diff(grey, axis=0))[:, :-1]
    where = inside[:-1, :-1]
    return bool(across[where].mean() > 1.6 * down[where].mean())


def _complete(
    picture: FloatArray, valid: Mask, calm: FloatArray, upright: bool
) -> tuple[FloatArray, FloatArray]:
    """Two fillings of a room: its lines continued, growing into ``calm``, and patches of it."""
    if upright:
        turned = [np.ascontiguousarray(a.swapaxes(0, 1)) for a in (picture, calm)]
        rough, patches = _complete(turned[0], np.ascontiguousarray(valid.T), turned[1], False)
        return rough.swapaxes(0, 1), patches.swapaxes(0, 1)
    distance = cv2.distanceTransform((~valid).astype(np.uint8), cv2.DIST_L2, 5)
    lines = continue_rows(picture, valid)
    share = np.clip(1.0 - distance / (0.22 * valid.shape[0]), 0, 1)[..., None] * 0.85
    rough = (calm * (1 - share) + lines * share).astype(np.float32)
    # Patches start from lines that go all the way: grey middles would only find more grey.
    first = (0.15 * calm + 0.85 * lines).astype(np.float32)
    return rough, _meet(fill_patches(picture, ~valid, valid, 1.0, first), picture, valid)


def _meet(filled: FloatArray, picture: FloatArray, valid: Mask) -> FloatArray:
    """``filled`` made to meet the picture at the hole's edge: no outline of what stood there."""
    height = valid.shape[0]
    edge = ~valid & grow(valid, 2)
    if not edge.any():
        return filled
    seen = blur(nearest_colour(picture, valid), 1.5)
    off = np.where(edge[..., None], seen - blur(filled, 1.5), 0).astype(np.float32)
    sigma = 0.008 * height
    along = blur(off, sigma) / np.maximum(blur(edge, sigma), 1e-3)[..., None]
    spread = blur(nearest_colour(np.asarray(along, np.float32), np.asarray(edge)), 2)
    distance = cv2.distanceTransform((~valid).astype(np.uint8), cv2.DIST_L2, 5)
    share = np.exp(-distance / (0.035 * height)) * ~valid
    return np.asarray(filled + np.clip(spread, -70, 70) * share[..., None], np.float32)


def _defocus(filled: FloatArray, picture: FloatArray, valid: Mask) -> FloatArray:
    """What was made up grows soft with its distance from what is seen: wrong things have no edges there."""
    height = valid.shape[0]
    whole = np.where(valid[..., None], picture, filled).astype(np.float32)
    depth = cv2.distanceTransform((~valid).astype(np.uint8), cv2.DIST_L2, 5) / height
    out = whole
    for near, far, sigma in ((0.0, 0.04, 0.003), (0.03, 0.10, 0.008), (0.08, 0.2, 0.016)):
        share = smooth(depth, near, far)[..., None]
        out = out * (1 - share) + cv2.GaussianBlur(whole, (0, 0), sigma * height) * share
    return add_grain(np.asarray(out, np.float32), ~valid, picture, grow(valid, -6))


def make_room(scene: Scene, arms: list[ArmSeen]) -> ByteArray:
    """The picture without the person."""
    height = scene.person.shape[0]
    person = scene.person | (scene.alpha > 0.02)
    for arm in arms:
        if arm.hand_seen:
            person |= np.asarray(arm.reach)
    valid = ~grow(np.asarray(person), max(5, height // 65))
    if int(valid.sum()) < 100:
        valid = ~scene.person
    calm = np.asarray(cv2.GaussianBlur(fill_smooth(scene.picture, valid), (0, 0), 2), np.float32)
    # Rooms are made of level lines, curtains of upright ones: near the hole's edge they go on as they are.
    upright = _is_upright(scene.picture, np.asarray(valid))
    rough, patches = _complete(scene.picture, np.asarray(valid), calm, upright)
    # Plain walls are better smooth: patches of a gradient leave steps.
    plain = add_grain(rough, ~valid, scene.picture, grow(valid, -6))
    busy = _busy(scene.picture, np.asarray(valid))[..., None]
    filled = plain * (1 - busy) + patches * busy
    filled = _defocus(filled, scene.picture, np.asarray(valid))
    soft = blur(~valid, 2)[..., None]
    blended = np.where(valid[..., None], scene.picture * (1 - soft) + filled * soft, filled)
    return np.asarray(np.clip(np.rint(blended), 0, 255), np.uint8)
