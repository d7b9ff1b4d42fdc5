"""Stand-ins for the stages: quick, deterministic, and different for every pose, sound and avatar."""

import threading
import time
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from vcam_avatar.media import Body, Expression, FacePatch, FloatArray, Size, UnitFeatures
from vcam_avatar.pipeline.loop import PreparedAvatar, Stages
from vcam_avatar.stages.features import FeatureStage

SIZE = Size(64, 48)


@dataclass
class Log:
    """What the stages did, in order, with the thread that did it."""

    events: list[tuple[str, int, str]] = field(default_factory=list)

    def add(self, name: str, unit: int) -> None:
        """Remember one event."""
        self.events.append((name, unit, threading.current_thread().name))

    def index(self, name: str, unit: int) -> int:
        """Position of an event."""
        return next(i for i, event in enumerate(self.events) if event[:2] == (name, unit))


class DoublePose:
    """Random walk pushed by loudness; remembers everything since the start."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self.fails_at: set[int] = set()

    def reset(self, start_pose: FloatArray, seed: int) -> None:
        self._pose = start_pose.copy()
        self._rng = np.random.default_rng(seed)

    def predict(self, unit: UnitFeatures) -> FloatArray:
        self._log.add("pose", unit.index + 1)
        if unit.index in self.fails_at:
            raise RuntimeError("pose failed")
        step = 0.1 if unit.level_db > -60 else 0.01
        self._pose = self._pose + step * self._rng.normal(size=self._pose.shape).astype(np.float32)
        return self._pose


class DoubleBody:
    """Fills the picture with a colour made from the avatar and the pose."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._unit = 0
        self.delay_s = 0.0
        self.fails_at: set[int] = set()

    def prepare(self, avatar: Any, size: Size) -> tuple[int, Size]:
        return int(avatar), size

    def generate(self, prepared: Any, pose: FloatArray) -> Body:
        avatar, size = prepared
        time.sleep(self.delay_s)
        unit, self._unit = self._unit, self._unit + 1
        self._log.add("body", unit)
        if unit in self.fails_at:
            raise RuntimeError("body failed")
        colour = [avatar, int(abs(pose[0, 0]) * 1000) % 256, int(abs(pose[0, 1]) * 1000) % 256]
        image = np.full((size.height_px, size.width_px, 3), colour, np.uint8)
        grid = np.stack(np.meshgrid(np.linspace(20, 40, 2), np.linspace(10, 30, 2)), -1)
        return Body(image, grid.astype(np.float32), None)


class DoubleFace:
    """The mouth's colour tells how loud the unit is, differently for any two levels."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self.heard_db: list[float] = []
        self.fails_at: set[int] = set()

    def reset(self, seed: int) -> None:
        self.heard_db = []

    def prepare(self, avatar: Any, size: Size) -> int:
        return int(avatar)

    def listen(self, unit: UnitFeatures, muted: bool = False) -> Expression:
        self._log.add("listen", unit.index)
        self.heard_db.append(unit.level_db)
        expression = np.zeros(52, np.float32)
        expression[24] = 0.0 if muted else (unit.level_db * 7.3) % 1
        return expression

    def draw(self, prepared: Any, expression: Expression) -> FacePatch:
        unit = len(self.heard_db) - 1
        self._log.add("face", unit)
        if unit in self.fails_at:
            raise RuntimeError("face failed")
        patch = np.full((16, 16, 4), 255, np.uint8)
        patch[..., :3] = [prepared, int(expression[24] * 255), 0]
        return FacePatch(patch)


class DoubleCompositor:
    """Pastes the patch where the grid begins."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def compose(self, body: Body, patch: FacePatch) -> Any:
        self._log.add("paste", -1)
        image = body.image_bgr.copy()
        image[10:26, 20:36] = patch.image_bgra[..., :3]
        return image


def make_stages(fps: Fraction, log: Log | None = None) -> Stages:
    """A fresh set of stand-ins."""
    log = log or Log()
    return Stages(FeatureStage(fps), DoublePose(log), DoubleBody(log), DoubleFace(log), DoubleCompositor(log))


def make_avatar(number: int = 1, size: Size = SIZE, mirror: bool = False) -> PreparedAvatar:
    """An avatar that the stand-ins can draw; ``number`` is its colour."""
    pose = np.zeros((57, 3), np.float32)
    return PreparedAvatar(f"avatar{number}", pose, (number, size), number, mirror)


class ManualClock:
    """Time that moves only when somebody waits; ``events`` run when their moment comes."""

    def __init__(self) -> None:
        self.time = 0.0
        self.events: list[tuple[float, Any]] = []

    def at(self, moment_s: float, action: Any) -> None:
        """Call ``action()`` when time reaches ``moment_s``."""
        self.events.append((moment_s, action))
        self.events.sort(key=lambda event: event[0])

    def advance_to(self, moment_s: float) -> None:
        """Move on, running what is due on the way."""
        while self.events and self.events[0][0] <= moment_s:
            due, action = self.events.pop(0)
            self.time = max(self.time, due)
            action()
        self.time = max(self.time, moment_s)

    def now(self) -> float:
        return self.time

    def wait(self, condition: threading.Condition, timeout_s: float) -> None:
        limit = self.time + timeout_s
        if self.events and self.events[0][0] <= limit:
            self.advance_to(self.events[0][0])
        else:
            self.advance_to(limit)

    def sleep_until(self, moment_s: float) -> None:
        self.advance_to(moment_s)
