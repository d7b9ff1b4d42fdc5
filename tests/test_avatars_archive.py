"""``.avatar`` files: what goes in comes out, and what must not come in does not."""

import io
import json
import stat
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from test_avatars_format import example_keypoints

from vcam_avatar.avatars import AvatarSettings, load_avatar
from vcam_avatar.avatars.archive import export_avatar, import_avatar
from vcam_avatar.avatars.format import write_avatar
from vcam_avatar.errors import AvatarDataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    picture = np.zeros((400, 320, 4), np.uint8)
    cv2.ellipse(picture, (160, 300), (70, 130), 0, 0, 360, (90, 120, 200, 255), -1)
    write_avatar(tmp_path / "made" / "ana", AvatarSettings(name="Ana"), picture, example_keypoints())
    return tmp_path / "made" / "ana"


@pytest.fixture
def good(folder: Path, tmp_path: Path) -> dict[str, bytes]:
    """Names and contents of a valid avatar file."""
    with zipfile.ZipFile(export_avatar(folder, tmp_path / "good.avatar")) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pack(
    path: Path, files: dict[str, bytes], entry: zipfile.ZipInfo | None = None, data: bytes = b""
) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        if entry is not None:
            archive.writestr(entry, data)
    return path


def test_round_trip(folder: Path, tmp_path: Path) -> None:
    (folder / "secret.key").write_text("not for others")
    packed = export_avatar(folder, tmp_path)
    assert packed == tmp_path / "ana.avatar"
    placed = import_avatar(packed, "bea", root=tmp_path / "own")
    assert placed == tmp_path / "own" / "bea"
    assert not (placed / "secret.key").exists()
    ours, theirs = load_avatar(folder), load_avatar(placed)
    np.testing.assert_array_equal(ours.picture_bgr, theirs.picture_bgr)
    np.testing.assert_array_equal(ours.points_px, theirs.points_px)
    with pytest.raises(AvatarDataError, match="already"):
        import_avatar(packed, "bea", root=tmp_path / "own")
    assert import_avatar(packed, "bea", root=tmp_path / "own", replace=True) == placed


@pytest.mark.parametrize(
    "name",
    ["../evil.png", "layers/../../evil.png", "/etc/evil.png", "..\\evil.png", "C:evil.png", "a/b.png",
     "layers/a/b.png", ".hidden.png", "evil.exe", "evil", "layers/evil.py", "a\nb.png", "x" * 200 + ".png",
     "layers./x.png"],
)  # fmt: skip
def test_dangerous_names(name: str, good: dict[str, bytes], tmp_path: Path) -> None:
    path = pack(tmp_path / "bad.avatar", good, zipfile.ZipInfo(name), b"x")
    with pytest.raises(AvatarDataError, match="refused"):
        import_avatar(path, root=tmp_path / "own")
    assert list((tmp_path / "own").iterdir()) == []
    assert not list(tmp_path.rglob("evil*"))


def test_links(good: dict[str, bytes], tmp_path: Path) -> None:
    entry = zipfile.ZipInfo("layers/core.png")
    entry.create_system = 3
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    path = pack(tmp_path / "link.avatar", good, entry, b"/etc/passwd")
    with pytest.raises(AvatarDataError, match="refused"):
        import_avatar(path, root=tmp_path / "own")


def test_bombs(good: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pack(tmp_path / "bomb.avatar", {**good, "notes.txt": bytes(8_000_000)})
    with pytest.raises(AvatarDataError, match="suspiciously"):
        import_avatar(path, root=tmp_path / "own")
    path = pack(tmp_path / "many.avatar", {**good, **{f"f{i}.txt": b"" for i in range(500)}})
    with pytest.raises(AvatarDataError, match="at most 400"):
        import_avatar(path, root=tmp_path / "own")
    monkeypatch.setattr("vcam_avatar.avatars.archive._MAX_TOTAL_BYTES", 1000)
    path = pack(tmp_path / "large.avatar", good)
    with pytest.raises(AvatarDataError, match="too much data"):
        import_avatar(path, root=tmp_path / "own")


def test_a_header_that_lies_about_the_size(good: dict[str, bytes], tmp_path: Path) -> None:
    path = pack(tmp_path / "liar.avatar", {**good, "notes.txt": b"A" * 3000})
    data = bytearray(path.read_bytes())
    # Both the local header and the directory claim 30 bytes.
    position = 0
    for marker, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        position = data.index(b"notes.txt") if marker == b"PK\x03\x04" else data.rindex(b"notes.txt")
        start = data.rindex(marker, 0, position)
        data[start + offset : start + offset + 4] = (30).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(AvatarDataError):
        import_avatar(path, root=tmp_path / "own")
    assert list((tmp_path / "own").iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda files: files.pop("avatar.toml"), "holds no avatar.toml"),
        (lambda files: files.pop("picture.png"), "picture.png is missing"),
        (lambda files: files.update({"picture.png": b"GIF89a"}), "is not a PNG"),
        (lambda files: files.update({"avatar.toml": b"name = 3"}), "name: .*string"),
        (lambda files: files.update({"keypoints.json": json.dumps([1]).encode()}), "expected the keys"),
        (lambda files: files.update({"layers/layers.json": b"{}"}), "layers.json"),
    ],
)
def test_content_is_checked(change: object, message: str, good: dict[str, bytes], tmp_path: Path) -> None:
    change(good)  # type: ignore[operator]
    path = pack(tmp_path / "odd.avatar", good)
    with pytest.raises(AvatarDataError, match=message):
        import_avatar(path, root=tmp_path / "own")
    assert list((tmp_path / "own").iterdir()) == []


def test_not_a_zip(tmp_path: Path, good: dict[str, bytes]) -> None:
    (tmp_path / "a.avatar").write_bytes(b"hello")
    with pytest.raises(AvatarDataError, match="not an avatar file"):
        import_avatar(tmp_path / "a.avatar", root=tmp_path / "own")
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("picture.png", good["picture.png"])
    data = bytearray(whole.getvalue())
    data[60] ^= 255
    (tmp_path / "b.avatar").write_bytes(data)
    with pytest.raises(AvatarDataError, match=r"damaged|no avatar"):
        import_avatar(tmp_path / "b.avatar", root=tmp_path / "own")
    with pytest.raises(AvatarDataError, match="does not exist"):
        import_avatar(tmp_path / "c.avatar", root=tmp_path / "own")
    with pytest.raises(AvatarDataError, match="cannot be an avatar's name"):
        import_avatar(tmp_path / "b.avatar", "../x", root=tmp_path / "own")
