"""What OBS tells over its websocket, as events for the follower."""

import contextlib
import json
import logging
import queue
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import obsws_python

from vcam_avatar.control.obs.port import Event

log = logging.getLogger(__name__)

SCRIPT_PREFIX = "avatar-cam"
_VENDOR = re.compile(r"avatar-cam(-\d+)?")
"""A reloaded script cannot have its old vendor name again and appends a number."""

_Subs = obsws_python.Subs
SUBSCRIPTIONS = _Subs.GENERAL | _Subs.CONFIG | _Subs.SCENES | _Subs.INPUTS | _Subs.OUTPUTS | _Subs.VENDORS


def callbacks(events: "queue.Queue[Event | None]") -> Sequence[Callable[[Any], None]]:
    """Callbacks under the names the library looks for. They only enqueue: an exception in one would end
    the library's event thread."""

    def put(kind: str, data: Mapping[str, Any] | None = None) -> None:
        try:
            events.put_nowait(Event(kind, data or {}))
        except queue.Full:
            log.warning("obs: too many events at once, dropped %s", kind)

    def on_vendor_event(event: Any) -> None:
        name = str(getattr(event, "vendor_name", ""))
        data = getattr(event, "event_data", None)
        if (
            _VENDOR.fullmatch(name)
            and getattr(event, "event_type", "") == "hotkey"
            and isinstance(data, dict)
        ):
            put("hotkey", data)

    def on_input_name_changed(event: Any) -> None:
        name = str(getattr(event, "input_name", ""))
        if name.startswith(f"{SCRIPT_PREFIX}:{{"):
            with contextlib.suppress(ValueError):
                put("hotkey", json.loads(name.removeprefix(f"{SCRIPT_PREFIX}:")))

    def on_current_program_scene_changed(event: Any) -> None:
        put("scene", {"scene": getattr(event, "scene_name", "")})

    def on_input_mute_state_changed(event: Any) -> None:
        muted = getattr(event, "input_muted", False)
        put("mute", {"input": getattr(event, "input_name", ""), "muted": muted})

    def on_input_audio_sync_offset_changed(event: Any) -> None:
        offset = getattr(event, "input_audio_sync_offset", 0)
        put("offset", {"input": getattr(event, "input_name", ""), "offset_ms": offset})

    def on_virtualcam_state_changed(event: Any) -> None:
        put("own-camera", {"active": getattr(event, "output_active", False)})

    def on_current_scene_collection_changing(_: Any) -> None:
        put("collection-changing")

    def on_current_scene_collection_changed(_: Any) -> None:
        put("collection-changed")

    def on_exit_started(_: Any) -> None:
        put("exit")

    return (
        on_vendor_event,
        on_input_name_changed,
        on_current_program_scene_changed,
        on_input_mute_state_changed,
        on_input_audio_sync_offset_changed,
        on_virtualcam_state_changed,
        on_current_scene_collection_changing,
        on_current_scene_collection_changed,
        on_exit_started,
    )
