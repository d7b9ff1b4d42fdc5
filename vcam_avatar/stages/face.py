"""The second generator: the sound of a unit + the avatar's face picture -> the speaking face."""

from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from vcam_avatar.avatars.format import Avatar
from vcam_avatar.inference.provider import Device
from vcam_avatar.inference.session import load_network
from vcam_avatar.media import (
    FACE_ACTIONS,
    ByteArray,
    Expression,
    FacePatch,
    FloatArray,
    Size,
    UnitFeatures,
    face_crop_matrix,
)
from vcam_avatar.stages.face_drawn import FOUND_AT_PX, find_drawn_mouth
from vcam_avatar.stages.face_eyes import EYE_ACTIONS, draw_eyes, make_eyes
from vcam_avatar.stages.face_maps import own_ink, settle, steady_skin
from vcam_avatar.stages.face_mouth import make_interior, without_teeth
from vcam_avatar.stages.face_picture import (
    CROP_PX,
    MAP_PX,
    MOUTH_WINDOW,
    away_from_lips,
    away_from_mouth,
    crop_feather,
    cut_crop,
    landmark_maps,
    own_hues,
    paint_patch,
    seen_where_moved,
    to_unit_crop,
    window_weight,
)
from vcam_avatar.stages.face_prepared import (
    CLOSED_GAP,
    PreparedFace,
    closing_actions,
    lip_gap,
    shut_when_idle,
)

MIN_PATCH_PX, MAX_PATCH_PX = 96, 384
"""Sides of a face patch: finer than the frame shows is wasted, coarser would blur."""
LIP_EDGE = 1.5
"""How much steeper than the networks' the inner edge of the lips is drawn: they are as sharp as lips."""
_PAINT_DOUBT = 2.5
"""Taken off the logit of paint on skin."""
_EYES_ABOVE = 0.42
"""Eyes and brows lie above this height of the unit crop, the moving mouth below."""

_KEPT = [FACE_ACTIONS.index(name) for name in ("mouthSmileLeft", "mouthSmileRight")]
_SMILE = _KEPT
_MOUTH = [
    n for n, name in enumerate(FACE_ACTIONS) if name.startswith(("mouth", "jaw", "tongue", "cheekPuff"))
]
_OPENING = [
    FACE_ACTIONS.index(name)
    for name in (
        "jawOpen", "mouthFunnel", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPucker",
        "mouthStretchLeft", "mouthStretchRight", "mouthUpperUpLeft", "mouthUpperUpRight", "tongueOut",
    )
]  # fmt: skip


class Listener(Protocol):
    """Sound -> expression; knows nothing of avatars."""

    def reset(self, seed: int) -> None:
        """Forget what was heard."""
        ...

    def listen(self, unit: UnitFeatures, muted: bool = False) -> Expression:
        """Hear one more unit; return the face at its middle."""
        ...


class NeuralFaceGenerator:
    """Draws an avatar's face with any expression from its one picture.

    The networks say where each place of the new face lies in the picture and what has to be painted:
    the inside of the mouth, lids. The patch is transparent where nothing moves, and a face at rest whose
    picture has a closed mouth is transparent everywhere: idle looks exactly like the picture.
    """

    def __init__(self, listener: Listener, device: Device = "cpu", threads: int = 1) -> None:
        """Load the networks; ``threads`` work inside each.

        Raises:
            ModelError: missing or damaged.
        """
        self._listener = listener
        self._encoder = load_network("face_encoder", device=device, threads=threads)
        self._decoder = load_network("face_decoder", device=device, threads=threads)
        self._feather = crop_feather(MAP_PX)
        self._window_weight = window_weight()
        self._window = np.array(MOUTH_WINDOW, np.float64)
        self._doubt = np.full((MAP_PX, MAP_PX), _PAINT_DOUBT, np.float32)

    def reset(self, seed: int) -> None:
        """Forget what was heard."""
        self._listener.reset(seed)

    def listen(self, unit: UnitFeatures, muted: bool = False) -> Expression:
        """Hear one more unit; return the face at its middle. ``muted`` closes the mouth."""
        return self._listener.listen(unit, muted)

    def prepare(self, avatar: Avatar, size: Size) -> PreparedFace:
        """Cut out the face as large as frames of ``size`` show it, and work out the identity code."""
        matrix = face_crop_matrix(avatar.face_px)
        shown_px = float(np.hypot(matrix[0, 0], matrix[1, 0])) * float(avatar.view(size)[0, 0])
        gains = avatar.settings.gains
        inside = cut_crop(avatar.person_alpha, matrix, MAP_PX)
        if avatar.has_background:
            # The mask of a photo is a guess: better a little background than a chin cut off.
            inside = np.asarray(cv2.dilate(inside, np.ones((5, 5), np.uint8)), np.uint8)
        return self.prepare_picture(
            avatar.picture_bgr,
            avatar.face_px,
            round(shown_px),
            mouth_gain=gains.mouth,
            smile=gains.smile,
            inside=inside,
        )

    def prepare_picture(
        self,
        picture_bgr: ByteArray,
        face_px: FloatArray,
        side_px: int,
        *,
        mouth_gain: float = 1.0,
        smile: float = 0.0,
        crop: FloatArray | None = None,
        inside: ByteArray | None = None,
    ) -> PreparedFace:
        """The same for a bare picture.

        Args:
            picture_bgr: uint8 ``(H, W, 3)``.
            face_px: float ``(68, 2)`` iBUG-68 landmarks in its pixels.
            side_px: side of the patch, kept within 96..384.
            mouth_gain: 0 leaves the picture's mouth alone.
            crop: float ``(2, 3)`` unit crop -> picture pixels; None: that of the landmarks.
            inside: uint8 ``(80, 80)`` over the crop, 255 on the person; None: the person fills it.
        """
        matrix = face_crop_matrix(face_px) if crop is None else crop
        landmarks = to_unit_crop(face_px, matrix)
        side = min(max(side_px + side_px % 2, MIN_PATCH_PX), MAX_PATCH_PX)
        seen = cut_crop(picture_bgr, matrix, CROP_PX).astype(np.float32).transpose(2, 0, 1)[None] / 255
        found = self._encoder.run({"picture": seen, "landmark_maps": landmark_maps(landmarks)[None]})
        own = found["own"][0]
        rest = np.zeros(len(FACE_ACTIONS), np.float32)
        # A weak smile is as likely a mistake of the network.
        rest[_KEPT] = np.clip(own[_KEPT].mean() - 0.1, 0, 0.7)
        whole, mouth = (_for_painting(maps) for maps in self._decoded(found, rest))
        source = np.ascontiguousarray(cut_crop(picture_bgr, matrix, side))
        window: FloatArray = self._feather
        if inside is not None:
            window = (window * (inside.astype(np.float32) / 255)).astype(np.float32)
        drawn = find_drawn_mouth(np.ascontiguousarray(cut_crop(picture_bgr, matrix, FOUND_AT_PX)), landmarks)
        open_mouth = drawn is None and lip_gap(landmarks) > CLOSED_GAP
        return PreparedFace(
            source_bgr=without_teeth(source, landmarks) if open_mouth and mouth_gain > 0 else source,
            window=window,
            code=found,
            rest=rest,
            rest_whole=whole,
            rest_mouth=mouth,
            skin=away_from_lips(landmarks),
            around=away_from_mouth(landmarks),
            hues=own_hues(source, landmarks),
            eyes=make_eyes(source, landmarks),
            interior=make_interior(source, landmarks),
            closing=closing_actions(landmarks),
            open_mouth=open_mouth,
            mouth_gain=mouth_gain,
            smile=smile,
            mouth_shown=mouth_gain > 0 and drawn is None,
            drawn=drawn.scaled(side) if drawn is not None and mouth_gain > 0 else None,
        )

    def draw(self, prepared: PreparedFace, expression: Expression) -> FacePatch:
        """Draw the face.

        Args:
            expression: float32 ``(52,)``; 0 everywhere is the picture's own face, its mouth closed.

        Returns:
            A patch of ``prepared.side_px``, newly allocated.
        """
        side = prepared.side_px
        patch = np.zeros((side, side, 4), np.uint8)
        wanted = self._wanted(prepared, expression)
        if not prepared.open_mouth and np.array_equal(wanted, prepared.rest):
            patch[..., :3] = prepared.source_bgr
            return _finished(prepared, expression, patch)
        whole, mouth = self._maps(prepared, wanted)
        alpha = seen_where_moved(whole, mouth, self._window_weight, side) * prepared.window
        if not prepared.mouth_shown:
            alpha[round(_EYES_ABOVE * MAP_PX) :] = 0
        soft = np.ascontiguousarray(mouth[..., 3:6])
        steady_skin(mouth, prepared.around)
        own_ink(mouth, prepared.hues)
        paint_patch(
            prepared.source_bgr,
            whole,
            mouth,
            prepared.interior.draw(wanted, _share(mouth[..., 6]), soft),
            self._window_weight,
            np.ascontiguousarray(alpha, np.float32),
            self._window,
            LIP_EDGE,
            patch,
        )
        return _finished(prepared, expression, patch)

    def mouth_paint(self, prepared: PreparedFace, expression: Expression) -> FloatArray:
        """Share of paint in the mouth's window, float32 ``(80, 80)``: the drawn inside of the mouth."""
        _, mouth = self._maps(prepared, self._wanted(prepared, expression))
        return _share(mouth[..., 6])

    def _wanted(self, prepared: PreparedFace, expression: Expression) -> Expression:
        wanted = np.array(expression, np.float32)
        wanted[_OPENING] *= prepared.mouth_gain
        wanted[EYE_ACTIONS] = 0
        if not prepared.mouth_shown:
            wanted[_MOUTH] = 0
        else:
            wanted[_SMILE] += prepared.smile
        wanted = np.clip(wanted + prepared.rest, 0, 1)
        if prepared.open_mouth:
            wanted = shut_when_idle(wanted, prepared.closing, _OPENING)
        return np.asarray(wanted, np.float32)

    def _decoded(
        self, code: dict[str, NDArray[np.float32]], expression: Expression
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        found = self._decoder.run({**code, "expression": expression[None]})
        return found["whole"], found["mouth"]

    def _maps(self, prepared: PreparedFace, expression: Expression) -> tuple[FloatArray, FloatArray]:
        """Maps in which rest means no change: everywhere, or above the mouth when that must be closed."""
        whole, mouth = self._decoded(prepared.code, expression)
        rows = round(_EYES_ABOVE * MAP_PX) if prepared.open_mouth else MAP_PX
        near_rows = 0 if prepared.open_mouth else MAP_PX
        # Skin is better stretched than painted where the networks are not quite sure; an open mouth's inside
        # must not stay, so between the lips of the picture they are believed.
        return (
            settle(whole, prepared.rest_whole, rows, self._doubt),
            settle(mouth, prepared.rest_mouth, near_rows, _PAINT_DOUBT * prepared.skin),
        )


def _finished(prepared: PreparedFace, expression: Expression, patch: ByteArray) -> FacePatch:
    """The patch with what is drawn without the networks: eyes, and the mouth of a flat drawing."""
    draw_eyes(prepared.eyes, patch, expression)
    if prepared.drawn is not None:
        wanted = np.array(expression, np.float32)
        wanted[_OPENING] = np.clip(wanted[_OPENING] * prepared.mouth_gain, 0, 1)
        prepared.drawn.draw(wanted, patch)
    return FacePatch(patch)


def _for_painting(maps: NDArray[np.float32]) -> FloatArray:
    """``(1, C, M, M)`` -> ``(M, M, C)`` with colours in 0..255."""
    turned = np.ascontiguousarray(maps[0].transpose(1, 2, 0))
    turned[..., 3:6] *= 255
    return turned


def _share(logit: FloatArray) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(-logit)), np.float32)
