"""The package as a whole: what importing it does, and the table of the method's units."""

import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import vcam_avatar

ROOT = Path(__file__).resolve().parents[1]


def test_importing_needs_no_torch_and_no_device() -> None:
    code = (
        "import pkgutil, importlib, sys, vcam_avatar\n"
        "skip = tuple('vcam_avatar.' + name for name in ('training', 'factory', 'models', 'presets'))\n"
        "for module in pkgutil.walk_packages(vcam_avatar.__path__, 'vcam_avatar.'):\n"
        "    if not module.name.startswith(skip):\n"
        "        importlib.import_module(module.name)\n"
        "heavy = [name for name in ('torch', 'sounddevice', 'moderngl') if name in sys.modules]\n"
        "assert not heavy, heavy\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("module", ["stages.compositor", "stages.face_maps", "avatars.layers_inpaint"])
def test_compiled_code_is_kept_outside_the_package(module: str) -> None:
    # Inside, it would survive uninstalling and hide an editable installation of the package.
    kernels = [
        f for f in vars(importlib.import_module(f"vcam_avatar.{module}")).values() if hasattr(f, "_cache")
    ]
    assert kernels
    for kernel in kernels:
        assert ROOT / "vcam_avatar" not in Path(kernel._cache.cache_path).parents


def test_every_name_in_the_readmes_unit_table_exists() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = text.split("<!-- units -->")[1]
    names = re.findall(r"`(vcam_avatar(?:\.\w+)+)`", table)
    assert len(names) >= 6
    for name in names:
        module, _, attribute = name.rpartition(".")
        assert hasattr(importlib.import_module(module), attribute), name


def test_the_readmes_configuration_is_whole_and_valid(tmp_path: Path) -> None:
    from vcam_avatar.config import known_keys, load_config

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "config.toml").write_text(example, encoding="utf-8")
    load_config(tmp_path / "config.toml")
    content = tomllib.loads(example)
    given = {key for key, value in content.items() if not isinstance(value, dict)}
    given |= {f"{table}.{key}" for table, keys in content.items() if isinstance(keys, dict) for key in keys}
    assert given == set(known_keys())


def test_readme_commands_exist() -> None:
    from vcam_avatar.cli.main import build_parser

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (subparsers,) = (action for action in build_parser()._actions if isinstance(action.choices, dict))
    commands = set(re.findall(r"^\s*(?:python -m )?vcam-avatar ([a-z]+)", text, re.MULTILINE))
    assert commands
    assert commands <= set(subparsers.choices or ())


def test_version_matches_the_project_file() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'version = "{vcam_avatar.__version__}"' in project
