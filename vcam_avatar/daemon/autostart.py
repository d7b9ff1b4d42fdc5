"""How to start Avatar Cam at log-in, for each system: printed, for the user to put in place."""

import plistlib
import shlex
import sys
from collections.abc import Sequence

SYSTEMD_NAME = "vcam-avatar.service"


def command_line() -> list[str]:
    """The command that starts the service of this installation."""
    return [sys.executable, "-m", "vcam_avatar.cli.main", "run"]


def systemd_unit(command: Sequence[str]) -> str:
    """A systemd user unit."""
    return f"""\
[Unit]
Description=Avatar Cam
After=pipewire.service pulseaudio.service
PartOf=graphical-session.target

[Service]
ExecStart={" ".join(_systemd_quote(word) for word in command)}
ExecReload=/bin/kill -HUP $MAINPID
Restart=on-failure
RestartSec=2
TimeoutStopSec=5
NoNewPrivileges=true
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
IPAddressDeny=any
IPAddressAllow=localhost

[Install]
WantedBy=default.target
"""


def launchd_plist(command: Sequence[str]) -> str:
    """A macOS launch agent."""
    content = {
        "Label": "vcam-avatar",
        "ProgramArguments": list(command),
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ProcessType": "Interactive",
    }
    return plistlib.dumps(content).decode()


def windows_command(command: Sequence[str]) -> str:
    """A Windows command that registers the start at log-in."""
    windowless = [command[0].replace("python.exe", "pythonw.exe"), *command[1:]]
    quoted = " ".join(f'\\"{word}\\"' for word in windowless)
    return f'schtasks /create /tn "Avatar Cam" /sc onlogon /rl limited /tr "{quoted}"'


def instructions(platform: str = sys.platform, command: Sequence[str] | None = None) -> str:
    """What to do on ``platform``, complete."""
    command = command or command_line()
    if platform == "win32":
        return (
            "Run once in a command prompt:\n\n"
            f"  {windows_command(command)}\n\n"
            'To undo:  schtasks /delete /tn "Avatar Cam" /f\n'
        )
    if platform == "darwin":
        return (
            f"Save this as ~/Library/LaunchAgents/vcam-avatar.plist:\n\n{launchd_plist(command)}\n"
            "then:  launchctl load ~/Library/LaunchAgents/vcam-avatar.plist\n"
            "macOS asks once whether it may use the microphone.\n"
        )
    return (
        f"Save this as ~/.config/systemd/user/{SYSTEMD_NAME}:\n\n{systemd_unit(command)}\n"
        f"then:  systemctl --user daemon-reload && systemctl --user enable --now {SYSTEMD_NAME}\n"
        f"logs:  journalctl --user -u {SYSTEMD_NAME} -f    by hand: {shlex.join(command)}\n"
    )


def _systemd_quote(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if any(c in word for c in ' \t"\\%$') else word
