"""Samples in tar files: webp pictures and npz arrays, plain to read, resumable, checksummed.

A data set is a folder with ``shard-00000.tar`` ... and ``shards.jsonl``, one line per finished shard:
``{"shard", "samples", "bytes", "sha256"}``. A sample ``key`` is ``key.npz`` (arrays and a JSON text under
``meta``) and pictures ``key.<name>.webp`` / ``key.<name>.png``.
"""

import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vcam_avatar.errors import MediaError
from vcam_avatar.media import ByteArray

WEBP_QUALITY = 92
INDEX = "shards.jsonl"


@dataclass(slots=True)
class Sample:
    """One sample of a data set."""

    key: str
    arrays: dict[str, NDArray[Any]]
    pictures: dict[str, ByteArray] = field(default_factory=dict)
    """uint8 RGB, RGBA (straight alpha) or grey; grey is stored without loss."""
    meta: dict[str, Any] = field(default_factory=dict)


def _encode(sample: Sample) -> Iterator[tuple[str, bytes]]:
    for name, picture in sample.pictures.items():
        if picture.ndim == 2:
            ok, data = cv2.imencode(".png", picture)
            kind = "png"
        else:
            code = cv2.COLOR_RGBA2BGRA if picture.shape[2] == 4 else cv2.COLOR_RGB2BGR
            bgr = cv2.cvtColor(picture, code)
            ok, data = cv2.imencode(".webp", bgr, [cv2.IMWRITE_WEBP_QUALITY, WEBP_QUALITY])
            kind = "webp"
        if not ok:
            raise MediaError(f"cannot encode picture {name} of sample {sample.key}")
        yield f"{sample.key}.{name}.{kind}", data.tobytes()
    buffer = io.BytesIO()
    meta = np.frombuffer(json.dumps(sample.meta, sort_keys=True).encode(), np.uint8)
    arrays: dict[str, Any] = {**sample.arrays, "meta": meta}
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            plain = io.BytesIO()
            np.lib.format.write_array(plain, np.asanyarray(array), allow_pickle=False)
            # The plain ZipInfo has a fixed time: the same sample must give the same bytes.
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), plain.getvalue(), zipfile.ZIP_DEFLATED, 1)
    yield f"{sample.key}.npz", buffer.getvalue()


def shard_name(number: int) -> str:
    """File name of a shard."""
    return f"shard-{number:05d}.tar"


def finished(folder: Path) -> dict[str, dict[str, Any]]:
    """Index lines of the shards that are complete, by file name."""
    index = folder / INDEX
    if not index.is_file():
        return {}
    out: dict[str, dict[str, Any]] = {}
    for line in index.read_text().splitlines():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:  # a line cut off by a crash: that shard is made again
            continue
        if (folder / row["shard"]).is_file():
            out[row["shard"]] = row
    return out


def write_shard(folder: Path, number: int, samples: Iterator[Sample]) -> dict[str, Any]:
    """Write one shard atomically and add it to the index; the same samples give the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / shard_name(number)
    temporary = file.with_suffix(".tmp")
    count = 0
    with tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as tar:
        for sample in samples:
            for name, data in _encode(sample):
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
            count += 1
    digest = hashlib.sha256(temporary.read_bytes()).hexdigest()
    row = {"shard": file.name, "samples": count, "bytes": temporary.stat().st_size, "sha256": digest}
    temporary.replace(file)
    with (folder / INDEX).open("a") as index:
        index.write(json.dumps(row) + "\n")
    return row


def verify(folder: Path) -> list[str]:
    """Names of finished shards whose checksum does not fit."""
    return [
        name
        for name, row in finished(folder).items()
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != row["sha256"]
    ]


class ShardFolder:
    """Random access to the samples of a data set. Not for sharing between processes: open one each."""

    def __init__(self, folder: Path) -> None:
        """Index the finished shards; call ``refresh`` to see those added since.

        Raises:
            MediaError: nothing there.
        """
        self.folder = folder
        self._where: dict[str, tuple[Path, dict[str, tuple[int, int]]]] = {}
        self._known: set[str] = set()
        self.refresh()
        if not self._where:
            raise MediaError(f"no finished shards in {folder}")

    def refresh(self) -> int:
        """Look for new shards; return how many samples there are."""
        for name in sorted(finished(self.folder)):
            if name in self._known:
                continue
            self._known.add(name)
            with tarfile.open(self.folder / name) as tar:
                for member in tar:
                    key, rest = member.name.split(".", 1)
                    files = self._where.setdefault(key, (self.folder / name, {}))[1]
                    files[rest] = (member.offset_data, member.size)
        return len(self._where)

    @property
    def keys(self) -> list[str]:
        """Sample keys in order."""
        return sorted(self._where)

    def __len__(self) -> int:
        return len(self._where)

    def read(self, key: str, wanted: Callable[[str], bool] | None = None) -> Sample:
        """Read one sample.

        Args:
            wanted: which pictures to decode, by name; default all.

        Raises:
            KeyError: unknown key.
            MediaError: a picture does not decode.
        """
        file, members = self._where[key]
        sample = Sample(key, {})
        with file.open("rb") as stream:
            for rest, (offset, size) in members.items():
                name, _, kind = rest.rpartition(".")
                if kind != "npz" and wanted is not None and not wanted(name):
                    continue
                stream.seek(offset)
                data = stream.read(size)
                if kind == "npz":
                    with np.load(io.BytesIO(data)) as stored:
                        sample.arrays = {k: stored[k] for k in stored.files}
                    sample.meta = json.loads(sample.arrays.pop("meta").tobytes())
                    continue
                picture: Any = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
                if picture is None:
                    raise MediaError(f"{file}: picture {key}.{rest} does not decode")
                if picture.ndim == 3:
                    code = cv2.COLOR_BGRA2RGBA if picture.shape[2] == 4 else cv2.COLOR_BGR2RGB
                    picture = cv2.cvtColor(picture, code)
                sample.pictures[name] = picture
        return sample

    def __iter__(self) -> Iterator[Sample]:
        for key in self.keys:
            yield self.read(key)
