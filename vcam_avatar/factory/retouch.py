"""Other people out of one photo-like picture: skin, hair, age, and a painter's brush.

The pictures of EchoMimicV2's set show young light-skinned people only. Colours are changed under soft masks,
so that light, pores and strands stay those of the picture.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vcam_avatar.avatars.layers_fill import guided
from vcam_avatar.factory.painting import painted
from vcam_avatar.media import ByteArray, FloatArray

Mask = NDArray[np.bool_]

_EYES = (slice(36, 42), slice(42, 48))
_INNER_MOUTH = slice(60, 68)
_BROWS = (slice(17, 22), slice(22, 27))


@dataclass(frozen=True, slots=True)
class Retouch:
    """What is changed; colours are ``RRGGBB``, empty: as in the picture."""

    skin: str = ""
    """Middle tone of the lit skin."""
    hair: str = ""
    """Middle tone of hair and brows."""
    hair_contrast: float = 1.0
    """Of single strands; grey hair needs more."""
    cloth: str = ""
    """Middle tone of what is neither skin nor hair."""
    age: float = 0.0
    """How much lines and folds of the face are deepened."""
    stubble: float = 0.0
    """0 to 1: a short beard in the hair's colour."""
    brush: int = 0
    """Radius of the brush in px; 0: stays a photo."""


def retouch(
    picture_bgr: ByteArray, face_px: FloatArray, hands_px: list[FloatArray], person: ByteArray, wish: Retouch
) -> ByteArray:
    """Apply a recipe.

    Args:
        picture_bgr: uint8 ``(H, W, 3)``.
        face_px: float32 ``(68, 2)`` iBUG-68.
        hands_px: float32 ``(21, 2)`` for each hand in view.
        person: uint8 ``(H, W)``, 255 on the person.

    Returns:
        uint8 ``(H, W, 3)``.
    """
    image = np.asarray(picture_bgr / 255.0, np.float32)
    skin = skin_mask(picture_bgr, face_px, hands_px, person)
    hair = hair_mask(picture_bgr, face_px, person)
    skin = np.asarray(skin * (1 - hair), np.float32)
    brows = _polygons(image.shape, [_thick(face_px[brow]) for brow in _BROWS], _span(face_px) * 0.03)
    level = image.mean(2) / max(float(np.median(image[skin > 0.9].mean(1))), 0.05)
    brows = np.asarray(brows * np.clip((0.86 - level) / 0.3, 0, 1), np.float32)
    if wish.age:
        image = _older(image, face_px, skin, wish.age)
    if wish.stubble:
        image = _stubble(image, face_px, skin, _rgb(wish.hair), wish.stubble)
    source = image
    if wish.skin:
        # Under the hair too: else its soft edge shows a line of the old skin.
        under = np.maximum(skin, _scalp(hair, face_px)) * (1 - brows)
        image = _tint(source, image, under, skin > 0.9, _rgb(wish.skin), 1.0)
    if (wish.hair or wish.skin) and (hair > 0.9).any():
        # Light pixels at its edge are brow, wall and lamp.
        lighter = source.mean(2) / max(float(np.median(source[hair > 0.9].mean(1))), 0.01)
        inner = cv2.erode(hair, np.ones((7, 7))) > 0.95
        hair = np.asarray(hair * np.where(inner, 1, np.clip((1.9 - lighter) / 0.7, 0, 1)), np.float32)
        tone = _rgb(wish.hair) if wish.hair else np.median(source[hair > 0.9], 0)
        image = _tint(source, image, hair, hair > 0.9, tone, wish.hair_contrast)
    if wish.hair and (brows > 0.5).any():
        lighter = source.mean(2) / max(float(np.median(source[brows > 0.5].mean(1))), 0.01)
        brows = np.asarray(brows * np.clip((1.7 - lighter) / 0.6, 0, 1), np.float32)
        image = _tint(source, image, brows, brows > 0.5, _rgb(wish.hair) * 0.55, 1.0)
    if wish.cloth:
        cloth = np.clip(person / 255.0 - cv2.dilate(skin, np.ones((5, 5))) - hair, 0, 1).astype(np.float32)
        round_ = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (21, 21))
        cloth = np.asarray(cv2.morphologyEx(cloth, cv2.MORPH_OPEN, round_), np.float32)
        cloth[: int(face_px[8, 1])] = 0
        image = _tint(source, image, cloth, cloth > 0.9, _rgb(wish.cloth), 1.0)
    out: ByteArray = np.asarray(np.clip(image, 0, 1) * 255 + 0.5, np.uint8)
    return painted(out, wish.brush) if wish.brush else out


def _rgb(text: str) -> NDArray[np.float32]:
    """``RRGGBB`` as BGR 0..1."""
    return np.array([int(text[i : i + 2], 16) / 255 for i in (4, 2, 0)], np.float32)


def _span(face_px: FloatArray) -> float:
    eyes, mouth = face_px[36:48].mean(0), face_px[48:60].mean(0)
    return float(np.hypot(*(mouth - eyes)))


def _thick(line: FloatArray) -> FloatArray:
    """A brow's upper edge made a band."""
    width = np.array([0, float(np.hypot(*(line[-1] - line[0]))) * 0.17])
    return np.concatenate([line - width * 0.9, (line + width)[::-1]]).astype(np.float32)


def _hull(hand_px: FloatArray) -> FloatArray:
    """Around a hand with a finger's width to spare."""
    palm = float(np.hypot(*(hand_px[9] - hand_px[0])))
    middle = hand_px.mean(0)
    away = hand_px - middle
    away = away * (1 + 0.22 * palm / np.maximum(np.hypot(*away.T), 1))[:, None]
    return np.asarray(cv2.convexHull((middle + away).astype(np.float32))[:, 0], np.float32)


def _polygons(shape: tuple[int, ...], parts: list[FloatArray], blur_px: float) -> FloatArray:
    out: ByteArray = np.zeros(shape[:2], np.uint8)
    for part in parts:
        cv2.fillPoly(out, [np.round(part).astype(np.int32)], 255, cv2.LINE_AA)
    return np.asarray(cv2.GaussianBlur(out.astype(np.float32) / 255, (0, 0), blur_px), np.float32)


def skin_mask(
    picture_bgr: ByteArray, face_px: FloatArray, hands_px: list[FloatArray], person: ByteArray
) -> FloatArray:
    """Soft mask of all bare skin, without eyes and open mouth: float32 ``(H, W)``."""
    lab = cv2.cvtColor(picture_bgr, cv2.COLOR_BGR2LAB).astype(np.float32)
    face = _polygons(lab.shape, [np.concatenate([face_px[:17], face_px[26:16:-1]])], 1.0) > 0.9
    known = lab[face]
    middle = np.median(known, 0)
    # Shadows are less colourful than light: compare hue and share of colour rather than the colour.
    chroma = (lab[..., 1:] - 128) / np.maximum(lab[..., :1], 25)
    own = (middle[1:] - 128) / middle[0]
    spread = np.maximum(
        np.percentile(np.abs((known[:, 1:] - 128) / np.maximum(known[:, :1], 25) - own), 80, 0), 0.035
    )
    far = np.sqrt((((chroma - own) / spread) ** 2).sum(2))
    # Palms and finger tips are redder than the face.
    near_hand = _polygons(lab.shape, [_hull(hand) for hand in hands_px], 2.0) if hands_px else 0.0
    near_hand = near_hand * (lab[..., 1] > 132)
    likely = np.clip((2.5 + 6.0 * near_hand - far) / 0.9, 0, 1) * np.clip((lab[..., 0] - 28) / 25, 0, 1)
    likely = likely * (person > 100)
    likely = cv2.morphologyEx(likely.astype(np.float32), cv2.MORPH_OPEN, np.ones((3, 3)))
    likely = cv2.morphologyEx(likely, cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9)))
    count, label, stats, _ = cv2.connectedComponentsWithStats((likely > 0.5).astype(np.uint8))
    small = [i for i in range(1, count) if stats[i, cv2.CC_STAT_AREA] < (_span(face_px) ** 2) * 0.35]
    likely[np.isin(label, small)] = 0
    likely = np.maximum(cv2.dilate(likely, np.ones((3, 3))), face)
    inner = _polygons(lab.shape, [*(face_px[eye] for eye in _EYES), face_px[_INNER_MOUTH]], 1.0)
    grey = cv2.cvtColor(picture_bgr, cv2.COLOR_BGR2GRAY).astype(np.float32) / 255
    soft = np.clip(guided(grey.astype(np.float32), likely.astype(np.float32), 6, 1e-3), 0, 1)
    return np.asarray(soft * (1 - inner) * (cv2.dilate(person, np.ones((5, 5))) / 255.0), np.float32)


def hair_mask(picture_bgr: ByteArray, face_px: FloatArray, person: ByteArray) -> FloatArray:
    """Soft mask of the hair on the head: float32 ``(H, W)``."""
    height, width = picture_bgr.shape[:2]
    span = _span(face_px)
    lab = cv2.cvtColor(picture_bgr, cv2.COLOR_BGR2LAB).astype(np.float32)
    brow = face_px[17:27].mean(0)
    column = person[: int(brow[1]), max(0, int(brow[0] - span * 0.3)) : int(brow[0] + span * 0.3)] > 128
    top = float(np.argmax(column.any(1)))
    ys, xs = np.mgrid[:height, :width]
    crown = (np.abs(xs - brow[0]) < span * 0.5) & (ys > top + 0.08 * span) & (ys < top + 0.30 * span)
    crown &= person > 200
    # The mask may hold some wall above the head: hair is the darker half.
    crown &= lab[..., 0] <= np.median(lab[..., 0][crown])
    middle = np.median(lab[crown], 0)
    face = _polygons(lab.shape, [np.concatenate([face_px[:17], face_px[26:16:-1] - [0, span * 0.12]])], 1.0)
    near = (np.abs(xs - brow[0]) < 2.2 * span) & (ys < face_px[8, 1] + 2.2 * span) & (person > 60)
    lit = float(np.median(lab[..., 0][face > 0.9]))
    # The forehead: smooth, light and joined to the face.
    strands = cv2.GaussianBlur(np.abs(lab[..., 0] - cv2.GaussianBlur(lab[..., 0], (0, 0), 1.5)), (0, 0), 1.5)
    bare = (lab[..., 0] > 0.7 * lit) & (strands < 3.2) & near & (np.abs(xs - brow[0]) < span) | (face > 0.5)
    bare[int(brow[1] + span) :] = False
    _, island = cv2.connectedComponents(cv2.erode(bare.astype(np.uint8), np.ones((3, 3))))
    forehead = cv2.dilate((island == island[int(brow[1]), int(brow[0])]).astype(np.uint8), np.ones((5, 5)))
    forehead[: int(top + 0.2 * (brow[1] - top))] = 0
    state = np.full((height, width), cv2.GC_BGD, np.uint8)
    state[near] = cv2.GC_PR_BGD
    state[near & (lab[..., 0] < (middle[0] + lit) / 2) & (ys < brow[1])] = cv2.GC_PR_FGD
    state[crown] = cv2.GC_FGD
    state[(face > 0.5) | (forehead > 0)] = cv2.GC_BGD
    cv2.setRNGSeed(1)
    box = np.s_[: int(ys[near].max()) + 1]
    part = np.ascontiguousarray(state[box])
    cv2.grabCut(  # type: ignore[call-overload]
        np.ascontiguousarray(picture_bgr[box]), part, None, np.zeros((1, 65)), np.zeros((1, 65)), 4,
        cv2.GC_INIT_WITH_MASK,
    )  # fmt: skip
    found = np.zeros((height, width), np.uint8)
    found[box] = (part == cv2.GC_FGD) | (part == cv2.GC_PR_FGD)
    _, label = cv2.connectedComponents(found)
    seen = label[crown]
    keep = np.bincount(seen[seen > 0], minlength=2).argmax() if (seen > 0).any() else -1
    likely = cv2.morphologyEx((label == keep).astype(np.float32), cv2.MORPH_CLOSE, np.ones((7, 7)))
    grey = cv2.cvtColor(picture_bgr, cv2.COLOR_BGR2GRAY).astype(np.float32) / 255
    soft = np.clip((guided(grey.astype(np.float32), likely.astype(np.float32), 3, 1e-3) - 0.25) / 0.5, 0, 1)
    own = np.maximum(face, cv2.GaussianBlur(forehead.astype(np.float32), (0, 0), 1.0))
    return np.asarray(soft * (1 - own), np.float32)


def _scalp(hair: FloatArray, face_px: FloatArray) -> FloatArray:
    """Inside the hair's outline above the brows."""
    above = (hair > 0.5).astype(np.uint8)
    above[int(face_px[17:27, 1].mean()) :] = 0
    rows, columns = np.nonzero(above)
    if len(rows) < 3:
        return np.zeros_like(hair)
    hull = np.asarray(cv2.convexHull(np.stack([columns, rows], 1).astype(np.float32))[:, 0], np.float32)
    inside = (_polygons(hair.shape, [hull], 1.0) > 0.5).astype(np.uint8)
    inside = np.asarray(cv2.erode(inside, np.ones((9, 9))), np.uint8)
    inside[int(face_px[17:27, 1].mean()) :] = 0
    return np.asarray(cv2.GaussianBlur(inside.astype(np.float32), (0, 0), 1.0), np.float32)


def _tint(
    source: FloatArray,
    image: FloatArray,
    weight: FloatArray,
    sure: NDArray[np.bool_],
    target: NDArray[np.float32],
    contrast: float,
) -> FloatArray:
    """Move the middle of ``sure`` to ``target`` in a logarithmic space; light and shade stay."""
    if sure.sum() < 30:
        return image
    source = np.maximum(source, 1e-3)
    light = source[sure].mean(1)
    middle = np.median(source[sure][light >= np.percentile(light, 40)], 0)
    # What is far lighter than the middle is not of this kind, whatever the soft mask says.
    level = np.minimum(source.mean(2, keepdims=True) / middle.mean(), 2.2)
    own = source / source.mean(2, keepdims=True) / (middle / middle.mean())
    # Highlights are the lamp's colour, not the skin's: what is much lighter than the middle bends towards it.
    shade = np.where(level < 1, np.maximum(level, 1e-3) ** contrast, 1 + (level - 1) * contrast)
    new = target * shade * own**0.6
    glint = np.clip(level - 1.12, 0, 1) * 0.35
    new = new + glint * (0.9 - new).clip(0)
    return np.asarray(image + (new - image) * weight[..., None], np.float32)


def _older(image: FloatArray, face_px: FloatArray, skin: FloatArray, amount: float) -> FloatArray:
    """Deepen lines and folds of the face and pull its colours apart a little."""
    span = _span(face_px)
    grey = image.mean(2)
    folds = sum(
        (cv2.GaussianBlur(grey, (0, 0), span * small) - cv2.GaussianBlur(grey, (0, 0), span * large)) * gain
        for small, large, gain in ((0.004, 0.02, 1.3), (0.02, 0.08, 0.9))
    )
    middle = face_px[27:36].mean(0)
    ys, xs = np.mgrid[: image.shape[0], : image.shape[1]]
    near = np.exp(-((((xs - middle[0]) / (1.3 * span)) ** 2 + ((ys - middle[1]) / (1.7 * span)) ** 2) ** 2))
    gain = (amount * near * skin)[..., None]
    dark = np.minimum(folds, 0)[..., None] * [1.15, 1.1, 0.9] + np.maximum(folds, 0)[..., None] * 0.6
    return np.asarray(image + gain * dark, np.float32)


def _stubble(
    image: FloatArray, face_px: FloatArray, skin: FloatArray, colour: NDArray[np.float32], amount: float
) -> FloatArray:
    """A short beard: fine grain under the cheeks, around mouth and chin."""
    span = _span(face_px)
    jaw, nose, mouth = face_px[2:15], face_px[33], face_px[48:60]
    outline = np.concatenate([jaw, [[mouth[:, 0].max() + 0.35 * span, mouth[:, 1].min()]],
                              [nose + np.array([0, 0.12 * span])],
                              [[mouth[:, 0].min() - 0.35 * span, mouth[:, 1].min()]]])  # fmt: skip
    area = _polygons(image.shape, [outline.astype(np.float32)], span * 0.09)
    area = area * (1 - _polygons(image.shape, [mouth + (mouth - mouth.mean(0)) * 0.08], span * 0.03))
    grain = np.random.default_rng(7).normal(0, 1, image.shape[:2]).astype(np.float32)
    grain = cv2.GaussianBlur(grain, (0, 0), 0.7) * 1.6
    weight = np.clip(area * skin * amount * (0.62 + 0.34 * grain), 0, 0.92)[..., None]
    dark = colour * (image.mean(2, keepdims=True) / 0.6)
    return np.asarray(image + (dark - image) * weight, np.float32)
