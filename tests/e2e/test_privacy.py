"""Nothing leaves the machine, native code included: every connection of the process tree is watched."""

import re
import shutil
import sys
import time
from pathlib import Path

import pytest
from lab import end, wait_for

pytestmark = pytest.mark.device


def test_no_connection_leaves_this_computer(lab):
    if shutil.which("strace") is None:
        pytest.fail("tests/e2e/run.sh installs strace")
    trace = lab.folder / "trace"
    code = (
        "import runpy, sys; from vcam_avatar.inference.provider import onnxruntime; onnxruntime(); "
        f"sys.argv = ['stand_in', 'mic', 'camera', '640x360', '25']; "
        f"runpy.run_path({str(Path(__file__).parent / 'stand_in.py')!r}, run_name='__main__')"
    )
    watch = ("strace", "-f", "-qq", "-e", "trace=connect,sendto,sendmsg,bind", "-o", str(trace))
    service = lab.start("watched", *watch, sys.executable, "-c", code)
    assert wait_for(lambda: (a := lab.ctl("status", check=False)) and a["frames"] > 50, 60, 0.5), lab.log(
        "watched"
    )
    time.sleep(5)
    lab.ctl("stop")  # ending strace alone would leave it running
    wait_for(lambda: service.poll() is not None, 10)
    end(service, 10)
    lines = [line for line in trace.read_text(errors="replace").splitlines() if "AF_INET" in line]
    assert any("connect(" in line for line in lines)  # the search for OBS was seen
    away = [line for line in lines if not re.search(r'"127\.0\.0\.1"|"::1"|"0\.0\.0\.0"|port 0', line)]
    assert away == []
