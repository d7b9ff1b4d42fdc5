"""Hand data: hand, wrist and forearm of one person from many sides."""

from typing import Any

import numpy as np

from vcam_avatar.factory.assets import AssetFolder
from vcam_avatar.factory.faces import load_person
from vcam_avatar.factory.gestures import sample_hand
from vcam_avatar.factory.looks import sample_look
from vcam_avatar.factory.person import Person
from vcam_avatar.factory.renderer import Renderer, look_at, perspective, project
from vcam_avatar.factory.scene import sample_light
from vcam_avatar.factory.shards import Sample
from vcam_avatar.factory.skeleton import Rotations, curl_fingers, reach, unit
from vcam_avatar.factory.truth import keypoints_3d
from vcam_avatar.media import ByteArray

SIZE_PX = 128
VIEWS = 12
"""Views of a sample: six of each hand."""
_SPAN_DM = 3.1
"""What the crop shows, about the middle of the hand."""


def hand_sample(renderer: Renderer, seed: int, index: int, style: str, assets: AssetFolder) -> Sample:
    """Twelve views of a person's hands: left in the even ones, right in the odd ones.

    Pictures ``00`` ... RGBA ``(128, 128)``: forearm from its middle on, wrist and hand only.
    Arrays: points float32 (12, 21, 2) px; space float32 (12, 21, 3): view axes (x right, y down, z away),
    dm, wrist at the origin; side int (12,): 1 left, -1 right; parts uint8 (12, 128, 128);
    skin float32 (3,) RGB 0..1.
    """
    rng = np.random.default_rng([seed, index, 4])
    look = sample_look(rng, style, assets)
    person = Person(look)
    load_person(renderer, person)
    pictures: dict[str, ByteArray] = {}
    points, space, parts, sides = [], [], [], []
    for view in range(VIEWS):
        name, sign, first = ("L", 1.0, 15) if view % 2 == 0 else ("R", -1.0, 36)
        rotations: Rotations = {}
        shoulder = person.joints[person.model.bone[f"upperarm01.{name}"]].astype(np.float64)
        target = shoulder + np.array(
            [sign * rng.uniform(-1.0, 1.6), rng.uniform(-3.4, 2.0), rng.uniform(1.8, 3.8)]
        )
        reach(person.model, person.joints, name, target, unit(rng.normal(0, 1, 3)), rotations,
              flex=float(rng.normal(0, 0.3)), deviate=float(rng.normal(0, 0.15)))  # fmt: skip
        curl_fingers(
            person.model, person.joints, name, sample_hand(rng), float(rng.uniform(0, 0.14)), rotations
        )
        posed = person.pose(rotations)
        world = keypoints_3d(posed)[first : first + 21]
        at = world.mean(0)
        direction = unit([rng.normal(0, 0.35), rng.normal(0, 0.2), 1.0])
        distance = _SPAN_DM / 2 / np.tan(0.13)
        view_matrix = look_at(at + distance * direction, at)
        matrix = perspective(0.26, 1.0, distance * 0.3, distance * 2) @ view_matrix
        values = {
            **look.shading,
            **sample_light(rng),
            "eyepos": at + distance * direction,
            "armcut": (1.45, 9, sign),
        }
        picture = renderer.draw(
            posed.render_positions, posed.render_normals, matrix.astype(np.float32), values,
            outline_px=look.outline_px * 0.6, view=direction,
        )  # fmt: skip
        pictures[f"{view:02d}"] = picture.rgba
        points.append(project(world, matrix.astype(np.float32), SIZE_PX, SIZE_PX)[:, :2])
        space.append((world - world[0]) @ view_matrix[:3, :3].T * np.array([1, -1, -1]))
        parts.append(picture.part)
        sides.append(int(sign))
    arrays: dict[str, Any] = {
        "points": np.stack(points), "space": np.stack(space).astype(np.float32), "parts": np.stack(parts),
        "side": np.array(sides), "skin": np.array(look.shading["skin"], np.float32),
    }  # fmt: skip
    return Sample(f"{index:07d}", arrays, pictures, {"seed": seed, "index": index, "style": look.style})
