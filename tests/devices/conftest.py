"""Fixtures of the device tests."""

from collections.abc import Iterator

import pytest
from devices.fake_camera import FakeCamera


@pytest.fixture
def fake_camera() -> Iterator[type[FakeCamera]]:
    """A registered backend named ``fake``; the registry is as before afterwards."""
    camera = pytest.importorskip("pyvirtualcam.camera")
    before = dict(camera.BACKENDS)
    FakeCamera.opened, FakeCamera.busy = [], False
    camera.register_backend("fake", FakeCamera)
    yield FakeCamera
    camera.BACKENDS.clear()
    camera.BACKENDS.update(before)
