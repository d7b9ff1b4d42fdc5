"""``vcam-avatar devices``: microphones and cameras of this machine."""

import argparse
import json


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser("devices", help="list microphones and virtual cameras")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(handler=_run)


def _run(args: argparse.Namespace) -> int:
    import dataclasses

    from vcam_avatar.devices.microphone import input_devices
    from vcam_avatar.devices.virtual_camera import camera_backends, camera_remedy
    from vcam_avatar.errors import DeviceError

    problem = None
    try:
        microphones = input_devices()
    except DeviceError as exc:
        microphones, problem = [], str(exc)
    cameras = camera_backends()
    if args.json:
        found = {"microphones": [dataclasses.asdict(m) for m in microphones], "camera_backends": cameras}
        print(json.dumps({**found, "problem": problem}, indent=1))
        return 0
    print("Microphones")
    for microphone in microphones:
        mark = "*" if microphone.is_default else " "
        print(
            f" {mark} {microphone.name}  ({microphone.host}, {microphone.rate_hz} Hz, "
            f"{microphone.channels} channels)"
        )
    if not microphones:
        print(f"   none: {problem or 'plug one in, or use  --source file:voice.wav'}")
    print("Virtual camera")
    for name, problem_there in cameras.items():
        print(f"   {name}: {problem_there or 'ready'}")
    if not cameras or all(cameras.values()):
        print(f"   to get one, {camera_remedy()}")
    return 0
