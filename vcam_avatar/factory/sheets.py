"""Contact sheets: what the factory draws, at a glance."""

import time
from dataclasses import dataclass

import numpy as np

from vcam_avatar.factory.assets import AssetFolder
from vcam_avatar.factory.bodies import BodyShot
from vcam_avatar.factory.expressions import sample_face, sample_gaze
from vcam_avatar.factory.faces import load_person
from vcam_avatar.factory.gestures import sample_pose
from vcam_avatar.factory.renderer import Renderer
from vcam_avatar.factory.scene import over, sample_background
from vcam_avatar.media import ByteArray


@dataclass(frozen=True, slots=True)
class Sheet:
    """A contact sheet and how fast it was made."""

    picture_rgb: ByteArray
    samples_per_hour: float
    """Drawn pictures per hour of processor time of this process, people made anew each time."""


def people_sheet(
    seed: int,
    count: int,
    style: str,
    assets: AssetFolder,
    *,
    size_px: int = 256,
    columns: int = 8,
    samples: int = 2,
) -> Sheet:
    """Random people in random poses, upper bodies, on soft backgrounds.

    Args:
        count: pictures; the last row is filled up with grey.
        samples: supersampling per axis.
    """
    renderer = Renderer(size_px, size_px, samples)
    tiles: list[ByteArray] = []
    start = time.process_time()
    for index in range(count):
        rng = np.random.default_rng([seed, index, 5])
        shot = BodyShot(rng, style, assets, size_px)
        load_person(renderer, shot.person)
        pose = sample_pose(rng, shot.person)
        state = sample_face(rng, sample_gaze(rng, float(pose.head[0]), float(pose.head[1])))
        picture = shot.draw(renderer, shot.pose(pose, state), state)
        tiles.append(over(picture.rgba, sample_background(rng, size_px, size_px)))
    spent = time.process_time() - start
    renderer.close()
    columns = min(columns, count)
    while len(tiles) % columns:
        tiles.append(np.full((size_px, size_px, 3), 128, np.uint8))
    rows = [np.hstack(tiles[k : k + columns]) for k in range(0, len(tiles), columns)]
    return Sheet(np.vstack(rows), count / max(spent, 1e-9) * 3600)


def rate(
    size_px: int, seed: int, assets: AssetFolder, people: int = 3, poses: int = 8, samples: int = 2
) -> float:
    """Samples per hour of processor time: ``poses`` poses of each person, with keypoints and part map."""
    from vcam_avatar.factory.truth import keypoints_px

    renderer = Renderer(size_px, size_px, samples)
    spent = 0.0
    for index in range(people + 1):
        start = time.process_time()
        rng = np.random.default_rng([seed, index, 6])
        shot = BodyShot(rng, "mixed", assets, size_px)
        load_person(renderer, shot.person)
        for _ in range(poses):
            state = sample_face(rng, shot.gaze)
            posed = shot.pose(sample_pose(rng, shot.person), state)
            shot.draw(renderer, posed, state)
            keypoints_px(posed, shot.camera.matrix, size_px, size_px)
        if index:  # the first one warms up
            spent += time.process_time() - start
    renderer.close()
    return people * poses / spent * 3600
