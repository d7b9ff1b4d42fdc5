"""The configuration: strict, frozen, every default written once.

Defaults, then the avatar's own gains, then the user's file, then command-line flags.
"""

import difflib
import tomllib
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
)

from vcam_avatar.errors import ConfigError
from vcam_avatar.media import Size

MIN_FPS, MAX_FPS = 10, 60
_NTSC = {"23.976": Fraction(24_000, 1001), "29.97": Fraction(30_000, 1001), "59.94": Fraction(60_000, 1001)}


def parse_fps(value: object) -> Fraction:
    """Frames per second from 25, "25", 29.97 (meaning 30000/1001) or "30000/1001".

    Raises:
        ValueError: not a number, or not between 10 and 60.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str | Fraction):
        raise ValueError("must be a number such as 25 or 29.97")
    try:
        fps = _NTSC.get(str(value)) or Fraction(str(value))
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"{value!r} is not a number such as 25 or 29.97") from None
    if not MIN_FPS <= fps <= MAX_FPS:
        raise ValueError(f"must lie between {MIN_FPS} and {MAX_FPS}, got {value}")
    return fps.limit_denominator(1001)


def parse_size(value: object) -> Size:
    """Frame size from "1280x720".

    Raises:
        ValueError: another form, odd, or not between 64x64 and 3840x2160.
    """
    if isinstance(value, Size):
        size = value
    else:
        parts = value.lower().split("x") if isinstance(value, str) else []
        if len(parts) != 2 or not all(part.strip().isdecimal() for part in parts):
            raise ValueError(f'{value!r} is not a size such as "1280x720"')
        size = Size(int(parts[0]), int(parts[1]))
    if not (64 <= size.width_px <= 3840 and 64 <= size.height_px <= 2160):
        raise ValueError(f"must lie between 64x64 and 3840x2160, got {size}")
    if size.width_px % 2 or size.height_px % 2:
        raise ValueError(f"width and height must be even, got {size}")
    return size


Fps = Annotated[Fraction, BeforeValidator(parse_fps), PlainSerializer(str)]
PictureSize = Annotated[Size, BeforeValidator(parse_size), PlainSerializer(str)]
Gain = Annotated[float, Field(ge=0.0, le=2.0)]


class _Section(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, arbitrary_types_allowed=True, validate_default=True
    )


class VideoConfig(_Section):
    """``[video]``"""

    fps: Fps = Fraction(25)
    size: PictureSize = Size(1280, 720)
    fade_ms: Annotated[int, Field(ge=0, le=2000)] = 0
    """Cross-fade when the avatar changes; 0 is a cut."""


class MicrophoneConfig(_Section):
    """``[microphone]``"""

    name: str = ""
    """Any part of the device's name; empty takes the system's default."""
    noise_gate_db: Annotated[float, Field(ge=-120.0, le=0.0)] = -120.0
    """Sound below this level, in dBFS, counts as silence; -120 lets everything through."""


class CameraConfig(_Section):
    """``[camera]``"""

    device: str = ""
    """Device name or path; empty takes our own."""
    backend: str = ""
    """A pyvirtualcam backend; empty takes the platform's."""


class VoiceConfig(_Section):
    """``[voice]``: how speech becomes a face."""

    look_ahead_ms: Literal[0, 20, 40] = 20
    """How much sound after a moment is heard before its mouth is drawn. Up to half a frame is free."""
    mouth_gain: Gain | None = None
    """How far the mouth opens; unset takes the avatar's own value."""
    smile: Annotated[float, Field(ge=0.0, le=1.0)] | None = None
    """Smile at rest; unset takes the avatar's own value."""


class MotionConfig(_Section):
    """``[motion]``: how lively the body is."""

    gain: Gain | None = None
    """Gestures of arms and hands; unset takes the avatar's own value."""
    head_gain: Gain | None = None
    """Turns and nods of the head; unset takes the avatar's own value."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """The same seed and the same sound give the same video."""


class NetworkConfig(_Section):
    """``[networks]``: where they run."""

    device: Literal["cpu", "cuda"] = "cpu"
    """Where the face networks run; the others are too small to gain from it."""
    threads: Annotated[int, Field(ge=1, le=16)] = 1
    """Threads inside one face network."""


class ObsConfig(_Section):
    """``[obs]``: what OBS may decide. The password comes from OBS's own files or the environment."""

    follow: bool = True
    """Connect to OBS when it runs."""
    host: str = ""
    """Empty: what OBS's own files say."""
    port: Annotated[int, Field(ge=0, le=65535)] = 0
    """0: what OBS's own files say."""
    microphone: str = ""
    """Name of the input in OBS whose mute shuts the mouth; empty: every microphone must be muted."""
    sync_offset: bool = False
    """Set the microphone's sync offset in OBS to our latency, and restore it at the end."""
    scenes: dict[str, str] = {}
    """Scene name -> avatar to show with it."""


class Config(_Section):
    """The whole configuration."""

    avatar: str = ""
    """Avatar shown first; empty takes the one of the demo."""
    video: VideoConfig = VideoConfig()
    microphone: MicrophoneConfig = MicrophoneConfig()
    camera: CameraConfig = CameraConfig()
    voice: VoiceConfig = VoiceConfig()
    motion: MotionConfig = MotionConfig()
    networks: NetworkConfig = NetworkConfig()
    obs: ObsConfig = ObsConfig()


def config_path() -> Path:
    """Where the user's file is looked for when none is named."""
    import platformdirs

    return Path(platformdirs.user_config_dir("vcam-avatar", appauthor=False)) / "config.toml"


def load_config(path: Path | None = None, flags: Mapping[str, object] | None = None) -> Config:
    """Read the configuration.

    Args:
        path: the user's file; None looks in the platform's folder and is content without one.
        flags: values by dotted key (``video.fps``); None values are left out.

    Raises:
        ConfigError: missing, not TOML, an unknown key, or a value that cannot be; names file and key.
    """
    file = path or config_path()
    content: dict[str, Any] = {}
    if path is not None or file.is_file():
        try:
            content = tomllib.loads(file.read_text(encoding="utf-8-sig"))  # editors on Windows add a mark
        except OSError as exc:
            raise ConfigError(f"{file} cannot be read ({exc.strerror}): check the name") from exc
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
            raise ConfigError(f"{file} is not valid TOML: {exc}") from exc
    _validated(content, str(file))
    for key, value in (flags or {}).items():
        if value is not None:
            _put(content, key, value)
    return _validated(content, "command line")


def changed(config: Config, key: str, value: object) -> Config:
    """A copy with one value, named by its dotted key, replaced: for live changes.

    Raises:
        ConfigError: unknown key or impossible value.
    """
    content = config.model_dump(mode="json", exclude_none=True)
    _put(content, key, value)
    return _validated(content, "set")


def known_keys() -> list[str]:
    """All dotted keys."""
    keys = []
    for name, info in Config.model_fields.items():
        section = info.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            keys += [f"{name}.{key}" for key in section.model_fields]
        else:
            keys.append(name)
    return keys


def _put(content: dict[str, Any], key: str, value: object) -> None:
    *tables, last = key.split(".")
    for table in tables:
        content = content.setdefault(table, {})
        if not isinstance(content, dict):
            raise ConfigError(f"{key}: {table} is not a table")
    content[last] = value


def _validated(content: Mapping[str, Any], where: str) -> Config:
    try:
        return Config.model_validate(content)
    except ValidationError as exc:
        error = exc.errors()[0]
        key = ".".join(map(str, error["loc"]))
        if error["type"] == "extra_forbidden":
            near = difflib.get_close_matches(key, known_keys(), n=1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known_keys())}"
            raise ConfigError(f"{where}: unknown key {key}; {hint}") from exc
        message = error["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{where}: {key}: {message}") from exc
