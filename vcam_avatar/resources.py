"""Where the package's own data lie, in a checkout and in an installed wheel."""

import difflib
from pathlib import Path

from vcam_avatar.errors import AvatarDataError, ModelError

_PACKAGE = Path(__file__).resolve().parent


def models_dir() -> Path:
    """Folder with the networks and their sidecars.

    Raises:
        ModelError: the installation has none.
    """
    folder = _data_dir("models")
    if folder is None:
        raise ModelError("this installation has no models folder: install the package again")
    return folder


def model_path(name: str) -> Path:
    """Path of the network ``name``.

    Raises:
        ModelError: there is none of that name.
    """
    path = models_dir() / f"{name}.onnx"
    if not path.is_file():
        raise ModelError(f"network {name} is missing ({path}): install the package again")
    return path


def presets_dir() -> Path:
    """Folder with one folder per avatar that ships with the package.

    Raises:
        AvatarDataError: the installation has none.
    """
    folder = _data_dir("presets")
    if folder is None:
        raise AvatarDataError("this installation has no presets folder: install the package again")
    return folder


def asset_path(name: str) -> Path:
    """Path of a file in ``vcam_avatar/assets``.

    Raises:
        FileNotFoundError: there is none (a packaging bug).
    """
    path = _PACKAGE / "assets" / name
    if not path.is_file():
        raise FileNotFoundError(path)
    return path


def user_data_dir() -> Path:
    """The platform's folder for the user's own avatars; it may not exist yet."""
    import platformdirs

    return Path(platformdirs.user_data_dir("vcam-avatar", appauthor=False))


def closest(name: str, known: list[str]) -> str:
    """Words for an error message: the known names, the nearest one first."""
    if not known:
        return "there are none"
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    rest = f"known: {', '.join(sorted(known))}"
    return f"did you mean {near[0]}? {rest}" if near else rest


def _data_dir(name: str) -> Path | None:
    # A wheel has the folder inside the package, a checkout beside it.
    for folder in (_PACKAGE / name, _PACKAGE.parent / name):
        if folder.is_dir() and (folder.parent == _PACKAGE or (_PACKAGE.parent / "pyproject.toml").is_file()):
            return folder
    return None
