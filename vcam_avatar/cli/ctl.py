"""``vcam-avatar ctl``: tell the running avatar what to do."""

import argparse
import json
import time
from typing import Any

_EPILOG = """\
Bind these lines to keys in any hotkey tool, a Stream Deck or your desktop's keyboard settings
(the way to go on Wayland, where OBS hears its hotkeys only while it has the focus).
An avatar is meant by its name or by its number in the list."""


def register(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "ctl",
        help="tell the running avatar what to do",
        description="Tell the running avatar what to do.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="answer as JSON")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("switch", help="show another avatar").add_argument("avatar")
    for name, text in (
        ("next", "show the next avatar"),
        ("previous", "show the previous avatar"),
        ("mute", "shut the mouth"),
        ("unmute", "speak again"),
        ("toggle-mute", "mute or unmute"),
        ("idle", "hear nothing: breathe, blink and rest"),
        ("resume", "listen again; also ends push-to-talk"),
        ("toggle-idle", "idle or resume"),
        ("reload", "read the avatars from disk again"),
        ("status", "say how it is"),
        ("stop", "end the running service"),
    ):
        actions.add_parser(name, help=text)
    hold = actions.add_parser("hold", help="show an avatar while a key is held")
    hold.add_argument("avatar")
    hold.add_argument("edge", choices=("press", "release"))
    talk = actions.add_parser("talk", help="push-to-talk: speak only between press and release")
    talk.add_argument("edge", choices=("press", "release"))
    change = actions.add_parser("set", help="change a live setting")
    change.add_argument("key")
    change.add_argument("value")
    parser.set_defaults(handler=run)


def run(args: argparse.Namespace) -> int:
    """Send the command and print the answer."""
    from vcam_avatar.control.client import send
    from vcam_avatar.control.commands import COMMANDS, from_wire

    message: dict[str, Any] = {"command": args.action}
    for key in ("avatar", "key", "value"):
        if key in args:
            message[key] = getattr(args, key)
    if "edge" in args:
        message["pressed"] = args.edge == "press"
    assert args.action in COMMANDS
    start = time.perf_counter()
    answer = send(from_wire(message))
    took_ms = (time.perf_counter() - start) * 1000
    if args.json:
        print(json.dumps({**answer.data, "text": answer.text, "took_ms": round(took_ms, 1)}))
    else:
        print(answer.text)
    return 0
