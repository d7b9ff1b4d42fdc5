"""How much later than its sound a frame is sent: the sum of what each part adds."""

from collections.abc import Mapping
from dataclasses import dataclass

from vcam_avatar.pipeline.timings import Spread

CAMERA_STAGES = ("wait for camera", "send")
PIPELINE_STAGE = "latency"
_BLOCK_MS = 10.0


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from a sound at the microphone to the frame that shows it."""

    p50_ms: float
    p95_ms: float
    parts: Mapping[str, float]
    """Median milliseconds of each part; they add up to ``p50_ms``."""


def estimate(
    spreads: Mapping[str, Spread], source_delay_s: float, fps: float, waiting_ms: float = 0.0
) -> Latency | None:
    """Latency from the measured stages; None before anything was measured.

    A frame shows the middle of its unit and is made when the unit is complete: half a unit of waiting.

    Args:
        spreads: of the pipeline's stages.
        source_delay_s: what the microphone adds.
        fps: frames per second.
        waiting_ms: sound that has arrived when a frame goes out. What came during the frame's making and
            within one block of the microphone is as it should be; more is a pipeline that lags behind.
    """
    if PIPELINE_STAGE not in spreads:
        return None
    fixed = {"microphone": source_delay_s * 1e3, "rest of the unit": 500.0 / fps}
    behind_ms = waiting_ms - spreads[PIPELINE_STAGE].p50_ms - _BLOCK_MS
    if behind_ms > 1.0:
        fixed["behind"] = behind_ms
    stages = [name for name in (PIPELINE_STAGE, *CAMERA_STAGES) if name in spreads]
    names = {PIPELINE_STAGE: "pipeline", "wait for camera": "hand-over", "send": "camera"}
    parts = {**fixed, **{names[name]: spreads[name].p50_ms for name in stages}}
    high = sum(fixed.values()) + sum(spreads[name].p95_ms for name in stages)
    rounded = {name: round(ms, 1) for name, ms in parts.items()}
    return Latency(round(sum(parts.values()), 1), round(high, 1), rounded)
