"""The person's outline: a rough mask made exact by the picture's colours, near arms by the colours there."""

import itertools

import cv2
import numpy as np

from vcam_avatar.avatars.layers_fill import Mask, blur, grow, guided, nearest_colour, polygon, smooth
from vcam_avatar.media import ByteArray, FloatArray

_MASK_HEIGHT_PX = 640
"""Height at which the whole person is cut out."""
_ARM_PX = 320
"""Longest side at which an arm's surroundings are cut out."""
_ROUNDS = 3
_RIM = 0.008
"""Width of the rim that is looked at once more, shares of the height."""
_LINE = 40
"""Grey levels by which a drawn line is darker than what lies on either side of it."""


def cut_person(
    bgr: ByteArray, mask: ByteArray, arms: list[FloatArray], given: ByteArray | None
) -> tuple[Mask, FloatArray]:
    """Refine the rough person mask on the colours.

    Args:
        bgr: uint8 ``(h, w, 3)``.
        mask: uint8 ``(h, w)``, rough.
        arms: ``(22, 2)`` elbow and 21 hand points, pixels, of every arm whose hand is seen.
        given: exact alpha of a cut-out picture; then nothing is looked for.

    Returns:
        The person hard, and as soft alpha 0 to 1.
    """
    if given is not None:
        return np.asarray(given > 127), np.asarray(given / 255, np.float32)
    height, width = mask.shape
    scale = min(1.0, _MASK_HEIGHT_PX / height)
    size = (max(2, round(width * scale)), max(2, round(height * scale)))
    small = np.asarray(cv2.resize(bgr, size, interpolation=cv2.INTER_AREA), np.uint8)
    rough = cv2.resize(mask, size, interpolation=cv2.INTER_LINEAR).astype(np.float32) / 255
    extra = np.zeros(rough.shape, bool)
    for arm in arms:
        extra |= grow(polygon(cv2.convexHull(arm[1:] * scale)[:, 0], rough.shape), 6)
    state = np.where(rough > 0.5, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    state[extra & (state == cv2.GC_PR_BGD)] = cv2.GC_PR_FGD
    state[grow(np.asarray(rough > 0.95), -2)] = cv2.GC_FGD
    state[~grow(np.asarray(rough > 0.05), 8) & ~grow(extra, 8)] = cv2.GC_BGD
    found = _grab(small, state)
    count, label, stats, _ = cv2.connectedComponentsWithStats(found.astype(np.uint8))
    keep = stats[:, cv2.CC_STAT_AREA] > 0.002 * found.size
    # A thing in the room of the person's colours is not the person unless the rough mask is sure somewhere.
    sure = np.zeros(count, bool)
    sure[np.unique(label[rough > 0.8])] = True
    keep &= sure
    keep[0] = False
    found = keep[label] if count > 1 else found
    large = cv2.resize(found.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    soft: FloatArray = np.asarray(large, np.float32)
    for arm in arms:
        _cut_arm(bgr, mask, soft, arm)
    grey = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY).astype(np.float32)
    alpha = smooth(guided(grey, soft, max(2, round(3 * height / 720)), 40.0), 0.15, 0.9)
    return np.asarray(soft > 0.5), np.asarray(alpha, np.float32)


def _grab(bgr: ByteArray, state: ByteArray) -> Mask:
    """Foreground after looking at the colours; as guessed where there is nothing sure of one kind."""
    if (state == cv2.GC_FGD).any() and (state == cv2.GC_BGD).any():
        cv2.setRNGSeed(1)
        cv2.grabCut(bgr, state, None, np.zeros((1, 65)), np.zeros((1, 65)), _ROUNDS, cv2.GC_INIT_WITH_MASK)  # type: ignore[call-overload]
    return np.asarray((state == cv2.GC_FGD) | (state == cv2.GC_PR_FGD))


def _cut_arm(bgr: ByteArray, mask: ByteArray, soft: FloatArray, arm: FloatArray) -> None:
    """Cut a forearm with its hand out once more, by the colours around it: gaps between fingers open.

    Changes ``soft`` near the arm. The bones stay whatever the colours say.
    """
    palm = float(np.hypot(*(arm[10] - arm[1])))
    height, width = mask.shape
    low = np.maximum(np.floor(arm.min(0) - 0.9 * palm), 0).astype(int)
    high = np.minimum(np.ceil(arm.max(0) + 0.9 * palm), [width, height]).astype(int)
    if palm < 8 or (high - low).min() < 16:
        return
    box = np.s_[low[1] : high[1], low[0] : high[0]]
    scale = min(1.0, _ARM_PX / float((high - low).max()))
    size = (max(8, round((high[0] - low[0]) * scale)), max(8, round((high[1] - low[1]) * scale)))
    small = np.asarray(cv2.resize(bgr[box], size, interpolation=cv2.INTER_AREA), np.uint8)
    now = np.asarray(cv2.resize(soft[box], size, interpolation=cv2.INTER_AREA)) > 0.5
    rough = np.asarray(cv2.resize(mask[box], size, interpolation=cv2.INTER_AREA))
    points, unit = (arm - low) * scale, palm * scale
    bones = np.zeros(now.shape, np.uint8)
    thick = max(1, round(0.08 * unit))
    for finger in range(5):
        for a, b in itertools.pairwise([1, *range(2 + 4 * finger, 6 + 4 * finger)]):
            cv2.line(bones, _whole(points[a]), _whole(points[b]), 1, thick)
    hull = polygon(cv2.convexHull(points[1:].astype(np.float32))[:, 0], now.shape)
    near = grow(hull, 0.4 * unit)
    elbow = np.zeros(now.shape, np.uint8)
    cv2.line(elbow, _whole(points[0]), _whole(points[1]), 1, max(1, round(0.9 * unit)))
    near |= elbow > 0
    # The first look took the whole hand's hull for person: here only what is near its bones starts as such.
    likely = (rough > 128) | grow(np.asarray(bones > 0), 0.1 * unit)
    state = np.where(now & likely, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    state[grow(np.asarray((rough > 242) & now), -0.35 * unit)] = cv2.GC_FGD
    state[~grow(np.asarray(rough > 13), 0.2 * unit) & ~near] = cv2.GC_BGD
    # What is neither near the arm nor doubtful is as found before.
    far = ~grow(np.asarray(near), 0.3 * unit)
    state[far] = np.where((now & (rough > 64))[far], cv2.GC_FGD, cv2.GC_BGD)
    reach = (rough > 64) | grow(np.asarray(bones > 0), 0.22 * unit)
    state[~reach] = cv2.GC_BGD
    state[bones > 0] = cv2.GC_FGD
    found = _grab(small, state) | (bones > 0)
    found = np.asarray(
        cv2.morphologyEx(found.astype(np.uint8), cv2.MORPH_OPEN, np.ones((2, 2), np.uint8)) > 0
    )
    large = np.asarray(
        cv2.resize(
            found.astype(np.float32), (high[0] - low[0], high[1] - low[1]), interpolation=cv2.INTER_LINEAR
        )
    )
    place = cv2.resize(grow(np.asarray(near), 0.25 * unit).astype(np.float32), large.shape[::-1])
    share = np.clip(cv2.GaussianBlur(place, (0, 0), max(0.06 * palm, 1.0)), 0, 1)
    soft[box] += (large - soft[box]) * share


def look_at_rim(picture: FloatArray, person: Mask) -> tuple[Mask, Mask, FloatArray]:
    """What the rim of a rough cut-out shows.

    Args:
        picture: float32 ``(h, w, 3)``.
        person: the cut-out.

    Returns:
        Where a line is drawn around the figure; where the room shines through; and 0 to 1 how surely
        a pixel is nothing but room.
    """
    band = max(3, round(_RIM * person.shape[0]))
    inside = grow(person, -band)
    inner = blur(nearest_colour(picture, inside), 1.0)
    outer = blur(nearest_colour(picture, ~grow(person, band)), 1.5)
    rim = grow(person, 2) & ~inside
    light = picture.mean(-1)
    line = rim & (light < np.minimum(inner.mean(-1), outer.mean(-1)) - _LINE)
    way = outer - inner
    length = np.linalg.norm(way, axis=-1)
    share = ((picture - inner) * way).sum(-1) / np.maximum(length**2, 1)
    off = np.linalg.norm(picture - inner - np.clip(share, 0, 1)[..., None] * way, axis=-1)
    mixed = rim & ~line & (length > 30) & (off < 25) & (share > 0.15)
    room = smooth(length, 40, 80) * smooth(np.linalg.norm(picture - outer, axis=-1), 20, 8)
    return line, np.asarray(mixed), np.where(rim & ~line, room, 0).astype(np.float32)


def _whole(point: FloatArray) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))
