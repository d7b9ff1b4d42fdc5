"""Puts the script with the hotkeys into OBS, and takes it out again."""

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from vcam_avatar.control.obs.files import SCRIPT_NAME, is_our_script, read_ini
from vcam_avatar.errors import ControlError

NAMES_FILE = "avatar_cam_names.txt"
HOTKEY_SLOTS = 12


def script_folder() -> Path:
    """Where the script lies for OBS to load: a place that stays when the package is updated."""
    import platformdirs

    return Path(platformdirs.user_data_dir("vcam-avatar", appauthor=False)) / "obs"


def put_script(folder: Path | None = None) -> Path:
    """Copy the script to ``folder``; return its path.

    Raises:
        ControlError: the folder cannot be written.
    """
    folder = folder or script_folder()
    target = folder / SCRIPT_NAME
    source = resources.files("vcam_avatar.control.obs").joinpath(SCRIPT_NAME).read_bytes()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not target.exists() or target.read_bytes() != source:
            _replace(target, source)
    except OSError as exc:
        raise ControlError(f"cannot write {target}: {exc.strerror}") from exc
    return target


def put_names(names: Sequence[str], folder: Path | None = None) -> None:
    """Tell the script the avatars' names in hotkey order; OBS shows them within two seconds.

    Does nothing where the script was never installed.

    Raises:
        ControlError: the file cannot be written.
    """
    folder = folder or script_folder()
    if not (folder / SCRIPT_NAME).exists():
        return
    lines = [" ".join(name.split()) for name in names[:HOTKEY_SLOTS]]
    content = "".join(f"{line}\n" for line in lines).encode()
    target = folder / NAMES_FILE
    try:
        if not target.exists() or target.read_bytes() != content:
            _replace(target, content)
    except OSError as exc:
        raise ControlError(f"cannot write {target}: {exc.strerror}") from exc


def add_to_collection(file: Path, script: Path) -> bool:
    """List ``script`` in the scene collection ``file``; OBS must be closed. A backup is made first.

    An entry with another path is moved to this one with its key bindings.

    Returns:
        Whether anything had to be changed.

    Raises:
        ControlError: the collection cannot be read or written.
    """

    def change(scripts: list[Any]) -> None:
        ours = [entry for entry in scripts if is_our_script(entry)]
        for surplus in ours[1:]:
            scripts.remove(surplus)
        if ours:
            ours[0]["path"] = script.as_posix()
        else:
            scripts.append({"path": script.as_posix(), "settings": {}})

    return _edit_scripts(file, change)


def remove_from_collection(file: Path) -> bool:
    """Take the script out of the scene collection ``file``; OBS must be closed. A backup is made first."""

    def change(scripts: list[Any]) -> None:
        scripts[:] = [entry for entry in scripts if not is_our_script(entry)]

    return _edit_scripts(file, change)


def enable_websocket(folder: Path) -> bool:
    """Switch OBS's websocket server on in its files, with a new password if it has none; OBS must be
    closed. A backup is made first.

    Returns:
        Whether anything had to be changed.

    Raises:
        ControlError: the files cannot be read or written.
    """
    newer = folder / "plugin_config/obs-websocket/config.json"
    older = folder / "global.ini"
    if newer.exists() or (folder / "user.ini").exists() or not older.exists():
        raw = _load(newer) if newer.exists() else {"first_load": False, "auth_required": True}
        wanted = {**raw, "server_enabled": True}
        if wanted.get("auth_required", True) and not wanted.get("server_password"):
            wanted["server_password"] = secrets.token_urlsafe(12)
        return _write_changed(newer, raw if newer.exists() else None, wanted)
    section = read_ini(older).get("OBSWebSocket", {})
    changes = {"FirstLoad": "false", "ServerEnabled": "true"}
    if section.get("AuthRequired", "true").lower() == "true" and not section.get("ServerPassword"):
        changes |= {"AuthRequired": "true", "ServerPassword": secrets.token_urlsafe(12)}
    if all(section.get(key) == value for key, value in changes.items()):
        return False
    text = older.read_text(encoding="utf-8-sig")
    _backup(older)
    _replace(older, _set_ini(text, "OBSWebSocket", changes).encode())
    return True


def obs_is_running(list_processes: Callable[[], Sequence[str]] | None = None) -> bool:
    """Whether an OBS runs on this machine; when in doubt, yes (its files must not be edited then)."""
    try:
        names = (list_processes or _process_names)()
    except (OSError, subprocess.SubprocessError):
        return True
    return any(name.lower() in ("obs", "obs64.exe", "obs32.exe", "obs.exe") for name in names)


def _process_names() -> list[str]:
    if sys.platform.startswith("linux"):
        names = []
        for process in Path("/proc").iterdir():
            if process.name.isdecimal():
                try:
                    names.append((process / "comm").read_text().strip())
                except OSError:
                    continue  # it ended meanwhile
        return names
    if sys.platform == "win32":
        out = subprocess.run(["tasklist", "/fo", "csv", "/nh"], capture_output=True, text=True, check=True)
        return [line.split(",")[0].strip('"') for line in out.stdout.splitlines()]
    out = subprocess.run(["ps", "-Aco", "comm"], capture_output=True, text=True, check=True)
    return [line.strip() for line in out.stdout.splitlines()]


def _edit_scripts(file: Path, change: Callable[[list[Any]], None]) -> bool:
    before = _load(file)
    after = json.loads(json.dumps(before))
    modules = after.setdefault("modules", {})
    scripts = modules.setdefault("scripts-tool", [])
    if not isinstance(scripts, list):
        raise ControlError(f"{file} has no list of scripts where one belongs; add the script in OBS by hand")
    change(scripts)
    return _write_changed(file, before, after)


def _load(file: Path) -> dict[str, Any]:
    try:
        raw = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as exc:
        raise ControlError(f"cannot read {file}: {exc}") from exc
    if not isinstance(raw, dict):
        raise ControlError(f"{file} is not a file of OBS")
    return raw


def _write_changed(file: Path, before: dict[str, Any] | None, after: dict[str, Any]) -> bool:
    if after == before:
        return False
    try:
        if before is not None:
            _backup(file)
        file.parent.mkdir(parents=True, exist_ok=True)
        _replace(file, json.dumps(after, indent=4, ensure_ascii=False).encode())
    except OSError as exc:
        raise ControlError(f"cannot write {file}: {exc.strerror}") from exc
    return True


def _backup(file: Path) -> Path:
    """Copy beside the file; never over an older copy. The suffix hides it from OBS's lists."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    copy = file.with_name(f"{file.name}.before-avatar-cam-{stamp}")
    number = 1
    while copy.exists():
        number += 1
        copy = file.with_name(f"{file.name}.before-avatar-cam-{stamp}-{number}")
    copy.write_bytes(file.read_bytes())
    copy.chmod(file.stat().st_mode & 0o777)
    return copy


def _replace(file: Path, content: bytes) -> None:
    draft = file.with_name(f".{file.name}.{os.getpid()}.new")
    draft.write_bytes(content)
    if file.exists():
        draft.chmod(file.stat().st_mode & 0o777)
    os.replace(draft, file)


def _set_ini(text: str, section: str, changes: dict[str, str]) -> str:
    """``text`` with some keys of one section set; everything else stays as it is."""
    out: list[str] = []
    left = dict(changes)
    inside = False
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("["):
            if inside:
                out += [f"{key}={value}" for key, value in left.items()]
                left = {}
            inside = stripped == f"[{section}]"
        key = stripped.partition("=")[0].strip()
        if inside and key in changes:
            line = f"{key}={left.pop(key, changes[key])}"
        out.append(line)
    if left:
        if not inside:
            out += ["", f"[{section}]"]
        out += [f"{key}={value}" for key, value in left.items()]
    return "\n".join(out) + "\n"
