"""Nothing leaves the machine: no connection but to this computer itself."""

import json
import subprocess
import sys
from pathlib import Path

CODE = """
import json, sys, time
sys.path[:0] = {paths!r}
seen = []

def hook(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.bind"):
        seen.append([event, repr(arguments[1])])
    if event == "socket.getaddrinfo":
        seen.append([event, repr(arguments[0])])

sys.addaudithook(hook)
from daemon_doubles import Stage
from vcam_avatar.control.client import send
from vcam_avatar.control.commands import Status
from vcam_avatar.control.server import ControlServer
from vcam_avatar.inference.provider import onnxruntime

onnxruntime()
server = ControlServer()
server.start()
with Stage(server, config={{"obs.follow": True}}) as stage:
    time.sleep(1.5)
    send(Status())
print(json.dumps(seen))
"""


def test_the_service_connects_to_this_computer_only(tmp_path):
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    folders = {name: str(tmp_path) for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")}
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(paths=paths)],
        capture_output=True, text=True, timeout=60, check=True,
        env={"PATH": "/usr/bin:/bin", "VCAM_AVATAR_RUNTIME_DIR": str(tmp_path / "run"), **folders},
    )  # fmt: skip
    seen = json.loads(done.stdout.splitlines()[-1])
    kinds = {event for event, _ in seen}
    assert {"socket.connect", "socket.bind"} <= kinds  # the hook works: commands and the search for OBS
    assert all("127.0.0.1" in address for _, address in seen), seen
