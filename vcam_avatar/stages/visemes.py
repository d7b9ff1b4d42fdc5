"""Fifteen mouth shapes of speech and what each does to a face."""

import numpy as np

from vcam_avatar.media import FACE_ACTIONS, FloatArray

VISEMES = ("sil", "PP", "FF", "TH", "DD", "kk", "CH", "SS", "nn", "RR", "aa", "E", "I", "O", "U")
"""Silence; p b m; f v; th; t d; k g h; ch sh; s z; n l; r; and the vowels of father, bed, see, more, too."""

SHAPES: dict[str, dict[str, float]] = {
    "sil": {},
    "PP": {
        "mouthPress": 0.45,
        "mouthRollLower": 0.45,
        "mouthRollUpper": 0.35,
        "mouthClose": 0.05,
        "mouthPucker": 0.08,
    },
    "FF": {
        "jawOpen": 0.05,
        "mouthRollLower": 0.55,
        "mouthUpperUp": 0.4,
        "mouthShrugUpper": 0.15,
        "mouthStretch": 0.1,
    },
    "TH": {
        "jawOpen": 0.16,
        "mouthLowerDown": 0.3,
        "mouthUpperUp": 0.2,
        "tongueOut": 0.35,
        "mouthStretch": 0.1,
    },
    "DD": {"jawOpen": 0.13, "mouthLowerDown": 0.35, "mouthUpperUp": 0.15, "mouthStretch": 0.12},
    "kk": {"jawOpen": 0.2, "mouthLowerDown": 0.3, "mouthUpperUp": 0.15, "mouthStretch": 0.1},
    "CH": {
        "jawOpen": 0.1,
        "mouthFunnel": 0.55,
        "mouthPucker": 0.25,
        "mouthLowerDown": 0.25,
        "mouthUpperUp": 0.25,
    },
    "SS": {
        "jawOpen": 0.05,
        "mouthStretch": 0.4,
        "mouthLowerDown": 0.4,
        "mouthUpperUp": 0.25,
        "mouthSmile": 0.1,
    },
    "nn": {"jawOpen": 0.14, "mouthLowerDown": 0.3, "mouthUpperUp": 0.12, "mouthStretch": 0.12},
    "RR": {"jawOpen": 0.14, "mouthFunnel": 0.35, "mouthPucker": 0.3, "mouthLowerDown": 0.1},
    "aa": {"jawOpen": 0.62, "mouthLowerDown": 0.35, "mouthUpperUp": 0.2, "mouthStretch": 0.1},
    "E": {
        "jawOpen": 0.38,
        "mouthStretch": 0.4,
        "mouthLowerDown": 0.35,
        "mouthUpperUp": 0.2,
        "mouthSmile": 0.12,
    },
    "I": {
        "jawOpen": 0.18,
        "mouthStretch": 0.5,
        "mouthLowerDown": 0.32,
        "mouthUpperUp": 0.18,
        "mouthSmile": 0.22,
    },
    "O": {"jawOpen": 0.42, "mouthFunnel": 0.6, "mouthPucker": 0.35},
    "U": {"jawOpen": 0.13, "mouthPucker": 0.8, "mouthFunnel": 0.25},
}
"""Viseme -> face actions at full, natural strength. A name without a side stands for both sides."""

_PAIRED = frozenset(name[:-4] for name in FACE_ACTIONS if name.endswith("Left")) - {"jaw", "mouth"}


def action_indices(name: str) -> list[int]:
    """Positions in ``FACE_ACTIONS`` of an action, both sides when ``name`` has none.

    Raises:
        ValueError: no such action.
    """
    names = [name + "Left", name + "Right"] if name in _PAIRED else [name]
    return [FACE_ACTIONS.index(n) for n in names]


def _table() -> FloatArray:
    table = np.zeros((len(VISEMES), len(FACE_ACTIONS)), np.float32)
    for row, viseme in enumerate(VISEMES):
        for name, value in SHAPES[viseme].items():
            table[row, action_indices(name)] = value
    table.setflags(write=False)
    return table


VISEME_ACTIONS: FloatArray = _table()
"""float32 ``(15, 52)``: row of ``VISEMES`` -> expression."""

VISEME_OPENING: FloatArray = np.array(
    [0, 0, 0.1, 0.22, 0.22, 0.3, 0.22, 0.15, 0.25, 0.3, 1, 0.7, 0.45, 0.65, 0.35], np.float32
)
"""float32 ``(15,)``: how far each opens the lips, 1 = father."""
