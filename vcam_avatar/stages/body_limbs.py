"""Drawing one arm: the picture's own, or a made-up one of strips and a hand."""

import cv2
import numpy as np

from vcam_avatar.media import ByteArray, FloatArray
from vcam_avatar.stages.body_arm import ArmInSpace, Raised, raised_share
from vcam_avatar.stages.body_paint import Painted, over
from vcam_avatar.stages.body_prepared import PreparedArm, PreparedBody

_LATER = 0.35
"""How much further down, as a share of it, a forearm that is wholly foreshortened fades in."""


def draw_arm(
    target: ByteArray,
    p: PreparedBody,
    arm: PreparedArm,
    placed: ArmInSpace,
    hand: tuple[FloatArray, float],
) -> Painted | None:
    """Draw a made-up arm with its hand into BGR or BGRA ``target``.

    Args:
        p: the avatar.
        arm: which arm of it.
        placed: where its joints are.
        hand: ``hands.bone_matrices`` and the palm's length in pixels.

    Returns:
        The last thing painted: the hand.
    """
    matrices, palm = hand
    raised = raised_share(placed.elbow[:2] - placed.shoulder[:2], arm.outward)
    shape = Raised(raised, arm.outward, arm.top, arm.soft_px)
    # Lines first: where the halves of an arm meet there is none.
    if arm.upper.line is not None:
        arm.upper.draw(target, placed.shoulder[:2], placed.elbow[:2], shape, arm.upper.line)
    if arm.fore.line is not None:
        arm.fore.draw(target, placed.elbow[:2], placed.wrist[:2], texture=arm.fore.line)
    arm.upper.draw(target, placed.shoulder[:2], placed.elbow[:2], shape)
    sleeve = arm.style.sleeve_end - 1

    arm.painter.pose(
        matrices, arm.name == "right", (float(placed.wrist[0]), float(placed.wrist[1])), palm, arm.ramp
    )

    def paint(fade: tuple[float, float], until: float = 9.0) -> Painted | None:
        drawn = arm.painter.draw((p.size.width_px, p.size.height_px), fade, until, arm.tint)
        if drawn is not None and target.shape[2] == 3:
            p.shadow.cast(target, drawn, -float(placed.wrist[2]) - 0.25 * p.core.unit)
        return drawn

    seen = np.hypot(*(placed.wrist[:2] - placed.elbow[:2])) / arm.fore.length_px
    if arm.fore.is_empty:
        # The end of one that points at the viewer, or away, is a disc on the elbow: it fades in later.
        last = paint((0.0, 0.12 + _LATER * float(np.clip(1 - seen, 0, 0.8))))
    elif sleeve < 0.85:
        # Forearms do not lie on their bones exactly: nothing of them but what comes out of the sleeve, and
        # less of one that points at the viewer, whose thick end would look out beside it.
        first = sleeve - 0.045 + 0.3 * float(np.clip(1 - seen, 0, 0.8))
        _put(target, paint((first, first + 0.025), 1.0))
        arm.fore.draw(target, placed.elbow[:2], placed.wrist[:2])
        last = paint((max(0.8, sleeve), max(0.9, sleeve + 0.1)))
    else:
        arm.fore.draw(target, placed.elbow[:2], placed.wrist[:2])
        last = paint((0.93, 0.97))
    if last is not None and arm.style.outline_bgr is not None and arm.outline_px > 0:
        end = placed.elbow if arm.fore.is_empty else placed.wrist
        _outline(
            target, last, arm.style.outline_bgr, arm.outline_px,
            end[:2], placed.elbow[:2] - placed.wrist[:2], 0.15 * palm,
        )  # fmt: skip
    _put(target, last)
    return last


def own_shares(p: PreparedBody, points: FloatArray) -> dict[str, float]:
    """How much of each of the picture's own arms is drawn."""
    out = {}
    for name, arm in p.arms.items():
        out[name] = 0.0
        if arm.own is not None:
            now = _arm_points(arm, points)
            out[name] = arm.own.follow(arm.own.distance(now, now[0] - arm.own.rest[0]))
    return out


def _arm_points(arm: PreparedArm, points: FloatArray) -> FloatArray:
    """Shoulder, elbow, wrist and hand, ``(24, 2)``."""
    joints = arm.joints
    return points[[*joints[:3], *range(joints[3], joints[3] + 21)]]


def draw_own(target: ByteArray, p: PreparedBody, arm: PreparedArm, points: FloatArray) -> None:
    assert arm.own is not None
    arm.own.draw(target, _arm_points(arm, points), p.core.carried(p.bent)[arm.carried])


def _outline(
    target: ByteArray,
    painted: Painted,
    colour: tuple[float, float, float],
    width_px: int,
    end: FloatArray,
    up_the_arm: FloatArray,
    soft_px: float,
) -> None:
    """The line that drawings have around hands, under the hand itself.

    It fades out before ``end``, where the hand's mesh gives way to the arm: no bracelet there.
    """
    alpha = cv2.copyMakeBorder(
        painted.image_bgra[..., 3], width_px, width_px, width_px, width_px, cv2.BORDER_CONSTANT
    )
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width_px + 1, 2 * width_px + 1))
    wide = cv2.dilate(alpha, kernel)
    axis = up_the_arm / max(float(np.hypot(*up_the_arm)), 1e-3)
    origin = np.array([painted.left_px - width_px, painted.top_px - width_px]) - end
    x = np.arange(wide.shape[1], dtype=np.float32) + np.float32(origin[0])
    y = np.arange(wide.shape[0], dtype=np.float32) + np.float32(origin[1])
    beyond = x * np.float32(axis[0]) + (y * np.float32(axis[1]))[:, None]
    away = np.sqrt(x * x + (y * y)[:, None]) - np.float32(3 * soft_px)
    wide = (wide * np.clip(np.maximum(-beyond, away) / np.float32(soft_px), 0, 1)).astype(np.uint8)
    line = np.empty((*wide.shape, 4), np.uint8)
    for channel in range(3):
        line[..., channel] = wide * (colour[channel] / 255)
    line[..., 3] = wide
    top, left = painted.top_px - width_px, painted.left_px - width_px
    cut_y, cut_x = max(0, -top), max(0, -left)
    bottom = min(line.shape[0], target.shape[0] - top)
    right = min(line.shape[1], target.shape[1] - left)
    over(target, line[cut_y:bottom, cut_x:right], left + cut_x, top + cut_y)


def _put(target: ByteArray, painted: Painted | None) -> None:
    if painted is not None:
        over(target, painted.image_bgra, painted.left_px, painted.top_px)


def reaches_face(placed: ArmInSpace, arm: PreparedArm, grid: FloatArray, painted: Painted | None) -> bool:
    """Whether the arm may lie before the face: its hand as drawn, and the stretch from elbow to wrist."""
    low, high = grid.reshape(-1, 2).min(0), grid.reshape(-1, 2).max(0)
    thick = max(arm.upper.half_width_px, arm.fore.half_width_px)
    points = np.stack([placed.elbow[:2], placed.wrist[:2]])
    first, last = points.min(0) - thick, points.max(0) + thick
    if painted is not None:
        height, width = painted.hand.shape
        first = np.minimum(first, [painted.left_px, painted.top_px])
        last = np.maximum(last, [painted.left_px + width, painted.top_px + height])
    return bool((first < high).all() and (last > low).all())
