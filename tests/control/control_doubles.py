"""A show that only remembers what it was told."""

from vcam_avatar.control.commands import Answer
from vcam_avatar.errors import ControlError


class FakeShow:
    """Three avatars, the first on stage."""

    def __init__(self, *names: str) -> None:
        self.names = list(names or ("Mara", "Bob", "Åsa Lind"))
        self.shown = self.names[0] if self.names else ""
        self.history: list[str] = []
        self.muted = False
        self.idle = False
        self.stopped = False
        self.settings = {"mouth-gain": "1.0"}

    def avatars(self) -> list[str]:
        return self.names

    def current(self) -> str:
        return self.shown

    def switch(self, name: str) -> None:
        self.shown = name
        self.history.append(name)

    def set_muted(self, muted: bool) -> None:
        self.muted = muted

    def set_idle(self, idle: bool) -> None:
        self.idle = idle

    def reload(self) -> None:
        self.names.append("New")

    def set(self, key: str, value: str) -> str:
        if key not in self.settings:
            raise ControlError(f"there is no setting {key!r}; the settings are {', '.join(self.settings)}")
        self.settings[key] = value
        return value

    def status(self) -> Answer:
        return Answer(f"RUNNING, showing {self.shown}", {"state": "RUNNING", "avatar": self.shown})

    def stop(self) -> None:
        self.stopped = True
