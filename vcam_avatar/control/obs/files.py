"""OBS's own files: where they are, how its websocket is reached, which scripts a collection has.

Read-only; ``install`` changes them. Two layouts exist: up to OBS 30 the websocket's settings are in
``global.ini``, later in ``plugin_config/obs-websocket/config.json``.
"""

import importlib
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

FOLDER_VARIABLE = "VCAM_AVATAR_OBS_DIR"
"""Environment variable with OBS's configuration folder, for portable installations."""
PASSWORD_VARIABLE = "VCAM_AVATAR_OBS_PASSWORD"
DEFAULT_PORT = 4455
SCRIPT_NAME = "avatar_cam.lua"

Ini = dict[str, dict[str, str]]


@dataclass(frozen=True, slots=True)
class WebsocketSettings:
    """How OBS says its websocket server is set up."""

    enabled: bool
    port: int
    password: SecretStr | None
    """None when OBS asks for none."""
    file: Path
    """Where this was read."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to connect, and with what."""

    host: str
    port: int
    password: SecretStr | None
    found_in: str
    """For people: where the password came from."""


@dataclass(frozen=True, slots=True)
class Collection:
    """A scene collection on disk."""

    name: str
    file: Path
    script: Path | None
    """Our script as the collection knows it, if it does."""
    bound: tuple[str, ...]
    """Our hotkeys that have a key."""


def obs_folders() -> list[Path]:
    """Configuration folders of the OBS installations of this user, most likely first."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    if chosen:
        return [Path(chosen)]
    home = Path.home()
    if sys.platform == "win32":
        candidates = [Path(os.environ.get("APPDATA", home / "AppData/Roaming")) / "obs-studio"]
    elif sys.platform == "darwin":
        candidates = [home / "Library/Application Support/obs-studio"]
    else:
        config = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
        candidates = [
            config / "obs-studio",
            home / ".var/app/com.obsproject.Studio/config/obs-studio",
            home / "snap/obs-studio/current/.config/obs-studio",
        ]
    return [folder for folder in candidates if folder.is_dir()]


def read_ini(path: Path) -> Ini:
    """Sections of an OBS ini file; empty when there is none."""
    sections: Ini = {}
    current: dict[str, str] = {}
    try:
        lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError:
        return sections
    for line in lines:
        stripped = line.strip()
        if stripped.startswith("[") and stripped.endswith("]"):
            current = sections.setdefault(stripped[1:-1], {})
        elif "=" in stripped and not stripped.startswith(("#", ";")):
            key, _, value = stripped.partition("=")
            current[key.strip()] = value.strip()
    return sections


def websocket_settings(folder: Path) -> WebsocketSettings | None:
    """How the websocket of the OBS with this configuration folder is set up; None if never set up."""
    newer = folder / "plugin_config/obs-websocket/config.json"
    try:
        raw: Any = json.loads(newer.read_text(encoding="utf-8-sig"))
        needs_password = bool(raw.get("auth_required", True))
        return WebsocketSettings(
            bool(raw.get("server_enabled", False)),
            int(raw.get("server_port", DEFAULT_PORT)),
            SecretStr(str(raw.get("server_password", ""))) if needs_password else None,
            newer,
        )
    except (OSError, ValueError, TypeError, AttributeError):
        pass
    older = folder / "global.ini"
    section = read_ini(older).get("OBSWebSocket")
    if section is None:
        return None
    port = section.get("ServerPort", "")
    return WebsocketSettings(
        section.get("ServerEnabled", "false").lower() == "true",
        int(port) if port.isdecimal() else DEFAULT_PORT,
        SecretStr(section.get("ServerPassword", ""))
        if section.get("AuthRequired", "true").lower() == "true"
        else None,
        older,
    )


def find_address(host: str = "127.0.0.1", port: int | None = None) -> Address:
    """Where OBS's websocket is and its password: from the environment, else OBS's own files, else the
    system's keyring."""
    found = next((s for folder in obs_folders() if (s := websocket_settings(folder)) is not None), None)
    own_files = found if found is not None and host in ("127.0.0.1", "localhost", "::1") else None
    port = port or (own_files.port if own_files else DEFAULT_PORT)
    given = os.environ.get(PASSWORD_VARIABLE)
    if given:
        return Address(host, port, SecretStr(given), PASSWORD_VARIABLE)
    if own_files is not None and own_files.port == port:
        return Address(host, port, own_files.password, str(own_files.file))
    return Address(host, port, _from_keyring(), "keyring")


def _from_keyring() -> SecretStr | None:
    try:
        keyring = importlib.import_module("keyring")
    except ImportError:
        return None
    try:
        stored = keyring.get_password("vcam-avatar", "obs-websocket")
    except Exception:  # whatever a keyring backend raises: there is no password to be had
        return None
    return SecretStr(stored) if stored else None


def current_collection_name(folder: Path) -> str | None:
    """File name, without ``.json``, of the scene collection that OBS opens next."""
    for name in ("user.ini", "global.ini"):
        chosen = read_ini(folder / name).get("Basic", {}).get("SceneCollectionFile")
        if chosen:
            return chosen.removesuffix(".json")
    return None


def collections(folder: Path) -> list[Collection]:
    """Every scene collection of this OBS that can be read."""
    found = []
    for file in sorted((folder / "basic/scenes").glob("*.json")):
        try:
            raw = json.loads(file.read_text(encoding="utf-8-sig"))
            scripts = raw.get("modules", {}).get("scripts-tool", [])
            entry = next((s for s in scripts if is_our_script(s)), None)
        except (OSError, ValueError, AttributeError, TypeError):
            continue
        settings = entry.get("settings", {}) if entry else {}
        bound = tuple(sorted(key for key, keys in settings.items() if key.startswith("avatar_cam.") and keys))
        script = Path(entry["path"]) if entry else None
        found.append(Collection(str(raw.get("name", file.stem)), file, script, bound))
    return found


def is_our_script(entry: Any) -> bool:
    """Whether an entry of a collection's script list is our script, wherever it lies."""
    path = entry.get("path", "") if isinstance(entry, dict) else ""
    return str(path).replace("\\", "/").rsplit("/", 1)[-1] == SCRIPT_NAME
