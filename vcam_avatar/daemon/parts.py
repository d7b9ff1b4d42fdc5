"""What a service is made of."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vcam_avatar.config import Config
from vcam_avatar.daemon.shelf import Shelf
from vcam_avatar.pipeline.live import LiveUnits
from vcam_avatar.pipeline.loop import FrameLoop, PreparedAvatar
from vcam_avatar.ports import AudioSource, FrameSink


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
    extra_status: Callable[[], Mapping[str, Any]] = field(default=dict)
