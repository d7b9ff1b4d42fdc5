"""What can be asked of the running service.

The command line and the hotkeys in OBS send these commands. This module stays light: a client imports
it to send one line and be gone.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

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
