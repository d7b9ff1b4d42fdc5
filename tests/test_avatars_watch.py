"""Edits are noticed once, and only when they are complete."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from vcam_avatar import resources
from vcam_avatar.avatars import load_avatar
from vcam_avatar.avatars.layers import load_layers
from vcam_avatar.avatars.watch import AvatarWatch, array_bytes, loaded_bytes


def write(path: Path, text: str, age_s: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, ns=(10**18 + age_s, 10**18 + age_s))


def test_an_edit_is_told_once_and_when_it_lies_still(tmp_path: Path) -> None:
    write(tmp_path / "ana" / "avatar.toml", "a")
    write(tmp_path / "bea" / "avatar.toml", "b")
    watch = AvatarWatch(lambda: {p.name: p for p in sorted(tmp_path.iterdir())})
    assert watch.poll() == set()
    write(tmp_path / "ana" / "avatar.toml", "changed", 1)
    assert watch.poll() == set()
    write(tmp_path / "ana" / "avatar.toml", "changed more", 2)
    assert watch.poll() == set()
    assert watch.poll() == {"ana"}
    assert watch.poll() == set()


def test_new_and_removed_avatars(tmp_path: Path) -> None:
    write(tmp_path / "ana" / "avatar.toml", "a")
    watch = AvatarWatch(lambda: {p.name: p for p in sorted(tmp_path.iterdir())})
    write(tmp_path / "new" / "avatar.toml", "n")
    assert watch.poll() == set()
    assert watch.poll() == {"new"}
    (tmp_path / "ana" / "avatar.toml").unlink()
    (tmp_path / "ana").rmdir()
    assert watch.poll() == set()
    assert watch.poll() == {"ana"}
    assert watch.poll() == set()


def test_arrays_are_counted_once() -> None:
    @dataclass(frozen=True, slots=True)
    class Thing:
        image: np.ndarray
        parts: dict[str, object]

    image = np.zeros((10, 10), np.float32)
    assert array_bytes(Thing(image, {"view": image[2:], "other": [np.zeros(7, np.uint8)]})) == 407


@pytest.mark.parametrize("preset", ["mia", "noah"])
def test_memory_told_from_headers_is_what_loading_takes(preset: str, tmp_path: Path) -> None:
    folder = resources.presets_dir() / preset
    avatar = load_avatar(folder)
    assert loaded_bytes(folder) == avatar.memory_bytes + array_bytes(load_layers(avatar.layers_folder))
    (tmp_path / "picture.png").write_bytes(b"not a picture at all, and longer than a header")
    assert loaded_bytes(tmp_path) == 0
