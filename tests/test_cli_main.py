"""The command line as a whole."""

import argparse
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
    ],
)
def test_errors_are_one_line_with_their_own_status(
    error: Exception,
    status: int,
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(args: object) -> int:
        raise error

    class Parser:
        def parse_args(self, argv: object) -> argparse.Namespace:
            return argparse.Namespace(verbose=0, handler=fail)

    monkeypatch.setattr(cli_main, "build_parser", Parser)
    assert cli_main.main([]) == status
    assert capsys.readouterr().err == line


def test_exit_codes_are_distinct() -> None:
    codes = [error.exit_code for error in (AvatarError, *AvatarError.__subclasses__())]
    assert len(set(codes)) == len(codes)
