"""What is known of an avatar's face before it speaks: computed once per avatar and output size."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vcam_avatar.media import FACE_ACTIONS, ByteArray, Expression, FloatArray
from vcam_avatar.stages.face_drawn import DrawnMouth
from vcam_avatar.stages.face_eyes import Eye
from vcam_avatar.stages.face_mouth import MouthInterior

CLOSED_GAP = 0.07
"""Lip gap over mouth width below which a picture's mouth counts as closed."""
_WIDE_GAP = 0.15
"""Lip gap over mouth width for which all of ``_SHUT`` is needed."""

_JAW = FACE_ACTIONS.index("jawOpen")
_PRESS = FACE_ACTIONS.index("mouthPressLeft")


def _shut() -> Expression:
    """A pressed mouth and a jaw pulled up: less than shut, because the picture's own is open."""
    actions = np.zeros(len(FACE_ACTIONS), np.float32)
    for name, amount in (("mouthPress", 0.25), ("mouthRoll", 0.22)):
        actions[[n for n, action in enumerate(FACE_ACTIONS) if action.startswith(name)]] = amount
    actions[_JAW] = -0.14
    return actions


_SHUT = _shut()


def lip_gap(landmarks: FloatArray) -> float:
    """Opening of the lips over the width of the mouth, from 68 landmarks."""
    gap = np.linalg.norm(landmarks[[61, 62, 63]] - landmarks[[67, 66, 65]], axis=1).mean()
    width = float(np.linalg.norm(landmarks[64] - landmarks[60]))
    return float(gap) / max(width, 1e-6)


def closing_actions(landmarks: FloatArray) -> Expression:
    """What shuts a picture's own mouth, float32 ``(52,)``: 0 for one that is shut.

    Args:
        landmarks: float ``(68, 2)``.
    """
    gap = lip_gap(landmarks)
    if gap <= CLOSED_GAP:
        return np.zeros(len(FACE_ACTIONS), np.float32)
    return np.asarray(_SHUT * min(1.0, gap / _WIDE_GAP), np.float32)


def shut_when_idle(wanted: Expression, closing: Expression, opening: list[int]) -> Expression:
    """``wanted`` with the picture's open mouth shut while it has nothing to say.

    Args:
        wanted: float32 ``(52,)``.
        closing: ``closing_actions``.
        opening: actions that open the mouth.
    """
    busy = 2 * float(wanted[_JAW]) + float(wanted[opening].sum())
    closing = closing * max(0.0, 1 - busy / 0.5)
    pressed = min(1.0, 3 * float(wanted[_PRESS]))  # p b m press enough by themselves
    jaw = float(wanted[_JAW] + closing[_JAW] * (1 - 0.6 * pressed))
    result = np.maximum(wanted, closing)
    result[_JAW] = jaw
    return np.asarray(result, np.float32)


@dataclass(frozen=True, slots=True)
class PreparedFace:
    """What is computed once per avatar and output size."""

    source_bgr: ByteArray
    """uint8 ``(S, S, 3)``: the picture's unit face crop at the patch's resolution, without bared teeth."""
    window: FloatArray
    """float32 ``(80, 80)``: where the patch may show: not at the crop's border, not beside the person."""
    code: dict[str, NDArray[np.float32]]
    """The identity code, as the decoder's inputs."""
    rest: Expression
    """What the picture itself shows of the actions that stay (its smile)."""
    rest_whole: FloatArray
    """float32 ``(80, 80, 6)``: the decoder's answer for ``rest``, taken off every answer."""
    rest_mouth: FloatArray
    """float32 ``(80, 80, 7)``: the same for the mouth's window."""
    around: FloatArray
    """float32 ``(80, 80)``: the same, 0 on all of the lips."""
    hues: FloatArray
    """float32 ``(2, 3)``: least and greatest share of B, G, R in the brightness of skin and lips."""
    eyes: list[Eye]
    """Lids and irises."""
    skin: FloatArray
    """float32 ``(80, 80)`` over the mouth's window: 1 away from the picture's lips, 0 on them."""
    interior: MouthInterior
    """Teeth and tongue."""
    closing: Expression
    """What shuts the picture's own mouth when nothing is said, 0 for one that is shut."""
    open_mouth: bool
    """The picture's mouth is open: at rest the face is drawn with it closed."""
    mouth_gain: float
    smile: float
    mouth_shown: bool
    """False where the networks draw no mouth: the avatar has none, or ``drawn`` is its mouth."""
    drawn: DrawnMouth | None = None
    """The mouth of a flat drawing."""

    @property
    def side_px(self) -> int:
        """Side of the patch."""
        return len(self.source_bgr)
