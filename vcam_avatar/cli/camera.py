"""``vcam-avatar camera``: set the virtual camera up, look at it, try it."""

import argparse
import sys
from typing import Any


def register(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "camera", help="set up and try the virtual camera", description="Set up and try the virtual camera."
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    install = actions.add_parser("install", help="say what to run to get the camera, or run it")
    install.add_argument("--sudo", action="store_true", help="run it, with sudo, after showing it")
    install.set_defaults(handler=_install)
    status = actions.add_parser("status", help="say what is in place and what is missing")
    status.set_defaults(handler=_status)
    test = actions.add_parser("test", help="send a moving picture to the camera")
    test.add_argument("--seconds", type=float, default=10.0)
    test.add_argument("--size", metavar="WxH", help="default: the configured one, like all that follow")
    test.add_argument("--fps", help="frames per second")
    test.add_argument("--camera", metavar="NAME", help="label or path")
    test.add_argument("--backend", metavar="NAME", help="such as pipewire")
    test.set_defaults(handler=_test)


def _install(args: argparse.Namespace) -> int:
    if _other_system():
        return 0
    import os
    import shlex
    import subprocess

    from vcam_avatar.devices.camera_setup import commands_to_run

    commands = commands_to_run()
    prefix = [] if os.geteuid() == 0 else ["sudo"]
    print("This brings up two cameras at every start, one for OBS's own virtual camera and Avatar Cam:\n")
    for command in commands:
        print("  " + shlex.join([*prefix, *command]))
    if not args.sudo:
        print("\nRun these lines, or let them be run:  vcam-avatar camera install --sudo")
        return 0
    for command in commands:
        print(f"\n$ {shlex.join([*prefix, *command])}", flush=True)
        status = subprocess.run([*prefix, *command]).returncode
        if status:
            print("\nThis step failed; see  vcam-avatar camera status")
            return status
    return _status(args)


def _status(args: argparse.Namespace) -> int:
    if _other_system():
        return 0
    from vcam_avatar.devices import v4l2
    from vcam_avatar.devices.camera_setup import diagnose
    from vcam_avatar.devices.virtual_camera import find_device

    findings = diagnose()
    for finding in findings:
        print(f"{'ok ' if finding.ok else 'NO '} {finding.text}")
        if finding.remedy:
            print(f"      -> {finding.remedy}")
    device = find_device()
    if device is not None:
        users = ", ".join(f"{name} ({pid})" for pid, name in v4l2.users_of(device))
        print(f"    in use by: {users or 'nobody'}")
        if v4l2.can_write(device) is False:
            print("    takes no frames now: another program sends, or it is stuck (`run` repairs that)")
    return 0 if all(finding.ok for finding in findings) else 1


def _test(args: argparse.Namespace) -> int:
    import time

    import cv2
    import numpy as np

    from vcam_avatar.config import load_config
    from vcam_avatar.devices.virtual_camera import VirtualCameraSink
    from vcam_avatar.media import Frame
    from vcam_avatar.pipeline.clock import MonotonicClock, Pacer

    flags = {"video.size": args.size, "video.fps": args.fps}
    config = load_config(None, {**flags, "camera.device": args.camera, "camera.backend": args.backend})
    size, fps, camera = config.video.size, config.video.fps, config.camera
    sink = VirtualCameraSink(camera.device or None, camera.backend or None)
    sink.open(size, float(fps))
    print(f"sending {size} at {float(fps):g} fps to {sink.name} for {args.seconds:g} s", flush=True)
    pacer = Pacer(fps, MonotonicClock())
    image = np.empty((size.height_px, size.width_px, 3), np.uint8)
    ramp = np.linspace(40, 200, size.width_px, dtype=np.uint8)
    started, sent = time.monotonic(), 0
    try:
        while time.monotonic() - started < args.seconds:
            image[:] = np.roll(ramp, sent * 4)[None, :, None]
            scale = size.height_px / 360
            cv2.putText(
                image, f"Avatar Cam {sent}", (round(20 * scale), round(60 * scale)),
                cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), max(1, round(2 * scale)),
            )  # fmt: skip
            pacer.wait(sent)
            sink.send(Frame(sent, image))
            sent += 1
    finally:
        sink.close()
    print(f"{sent} frames, {sent / (time.monotonic() - started):.2f} fps")
    return 0


def _other_system() -> bool:
    """Print the steps where they are not ours to take."""
    from vcam_avatar.devices import camera_texts

    text = camera_texts.STEPS.get(sys.platform)
    if text is not None:
        print(text, end="")
    return text is not None
