"""The configuration: order of its sources, strictness, messages."""

from fractions import Fraction
from pathlib import Path

import pytest
from pydantic import ValidationError

from vcam_avatar import config as module
from vcam_avatar.config import Config, changed, known_keys, load_config, parse_fps, parse_size
from vcam_avatar.errors import ConfigError
from vcam_avatar.media import Size


@pytest.fixture(autouse=True)
def _no_user_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "config_path", lambda: tmp_path / "user" / "config.toml")


def write(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text)
    return path


def test_defaults_then_file_then_flags(tmp_path: Path) -> None:
    assert load_config() == Config()
    path = write(tmp_path, 'avatar = "mia"\n[video]\nfps = 30\nsize = "640x360"\n[motion]\nseed = 5\n')
    loaded = load_config(path, {"video.fps": "50", "motion.seed": None})
    assert (loaded.avatar, loaded.video.fps, loaded.video.size) == ("mia", Fraction(50), Size(640, 360))
    assert loaded.motion.seed == 5


def test_the_platforms_file_is_used_when_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = write(tmp_path, "[video]\nfps = 12\n")
    monkeypatch.setattr(module, "config_path", lambda: path)
    assert load_config().video.fps == 12


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (10, Fraction(10)),
        (25.0, Fraction(25)),
        ("60", Fraction(60)),
        (29.97, Fraction(30_000, 1001)),
        ("29.97", Fraction(30_000, 1001)),
        ("30000/1001", Fraction(30_000, 1001)),
        (12.5, Fraction(25, 2)),
    ],
)
def test_fps(value: object, expected: Fraction) -> None:
    assert parse_fps(value) == expected


@pytest.mark.parametrize("value", [9, 61, "x", True, None, "1/0", [25], float("nan")])
def test_impossible_fps(value: object) -> None:
    with pytest.raises(ValueError, match=r"must|not a number"):
        parse_fps(value)


@pytest.mark.parametrize("value", ["1280", "1280x", "axb", "63x64", "1281x720", "9999x720", 5])
def test_impossible_size(value: object) -> None:
    with pytest.raises(ValueError, match=r"must|not a size"):
        parse_size(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("video = ", "not valid TOML"),
        ("[video]\nfsp = 25", r"unknown key video\.fsp; did you mean video\.fps"),
        ("nonsense = 1", "unknown key nonsense; known: avatar"),
        ("[video]\nfps = 5", r"video\.fps: must lie between 10 and 60"),
        ('[video]\nsize = "big"', r"video\.size: 'big' is not a size"),
        ("[voice]\nlook_ahead_ms = 30", r"voice\.look_ahead_ms"),
        ("[motion]\ngain = 3", r"motion\.gain"),
        ('[networks]\ndevice = "tpu"', r"networks\.device"),
    ],
)
def test_bad_files_name_file_and_key(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(path)
    assert str(path) in str(caught.value)


def test_a_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(b"\xef\xbb\xbf[video]\nfps = 30\n")
    assert load_config(path).video.fps == 30


def test_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path / "none.toml")


def test_flags_are_checked_too() -> None:
    with pytest.raises(ConfigError, match=r"command line: video\.fps"):
        load_config(None, {"video.fps": "100"})


def test_values_are_frozen_and_live_changes_make_copies() -> None:
    config = Config()
    with pytest.raises(ValidationError):
        config.video.fps = Fraction(30)  # type: ignore[misc]
    louder = changed(config, "voice.mouth_gain", "1.5")
    assert (louder.voice.mouth_gain, config.voice.mouth_gain) == (1.5, None)
    assert louder.video == config.video
    with pytest.raises(ConfigError, match="unknown key voice"):
        changed(config, "voice.volume", 1)


def test_known_keys_cover_every_section() -> None:
    assert {"avatar", "video.fps", "obs.scenes", "networks.device"} <= set(known_keys())
