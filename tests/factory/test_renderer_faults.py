"""What is said when headless OpenGL is not there."""

import pytest

from vcam_avatar.errors import DeviceError
from vcam_avatar.factory.renderer import EGL_PACKAGES, Renderer

moderngl = pytest.importorskip("moderngl", reason="the extra 'factory' is not installed")


def test_without_egl_the_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*args: object, **kwargs: object) -> None:
        raise Exception("libEGL.so not loaded")

    monkeypatch.setattr(moderngl, "create_context", absent)
    with pytest.raises(DeviceError, match=EGL_PACKAGES):
        Renderer(16, 16)
