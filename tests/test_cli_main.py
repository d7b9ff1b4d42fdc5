"""The command line as a whole."""

import argparse
import errno
import logging
import subprocess
import sys
import time

import pytest

from vcam_avatar.cli import main as cli_main
from vcam_avatar.errors import AvatarError, DeviceError

HEAVY = ("numpy", "pydantic", "onnxruntime", "cv2", "av", "librosa", "torch", "numba", "scipy", "sounddevice")


def test_help_is_instant_and_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom vcam_avatar.cli.main import main\nstatus = main(['--help'])\n"
        f"print('LOADED', [name for name in {HEAVY!r} if name in sys.modules])\nraise SystemExit(status)"
    )
    started = time.monotonic()
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "LOADED []" in result.stdout
    assert time.monotonic() - started < 3.0  # about 0.1 s on an idle machine


def test_usage_error_returns_two(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli_main.main(["no-such-command"]) == 2
    assert "no-such-command" in capsys.readouterr().err


@pytest.mark.parametrize(("verbose", "line"), [(0, "vcam-avatar: no room\n"), (1, "WARNING test: no room\n")])
def test_warnings_are_short_unless_more_is_asked_for(
    verbose: int, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def warn(args: object) -> int:
        logging.getLogger("test").warning("no room")
        return 0

    class Parser:
        def parse_args(self, argv: object) -> argparse.Namespace:
            return argparse.Namespace(verbose=verbose, handler=warn)

    monkeypatch.setattr(cli_main, "build_parser", Parser)
    assert cli_main.main([]) == 0
    assert capsys.readouterr().err.endswith(line)


def main_of_failing_command(error: Exception, monkeypatch: pytest.MonkeyPatch) -> int:
    def fail(args: object) -> int:
        raise error

    class Parser:
        def parse_args(self, argv: object) -> argparse.Namespace:
            return argparse.Namespace(verbose=0, handler=fail)

    monkeypatch.setattr(cli_main, "build_parser", Parser)
    return cli_main.main([])


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (
            DeviceError("no camera:\n  plug one in"),
            DeviceError.exit_code,
            "vcam-avatar: no camera: plug one in\n",
        ),
        (
            ImportError("libGL.so.1: cannot open shared object file"),
            AvatarError.exit_code,
            "vcam-avatar: libGL.so.1: cannot open shared object file; on Debian or Ubuntu: "
            "sudo apt install libgl1 libglib2.0-0\n",
        ),
        (
            ModuleNotFoundError("No module named 'av'", name="av"),
            AvatarError.exit_code,
            "vcam-avatar: No module named 'av': install what is missing with pip install '.[cpu]' in the "
            "folder of Avatar Cam\n",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device"),
            AvatarError.exit_code,
            "vcam-avatar: No space left on device: choose a place with room that you may write to\n",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "/out/sheet.png"),
            AvatarError.exit_code,
            "vcam-avatar: /out/sheet.png: Permission denied: choose a place with room that you may write "
            "to\n",
        ),
    ],
)
def test_errors_are_one_line_with_their_own_status(
    error: Exception,
    status: int,
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main_of_failing_command(error, monkeypatch) == status
    assert capsys.readouterr().err == line


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_terminated_program_cleans_up() -> None:
    code = """
import os, signal
from vcam_avatar.cli import main
def work():
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()
    finally:
        print("cleaned up", end="")
main.main = work
main.entry()
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (143, "cleaned up", "")


@pytest.mark.parametrize("busy", [False, True])
def test_the_program_ends_with_its_status_whatever_threads_do(busy: bool) -> None:
    code = f"""
import threading, time
from vcam_avatar.cli import main
def work():
    if {busy}:
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    print("said", end="")
    return 6
main.main = work
main.entry()
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (6, "said", "")


@pytest.mark.parametrize(
    "error",
    [ImportError("cannot import name 'x'", name="vcam_avatar.media"), OSError("odd"), ValueError("bug")],
)
def test_our_own_mistakes_are_not_hidden(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(type(error), match=str(error)):
        main_of_failing_command(error, monkeypatch)


def test_exit_codes_are_distinct() -> None:
    codes = [error.exit_code for error in (AvatarError, *AvatarError.__subclasses__())]
    assert len(set(codes)) == len(codes)
