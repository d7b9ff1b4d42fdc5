"""Face data: several expressions of one head, with the exact flow from the neutral face."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from vcam_avatar.factory.assets import AssetFolder
from vcam_avatar.factory.expressions import FaceState, neutral_face, sample_face, sample_gaze
from vcam_avatar.factory.looks import sample_look
from vcam_avatar.factory.mesh import FloatArray
from vcam_avatar.factory.person import Person, Posed
from vcam_avatar.factory.renderer import Picture, Renderer, crop_projection, project
from vcam_avatar.factory.scene import Camera, frame_camera, sample_light
from vcam_avatar.factory.shards import Sample
from vcam_avatar.factory.skeleton import Rotations, bend_body
from vcam_avatar.factory.truth import landmarks_3d, landmarks_px
from vcam_avatar.media import face_crop_matrix

CROP_PX = 160
"""Side of the unit face crop in a sample: what the face network (``training.face``) sees."""
MARGIN_PX = 20
"""Kept around the unit crop on every side, for jitter."""
SIZE_PX = CROP_PX + 2 * MARGIN_PX
FLOW_STEP_PX = 1 / 32
"""Flow is stored as int16 in these steps."""
_VIRTUAL_PX = 1000


def load_person(renderer: Renderer, person: Person) -> None:
    """Hand a person's fixed data to the renderer."""
    v = person.render_vertex
    renderer.load(
        person.render_faces, person.line_faces, person.canonical[v], person.extra[v], person.material[v],
        person.render_uv, person.look.textures, person.look.shading,
    )  # fmt: skip


@dataclass(slots=True)
class FaceShot:
    """A head before a camera, ready to make faces."""

    person: Person
    rotations: Rotations
    camera: Camera
    matrix: FloatArray
    """Projection into the enlarged crop of ``SIZE_PX``."""
    values: dict[str, Any]
    """Shader values that stay."""
    outline_px: float
    crop: FloatArray
    """(2, 3) unit crop -> px of the virtual 1000 px picture the crop was cut from."""

    def draw(
        self, renderer: Renderer, state: FaceState, source: Posed | None = None
    ) -> tuple[Posed, Picture]:
        """Make a face; with ``source`` the picture says where each pixel lies in that one."""
        posed = self.person.pose(self.rotations, state.actions)
        values = {**self.values, "gazeL": state.gaze_vector(), "gazeR": state.gaze_vector()}
        picture = renderer.draw(
            posed.render_positions, posed.render_normals, self.matrix, values, outline_px=self.outline_px,
            view=self.camera.view, source=None if source is None else (source.render_positions, self.matrix),
        )  # fmt: skip
        return posed, picture


def make_shot(
    rng: np.random.Generator, style: str, assets: AssetFolder, neutral: FaceState | None = None
) -> FaceShot:
    """A random head, camera and light; the crop follows the neutral face's landmarks."""
    person = Person(sample_look(rng, style, assets))
    head = np.clip(rng.normal(0, [0.20, 0.09, 0.07]), [-0.55, -0.28, -0.2], [0.55, 0.28, 0.2])
    rotations: Rotations = {}
    bend_body(rotations, (0, 0, 0), head)
    posed = person.pose(rotations, neutral.actions if neutral else None)
    camera = frame_camera(posed, "head", 1.0, rng, fov_rad=float(rng.uniform(0.2, 0.55)))
    landmarks = landmarks_px(posed, camera.matrix, _VIRTUAL_PX, _VIRTUAL_PX)
    crop = face_crop_matrix(landmarks)
    grow = SIZE_PX / CROP_PX
    shift = -MARGIN_PX / CROP_PX
    enlarged = crop @ np.array([[grow, 0, shift], [0, grow, shift], [0, 0, 1]], np.float32)
    matrix = crop_projection(camera.matrix, _VIRTUAL_PX, _VIRTUAL_PX, enlarged)
    values = {**person.look.shading, **sample_light(rng), "eyepos": camera.eye}
    return FaceShot(person, rotations, camera, matrix, values, person.look.outline_px * 0.7, crop)


def visible_in_source(flow: FloatArray, source: Picture, tolerance: float) -> Any:
    """Which target pixels are seen in the source too: bool ``(H, W)``.

    Args:
        flow: of the target picture, see ``Picture.flow``.
        tolerance: in depth-buffer units.
    """
    height, width = flow.shape[:2]
    x, y = np.floor(flow[..., 0]).astype(int), np.floor(flow[..., 1]).astype(int)
    inside = (x >= 0) & (y >= 0) & (x < width) & (y < height) & (flow[..., 3] > 0.5)
    x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
    return inside & (np.abs(source.depth[y, x] - flow[..., 2]) < tolerance) & (source.part[y, x] > 0)


def face_sample(
    renderer: Renderer, seed: int, index: int, style: str, assets: AssetFolder, expressions: int = 6
) -> Sample:
    """One identity with ``expressions`` faces; the first is neutral in half of the samples, else any face.

    Pictures ``0`` .. ``K-1``: RGBA ``(200, 200)``; the unit face crop is their central 160 px.
    Arrays, K expressions:
        actions float32 (K, 52); gaze float32 (K, 2) rad; landmarks float32 (K, 68, 2) px;
        parts uint8 (K, 200, 200), classes of ``truth.PARTS``;
        flow int16 (K-1, 200, 200, 2): source minus target position in 1/32 px, from face k to the
            first;
        valid uint8 (K-1, 200, 25): bits, 1 where the pixel is seen in the first picture too;
    """
    rng = np.random.default_rng([seed, index])
    gaze_seed = sample_gaze(rng)
    # The avatar's picture may smile or speak: half of the sources do (asked for by the face network).
    neutral = neutral_face(gaze_seed) if rng.random() < 0.5 else sample_face(rng, gaze_seed)
    shot = make_shot(rng, style, assets, neutral)
    load_person(renderer, shot.person)
    states = [neutral, *(sample_face(rng, gaze_seed) for _ in range(expressions - 1))]
    pictures: list[Picture] = []
    landmarks: list[FloatArray] = []
    flows: list[Any] = []
    valid: list[Any] = []
    source: Posed | None = None
    column, row = np.meshgrid(np.arange(SIZE_PX) + 0.5, np.arange(SIZE_PX) + 0.5)
    here = np.stack([column, row], 2)
    for state in states:
        posed, picture = shot.draw(renderer, state, source)
        landmarks.append(project(landmarks_3d(posed), shot.matrix, SIZE_PX, SIZE_PX)[:, :2])
        if picture.flow is not None:
            seen = visible_in_source(picture.flow, pictures[0], 0.06 * shot.camera.depth_per_dm)
            move = np.where(picture.flow[..., 3:] > 0.5, picture.flow[..., :2] - here, 0)
            flows.append(np.clip(np.rint(move / FLOW_STEP_PX), -32767, 32767).astype(np.int16))
            valid.append(np.packbits(seen, axis=1))
        else:
            source = posed
        pictures.append(picture)
    look = shot.person.look
    meta = {
        "seed": seed, "index": index, "style": look.style, "toon": look.shading["toon"],
        "hair": look.hair if look.hair in ("shell", None) else look.hair.parent.name,  # type: ignore[union-attr]
        "gear": list(look.gear), "flow_step_px": FLOW_STEP_PX, "margin_px": MARGIN_PX,
    }  # fmt: skip
    arrays: dict[str, Any] = {
        "actions": np.stack([s.vector() for s in states]),
        "gaze": np.array([s.gaze_rad for s in states], np.float32),
        "landmarks": np.stack(landmarks), "parts": np.stack([p.part for p in pictures]),
        "flow": np.stack(flows), "valid": np.stack(valid),
    }  # fmt: skip
    return Sample(f"{index:07d}", arrays, {str(k): p.rgba for k, p in enumerate(pictures)}, meta)
