"""``vcam-avatar autostart``: how to start at log-in."""

import argparse
import sys
from typing import Any


def register(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "autostart",
        help="say how to start at log-in",
        description="Print what starts Avatar Cam at log-in on this system; nothing is changed.",
    )
    parser.add_argument("--unit", action="store_true", help="print the systemd user unit alone, to be saved")
    parser.set_defaults(handler=_run)


def _run(args: argparse.Namespace) -> int:
    from vcam_avatar.daemon.autostart import command_line, instructions, systemd_unit

    print(systemd_unit(command_line()) if args.unit else instructions(sys.platform), end="")
    return 0
