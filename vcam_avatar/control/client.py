"""Sends one command to the running service. Standard library only, so that it starts fast."""

import json
import socket
from pathlib import Path
from typing import Any

from vcam_avatar.control.commands import Answer, Command, to_wire
from vcam_avatar.control.instance import STALE_AFTER_S, Instance, read_instance
from vcam_avatar.errors import ControlError

TIMEOUT_S = 3.0
MAX_LINE_BYTES = 1 << 20


def send(command: Command, path: Path | None = None) -> Answer:
    """Send ``command`` to the service that the instance file names.

    Raises:
        ControlError: no service runs, it does not answer, or it refused; the message says which.
    """
    found = read_instance(path)
    if found is None:
        raise ControlError("Avatar Cam is not running; start it with `vcam-avatar run`")
    instance, age_s = found
    try:
        return ask(instance, command)
    except ConnectionRefusedError as exc:
        raise ControlError(
            f"Avatar Cam is not running (process {instance.pid} ended without cleaning up); "
            "start it with `vcam-avatar run`"
        ) from exc
    except (OSError, ValueError) as exc:
        since = f", silent for {age_s:.0f} s" if age_s > STALE_AFTER_S else ""
        raise ControlError(
            f"Avatar Cam (process {instance.pid}{since}) does not answer; end that process and start it again"
        ) from exc


def ask(instance: Instance, command: Command, timeout_s: float = TIMEOUT_S) -> Answer:
    """One question to one instance.

    Raises:
        ControlError: the service refused the command.
        OSError, ValueError: it cannot be reached, or what answers is not our service.
    """
    with socket.create_connection(("127.0.0.1", instance.port), timeout=timeout_s) as connection:
        connection.settimeout(timeout_s)
        request = {"token": instance.token, **to_wire(command)}
        connection.sendall(json.dumps(request).encode() + b"\n")
        with connection.makefile("rb") as lines:
            reply: Any = json.loads(lines.readline(MAX_LINE_BYTES))
    if not isinstance(reply, dict) or not isinstance(reply.get("ok"), bool):
        raise ValueError("not an answer of this service")
    if not reply["ok"]:
        raise ControlError(str(reply.get("error", "refused")))
    return Answer(str(reply["text"]), dict(reply["data"]))
