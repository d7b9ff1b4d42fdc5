"""A loopback server that speaks enough of obs-websocket 5, and misbehaves on request."""

import base64
import contextlib
import hashlib
import json
import socket
import struct
import threading
from typing import Any

_MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class FakeObs:
    """One OBS. ``mode``: good, silent (accepts, says nothing), garbage (not a websocket), nonsense (a
    websocket that says no JSON), stranger (JSON of some other program), frozen (identifies, then no
    answers)."""

    def __init__(self, password: str | None = "fake-password-91", port: int = 0, mode: str = "good") -> None:
        self.password = password
        self.mode = mode
        self.inputs: dict[str, dict[str, Any]] = {
            "Mic/Aux": {"kind": "pulse_input_capture", "muted": False, "offset": 0, "settings": {}},
            "Music": {"kind": "ffmpeg_source", "muted": True, "offset": 0, "settings": {}},
        }
        self.scene, self.scenes = "Chat", ["Chat", "Game"]
        self.collection = "Main"
        self.requests: list[str] = []
        self.identified = 0
        self._clients: list[tuple[socket.socket, threading.Lock, bool]] = []
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = self._listener.getsockname()[1]
        self._closed = False
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Like OBS dying: every connection is cut."""
        self._closed = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop()

    def drop(self) -> None:
        """Cut the connections, stay."""
        for connection, _, _ in self._clients:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self._clients.clear()

    def emit(self, kind: str, **data: Any) -> None:
        """Send an event to every client that listens."""
        for connection, lock, listens in list(self._clients):
            if listens:
                _send(
                    connection, lock, {"op": 5, "d": {"eventType": kind, "eventIntent": 1, "eventData": data}}
                )

    def press(self, action: str, vendor: str = "avatar-cam", **data: Any) -> None:
        """What the script sends when a key is pressed."""
        event = {"action": action, "pressed": True, "seq": 1, **data}
        self.emit("VendorEvent", vendorName=vendor, eventType="hotkey", eventData=event)

    def _accept(self) -> None:
        while not self._closed:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        lock = threading.Lock()
        self._clients.append((connection, lock, False))
        with contextlib.suppress(OSError, ValueError, ConnectionError):
            if self.mode == "silent":
                connection.recv(65536)
                threading.Event().wait(60)
            if self.mode == "garbage":
                connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n\x00\xff")
                return
            self._upgrade(connection)
            if self.mode == "nonsense":
                _send_raw(connection, lock, b"hello there")
                return
            if self.mode == "stranger":
                _send(connection, lock, {"jsonrpc": "2.0", "method": "hi"})
                return
            self._talk(connection, lock)

    def _upgrade(self, connection: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(65536)
        key = next(
            line[19:]
            for line in head.decode().split("\r\n")
            if line.lower().startswith("sec-websocket-key: ")
        )
        accept = base64.b64encode(hashlib.sha1((key.strip() + _MAGIC).encode()).digest()).decode()
        connection.sendall(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
        )

    def _talk(self, connection: socket.socket, lock: threading.Lock) -> None:
        hello: dict[str, Any] = {"obsWebSocketVersion": "5.1.0", "rpcVersion": 1}
        if self.password is not None:
            hello["authentication"] = {"challenge": "challenge", "salt": "salt"}
        _send(connection, lock, {"op": 0, "d": hello})
        identify = _receive(connection)["d"]
        if self.password is not None and identify.get("authentication") != _proof(self.password):
            connection.sendall(b"\x88\x02" + struct.pack(">H", 4009))
            connection.close()
            return
        self._clients = [
            (c, k, bool(identify["eventSubscriptions"]) if c is connection else listens)
            for c, k, listens in self._clients
        ]
        _send(connection, lock, {"op": 2, "d": {"negotiatedRpcVersion": 1}})
        self.identified += 1
        while True:
            message = _receive(connection)["d"]
            if self.mode == "frozen":
                continue
            kind, data = message["requestType"], message.get("requestData", {})
            self.requests.append(kind)
            try:
                status, answer = {"result": True, "code": 100}, self._answer(kind, data)
            except KeyError:
                status, answer = {"result": False, "code": 600, "comment": "no such thing"}, None
            reply = {"requestType": kind, "requestId": message["requestId"], "requestStatus": status}
            if answer is not None:
                reply["responseData"] = answer
            _send(connection, lock, {"op": 7, "d": reply})

    def _answer(self, kind: str, data: dict[str, Any]) -> dict[str, Any] | None:
        if kind == "GetVersion":
            return {"obsVersion": "29.0.2"}
        if kind == "GetInputList":
            return {
                "inputs": [
                    {"inputName": n, "inputKind": i["kind"], "unversionedInputKind": i["kind"]}
                    for n, i in self.inputs.items()
                ]
            }
        if kind == "GetInputKindList":
            return {"inputKinds": ["v4l2_input", "pulse_input_capture"]}
        if kind == "GetSceneCollectionList":
            return {"currentSceneCollectionName": self.collection, "sceneCollections": [self.collection]}
        if kind == "GetCurrentProgramScene":
            return {"currentProgramSceneName": self.scene}
        if kind == "GetSceneList":
            return {"scenes": [{"sceneName": s} for s in self.scenes]}
        if kind == "GetHotkeyList":
            return {"hotkeys": ["avatar_cam.next"]}
        if kind == "CreateInput":
            self.inputs[data["inputName"]] = {
                "kind": data["inputKind"], "muted": False, "offset": 0, "settings": data["inputSettings"],
            }  # fmt: skip
            return {"sceneItemId": 1}
        found = self.inputs[data["inputName"]]
        if kind == "GetInputMute":
            return {"inputMuted": found["muted"]}
        if kind == "GetInputAudioSyncOffset":
            return {"inputAudioSyncOffset": found["offset"]}
        if kind == "SetInputAudioSyncOffset":
            offset = data["inputAudioSyncOffset"]
            if not -950 <= offset <= 20000:
                raise KeyError(offset)
            found["offset"] = offset
            self.emit("InputAudioSyncOffsetChanged", inputName=data["inputName"], inputAudioSyncOffset=offset)
            return None
        if kind == "GetInputSettings":
            return {"inputSettings": found["settings"], "inputKind": found["kind"]}
        if kind == "SetInputSettings":
            found["settings"] = {**found["settings"], **data["inputSettings"]}
            return None
        raise KeyError(kind)


def _proof(password: str) -> str:
    secret = base64.b64encode(hashlib.sha256((password + "salt").encode()).digest())
    return base64.b64encode(hashlib.sha256(secret + b"challenge").digest()).decode()


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            raise ConnectionError
        data += part
    return data


def _receive(connection: socket.socket) -> dict[str, Any]:
    while True:
        first, second = _exactly(connection, 2)
        length = second & 127
        if length == 126:
            (length,) = struct.unpack(">H", _exactly(connection, 2))
        elif length == 127:
            (length,) = struct.unpack(">Q", _exactly(connection, 8))
        mask = _exactly(connection, 4)
        payload = bytes(b ^ mask[i % 4] for i, b in enumerate(_exactly(connection, length)))
        if first & 15 == 8:
            raise ConnectionError
        if first & 15 == 1:
            return dict(json.loads(payload))


def _send(connection: socket.socket, lock: threading.Lock, message: dict[str, Any]) -> None:
    _send_raw(connection, lock, json.dumps(message).encode())


def _send_raw(connection: socket.socket, lock: threading.Lock, payload: bytes) -> None:
    size = bytes([len(payload)]) if len(payload) < 126 else b"\x7e" + struct.pack(">H", len(payload))
    with lock, contextlib.suppress(OSError):
        connection.sendall(b"\x81" + size + payload)
