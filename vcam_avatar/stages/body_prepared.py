"""What is made ready once per avatar and output size: arms, and the state of one stream."""

from dataclasses import dataclass

import cv2
import numpy as np

from vcam_avatar.avatars.layers import ArmLayers, HandStyle, Layers
from vcam_avatar.avatars.layers_own import cut_own_arms
from vcam_avatar.media import ByteArray, FloatArray, Size
from vcam_avatar.stages.body_arm import FrameStrip, FrontOrder, HandTrack
from vcam_avatar.stages.body_core import OVERSAMPLE, CoreMesh
from vcam_avatar.stages.body_learnt import LearntMotion
from vcam_avatar.stages.body_own import OwnArm, prepare_own_arm
from vcam_avatar.stages.body_paint import HandPainter, Ramp, make_ramp
from vcam_avatar.stages.body_shadow import TorsoShadow
from vcam_avatar.stages.body_texture import frame_strip, frame_texture, radius_of, shoulder_top
from vcam_avatar.stages.hands import HandMesh
from vcam_avatar.stages.pose_layout import ARMS, NECK
from vcam_avatar.stages.pose_retarget import Retargeter

MARGIN = 0.12
"""What is kept of the person beyond the frame, in frame heights: leaning brings it into view."""
_FOREARM_RADIUS = 0.36
"""Radius near the elbow of the mesh's forearm in palm lengths."""
_LINE, _LINE_FROM = 0.7, 0.2
"""Width of the line around drawn arms over that around hands, which is outside too; where it begins on the
upper arm."""
SIDES = (("right", ARMS[0]), ("left", ARMS[1]))


@dataclass(frozen=True, slots=True)
class PreparedArm:
    name: str
    joints: tuple[int, int, int, int]
    upper: FrameStrip
    fore: FrameStrip
    style: HandStyle
    palm_px: float
    width: float
    """Thickness of the forearm over the mesh's own."""
    ramp: Ramp
    outline_px: int
    tint: tuple[float, float, float]
    """Colour of the elbow over the hand's."""
    painter: HandPainter
    track: HandTrack
    own: OwnArm | None
    """The picture's own arm; None when nothing of it is seen."""
    outward: float
    """1 when the arm is on the right in the picture, else -1."""
    top: float
    soft_px: float
    """See ``Raised``."""
    carried: slice
    """Where its points lie among those that the core carries along."""


@dataclass(slots=True)
class PreparedBody:
    """One avatar at one output size. Holds the recent past of its hands: use it for one stream only."""

    size: Size
    retargeter: Retargeter
    view: FloatArray
    """``(2, 3)`` picture -> frame."""
    background: ByteArray
    core: CoreMesh
    shadow: TorsoShadow
    arms: dict[str, PreparedArm]
    order: FrontOrder
    images: tuple[ByteArray, ByteArray]
    bent: FloatArray
    scratch: ByteArray
    motion: LearntMotion | None = None
    """How this person bends, learnt from a video."""
    turn: int = 0

    def reset(self) -> None:
        """Forget how the hands moved."""
        self.order = FrontOrder()
        for arm in self.arms.values():
            arm.track.reset()
            if arm.own is not None:
                arm.own.share = -1.0


def prepare_own_arms(
    layers: Layers,
    picture: ByteArray,
    rest: FloatArray,
    view: FloatArray,
    size: Size,
    seen: dict[str, bool],
) -> dict[str, OwnArm]:
    """The picture's own arms, in the order of ``SIDES``.

    Args:
        layers: of the picture.
        picture: uint8 ``(h, w, 4)`` BGRA; used when the layers do not have the arms.
        rest: keypoints of the picture's pose in frame pixels.
        view: ``(2, 3)`` layers -> frame.
        size: of the frame.
        seen: by side, whether the hand is seen.
    """
    joints = {name: rest[[*j[:3], *range(j[3], j[3] + 21)]] for name, j in SIDES}
    scale = float(view[0, 0])
    if all(arm is None or arm.own is None for arm in (layers.left, layers.right)):
        whole = (layers.size.width_px, layers.size.height_px)
        if picture.shape[1::-1] != whole:
            picture = np.asarray(cv2.resize(picture, whole, interpolation=cv2.INTER_AREA), np.uint8)
        seen_px = {n: (j - view[:, 2]) / scale for n, j in joints.items()}
        layers = cut_own_arms(layers, picture, seen_px)
    out = {}
    unit = float(np.hypot(*(joints["left"][0] - joints["right"][0])))
    for name, _ in SIDES:
        arm = layers.arm(name)
        if arm is not None and arm.own is not None:
            place = view.copy()
            place[:, 2] += scale * np.array([arm.own.left_px, arm.own.top_px])
            margin = round(MARGIN * size.height_px)
            texture, origin = frame_texture(arm.own.image_bgra, place, size, margin)
            out[name] = prepare_own_arm(
                texture, origin, joints[name], unit, arm.hand.palm_px * scale, bool(seen[name])
            )
    return out


def prepare_arm(
    mesh: HandMesh,
    name: str,
    joints: tuple[int, int, int, int],
    arm: ArmLayers,
    scale: float,
    own: OwnArm | None,
    core: CoreMesh,
    carried: slice,
) -> PreparedArm:
    """One arm at the frame's scale.

    Args:
        mesh: the hand.
        name: ``"left"`` or ``"right"``.
        joints: numbers of shoulder, elbow, wrist and the hand's first point.
        arm: its layers.
        scale: frame pixels per pixel of the layers.
        own: the picture's own arm, if it is seen.
        core: the torso.
        carried: where the own arm's points lie among those that the torso carries along.
    """
    style = arm.hand
    palm = style.palm_px * scale
    radius = radius_of(arm.upper) * scale
    line = _LINE * style.outline_px * scale if style.outline_bgr is not None else 0.0
    upper = frame_strip(arm.upper, scale, line, _LINE_FROM)
    outward = 1.0 if core.rest[joints[0], 0] > core.rest[NECK, 0] else -1.0
    place = (core.rest[joints[0]] - core.points[0] + core.texture_px[0] / OVERSAMPLE) * OVERSAMPLE
    return PreparedArm(
        name, joints, upper, frame_strip(arm.fore, scale, line), style, palm,
        float(np.clip(radius / (_FOREARM_RADIUS * palm), 0.75, 1.25)),
        make_ramp(style.skin_bgr, style.shadow_bgr, style.light, style.detail, style.toon),
        round(style.outline_px * scale), _tint(style),
        HandPainter(mesh), HandTrack(), own, outward,
        shoulder_top(upper, outward, core.texture, place), 0.2 * radius * (1 - style.toon), carried,
    )  # fmt: skip


def _tint(style: HandStyle) -> tuple[float, float, float]:
    if style.elbow_bgr is None:
        return (1.0, 1.0, 1.0)
    ratio = [
        float(np.clip(e / max(s, 1.0), 0.7, 1.4))
        for e, s in zip(style.elbow_bgr, style.skin_bgr, strict=True)
    ]
    return ratio[0], ratio[1], ratio[2]


def to_frame(view: FloatArray, points: FloatArray) -> FloatArray:
    out: FloatArray = (points[:, :2] @ view[:, :2].T + view[:, 2]).astype(np.float32)
    return out
