"""First generator: pose + avatar picture -> the avatar in that pose, with a face that does not speak yet."""

from dataclasses import dataclass

import cv2
import numpy as np

from vcam_avatar.avatars.format import Avatar
from vcam_avatar.avatars.layers import ArmLayers, HandStyle, Layers
from vcam_avatar.avatars.layers_build import avatar_layers
from vcam_avatar.avatars.layers_own import cut_own_arms
from vcam_avatar.inference import Network, load_network
from vcam_avatar.media import Body, ByteArray, FloatArray, Size, face_crop_matrix
from vcam_avatar.resources import models_dir
from vcam_avatar.stages.body_arm import (
    ArmInSpace,
    FrameStrip,
    FrontOrder,
    HandTrack,
    Raised,
    place_arm,
    raised_share,
)
from vcam_avatar.stages.body_background import make_background
from vcam_avatar.stages.body_core import OVERSAMPLE, CoreMesh, build_core_mesh
from vcam_avatar.stages.body_own import OwnArm, prepare_own_arm
from vcam_avatar.stages.body_paint import HandPainter, Painted, Ramp, make_ramp, over
from vcam_avatar.stages.body_refine import DrawnHand, HandRefiner
from vcam_avatar.stages.body_shadow import TorsoShadow
from vcam_avatar.stages.body_texture import frame_strip, frame_texture, radius_of, shoulder_top
from vcam_avatar.stages.hands import HandMesh, bone_matrices, forearm_matrix, load_hand_mesh
from vcam_avatar.stages.pose_layout import ARMS, NECK
from vcam_avatar.stages.pose_retarget import Gains, Retargeter

LIFT_MODEL, REFINER_MODEL = "hand_lift", "hand_refiner"
_MARGIN = 0.12
"""What is kept of the person beyond the frame, in frame heights: leaning brings it into view."""
_FOREARM_PALMS = 2.25
"""Length of the mesh's forearm in palm lengths."""
_FOREARM_RADIUS = 0.36
"""Radius near the elbow of the mesh's forearm in palm lengths."""
_MIDDLE = 8
"""Bone of the middle finger's root."""
_NEARER = 0.12
"""How much larger a hand appears at the end of a forearm that points at the viewer."""


_SIDES = (("right", ARMS[0]), ("left", ARMS[1]))


@dataclass(frozen=True, slots=True)
class _Arm:
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
    arms: dict[str, _Arm]
    order: FrontOrder
    images: tuple[ByteArray, ByteArray]
    bent: FloatArray
    scratch: ByteArray
    turn: int = 0

    def reset(self) -> None:
        """Forget how the hands moved."""
        self.order = FrontOrder()
        for arm in self.arms.values():
            arm.track.reset()
            if arm.own is not None:
                arm.own.share = -1.0


class BodyGenerator:
    """Skinned layers for head and torso, straightened strips for arms, a mesh for forearms and hands."""

    def __init__(
        self, lift: Network | None = None, mesh: HandMesh | None = None, refine: bool | None = None
    ) -> None:
        """Load the networks.

        Args:
            lift: hand points -> joint angles; by default the shipped one.
            mesh: the hand; by default the shipped one.
            refine: correct drawn hands with the adversarially trained network; None: if it is installed.

        Raises:
            ModelError: a file is missing or damaged.
        """
        self._lift = lift or load_network(LIFT_MODEL)
        self._mesh = mesh or load_hand_mesh(models_dir() / "hand_mesh.npz")
        if refine is None:
            refine = (models_dir() / f"{REFINER_MODEL}.onnx").is_file()
        self._refiner = HandRefiner(load_network(REFINER_MODEL)) if refine else None

    @property
    def refines(self) -> bool:
        """Whether drawn hands are corrected by the network."""
        return self._refiner is not None

    def prepare(self, avatar: Avatar, size: Size) -> PreparedBody:
        """Layers, meshes and buffers for ``avatar`` at ``size``. Takes a second when layers are stored.

        Raises:
            AvatarDataError: the stored layers are damaged.
        """
        gains, layers = avatar.settings.gains, avatar_layers(avatar)
        return self.prepare_layers(
            layers,
            avatar.points_px,
            avatar.face_px,
            avatar.view(size),
            size,
            background=make_background(avatar, layers, size),
            picture_width_px=avatar.keypoints.size.width_px,
            picture=np.dstack([avatar.picture_bgr, avatar.person_alpha]),
            gains=Gains(head=gains.head, hands=gains.motion),
        )

    def prepare_layers(
        self,
        layers: Layers,
        points: FloatArray,
        face: FloatArray,
        view: FloatArray,
        size: Size,
        *,
        background: ByteArray,
        picture_width_px: int,
        picture: ByteArray | None = None,
        gains: Gains | None = None,
    ) -> PreparedBody:
        """``prepare`` from the parts.

        Args:
            layers: at the picture's size or reduced.
            points: ``(57, 3)`` keypoints in picture pixels.
            face: ``(68, 2)`` landmarks in picture pixels.
            view: ``(2, 3)`` picture -> frame, uniform scale.
            background: uint8 ``(H, W, 3)`` frame behind the person.
            picture_width_px: of the picture the keypoints belong to.
            picture: uint8 ``(h, w, 4)`` BGRA, alpha is the person: near its own pose the avatar keeps the
                arms that it shows; None: arms are always drawn anew.
        """
        retargeter = Retargeter(points, gains)
        rest = _to_frame(view, retargeter.to_pixels(retargeter.start_pose))
        scale = float(view[0, 0]) * picture_width_px / layers.size.width_px
        to_frame = view.astype(np.float32).copy()
        to_frame[:, :2] = np.eye(2) * scale
        margin = round(_MARGIN * size.height_px)
        texture, origin = frame_texture(layers.core_bgra, to_frame, size, margin)
        crop = face_crop_matrix(face).astype(np.float64)
        crop = np.concatenate(
            [view[:, :2] @ crop[:, :2], (view[:, :2] @ crop[:, 2] + view[:, 2])[:, None]], 1
        )
        seen = {name: points[joints[3] : joints[3] + 21, 2].mean() > 0.5 for name, joints in _SIDES}
        own = {} if picture is None else self._own_arms(layers, picture, rest, to_frame, size, seen)
        carried = np.concatenate([a.points for a in own.values()]) if own else None
        core = build_core_mesh(texture, origin, rest, _to_frame(view, face), crop.astype(np.float32), carried)
        chin = float(_to_frame(view, face)[:, 1].max())
        shadow = TorsoShadow(texture, origin, OVERSAMPLE, chin, size, core.unit)
        arms: dict[str, _Arm] = {}
        first = 0
        for name, joints in _SIDES:
            arm = layers.arm(name)
            if arm is not None:
                count = len(own[name].points) if name in own else 0
                arms[name] = self._prepare_arm(
                    name, joints, arm, scale, own.get(name), core, slice(first, first + count)
                )
                first += count
        shape = (size.height_px, size.width_px)
        images = (np.zeros((*shape, 3), np.uint8), np.zeros((*shape, 3), np.uint8))
        prepared = PreparedBody(
            size, retargeter, view, np.ascontiguousarray(background), core, shadow, arms, FrontOrder(),
            images, np.zeros_like(core.points), np.zeros((*shape, 4), np.uint8),
        )  # fmt: skip
        # The first frames pay for compilation and cold memory: before the camera waits for them. Once as in
        # the picture, and once with hands that are drawn.
        pixels = retargeter.to_pixels(retargeter.start_pose)
        self.draw(prepared, pixels)
        prepared.reset()
        for _, (shoulder, elbow, wrist, hand) in _SIDES:
            raised = [elbow, wrist, *range(hand, hand + 21)]
            pixels[raised] -= np.abs(pixels[shoulder] - pixels[elbow]).max()
        self.draw(prepared, pixels)
        prepared.reset()
        return prepared

    def _own_arms(
        self,
        layers: Layers,
        picture: ByteArray,
        rest: FloatArray,
        to_frame: FloatArray,
        size: Size,
        seen: dict[str, bool],
    ) -> dict[str, OwnArm]:
        """The picture's own arms, in the order of ``_SIDES``."""
        joints = {name: rest[[*j[:3], *range(j[3], j[3] + 21)]] for name, j in _SIDES}
        scale = float(to_frame[0, 0])
        if all(arm is None or arm.own is None for arm in (layers.left, layers.right)):
            whole = (layers.size.width_px, layers.size.height_px)
            if picture.shape[1::-1] != whole:
                picture = np.asarray(cv2.resize(picture, whole, interpolation=cv2.INTER_AREA), np.uint8)
            seen_px = {n: (j - to_frame[:, 2]) / scale for n, j in joints.items()}
            layers = cut_own_arms(layers, picture, seen_px)
        out = {}
        unit = float(np.hypot(*(joints["left"][0] - joints["right"][0])))
        for name, _ in _SIDES:
            arm = layers.arm(name)
            if arm is not None and arm.own is not None:
                place = to_frame.copy()
                place[:, 2] += scale * np.array([arm.own.left_px, arm.own.top_px])
                margin = round(_MARGIN * size.height_px)
                texture, origin = frame_texture(arm.own.image_bgra, place, size, margin)
                out[name] = prepare_own_arm(
                    texture, origin, joints[name], unit, arm.hand.palm_px * scale, bool(seen[name])
                )
        return out

    def _prepare_arm(
        self,
        name: str,
        joints: tuple[int, int, int, int],
        arm: ArmLayers,
        scale: float,
        own: OwnArm | None,
        core: CoreMesh,
        carried: slice,
    ) -> _Arm:
        style = arm.hand
        palm = style.palm_px * scale
        radius = radius_of(arm.upper) * scale
        upper = frame_strip(arm.upper, scale)
        outward = 1.0 if core.rest[joints[0], 0] > core.rest[NECK, 0] else -1.0
        place = (core.rest[joints[0]] - core.points[0] + core.texture_px[0] / OVERSAMPLE) * OVERSAMPLE
        return _Arm(
            name, joints, upper, frame_strip(arm.fore, scale), style, palm,
            float(np.clip(radius / (_FOREARM_RADIUS * palm), 0.75, 1.25)),
            make_ramp(style.skin_bgr, style.shadow_bgr, style.light, style.detail, style.toon),
            round(style.outline_px * scale), _tint(style),
            HandPainter(self._mesh), HandTrack(), own, outward,
            shoulder_top(upper, outward, core.texture, place), 0.2 * radius * (1 - style.toon), carried,
        )  # fmt: skip

    def generate(self, prepared: PreparedBody, pose: FloatArray) -> Body:
        """Draw the avatar in ``pose``, float ``(57, 3)`` canonical and normalised.

        Points beyond those, such as legs and feet of the full body, are ignored.
        """
        own = pose[: len(prepared.retargeter.start_pose)]
        return self.draw(prepared, prepared.retargeter.to_pixels(own))

    def draw(self, prepared: PreparedBody, points_px: FloatArray) -> Body:
        """Draw the avatar with its keypoints at ``points_px``, float ``(57, 2)`` in pixels of its picture."""
        p = prepared
        p.turn ^= 1
        image = p.images[p.turn]
        np.copyto(image, p.background)
        points = _to_frame(p.view, points_px)
        p.core.bend(points, p.bent)
        p.core.draw(image, p.bent)
        grid = p.core.face_grid(p.bent)
        placed = {name: self._place(arm, points) for name, arm in p.arms.items()}
        shares = _shares(p, points)
        hands = {}
        if min(shares.values(), default=1.0) < 1:
            hands = self._lift_hands(p, placed, points)
        else:  # both arms are the picture's own
            for arm in p.arms.values():
                arm.track.reset()
        occlusion: ByteArray | None = None
        drawn: list[DrawnHand] = []
        for name in self._order(p, placed):
            arm, share = p.arms[name], shares[name]
            painted: Painted | None = None
            if share < 1:
                before = image.copy() if share > 0 else image
                painted = self._draw_arm(image, p, arm, placed[name], hands[name])
                if painted is not None and share == 0 and arm.style.detail > 0.5 > arm.style.toon:
                    drawn.append(self._drawn(arm, placed[name], hands[name], painted))
                if share > 0:
                    _draw_own(before, p, arm, points)
                    cv2.addWeighted(before, share, image, 1 - share, 0, dst=image)
            else:
                _draw_own(image, p, arm, points)
            if _reaches(placed[name], arm, grid, painted):
                if occlusion is None:
                    p.scratch.fill(0)
                if share < 0.5:
                    self._draw_arm(p.scratch, p, arm, placed[name], hands[name])
                else:
                    _draw_own(p.scratch, p, arm, points)
                occlusion = p.scratch[..., 3]
        if self._refiner is not None:
            self._refiner.refine(image, drawn)
        return Body(image, grid, None if occlusion is None else np.ascontiguousarray(occlusion))

    def _place(self, arm: _Arm, points: FloatArray) -> ArmInSpace:
        shoulder, elbow, wrist, _ = arm.joints
        return place_arm(
            points[shoulder], points[elbow], points[wrist], arm.upper.length_px, arm.fore.length_px
        )

    def _order(self, p: PreparedBody, placed: dict[str, ArmInSpace]) -> tuple[str, ...]:
        if len(placed) < 2:
            return tuple(placed)
        left, right = placed["left"], placed["right"]
        return p.order.decide(
            float(left.wrist[2]), float(right.wrist[2]), 0.2 * p.arms["left"].fore.length_px
        )

    def _lift_hands(
        self, p: PreparedBody, placed: dict[str, ArmInSpace], points: FloatArray
    ) -> dict[str, tuple[FloatArray, float]]:
        """Bone matrices and origin scale of every hand."""
        flat = np.zeros((2, 21, 2), np.float32)
        forearm = np.zeros((2, 3), np.float32)
        for slot, (name, arm) in enumerate(p.arms.items()):
            sign = np.array([-1 if name == "right" else 1, 1], np.float32)
            hand = points[arm.joints[3] : arm.joints[3] + 21]
            flat[slot] = (hand - hand[0]) / arm.palm_px * sign
            forearm[slot] = placed[name].towards_elbow * np.array([sign[0], 1, 1], np.float32)
        out = self._lift.run({"points": flat, "forearm": forearm})
        hands = {}
        for slot, (name, arm) in enumerate(p.arms.items()):
            rotation, angles = arm.track.follow(out["rotation"][slot], out["angles"][slot])
            nearer = 1 + _NEARER * float(forearm[slot, 2])
            stretch = arm.fore.length_px / (_FOREARM_PALMS * arm.palm_px * nearer)
            lower = forearm_matrix(self._mesh, rotation, forearm[slot], stretch, arm.width / nearer)
            matrices = bone_matrices(self._mesh, rotation, angles, lower)
            hands[name] = (matrices, arm.palm_px * nearer)
        return hands

    def _drawn(
        self, arm: _Arm, placed: ArmInSpace, hand: tuple[FloatArray, float], painted: Painted
    ) -> DrawnHand:
        matrices, palm = hand
        sign = np.array([-1 if arm.name == "right" else 1, 1], np.float32)
        knuckle = (matrices[_MIDDLE, :2, :3] @ self._mesh.joints[_MIDDLE] + matrices[_MIDDLE, :2, 3]) * sign
        wrist = placed.wrist[:2]
        return DrawnHand(painted.hand, painted.left_px, painted.top_px, wrist, wrist + knuckle * palm, palm)

    def _draw_arm(
        self,
        target: ByteArray,
        p: PreparedBody,
        arm: _Arm,
        placed: ArmInSpace,
        hand: tuple[FloatArray, float],
    ) -> Painted | None:
        """Returns the last thing painted: the hand."""
        matrices, palm = hand
        raised = raised_share(placed.elbow[:2] - placed.shoulder[:2], arm.outward)
        shape = Raised(raised, arm.outward, arm.top, arm.soft_px)
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

        if arm.fore.is_empty:
            last = paint((-0.02, 0.1))
        elif sleeve < 0.85:
            _put(target, paint((max(-0.05, sleeve - 0.2), max(0.0, sleeve - 0.15)), 1.0))
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


def _shares(p: PreparedBody, points: FloatArray) -> dict[str, float]:
    """How much of each of the picture's own arms is drawn."""
    out = {}
    for name, arm in p.arms.items():
        out[name] = 0.0
        if arm.own is not None:
            now = _arm_points(arm, points)
            out[name] = arm.own.follow(arm.own.distance(now, now[0] - arm.own.rest[0]))
    return out


def _arm_points(arm: _Arm, points: FloatArray) -> FloatArray:
    """Shoulder, elbow, wrist and hand, ``(24, 2)``."""
    joints = arm.joints
    return points[[*joints[:3], *range(joints[3], joints[3] + 21)]]


def _draw_own(target: ByteArray, p: PreparedBody, arm: _Arm, points: FloatArray) -> None:
    assert arm.own is not None
    arm.own.draw(target, _arm_points(arm, points), p.core.carried(p.bent)[arm.carried])


def _tint(style: HandStyle) -> tuple[float, float, float]:
    if style.elbow_bgr is None:
        return (1.0, 1.0, 1.0)
    ratio = [
        float(np.clip(e / max(s, 1.0), 0.7, 1.4))
        for e, s in zip(style.elbow_bgr, style.skin_bgr, strict=True)
    ]
    return ratio[0], ratio[1], ratio[2]


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


def _reaches(placed: ArmInSpace, arm: _Arm, grid: FloatArray, painted: Painted | None) -> bool:
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


def _to_frame(view: FloatArray, points: FloatArray) -> FloatArray:
    out: FloatArray = (points[:, :2] @ view[:, :2].T + view[:, 2]).astype(np.float32)
    return out
