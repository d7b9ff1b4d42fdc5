"""A hundred switches between real avatars while frames are made."""

import gc
import tracemalloc
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from doubles import make_stages

from vcam_avatar import resources
from vcam_avatar.avatars import find_avatar, load_avatar
from vcam_avatar.daemon.shelf import Shelf
from vcam_avatar.media import Size
from vcam_avatar.pipeline.loop import FrameLoop, PreparedAvatar, Stages
from vcam_avatar.pipeline.units import UnitSound
from vcam_avatar.stages.body import BodyGenerator
from vcam_avatar.stages.pose_retarget import Retargeter

SIZE = Size(192, 108)
FPS = Fraction(25)


class StillPose:
    """Keeps the start pose."""

    def reset(self, start_pose, seed):
        self._pose = start_pose

    def predict(self, unit):
        return self._pose


@pytest.mark.timeout(120)
def test_a_hundred_switches_miss_no_frame_and_keep_no_memory() -> None:
    doubles = make_stages(FPS)
    body = BodyGenerator()
    stages = Stages(doubles.features, StillPose(), body, doubles.face, doubles.compositor)

    def prepare(name: str) -> PreparedAvatar:
        avatar = load_avatar(find_avatar(name))
        pose = Retargeter(avatar.points_px).start_pose
        return PreparedAvatar(name, pose, body.prepare(avatar, SIZE), 1)

    names = sorted(path.parent.name for path in Path(resources.presets_dir()).glob("*/avatar.toml"))[:2]
    if len(names) < 2:
        pytest.skip("fewer than two presets")
    shelf = Shelf(lambda: names, prepare)
    loop = FrameLoop(stages, shelf.get(names[0]))
    shelf.get(names[1])
    units = (UnitSound(np.zeros(640, np.float32)) for _ in range(220))
    seen, images, measured = [], {}, []
    tracemalloc.start()
    for frame in loop.frames(units):
        seen.append(frame.index)
        assert frame.image_bgr.shape == (SIZE.height_px, SIZE.width_px, 3)
        if frame.index % 2 == 1:
            # The body of a unit is made ahead, so a switch shows in the frame after the next.
            images.setdefault(loop.avatar.name, frame.image_bgr.copy())
            other = names[(frame.index // 2 + 1) % 2]
            shelf.want(other, loop.switch, lambda error: pytest.fail(str(error)))
        if frame.index in (60, 210):
            gc.collect()
            measured.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    shelf.close()
    assert seen == list(range(220))
    assert np.abs(images[names[0]].astype(int) - images[names[1]]).mean() > 5
    assert measured[1] - measured[0] < 300_000
