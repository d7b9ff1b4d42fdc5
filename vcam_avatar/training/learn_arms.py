"""Sleeves as a video shows them, and the colour of the skin of hands and forearms."""

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from vcam_avatar.avatars.layers import SIDES, ArmLayers, HandStyle, Layers, Strip
from vcam_avatar.avatars.layers_fill import nearest_colour, smooth
from vcam_avatar.media import ByteArray, FloatArray
from vcam_avatar.stages.pose_layout import ARMS
from vcam_avatar.training.learn_scene import Scene, paint_hand

_START, _END = -0.3, 1.22
"""Of a strip along the bone."""
_HALF, _INNER = 0.40, 0.18
"""Half the strip's width, and how far the arm reaches towards the torso, in shoulder widths."""
_ELBOW = 0.42
"""Radius of the rounded end of a bare arm, in palm lengths: that of the forearm which goes on there."""
_CLOTH_ELBOW = 0.18
"""That of a sleeve, in shoulder widths."""
_TRIES = 8
_BELOW = 0.97
"""From here on a strip is skin: what one frame shows at the elbow fits no other forearm."""
JOINTS = {"right": ARMS[0], "left": ARMS[1]}


@dataclass
class _Sight:
    """A strip as one frame shows it."""

    colour: FloatArray
    """``(h, w, 3)``."""
    cover: FloatArray
    """``(h, w)``: the person's mask."""
    free: Any
    """bool ``(h, w)``: no hand before it."""


def learn_sleeves(scene: Scene, layers: Layers, motion: Any, numbers: list[int], judge: list[int]) -> Layers:
    """Upper arms cut from the frame that shows them best, where that brings drawn frames nearer the truth.

    Args:
        motion: how the person bends.
        numbers: frames to cut from.
        judge: frames to compare.
    """
    best = scene.error(scene.prepare(layers, motion), judge)
    for side in SIDES:
        arm = layers.arm(side)
        if arm is None or arm.upper.image_bgra.shape[0] <= 2:
            continue
        tried = []
        for strip in _candidates(scene, arm, side, numbers):
            fresh = _with_arm(layers, side, replace(arm, upper=strip))
            tried.append((scene.error(scene.prepare(fresh, motion), judge), fresh))
        if tried and min(t[0] for t in tried) < best:
            best, layers = min(tried, key=lambda t: t[0])
    return layers


def learn_skin(scene: Scene, layers: Layers, motion: Any, numbers: list[int]) -> Layers:
    """Skin of drawn hands and forearms in the colours that the video has there."""
    body = scene.prepare(layers, motion)
    drawn, true, part = [], [], []
    for number in numbers:
        image, truth = scene.draw(body, number), scene.truth(number)
        points = scene.places(number)
        for side, (_, elbow, wrist, hand) in JOINTS.items():
            arm = body.arms.get(side)
            if arm is None or (arm.own is not None and arm.own.share > 0):
                continue
            palm, fore = (np.zeros(image.shape[:2], np.uint8) for _ in range(2))
            paint_hand(
                palm, points[[hand, hand + 1, hand + 5, hand + 9, hand + 13, hand + 17]].repeat(4, 0)[:21], 0
            )
            a, b = points[elbow] + 0.35 * (points[wrist] - points[elbow]), points[wrist]
            if np.hypot(*(b - a)) > 0.2 * scene.unit:
                cv2.line(
                    fore, (int(a[0]), int(a[1])), (int(b[0]), int(b[1])), 255, max(1, int(0.08 * scene.unit))
                )
            for kind, area in ((0, palm), (1, fore)):
                inside = area > 0
                drawn.append(image[inside][::5].copy())
                true.append(truth[inside][::5].copy())
                part.append(np.full(len(drawn[-1]), kind))
    if not drawn:
        return layers
    x, y, kinds = (np.concatenate(v).astype(np.float32) for v in (drawn, true, part))
    if (kinds == 0).sum() < 200:
        return layers
    hand_line = _line(x[kinds == 0], y[kinds == 0])
    fore_line = _line(x[kinds == 1], y[kinds == 1]) if (kinds == 1).sum() >= 200 else hand_line
    for side in SIDES:
        own = layers.arm(side)
        if own is not None:
            layers = _with_arm(layers, side, replace(own, hand=_coloured(own.hand, hand_line, fore_line)))
    return layers


def _coloured(style: HandStyle, hand: FloatArray, fore: FloatArray) -> HandStyle:
    def on(line: FloatArray, colour: Any) -> tuple[float, float, float]:
        b, g, r = (round(float(v), 1) for v in np.clip(line[0] + line[1] * np.asarray(colour), 5, 250))
        return b, g, r

    elbow = style.skin_bgr if style.elbow_bgr is None else style.elbow_bgr
    return replace(
        style,
        skin_bgr=on(hand, style.skin_bgr),
        shadow_bgr=on(hand, style.shadow_bgr),
        elbow_bgr=on(fore, elbow),
    )


def _line(drawn: FloatArray, true: FloatArray) -> FloatArray:
    """``(2, 3)``: true = first + second * drawn per channel; what does not lie on skin counts little."""
    ratio = np.median(true / np.maximum(drawn, 1), axis=0)
    out = np.zeros((2, 3), np.float32)
    for channel in range(3):
        x, y = drawn[:, channel], true[:, channel]
        a, b = 0.0, float(ratio[channel])
        for _ in range(12):
            weight = 1 / (1 + ((y - a - b * x) / 15) ** 2) ** 2
            mx, my = np.average(x, weights=weight), np.average(y, weights=weight)
            # Drawn and true fingers never lie on each other exactly: less contrast would be the best guess.
            slope = np.average((x - mx) * (y - my), weights=weight) / max(
                float(np.average((x - mx) ** 2, weights=weight)), 1.0
            )
            b = float(np.clip(slope, 0.8 * my / mx, 1.2 * my / mx))
            a = float(my - b * mx)
        out[:, channel] = a, b
    return out


def _candidates(scene: Scene, arm: ArmLayers, side: str, numbers: list[int]) -> list[Strip]:
    seen = [_look(scene, arm, side, number) for number in numbers]
    colours = np.stack([np.where(s.free[..., None], s.colour, np.nan) for s in seen])
    covers = np.stack([np.where(s.free, s.cover, np.nan) for s in seen])
    known = np.isfinite(covers).sum(0) >= 3
    middle = np.zeros(colours.shape[1:], np.float32)
    cover = np.zeros(covers.shape[1:], np.float32)
    middle[known] = np.nanmedian(colours[:, known], 0)
    cover[known] = np.nanmedian(covers[:, known], 0)
    odd = []
    for s in seen:
        far = np.minimum(np.abs(s.colour - middle).mean(2), 60)
        odd.append(
            float(far[s.free & known].mean() if (s.free & known).any() else 60) + 60 * float((~s.free).mean())
        )
    skin = arm.hand.skin_bgr if arm.hand.elbow_bgr is None else arm.hand.elbow_bgr
    cover[~known] = 255
    fine = scene.layers.size.width_px / scene.picture.shape[1] / scene.scale
    strips = []
    for k in np.argsort(odd)[:_TRIES]:
        s = _look(scene, arm, side, numbers[int(k)], fine)
        size = (s.cover.shape[1], s.cover.shape[0])
        usually = cv2.resize(cover, size, interpolation=cv2.INTER_LINEAR)
        t = _grid(scene, arm, fine)[0]
        # As wide as arms usually look: the corner of the shoulder below must not stand out beside it.
        covered = smooth(np.maximum(np.where(s.free, s.cover, 0), usually), 128, 250) * 255
        bare = arm.hand.sleeve_end < 1.05
        colour = _clean(s.colour, (s.cover > 250) & s.free & (t < (_BELOW if bare else _END)))
        if bare:
            below = smooth(t, _BELOW, _BELOW + 0.04)[..., None]
            around = np.abs(_grid(scene, arm, fine)[1]) / (_ELBOW * arm.hand.palm_px)
            shaded = np.array(skin, np.float32) * (1 - 0.25 * smooth(around, 0.3, 1.05))[..., None]
            colour = np.asarray(colour * (1 - below) + shaded * below, np.float32)
            covered = np.maximum(covered, 255 * below[..., 0])
        strips.append(_shape(scene, arm, side, colour, covered, fine))
    return strips


def _clean(colour: FloatArray, person: Any) -> FloatArray:
    """``colour`` without the room's at the person's edge."""
    if not person.any():
        return colour
    inner = cv2.erode(person.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return nearest_colour(colour, inner if inner.any() else person)


def _grid(scene: Scene, arm: ArmLayers, fine: float) -> tuple[FloatArray, FloatArray, float]:
    """Along the bone ``(h, 1)``, across ``(1, w)``, and the bone's length: ``fine`` pixels per work pixel."""
    length = arm.upper.length_px * scene.picture.shape[1] / scene.layers.size.width_px * scene.scale * fine
    half = _HALF * scene.unit * fine
    rows, columns = max(8, round((_END - _START) * length)), max(8, round(2 * half))
    t = _START + (np.arange(rows, dtype=np.float32) + 0.5) / rows * (_END - _START)
    c = ((np.arange(columns, dtype=np.float32) + 0.5) / columns * 2 - 1) * half
    return np.asarray(t[:, None], np.float32), np.asarray(c[None], np.float32), float(length)


def _look(scene: Scene, arm: ArmLayers, side: str, number: int, fine: float = 1.0) -> _Sight:
    points = scene.places(number)
    shoulder, elbow, _, _ = JOINTS[side]
    t, across, bone_px = _grid(scene, arm, fine)
    c, length = across / fine, bone_px / fine
    bone = points[elbow] - points[shoulder]
    seen = max(float(np.hypot(*bone)), 1e-3)
    axis = bone / seen
    inside = np.clip(t, 0, 1)
    along = inside * seen + (t - inside) * length
    x = np.asarray(points[shoulder, 0] + axis[0] * along + axis[1] * c, np.float32)
    y = np.asarray(points[shoulder, 1] + axis[1] * along - axis[0] * c, np.float32)
    before = np.zeros((scene.size.height_px, scene.size.width_px), np.uint8)
    for name, (_, e, w, h) in JOINTS.items():
        paint_hand(before, points[h : h + 21], 0.05 * scene.unit)
        first = points[e] + (0.35 if name == side else 0.0) * (points[w] - points[e])
        ends = [(int(v[0]), int(v[1])) for v in (first, points[w])]
        cv2.line(before, ends[0], ends[1], 255, max(1, int(0.24 * scene.unit)))
    out = (x < 0) | (y < 0) | (x > scene.size.width_px - 1) | (y > scene.size.height_px - 1)
    whole = (round(scene.size.width_px * fine), round(scene.size.height_px * fine))
    frame = scene.truth(number) if fine == 1 else scene.clip.frame(number, scene.scale * fine, whole)
    colour = cv2.remap(
        frame,
        (x + 0.5) * fine - 0.5,
        (y + 0.5) * fine - 0.5,
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    cover = cv2.remap(scene.mask(number), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    free = (cv2.remap(before, x, y, cv2.INTER_LINEAR) < 10) & ~out
    return _Sight(colour.astype(np.float32), cover.astype(np.float32), free)


def _shape(
    scene: Scene, arm: ArmLayers, side: str, colour: FloatArray, cover: FloatArray, fine: float
) -> Strip:
    """A strip with the shoulder's shape of the present one; ``fine``: the layers' pixels per work pixel."""
    t, c, length = _grid(scene, arm, fine)
    unit = scene.unit * fine
    inward = 1.0 if side == "right" else -1.0
    alpha = cover * (1 - smooth(c * inward, _INNER * unit, (_INNER + 0.03) * unit))
    # Wide sleeves narrow down to the joint, long ones earlier than those that end above it.
    long = arm.hand.sleeve_end >= 1.05
    radius = _CLOTH_ELBOW * unit if long else _ELBOW * arm.hand.palm_px
    wide = radius + (_HALF * unit - radius) * (1 - smooth(t, 0.7 if long else 0.92, 1.0))
    alpha = alpha * (1 - smooth(np.abs(c) - wide, -1.0, 1.0))
    below = np.maximum(t - 1, 0) * length
    alpha = np.where(below > 0, alpha * (1 - smooth(np.hypot(below, c), radius - 1, radius + 1)), alpha)
    upper = arm.upper
    half = upper.half_width_px
    rows, columns = upper.image_bgra.shape[:2]
    y = np.broadcast_to((t - upper.start) / (upper.end - upper.start) * rows - 0.5, alpha.shape)
    x = np.broadcast_to((c / half + 1) / 2 * columns - 0.5, alpha.shape)
    old: ByteArray = np.asarray(
        cv2.remap(upper.image_bgra[..., 3], x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR),
        np.uint8,
    )
    top = 1 - smooth(np.asarray(t, np.float32), 0.25, 0.4)
    alpha = np.clip(alpha * (1 - top) + np.minimum(old, cover) * top, 0, 255)
    image = np.dstack([np.clip(colour, 0, 255), alpha]).astype(np.uint8)
    return Strip(image, _START, _END, _HALF * unit, upper.length_px)


def _with_arm(layers: Layers, side: str, arm: ArmLayers) -> Layers:
    return replace(layers, left=arm) if side == "left" else replace(layers, right=arm)
