"""The avatar folder: reading, checking and finding it.

``avatar.toml``, ``picture.png`` (RGBA: the person cut out; or RGB: a photo, then ``mask.png`` tells the
person), ``keypoints.json``, ``layers/`` (made by the body generator), ``thumbnail.png``.
"""

import re
import struct
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from vcam_avatar import resources
from vcam_avatar.avatars.framing import view_matrix
from vcam_avatar.avatars.keypoints import KEYPOINTS_FILE, Keypoints, read_keypoints, write_keypoints
from vcam_avatar.avatars.settings import SETTINGS_FILE, AvatarSettings, read_settings, write_settings
from vcam_avatar.errors import AvatarDataError
from vcam_avatar.media import ByteArray, FloatArray, Size

PICTURE_FILE = "picture.png"
MASK_FILE = "mask.png"
THUMBNAIL_FILE = "thumbnail.png"
LAYERS_FOLDER = "layers"

MAX_SIDE_PX = 4096
"""Longest side of a stored picture."""
_MAX_BYTES = 64_000_000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True)
class Avatar:
    """One avatar, checked and in memory."""

    name: str
    """Folder name; what commands and hotkeys use."""
    folder: Path
    settings: AvatarSettings
    keypoints: Keypoints
    """In pixels of the picture."""
    picture_bgr: ByteArray
    """uint8 ``(H, W, 3)``, read-only."""
    person_alpha: ByteArray
    """uint8 ``(H, W)``: 255 where the person is, read-only."""
    has_background: bool
    """The picture is a photo with its own background, not a cut-out."""

    @property
    def points_px(self) -> FloatArray:
        """float32 ``(57, 3)`` x, y, confidence in picture pixels."""
        return self.keypoints.points_px

    @property
    def face_px(self) -> FloatArray:
        """float32 ``(68, 2)`` iBUG-68 face landmarks in picture pixels."""
        return self.keypoints.face_px

    @property
    def layers_folder(self) -> Path:
        """What the body generator stored for this avatar; may not exist."""
        return self.folder / LAYERS_FOLDER

    @cached_property
    def cut_below(self) -> bool:
        """The person touches the picture's lower edge."""
        return bool((self.person_alpha[-2:] > 127).mean() > 0.02)

    @cached_property
    def head_top_px(self) -> float:
        """Upper edge of the head with hair or hat, in picture pixels."""
        left, right = self.face_px[:, 0].min(), self.face_px[:, 0].max()
        bottom = int(np.clip(self.face_px[8, 1], 1, self.person_alpha.shape[0]))
        columns = slice(max(0, int(left)), max(int(left), int(right)) + 1)
        rows = np.flatnonzero((self.person_alpha[:bottom, columns] > 127).any(1))
        return float(rows[0]) if len(rows) else float(self.face_px[:, 1].min())

    def view(self, size: Size) -> FloatArray:
        """float32 ``(2, 3)``: picture pixels to pixels of a frame of ``size``, before mirroring."""
        own = self.has_background and self.settings.background.kind in ("keep", "blur")
        return view_matrix(self.keypoints, self.settings, size, self.cut_below, self.head_top_px, own)

    @property
    def memory_bytes(self) -> int:
        """Size of the pictures held by this object."""
        return self.picture_bgr.nbytes + self.person_alpha.nbytes


@dataclass(frozen=True, slots=True)
class AvatarEntry:
    """One line of a listing."""

    name: str
    folder: Path
    preset: bool
    """Comes with the package."""
    settings: AvatarSettings | None
    problem: str
    """Why the avatar cannot be used, empty when nothing was found wrong at a glance."""


def load_avatar(folder: Path) -> Avatar:
    """Read and check everything but ``layers/``.

    Raises:
        AvatarDataError: a file is missing, damaged, too large or does not fit the others; cause and cure.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise AvatarDataError(f"{folder} is not an avatar's folder; 'avatars list' shows what there is")
    settings = read_settings(folder / SETTINGS_FILE)
    picture = read_png(folder / PICTURE_FILE)
    keypoints = read_keypoints(folder / KEYPOINTS_FILE)
    height, width = picture.shape[:2]
    if keypoints.size != Size(width, height):
        raise AvatarDataError(
            f"{folder / PICTURE_FILE} is {width}x{height}, but {KEYPOINTS_FILE} belongs to a picture of "
            f"{keypoints.size}; run 'avatars repair {folder.name}'"
        )
    if picture.ndim != 3:
        raise AvatarDataError(
            f"{folder / PICTURE_FILE} must be RGB or RGBA; run 'avatars repair {folder.name}'"
        )
    has_background = picture.shape[2] == 3 or bool(picture[..., 3].min() == 255)
    if has_background:
        alpha = read_png(folder / MASK_FILE)
        if alpha.ndim == 3:
            alpha = alpha[..., 1]
        if alpha.shape != (height, width):
            raise AvatarDataError(
                f"{folder / MASK_FILE} is {alpha.shape[1]}x{alpha.shape[0]}, expected {width}x{height}; "
                f"run 'avatars repair {folder.name}'"
            )
    else:
        alpha = picture[..., 3]
    if not (alpha > 127).any():
        raise AvatarDataError(f"{folder}: the picture shows no person (empty alpha); create the avatar again")
    name = settings.background.picture
    if settings.background.kind == "picture" and not (folder / name).is_file():
        raise AvatarDataError(
            f"{folder / name} is missing; put the background picture there or change background.kind"
        )
    bgr, alpha = np.ascontiguousarray(picture[..., :3]), np.ascontiguousarray(alpha)
    bgr.setflags(write=False)
    alpha.setflags(write=False)
    return Avatar(folder.name, folder, settings, keypoints, bgr, alpha, has_background)


def read_png(path: Path) -> ByteArray:
    """Decode an 8-bit PNG after a look at its header: uint8 ``(H, W)`` or ``(H, W, 3 or 4)`` BGR(A).

    Raises:
        AvatarDataError: missing, not a PNG, 16 bit, larger than 4096 px a side, or damaged.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise AvatarDataError(f"{path} has more than {_MAX_BYTES // 10**6} MB; create the avatar again")
        data = path.read_bytes()
    except FileNotFoundError as exc:
        raise AvatarDataError(f"{path} is missing; run 'avatars repair {path.parent.name}'") from exc
    except OSError as exc:
        raise AvatarDataError(f"{path} cannot be read: {exc}") from exc
    if data[:8] != b"\x89PNG\r\n\x1a\n" or data[12:16] != b"IHDR" or len(data) < 33:
        raise AvatarDataError(f"{path} is not a PNG picture; run 'avatars repair {path.parent.name}'")
    width, height, depth = struct.unpack(">IIB", data[16:25])
    if not (16 <= width <= MAX_SIDE_PX and 16 <= height <= MAX_SIDE_PX) or depth > 8:
        raise AvatarDataError(
            f"{path} is {width}x{height} with {depth} bits; expected 8 bits and 16 to {MAX_SIDE_PX} px "
            "a side; create the avatar again from it"
        )
    if data[-8:-4] != b"IEND":
        raise AvatarDataError(
            f"{path} is damaged: its end is missing; copy it again or create the avatar again"
        )
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if picture is None or picture.dtype != np.uint8 or picture.shape[:2] != (height, width):
        raise AvatarDataError(f"{path} is damaged; copy it again or create the avatar again")
    return np.asarray(picture, np.uint8)


def write_avatar(
    folder: Path,
    settings: AvatarSettings,
    picture: ByteArray,
    keypoints: Keypoints,
    mask: ByteArray | None = None,
) -> None:
    """Write everything but ``layers/`` and the thumbnail into ``folder``, which may exist.

    Args:
        folder: made when absent; its name is the avatar's.
        settings: for ``avatar.toml``.
        picture: uint8 ``(H, W, 4)`` BGRA straight alpha, the person; or ``(H, W, 3)`` BGR, a photo.
        keypoints: in pixels of ``picture``.
        mask: uint8 ``(H, W)``, 255 on the person; needed for a photo only.

    Raises:
        ValueError: shapes that do not fit each other.
        AvatarDataError: the folder cannot be written.
    """
    height, width = picture.shape[:2]
    if keypoints.size != Size(width, height):
        raise ValueError(f"picture is {width}x{height}, keypoints belong to {keypoints.size}")
    if picture.shape[2] == 3 and (mask is None or mask.shape != (height, width)):
        raise ValueError("a picture without alpha needs a mask of its size")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_png(folder / PICTURE_FILE, picture)
        if mask is not None:
            write_png(folder / MASK_FILE, mask)
        write_keypoints(folder / KEYPOINTS_FILE, keypoints)
        write_settings(folder / SETTINGS_FILE, settings)
    except OSError as exc:
        raise AvatarDataError(f"{folder} cannot be written: {exc}") from exc


def write_png(path: Path, picture: ByteArray) -> None:
    """Write uint8 ``(H, W)``, ``(H, W, 3)`` BGR or ``(H, W, 4)`` BGRA, whole or not at all."""
    ok, data = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 6])
    if not ok:
        raise ValueError(f"cannot encode a picture of shape {picture.shape}")
    partial = path.with_name(path.name + ".part")
    partial.write_bytes(data.tobytes())
    partial.replace(path)


def user_avatars_dir() -> Path:
    """The user's own avatars, one folder each; may not exist yet."""
    return resources.user_data_dir() / "avatars"


def _roots() -> list[tuple[Path, bool]]:
    return [(user_avatars_dir(), False), (resources.presets_dir(), True)]


def check_name(name: str) -> str:
    """Return ``name`` when it can be a folder's name.

    Raises:
        AvatarDataError: other than letters, digits, ``-`` and ``_``, or longer than 64.
    """
    if not _NAME.fullmatch(name):
        raise AvatarDataError(
            f"{name!r} cannot be an avatar's name: use letters, digits, - and _, at most 64"
        )
    return name


def find_avatar(name: str) -> Path:
    """Folder of the avatar ``name``: a path to a folder, else the user's avatars, else the presets.

    Raises:
        AvatarDataError: there is none; names the nearest.
    """
    if _NAME.fullmatch(name):
        for root, _ in _roots():
            if (root / name / SETTINGS_FILE).is_file():
                return root / name
    path = Path(name).expanduser()
    if (path / SETTINGS_FILE).is_file():
        return path
    known = [entry.name for entry in list_avatars()]
    raise AvatarDataError(f"there is no avatar {name!r}; {resources.closest(name, known)}")


def find_folder(name: str) -> Path:
    """Like ``find_avatar``, for folders that may be damaged.

    Raises:
        AvatarDataError: there is no such folder.
    """
    if _NAME.fullmatch(name):
        for root, _ in _roots():
            if (root / name).is_dir():
                return root / name
    path = Path(name).expanduser()
    return path if path.is_dir() else find_avatar(name)


def avatar_folders() -> dict[str, Path]:
    """Folder of every avatar by name, without reading any."""
    folders: dict[str, Path] = {}
    for root, _ in _roots():
        if root.is_dir():
            for folder in sorted(root.iterdir()):
                if _NAME.fullmatch(folder.name) and (folder / SETTINGS_FILE).is_file():
                    folders.setdefault(folder.name, folder)
    return folders


def list_avatars() -> list[AvatarEntry]:
    """All avatars in the order of their slots, then the user's, then the presets they do not hide.

    Reads only ``avatar.toml``.
    """
    entries = []
    presets = resources.presets_dir()
    for name, folder in avatar_folders().items():
        settings, problem = None, ""
        try:
            settings = read_settings(folder / SETTINGS_FILE)
            for needed in (PICTURE_FILE, KEYPOINTS_FILE):
                if not (folder / needed).is_file():
                    problem = f"{needed} is missing; run 'avatars repair {name}'"
        except AvatarDataError as exc:
            problem = str(exc)
        entries.append(AvatarEntry(name, folder, folder.parent == presets, settings, problem))
    last = 100
    return sorted(entries, key=lambda entry: (entry.settings and entry.settings.slot) or last)
