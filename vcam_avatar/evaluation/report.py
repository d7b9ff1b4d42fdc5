"""Measurements as one object, shown as JSON or as a table made from the same object.

Each family of measures is a module of this package with ``measure(data, quick) -> dict[str, Result]``.
"""

import importlib
import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vcam_avatar import resources
from vcam_avatar.errors import ConfigError

Value = float | int | str | None | Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Result:
    """One line of a report."""

    value: Value
    """A number, or several by name; None when it was not measured."""
    unit: str
    target: str
    """In words and numbers, as people read it."""
    holds: bool | None
    """Whether the target is reached; None when it was not measured."""
    data: str
    """What it was measured on, or why it was not."""
    n: int = 0
    """How many frames, clips or pictures."""
    baselines: Mapping[str, Value] = field(default_factory=dict)


def not_measured(unit: str, target: str, why: str) -> Result:
    """A line for what is absent here; never counts as passed."""
    return Result(None, unit, target, None, f"not measured: {why}")


def default_data() -> Path:
    """Where the held-out sets are expected: ``shared/data`` beside a checkout."""
    return Path(resources.__file__).resolve().parents[2] / "shared" / "data"


def evaluate(families: Sequence[str], data: Path | None = None, *, quick: bool = False) -> dict[str, Any]:
    """Run families of measures and join their results into one report.

    Raises:
        ConfigError: ``data`` was named and is not there.
    """
    if data is not None and not data.is_dir():
        raise ConfigError(f"{data} is not a folder: name the one with the held-out sets")
    results: dict[str, Result] = {}
    for family in families:
        module = importlib.import_module(f"vcam_avatar.evaluation.{family}")
        results.update(module.measure(data or default_data(), quick))
    return report(results)


def report(results: Mapping[str, Result]) -> dict[str, Any]:
    """The report object: results by id, machine, date and the hashes of the networks."""
    return {
        **{key: asdict(result) for key, result in results.items()},
        "machine": machine(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "weights": weights(),
    }


def machine() -> str:
    """The machine in a few words."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass  # not Linux
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{name}, {cores} cores, {platform.system()}, Python {platform.python_version()}"


def weights() -> dict[str, str]:
    """First twelve digits of the hash of each shipped network."""
    found = {}
    for sidecar in sorted(resources.models_dir().glob("*.json")):
        digest = json.loads(sidecar.read_text(encoding="utf-8")).get("sha256")
        if digest:
            found[sidecar.stem] = digest[:12]
    return found


def show(content: Mapping[str, Any], *, as_json: bool) -> str:
    """A report as JSON or as a table."""
    if as_json:
        return json.dumps(content, indent=1, default=float)
    rows = [("", "value", "target", "holds", "baselines", "measured on")]
    for key, line in content.items():
        if key in ("machine", "date", "weights"):
            continue
        holds = {True: "yes", False: "NO", None: "-"}[line["holds"]]
        value = "-" if line["value"] is None else f"{_words(line['value'])} {line['unit']}".strip()
        count = f" (n={line['n']})" if line["n"] else ""
        rows.append((key, value, line["target"], holds, _words(line["baselines"]), line["data"] + count))
    widths = [min(44, max(len(row[i]) for row in rows)) for i in range(len(rows[0]) - 1)]
    table = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join([f"{content['machine']}, {content['date']}", *table])


def _words(value: Value) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_words(part)}" for key, part in value.items())
    if isinstance(value, float):
        return f"{value:.4g}"
    return "-" if value is None else str(value)
