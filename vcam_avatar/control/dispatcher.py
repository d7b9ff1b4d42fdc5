"""The one place where commands are carried out, whoever sends them."""

import difflib
import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from vcam_avatar.control.commands import (
    TALK,
    USER,
    Answer,
    Command,
    Hold,
    Idle,
    Mute,
    Next,
    Previous,
    Reload,
    Resume,
    Set,
    Status,
    Stop,
    Switch,
    Talk,
    ToggleIdle,
    ToggleMute,
    Unmute,
)
from vcam_avatar.errors import ControlError


class Show(Protocol):
    """What the dispatcher needs of the running service. All calls return at once; what they ask for
    happens from the next frame on."""

    def avatars(self) -> Sequence[str]:
        """Names of the avatars that can be shown, in hotkey order."""
        ...

    def current(self) -> str:
        """Name of the avatar shown now, or about to be."""
        ...

    def switch(self, name: str) -> None:
        """Show the avatar ``name``, one of ``avatars()``."""
        ...

    def set_muted(self, muted: bool) -> None:
        """Shut the mouth, or let it speak."""
        ...

    def set_idle(self, idle: bool) -> None:
        """Stop or start listening."""
        ...

    def reload(self) -> None:
        """Read the avatars anew."""
        ...

    def set(self, key: str, value: str) -> str:
        """Change a live setting; return what it is now.

        Raises:
            ControlError: unknown key (naming the known ones) or unusable value.
        """
        ...

    def status(self) -> Answer:
        """How the service is."""
        ...

    def stop(self) -> None:
        """Begin to end."""
        ...


class Dispatcher:
    """Carries out commands, one at a time, whatever thread they come from."""

    def __init__(self, show: Show, on_command: Callable[[Command], None] | None = None) -> None:
        """``on_command`` is told of every command that succeeded, on the caller's thread."""
        self._show = show
        self._on_command = on_command
        self._lock = threading.RLock()
        self._muted_by: set[str] = set()
        self._idle = False
        self._before_hold: str | None = None
        self._handlers: dict[type[Command], Callable[[Any], Answer]] = {
            Switch: self._switch,
            Hold: self._hold,
            Next: lambda _: self._step(1),
            Previous: lambda _: self._step(-1),
            Mute: lambda c: self._mute(c.by, True),
            Unmute: lambda c: self._mute(c.by, False),
            ToggleMute: lambda _: self._mute(USER, USER not in self._muted_by),
            Talk: lambda c: self._mute(TALK, not c.pressed),
            Idle: lambda _: self._set_idle(True),
            Resume: lambda _: self._set_idle(False),
            ToggleIdle: lambda _: self._set_idle(not self._idle),
            Reload: lambda _: self._reload(),
            Set: lambda c: Answer(f"{c.key} is {self._show.set(c.key, c.value)}"),
            Status: lambda _: self._status(),
            Stop: lambda _: self._stop(),
        }

    @property
    def muted_by(self) -> frozenset[str]:
        """Who mutes at the moment."""
        with self._lock:
            return frozenset(self._muted_by)

    def run(self, command: Command) -> Answer:
        """Carry out one command.

        Raises:
            ControlError: it cannot be done; the message says what could.
        """
        with self._lock:
            answer = self._handlers[type(command)](command)
        if self._on_command is not None:
            self._on_command(command)
        return answer

    def find_avatar(self, wanted: str) -> str:
        """The avatar meant by a name (case does not matter) or a number from 1.

        Raises:
            ControlError: none is meant; the message lists the known names.
        """
        names = list(self._show.avatars())
        if wanted in names:
            return wanted
        folded = {name.casefold(): name for name in names}
        if wanted.casefold() in folded:
            return folded[wanted.casefold()]
        if wanted.isdecimal() and 1 <= int(wanted) <= len(names):
            return names[int(wanted) - 1]
        close = difflib.get_close_matches(wanted.casefold(), folded, n=1)
        hint = f" Did you mean {folded[close[0]]}?" if close else ""
        known = ", ".join(names) or "none, create one with `vcam-avatar avatars create`"
        raise ControlError(f"there is no avatar {wanted!r}.{hint} Known avatars: {known}")

    def _switch(self, command: Switch) -> Answer:
        name = self.find_avatar(command.avatar)
        self._before_hold = None
        return self._go_to(name)

    def _go_to(self, name: str) -> Answer:
        self._show.switch(name)
        return Answer(f"showing {name}", {"avatar": name})

    def _hold(self, command: Hold) -> Answer:
        if command.pressed:
            name = self.find_avatar(command.avatar)
            if self._before_hold is None:
                self._before_hold = self._show.current()
            return self._go_to(name)
        back, self._before_hold = self._before_hold, None
        if back is None or back not in self._show.avatars():
            return Answer(f"showing {self._show.current()}", {"avatar": self._show.current()})
        return self._go_to(back)

    def _step(self, by: int) -> Answer:
        names = list(self._show.avatars())
        if not names:
            raise ControlError("there are no avatars, create one with `vcam-avatar avatars create`")
        current = self._show.current()
        at = names.index(current) if current in names else (-1 if by > 0 else 0)
        self._before_hold = None
        return self._go_to(names[(at + by) % len(names)])

    def _mute(self, by: str, muted: bool) -> Answer:
        if muted:
            self._muted_by.add(by)
        else:
            self._muted_by.discard(by)
        self._show.set_muted(bool(self._muted_by))
        data = {"muted": bool(self._muted_by), "muted_by": sorted(self._muted_by)}
        if self._muted_by and not muted:
            return Answer(f"still muted by {', '.join(sorted(self._muted_by))}", data)
        return Answer("muted" if self._muted_by else "not muted", data)

    def _set_idle(self, idle: bool) -> Answer:
        self._idle = idle
        self._show.set_idle(idle)
        if not idle and TALK in self._muted_by:
            self._mute(TALK, False)
        return Answer("idle" if idle else "listening", {"idle": idle})

    def _reload(self) -> Answer:
        self._show.reload()
        names = list(self._show.avatars())
        return Answer(f"avatars: {', '.join(names)}", {"avatars": names})

    def _status(self) -> Answer:
        answer = self._show.status()
        data = {**answer.data, "muted_by": sorted(self._muted_by), "idle": self._idle}
        return Answer(answer.text, data)

    def _stop(self) -> Answer:
        self._show.stop()
        return Answer("stopping", {})
