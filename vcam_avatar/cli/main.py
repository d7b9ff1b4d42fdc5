"""Entry point: finds the subcommands, runs one, turns errors into one line and an exit code."""

import argparse
import importlib
import logging
import os
import pkgutil
import sys
from collections.abc import Sequence

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

    An ``AvatarError`` becomes one line on standard error and its own status; the traceback is only
    logged at ``-vv``.
    """
    try:
        args = build_parser().parse_args(argv)
    except SystemExit as exc:
        return exc.code if isinstance(exc.code, int) else 2
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(args.verbose, 2)]
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True)
    try:
        return int(args.handler(args))
    except AvatarError as exc:
        logger.debug("failed", exc_info=True)
        print(f"vcam-avatar: {' '.join(str(exc).split())}", file=sys.stderr)
        return exc.exit_code
    except ImportError as exc:
        if "shared object" not in str(exc):
            raise
        # OpenCV needs two system libraries that bare Linux machines lack.
        print(
            f"vcam-avatar: {exc}; on Debian or Ubuntu: sudo apt install libgl1 libglib2.0-0", file=sys.stderr
        )
        return AvatarError.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output has gone; do not complain again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _version() -> str:
    from vcam_avatar import __version__

    return __version__


if __name__ == "__main__":
    sys.exit(main())
