"""The running service: sound in, frames out, commands from everywhere, never a frozen picture."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from vcam_avatar.config import changed
from vcam_avatar.control.commands import Answer
from vcam_avatar.control.dispatcher import Dispatcher
from vcam_avatar.control.server import ControlServer
from vcam_avatar.daemon.feed import CameraFeed
from vcam_avatar.daemon.figures import Figures
from vcam_avatar.daemon.health import Health
from vcam_avatar.daemon.obs_side import ObsSide, tell_names
from vcam_avatar.daemon.parts import Parts
from vcam_avatar.daemon.report import metrics_line, status_text
from vcam_avatar.daemon.signals import Signals
from vcam_avatar.daemon.sound import NoiseGate, SoundKeeper
from vcam_avatar.errors import AvatarError, ConfigError, ControlError
from vcam_avatar.pipeline.loop import PreparedAvatar

log = logging.getLogger(__name__)

METRICS_EVERY_S = 10.0
WATCH_EVERY_S = 1.0
LIVE_KEYS = ("microphone.noise_gate_db", "obs.sync_offset")
"""Settings the service itself can change while it runs."""


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
        self.figures = Figures(parts, self.sound, self.feed)
        self.obs: ObsSide | None = None
        if parts.config.obs.follow:
            self.obs = ObsSide(
                parts.config.obs, self.dispatcher, self.health,
                offset_ms=self._offset_ms,
                camera_device=lambda: self.figures.camera_device,
                camera_is_shared=lambda: getattr(parts.camera, "shared_with_obs", False),
            )  # fmt: skip
        self._wanted = parts.loop.avatar.name
        self._end = threading.Event()
        self._failure: BaseException | None = None
        self._frame_thread = threading.Thread(target=self._run_frames, name="frames", daemon=True)

    # ------------------------------------------------------------------ life

    def run(self, duration_s: float | None = None) -> int:
        """Run until stopped by a command, a signal, the end of the source, or ``duration_s``.

        Call from the main thread to have signals handled.

        Returns:
            0, or the exit status of the error that ended it.
        """
        with Signals() as signals:
            self.start()
            try:
                self._attend(duration_s, signals)
            finally:
                self.close()
        if isinstance(self._failure, AvatarError):
            raise self._failure
        return 0 if self._failure is None else 1

    def _attend(self, duration_s: float | None, signals: Signals) -> None:
        """What is done from time to time, until the end."""
        deadline = None if duration_s is None else time.monotonic() + duration_s
        metrics_at = time.monotonic() + METRICS_EVERY_S
        watch_at = time.monotonic() + WATCH_EVERY_S
        while not self._end.wait(0.1) and not signals.stop:
            now = time.monotonic()
            if deadline is not None and now >= deadline:
                break
            if signals.reload:
                signals.reload = False
                self._reload_on_signal()
            if now >= watch_at:
                watch_at = now + WATCH_EVERY_S
                self.look_for_edits()
            if now >= metrics_at:
                metrics_at += METRICS_EVERY_S
                self._log_metrics()

    def start(self) -> None:
        """Start every thread."""
        if self.feed is not None:
            self.feed.start()
        self._frame_thread.start()
        self.sound.start()
        if self._server is not None:
            self._server.serve(self.dispatcher)
        if self.obs is not None:
            self.obs.start()
        tell_names(self.avatars())
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
        if self.obs is not None:
            ends.append(self.obs.stop)
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
        tell_names(self.avatars())
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
        tell_names(self.avatars())
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

    def report(self) -> dict[str, Any]:
        """The state as JSON values."""
        return {
            "state": str(self.health.state),
            "troubles": self.health.troubles,
            "wanted": self._wanted,
            "obs": None if self.obs is None else self.obs.link.state.text,
            **self.figures.report(self._config),
        }

    def _log_metrics(self) -> None:
        self.figures.measure_load()
        log.info("%s", metrics_line(self.report()))

    # ------------------------------------------------------------------ threads

    def _run_frames(self) -> None:
        try:
            for frame in self._parts.loop.frames(self._parts.units):
                for sink in self._parts.sinks:
                    sink.send(frame)
                if self.feed is not None:
                    self.feed.push(frame)
                self.figures.frame_made()
                if self.figures.frames == 1:
                    self.health.started()
                    log.info("first frame after %.2f s", self.figures.uptime_s)
        except AvatarError as exc:
            self._failure = exc  # told by whoever called ``run``
            log.info("the frames have ended: %s", exc)
        except BaseException as exc:
            self._failure = exc
            log.exception("the frames have ended")
        finally:
            self._end.set()

    def _camera_opened(self) -> None:
        if self.obs is not None:
            self.obs.camera_opened()

    def _offset_ms(self) -> float | None:
        latency = self.figures.latency() if self._config.obs.sync_offset else None
        return None if latency is None else latency.p50_ms

    def _reload_on_signal(self) -> None:
        try:
            self.reload()
        except ControlError as exc:
            log.warning("%s", exc)
