"""The checks of ``doctor``."""

import importlib
import importlib.metadata
import itertools
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from vcam_avatar.config import Config, config_path, load_config
from vcam_avatar.errors import AvatarError

_PACKAGES = ("numpy", "cv2", "av", "soundfile", "soxr", "librosa", "numba", "pydantic", "pyvirtualcam")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at."""

    name: str
    fine: bool
    found: str
    cure: str = ""
    """What to do, where ``found`` does not say it."""
    needed: bool = True
    """Without it no video can be made from a file."""

    @property
    def mark(self) -> str:
        """One character for the list."""
        return "+" if self.fine else ("!" if self.needed else "-")

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def examine(device: str | None = None) -> list[Check]:
    """Look at everything, in the order in which things build on each other."""
    try:
        config, problem = load_config(None, {"networks.device": device}), ""
    except AvatarError as exc:
        config, problem = Config(), str(exc)
    checks = [_python(), _packages(), _configuration(problem)]
    checks.append(_guarded("onnxruntime", lambda: _runtime(config)))
    checks.append(_guarded("networks", _networks))
    checks.append(_guarded("avatars", _avatars))
    if all(check.fine for check in checks if check.needed):
        checks.append(_guarded("speed", lambda: _speed(config)))
    checks.append(_guarded("microphone", _microphone, needed=False))
    checks.append(_guarded("virtual camera", _camera, needed=False))
    return checks


def _guarded(name: str, check: Callable[[], Check], needed: bool = True) -> Check:
    try:
        return check()
    except AvatarError as exc:
        return Check(name, False, str(exc), needed=needed)


def _python() -> Check:
    return Check("python", True, f"{platform.python_version()} on {platform.system()} {platform.machine()}")


def _packages() -> Check:
    problems = []
    for name in _PACKAGES:
        try:
            importlib.import_module(name)
        except (ImportError, OSError) as exc:
            problems.append(f"{name} ({exc})")
    if not problems:
        return Check("packages", True, f"{len(_PACKAGES)} load")
    cure = "pip install --force-reinstall '.[cpu]'  in the folder of Avatar Cam"
    if any("libGL" in problem or "libgthread" in problem for problem in problems):
        cure = "sudo apt install libgl1 libglib2.0-0"
    return Check("packages", False, "cannot load " + ", ".join(problems), cure)


def _configuration(problem: str) -> Check:
    if problem:
        return Check("configuration", False, problem)
    path = config_path()
    return Check("configuration", True, str(path) if path.is_file() else f"defaults ({path} does not exist)")


def _runtime(config: Config) -> Check:
    from vcam_avatar.inference import choose_provider
    from vcam_avatar.inference.provider import installed_wheels, onnxruntime

    runtime = onnxruntime()
    report = choose_provider(config.networks.device)
    wheels = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in installed_wheels())
    found = f"{wheels or runtime.__version__}, networks run on {report.used}"
    if report.reason is None:
        return Check("onnxruntime", True, found)
    cause, _, cure = report.reason.partition("; ")
    return Check("onnxruntime", False, f"{found}: {cause}", cure)


def _networks() -> Check:
    from vcam_avatar.inference import Network
    from vcam_avatar.resources import models_dir

    paths = sorted(models_dir().glob("*.onnx"))
    if not paths:
        return Check("networks", False, "none", "install the package again")
    for path in paths:
        Network(path, warm_up=False)
    megabytes = sum(path.stat().st_size for path in paths) / 1e6
    return Check("networks", True, f"{len(paths)} fit their sidecars, {megabytes:.0f} MB")


def _avatars() -> Check:
    from vcam_avatar.avatars import list_avatars

    entries = list_avatars()
    broken = [f"{entry.name} ({entry.problem})" for entry in entries if entry.problem]
    if broken:
        return Check("avatars", False, "; ".join(broken), "vcam-avatar avatars repair NAME")
    if not entries:
        return Check("avatars", False, "none", "vcam-avatar avatars create PICTURE")
    return Check("avatars", True, ", ".join(entry.name for entry in entries))


def _speed(config: Config) -> Check:
    from vcam_avatar import resources
    from vcam_avatar.cli._studio import make_loop
    from vcam_avatar.devices.audio_file import FileAudioSource
    from vcam_avatar.media import UnitClock
    from vcam_avatar.pipeline.units import cut_units

    loop = make_loop(config)
    voice = FileAudioSource(resources.asset_path("demo_voice.flac"))
    moments = []
    for _frame in loop.frames(cut_units(voice.blocks(), UnitClock(config.video.fps))):
        moments.append(time.perf_counter())
        if len(moments) > 100:
            break
    frame_ms = 1e3 * statistics.median(b - a for a, b in itertools.pairwise(moments[20:]))
    budget_ms = 1e3 / float(config.video.fps)
    stages = ", ".join(f"{name} {spread.p50_ms:.1f}" for name, spread in loop.timings.spreads().items())
    found = f"{frame_ms:.1f} ms a frame of {config.video.size}, {budget_ms:.0f} ms allowed ({stages})"
    slow = "" if frame_ms < budget_ms else 'choose a smaller size:  [video] size = "854x480"'
    return Check("speed", not slow, found, slow)


def _microphone() -> Check:
    from vcam_avatar.devices.microphone import input_devices

    devices = input_devices()
    if not devices:
        return Check("microphone", False, "none", "plug one in, or use  --source file:voice.wav", False)
    default = next((d.name for d in devices if d.is_default), devices[0].name)
    return Check("microphone", True, f"{default} ({len(devices)} in all)", needed=False)


def _camera() -> Check:
    from vcam_avatar.devices.virtual_camera import camera_backends, camera_remedy

    backends = camera_backends()
    ready = [name for name, problem in backends.items() if not problem]
    if ready:
        return Check("virtual camera", True, ", ".join(ready), needed=False)
    causes = "; ".join(f"{name}: {problem}" for name, problem in backends.items()) or "none for this system"
    return Check("virtual camera", False, causes, camera_remedy(), False)
