"""Body data: one person in several poses, with layers, parts, depth, keypoints and flow."""

from typing import Any

import numpy as np

from vcam_avatar.factory.assets import AssetFolder
from vcam_avatar.factory.expressions import FaceState, neutral_face, sample_face, sample_gaze
from vcam_avatar.factory.faces import FLOW_STEP_PX, load_person, visible_in_source
from vcam_avatar.factory.gestures import BodyPose, open_pose, sample_pose
from vcam_avatar.factory.looks import sample_look
from vcam_avatar.factory.mesh import FloatArray
from vcam_avatar.factory.person import Person, Posed
from vcam_avatar.factory.renderer import Picture, Renderer, project
from vcam_avatar.factory.scene import Camera, frame_camera, sample_light
from vcam_avatar.factory.shards import Sample
from vcam_avatar.factory.truth import PARTS, full_body_px, landmarks_px
from vcam_avatar.media import ByteArray

SIZE_PX = 256
CLIP_FRAMES = 12
LAYERS = ("core", "right_arm", "left_arm")
"""Layers of a body, each complete behind what covers it."""
_ARM_START = 0.001
"""Where an arm's layer begins along the upper arm."""
_ARM_PARTS = [PARTS.index(name) for name in ("arm_skin", "hand", "sleeve")]
POSES = 10
"""Pictures of one person in a body sample."""
DEPTH_STEP_DM = 1 / 16


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
        box = self._arm_box(posed, cut) if cut[0] > 0 else None
        values = {**self.values, "gazeL": state.gaze_vector(), "gazeR": state.gaze_vector(), "armcut": cut}
        return renderer.draw(
            posed.render_positions, posed.render_normals, self.camera.matrix, values,
            outline_px=self.person.look.outline_px * self.size_px / 512, view=self.camera.view,
            source=None if source is None else (source.render_positions, self.camera.matrix), box_px=box,
        )  # fmt: skip

    def _arm_box(self, posed: Posed, cut: tuple[float, float, float]) -> tuple[int, int, int, int]:
        """Where an arm can be in the picture, px."""
        person = self.person
        arm, side = person.extra[:, 1], person.canonical[:, 0] * cut[2]
        points = project(
            posed.positions[(arm > -0.5) & (side >= 0)], self.camera.matrix, self.size_px, self.size_px
        )
        low, high = np.floor(points[:, :2].min(0) - 4), np.ceil(points[:, :2].max(0) + 4)
        (left, top), (right, bottom) = (np.clip(v, 0, self.size_px).astype(int).tolist() for v in (low, high))
        return left, top, max(right, left + 1), max(bottom, top + 1)


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
    """Which of the keypoints ``(57 or 67, 3)`` are not hidden: bool. Joints lie inside the body."""
    height, width = picture.depth.shape
    x, y = np.floor(points[:, 0]).astype(int), np.floor(points[:, 1]).astype(int)
    inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
    number = np.arange(len(points))
    radius = np.where((number < 15) | (number >= 57), 1.5, 0.28) * depth_per_dm
    return inside & (picture.depth[y, x] > points[:, 2] - radius)


def owner_of(picture: Picture) -> ByteArray:
    """As ``owners``, read off the whole picture's part map: uint8 ``(H, W)``."""
    arm = np.isin(picture.part, _ARM_PARTS)
    side = np.where(picture.canonical[..., 0] < 0, 2, 3)
    owner: ByteArray = np.where(arm, side, picture.part > 0).astype(np.uint8)
    return owner


def depth_steps(picture: Picture, camera: Camera, points: FloatArray) -> Any:
    """How far behind the neck in ``DEPTH_STEP_DM``: int8 ``(H, W)``, 127 where nothing is."""
    ahead = (picture.depth - points[1, 2]) / camera.depth_per_dm
    return np.where(picture.part > 0, np.clip(np.rint(ahead / DEPTH_STEP_DM), -127, 126), 127).astype(np.int8)


def body_sample(
    renderer: Renderer, seed: int, index: int, style: str, assets: AssetFolder, poses: int = POSES
) -> Sample:
    """One person in ``poses`` poses before one camera; the first picture is the source of the flow.

    Pictures, RGBA ``(256, 256)``: ``0`` ... and the layers of the first, each complete: ``0_core``,
    ``0_right_arm``, ``0_left_arm``. Arrays, K poses:
        keypoints float32 (K, 67, 3): ``full_body`` points, x, y px and 1 where visible;
        landmarks float32 (K, 68, 2); actions float32 (K, 52);
        parts uint8 (K, 256, 256), classes of ``truth.PARTS``;
        owner uint8 (K, 256, 256): layer in front, see ``owners``;
        order int (3,): layers of the first picture, back to front;
        depth int8 (K, 256, 256), see ``depth_steps``;
        flow int16 (K-1, 256, 256, 2): in 1/32 px, place in the first picture minus place in k + 1;
        valid uint8 (K-1, 256, 32): bits, 1 where the pixel is seen in the first picture too.
    """
    rng = np.random.default_rng([seed, index, 2])
    shot = BodyShot(rng, style, assets)
    load_person(renderer, shot.person)
    camera = shot.camera
    column, row = np.meshgrid(np.arange(SIZE_PX) + 0.5, np.arange(SIZE_PX) + 0.5)
    here = np.stack([column, row], 2).astype(np.float32)
    pictures: dict[str, ByteArray] = {}
    rows: dict[str, list[Any]] = {
        n: [] for n in ("keypoints", "landmarks", "actions", "parts", "owner", "depth", "flow", "valid")
    }
    source: Posed | None = None
    for number in range(poses):
        if source is None:
            state, posed = neutral_face(shot.gaze), shot.pose(shot.first, neutral_face(shot.gaze))
        else:
            pose = sample_pose(rng, shot.person)
            state = sample_face(rng, sample_gaze(rng, float(pose.head[0]), float(pose.head[1])))
            posed = shot.pose(pose, state)
        picture = shot.draw(renderer, posed, state, source)
        points = full_body_px(posed, camera.matrix, SIZE_PX, SIZE_PX)
        rows["depth"].append(depth_steps(picture, camera, points))
        points[:, 2] = visible_keypoints(points, picture, camera.depth_per_dm)
        rows["keypoints"].append(points)
        rows["landmarks"].append(landmarks_px(posed, camera.matrix, SIZE_PX, SIZE_PX))
        rows["actions"].append(state.vector())
        rows["parts"].append(picture.part)
        rows["owner"].append(owner_of(picture))
        pictures[str(number)] = picture.rgba
        if picture.flow is None:
            source, first = posed, picture
            layers = {n: shot.draw(renderer, posed, state, None, cut) for n, cut in layer_cuts().items()}
            pictures.update({f"0_{n}": layer.rgba for n, layer in layers.items()})
        else:
            move = np.where(picture.flow[..., 3:] > 0.5, picture.flow[..., :2] - here, 0) / FLOW_STEP_PX
            rows["flow"].append(np.clip(np.rint(move), -32767, 32767).astype(np.int16))
            seen = visible_in_source(picture.flow, first, 0.10 * camera.depth_per_dm)
            rows["valid"].append(np.packbits(seen, axis=1))
    middle = [float(np.median(p.depth[p.part > 0])) if p.part.any() else 1.0 for p in layers.values()]
    arrays: dict[str, Any] = {name: np.stack(values) for name, values in rows.items()}
    arrays["order"] = np.argsort(middle)[::-1].astype(np.int64)
    meta = {
        "seed": seed, "index": index, "style": shot.person.look.style, "flow_step_px": FLOW_STEP_PX,
        "depth_step_dm": DEPTH_STEP_DM,
    }  # fmt: skip
    return Sample(f"{index:07d}", arrays, pictures, meta)


def clip_sample(renderer: Renderer, seed: int, index: int, style: str, assets: AssetFolder) -> Sample:
    """A smooth run of ``CLIP_FRAMES`` frames of one person at about 12 per second.

    Pictures ``00`` ... RGBA ``(256, 256)``; arrays keypoints float32 (T, 67, 3), landmarks (T, 68, 2),
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
        p = full_body_px(posed, shot.camera.matrix, SIZE_PX, SIZE_PX)
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
