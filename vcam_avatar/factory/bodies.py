"""Body data: one person in two poses, with layers, parts, depth, keypoints and flow."""

from typing import Any

import numpy as np

from vcam_avatar.factory.assets import AssetFolder
from vcam_avatar.factory.expressions import FaceState, neutral_face, sample_face, sample_gaze
from vcam_avatar.factory.faces import FLOW_STEP_PX, load_person, visible_in_source
from vcam_avatar.factory.gestures import BodyPose, open_pose, sample_pose
from vcam_avatar.factory.looks import sample_look
from vcam_avatar.factory.mesh import FloatArray
from vcam_avatar.factory.person import Person, Posed
from vcam_avatar.factory.renderer import Picture, Renderer
from vcam_avatar.factory.scene import Camera, frame_camera, sample_light
from vcam_avatar.factory.shards import Sample
from vcam_avatar.factory.truth import keypoints_px, landmarks_px
from vcam_avatar.media import ByteArray

SIZE_PX = 256
CLIP_FRAMES = 12
LAYERS = ("core", "right_arm", "left_arm")
"""Layers of a body, each complete behind what covers it."""
_ARM_START = 0.02
"""Where an arm's layer begins along the upper arm."""


class BodyShot:
    """A person before a camera; the camera and the light stay."""

    def __init__(
        self, rng: np.random.Generator, style: str, assets: AssetFolder, size_px: int = SIZE_PX
    ) -> None:
        self.size_px = size_px
        self.person = Person(sample_look(rng, style, assets))
        self.first = open_pose(rng, self.person) if rng.random() < 0.5 else sample_pose(rng, self.person)
        self.gaze = sample_gaze(rng, float(self.first.head[0]), float(self.first.head[1]))
        rest = self.person.pose(self.first.rotations(self.person))
        self.camera: Camera = frame_camera(rest, "half", 1.0, rng)
        self.values: dict[str, Any] = {
            **self.person.look.shading, **sample_light(rng), "eyepos": self.camera.eye
        }  # fmt: skip

    def pose(self, pose: BodyPose, state: FaceState) -> Posed:
        """Move the person."""
        return self.person.pose(pose.rotations(self.person), state.actions)

    def draw(
        self,
        renderer: Renderer,
        posed: Posed,
        state: FaceState,
        source: Posed | None = None,
        cut: tuple[float, float, float] = (-9, 9, 0),
    ) -> Picture:
        """Draw a pose; ``cut`` keeps a stretch of the arms, see the shaders."""
        values = {**self.values, "gazeL": state.gaze_vector(), "gazeR": state.gaze_vector(), "armcut": cut}
        return renderer.draw(
            posed.render_positions, posed.render_normals, self.camera.matrix, values,
            outline_px=self.person.look.outline_px * self.size_px / 512, view=self.camera.view,
            source=None if source is None else (source.render_positions, self.camera.matrix),
        )  # fmt: skip


def layer_cuts() -> dict[str, tuple[float, float, float]]:
    """``armcut`` of every layer."""
    return {"core": (-9, _ARM_START, 0), "right_arm": (_ARM_START, 9, -1), "left_arm": (_ARM_START, 9, 1)}


def owners(layers: dict[str, Picture]) -> ByteArray:
    """Which layer is in front at every pixel: index into ``LAYERS`` + 1, 0 for none: uint8 ``(H, W)``."""
    depth = np.stack([np.where(layers[n].rgba[..., 3] > 0, layers[n].depth, 2.0) for n in LAYERS])
    front: ByteArray = (np.argmin(depth, 0) + 1).astype(np.uint8)
    front[(depth > 1.5).all(0)] = 0
    return front


def composite(layers: dict[str, ByteArray], owner: ByteArray) -> ByteArray:
    """Layers (straight alpha RGBA) back into one picture: what owns a pixel lies over the others."""
    out = np.zeros((*owner.shape, 4), np.float32)
    for turn in (False, True):
        for number, name in enumerate(LAYERS, 1):
            picture = layers[name].astype(np.float32) / 255
            use = (owner == number) == turn
            alpha = np.where(use, picture[..., 3], 0)[..., None]
            out[..., :3] = picture[..., :3] * alpha + out[..., :3] * (1 - alpha)
            out[..., 3:] = alpha + out[..., 3:] * (1 - alpha)
    colour = out[..., :3] / np.maximum(out[..., 3:], 1e-3)
    joined: ByteArray = np.rint(np.concatenate([np.clip(colour, 0, 1), out[..., 3:]], 2) * 255).astype(
        np.uint8
    )
    return joined


def visible_keypoints(points: FloatArray, picture: Picture, depth_per_dm: float) -> Any:
    """Which of the 57 keypoints ``(57, 3)`` are not hidden: bool ``(57,)``. Joints lie inside the body."""
    height, width = picture.depth.shape
    x, y = np.floor(points[:, 0]).astype(int), np.floor(points[:, 1]).astype(int)
    inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
    radius = np.where(np.arange(len(points)) < 15, 1.5, 0.28) * depth_per_dm
    return inside & (picture.depth[y, x] > points[:, 2] - radius)


def body_sample(renderer: Renderer, seed: int, index: int, style: str, assets: AssetFolder) -> Sample:
    """One person in a source pose and a target pose.

    Pictures, RGBA ``(256, 256)``: ``source``, ``target``, and the target's layers ``core``, ``right_arm``,
    ``left_arm``, each complete. Arrays (2 = source, target):
        keypoints float32 (2, 57, 3): x, y px and 1 where visible; landmarks float32 (2, 68, 2);
        parts uint8 (2, 256, 256), classes of ``truth.PARTS``; depth float16 (256, 256) of the target;
        owner uint8 (256, 256): layer in front, see ``owners``; order int (3,): layers back to front;
        flow int16 (256, 256, 2): source minus target position in 1/32 px; valid uint8 (256, 32): bits;
        actions float32 (2, 52).
    """
    rng = np.random.default_rng([seed, index, 2])
    shot = BodyShot(rng, style, assets)
    load_person(renderer, shot.person)
    second = sample_pose(rng, shot.person)
    gaze = sample_gaze(rng, float(second.head[0]), float(second.head[1]))
    states = [neutral_face(shot.gaze), sample_face(rng, gaze)]
    poses = [shot.pose(shot.first, states[0]), shot.pose(second, states[1])]
    source = shot.draw(renderer, poses[0], states[0])
    target = shot.draw(renderer, poses[1], states[1], poses[0])
    layers = {n: shot.draw(renderer, poses[1], states[1], None, cut) for n, cut in layer_cuts().items()}
    assert target.flow is not None
    column, row = np.meshgrid(np.arange(SIZE_PX) + 0.5, np.arange(SIZE_PX) + 0.5)
    move = np.where(target.flow[..., 3:] > 0.5, target.flow[..., :2] - np.stack([column, row], 2), 0)
    seen = visible_in_source(target.flow, source, 0.10 * shot.camera.depth_per_dm)
    owner = owners(layers)
    mean_depth = [
        float(np.median(p.depth[p.part > 0])) if (p.part > 0).any() else 1.0 for p in layers.values()
    ]
    points = [keypoints_px(p, shot.camera.matrix, SIZE_PX, SIZE_PX) for p in poses]
    for p, picture in zip(points, (source, target), strict=True):
        p[:, 2] = visible_keypoints(p, picture, shot.camera.depth_per_dm)
    arrays: dict[str, Any] = {
        "keypoints": np.stack(points),
        "landmarks": np.stack([landmarks_px(p, shot.camera.matrix, SIZE_PX, SIZE_PX) for p in poses]),
        "parts": np.stack([source.part, target.part]), "depth": target.depth.astype(np.float16),
        "owner": owner, "order": np.argsort(mean_depth)[::-1].astype(np.int64),
        "flow": np.clip(np.rint(move / FLOW_STEP_PX), -32767, 32767).astype(np.int16),
        "valid": np.packbits(seen, axis=1), "actions": np.stack([s.vector() for s in states]),
    }  # fmt: skip
    pictures = {"source": source.rgba, "target": target.rgba, **{n: p.rgba for n, p in layers.items()}}
    meta = {"seed": seed, "index": index, "style": shot.person.look.style, "flow_step_px": FLOW_STEP_PX}
    return Sample(f"{index:07d}", arrays, pictures, meta)


def clip_sample(renderer: Renderer, seed: int, index: int, style: str, assets: AssetFolder) -> Sample:
    """A smooth run of ``CLIP_FRAMES`` frames of one person at about 12 per second.

    Pictures ``00`` ... RGBA ``(256, 256)``; arrays keypoints float32 (T, 57, 3), landmarks (T, 68, 2),
    actions (T, 52), parts uint8 (T, 256, 256).
    """
    rng = np.random.default_rng([seed, index, 3])
    shot = BodyShot(rng, style, assets)
    load_person(renderer, shot.person)
    keys = [shot.first, sample_pose(rng, shot.person)]
    faces = [sample_face(rng, shot.gaze) for _ in range(CLIP_FRAMES // 2 + 1)]
    pictures: dict[str, ByteArray] = {}
    points, marks, actions, parts = [], [], [], []
    for frame in range(CLIP_FRAMES):
        place = frame / (CLIP_FRAMES - 1) * (len(keys) - 1)
        k = min(int(place), len(keys) - 2)
        ease = (place - k) ** 2 * (3 - 2 * (place - k))
        a, b = faces[frame // 2], faces[frame // 2 + 1]
        half = (frame % 2) / 2
        names = {*a.actions, *b.actions}
        mixed = {n: a.actions.get(n, 0.0) * (1 - half) + b.actions.get(n, 0.0) * half for n in names}
        state = FaceState(mixed, a.gaze_rad)
        posed = shot.pose(keys[k].mixed(keys[k + 1], ease), state)
        picture = shot.draw(renderer, posed, state)
        p = keypoints_px(posed, shot.camera.matrix, SIZE_PX, SIZE_PX)
        p[:, 2] = visible_keypoints(p, picture, shot.camera.depth_per_dm)
        points.append(p)
        marks.append(landmarks_px(posed, shot.camera.matrix, SIZE_PX, SIZE_PX))
        actions.append(state.vector())
        parts.append(picture.part)
        pictures[f"{frame:02d}"] = picture.rgba
    arrays: dict[str, Any] = {
        "keypoints": np.stack(points), "landmarks": np.stack(marks), "actions": np.stack(actions),
        "parts": np.stack(parts),
    }  # fmt: skip
    meta = {"seed": seed, "index": index, "style": shot.person.look.style}
    return Sample(f"{index:07d}", arrays, pictures, meta)
