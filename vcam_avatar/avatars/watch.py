"""Noticing that an avatar's files were edited, and how much memory a prepared one takes."""

import dataclasses
import os
import struct
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

_CHANNELS = {0: 1, 2: 3, 6: 4}
"""Of a PNG's colour types."""
Fingerprint = tuple[tuple[str, int, int], ...]


def fingerprint(folder: Path) -> Fingerprint:
    """Names, sizes and times of an avatar's files; empty when the folder is gone."""
    found: list[tuple[str, int, int]] = []
    try:
        _collect(folder, "", found)
    except OSError:
        # A file that vanished meanwhile: the next look tells.
        return ()
    return tuple(sorted(found))


def _collect(folder: Path | str, prefix: str, found: list[tuple[str, int, int]]) -> None:
    # Every second for every avatar: pathlib takes ten times as long.
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                _collect(entry.path, f"{prefix}{entry.name}/", found)
            elif entry.is_file() and not entry.name.endswith(".part"):
                state = entry.stat()
                found.append((prefix + entry.name, state.st_size, state.st_mtime_ns))


class AvatarWatch:
    """Tells which avatars have changed on disk. Call ``poll`` about once a second, from one thread."""

    def __init__(self, folders: Callable[[], Mapping[str, Path]]) -> None:
        """``folders`` lists the avatars there are, by name."""
        self._folders = folders
        self._told = {name: fingerprint(folder) for name, folder in folders().items()}
        self._seen = dict(self._told)

    def poll(self) -> set[str]:
        """Names of avatars that are new, gone or edited since the last call and lie still now.

        A change is told once the files were the same in two looks, so that a file half copied is
        not read.
        """
        now = {name: fingerprint(folder) for name, folder in self._folders().items()}
        names = set(now) | set(self._told)
        settled = {name for name in names if now.get(name) == self._seen.get(name)}
        changed = {name for name in settled if now.get(name) != self._told.get(name)}
        for name in changed:
            if name in now:
                self._told[name] = now[name]
            else:
                del self._told[name]
        self._seen = now
        return changed


def loaded_bytes(folder: Path) -> int:
    """Memory that the pictures and layers of an avatar's folder take once loaded, from their headers.

    Files that are no PNG count nothing.
    """
    total = 0
    parts = next((p for p in (folder / "learnt", folder / "layers") if p.is_dir()), folder)
    for path in {*folder.glob("*.png"), *parts.glob("*.png")}:
        if path.name == "thumbnail.png":
            continue
        try:
            with path.open("rb") as file:
                head = file.read(26)
        except OSError:
            continue
        if len(head) == 26 and head[1:4] == b"PNG":
            width, height, _, kind = struct.unpack(">IIBB", head[16:])
            total += width * height * _CHANNELS.get(kind, 4)
    return total


def array_bytes(*things: Any) -> int:
    """Memory held by the arrays inside ``things``, each array counted once."""
    seen: set[int] = set()
    total = 0
    stack = list(things)
    while stack:
        thing = stack.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, np.ndarray):
            if thing.base is not None:
                stack.append(thing.base)
            else:
                total += thing.nbytes
        else:
            stack.extend(_parts(thing))
    return total


def _parts(thing: Any) -> Iterable[Any]:
    if dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        return [getattr(thing, field.name, None) for field in dataclasses.fields(thing)]
    if isinstance(thing, dict):
        return list(thing.values())
    if isinstance(thing, list | tuple):
        return list(thing)
    return []
