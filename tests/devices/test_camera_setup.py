"""Setting the camera up, on made-up machines."""

import subprocess
import sys

import pytest

pytest.importorskip("grp")

from vcam_avatar.cli.main import main
from vcam_avatar.devices import camera_setup
from vcam_avatar.devices.camera_setup import Machine, commands_to_run, diagnose, files_to_write

RELEASE = "6.1.0-test"


@pytest.fixture
def machine(tmp_path):
    """Debian with headers and the module built, nothing loaded, one webcam as video0."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").write_text('ID=debian\nID_LIKE=""\n')
    (tmp_path / f"lib/modules/{RELEASE}/build").mkdir(parents=True)
    (tmp_path / f"lib/modules/{RELEASE}/v4l2loopback.ko.xz").touch()
    (tmp_path / "sys/class/video4linux/video0").mkdir(parents=True)
    return Machine(tmp_path, RELEASE)


def load(machine, *labels, exclusive="Y,Y"):
    module = machine.sysfs / "module/v4l2loopback/parameters"
    module.mkdir(parents=True)
    (module / "exclusive_caps").write_text(exclusive + ",N\n")
    for number, label in enumerate(labels, 8):
        folder = machine.sysfs / f"devices/virtual/video4linux/video{number}"
        folder.mkdir(parents=True)
        (folder / "name").write_text(label + "\n")
        (machine.sysfs / f"class/video4linux/video{number}").mkdir()
        device = machine.root / f"dev/video{number}"
        device.parent.mkdir(exist_ok=True)
        device.touch()


def problems(machine):
    return [finding.text for finding in diagnose(machine) if not finding.ok]


def test_two_cameras_are_set_up_with_obs_first(machine):
    files = files_to_write(machine)
    options = files[camera_setup.MODPROBE_FILE]
    assert 'devices=2 video_nr=8,9 card_label="OBS Virtual Camera,Avatar Cam" exclusive_caps=1,1' in options
    assert files[camera_setup.MODULES_FILE] == "v4l2loopback\n"


def test_numbers_of_real_cameras_are_left_alone(machine):
    for number in (8, 11):
        (machine.sysfs / f"class/video4linux/video{number}").mkdir()
    assert "video_nr=9,10" in files_to_write(machine)[camera_setup.MODPROBE_FILE]


def test_commands_write_exactly_the_files(machine, tmp_path, monkeypatch):
    monkeypatch.setattr(camera_setup, "MODPROBE_FILE", tmp_path / "a.conf")
    monkeypatch.setattr(camera_setup, "MODULES_FILE", tmp_path / "b.conf")
    commands = commands_to_run(machine)
    assert commands[-1] == ["modprobe", "v4l2loopback"]
    for command in commands[:-1]:
        subprocess.run(command, check=True)
    assert (tmp_path / "a.conf").read_text() == files_to_write(machine)[tmp_path / "a.conf"]
    assert (tmp_path / "b.conf").read_text() == "v4l2loopback\n"


@pytest.mark.parametrize(
    ("ids", "command"), [("debian", "apt-get"), ("arch", "pacman"), ("fedora", "dnf"), ("opensuse", "zypper")]
)
def test_packages_are_those_of_the_distribution(machine, ids, command):
    (machine.root / f"lib/modules/{RELEASE}/v4l2loopback.ko.xz").unlink()
    (machine.root / "etc/os-release").write_text(f'ID="{ids}"\n')
    assert commands_to_run(machine)[0][0] == command


def test_a_loaded_module_is_loaded_anew(machine):
    load(machine, "Other")
    assert commands_to_run(machine)[-2:] == [["modprobe", "-r", "v4l2loopback"], ["modprobe", "v4l2loopback"]]


def test_a_good_machine_has_no_problems(machine):
    load(machine, "OBS Virtual Camera", "Avatar Cam")
    assert problems(machine) == []


def test_causes_are_named_before_consequences(machine):
    assert problems(machine) == ["the kernel module v4l2loopback is not loaded"]
    (machine.root / f"lib/modules/{RELEASE}/v4l2loopback.ko.xz").unlink()
    (machine.root / f"lib/modules/{RELEASE}/build").rmdir()
    found = diagnose(machine)
    assert [f.ok for f in found] == [False] * 3
    assert f"linux-headers-{RELEASE}" in found[2].remedy


def test_secure_boot_is_recognised(machine):
    variables = machine.sysfs / "firmware/efi/efivars"
    variables.mkdir(parents=True)
    (variables / "SecureBoot-8be4").write_bytes(b"\x06\x00\x00\x00\x01")
    assert any("Secure Boot" in text for text in problems(machine))


@pytest.mark.parametrize(
    ("labels", "exclusive", "says"),
    [
        (("Other",), "Y", "only: Other"),
        (("Avatar Cam",), "Y", "OBS's own virtual camera would write"),
        (("OBS Virtual Camera", "Avatar Cam"), "Y,N", "browsers do not list"),
    ],
)
def test_wrong_modules_are_explained(machine, labels, exclusive, says):
    load(machine, *labels, exclusive=exclusive)
    assert any(says in text for text in problems(machine))


def test_missing_rights_are_explained(machine):
    load(machine, "OBS Virtual Camera", "Avatar Cam")
    (machine.root / "dev/video9").unlink()
    finding = diagnose(machine, groups=[])[-1]
    assert not finding.ok
    assert "usermod -aG video" in finding.remedy


@pytest.mark.parametrize(("platform", "says"), [("win32", "UnityCapture"), ("darwin", "Camera Extensions")])
def test_other_systems_get_their_steps(monkeypatch, capsys, platform, says):
    monkeypatch.setattr(sys, "platform", platform)
    assert main(["camera", "install"]) == 0
    assert says in capsys.readouterr().out


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux only")
def test_install_shows_and_runs_nothing_unasked(monkeypatch, capsys):
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: pytest.fail("nothing was asked for"))
    assert main(["camera", "install"]) == 0
    out = capsys.readouterr().out
    assert "modprobe v4l2loopback" in out
    assert "--sudo" in out
