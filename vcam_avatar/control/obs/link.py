"""Keeps a connection to OBS's websocket, whatever happens to OBS.

The client library has no reconnect and no ping, and an exception in a callback ends its event thread for
good: all of that is done here.
"""

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import obsws_python

from vcam_avatar.control.obs.client import ObsClient, WrongPasswordError, drop, open_connection
from vcam_avatar.control.obs.events import SUBSCRIPTIONS, callbacks
from vcam_avatar.control.obs.files import Address, find_address
from vcam_avatar.control.obs.follow import Follower
from vcam_avatar.control.obs.port import Event
from vcam_avatar.errors import ControlError

log = logging.getLogger(__name__)

HEARTBEAT_S = 4.0
FIRST_RETRY_S, LAST_RETRY_S = 0.5, 3.0
WRONG_PASSWORD_RETRY_S = 30.0
ADDRESS_CHECK_S = 1.0
_QUEUE_LENGTH = 1000


class ObsLink:
    """A thread that stays connected and hands events to the follower."""

    def __init__(self, follower: Follower, find: Callable[[], Address] = find_address) -> None:
        """``find`` is asked before every attempt, so that a changed password or port is noticed."""
        self._follower = follower
        self._find = find
        self._events: queue.Queue[Event | None] = queue.Queue(_QUEUE_LENGTH)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="obs-link", daemon=True)
        self._said = ""
        self.state = LinkState(False, "not tried yet")

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def stop(self, limit_s: float = 0.8) -> None:
        """Give OBS its offsets back and end; a frozen OBS is left alone after ``limit_s``."""
        self._stop.set()
        with contextlib.suppress(queue.Full):
            self._events.put_nowait(None)
        if self._thread.is_alive():
            self._thread.join(limit_s)

    def _run(self) -> None:
        delay_s = FIRST_RETRY_S
        while not self._stop.is_set():
            try:
                address = self._find()
                self._stay_connected(address)
                delay_s = FIRST_RETRY_S
            except WrongPasswordError as exc:
                self._say(False, str(exc))
                self._wait_for_other_address(address)
                continue
            except (ControlError, ConnectionError) as exc:
                if self.state.connected:
                    delay_s = FIRST_RETRY_S
                self._say(False, f"not connected ({exc}); trying again")
            except Exception:
                log.exception("obs: the link failed; trying again")
                self._say(False, "failed; trying again")
            self._follower.lost()
            self._stop.wait(delay_s)
            delay_s = min(delay_s * 1.5, LAST_RETRY_S)

    def _stay_connected(self, address: Address) -> None:
        """Connect and serve until the connection ends; returns only when asked to stop."""
        self._drain()
        client = ObsClient(address)
        listener = None
        try:
            listener = open_connection(obsws_python.EventClient, address, subs=SUBSCRIPTIONS)
            listener.callback.register(callbacks(self._events))
            self._say(True, f"connected to OBS {client.version()}")
            self._follower.connected(client)
            self._serve(client, listener)
        finally:
            if listener is not None:
                drop(listener)
            client.close()

    def _serve(self, client: ObsClient, listener: Any) -> None:
        beat = tick = time.monotonic()
        while True:
            try:
                event = self._events.get(timeout=0.25)
                if event is not None:
                    self._handle(event, client)
            except queue.Empty:
                pass
            if self._stop.is_set():
                self._follower.leave(client)
                return
            if not listener.worker.is_alive():
                raise ConnectionError("OBS closed the connection")
            now = time.monotonic()
            if now - beat > HEARTBEAT_S:
                client.version()
                beat = now
            if now - tick > 1.0:
                self._guarded(lambda: self._follower.tick(client))
                tick = now

    def _handle(self, event: Event, client: ObsClient) -> None:
        if event.kind == "exit":
            raise ConnectionError("OBS was closed")
        self._guarded(lambda: self._follower.event(event, client))

    def _guarded(self, action: Callable[[], None]) -> None:
        """A refusal, or an event that makes no sense, must not cost the connection."""
        try:
            action()
        except (ControlError, KeyError, TypeError, ValueError) as exc:
            log.warning("obs: %s", exc)

    def _wait_for_other_address(self, tried: Address) -> None:
        end = time.monotonic() + WRONG_PASSWORD_RETRY_S
        while time.monotonic() < end and not self._stop.wait(ADDRESS_CHECK_S):
            if self._find() != tried:
                return

    def _drain(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._events.get_nowait()

    def _say(self, connected: bool, text: str) -> None:
        """One log line per change; more reasons for the same trouble only for debugging."""
        self.state = LinkState(connected, text)
        subject = text.partition(" (")[0]
        if subject != self._said:
            self._said = subject
            log.log(logging.INFO if connected else logging.WARNING, "obs: %s", text)
        else:
            log.debug("obs: %s", text)


@dataclass(frozen=True, slots=True)
class LinkState:
    """How the link is."""

    connected: bool
    text: str
