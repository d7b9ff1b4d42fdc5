"""What Avatar Cam can ask of OBS, and what OBS tells: so that everything above it is tested without one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

MICROPHONE_KINDS = (
    "pulse_input_capture",
    "alsa_input_capture",
    "wasapi_input_capture",
    "coreaudio_input_capture",
)
CAMERA_KINDS: Mapping[str, str] = {
    "v4l2_input": "device_id",
    "dshow_input": "video_device_id",
    "av_capture_input": "device",
    "av_capture_input_v2": "device",
    "macos-avcapture": "device",
}
"""Kind of a camera source in OBS -> the setting that names its device."""


@dataclass(frozen=True, slots=True)
class Input:
    """One input of OBS."""

    name: str
    kind: str


class Obs(Protocol):
    """What can be asked of a connected OBS. Every call may raise ``ControlError`` when OBS refuses and
    ``ConnectionError`` when it is gone."""

    def version(self) -> str: ...
    def inputs(self) -> Sequence[Input]: ...
    def is_muted(self, name: str) -> bool: ...
    def sync_offset_ms(self, name: str) -> int: ...
    def set_sync_offset_ms(self, name: str, offset_ms: int) -> None: ...
    def settings_of(self, name: str) -> Mapping[str, Any]: ...
    def change_settings(self, name: str, settings: Mapping[str, Any]) -> None: ...
    def devices_of(self, name: str, setting: str) -> Sequence[tuple[str, str]]: ...
    def current_scene(self) -> str: ...
    def scenes(self) -> Sequence[str]: ...
    def input_kinds(self) -> Sequence[str]: ...
    def create_source(self, scene: str, name: str, kind: str, settings: Mapping[str, Any]) -> None: ...
    def remove_input(self, name: str) -> None: ...
    def collection(self) -> str: ...
    def hotkeys(self) -> Sequence[str]: ...
    def own_camera_active(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in OBS."""

    kind: str
    """hotkey, scene, mute, offset, own-camera, collection-changing, collection-changed or exit."""
    data: Mapping[str, Any] = field(default_factory=dict)
