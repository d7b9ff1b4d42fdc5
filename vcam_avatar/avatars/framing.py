"""Where an avatar's picture lies in the video frame."""

import numpy as np
from numpy.typing import NDArray

from vcam_avatar.avatars.keypoints import Keypoints
from vcam_avatar.avatars.settings import AvatarSettings
from vcam_avatar.media import FloatArray, Size

_Pair = NDArray[np.float64]

_HEADROOM = 0.07
"""Of the frame's height, above the head."""
_HEAD_ABOVE_EYES = 2.2
"""Eyes to the top of the hair, in eye-mouth distances."""
_SHOWN_BELOW_NECK = {"head": 0.25, "bust": 0.8, "half_body": 1.6}
"""What of the person is shown below the neck point, in shoulder widths."""
_SHOWN_ACROSS = {"head": 1.5, "bust": 2.0, "half_body": 2.4}
"""Least of the person's width that is shown, in shoulder widths: upright frames show more below."""


def view_matrix(
    keypoints: Keypoints,
    settings: AvatarSettings,
    size: Size,
    cut_below: bool,
    head_top_px: float | None = None,
    own_background: bool = False,
) -> FloatArray:
    """Map picture pixels to frame pixels: uniform scale and shift.

    Mirroring is not in it: finished frames are flipped. The lower edge of the picture never shows
    when the person is cut off there.

    Args:
        keypoints: of the avatar.
        settings: framing, scale, position and mirror count.
        size: of the frame.
        cut_below: the person touches the picture's lower edge.
        head_top_px: upper edge of hair or hat in the picture; by default guessed from the face.
        own_background: what is behind the person in the picture is shown too.

    Returns:
        float32 ``(2, 3)``.
    """
    frame = np.array([size.width_px, size.height_px], np.float64)
    picture = np.array([keypoints.size.width_px, keypoints.size.height_px], np.float64)
    if settings.framing == "whole":
        scale = float((frame / picture).min())
        shift = (frame - scale * picture) / 2
        if cut_below:
            shift[1] = frame[1] - scale * picture[1]
    else:
        scale, shift = _framed(
            keypoints, settings.framing, frame, picture, cut_below, head_top_px, own_background
        )
    # The user's own scale and position come last.
    # Larger: the head stays in view. Smaller: a cut edge stays at the frame's.
    height = _HEADROOM if settings.scale > 1 else 1.0 if cut_below else 0.5
    anchor = np.array([frame[0] / 2, height * frame[1]])
    shift = anchor + (shift - anchor) * settings.scale
    scale *= settings.scale
    sign = -1.0 if settings.mirror else 1.0
    shift += np.array([sign * settings.position[0], settings.position[1]]) * frame[1]
    return np.array([[scale, 0, shift[0]], [0, scale, shift[1]]], np.float32)


def _framed(
    keypoints: Keypoints,
    framing: str,
    frame: _Pair,
    picture: _Pair,
    cut_below: bool,
    head_top_px: float | None,
    own_background: bool,
) -> tuple[float, _Pair]:
    points, face = keypoints.points_px[:, :2].astype(float), keypoints.face_px.astype(float)
    eyes, mouth = face[36:48].mean(0), face[48:60].mean(0)
    top = head_top_px
    if top is None:
        above = float(eyes[1]) - _HEAD_ABOVE_EYES * float(np.hypot(*(mouth - eyes)))
        top = min(above, float(face[:, 1].min()))
    neck = points[1]
    width = float(np.hypot(*(points[2] - points[5])))
    bottom = max(float(neck[1]) + _SHOWN_BELOW_NECK[framing] * width, float(face[:, 1].max()))
    # Below its lower edge a photo shows nothing, whether the person was told from it or not.
    cut_below = cut_below or own_background
    if cut_below:
        bottom = min(bottom, float(picture[1]))
    scale = float(frame[1]) * (1 - _HEADROOM) / max(bottom - top, 1.0)
    scale = min(scale, float(frame[0]) / (_SHOWN_ACROSS[framing] * width))
    if top < 3 and cut_below:
        # Cut off above and below: the picture fills the frame, with something to spare for nods.
        scale = max(scale, 1.06 * float(frame[1] / picture[1]))
    shift = np.array([frame[0] / 2 - scale * neck[0], frame[1] * _HEADROOM - scale * top])
    spare = scale * picture - frame
    if own_background and spare[0] >= 0:
        # The picture's own background rather than an invented one where the picture is wide enough.
        shift[0] = np.clip(shift[0], -spare[0], 0)
    if top < 3 and spare[1] >= 0:
        # Hair that the picture cuts off must not end below the frame's edge.
        shift[1] = min(shift[1], 0.0)
    if cut_below:
        shift[1] = max(shift[1], -spare[1])
    return scale, shift
