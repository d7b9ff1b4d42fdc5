"""The running service: sound in, frames out, commands from everywhere, never a frozen picture."""

import contextlib
import logging
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vcam_avatar.config import Config, changed
from vcam_avatar.control.commands import Answer, Dispatcher
from vcam_avatar.control.obs.files import find_address
from vcam_avatar.control.obs.follow import Follower, Rules
from vcam_avatar.control.obs.install import put_names
from vcam_avatar.control.obs_link import ObsLink
from vcam_avatar.control.server import ControlServer
from vcam_avatar.daemon.feed import CameraFeed
from vcam_avatar.daemon.health import Health
from vcam_avatar.daemon.latency import Latency, estimate
from vcam_avatar.daemon.report import metrics_line, status_text
from vcam_avatar.daemon.shelf import Shelf
from vcam_avatar.daemon.sound import NoiseGate, SoundKeeper
from vcam_avatar.daemon.usage import Usage, memory_mb
from vcam_avatar.errors import AvatarError, ConfigError, ControlError
from vcam_avatar.media import SAMPLE_RATE_HZ
from vcam_avatar.pipeline.live import LiveUnits
from vcam_avatar.pipeline.loop import FrameLoop, PreparedAvatar
from vcam_avatar.ports import AudioSource, FrameSink

log = logging.getLogger(__name__)

METRICS_EVERY_S = 10.0
WATCH_EVERY_S = 1.0
_REMEMBERED_FRAMES = 1500
_REMEMBERED_WAITS = 250
LIVE_KEYS = ("microphone.noise_gate_db", "obs.sync_offset")
"""Settings the service itself can change while it runs."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the service runs; made by whoever reads the configuration and loads the networks."""

    config: Config
    loop: FrameLoop
    """With ``hold_faults``."""
    units: LiveUnits
    """The units of ``loop``, filled by the service."""
    shelf: Shelf[PreparedAvatar]
    open_source: Callable[[], AudioSource]
    """Called for every attempt to open the microphone."""
    camera: FrameSink | None
    """Opened, fed and reopened in the background; None for none."""
    sinks: Sequence[FrameSink] = ()
    """Further sinks, opened already, that get each frame once; they are closed with the service."""
    apply: Callable[[Config], None] | None = None
    """Takes over changed settings of the stages."""
    apply_keys: Sequence[str] = ()
    """Keys that ``apply`` can take over while running."""
    watch: Callable[[], set[str]] | None = None
    """Asked once a second for the names of avatars whose files have changed."""
    source_name: str = "microphone"
    sound_matters: bool = True
    """False for a source that cannot fail, such as silence."""
    extra_status: Callable[[], Mapping[str, Any]] = field(default=dict)


class AvatarService:
    """Owns every thread of a running avatar; what the dispatcher controls."""

    def __init__(self, parts: Parts, server: ControlServer | None = None) -> None:
        """``server``: already listening, so that a second service was turned away early; None for no
        control from outside."""
        self._parts = parts
        self._config = parts.config
        self._server = server
        self.health = Health()
        self.dispatcher = Dispatcher(self)
        gate = NoiseGate(parts.config.microphone.noise_gate_db)
        self.sound = SoundKeeper(parts.open_source, parts.units, self.health, gate=gate)
        self.feed: CameraFeed | None = None
        if parts.camera is not None:
            video = parts.config.video
            self.feed = CameraFeed(
                parts.camera, video.size, float(video.fps), self.health,
                stopwatch=parts.loop.timings, on_frames=self._camera_opened,
            )  # fmt: skip
        self._follower: Follower | None = None
        self._link: ObsLink | None = None
        self._wanted = parts.loop.avatar.name
        self._end = threading.Event()
        self._failure: BaseException | None = None
        self._started_at = time.time()
        self._sent_at: deque[float] = deque(maxlen=_REMEMBERED_FRAMES)
        self._waiting_ms: deque[float] = deque(maxlen=_REMEMBERED_WAITS)
        self._frames = 0
        self._usage, self._cores = Usage(), 0.0
        self._frame_thread = threading.Thread(target=self._run_frames, name="frames", daemon=True)

    # ------------------------------------------------------------------ life

    def run(self, duration_s: float | None = None) -> int:
        """Run until stopped by a command, a signal, the end of the source, or ``duration_s``.

        Call from the main thread to have signals handled.

        Returns:
            0, or the exit status of the error that ended it.
        """
        with self._signals():
            self.start()
            deadline = None if duration_s is None else time.monotonic() + duration_s
            metrics_at = time.monotonic() + METRICS_EVERY_S
            watch_at = time.monotonic() + WATCH_EVERY_S
            while not self._end.wait(0.1):
                now = time.monotonic()
                if deadline is not None and now >= deadline:
                    break
                if now >= watch_at:
                    watch_at = now + WATCH_EVERY_S
                    self.look_for_edits()
                if now >= metrics_at:
                    metrics_at += METRICS_EVERY_S
                    self._log_metrics()
            self.close()
        if isinstance(self._failure, AvatarError):
            raise self._failure
        return 0 if self._failure is None else 1

    def start(self) -> None:
        """Start every thread."""
        if self.feed is not None:
            self.feed.start()
        self._frame_thread.start()
        self.sound.start()
        if self._server is not None:
            self._server.serve(self.dispatcher)
        if self._config.obs.follow:
            self._start_link()
        self._tell_names()
        self._parts.shelf.put(self._wanted, self._parts.loop.avatar)
        self._parts.shelf.warm(self._wanted)

    def stop(self) -> None:
        """Begin to end; returns at once."""
        self.health.stopping()
        self._end.set()

    def close(self) -> None:
        """End every thread, in less than a second whatever hangs; may be called twice."""
        self.stop()
        ends: list[Callable[[], None]] = [self._parts.units.end, self.sound.stop]
        if self._link is not None:
            ends.append(self._link.stop)
        if self.feed is not None:
            ends.append(self.feed.stop)
        threads = [threading.Thread(target=end, daemon=True) for end in ends]
        deadline = time.monotonic() + 0.85
        for thread in threads:
            thread.start()
        for thread in (*threads, self._frame_thread):
            if thread.is_alive():
                thread.join(max(0.0, deadline - time.monotonic()))
        self._parts.shelf.close()
        for sink in self._parts.sinks:
            sink.close()
        if self._server is not None:
            self._server.stop()

    @property
    def camera_device(self) -> str | None:
        """The device our frames go to, once they do."""
        if self.feed is None or not self.feed.is_open or self.feed.sent == 0:
            return None
        return getattr(self._parts.camera, "name", None)

    # ------------------------------------------------------------------ Show

    def avatars(self) -> Sequence[str]:
        """Names of the avatars, in hotkey order."""
        return self._parts.shelf.names

    def current(self) -> str:
        """The avatar shown, or being made ready to be shown."""
        return self._wanted

    def switch(self, name: str) -> None:
        """Show ``name`` as soon as it is ready; until then the present one goes on."""
        self._wanted = name

        def ready(avatar: PreparedAvatar) -> None:
            if self._wanted == name:
                self._parts.loop.switch(avatar)
                self.health.well("avatar")
                self._parts.shelf.warm(name)

        def failed(error: AvatarError) -> None:
            self.health.trouble("avatar", str(error))
            if self._wanted == name:
                self._wanted = self._parts.loop.avatar.name

        self._parts.shelf.want(name, ready, failed)

    def set_muted(self, muted: bool) -> None:
        """Shut the mouth, or let it speak."""
        self._parts.loop.mute(muted)

    def set_idle(self, idle: bool) -> None:
        """Stop or start listening."""
        self._parts.loop.idle(idle)

    def reload(self) -> None:
        """Read the avatars anew and show the present one as it is now.

        Raises:
            ControlError: they cannot be read; nothing changes.
        """
        try:
            self._parts.shelf.reload()
        except AvatarError as exc:
            raise ControlError(str(exc)) from exc
        self._tell_names()
        names = self.avatars()
        if names:
            self.switch(self._wanted if self._wanted in names else names[0])

    def look_for_edits(self) -> None:
        """Take over avatars whose files were edited, added or removed.

        An avatar that is damaged by the edit is reported; the picture shown stays until it is mended.
        """
        changed = self._parts.watch() if self._parts.watch is not None else set()
        if not changed:
            return
        log.info("avatars changed on disk: %s", ", ".join(sorted(changed)))
        try:
            self._parts.shelf.refresh(changed)
        except AvatarError as exc:
            self.health.trouble("avatar", str(exc))
            return
        self._tell_names()
        if self._wanted in changed:
            self.switch(self._wanted)

    def set(self, key: str, value: str) -> str:
        """Change a live setting; return what it is now.

        Raises:
            ControlError: unknown key or value, or a key that needs a restart.
        """
        live = (*LIVE_KEYS, *self._parts.apply_keys)
        if key not in live:
            raise ControlError(f"{key} cannot be changed while running; these can: {', '.join(live)}")
        try:
            config = changed(self._config, key, value)
        except ConfigError as exc:
            raise ControlError(str(exc)) from exc
        if key in self._parts.apply_keys and self._parts.apply is not None:
            self._parts.apply(config)
            self.reload()
        self._config = config
        self.sound.gate.threshold_db = config.microphone.noise_gate_db
        section, _, name = key.partition(".")
        return str(getattr(getattr(config, section), name))

    def status(self) -> Answer:
        """How the service is."""
        data = self.report()
        return Answer(status_text(data), data)

    # ------------------------------------------------------------------ figures

    def latency(self) -> Latency | None:
        """How much later than its sound a frame is sent; None before the first frame."""
        delay_s = float(getattr(self.sound.source, "delay_s", 0.0))
        waiting = sorted(self._waiting_ms)
        waiting_ms = waiting[len(waiting) // 2] if waiting else 0.0
        fps = float(self._config.video.fps)
        return estimate(self._parts.loop.timings.spreads(), delay_s, fps, waiting_ms)

    def report(self) -> dict[str, Any]:
        """The state as JSON values."""
        parts, level, latency = self._parts, self.sound.level(), self.latency()
        source, feed = self.sound.source, self.feed
        report: dict[str, Any] = {
            "state": str(self.health.state),
            "troubles": self.health.troubles,
            "avatar": parts.loop.avatar.name,
            "wanted": self._wanted,
            "avatars": list(self.avatars()),
            "uptime_s": round(time.time() - self._started_at, 1),
            "size": str(self._config.video.size),
            "target_fps": round(float(self._config.video.fps), 3),
            "frames": self._frames,
            **self._pace(),
            "microphone": {
                "name": getattr(source, "name", parts.source_name if source is not None else None),
                "level_db": level.rms_db,
                "peak_db": level.peak_db,
                "clipped_samples": getattr(source, "clipped_samples", level.clipped_samples),
                "silent_s": round(level.silent_s, 1),
                "openings": self.sound.openings,
                "drift_ppm": getattr(source, "drift_ppm", None),
            },
            "camera": None
            if feed is None
            else {
                "device": self.camera_device,
                "open": feed.is_open,
                "sent": feed.sent,
                "repeated": feed.repeated,
                "dropped": feed.dropped,
                "openings": feed.openings,
            },
            "late_units": parts.units.late_units,
            "skipped_units": parts.units.skipped_units,
            "dropped_samples": parts.units.dropped_samples,
            "held_frames": parts.loop.held,
            "latency_ms": None
            if latency is None
            else {"p50": latency.p50_ms, "p95": latency.p95_ms, **latency.parts},
            "stages_p95_ms": {n: round(s.p95_ms, 2) for n, s in parts.loop.timings.spreads().items()},
            "obs": None if self._link is None else self._link.state.text,
            "sync_offset": self._config.obs.sync_offset,
            "cores": self._cores,
            "memory_mb": memory_mb(),
            **parts.extra_status(),
        }
        return report

    def _pace(self) -> dict[str, float | None]:
        moments = np.array(list(self._sent_at)[-round(10 * float(self._config.video.fps)) :])
        if len(moments) < 3:
            return {"fps": None, "interval_p99_ms": None}
        gaps = np.diff(moments)
        return {
            "fps": round(float(1 / gaps.mean()), 2),
            "interval_p99_ms": round(float(np.percentile(gaps, 99)) * 1e3, 1),
        }

    def _log_metrics(self) -> None:
        self._cores = self._usage.cores()
        log.info("%s", metrics_line(self.report()))

    # ------------------------------------------------------------------ threads

    def _run_frames(self) -> None:
        try:
            for frame in self._parts.loop.frames(self._parts.units):
                for sink in self._parts.sinks:
                    sink.send(frame)
                if self.feed is not None:
                    self.feed.push(frame)
                self._sent_at.append(time.monotonic())
                self._waiting_ms.append(self._parts.units.buffered_samples * 1e3 / SAMPLE_RATE_HZ)
                self._frames += 1
                if self._frames == 1:
                    self.health.started()
                    log.info("first frame after %.2f s", time.time() - self._started_at)
        except BaseException as exc:
            self._failure = exc
            log.exception("the frames have ended")
        finally:
            self._end.set()

    def _camera_opened(self) -> None:
        if self._follower is not None:
            self._follower.camera_opened()

    def _obs_camera(self, active: bool) -> None:
        """OBS's own virtual camera takes the lowest loopback device, even while we send to it."""
        shared = getattr(self._parts.camera, "shared_with_obs", False)
        if active and shared:
            self.health.trouble(
                "OBS's own camera",
                "it sends into our device as well: stop it in OBS, and run  vcam-avatar camera install",
            )
        else:
            self.health.well("OBS's own camera")

    def _start_link(self) -> None:
        obs = self._config.obs
        self._follower = Follower(
            self.dispatcher,
            Rules(obs.microphone, dict(obs.scenes)),
            offset_ms=self._offset_ms,
            camera=lambda: self.camera_device,
            own_camera=self._obs_camera,
            memory=_state_folder() / "obs-sync-offsets.json",
        )
        self._link = ObsLink(self._follower, lambda: find_address(obs.host or "127.0.0.1", obs.port or None))
        self._link.start()

    def _offset_ms(self) -> float | None:
        latency = self.latency() if self._config.obs.sync_offset else None
        return None if latency is None else latency.p50_ms

    def _tell_names(self) -> None:
        try:
            put_names(self.avatars())
        except ControlError as exc:
            log.warning("obs: %s", exc)

    @contextlib.contextmanager
    def _signals(self) -> Any:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        handlers: dict[int, Callable[[int, Any], None]] = {
            signal.SIGINT: lambda *_: self.stop(),
            signal.SIGTERM: lambda *_: self.stop(),
        }
        if sys.platform == "win32":
            handlers[signal.SIGBREAK] = lambda *_: self.stop()
        else:
            handlers[signal.SIGHUP] = lambda *_: threading.Thread(target=self._reload_on_signal).start()
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _reload_on_signal(self) -> None:
        try:
            self.reload()
        except ControlError as exc:
            log.warning("%s", exc)


def _state_folder() -> Path:
    import platformdirs

    return Path(platformdirs.user_state_dir("vcam-avatar", appauthor=False))
