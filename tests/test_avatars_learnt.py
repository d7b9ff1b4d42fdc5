"""What an avatar has learnt: stored whole, believed only with its picture, carried along, forgotten."""

import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from body_scene import HEIGHT, WIDTH, draw, keypoints, landmarks, points

from vcam_avatar import resources
from vcam_avatar.avatars import AvatarSettings, load_avatar
from vcam_avatar.avatars.archive import export_avatar, import_avatar
from vcam_avatar.avatars.create import repair_avatar
from vcam_avatar.avatars.format import write_avatar
from vcam_avatar.avatars.layers import save_layers
from vcam_avatar.avatars.layers_build import build_layers
from vcam_avatar.avatars.learnt import (
    FEATURES,
    LEARNT_FOLDER,
    About,
    Learnt,
    MotionTable,
    forget_learnt,
    load_learnt,
    save_learnt,
    usable_learnt,
)
from vcam_avatar.avatars.watch import fingerprint
from vcam_avatar.cli.main import main
from vcam_avatar.errors import AvatarDataError
from vcam_avatar.media import Size
from vcam_avatar.stages.body import BodyGenerator
from vcam_avatar.stages.body_learnt import features, read_motion

FIGURES = {"l1": 0.03, "psnr": 21.0, "ssim": 0.8, "hand_l1": 0.1, "hand_ssim": 0.5}


def table(nodes: int = 5, shift: float = 0.05) -> MotionTable:
    """The nose's way to the side moves everything to the side."""
    shifts = np.zeros((FEATURES, nodes, nodes, 2), np.float32)
    shifts[4, :, :, 0] = shift
    one = np.ones(FEATURES, np.float32)
    return MotionTable(shifts, one, -one, one)


@pytest.fixture(scope="module")
def learnt() -> Learnt:
    picture, mask = draw()
    layers = build_layers(picture, points(), landmarks(), mask, network=False)
    core = layers.core_bgra.copy()
    core[..., :3] = 255 - core[..., :3]
    about = About("me.mp4", "2026-11-25", 321, FIGURES, {**FIGURES, "psnr": 23.5})
    return Learnt(replace(layers, core_bgra=core), table(), about)


@pytest.fixture
def folder(tmp_path: Path, learnt: Learnt) -> Path:
    picture, mask = draw()
    folder = tmp_path / "own" / "ana"
    write_avatar(folder, AvatarSettings(name="Ana"), picture, keypoints(), mask)
    core = learnt.layers.core_bgra.copy()
    core[..., :3] = 255 - core[..., :3]
    save_layers(folder / "layers", replace(learnt.layers, core_bgra=core))
    save_learnt(folder, learnt)
    return folder


def test_it_comes_back_and_is_what_is_drawn(folder: Path, learnt: Learnt) -> None:
    back = load_learnt(folder)
    assert back is not None
    assert back.motion is not None
    assert learnt.motion is not None
    np.testing.assert_allclose(back.motion.shifts, learnt.motion.shifts, atol=1e-5)
    assert back.about == learnt.about
    assert [p.name for p in folder.parent.iterdir()] == ["ana"], "nothing is left beside it"
    generator, size = BodyGenerator(refine=False), Size(WIDTH, HEIGHT)
    with_it = generator.prepare(load_avatar(folder), size)
    assert with_it.motion is not None
    seen = fingerprint(folder)
    assert any(name.startswith("learnt/") for name, _, _ in seen), "the service on air notices"
    assert forget_learnt(folder)
    assert fingerprint(folder) != seen
    without = generator.prepare(load_avatar(folder), size)
    assert without.motion is None
    assert (with_it.core.texture != without.core.texture).any()
    assert not forget_learnt(folder)


def test_nothing_moves_at_rest_and_what_was_never_seen_is_not_extrapolated() -> None:
    rest, unit = points()[:, :2], 130.0
    motion = read_motion(table(), rest, rest, unit)
    still = rest.copy()
    motion.add(rest, still)
    np.testing.assert_array_equal(still, rest)
    shifts = []
    for way in (0.4, 1.0, 5.0):
        now, moved = rest.copy(), rest.copy()
        now[0, 0] += way * unit
        motion.add(now, moved)
        assert moved[5, 1] == rest[5, 1]
        shifts.append(float(moved[5, 0] - rest[5, 0]) / unit)
    np.testing.assert_allclose(shifts, [0.02, 0.05, 0.05], atol=1e-5)
    assert features(rest + 7.0, rest, unit).any() == np.False_, "the whole person moving is no pose"


@pytest.mark.parametrize("what", ["text", "motion", "core", "picture", "missing"])
def test_what_is_damaged_is_named_and_not_used(
    folder: Path, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    place = folder / LEARNT_FOLDER
    if what == "text":
        (place / "learnt.json").write_text("{")
    elif what == "motion":
        data = json.loads((place / "motion.json").read_text())
        data["shifts"][3] = 900.0
        (place / "motion.json").write_text(json.dumps(data))
    elif what == "core":
        (place / "core.png").write_bytes(b"no picture")
    elif what == "picture":
        (folder / "picture.png").write_bytes((folder / "picture.png").read_bytes() + b"\0")
    else:
        (place / "motion.json").unlink()
    with pytest.raises(AvatarDataError, match="learnt"):
        load_learnt(folder)
    with caplog.at_level(logging.WARNING):
        assert usable_learnt(folder) is None
    assert "as it was before" in caplog.text
    if what != "picture":
        assert any("forgotten" in line for line in repair_avatar(folder))
        assert not place.exists()


def test_it_travels_in_an_avatar_file(folder: Path, tmp_path: Path) -> None:
    placed = import_avatar(export_avatar(folder, tmp_path / "ana.avatar"), "bea", root=tmp_path / "there")
    there = load_learnt(placed)
    assert there is not None
    assert there.about.frames == 321


def test_show_tells_and_forget_removes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["avatars", "show", str(folder)]) == 0
    assert "me.mp4, 321 frames" in capsys.readouterr().out
    assert main(["train", "body", "--avatar", str(folder)]) == 0
    assert "nothing to learn from" in capsys.readouterr().out
    assert (folder / LEARNT_FOLDER).is_dir()
    assert main(["train", "body", "--avatar", str(folder), "--forget"]) == 0
    assert not (folder / LEARNT_FOLDER).exists()


def test_presets_stay_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["train", "body", "--avatar", str(resources.presets_dir() / "mia"), "--forget"])
    assert code == AvatarDataError.exit_code
    assert "avatars import mia.avatar" in capsys.readouterr().err
