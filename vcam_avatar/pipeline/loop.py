"""The method's loop: sound of a unit in, frame of that unit out, the next body made meanwhile."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np

from vcam_avatar.media import (
    FACE_ACTIONS,
    Body,
    ByteArray,
    Expression,
    FacePatch,
    FloatArray,
    Frame,
    UnitFeatures,
)
from vcam_avatar.pipeline.fade import CrossFade
from vcam_avatar.pipeline.timings import StageTimings
from vcam_avatar.pipeline.units import UnitSound
from vcam_avatar.ports import BodyGenerator, FaceGenerator, PosePredictor
from vcam_avatar.stages.features import FeatureStage

logger = logging.getLogger(__name__)

_WARN_EVERY_S = 10.0
STILL_POSE = 0.0015
"""A pose this near the one last drawn (shoulder widths; 0.4 pixels at 720p) is not drawn again."""
STILL_MOUTH, STILL_EYES = 0.004, 0.015
"""Actions of mouth and jaw, and of eyes and brows, that are this near to those last drawn (of a full action)
are not drawn again: a tenth to a fifth of a pixel at 720p."""
_STILL_FACE = np.array(
    [STILL_EYES if name.startswith(("brow", "eye")) else STILL_MOUTH for name in FACE_ACTIONS], np.float32
)


class Composing(Protocol):
    """What the loop needs of the compositor."""

    def compose(self, body: Body, patch: FacePatch) -> ByteArray:
        """Flatten the face onto the body: a new image, uint8 ``(H, W, 3)`` BGR."""
        ...


@dataclass(frozen=True, slots=True)
class Stages:
    """One of each; all belong to one loop."""

    features: FeatureStage
    pose: PosePredictor
    body: BodyGenerator
    face: FaceGenerator
    compositor: Composing


@dataclass(frozen=True, slots=True)
class PreparedAvatar:
    """An avatar ready to be drawn at one size."""

    name: str
    start_pose: FloatArray
    """float32 ``(K, 3)`` normalised: the pose of its picture."""
    body: Any
    """What ``BodyGenerator.prepare`` gave."""
    face: Any
    """What ``FaceGenerator.prepare`` gave."""
    mirror: bool = False
    """Flip finished frames left to right."""


class FrameLoop:
    """Runs steps S10 to S15 of the method.

    The pose of unit n+1 follows from the sound up to unit n, so a worker thread makes body n+1 while
    the sound of unit n+1 arrives. After a unit's last sample only features, face, paste and send remain.

    ``switch``, ``mute`` and ``idle`` may be called from any thread and hold from the next unit on.

    Attributes:
        stages: for preparing further avatars.
        timings: milliseconds per stage; ``latency`` is last sample to frame.
        held: frames repeated because a stage failed (only when ``hold_faults``).
        listeners: told of the samples of every unit, after muting, on the frame thread.
    """

    def __init__(
        self,
        stages: Stages,
        avatar: PreparedAvatar,
        seed: int = 0,
        *,
        hold_faults: bool = False,
        timings: StageTimings | None = None,
        fade_units: int = 0,
    ) -> None:
        """Keep the parts; nothing runs before ``frames``.

        Args:
            stages: must not be shared with another loop.
            avatar: shown first.
            seed: decides everything that is random.
            hold_faults: repeat the last good frame when a stage fails, instead of raising.
            timings: where to put the measurements.
            fade_units: frames of cross-fade when the avatar changes; 0 for a cut.
        """
        self.stages = stages
        self._avatar = avatar
        self._seed = seed
        self._hold_faults = hold_faults
        self._fade_units = fade_units
        self._plan_lock = threading.Lock()
        self._plan: tuple[PreparedAvatar, Future[Body | None]] | None = None
        self._redrawn: Future[Body | None] | None = None
        self._worker: ThreadPoolExecutor | None = None
        self._muted = False
        self._idle = False
        self.timings = timings or StageTimings()
        self.held = 0
        self.listeners: list[Callable[[FloatArray], None]] = []
        self._warned_at = -_WARN_EVERY_S
        self._reset()

    def _reset(self) -> None:
        """Back to the start, nothing heard and nothing drawn."""
        self.stages.features.reset()
        self.stages.face.reset(self._seed)
        self._pose = self._avatar.start_pose
        self.stages.pose.reset(self._pose, self._seed)
        self._image: ByteArray | None = None
        self._pasted: tuple[Body, FacePatch, ByteArray] | None = None
        self._drawn_body: tuple[Any, FloatArray, Body] | None = None
        self._drawn_face: tuple[Any, Expression, FacePatch] | None = None
        self._last_skipped = -1
        self._fade = CrossFade(self._fade_units)

    @property
    def avatar(self) -> PreparedAvatar:
        """The avatar shown, or about to be."""
        return self._avatar

    def switch(self, avatar: PreparedAvatar) -> None:
        """Show ``avatar`` from the next frame on; motion and speech go on without a break.

        The body already made for that frame is made anew at once, while its sound is still arriving.
        """
        with self._plan_lock:
            self._avatar = avatar
            if self._plan is not None and self._worker is not None:
                if self._redrawn is not None:
                    self._redrawn.cancel()  # of many switches in one unit only the last is drawn
                self._redrawn = self._worker.submit(self._body, avatar)
                self._plan = (avatar, self._redrawn)

    def mute(self, muted: bool) -> None:
        """Shut the mouth and hear nothing, or listen again."""
        self._muted = muted

    def idle(self, idle: bool) -> None:
        """Hear nothing, so that the avatar rests, or listen again."""
        self._idle = idle

    def frames(self, units: Iterable[UnitSound]) -> Iterator[Frame]:
        """Run from a fresh start; give one frame per unit that is not skipped.

        Frames cannot be written to: a frame that is held, or shows nothing new, is the same array again.

        Raises:
            AvatarError: a stage failed, unless ``hold_faults``.
        """
        self._reset()
        with ThreadPoolExecutor(1, thread_name_prefix="body") as worker, self._planning(worker):
            for index, sound in enumerate(units):
                started = time.perf_counter()
                if sound.skip:
                    self._last_skipped = index
                unit = self._hear(sound.samples)
                with self._plan_lock:
                    assert self._plan is not None
                    (avatar, body), self._plan = self._plan, None
                image = self._draw(unit, avatar, body, sound.skip)
                with self._plan_lock:
                    avatar = self._avatar
                    self._plan = (avatar, worker.submit(self._next_body, unit, avatar))
                if image is not None:
                    self.timings.add("latency", (time.perf_counter() - started) * 1e3)
                    yield Frame(index, image)

    @contextmanager
    def _planning(self, worker: ThreadPoolExecutor) -> Iterator[None]:
        """While inside, ``_plan`` is the avatar of the next frame and its body in the making, None while
        that frame is drawn."""
        with self._plan_lock:
            self._worker = worker
            self._plan = (self._avatar, worker.submit(self._body, self._avatar))
        try:
            yield
        finally:
            with self._plan_lock:
                self._worker = self._plan = None

    def _hear(self, samples: FloatArray) -> UnitFeatures:
        if self._muted or self._idle:
            samples = np.zeros_like(samples)
        for listener in self.listeners:
            listener(samples)
        with self.timings.measure("features"):
            return self.stages.features.push(samples)

    def _draw(
        self, unit: UnitFeatures, avatar: PreparedAvatar, body: "Future[Body | None]", skip: bool
    ) -> ByteArray | None:
        """The frame's image; None when there is none to show."""
        stages, timings = self.stages, self.timings
        try:
            with timings.measure("listen"):
                expression = stages.face.listen(unit, muted=self._muted)
            if skip:
                return None
            with timings.measure("face"):
                patch = self._face(avatar, expression)
            with timings.measure("wait for body"):
                finished = body.result()
            assert finished is not None  # only bodies of skipped units are left out
            with timings.measure("paste"):
                image = self._fade.show(avatar, self._paste(avatar, finished, patch))
        except Exception:
            if not self._hold_faults:
                raise
            self._warn("a stage failed; the last frame stays")
            self.held += 1
            return self._image
        image.setflags(write=False)
        self._image = image
        return image

    def _next_body(self, unit: UnitFeatures, avatar: PreparedAvatar) -> Body | None:
        """S14: all sound and poses so far give the next pose; S11 again."""
        try:
            with self.timings.measure("pose"):
                self._pose = self.stages.pose.predict(unit)
        except Exception:
            if not self._hold_faults:
                raise
            self._warn("the pose predictor failed; the last pose stays")
        # The frame thread has decided meanwhile not to draw the next unit: catch up.
        return None if unit.index + 1 <= self._last_skipped else self._body(avatar)

    def _body(self, avatar: PreparedAvatar) -> Body:
        with self.timings.measure("body"):
            pose, drawn = self._pose, self._drawn_body
            if drawn is not None and drawn[0] is avatar.body and _near(pose[:, :2], drawn[1], STILL_POSE):
                return drawn[2]
            body = self.stages.body.generate(avatar.body, pose)
            self._drawn_body = (avatar.body, pose[:, :2].copy(), body)
            return body

    def _face(self, avatar: PreparedAvatar, expression: Expression) -> FacePatch:
        drawn = self._drawn_face
        if drawn is not None and drawn[0] is avatar.face and _near(expression, drawn[1], _STILL_FACE):
            return drawn[2]
        patch = self.stages.face.draw(avatar.face, expression)
        self._drawn_face = (avatar.face, expression.copy(), patch)
        return patch

    def _paste(self, avatar: PreparedAvatar, body: Body, patch: FacePatch) -> ByteArray:
        pasted = self._pasted
        if pasted is not None and pasted[0] is body and pasted[1] is patch:
            return pasted[2]
        image = self.stages.compositor.compose(body, patch)
        if avatar.mirror:
            image = np.asarray(cv2.flip(image, 1), np.uint8)
        self._pasted = (body, patch, image)
        return image

    def _warn(self, message: str) -> None:
        now = time.monotonic()
        if now - self._warned_at >= _WARN_EVERY_S:
            self._warned_at = now
            logger.warning(message, exc_info=True)


def _near(values: FloatArray, others: FloatArray, tolerance: "float | FloatArray") -> bool:
    return bool((np.abs(values - others) < tolerance).all())
