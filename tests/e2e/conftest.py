"""Fixtures of the tests with real programs."""

import gc
import os
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from lab import Lab


@pytest.fixture(scope="module")
def environment():
    """Lets a module change the environment; undone at its end."""
    patch = pytest.MonkeyPatch()
    yield patch
    patch.undo()


@pytest.fixture(scope="module")
def lab(environment):
    """A private desktop; this process shares its environment, so that the service finds its OBS."""
    missing = [tool for tool in ("obs", "Xvfb", "xdotool", "openbox", "pulseaudio") if not shutil.which(tool)]
    if missing:
        pytest.fail(f"tests/e2e/run.sh installs what is missing: {', '.join(missing)}")
    with Lab() as lab:
        lab.start_display()
        lab.start_sound()
        for key in ("HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "PULSE_SERVER", "DISPLAY"):
            environment.setenv(key, lab.env[key])
        for key in ("XDG_DATA_HOME", "XDG_STATE_HOME", "VCAM_AVATAR_OBS_PASSWORD"):
            environment.delenv(key, raising=False)
        yield lab


def pytest_collection_modifyitems(items):
    """A busy machine must not fail what is not about time."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(float(os.environ.get("VCAM_E2E_TIMEOUT_S", "240"))))


@pytest.fixture(autouse=True)
def no_leftovers():
    """Sockets that the websocket library leaves are collected while their warnings are still ignored."""
    yield
    gc.collect()
