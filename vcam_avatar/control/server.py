"""The local socket on which the service takes commands: one JSON line in, one JSON line out.

Bound to 127.0.0.1; a command needs the token of the instance file. Works the same on every system.
"""

import contextlib
import hmac
import json
import logging
import os
import socketserver
import threading
import time
from pathlib import Path
from typing import Any

from vcam_avatar.control.client import MAX_LINE_BYTES, ask
from vcam_avatar.control.commands import Answer, Status, from_wire
from vcam_avatar.control.dispatcher import Dispatcher
from vcam_avatar.control.instance import (
    HEARTBEAT_S,
    STALE_AFTER_S,
    Instance,
    InstanceFile,
    new_token,
    read_instance,
)
from vcam_avatar.errors import AvatarError, ControlError

log = logging.getLogger(__name__)

_CLIENT_TIMEOUT_S = 5.0
_MAX_CLIENTS = 16


class _Handler(socketserver.StreamRequestHandler):
    timeout = _CLIENT_TIMEOUT_S

    def handle(self) -> None:
        server = self.server
        assert isinstance(server, _Server)
        with contextlib.suppress(OSError):  # the client went away: nobody left to tell
            while line := self.rfile.readline(MAX_LINE_BYTES):
                reply = server.reply_to(line)
                self.wfile.write(json.dumps(reply).encode() + b"\n")
                if not reply["ok"] and reply.get("final"):
                    return


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 16

    def __init__(self, token: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self._token = token.encode()
        self._slots = threading.BoundedSemaphore(_MAX_CLIENTS)
        self.dispatcher: Dispatcher | None = None

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._slots.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.exception("control: a request failed")

    def reply_to(self, line: bytes) -> dict[str, Any]:
        try:
            message = json.loads(line)
            if not isinstance(message, dict):
                raise ValueError("not an object")
        except (ValueError, RecursionError):
            return {"ok": False, "error": "expected one JSON object on one line", "final": True}
        token = message.pop("token", None)
        if not isinstance(token, str) or not hmac.compare_digest(token.encode(errors="replace"), self._token):
            return {"ok": False, "error": "wrong or missing token", "final": True}
        if self.dispatcher is None:
            return {"ok": False, "error": "the service is still starting: try again in a moment"}
        try:
            answer = self.dispatcher.run(from_wire(message))
        except AvatarError as exc:
            return {"ok": False, "error": str(exc)}
        except Exception:
            log.exception("control: command %s failed", message.get("command"))
            return {"ok": False, "error": "the command failed; the log has the reason"}
        return {"ok": True, "text": answer.text, "data": dict(answer.data)}


class ControlServer:
    """Listens for commands from ``start`` to ``stop`` and owns the instance file."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._server: _Server | None = None
        self._file: InstanceFile | None = None
        self._ended = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self, dispatcher: Dispatcher | None = None) -> Instance:
        """Claim the instance and listen; commands are refused until there is a dispatcher.

        Raises:
            ControlError: another service runs; the message says which.
        """
        server = _Server(token := new_token())
        server.dispatcher = dispatcher
        instance = Instance(os.getpid(), server.server_address[1], token, time.time())
        file = InstanceFile(instance, self._path)
        # Serve before claiming: whoever finds the file gets an answer.
        self._server = server
        self._spawn("control", lambda: server.serve_forever(poll_interval=0.05))
        try:
            _claim(file)
        except ControlError:
            self.stop()
            raise
        self._file = file
        self._spawn("heartbeat", self._beat)
        return instance

    def serve(self, dispatcher: Dispatcher) -> None:
        """Answer with ``dispatcher`` from now on."""
        assert self._server is not None, "start() comes first"
        self._server.dispatcher = dispatcher

    def stop(self) -> None:
        """Stop listening and give the instance up; may be called twice."""
        self._ended.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        for thread in self._threads:
            thread.join(1.0)
        if self._file is not None:  # after the last heartbeat, which would put the file back
            self._file.release()
            self._file = None

    def _spawn(self, name: str, target: Any) -> None:
        thread = threading.Thread(target=target, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _beat(self) -> None:
        while not self._ended.wait(HEARTBEAT_S):
            if self._file is not None:
                self._file.beat()


def _claim(file: InstanceFile) -> None:
    """Claim, clearing away what a crashed service left; raise ControlError when one is alive."""
    for _ in range(3):
        found = read_instance(file.path)
        if found is not None:
            other, age_s = found
            running = _describe(other, age_s)
            if running is not None:
                raise ControlError(
                    f"Avatar Cam is already running: {running}. Stop it with `vcam-avatar ctl stop`"
                )
            file.remove_stale(other)
        elif file.path.exists():
            file.path.unlink(missing_ok=True)  # unreadable rubbish
        try:
            file.claim()
            return
        except ControlError as exc:
            if not isinstance(exc.__cause__, FileExistsError):
                raise
    raise ControlError(f"{file.path} is contended: several services are starting at once; try again")


def _describe(other: Instance, age_s: float) -> str | None:
    """Who ``other`` is, or None when nobody is there."""
    since = time.strftime("%H:%M", time.localtime(other.started_at))
    who = f"process {other.pid}, since {since}"
    try:
        answer: Answer = ask(other, Status(), timeout_s=1.0)
    except ControlError:
        return who  # it is there, and starting
    except ConnectionRefusedError:
        return None
    except (OSError, ValueError):
        # No answer: a service that hangs, unless its process is gone or its file long forgotten.
        hangs = _alive(other.pid) if os.name != "nt" else age_s < STALE_AFTER_S
        return f"{who}, but it does not answer" if hangs else None
    avatar = answer.data.get("avatar")
    return f"{who}, showing {avatar}" if avatar else who


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
