"""What the parts of the pipeline expect of each other."""

from collections.abc import Iterator
from typing import Any, Protocol

from vcam_avatar.media import Body, Expression, FacePatch, FloatArray, Frame, Size, UnitFeatures


class AudioSource(Protocol):
    """Where sound comes from."""

    def blocks(self) -> Iterator[FloatArray]:
        """Yield float32 ``(n,)`` mono 16 kHz blocks, n >= 1, until the sound ends.

        Raises:
            DeviceError: the device failed and cannot be had again.
            MediaError: the file cannot be read.
        """
        ...

    def close(self) -> None:
        """Free the device; may be called twice and from another thread."""
        ...


class FrameSink(Protocol):
    """Where frames go."""

    def open(self, size: Size, fps: float) -> None:
        """Get ready for frames of exactly ``size``.

        Raises:
            DeviceError: the device cannot be had.
        """
        ...

    def send(self, frame: Frame) -> None:
        """Deliver one frame. The image may be reused by the caller afterwards."""
        ...

    def close(self) -> None:
        """Finish; may be called twice."""
        ...


class PosePredictor(Protocol):
    """Sound and poses so far -> the next pose (first half of the method)."""

    def reset(self, start_pose: FloatArray, seed: int) -> None:
        """Begin anew at ``start_pose``, float32 ``(K, 3)`` normalised."""
        ...

    def predict(self, unit: UnitFeatures) -> FloatArray:
        """Hear one more unit; return the pose of the next unit, float32 ``(K, 3)`` normalised:
        origin neck, unit shoulder width, y down, third column confidence."""
        ...


class BodyGenerator(Protocol):
    """Pose + avatar picture -> the avatar in that pose (first generator)."""

    def prepare(self, avatar: Any, size: Size) -> Any:
        """Everything that can be computed once per avatar and output size."""
        ...

    def generate(self, prepared: Any, pose: FloatArray) -> Body:
        """Draw the avatar in ``pose``, float32 ``(K, 3)`` normalised."""
        ...


class FaceGenerator(Protocol):
    """Sound of a unit + avatar face picture -> the speaking face (second generator)."""

    def reset(self, seed: int) -> None:
        """Forget what was heard."""
        ...

    def prepare(self, avatar: Any, size: Size) -> Any:
        """Identity code and pictures, once per avatar and output size."""
        ...

    def listen(self, unit: UnitFeatures, muted: bool = False) -> Expression:
        """Hear one more unit; return the face at its middle. ``muted`` closes the mouth."""
        ...

    def draw(self, prepared: Any, expression: Expression) -> FacePatch:
        """Draw the face with ``expression``."""
        ...
