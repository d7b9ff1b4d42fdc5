"""Keeps a connection to OBS's websocket, whatever happens to OBS.

The only module that knows the client library, whose habits shape it: it has no reconnect and no ping;
an exception in a callback ends its event thread for good; after a timeout the next request gets the
old answer; without a timeout it waits for ever; and it logs the password.
"""

import contextlib
import json
import logging
import queue
import re
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import obsws_python
from obsws_python.error import OBSSDKError, OBSSDKRequestError, OBSSDKTimeoutError
from websocket import WebSocketException

from vcam_avatar.control.obs.files import Address, find_address
from vcam_avatar.control.obs.follow import Event, Follower, Input
from vcam_avatar.errors import ControlError

log = logging.getLogger(__name__)

TIMEOUT_S = 3.0
HEARTBEAT_S = 4.0
FIRST_RETRY_S, LAST_RETRY_S = 0.5, 3.0
WRONG_PASSWORD_RETRY_S = 30.0
ADDRESS_CHECK_S = 1.0
SCRIPT_PREFIX = "avatar-cam"
_VENDOR = re.compile(r"avatar-cam(-\d+)?")
"""A reloaded script cannot have its old vendor name again and appends a number."""
_QUEUE_LENGTH = 1000

_Subs = obsws_python.Subs
_SUBSCRIPTIONS = _Subs.GENERAL | _Subs.CONFIG | _Subs.SCENES | _Subs.INPUTS | _Subs.OUTPUTS | _Subs.VENDORS

# It logs the password at INFO and a traceback for every refusal.
_library_log = logging.getLogger("obsws_python")
_library_log.setLevel(logging.CRITICAL + 1)
_library_log.propagate = False
_library_log.addHandler(logging.NullHandler())


class WrongPasswordError(ControlError):
    """OBS asks for another password."""


class ObsClient:
    """One connection for requests; the ``Obs`` port over the client library. For one thread only."""

    def __init__(self, address: Address) -> None:
        """Connect.

        Raises:
            WrongPasswordError: OBS asks for another password.
            ConnectionError: OBS cannot be reached or does not speak the protocol.
        """
        self._client = _open(obsws_python.ReqClient, address)

    def close(self) -> None:
        """Drop the connection at once."""
        _drop(self._client)

    def version(self) -> str:
        return str(self._ask("GetVersion")["obsVersion"])

    def inputs(self) -> list[Input]:
        return [
            Input(str(i["inputName"]), str(i["unversionedInputKind"]))
            for i in self._ask("GetInputList")["inputs"]
        ]

    def is_muted(self, name: str) -> bool:
        return bool(self._ask("GetInputMute", inputName=name)["inputMuted"])

    def sync_offset_ms(self, name: str) -> int:
        return int(self._ask("GetInputAudioSyncOffset", inputName=name)["inputAudioSyncOffset"])

    def set_sync_offset_ms(self, name: str, offset_ms: int) -> None:
        self._ask("SetInputAudioSyncOffset", inputName=name, inputAudioSyncOffset=offset_ms)

    def settings_of(self, name: str) -> Mapping[str, Any]:
        return dict(self._ask("GetInputSettings", inputName=name)["inputSettings"])

    def change_settings(self, name: str, settings: Mapping[str, Any]) -> None:
        self._ask("SetInputSettings", inputName=name, inputSettings=dict(settings), overlay=True)

    def devices_of(self, name: str, setting: str) -> list[tuple[str, str]]:
        items = self._ask("GetInputPropertiesListPropertyItems", inputName=name, propertyName=setting)
        return [(str(i["itemName"]), str(i["itemValue"])) for i in items["propertyItems"]]

    def current_scene(self) -> str:
        return str(self._ask("GetCurrentProgramScene")["currentProgramSceneName"])

    def scenes(self) -> list[str]:
        return [str(s["sceneName"]) for s in self._ask("GetSceneList")["scenes"]]

    def input_kinds(self) -> list[str]:
        return [str(k) for k in self._ask("GetInputKindList", unversioned=True)["inputKinds"]]

    def create_source(self, scene: str, name: str, kind: str, settings: Mapping[str, Any]) -> None:
        self._ask(
            "CreateInput",
            sceneName=scene,
            inputName=name,
            inputKind=kind,
            inputSettings=dict(settings),
            sceneItemEnabled=True,
        )

    def remove_input(self, name: str) -> None:
        self._ask("RemoveInput", inputName=name)

    def collection(self) -> str:
        return str(self._ask("GetSceneCollectionList")["currentSceneCollectionName"])

    def hotkeys(self) -> list[str]:
        return [str(h) for h in self._ask("GetHotkeyList")["hotkeys"]]

    def own_camera_active(self) -> bool:
        try:
            return bool(self._ask("GetVirtualCamStatus")["outputActive"])
        except ControlError:
            return False  # this OBS has none

    def _ask(self, request: str, **data: Any) -> dict[str, Any]:
        try:
            return dict(self._client.send(request, data or None, raw=True) or {})
        except OBSSDKRequestError as exc:
            raise ControlError(f"OBS refused {request} (code {exc.code})") from exc
        except (OBSSDKTimeoutError, OBSSDKError, WebSocketException, OSError, ValueError, KeyError) as exc:
            raise ConnectionError(f"{type(exc).__name__} in {request}") from exc


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
            address = self._find()
            try:
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
            listener = _open(obsws_python.EventClient, address, subs=_SUBSCRIPTIONS)
            listener.callback.register(_callbacks(self._events))
            self._say(True, f"connected to OBS {client.version()}")
            self._follower.connected(client)
            self._serve(client, listener)
        finally:
            if listener is not None:
                _drop(listener)
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


def connect(address: Address | None = None) -> ObsClient:
    """A connection for a few requests from the command line.

    Raises:
        ControlError: OBS cannot be reached, with the remedy.
    """
    address = address or find_address()
    try:
        return ObsClient(address)
    except ConnectionError as exc:
        raise ControlError(
            f"OBS does not answer on port {address.port}; start OBS and switch on Tools > "
            "WebSocket Server Settings > Enable WebSocket server"
        ) from exc


def _open(kind: Any, address: Address, **options: Any) -> Any:
    password = address.password.get_secret_value() if address.password is not None else ""
    try:
        return kind(host=address.host, port=address.port, password=password, timeout=TIMEOUT_S, **options)
    except OBSSDKError as exc:
        if "identify" in str(exc) or "password" in str(exc):
            raise WrongPasswordError(
                f"wrong or missing password for OBS (from {address.found_in}); "
                "see Tools > WebSocket Server Settings"
            ) from None  # the library's exception may carry what was sent
        raise ConnectionError(type(exc).__name__) from None
    except ConnectionRefusedError:
        raise ConnectionError("OBS is not running, or its websocket server is off") from None
    except (WebSocketException, OSError, ValueError, KeyError, AttributeError, TypeError) as exc:
        # The last ones: what answers on the port is not OBS, and the library trips over its words.
        raise ConnectionError(type(exc).__name__) from None


def _drop(client: Any) -> None:
    """Close without the library's own closing, which can wait for an answer from a frozen OBS."""
    web_socket = client.base_client.ws
    with contextlib.suppress(OSError, AttributeError):
        web_socket.sock.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for events
    with contextlib.suppress(OSError, WebSocketException):
        web_socket.shutdown()


def _callbacks(events: "queue.Queue[Event | None]") -> Sequence[Callable[[Any], None]]:
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
