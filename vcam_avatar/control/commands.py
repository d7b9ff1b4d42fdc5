"""What can be asked of the running service, and the one place where it is answered.

The command line and the hotkeys in OBS send these commands. This module stays light: a
client imports it to send one line and be gone.
"""

import dataclasses
import difflib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from vcam_avatar.errors import ControlError

USER, OBS, TALK = "user", "obs", "push-to-talk"
"""Who may mute. The mouth stays shut while anybody does."""


@dataclass(frozen=True, slots=True)
class Switch:
    """Show another avatar: its name, or its number in the list from 1."""

    avatar: str


@dataclass(frozen=True, slots=True)
class Hold:
    """Show an avatar for as long as a key is held, then go back."""

    avatar: str
    pressed: bool


@dataclass(frozen=True, slots=True)
class Next:
    """Show the next avatar of the list."""


@dataclass(frozen=True, slots=True)
class Previous:
    """Show the previous avatar of the list."""


@dataclass(frozen=True, slots=True)
class Mute:
    """Shut the mouth."""

    by: str = USER


@dataclass(frozen=True, slots=True)
class Unmute:
    """Speak again, unless somebody else still mutes."""

    by: str = USER


@dataclass(frozen=True, slots=True)
class ToggleMute:
    """Mute or unmute."""


@dataclass(frozen=True, slots=True)
class Talk:
    """Push-to-talk: speak only while pressed. The first use switches push-to-talk on."""

    pressed: bool


@dataclass(frozen=True, slots=True)
class Idle:
    """Hear nothing: breathe, blink and rest."""


@dataclass(frozen=True, slots=True)
class Resume:
    """End ``Idle``, and push-to-talk."""


@dataclass(frozen=True, slots=True)
class ToggleIdle:
    """Idle or resume."""


@dataclass(frozen=True, slots=True)
class Reload:
    """Read the avatars and their settings from disk again."""


@dataclass(frozen=True, slots=True)
class Set:
    """Change a live setting."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class Status:
    """Say how the service is."""


@dataclass(frozen=True, slots=True)
class Stop:
    """End the service."""


Command = (
    Switch
    | Hold
    | Next
    | Previous
    | Mute
    | Unmute
    | ToggleMute
    | Talk
    | Idle
    | Resume
    | ToggleIdle
    | Reload
    | Set
    | Status
    | Stop
)

COMMANDS: Mapping[str, type[Command]] = {
    "switch": Switch,
    "hold": Hold,
    "next": Next,
    "previous": Previous,
    "mute": Mute,
    "unmute": Unmute,
    "toggle-mute": ToggleMute,
    "talk": Talk,
    "idle": Idle,
    "resume": Resume,
    "toggle-idle": ToggleIdle,
    "reload": Reload,
    "set": Set,
    "status": Status,
    "stop": Stop,
}
"""Every command by the name it has on the wire and on the command line."""

_WIRE_NAMES = {kind: name for name, kind in COMMANDS.items()}


def to_wire(command: Command) -> dict[str, Any]:
    """The command as a JSON object: its name under ``command``, its fields beside it."""
    return {"command": _WIRE_NAMES[type(command)], **dataclasses.asdict(command)}


def from_wire(message: Mapping[str, Any]) -> Command:
    """The command in a JSON object; the opposite of ``to_wire``.

    Raises:
        ControlError: unknown command, or missing, surplus or wrongly typed fields.
    """
    name = message.get("command")
    kind = COMMANDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise ControlError(f"there is no command {name!r}; the commands are {', '.join(COMMANDS)}")
    fields = {f.name: f for f in dataclasses.fields(kind)}
    given = {key: value for key, value in message.items() if key != "command"}
    if surplus := sorted(given.keys() - fields.keys()):
        raise ControlError(f"{name} takes no {', '.join(surplus)}")
    for key, spec in fields.items():
        if key not in given:
            if spec.default is dataclasses.MISSING:
                raise ControlError(f"{name} needs {key}")
        elif not isinstance(given[key], spec.type if isinstance(spec.type, type) else str):
            raise ControlError(f"{key} of {name} has the wrong type")
    return kind(**given)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command led to."""

    text: str
    """One or more lines for a person."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """The same for a program; JSON values only."""


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
