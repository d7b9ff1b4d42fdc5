"""The service's side towards OBS: the link, what follows OBS, and what OBS is told."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from vcam_avatar.config import ObsConfig
from vcam_avatar.control.dispatcher import Dispatcher
from vcam_avatar.control.obs.files import find_address
from vcam_avatar.control.obs.follow import Follower, Rules
from vcam_avatar.control.obs.install import put_names
from vcam_avatar.control.obs.link import ObsLink
from vcam_avatar.daemon.health import Health
from vcam_avatar.errors import ControlError

log = logging.getLogger(__name__)

_OWN_CAMERA = "OBS's own camera"


class ObsSide:
    """Connects to OBS, whenever it runs, and stays connected."""

    def __init__(
        self,
        config: ObsConfig,
        dispatcher: Dispatcher,
        health: Health,
        *,
        offset_ms: Callable[[], float | None],
        camera_device: Callable[[], str | None],
        camera_is_shared: Callable[[], bool],
    ) -> None:
        """Nothing is connected yet.

        Args:
            offset_ms: the microphone's sync offset in OBS; None to leave it alone.
            camera_device: the device our frames go to, once they do.
            camera_is_shared: whether OBS's own virtual camera would write into that device as well.
        """
        self._health = health
        self._camera_is_shared = camera_is_shared
        self._follower = Follower(
            dispatcher,
            Rules(config.microphone, dict(config.scenes)),
            offset_ms=offset_ms,
            camera=camera_device,
            own_camera=self.own_camera,
            memory=_state_folder() / "obs-sync-offsets.json",
        )
        self.link = ObsLink(
            self._follower, lambda: find_address(config.host or "127.0.0.1", config.port or None)
        )

    def start(self) -> None:
        """Begin to look for OBS."""
        self.link.start()

    def stop(self) -> None:
        """Put back what was changed in OBS, and disconnect."""
        self.link.stop()

    def camera_opened(self) -> None:
        """The camera has its first frames: wake sources that OBS opened before."""
        self._follower.camera_opened()

    def own_camera(self, active: bool) -> None:
        """OBS's own virtual camera is on or off. It takes the lowest loopback device, even while we send
        to it."""
        if active and self._camera_is_shared():
            self._health.trouble(
                _OWN_CAMERA,
                "it sends into our device as well: stop it in OBS, and run  vcam-avatar camera install",
            )
        else:
            self._health.well(_OWN_CAMERA)


def tell_names(names: Sequence[str]) -> None:
    """The avatars' names for the hotkeys in OBS; a folder that cannot be written is only logged."""
    try:
        put_names(names)
    except ControlError as exc:
        log.warning("obs: %s", exc)


def _state_folder() -> Path:
    import platformdirs

    return Path(platformdirs.user_state_dir("vcam-avatar", appauthor=False))
