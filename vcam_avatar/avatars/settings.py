"""``avatar.toml``: what a user may write about an avatar, validated key by key."""

import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from vcam_avatar.errors import AvatarDataError

SETTINGS_FILE = "avatar.toml"

BackgroundKind = Literal["keep", "colour", "picture", "blur", "transparent"]
Framing = Literal["head", "bust", "half_body", "whole"]
Text = Annotated[str, Field(max_length=400)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class BackgroundSettings(_Strict):
    """What lies behind the avatar."""

    kind: BackgroundKind = "keep"
    """``keep``: the picture's own; ``transparent``: the colour, for cameras carry no transparency."""
    colour: str = "#00B140"
    """``#RRGGBB``, used by ``colour`` and wherever nothing else can be shown."""
    picture: str = ""
    """File name inside the avatar's folder, used by ``picture``."""
    blur: float = Field(default=0.02, ge=0.0, le=0.2)
    """Radius in frame heights, used by ``blur``."""

    @field_validator("colour")
    @classmethod
    def _is_colour(cls, value: str) -> str:
        if not re.fullmatch(r"#[0-9A-Fa-f]{6}", value):
            raise ValueError('must look like "#00B140"')
        return value.upper()

    @field_validator("picture")
    @classmethod
    def _is_plain_name(cls, value: str) -> str:
        if value and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\.(png|jpg|jpeg)", value):
            raise ValueError("must be a .png or .jpg file name without folders")
        return value

    @model_validator(mode="after")
    def _has_picture(self) -> "BackgroundSettings":
        if self.kind == "picture" and not self.picture:
            raise ValueError('kind = "picture" needs a file name in picture')
        return self

    @property
    def colour_bgr(self) -> tuple[int, int, int]:
        """Blue, green, red, 0 to 255."""
        value = int(self.colour[1:], 16)
        return value & 255, value >> 8 & 255, value >> 16


class GainSettings(_Strict):
    """How strongly the networks' motion is applied; 1 is as predicted."""

    mouth: float = Field(default=1.0, ge=0.0, le=2.0)
    smile: float = Field(default=0.0, ge=0.0, le=1.0)
    """Added to the smile at rest."""
    motion: float = Field(default=1.0, ge=0.0, le=2.0)
    """Gestures of arms and hands."""
    head: float = Field(default=1.0, ge=0.0, le=2.0)
    """Turns and nods of the head."""


class AvatarSettings(_Strict):
    """All of ``avatar.toml``."""

    format: Literal[1] = 1
    name: str = Field(min_length=1, max_length=80)
    """What people see; the folder's name is what commands use."""
    licence: Text = ""
    source: Text = ""
    """Where the picture comes from."""
    description: Text = ""
    slot: int = Field(default=0, ge=0, le=99)
    """Place in the list of avatars, and so the key "Avatar N" in OBS; 0: after those with a place."""
    framing: Framing = "half_body"
    """How much of the person fills the frame; ``whole``: the picture as it is."""
    mirror: bool = False
    scale: float = Field(default=1.0, ge=0.25, le=4.0)
    """Enlargement on top of ``framing``; the head stays in view."""
    position: tuple[float, float] = (0.0, 0.0)
    """Shift right and down on top of ``framing``, in frame heights, -2 to 2."""
    background: BackgroundSettings = BackgroundSettings()
    gains: GainSettings = GainSettings()

    @field_validator("position")
    @classmethod
    def _is_near(cls, value: tuple[float, float]) -> tuple[float, float]:
        if max(abs(value[0]), abs(value[1])) > 2:
            raise ValueError("must lie between -2 and 2")
        return value


def read_settings(path: Path) -> AvatarSettings:
    """Read and validate one ``avatar.toml``.

    Raises:
        AvatarDataError: missing, not TOML, an unknown key or a value out of range; names the key.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as exc:
        raise AvatarDataError(f"{path} is missing; create the avatar again or run 'avatars repair'") from exc
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise AvatarDataError(f"{path} cannot be read: {exc}; correct the file") from exc
    try:
        return AvatarSettings.model_validate(data)
    except ValidationError as exc:
        raise AvatarDataError(f"{path}: {describe(exc)}; correct or remove it") from exc


def describe(error: ValidationError) -> str:
    """The first things wrong, one short phrase each, by key."""
    phrases = []
    for item in error.errors()[:3]:
        key = ".".join(str(part) for part in item["loc"]) or "file"
        phrase = "unknown key" if item["type"] == "extra_forbidden" else item["msg"]
        phrases.append(f"{key}: {phrase}")
    return "; ".join(phrases)


def _quote(text: str) -> str:
    return '"' + re.sub(r'[\\"]', r"\\\g<0>", re.sub(r"[\x00-\x1f\x7f]", " ", text)) + '"'


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _quote(value)
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return repr(value)


def write_settings(path: Path, settings: AvatarSettings) -> None:
    """Write ``settings`` with every key, so that the file shows what can be changed."""
    tables: list[tuple[str, dict[str, object]]] = [("", {})]
    for key, value in settings.model_dump().items():
        if isinstance(value, dict):
            tables.append((key, value))
        else:
            tables[0][1][key] = value
    lines: list[str] = []
    for table, items in tables:
        if table:
            lines += ["", f"[{table}]"]
        lines += [f"{key} = {_toml(value)}" for key, value in items.items()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
