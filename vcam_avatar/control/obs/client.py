"""Requests to OBS over its websocket.

The client library's habits shape this: after a timeout the next request gets the old answer; without a
timeout it waits for ever; and it logs the password.
"""

import contextlib
import logging
import socket
from collections.abc import Mapping
from typing import Any

import obsws_python
from obsws_python.error import OBSSDKError, OBSSDKRequestError, OBSSDKTimeoutError
from websocket import WebSocketException

from vcam_avatar.control.obs.files import Address, find_address
from vcam_avatar.control.obs.port import Input
from vcam_avatar.errors import ControlError

TIMEOUT_S = 3.0

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
        self._client = open_connection(obsws_python.ReqClient, address)

    def close(self) -> None:
        """Drop the connection at once."""
        drop(self._client)

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


def open_connection(kind: Any, address: Address, **options: Any) -> Any:
    """A client of the library, connected.

    Args:
        kind: the library's class, for requests or for events.
        options: what else the class takes.

    Raises:
        WrongPasswordError: OBS asks for another password.
        ConnectionError: OBS cannot be reached or does not speak the protocol.
    """
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


def drop(client: Any) -> None:
    """Close without the library's own closing, which can wait for an answer from a frozen OBS."""
    web_socket = client.base_client.ws
    with contextlib.suppress(OSError, AttributeError):
        web_socket.sock.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for events
    with contextlib.suppress(OSError, WebSocketException):
        web_socket.shutdown()
