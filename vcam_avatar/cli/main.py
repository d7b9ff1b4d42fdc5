"""Entry point: finds the subcommands, runs one, turns errors into one line and an exit code."""

import argparse
import contextlib
import errno
import importlib
import logging
import os
import pkgutil
import signal
import sys
import threading
from collections.abc import Sequence
from typing import NoReturn

from vcam_avatar import cli
from vcam_avatar.errors import AvatarError

logger = logging.getLogger(__name__)


def build_parser() -> argparse.ArgumentParser:
    """The parser with every subcommand.

    Each module beside this one has ``register(subparsers)``, which adds a parser whose default
    ``handler(args) -> int`` runs the command. Modules import nothing heavy outside the handler;
    names with a leading underscore hold what subcommands share.
    """
    parser = argparse.ArgumentParser(
        prog="vcam-avatar", description="A microphone in, a living avatar out, as a virtual webcam."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {_version()}")
    parser.add_argument("-v", "--verbose", action="count", default=0, help="say more; twice for debugging")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for module in sorted(pkgutil.iter_modules(cli.__path__), key=lambda found: found.name):
        if module.name != "main" and not module.name.startswith("_"):
            importlib.import_module(f"{cli.__name__}.{module.name}").register(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    An ``AvatarError``, a missing package and a file that cannot be written become one line on standard
    error and a status of their own; the traceback is only logged at ``-vv``.
    """
    try:
        args = build_parser().parse_args(argv)
    except SystemExit as exc:
        return exc.code if isinstance(exc.code, int) else 2
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(args.verbose, 2)]
    words = "%(asctime)s %(levelname)s %(name)s: %(message)s" if args.verbose else "vcam-avatar: %(message)s"
    logging.basicConfig(level=level, format=words, force=True)
    try:
        return int(args.handler(args))
    except AvatarError as exc:
        return _failed(str(exc), exc.exit_code)
    except ImportError as exc:
        if "shared object" in str(exc):
            # OpenCV needs two system libraries that bare Linux machines lack.
            return _failed(f"{exc}; on Debian or Ubuntu: sudo apt install libgl1 libglib2.0-0")
        if exc.name is None or exc.name.partition(".")[0] == "vcam_avatar":
            raise
        return _failed(
            f"{exc}: install what is missing with  pip install '.[cpu]'  in the folder of Avatar Cam"
        )
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output has gone; do not complain again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as exc:
        if exc.filename is None and exc.errno != errno.ENOSPC:
            raise
        where = f"{exc.filename}: " if exc.filename else ""
        return _failed(f"{where}{exc.strerror}: choose a place with room that you may write to")


def _failed(message: str, status: int = AvatarError.exit_code) -> int:
    """Say what is wrong, in one line."""
    logger.debug("failed", exc_info=True)
    print(f"vcam-avatar: {' '.join(message.split())}", file=sys.stderr)
    return status


def _terminated(number: int, frame: object) -> NoReturn:
    """End in order, so that nothing half-finished is left."""
    raise SystemExit(128 + number)


def _version() -> str:
    from vcam_avatar import __version__

    return __version__


def entry() -> None:
    """The program: ``main``, and the end of the process."""
    signal.signal(signal.SIGTERM, _terminated)
    try:
        status = main()
    except SystemExit as exc:
        if isinstance(exc.code, str):
            print(exc.code, file=sys.stderr)
        status = exc.code if isinstance(exc.code, int) else int(exc.code is not None)
    if any(thread.daemon for thread in threading.enumerate()):
        # An avatar may still be being prepared: a thread that comes back from native code while the
        # interpreter ends would abort the process. All that matters is closed by now.
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()
        os._exit(status)
    sys.exit(status)


if __name__ == "__main__":
    entry()
