"""The file by which clients find the running service: one service per user.

It holds the address and the token, can be read by its owner only, and is touched every few seconds,
so that a file left behind by a crash is told from a living service.
"""

import contextlib
import json
import os
import secrets
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from vcam_avatar.errors import ControlError

RUNTIME_DIR_VARIABLE = "VCAM_AVATAR_RUNTIME_DIR"
"""Environment variable that moves the instance file, e.g. to run a second service on purpose."""
HEARTBEAT_S = 2.0
STALE_AFTER_S = 3 * HEARTBEAT_S
"""A file not touched for this long belongs to nobody, or to a service that hangs."""


@dataclass(frozen=True, slots=True)
class Instance:
    """A running service."""

    pid: int
    port: int
    """TCP port on 127.0.0.1."""
    token: str
    """What a client must show."""
    started_at: float
    """Seconds since the epoch."""

    def __repr__(self) -> str:
        return f"Instance(pid={self.pid}, port={self.port})"


def instance_path() -> Path:
    """Where the instance file is, or would be."""
    chosen = os.environ.get(RUNTIME_DIR_VARIABLE)
    if chosen:
        return Path(chosen) / "instance.json"
    if sys.platform.startswith("linux") and (runtime := os.environ.get("XDG_RUNTIME_DIR")):
        return Path(runtime) / "vcam-avatar" / "instance.json"
    import platformdirs  # on demand: a client should start fast

    return Path(platformdirs.user_state_dir("vcam-avatar", appauthor=False)) / "instance.json"


def new_token() -> str:
    """A token that cannot be guessed."""
    return secrets.token_urlsafe(32)


def read_instance(path: Path | None = None) -> tuple[Instance, float] | None:
    """The instance in the file and the seconds since its last heartbeat; None without a usable file."""
    path = path or instance_path()
    try:
        age_s = time.time() - path.stat().st_mtime
        raw = json.loads(path.read_text(encoding="utf-8"))
        return Instance(int(raw["pid"]), int(raw["port"]), str(raw["token"]), float(raw["started_at"])), age_s
    except (OSError, ValueError, TypeError, KeyError):
        return None


class InstanceFile:
    """Owns the instance file while the service runs."""

    def __init__(self, instance: Instance, path: Path | None = None) -> None:
        self.instance = instance
        self.path = path or instance_path()

    def claim(self) -> None:
        """Create the file; only one process can.

        Raises:
            ControlError: another file is there, or the folder cannot be written.
        """
        folder = self.path.parent
        draft = folder / f".{self.path.name}.{os.getpid()}.{secrets.token_hex(4)}"
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                self._write(draft)
                _put_in_place(draft, self.path)
            finally:
                draft.unlink(missing_ok=True)
        except FileExistsError as exc:
            raise ControlError(f"{self.path} exists: another service is running or has crashed") from exc
        except OSError as exc:
            raise ControlError(
                f"cannot write {self.path}: {exc.strerror}; set {RUNTIME_DIR_VARIABLE} to another folder"
            ) from exc

    def _write(self, path: Path) -> None:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
            json.dump(asdict(self.instance), out)

    def remove_stale(self, stale: Instance) -> None:
        """Take away the file of a service that is gone, and only that one."""
        aside = self.path.with_name(f".stale.{os.getpid()}.{secrets.token_hex(4)}")
        try:
            os.replace(self.path, aside)
        except OSError:
            return
        found = read_instance(aside)
        if found is not None and found[0] != stale and not self.path.exists():
            with contextlib.suppress(OSError):
                os.replace(aside, self.path)  # somebody was faster: it is theirs
        aside.unlink(missing_ok=True)

    def beat(self) -> None:
        """Touch the file. Recreates it when somebody cleaned it away."""
        try:
            os.utime(self.path)
        except FileNotFoundError:
            with contextlib.suppress(ControlError):
                self.claim()
        except OSError:
            pass

    def release(self) -> None:
        """Remove the file if it is still ours."""
        found = read_instance(self.path)
        if found is not None and found[0].token == self.instance.token:
            self.path.unlink(missing_ok=True)


def _put_in_place(draft: Path, path: Path) -> None:
    """Give ``draft`` its name, with its content at once, or raise ``FileExistsError``."""
    if os.name == "nt":
        draft.rename(path)  # refuses to replace
        return
    try:
        os.link(draft, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links: nearly as good
        if path.exists():
            raise FileExistsError(str(path)) from None
        draft.rename(path)
