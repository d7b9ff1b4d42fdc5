"""An avatar learns what a clip shows and its picture hides; people and clips are painted."""

from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from body_scene import CLOTH, HEIGHT, SKIN, WIDTH, draw, landmarks, points

from vcam_avatar.avatars.layers_build import build_layers
from vcam_avatar.errors import AvatarDataError, MediaError
from vcam_avatar.stages.body import BodyGenerator
from vcam_avatar.training.body_learn import learn
from vcam_avatar.training.learn_clip import Clip, Track, lay_over, read_video
from vcam_avatar.training.learn_scene import Scene

pytestmark = pytest.mark.train
BADGE, BADGE_PX = (30, 30, 90), (198, 256)
"""Wholly behind the right forearm in the picture."""
STILL = np.array([[1, 0, 0], [0, 1, 0]], np.float32)


def jpeg(image: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


def poses(count: int) -> np.ndarray:
    """Hands before the belly that go up and outwards and back, float32 (count, 57, 2)."""
    out = np.repeat(points()[None, :, :2], count, 0)
    for k in range(count):
        for outward, shoulder, elbow, wrist, hand in ((-1, 2, 3, 4, 36), (1, 5, 6, 7, 15)):
            turn = 0.5 - 0.5 * np.cos(k * 0.37 + outward)
            ends = out[k, shoulder] + [
                [outward * 30, 92],
                [outward * (-40 + 130 * turn), 112 - 70 * turn],
            ]
            fingers = (out[k, hand : hand + 21] - out[k, wrist]) * [1, -1 if turn > 0.6 else 1]
            out[k, elbow], out[k, wrist] = ends
            out[k, hand : hand + 21] = ends[1] + fingers
    return out


def photo(pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The person of ``body_scene`` with a badge and arms at ``pose``: picture and mask."""
    image, mask = draw(arms=False)
    image, mask = image.copy(), mask.copy()
    cv2.circle(image, BADGE_PX, 10, BADGE, -1)

    def line(a: np.ndarray, b: np.ndarray, colour: tuple[int, int, int], width: int) -> None:
        ends = [tuple(int(v) for v in p) for p in (a, b)]
        cv2.line(image, ends[0], ends[1], colour, width)
        cv2.line(mask, ends[0], ends[1], 255, width)

    for s, e, w, h in ((2, 3, 4, 36), (5, 6, 7, 15)):
        line(pose[s], pose[e], CLOTH, 36)
        line(pose[e], pose[w], SKIN, 26)
        for tip in (4, 8, 12, 16, 20):
            line(pose[h], pose[h + tip], SKIN, 8)
    return image, mask


@pytest.fixture(scope="module")
def scene() -> Scene:
    """In the picture an arm hides the badge; the clip shows it."""
    moved = poses(60)
    seen = np.concatenate([moved[3], np.ones((57, 1), np.float32)], 1)
    picture, mask = photo(moved[3])
    layers = build_layers(picture, seen, landmarks(), mask, network=False)
    shots = [photo(pose) for pose in moved]
    clip = Clip([jpeg(image) for image, _ in shots], moved, STILL, np.ones(3, np.float32), True)
    known = {k: shot for k, (_, shot) in enumerate(shots)}
    generator = BodyGenerator(refine=False)
    return Scene(generator, layers, np.dstack([picture, mask]), seen, landmarks(), clip, {}, known)


def test_held_out_frames_become_better(scene: Scene) -> None:
    result = learn(scene, list(range(48)), list(range(48, 60)), lambda _: None)
    assert result.better
    assert result.after["psnr"] > result.before["psnr"]
    x, y = BADGE_PX
    hidden = np.s_[y - 5 : y + 6, x - 5 : x + 6]
    before, after = (
        float(np.abs(layers.core_bgra[hidden][..., :3] - np.array(BADGE, float)).mean())
        for layers in (scene.layers, result.layers)
    )
    assert before > 30, "the picture does not show the badge"
    assert after < 12


def test_another_person_is_refused(scene: Scene) -> None:
    strange = replace(scene.clip, jpegs=[jpeg(np.full((HEIGHT, WIDTH, 3), 250, np.uint8))] * 60)
    other = replace(scene, clip=strange, _frames={}, _masks={})
    with pytest.raises(AvatarDataError, match="does not look like"):
        learn(other, list(range(48)), list(range(48, 60)), lambda _: None)


def test_frames_of_another_size_are_laid_over_the_picture() -> None:
    picture, _ = draw()
    rng = np.random.default_rng(4)
    picture = cv2.addWeighted(picture, 0.7, rng.integers(0, 255, picture.shape, np.uint8), 0.3, 0)
    smaller = cv2.resize(picture, None, fx=0.8, fy=0.8, interpolation=cv2.INTER_AREA)
    seen = np.concatenate([poses(40) * 0.8, np.ones((40, 57, 1))], -1).astype(np.float32)
    seen[::4] = 0  # nobody
    clip = lay_over(Track([jpeg(smaller)] * 40, seen), picture, points(), least=20)
    assert len(clip) == 30
    assert clip.same_place
    np.testing.assert_allclose(clip.to_picture[:, :2], np.eye(2) / 0.8, atol=0.01)
    np.testing.assert_allclose(clip.points[0, 2], poses(2)[1, 2], atol=1.5)
    with pytest.raises(AvatarDataError, match="half a minute"):
        lay_over(Track([jpeg(smaller)] * 40, seen), picture, points(), least=31)


def test_videos_are_read_evenly_and_reduced(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height = 320, 240
        for k in range(40):
            image = np.full((240, 320, 3), 4 * k, np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    frames = list(read_video(path, 10, longest_px=160))
    assert [number for number, _ in frames] == list(range(0, 40, 4))
    assert frames[0][1].shape == (120, 160, 3)
    assert abs(float(frames[5][1].mean()) - 80) < 8
    (tmp_path / "no.mp4").write_bytes(b"text")
    with pytest.raises(MediaError):
        list(read_video(tmp_path / "no.mp4", 10))
