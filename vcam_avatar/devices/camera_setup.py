"""What it takes for "Avatar Cam" to be there: looked up, explained, written."""

import grp
import os
import platform
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vcam_avatar.devices import v4l2
from vcam_avatar.devices.virtual_camera import CAMERA_LABEL

OBS_LABEL = "OBS Virtual Camera"
MODPROBE_FILE = Path("/etc/modprobe.d/avatar-cam.conf")
MODULES_FILE = Path("/etc/modules-load.d/avatar-cam.conf")
_FIRST_NUMBER = 8


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    ok: bool
    text: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Machine:
    """Where to look; other roots are for tests."""

    root: Path = Path("/")
    release: str = platform.release()

    @property
    def sysfs(self) -> Path:
        return self.root / "sys"


def files_to_write(machine: Machine | None = None) -> dict[Path, str]:
    """The two files that bring the cameras up at every start: path -> content.

    Two devices, OBS's first: OBS takes the lowest-numbered loopback camera for its own, even one in use.
    """
    taken = _video_numbers(machine or Machine())
    first = next(n for n in range(_FIRST_NUMBER, 200) if n not in taken and n + 1 not in taken)
    options = (
        f"options v4l2loopback devices=2 video_nr={first},{first + 1} "
        f'card_label="{OBS_LABEL},{CAMERA_LABEL}" exclusive_caps=1,1\n'
    )
    return {
        MODPROBE_FILE: f"# Written by vcam-avatar camera install\n{options}",
        MODULES_FILE: "v4l2loopback\n",
    }


def commands_to_run(machine: Machine | None = None) -> list[list[str]]:
    """What the administrator has to run, in order, files included."""
    machine = machine or Machine()
    commands = [] if _module_file(machine) else _package_commands(machine)
    for path, content in files_to_write(machine).items():
        commands.append(["sh", "-c", f"printf %s {shlex.quote(content)} > {path}"])
    if v4l2.module_loaded(machine.sysfs):
        commands.append(["modprobe", "-r", "v4l2loopback"])
    commands.append(["modprobe", "v4l2loopback"])
    return commands


def diagnose(machine: Machine | None = None, groups: Sequence[int] | None = None) -> list[Finding]:
    """Look at everything that must be right on Linux, the cause before the consequence."""
    machine = machine or Machine()
    install = "vcam-avatar camera install"
    if not v4l2.module_loaded(machine.sysfs):
        findings = [Finding(False, "the kernel module v4l2loopback is not loaded", install)]
        if not _module_file(machine):
            findings.append(Finding(False, f"there is no v4l2loopback for kernel {machine.release}", install))
            if not (machine.root / f"lib/modules/{machine.release}/build").exists():
                remedy = _headers_remedy(machine)
                findings.append(
                    Finding(False, "the kernel's headers, needed to build it, are missing", remedy)
                )
        elif _secure_boot(machine):
            findings.append(
                Finding(
                    False,
                    "Secure Boot is on and refuses modules signed by nobody it knows",
                    "sudo mokutil --import /var/lib/dkms/mok.pub, restart, and enrol the key",
                )
            )
        return findings
    version = v4l2.module_version(machine.sysfs)
    shown = ".".join(map(str, version)) if version else "0.12.7 or older"
    findings = [Finding(True, f"v4l2loopback {shown} is loaded")]
    cameras = v4l2.loopback_cameras(machine.sysfs)
    ours = next((camera for camera in cameras if camera.label == CAMERA_LABEL), None)
    if ours is None:
        labels = ", ".join(f"{c.label} ({c.path})" for c in cameras) or "none"
        findings.append(Finding(False, f"no loopback camera {CAMERA_LABEL!r}, only: {labels}", install))
        return findings
    findings.append(Finding(True, f"{CAMERA_LABEL} is {ours.path}"))
    if cameras[0] == ours:
        findings.append(
            Finding(False, f"OBS's own virtual camera would write into {ours.path} as well", install)
        )
    if not _exclusive_caps(machine, cameras.index(ours)):
        findings.append(Finding(False, f"browsers do not list {ours.path}: exclusive_caps is off", install))
    findings.append(_access(machine, ours.path, groups))
    return findings


def _video_numbers(machine: Machine) -> set[int]:
    """Numbers of cameras that are not loopbacks: those stay."""
    loopbacks = {camera.number for camera in v4l2.loopback_cameras(machine.sysfs)}
    names = [entry.name for entry in (machine.sysfs / "class/video4linux").glob("video*")]
    numbers = {int(n.removeprefix("video")) for n in names if n.removeprefix("video").isdecimal()}
    return numbers - loopbacks


def _module_file(machine: Machine) -> bool:
    return any((machine.root / f"lib/modules/{machine.release}").rglob("v4l2loopback.ko*"))


def _os_ids(machine: Machine) -> set[str]:
    try:
        text = (machine.root / "etc/os-release").read_text()
    except OSError:
        return set()
    words = [
        line.partition("=")[2].strip('"')
        for line in text.splitlines()
        if line.startswith(("ID=", "ID_LIKE="))
    ]
    return {word for line in words for word in line.split()}


def _package_commands(machine: Machine) -> list[list[str]]:
    ids = _os_ids(machine)
    if ids & {"arch"}:
        return [["pacman", "-S", "--needed", "v4l2loopback-dkms", "linux-headers"]]
    if ids & {"fedora", "rhel"}:
        return [["dnf", "install", "akmod-v4l2loopback"]]
    if ids & {"suse", "opensuse"}:
        return [["zypper", "install", "v4l2loopback-kmp-default"]]
    return [["apt-get", "install", "-y", "v4l2loopback-dkms", f"linux-headers-{machine.release}"]]


def _headers_remedy(machine: Machine) -> str:
    return "sudo " + shlex.join(_package_commands(machine)[0])


def _secure_boot(machine: Machine) -> bool:
    for variable in (machine.sysfs / "firmware/efi/efivars").glob("SecureBoot-*"):
        try:
            return variable.read_bytes()[-1:] == b"\x01"
        except OSError:
            return False
    return False


def _exclusive_caps(machine: Machine, index: int) -> bool:
    try:
        values = (machine.sysfs / "module/v4l2loopback/parameters/exclusive_caps").read_text().strip()
    except OSError:
        return True  # the module does not tell
    flags = values.split(",")
    return index < len(flags) and flags[index] == "Y"


def _access(machine: Machine, path: str, groups: Sequence[int] | None) -> Finding:
    device = machine.root / path.lstrip("/")
    if os.access(device, os.R_OK | os.W_OK):
        return Finding(True, f"{path} can be used by you")
    try:
        video = grp.getgrnam("video").gr_gid
    except KeyError:
        video = None
    member = video in (os.getgroups() if groups is None else groups)
    remedy = "sudo usermod -aG video $USER, then log in again"
    return Finding(False, f"{path} may not be used by you", "" if member else remedy)
