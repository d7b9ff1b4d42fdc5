"""``vcam-avatar avatars``, from the command line to the files."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vcam_avatar import resources
from vcam_avatar.avatars import load_avatar
from vcam_avatar.avatars.layers import load_layers
from vcam_avatar.cli.main import main

skimage_data = pytest.importorskip("skimage.data")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(resources, "user_data_dir", lambda: tmp_path / "data")
    Image.fromarray(skimage_data.astronaut()).resize((320, 320)).save(tmp_path / "eileen.png")
    return tmp_path


def test_from_a_picture_to_a_shared_file(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = str(home / "eileen.png")
    assert main(["avatars", "create", picture, "--framing", "bust", "--background", "#112233"]) == 0
    said = capsys.readouterr()
    assert "avatar eileen is ready" in said.out
    assert "note: the hands were not found" in said.err
    avatar = load_avatar(home / "data" / "avatars" / "eileen")
    assert avatar.settings.framing == "bust"
    assert avatar.settings.background.colour_bgr == (0x33, 0x22, 0x11)

    assert main(["avatars", "create", picture]) == 5
    assert "already" in capsys.readouterr().err

    assert main(["avatars", "list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["eileen"]["preset"] is False
    assert all(row["problem"] == "" for row in rows.values())

    assert main(["avatars", "show", "eileen"]) == 0
    assert "hands seen   none" in capsys.readouterr().out

    packed = home / "e.avatar"
    assert main(["avatars", "export", "eileen", str(packed)]) == 0
    assert main(["avatars", "import", str(packed), "--name", "again"]) == 0
    (home / "data" / "avatars" / "again" / "keypoints.json").unlink()
    capsys.readouterr()
    assert main(["avatars", "repair", "again"]) == 0
    assert "found anew" in capsys.readouterr().out
    assert main(["avatars", "remove", "again"]) == 0
    assert not (home / "data" / "avatars" / "again").exists()


def test_template_then_points(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    points = home / "points.txt"
    picture = str(home / "eileen.png")
    assert main(["avatars", "create", picture, "--points-template", str(points)]) == 0
    assert not (home / "data").exists()
    text = points.read_text().replace("chin", "chim")
    points.write_text(text)
    assert main(["avatars", "create", picture, "--points", str(points)]) == 5
    assert "unknown name 'chim'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["create", "none.png"], 3, "does not exist"),
        (["create", "none.png", "--background", "plaid"], 2, "background.kind"),
        (["create", "none.png", "--name", "../up"], 5, "cannot be an avatar's name"),
        (["show", "nobody-of-this-name"], 5, "there is no avatar"),
        (["remove", "noah"], 5, "presets cannot be removed"),
        (["remove", "../.."], 5, "cannot be an avatar's name"),
        (["import", "none.avatar"], 5, "does not exist"),
    ],
)
def test_mistakes_are_named(
    arguments: list[str], status: int, message: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["avatars", *arguments]) == status
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said


PRESETS = sorted(path.parent.name for path in resources.presets_dir().glob("*/avatar.toml"))


@pytest.mark.parametrize("entry", PRESETS)
def test_every_preset_is_whole(entry: str) -> None:
    avatar = load_avatar(resources.presets_dir() / entry)
    layers = load_layers(avatar.layers_folder)
    assert avatar.settings.licence
    assert avatar.settings.source
    assert (avatar.folder / "thumbnail.png").is_file()
    ratio = layers.size.width_px / layers.size.height_px
    assert ratio == pytest.approx(avatar.keypoints.size.width_px / avatar.keypoints.size.height_px, rel=0.01)
    assert np.median(layers.core_bgra[..., 3][layers.core_bgra[..., 3] > 0]) == 255
