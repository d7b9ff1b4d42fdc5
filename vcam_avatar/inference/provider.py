"""Where networks run: the CPU, or CUDA when it is asked for and really there."""

import functools
import logging
import os
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Literal

from vcam_avatar.errors import ModelError

logger = logging.getLogger(__name__)

Device = Literal["cpu", "cuda"]

CPU_PROVIDER = "CPUExecutionProvider"
CUDA_PROVIDER = "CUDAExecutionProvider"


@dataclass(frozen=True, slots=True)
class ProviderReport:
    """Which provider was asked for, which one is used, and why they differ."""

    asked: Device
    used: Device
    reason: str | None
    """Why ``used`` is not ``asked``, with the cure; None when it is."""

    def __str__(self) -> str:
        return self.used if self.reason is None else f"{self.used} (asked for {self.asked}: {self.reason})"


@functools.cache
def onnxruntime() -> Any:
    """The onnxruntime module, imported once with its telemetry off.

    Raises:
        ModelError: it is not installed or its library does not load.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime as ort

        ort.disable_telemetry_events()
    except (ImportError, AttributeError, OSError) as exc:
        raise ModelError(
            f"onnxruntime cannot be loaded ({exc}): install it with  pip install 'vcam-avatar[cpu]'"
        ) from exc
    ort.set_default_logger_severity(3)
    return ort


def installed_wheels() -> tuple[str, ...]:
    """Names of the installed onnxruntime wheels; more than one overwrite each other's files."""
    found = []
    for name in ("onnxruntime", "onnxruntime-gpu"):
        try:
            metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
        found.append(name)
    return tuple(found)


def choose_provider(asked: Device) -> ProviderReport:
    """Decide where to run before any network is loaded; warns when it is not where ``asked``.

    A session may still refuse CUDA when it is made: ``Network.provider`` has the last word.
    """
    if asked == "cpu":
        return ProviderReport("cpu", "cpu", None)
    if CUDA_PROVIDER in onnxruntime().get_available_providers():
        return ProviderReport("cuda", "cuda", None)
    wheels = installed_wheels()
    if len(wheels) > 1:
        reason = (
            "onnxruntime and onnxruntime-gpu are both installed and hide each other; "
            "pip uninstall onnxruntime onnxruntime-gpu, then pip install onnxruntime-gpu"
        )
    elif "onnxruntime-gpu" in wheels:
        reason = "the CUDA libraries cannot be loaded; install the NVIDIA driver, CUDA 12 and cuDNN 9"
    else:
        reason = (
            "this onnxruntime has no CUDA; pip uninstall onnxruntime, then pip install 'vcam-avatar[gpu]'"
        )
    return fall_back(reason)


def fall_back(reason: str) -> ProviderReport:
    """Report that CUDA was asked for and the CPU is used, and say so once in the log."""
    _warn_once(reason)
    return ProviderReport("cuda", "cpu", reason)


@functools.cache
def _warn_once(reason: str) -> None:
    logger.warning("running on the CPU although CUDA was asked for: %s", reason)
