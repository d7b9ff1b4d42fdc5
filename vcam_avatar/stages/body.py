"""First generator: pose + avatar picture -> the avatar in that pose, with a face that does not speak yet."""

from dataclasses import replace

import cv2
import numpy as np

from vcam_avatar.avatars.format import Avatar
from vcam_avatar.avatars.layers import Layers
from vcam_avatar.avatars.layers_build import avatar_layers
from vcam_avatar.avatars.learnt import MotionTable, usable_learnt
from vcam_avatar.inference import Network, load_network
from vcam_avatar.media import Body, ByteArray, FloatArray, Size, face_crop_matrix
from vcam_avatar.resources import models_dir
from vcam_avatar.stages.body_arm import ArmInSpace, FrontOrder, place_arm
from vcam_avatar.stages.body_background import make_background
from vcam_avatar.stages.body_core import OVERSAMPLE, build_core_mesh
from vcam_avatar.stages.body_learnt import read_motion
from vcam_avatar.stages.body_limbs import draw_arm, draw_own, own_shares, reaches_face
from vcam_avatar.stages.body_motion import FIELDS_MODEL, WEIGHTS_MODEL, read_fields
from vcam_avatar.stages.body_paint import Painted
from vcam_avatar.stages.body_prepared import (
    MARGIN,
    SIDES,
    PreparedArm,
    PreparedBody,
    prepare_arm,
    prepare_own_arms,
    to_frame,
)
from vcam_avatar.stages.body_refine import Crop, Limb, LimbRefiner, seen, watch
from vcam_avatar.stages.body_shadow import TorsoShadow
from vcam_avatar.stages.body_texture import frame_texture
from vcam_avatar.stages.hands import HandMesh, bone_matrices, forearm_matrix, load_hand_mesh
from vcam_avatar.stages.pose_retarget import Gains, Retargeter

__all__ = ["BodyGenerator", "PreparedBody"]

LIFT_MODEL, REFINER_MODEL = "hand_lift", "limb_refiner"
_FOREARM_PALMS = 2.25
"""Length of the mesh's forearm in palm lengths."""
_MIDDLE = 8
"""Bone of the middle finger's root."""
_NEARER = 0.28
"""How much larger a hand appears at the end of a forearm that points at the viewer."""


class BodyGenerator:
    """Skinned layers for head and torso, straightened strips for arms, a mesh for forearms and hands."""

    def __init__(
        self,
        lift: Network | None = None,
        mesh: HandMesh | None = None,
        refine: bool | None = None,
        parts_only: bool = False,
        fields: bool = True,
    ) -> None:
        """Load the networks.

        Args:
            lift: hand points -> joint angles; by default the shipped one.
            mesh: the hand; by default the shipped one.
            refine: correct drawn arms with the adversarially trained network; None: if it is installed.
            parts_only: move and turn the arms of the picture and make nothing up; to compare with.
            fields: bend head and torso by displacement fields, too; False: by joints alone, to compare with.

        Raises:
            ModelError: a file is missing or damaged.
        """
        self._parts_only = parts_only
        self._lift = lift or load_network(LIFT_MODEL)
        self._mesh = mesh or load_hand_mesh(models_dir() / "hand_mesh.npz")
        if refine is None:
            refine = (models_dir() / f"{REFINER_MODEL}.onnx").is_file()
        self._weigh = load_network(WEIGHTS_MODEL) if fields else None
        self.refiner = LimbRefiner(load_network(REFINER_MODEL)) if refine else None
        """Corrects drawn arms; None: nothing does."""

    @property
    def refines(self) -> bool:
        """Whether drawn arms are corrected by the network."""
        return self.refiner is not None

    def prepare(self, avatar: Avatar, size: Size) -> PreparedBody:
        """Layers, meshes and buffers for ``avatar`` at ``size``. Takes a second when layers are stored.

        Raises:
            AvatarDataError: the stored layers are damaged.
        """
        gains, learnt = avatar.settings.gains, usable_learnt(avatar.folder)
        layers = avatar_layers(avatar) if learnt is None else learnt.layers
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
            motion=None if learnt is None else learnt.motion,
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
        motion: MotionTable | None = None,
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
            motion: how this person bends, learnt from a video.
        """
        retargeter = Retargeter(points, gains)
        rest = to_frame(view, retargeter.to_pixels(retargeter.start_pose))
        scale = float(view[0, 0]) * picture_width_px / layers.size.width_px
        place = view.astype(np.float32).copy()
        place[:, :2] = np.eye(2) * scale
        margin = round(MARGIN * size.height_px)
        texture, origin = frame_texture(layers.core_bgra, place, size, margin)
        crop = face_crop_matrix(face).astype(np.float64)
        crop = np.concatenate(
            [view[:, :2] @ crop[:, :2], (view[:, :2] @ crop[:, 2] + view[:, 2])[:, None]], 1
        )
        seen = {name: points[joints[3] : joints[3] + 21, 2].mean() > 0.5 for name, joints in SIDES}
        own = {} if picture is None else prepare_own_arms(layers, picture, rest, place, size, seen)
        carried = np.concatenate([a.points for a in own.values()]) if own else None
        core = build_core_mesh(texture, origin, rest, to_frame(view, face), crop.astype(np.float32), carried)
        if self._weigh is not None:
            # Loaded anew for every avatar: kept, it would take memory that no frame needs.
            fields = load_network(FIELDS_MODEL, warm_up=False)
            moved = read_fields(fields, self._weigh, texture, OVERSAMPLE, origin, rest, core.points)
            core = replace(core, motion=moved)
        chin = float(to_frame(view, face)[:, 1].max())
        shadow = TorsoShadow(texture, origin, OVERSAMPLE, chin, size, core.unit)
        arms: dict[str, PreparedArm] = {}
        first = 0
        for name, joints in SIDES:
            arm = layers.arm(name)
            if arm is not None:
                count = len(own[name].points) if name in own else 0
                arms[name] = prepare_arm(
                    self._mesh, name, joints, arm, scale, own.get(name), core, slice(first, first + count)
                )
                first += count
        shape = (size.height_px, size.width_px)
        images = (np.zeros((*shape, 3), np.uint8), np.zeros((*shape, 3), np.uint8))
        prepared = PreparedBody(
            size, retargeter, view, np.ascontiguousarray(background), core, shadow, arms, FrontOrder(),
            images, np.zeros_like(core.points), np.zeros((*shape, 4), np.uint8),
            None if motion is None else read_motion(motion, core.points, core.rest, core.unit),
        )  # fmt: skip
        # The first frames pay for compilation and cold memory: before the camera waits for them. Once as in
        # the picture, and once with hands that are drawn.
        pixels = retargeter.to_pixels(retargeter.start_pose)
        self.draw(prepared, pixels)
        prepared.reset()
        for _, (shoulder, elbow, wrist, hand) in SIDES:
            raised = [elbow, wrist, *range(hand, hand + 21)]
            pixels[raised] -= np.abs(pixels[shoulder] - pixels[elbow]).max()
        self.draw(prepared, pixels)
        prepared.reset()
        return prepared

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
        points = to_frame(p.view, points_px)
        p.core.bend(points, p.bent)
        if p.motion is not None:
            p.motion.add(points, p.bent)
        points = p.core.join_shoulders(points, p.bent)
        p.core.draw(image, p.bent)
        grid = p.core.face_grid(p.bent)
        placed = {name: self._place(arm, points) for name, arm in p.arms.items()}
        shares = own_shares(p, points)
        if self._parts_only:
            shares = {name: float(arm.own is not None) for name, arm in p.arms.items()}
        hands = {}
        if min(shares.values(), default=1.0) < 1:
            hands = self._lift_hands(p, placed, points)
        else:  # both arms are the picture's own
            for arm in p.arms.values():
                arm.track.reset()
        occlusion: ByteArray | None = None
        crops: list[Crop] = []
        for name in self._order(p, placed):
            arm, share = p.arms[name], shares[name]
            painted: Painted | None = None
            if share < 1:
                before = image.copy() if share > 0 else image
                mine: list[Crop] = []
                if self.refiner is not None and share == 0 and arm.style.detail > 0.5 > arm.style.toon:
                    limb = self._limb(arm, placed[name], hands[name])
                    mine = watch(image, limb, self.refiner.size)
                painted = draw_arm(image, p, arm, placed[name], hands[name])
                if painted is not None and mine:
                    seen(image, mine, painted)
                    crops += mine
                if share > 0:
                    draw_own(before, p, arm, points)
                    cv2.addWeighted(before, share, image, 1 - share, 0, dst=image)
            else:
                draw_own(image, p, arm, points)
            if reaches_face(placed[name], arm, grid, painted):
                if occlusion is None:
                    p.scratch.fill(0)
                if share < 0.5:
                    draw_arm(p.scratch, p, arm, placed[name], hands[name])
                else:
                    draw_own(p.scratch, p, arm, points)
                occlusion = p.scratch[..., 3]
        if self.refiner is not None:
            self.refiner.refine(image, crops)
        return Body(image, grid, None if occlusion is None else np.ascontiguousarray(occlusion))

    def _place(self, arm: PreparedArm, points: FloatArray) -> ArmInSpace:
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

    def _limb(self, arm: PreparedArm, placed: ArmInSpace, hand: tuple[FloatArray, float]) -> Limb:
        matrices, palm = hand
        sign = np.array([-1 if arm.name == "right" else 1, 1], np.float32)
        knuckle = (matrices[_MIDDLE, :2, :3] @ self._mesh.joints[_MIDDLE] + matrices[_MIDDLE, :2, 3]) * sign
        wrist = placed.wrist[:2]
        return Limb(arm.name, placed.shoulder[:2], placed.elbow[:2], wrist, wrist + knuckle * palm, palm)
