"""Data sets: many samples, resumable, on several processes."""

import logging
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tqdm import tqdm

from vcam_avatar.errors import ConfigError
from vcam_avatar.factory.assets import AssetFolder
from vcam_avatar.factory.shards import Sample, finished, shard_name, write_shard

logger = logging.getLogger(__name__)

SAMPLES_PER_SHARD = 32
KILOBYTES = {"faces": 180, "bodies": 1100, "hands": 60, "clips": 250}
"""Disk per sample, rounded up, of each kind of data set."""

Maker = Callable[[int], Sample]


@dataclass(frozen=True, slots=True)
class Job:
    """What to make."""

    kind: str
    """One of ``KILOBYTES``."""
    out: Path
    count: int
    """Samples in the whole set."""
    seed: int
    style: str = "mixed"
    assets: Path | None = None
    samples: int = 2
    """Supersampling per axis."""


def _maker(job: Job) -> Maker:
    """A function index -> sample, with its own renderer."""
    from vcam_avatar.factory import bodies, faces, hands
    from vcam_avatar.factory.renderer import Renderer

    assets = AssetFolder(job.assets)
    kinds = {
        "faces": (faces.SIZE_PX, faces.face_sample),
        "bodies": (bodies.SIZE_PX, bodies.body_sample),
        "hands": (hands.SIZE_PX, hands.hand_sample),
        "clips": (bodies.SIZE_PX, bodies.clip_sample),
    }
    if job.kind not in kinds:
        raise ConfigError(f"no data set {job.kind!r}; known are {', '.join(KILOBYTES)}")
    size_px, make = kinds[job.kind]
    renderer = Renderer(size_px, size_px, job.samples)
    return lambda index: make(renderer, job.seed, index, job.style, assets)


def _make_shards(job: Job, numbers: list[int]) -> Iterator[dict[str, Any]]:
    make = _maker(job)
    for number in numbers:
        first = number * SAMPLES_PER_SHARD
        last = min(first + SAMPLES_PER_SHARD, job.count)
        yield write_shard(job.out, number, (make(index) for index in range(first, last)))


def _worker(job: Job, numbers: list[int]) -> list[dict[str, Any]]:
    return list(_make_shards(job, numbers))


def generate(job: Job, processes: int = 1, minutes: float | None = None) -> float:
    """Make what is missing of a data set.

    Args:
        processes: worker processes; each has its own OpenGL context.
        minutes: stop after the shard during which this time is over; a later call goes on.

    Returns:
        Samples per hour of this call; 0 when nothing was missing.

    Raises:
        ConfigError: unknown kind or not enough disk.
    """
    if job.kind not in KILOBYTES:
        raise ConfigError(f"no data set {job.kind!r}; known are {', '.join(KILOBYTES)}")
    job.out.mkdir(parents=True, exist_ok=True)
    done = finished(job.out)
    total = -(-job.count // SAMPLES_PER_SHARD)
    missing = [n for n in range(total) if shard_name(n) not in done]
    need = len(missing) * SAMPLES_PER_SHARD * KILOBYTES[job.kind] * 1024
    free = shutil.disk_usage(job.out).free
    logger.info("%s: %d of %d shards missing, about %.1f GB", job.out, len(missing), total, need / 1e9)
    if need > free:
        raise ConfigError(f"{job.out} needs about {need / 1e9:.1f} GB, {free / 1e9:.1f} GB are free")
    start = time.monotonic()
    made = 0
    here = sum(int(row["samples"]) for row in done.values())
    with tqdm(total=max(job.count, here), initial=here, unit="sample") as bar:
        if processes <= 1:
            for row in _make_shards(job, missing):
                made += int(row["samples"])
                bar.update(int(row["samples"]))
                if minutes is not None and time.monotonic() - start > minutes * 60:
                    break
        else:
            with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
                for begin in range(0, len(missing), processes * 4):
                    batch = missing[begin : begin + processes * 4]
                    parts = [batch[k::processes] for k in range(processes) if batch[k::processes]]
                    for rows in pool.map(_worker, [job] * len(parts), parts):
                        made += sum(int(r["samples"]) for r in rows)
                        bar.update(sum(int(r["samples"]) for r in rows))
                    if minutes is not None and time.monotonic() - start > minutes * 60:
                        break
    return made / (time.monotonic() - start) * 3600
