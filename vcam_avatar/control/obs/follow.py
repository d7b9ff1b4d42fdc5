"""What Avatar Cam does when something happens in OBS, and what it does to OBS in return.

Speaks to OBS through the ``Obs`` port, so that it can be tested without one. Everything runs on the
link's thread.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vcam_avatar.control.commands import (
    OBS,
    Command,
    Hold,
    Mute,
    Next,
    Previous,
    Switch,
    Talk,
    ToggleIdle,
    ToggleMute,
    Unmute,
)
from vcam_avatar.control.dispatcher import Dispatcher
from vcam_avatar.control.obs.offsets import OffsetMemory
from vcam_avatar.control.obs.port import CAMERA_KINDS, MICROPHONE_KINDS, Event, Obs
from vcam_avatar.errors import ControlError

log = logging.getLogger(__name__)

MIN_OFFSET_MS, MAX_OFFSET_MS = -950, 20000
OFFSET_TOLERANCE_MS = 5
COLLECTION_SETTLES_S = 0.5
"""Events keep coming for a moment after a scene collection was changed; none is a user's doing."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What to follow."""

    microphone: str = ""
    """Name of the input in OBS whose mute counts; empty: every microphone must be muted."""
    scenes: Mapping[str, str] = field(default_factory=dict)
    """Scene name -> avatar to show with it."""


class Follower:
    """Carries out what OBS's events mean, and keeps OBS's side in order."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        rules: Rules,
        *,
        offset_ms: Callable[[], float | None] = lambda: None,
        camera: Callable[[], str | None] = lambda: None,
        own_camera: Callable[[bool], None] = lambda active: None,
        memory: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            offset_ms: how much later than its sound a frame comes; None: leave OBS's offsets alone.
            camera: the device our frames go to, as OBS names it; None before the first frame.
            own_camera: told whether OBS's own virtual camera sends.
            memory: file that remembers the offsets OBS had before us, so that they come back even
                after a crash.
        """
        self._dispatcher = dispatcher
        self._rules = rules
        self._offset_ms = offset_ms
        self._camera = camera
        self._own_camera = own_camera
        self._clock = clock
        self._memory = OffsetMemory(memory)
        self._muted: dict[str, bool] = {}
        self._ignore_until = 0.0
        self._left_alone: set[tuple[str, str]] = set()
        self._poked: str | None = None
        self._first = True

    def connected(self, obs: Obs) -> None:
        """OBS is there: take over its state and bring its side in order."""
        self._poked = None
        self._take_over(obs)
        self._own_camera(obs.own_camera_active())
        if self._first:
            self._first = False
            self._follow_scene(obs.current_scene())

    def lost(self) -> None:
        """OBS is gone: nobody there mutes any more."""
        self._muted = {}
        self._tell_mute()
        self._own_camera(False)

    def event(self, event: Event, obs: Obs) -> None:
        """Something happened in OBS."""
        data = event.data
        if event.kind == "hotkey":
            self._hotkey(data)
        elif event.kind == "own-camera":
            self._own_camera(bool(data["active"]))
        elif event.kind == "collection-changing":
            self._ignore_until = float("inf")
        elif event.kind == "collection-changed":
            self._take_over(obs)
            self._poked = None
            self._ignore_until = self._clock() + COLLECTION_SETTLES_S
        elif self._clock() < self._ignore_until:
            return
        elif event.kind == "scene":
            self._follow_scene(str(data["scene"]))
        elif event.kind == "mute":
            if data["input"] in self._muted:
                self._muted[data["input"]] = bool(data["muted"])
                self._tell_mute()
        elif event.kind == "offset":
            self._offset_changed(str(data["input"]), int(data["offset_ms"]), obs)

    def tick(self, obs: Obs) -> None:
        """About once a second while connected: offsets follow the latency, a new camera is shown."""
        if self._clock() >= self._ignore_until:
            self._set_offsets(obs)
        self._poke(obs)

    def camera_opened(self) -> None:
        """The camera has frames again; from any thread."""
        self._poked = None

    def leave(self, obs: Obs) -> None:
        """We end: give OBS its own offsets back."""
        self._give_back(obs)

    def _take_over(self, obs: Obs) -> None:
        microphones = self._microphones(obs)
        self._muted = {name: obs.is_muted(name) for name in microphones}
        self._tell_mute()
        self._set_offsets(obs)
        self._poke(obs)

    def _microphones(self, obs: Obs) -> list[str]:
        names = [i.name for i in obs.inputs() if i.kind in MICROPHONE_KINDS]
        if self._rules.microphone:
            if self._rules.microphone not in names:
                log.warning(
                    "obs: there is no microphone %r; it has %s", self._rules.microphone, names or "none"
                )
            return [name for name in names if name == self._rules.microphone]
        return names

    def _tell_mute(self) -> None:
        muted = bool(self._muted) and all(self._muted.values())
        if muted != (OBS in self._dispatcher.muted_by):
            self._run(Mute(OBS) if muted else Unmute(OBS))

    def _follow_scene(self, scene: str) -> None:
        avatar = self._rules.scenes.get(scene)
        if avatar is not None:
            self._run(Switch(avatar))

    def _hotkey(self, data: Mapping[str, Any]) -> None:
        action, pressed = data.get("action"), data.get("pressed") is not False
        avatar = self._avatar_of(data)
        commands: dict[str, Command] = {
            "next": Next(),
            "previous": Previous(),
            "mute": ToggleMute(),
            "idle": ToggleIdle(),
            "talk": Talk(pressed),
            "switch": Switch(avatar),
            "hold": Hold(avatar, pressed),
        }
        command = commands.get(str(action))
        if command is None:
            log.warning(
                "obs: the script sent an unknown action %r; run `vcam-avatar obs install` again", action
            )
        else:
            self._run(command)

    def _avatar_of(self, data: Mapping[str, Any]) -> str:
        """The name the key had in OBS, or its number while OBS knows no name or an old one."""
        name, slot = str(data.get("name") or ""), str(data.get("slot") or "")
        try:
            return self._dispatcher.find_avatar(name) if name else slot
        except ControlError:
            return slot or name

    def _run(self, command: Command) -> None:
        try:
            self._dispatcher.run(command)
        except ControlError as exc:
            log.warning("obs: %s", exc)

    def _poke(self, obs: Obs) -> None:
        """A camera source made before the camera had frames stays black until its settings are set."""
        device = self._camera()
        if device is None or device == self._poked:
            if device is None:
                self._poked = None
            return
        for source in obs.inputs():
            setting = CAMERA_KINDS.get(source.kind)
            if setting and obs.settings_of(source.name).get(setting) == device:
                obs.change_settings(source.name, {setting: device})
                log.info("obs: refreshed source %s", source.name)
        self._poked = device

    # Sync offset: OBS delays the sound until the picture is there.

    def _set_offsets(self, obs: Obs) -> None:
        latency_ms = self._offset_ms()
        if latency_ms is None:
            self._give_back(obs)
            return
        wanted = max(MIN_OFFSET_MS, min(MAX_OFFSET_MS, round(latency_ms)))
        collection = obs.collection()
        for name in self._muted:
            if (collection, name) in self._left_alone:
                continue
            now = obs.sync_offset_ms(name)
            if abs(now - wanted) <= OFFSET_TOLERANCE_MS:
                continue
            self._memory.remember(collection, name, before=now, ours=wanted)
            obs.set_sync_offset_ms(name, wanted)
            log.info("obs: sync offset of %s is %d ms (was %d)", name, wanted, now)

    def _offset_changed(self, name: str, offset_ms: int, obs: Obs) -> None:
        collection = obs.collection()
        entry = self._memory.entry(collection, name)
        if entry is not None and entry.ours != offset_ms:
            log.info("obs: sync offset of %s was changed by hand to %d ms; leaving it alone", name, offset_ms)
            self._memory.forget(collection, name)
            self._left_alone.add((collection, name))

    def _give_back(self, obs: Obs) -> None:
        if not self._memory.entries:
            return
        collection = obs.collection()
        present = {i.name for i in obs.inputs()}
        for name in list(self._memory.entries.get(collection, {})):
            entry = self._memory.entry(collection, name)
            if name in present and entry is not None and obs.sync_offset_ms(name) == entry.ours:
                obs.set_sync_offset_ms(name, entry.before)
                log.info("obs: sync offset of %s is %d ms again", name, entry.before)
            self._memory.forget(collection, name)
