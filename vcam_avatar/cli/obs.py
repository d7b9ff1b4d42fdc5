"""``vcam-avatar obs``: put the hotkeys into OBS, see how OBS is, add the camera to a scene."""

import argparse
import json
import sys
from typing import Any

_EPILOG = """\
What happens: a small script inside OBS registers hotkeys ("Avatar Cam: next", "Avatar Cam: 1 <name>"...)
and Avatar Cam listens to OBS's own websocket. Nothing leaves this computer.

Password: read from OBS's own files. If OBS runs elsewhere or keeps them in an unusual place, set
VCAM_AVATAR_OBS_PASSWORD, or store it in the keyring as service vcam-avatar, user obs-websocket.

Hotkeys by system:
  Windows        everywhere, whatever program has the focus.
  Linux, X11     everywhere; hold the key for a moment (30 ms).
  Linux, Wayland only while OBS has the focus: that is how Wayland is. Bind `vcam-avatar ctl ...` to keys
                 in your desktop's keyboard settings instead.
  macOS          OBS needs the permission Privacy & Security > Accessibility (or Input Monitoring).
Scripts belong to a scene collection: with several of them use --all-collections."""


def register(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "obs",
        help="hotkeys and camera in OBS",
        description="Put Avatar Cam's hotkeys into OBS and its camera into a scene.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    install = actions.add_parser(
        "install", help="put the hotkeys into OBS (edits OBS's files if it is closed, after a backup)"
    )
    install.add_argument(
        "--all-collections", action="store_true", help="not only the current scene collection"
    )
    install.add_argument("--no-edit", action="store_true", help="leave OBS's files alone, say the clicks")
    uninstall = actions.add_parser("uninstall", help="take the script out of OBS's scene collections")
    status = actions.add_parser("status", help="say what is in place")
    status.add_argument("--json", action="store_true")
    add = actions.add_parser("add-source", help="add the camera to a scene of the running OBS")
    add.add_argument("--scene", help="default: the one shown now")
    for action, handler in (
        (install, _install),
        (uninstall, _uninstall),
        (status, _status),
        (add, _add_source),
    ):
        action.set_defaults(handler=handler)


def _install(args: argparse.Namespace) -> int:
    from vcam_avatar.control.obs import files
    from vcam_avatar.control.obs import install as installing

    script = installing.put_script()
    _refresh_names()
    print(f"script: {script}")
    folders = files.obs_folders()
    if not folders:
        print("OBS has not been started by this user yet. Start it once, close it, and run this again, or:")
        _say_clicks(script)
        return 0
    if args.no_edit or installing.obs_is_running():
        if not args.no_edit:
            print("OBS is running, so its files stay as they are. Close it and run this again, or:")
        _say_clicks(script)
        return 0
    for folder in folders:
        current = files.current_collection_name(folder)
        for collection in files.collections(folder):
            if args.all_collections or current is None or collection.file.stem == current:
                changed = installing.add_to_collection(collection.file, script)
                print(
                    f"scene collection {collection.name!r}: {'script added' if changed else 'has the script'}"
                )
        changed = installing.enable_websocket(folder)
        print(f"websocket server: {'switched on' if changed else 'on'}")
    print('Next: start OBS and bind keys in Settings > Hotkeys, search for "Avatar".')
    return 0


def _say_clicks(script: Any) -> None:
    print(f"  1. in OBS: Tools > Scripts > + > {script}")
    print("  2. in OBS: Tools > WebSocket Server Settings > Enable WebSocket server > OK")
    print('Then bind keys in Settings > Hotkeys, search for "Avatar".')


def _refresh_names() -> None:
    """Ask the running service for its avatars, so that the hotkeys have names at once."""
    from vcam_avatar.control.client import send
    from vcam_avatar.control.commands import Status
    from vcam_avatar.control.obs.install import put_names
    from vcam_avatar.errors import ControlError

    try:
        names = send(Status()).data.get("avatars")
    except ControlError:
        return  # the service writes them when it starts
    if isinstance(names, list):
        put_names([str(name) for name in names])


def _uninstall(args: argparse.Namespace) -> int:
    from vcam_avatar.control.obs import files
    from vcam_avatar.control.obs import install as installing
    from vcam_avatar.errors import ControlError

    if installing.obs_is_running():
        raise ControlError("close OBS first: it writes its files when it ends")
    for folder in files.obs_folders():
        for collection in files.collections(folder):
            if installing.remove_from_collection(collection.file):
                print(f"scene collection {collection.name!r}: script removed")
    return 0


def _status(args: argparse.Namespace) -> int:
    from vcam_avatar.control.obs import files
    from vcam_avatar.control.obs.install import obs_is_running
    from vcam_avatar.errors import ControlError

    report: dict[str, Any] = {"running": obs_is_running(), "installations": [], "connection": None}
    for folder in files.obs_folders():
        websocket = files.websocket_settings(folder)
        report["installations"].append(
            {
                "folder": str(folder),
                "websocket": None
                if websocket is None
                else {
                    "enabled": websocket.enabled,
                    "port": websocket.port,
                    "password": "set"
                    if websocket.password and websocket.password.get_secret_value()
                    else "none",
                },
                "collections": [
                    {"name": c.name, "script": str(c.script) if c.script else None, "bound": list(c.bound)}
                    for c in files.collections(folder)
                ],
            }
        )
    if report["running"]:
        from vcam_avatar.control.obs.client import connect

        try:
            client = connect()
            hotkeys = [name for name in client.hotkeys() if name.startswith("avatar_cam.")]
            report["connection"] = {"obs": client.version(), "hotkeys": len(hotkeys)}
            client.close()
        except (ControlError, ConnectionError) as exc:
            report["connection"] = {"error": str(exc)}
    if args.json:
        json.dump(report, sys.stdout, indent=2)
        print()
    else:
        print("\n".join(_lines(report)))
    connection = report["connection"] or {}
    return 0 if connection.get("hotkeys") else 1


def _lines(report: dict[str, Any]) -> list[str]:
    lines = [f"OBS: {'running' if report['running'] else 'not running'}"]
    if not report["installations"]:
        lines.append("no configuration of OBS found for this user")
    for installation in report["installations"]:
        lines.append(f"folder: {installation['folder']}")
        websocket = installation["websocket"]
        if websocket is None or not websocket["enabled"]:
            lines.append("  websocket server: off; run `vcam-avatar obs install`")
        else:
            lines.append(
                f"  websocket server: on, port {websocket['port']}, password {websocket['password']}"
            )
        for collection in installation["collections"]:
            state = "no script; run `vcam-avatar obs install`"
            if collection["script"]:
                bound = ", ".join(name.removeprefix("avatar_cam.") for name in collection["bound"])
                state = f"script in place, keys for: {bound or 'nothing yet'}"
            lines.append(f"  scene collection {collection['name']!r}: {state}")
    connection = report["connection"]
    if connection and "error" in connection:
        lines.append(f"connection: {connection['error']}")
    elif connection:
        count = connection["hotkeys"]
        state = f"{count} hotkeys" if count else "no hotkeys: the current scene collection lacks the script"
        lines.append(f"connection: OBS {connection['obs']}, {state}")
    return lines


def _add_source(args: argparse.Namespace) -> int:
    from vcam_avatar.control.obs.camera_source import add_camera_source
    from vcam_avatar.control.obs.client import connect
    from vcam_avatar.devices.virtual_camera import CAMERA_LABEL, find_device
    from vcam_avatar.errors import ControlError

    client = connect()
    try:
        print(add_camera_source(client, find_device(CAMERA_LABEL), CAMERA_LABEL, args.scene))
    except ConnectionError as exc:
        raise ControlError(f"OBS went away: {exc}") from exc
    finally:
        client.close()
    return 0
