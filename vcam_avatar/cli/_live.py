"""What ``run`` does: a file to a file exactly as ``render``, anything else as a running service."""

import argparse
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vcam_avatar.avatars import find_avatar, list_avatars, load_avatar
from vcam_avatar.avatars.format import avatar_folders
from vcam_avatar.avatars.watch import AvatarWatch, array_bytes
from vcam_avatar.cli._options import video_to_write
from vcam_avatar.cli._studio import make_loop, render_file
from vcam_avatar.config import Config
from vcam_avatar.daemon.parts import Parts
from vcam_avatar.daemon.shelf import Shelf
from vcam_avatar.daemon.usage import give_memory_back
from vcam_avatar.devices.audio_file import FileAudioSource
from vcam_avatar.devices.memory import MemorySink, PreviewSink
from vcam_avatar.devices.paced import PacedSource
from vcam_avatar.devices.sound_track import HeardSoundTrack
from vcam_avatar.errors import ConfigError
from vcam_avatar.pipeline import build
from vcam_avatar.pipeline.clock import MonotonicClock
from vcam_avatar.pipeline.live import LiveUnits
from vcam_avatar.pipeline.loop import FrameLoop, PreparedAvatar
from vcam_avatar.pipeline.runner import play_stored
from vcam_avatar.pipeline.sequencer import GaplessSink
from vcam_avatar.ports import AudioSource, FrameSink

if TYPE_CHECKING:
    from vcam_avatar.devices.video_file import VideoFileSink


def run(args: argparse.Namespace, config: Config) -> int:
    """Run until the source ends, ``--seconds`` are over, a command or a signal comes.

    Raises:
        AvatarError: something cannot be opened.
    """
    kind, _, name = args.source.partition(":")
    if kind not in ("mic", "file") or (kind == "file" and not name):
        raise ConfigError(f"unknown source {args.source!r}: use mic, mic:NAME or file:PATH")
    sink_kind, _, sink_name = args.sink.partition(":")
    if sink_kind not in ("camera", "file", "memory", "preview") or (sink_kind == "file" and not sink_name):
        raise ConfigError(
            f"unknown sink {args.sink!r}: use camera, camera:NAME, file:PATH.mp4, preview or memory"
        )
    if args.seconds is not None and not args.seconds > 0:
        raise ConfigError(f"--seconds must be more than 0, got {args.seconds:g}")
    video = None
    if sink_kind == "file":
        video = video_to_write(Path(sink_name), args.overwrite, Path(name) if kind == "file" else None)
    if kind == "file" and sink_kind in ("file", "memory") and not (args.loop or args.seconds or args.live):
        return _run_stored(Path(name), video, config)
    return _run_service(args, config, (kind, name), (sink_kind, sink_name))


def _run_stored(audio: Path, video: Path | None, config: Config) -> int:
    """As fast as it goes, no frame late or left out; without ``video`` the frames are only made."""
    if video is not None:
        print(f"{video}: {render_file(audio, video, config, progress=False)}")
        return 0
    source = FileAudioSource(audio)
    loop = make_loop(config)
    sent = play_stored(source, loop, MemorySink(), config.video.size, config.video.fps)
    print(_summary(sent, loop))
    return 0


def _run_service(
    args: argparse.Namespace, config: Config, source: tuple[str, str], sink: tuple[str, str]
) -> int:
    """Live: commands, OBS and devices that may fail."""
    from vcam_avatar.control.server import ControlServer
    from vcam_avatar.daemon.logs import default_log_file, logging_to
    from vcam_avatar.daemon.service import AvatarService

    if source[0] == "file":
        _source_opener(source, config, loop=args.loop)().close()  # a wrong name ends it, not tried for ever
    server = None if args.no_control else ControlServer()
    with contextlib.ExitStack() as stack:
        if server is not None:
            server.start()  # first of all: a second service is turned away before it loads anything
            stack.callback(server.stop)
        stack.enter_context(logging_to(args.log or default_log_file()))
        live = make_live(source, sink, config, loop=args.loop)
        stack.enter_context(_finished(live.recorder))
        print(f"running with avatar {live.parts.loop.avatar.name}; Ctrl+C stops", flush=True)
        service = AvatarService(live.parts, server)
        status = service.run(args.seconds)
    print(_summary(service.figures.frames, live.parts.loop, live.parts.units))
    return status


@dataclass(frozen=True, slots=True)
class Live:
    """Everything a service needs, opened as far as it must not fail later."""

    parts: Parts
    recorder: "MemorySink | PreviewSink | VideoFileSink | None"
    """The sink that is not a camera; open."""


def make_live(
    source: tuple[str, str],
    sink: tuple[str, str],
    config: Config,
    *,
    loop: bool = False,
) -> Live:
    """Load the networks and the avatar and choose the devices.

    Args:
        source: kind (``mic`` or ``file``) and name.
        sink: kind (``camera``, ``file``, ``memory`` or ``preview``) and name; a video is replaced.
        loop: start a file again at its end.

    Raises:
        AvatarError: something cannot be loaded or opened.
    """
    frames = make_loop(config, hold_faults=True)
    recorder = _make_recorder(sink, config, frames)
    sinks: list[FrameSink] = []
    if recorder is not None:
        sinks.append(GaplessSink(recorder))
        sinks[0].open(config.video.size, float(config.video.fps))
    camera = None
    if sink[0] == "camera":
        from vcam_avatar.devices.virtual_camera import VirtualCameraSink

        camera = VirtualCameraSink(sink[1] or config.camera.device or None, config.camera.backend or None)
    settings = _Settings(config)
    shelf = _make_shelf(frames, settings)
    parts = Parts(
        config=config,
        loop=frames,
        units=LiveUnits(config.video.fps, MonotonicClock()),
        shelf=shelf,
        open_source=_source_opener(source, config, loop=loop),
        camera=camera,
        sinks=sinks,
        apply=settings.replace,
        apply_keys=("voice.mouth_gain", "voice.smile", "motion.gain", "motion.head_gain"),
        watch=AvatarWatch(avatar_folders).poll,
        extra_status=lambda: {"avatar_memory_mb": _memory_mb(frames, shelf)},
        source_name=source[1] or source[0],
    )
    return Live(parts, recorder)


def _memory_mb(frames: FrameLoop, shelf: Shelf[PreparedAvatar]) -> dict[str, float]:
    """Memory of each avatar kept ready."""
    kept = {frames.avatar.name: frames.avatar, **shelf.ready()}
    return {name: round(array_bytes(avatar) / 1e6, 1) for name, avatar in kept.items()}


class _Settings:
    """The configuration as changed while running."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def replace(self, config: Config) -> None:
        """Use ``config`` for the avatars prepared from now on."""
        self.config = config


def _source_opener(source: tuple[str, str], config: Config, *, loop: bool) -> Callable[[], AudioSource]:
    kind, name = source
    if kind == "file":
        return lambda: PacedSource(FileAudioSource(Path(name), 160, loop=loop), name)

    def open_microphone() -> AudioSource:
        from vcam_avatar.devices.microphone import MicrophoneSource

        return MicrophoneSource(name or config.microphone.name or None)

    return open_microphone


def _make_recorder(
    sink: tuple[str, str], config: Config, frames: FrameLoop
) -> "MemorySink | PreviewSink | VideoFileSink | None":
    """What frames are kept in, with the sound the loop hears where it takes sound; None for a camera."""
    kind, name = sink
    if kind == "file":
        from vcam_avatar.devices.video_file import VideoFileSink

        heard = HeardSoundTrack()
        frames.listeners.append(heard.hear)
        return VideoFileSink(Path(name), heard, config.video.fps)
    return {"memory": MemorySink, "preview": PreviewSink}[kind]() if kind != "camera" else None


def _make_shelf(loop: FrameLoop, settings: _Settings) -> Shelf[PreparedAvatar]:
    """All avatars without a problem; the one shown need not be prepared twice."""
    shown = loop.avatar

    def names() -> list[str]:
        found = [entry.name for entry in list_avatars() if not entry.problem]
        return found if shown.name in found else [shown.name, *found]

    def prepare(name: str) -> PreparedAvatar:
        try:
            return build.prepare_avatar(loop.stages, load_avatar(find_avatar(name)), settings.config)
        finally:
            give_memory_back()

    return Shelf(names, prepare)


@contextlib.contextmanager
def _finished(sink: "MemorySink | PreviewSink | VideoFileSink | None") -> Iterator[None]:
    """Close the sink when all went well; leave no half-finished file when not."""
    try:
        yield
    except BaseException:
        abort = getattr(sink, "abort", None)
        if abort is not None:
            abort()
        raise
    if sink is not None:
        sink.close()


def _summary(sent: int, loop: FrameLoop, units: LiveUnits | None = None) -> str:
    counts = {"held": loop.held}
    if units is not None:
        counts |= {
            "units without sound": units.late_units,
            "skipped": units.skipped_units,
            "samples dropped": units.dropped_samples,
        }
    said = [f"{sent} frames", *(f"{count} {what}" for what, count in counts.items() if count)]
    spread = loop.timings.spreads().get("latency")
    if spread is not None:
        said.append(f"last sample to frame {spread.p50_ms:.1f} ms, p95 {spread.p95_ms:.1f} ms")
    return ", ".join(said)
