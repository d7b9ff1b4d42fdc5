"""The measurements of ``bench``: S1 speed, S3 processor load, S4 memory."""

import dataclasses
import time
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from vcam_avatar import resources
from vcam_avatar.cli._studio import make_loop
from vcam_avatar.config import Config
from vcam_avatar.daemon.usage import memory_mb, peak_memory_mb
from vcam_avatar.devices.audio_file import read_audio
from vcam_avatar.devices.memory import PreviewSink
from vcam_avatar.evaluation.report import Result, not_measured
from vcam_avatar.media import SAMPLE_RATE_HZ, FloatArray
from vcam_avatar.pipeline.clock import MonotonicClock, Pacer
from vcam_avatar.pipeline.loop import FrameLoop
from vcam_avatar.pipeline.runner import play_stored


class RepeatedSource:
    """One clip over and over, without keeping it all in memory."""

    def __init__(self, clip: FloatArray, seconds: float) -> None:
        self._clip = clip
        self._left = round(seconds * SAMPLE_RATE_HZ)

    def blocks(self) -> Iterator[FloatArray]:
        """Yield blocks of 20 ms until the time is over."""
        left = self._left
        while left > 0:
            for first in range(0, len(self._clip), 320):
                block = self._clip[first : first + 320][:left]
                left -= len(block)
                if len(block):
                    yield block
                if left <= 0:
                    return

    def close(self) -> None:
        """Nothing to free."""


def measure_speed(
    config: Config, seconds: float, hours: float
) -> tuple[dict[str, Result], dict[str, dict[str, Any]]]:
    """All results by id, and the milliseconds per stage of the flat-out run.

    Args:
        seconds: length of each timed run.
        hours: simulated length of the memory run; 0 leaves the growth out.
    """
    started = time.perf_counter()
    loop = make_loop(config)
    load_s = time.perf_counter() - started
    voice = read_audio(resources.asset_path("demo_voice.flac"))
    fps, what = config.video.fps, f"demo voice, {config.video.size}, {loop.avatar.name}"
    _play(loop, config, RepeatedSource(voice, 2.0))  # warm-up
    loop.timings.clear()

    wall_s, cpu_s, frames = _play(loop, config, RepeatedSource(voice, seconds))
    spreads = {name: dataclasses.asdict(s) for name, s in loop.timings.spreads().items()}
    rate = frames / wall_s
    latency = loop.timings.spreads()["latency"]
    results = {
        "S1": Result(
            {
                "fps": rate,
                "budget_p50": latency.p50_ms / 1e3 * float(fps),
                "budget_p95": latency.p95_ms / 1e3 * float(fps),
                "p99_ms": latency.p99_ms,
                "cpu_ms_per_frame": 1e3 * cpu_s / frames,
                "cores": cpu_s / wall_s,
            },
            "",
            ">= 50 fps; p99 < 40 ms",
            rate >= 50 and latency.p99_ms < 40,
            what,
            frames,
        )
    }
    load = {}
    for name, clip in (("silent", np.zeros(SAMPLE_RATE_HZ, np.float32)), ("speaking", voice)):
        loop.timings.clear()
        _, cpu_s, frames = _play(loop, config, RepeatedSource(clip, seconds / 2), paced=True)
        # Per second of sound, not of time: on a busy machine the run takes longer than it should.
        load[name] = cpu_s / float(frames / fps)
    results["S3"] = Result(
        load,
        "cores",
        "<= 0.25 silent / <= 1.0 speaking",
        load["silent"] <= 0.25 and load["speaking"] <= 1.0,
        what + ", in real time",
        round(seconds * float(fps)),
    )
    path = loop.timings.spreads()["latency"]
    results["face"] = Result(
        {"p50_ms": path.p50_ms, "p95_ms": path.p95_ms},
        "ms from a unit's last sample to its pasted frame",
        "<= 8 (p50)",
        path.p50_ms <= 8,
        what + ", in real time",
        path.count,
    )
    results["S4"] = _memory(loop, config, voice, hours, what)
    results["start"] = Result(load_s, "s to load networks and avatar", "<= 2", load_s <= 2, what, 1)
    return results, spreads


def _memory(loop: FrameLoop, config: Config, voice: FloatArray, hours: float, what: str) -> Result:
    peak_mb = peak_memory_mb()
    target = "<= 350 MB; < 5 MB/h"
    if peak_mb is None:
        return not_measured("MB", target, "this system does not tell the memory in use")
    if not hours:
        return Result({"peak_mb": peak_mb}, "MB", target, None, f"{what}; growth not measured (--hours)")
    slow = config.model_copy(update={"video": config.video.model_copy(update={"fps": Fraction(25)})})
    marks = []
    for _ in range(4):
        _play(loop, slow, RepeatedSource(voice, hours * 3600 / 4))
        marks.append(memory_mb() or 0.0)
    # The first quarter fills caches; growth is what comes after.
    growth = (marks[-1] - marks[0]) / (hours * 0.75)
    return Result(
        {"peak_mb": peak_mb, "growth_mb_per_h": growth},
        "MB",
        target,
        peak_mb <= 350 and growth < 5,
        f"{what}, {hours:g} h of sound",
    )


def _play(
    loop: FrameLoop, config: Config, source: RepeatedSource, *, paced: bool = False
) -> tuple[float, float, int]:
    """Wall time, processor time (both in seconds) and frames of one run."""
    sink = PreviewSink()
    pacer = Pacer(config.video.fps, MonotonicClock()) if paced else None
    wall, cpu = time.perf_counter(), time.process_time()
    frames = play_stored(source, loop, sink, config.video.size, config.video.fps, pacer=pacer)
    return time.perf_counter() - wall, time.process_time() - cpu, frames
