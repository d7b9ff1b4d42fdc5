"""Reports of measures: one object, as JSON and as a table."""

import json
import sys
import types
from pathlib import Path

import pytest

from vcam_avatar.errors import ConfigError
from vcam_avatar.evaluation import report as module
from vcam_avatar.evaluation.report import Result, evaluate, not_measured, report, show


def results() -> dict[str, Result]:
    return {
        "L1": Result(0.05, "%", "<= 0.1 %", True, "30 s of zeros", 750, {"Wav2Lip": 46}),
        "P3": Result({"ours": 0.5, "real": 0.6}, "", ">= real", False, "held-out talks", 3),
        "B2": not_measured("dB", ">= 24", "no data"),
    }


def test_json_has_the_agreed_keys() -> None:
    content = json.loads(show(report(results()), as_json=True))
    assert set(content) == {"L1", "P3", "B2", "machine", "date", "weights"}
    assert set(content["L1"]) == {"value", "unit", "target", "holds", "baselines", "data", "n"}
    assert content["B2"]["holds"] is None
    assert all(len(digest) == 12 for digest in content["weights"].values())


def test_table_says_what_holds_and_what_was_not_measured() -> None:
    lines = show(report(results()), as_json=False).splitlines()
    assert any("L1" in line and "yes" in line and "Wav2Lip 46" in line for line in lines)
    assert any("P3" in line and "NO" in line for line in lines)
    assert any("B2" in line and "not measured: no data" in line for line in lines)


def test_families_are_joined(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for family in ("one", "two"):
        fake = types.ModuleType(f"vcam_avatar.evaluation.{family}")
        fake.measure = lambda data, quick, family=family: {  # type: ignore[attr-defined]
            family: Result(int(quick), "", "", True, str(data))
        }
        monkeypatch.setitem(sys.modules, fake.__name__, fake)
    content = evaluate(["one", "two"], tmp_path, quick=True)
    assert content["one"]["data"] == content["two"]["data"] == str(tmp_path)
    with pytest.raises(ConfigError, match="not a folder"):
        evaluate(["one"], tmp_path / "none")


def test_default_data_lie_beside_the_checkout() -> None:
    assert module.default_data().parts[-2:] == ("shared", "data")
