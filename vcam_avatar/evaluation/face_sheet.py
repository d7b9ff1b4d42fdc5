"""A face saying the 15 visemes, blinking and looking about, as one picture to judge by eye."""

import cv2
import numpy as np

from vcam_avatar.evaluation.face import flattened
from vcam_avatar.media import FACE_ACTIONS, ByteArray, FloatArray
from vcam_avatar.stages.face import NeuralFaceGenerator, PreparedFace
from vcam_avatar.stages.visemes import VISEME_ACTIONS, VISEMES


def _actions(**amounts: float) -> FloatArray:
    """Actions by name; a name without a side stands for both."""
    vector = np.zeros(len(FACE_ACTIONS), np.float32)
    for n, action in enumerate(FACE_ACTIONS):
        vector[n] = amounts.get(action, amounts.get(action.removesuffix("Left").removesuffix("Right"), 0.0))
    return vector


EXTRAS: dict[str, FloatArray] = {
    "blink": _actions(eyeBlink=1.0),
    "half": _actions(eyeBlink=0.5),
    "brows": _actions(browInnerUp=0.7, browOuterUp=0.7),
    "look": _actions(eyeLookOutLeft=0.5, eyeLookInRight=0.5),
    "smile": _actions(mouthSmile=0.6, cheekSquint=0.3),
}
"""What a face does besides speaking."""


def viseme_sheet(generator: NeuralFaceGenerator, prepared: PreparedFace, columns: int = 7) -> ByteArray:
    """Source, 15 visemes and ``EXTRAS``, named, over the face's own crop: uint8 BGR."""
    tiles = [_named(prepared.source_bgr, "picture")]
    wanted = dict(zip(VISEMES, VISEME_ACTIONS, strict=True)) | EXTRAS
    for name, actions in wanted.items():
        tiles.append(_named(flattened(prepared, generator.draw(prepared, actions)), name))
    while len(tiles) % columns:
        tiles.append(np.zeros_like(tiles[0]))
    rows = [np.hstack(tiles[n : n + columns]) for n in range(0, len(tiles), columns)]
    return np.vstack(rows)


def _named(picture: ByteArray, name: str) -> ByteArray:
    picture = picture.copy()
    cv2.putText(picture, name, (5, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 3, cv2.LINE_AA)
    cv2.putText(picture, name, (5, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1, cv2.LINE_AA)
    return picture
