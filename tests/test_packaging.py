"""The wheel holds all packages, networks and presets."""

import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def test_every_package_is_listed() -> None:
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    found = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "vcam_avatar").rglob("*.py")}
    listed = set(setuptools["packages"])
    assert found <= listed, f"add to packages in pyproject.toml: {sorted(found - listed)}"
    assert listed - found <= {"vcam_avatar.assets", *setuptools["package-dir"]}


@pytest.mark.timeout(300)
def test_wheel_contains_models_and_presets(tmp_path: Path) -> None:
    pytest.importorskip("build")
    source = tmp_path / "source"
    source.mkdir()
    for name in ("vcam_avatar", "models", "presets"):  # a copy, since building leaves folders behind
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path)]
    command.append(str(source))
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    expected = {
        f"vcam_avatar/{folder}/{path.relative_to(ROOT / folder).as_posix()}"
        for folder, patterns in (("models", ("*.onnx", "*.json")), ("presets", ("**/*.*",)))
        for pattern in patterns
        for path in (ROOT / folder).glob(pattern)
        if path.is_file()
    }
    assert expected <= names
    assert "vcam_avatar/cli/main.py" in names
    assert not any(name.startswith(("tests/", "build/")) for name in names)


def test_test_files_have_different_names() -> None:
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert len(names) == len(set(names)), "two of one name cannot be collected together"
