"""Avatars as one file to share: ``.avatar``, a zip of the folder, opened with distrust."""

import shutil
import stat
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

from vcam_avatar.avatars.format import (
    LAYERS_FOLDER,
    check_name,
    load_avatar,
    user_avatars_dir,
)
from vcam_avatar.avatars.layers import load_layers
from vcam_avatar.avatars.learnt import LEARNT_FOLDER, load_learnt
from vcam_avatar.avatars.settings import SETTINGS_FILE
from vcam_avatar.errors import AvatarDataError

SUFFIX = ".avatar"
_MAX_FILES = 400
_MAX_FILE_BYTES = 64_000_000
_MAX_TOTAL_BYTES = 256_000_000
_MAX_RATIO = 200
"""Uncompressed over compressed bytes; pictures and short texts stay far below."""
_TYPES = {".toml", ".json", ".png", ".jpg", ".jpeg", ".txt", ".md"}
_MAX_NAME = 120


def export_avatar(folder: Path, target: Path) -> Path:
    """Pack an avatar's folder into ``target``; ``.avatar`` is appended when it has no suffix.

    Raises:
        AvatarDataError: the avatar is damaged, or the file cannot be written.
    """
    load_avatar(folder)
    if target.is_dir():
        target = target / folder.name
    if not target.suffix:
        target = target.with_suffix(SUFFIX)
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and path.suffix.lower() in _TYPES and not path.is_symlink()
    )
    partial = target.with_name(target.name + ".part")
    try:
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in files:
                archive.write(path, path.relative_to(folder).as_posix())
        partial.replace(target)
    except OSError as exc:
        partial.unlink(missing_ok=True)
        raise AvatarDataError(f"{target} cannot be written: {exc}") from exc
    return target


def import_avatar(path: Path, name: str = "", *, root: Path | None = None, replace: bool = False) -> Path:
    """Unpack an ``.avatar`` file into the user's avatars; nothing is left behind when it is refused.

    Args:
        path: the file; nothing in it is trusted.
        name: folder name; by default from the file's name.
        root: where to; by default the user's avatars.
        replace: overwrite an avatar of that name.

    Returns:
        The new folder, checked.

    Raises:
        AvatarDataError: not an avatar, or dangerous: paths that lead out, links, other kinds of files,
            too many or too large files.
    """
    name = check_name(name or path.stem)
    root = root or user_avatars_dir()
    target = root / name
    if target.exists() and not replace:
        raise AvatarDataError(f"there is an avatar {name} already; choose another --name or use --replace")
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root, prefix=".import-") as scratch:
            fresh = Path(scratch) / name
            fresh.mkdir()
            with zipfile.ZipFile(path) as archive:
                _unpack(archive, path, fresh)
            if not (fresh / SETTINGS_FILE).is_file():
                raise AvatarDataError(f"{path} holds no {SETTINGS_FILE}: it is not an avatar")
            load_avatar(fresh)
            if (fresh / LAYERS_FOLDER).exists():
                load_layers(fresh / LAYERS_FOLDER)
            load_learnt(fresh)
            if target.exists():
                shutil.rmtree(target)
            fresh.rename(target)
    except zipfile.BadZipFile as exc:
        raise AvatarDataError(f"{path} is not an avatar file, or is damaged ({exc}); get it again") from exc
    except (NotImplementedError, RuntimeError) as exc:
        raise AvatarDataError(f"{path} is encrypted or packed in an unknown way: {exc}") from exc
    except FileNotFoundError as exc:
        raise AvatarDataError(f"{path} does not exist") from exc
    except OSError as exc:
        raise AvatarDataError(f"{path} cannot be imported: {exc}") from exc
    return target


def _unpack(archive: zipfile.ZipFile, path: Path, folder: Path) -> None:
    entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    if len(entries) > _MAX_FILES:
        raise AvatarDataError(f"{path} holds {len(entries)} files, at most {_MAX_FILES} are allowed")
    total, seen = 0, set()
    for entry in entries:
        parts = _safe_parts(entry, path)
        if parts in seen:
            raise AvatarDataError(f"{path} holds {entry.filename!r} twice")
        seen.add(parts)
        total += entry.file_size
        ratio = entry.file_size / max(entry.compress_size, 1)
        if entry.file_size > _MAX_FILE_BYTES or total > _MAX_TOTAL_BYTES:
            raise AvatarDataError(f"{path} would unpack to too much data; it is refused")
        if ratio > _MAX_RATIO and entry.file_size > 1_000_000:
            raise AvatarDataError(
                f"{path}: {entry.filename!r} is compressed suspiciously well; it is refused"
            )
    for entry in entries:
        place = folder.joinpath(*_safe_parts(entry, path))
        place.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(entry) as source, place.open("xb") as sink:
            # The header's size is a claim: never read more than it says.
            left = entry.file_size
            while left > 0 and (block := source.read(min(left, 1 << 20))):
                sink.write(block)
                left -= len(block)
            if left or source.read(1):
                raise AvatarDataError(f"{path}: {entry.filename!r} is not as large as it says; it is refused")


def _safe_parts(entry: zipfile.ZipInfo, path: Path) -> tuple[str, ...]:
    name = entry.filename
    kind = stat.S_IFMT(entry.external_attr >> 16)
    parts = PurePosixPath(name).parts
    wrong = (
        kind not in (0, stat.S_IFREG)
        or not parts
        or len(name) > _MAX_NAME
        or name.startswith("/")
        or any(character in name for character in '\\:*?"<>|')
        or not name.isprintable()
        or any(part in ("..", ".") or part.startswith(".") or part.endswith((".", " ")) for part in parts)
        or len(parts) > 2
        or (len(parts) == 2 and parts[0] not in (LAYERS_FOLDER, LEARNT_FOLDER))
    )
    if wrong:
        raise AvatarDataError(f"{path}: {name!r} must not be in an avatar file; it is refused")
    if PurePosixPath(name).suffix.lower() not in _TYPES:
        raise AvatarDataError(f"{path}: {name!r} is no kind of file an avatar has; it is refused")
    return tuple(part.lower() if part == LAYERS_FOLDER else part for part in parts)
