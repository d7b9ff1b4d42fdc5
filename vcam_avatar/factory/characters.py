"""The cast: finished characters for the presets."""
# ruff: noqa: E501

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vcam_avatar.factory.assets import AssetFolder
from vcam_avatar.factory.expressions import EMOTIONS, Actions
from vcam_avatar.factory.looks import DEFAULTS, LOOSENESS, hair_values, skin_values
from vcam_avatar.factory.person import BLAZER, HOODIE, TSHIRT, TURTLENECK, VNECK, Look

AFRICAN, ASIAN, EUROPEAN = (1.0, 0.0, 0.1), (0.0, 1.0, 0.1), (0.0, 0.0, 1.0)


def _hex(text: str) -> Any:
    return np.array([int(text[i : i + 2], 16) / 255 for i in (0, 2, 4)])


@dataclass(frozen=True, slots=True)
class Character:
    """A preset: who it is and how it is shown."""

    name: str
    """Folder name."""
    title: str
    """What people see."""
    female: bool
    age: float
    race: tuple[float, float, float]
    hair: str
    """Asset name or 'shell'; without assets every mesh falls back to the shell."""
    hair_colour: str
    skin: str
    garment: int
    colours: tuple[str, str, str]
    """Garment: main, second, trim."""
    iris: str
    background: str
    """``#RRGGBB``, the main colour behind the person."""
    backdrop: str = "room"
    """Of ``backdrops.BACKDROPS``."""
    lip: str = ""
    emotion: str = "smile"
    emotion_gain: float = 0.85
    gear: tuple[str, ...] = ()
    local: dict[str, float] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    """Shader values that differ."""
    eye_size: float = 0.74
    head_scale: float = 1.34
    weight: float = 0.36
    muscle: float = 0.42

    def actions(self) -> Actions:
        """The expression of the picture: a closed mouth, friendly."""
        return {n: a * self.emotion_gain for n, a in EMOTIONS[self.emotion].items() if n != "jawOpen"}


_SOFT_FACE = {
    "head/head-oval": 0.5, "nose/nose-scale-horiz-decr": 0.35, "nose/nose-scale-vert-decr": 0.3,
    "nose/nose-scale-depth-decr": 0.3, "chin/chin-width-decr": 0.25, "mouth/mouth-scale-horiz-decr": 0.15,
    "torso/measure-shoulder-dist-decr": 0.9, "torso/torso-scale-horiz-decr": 0.35,
    "neck/neck-scale-horiz-decr": 0.4, "neck/neck-scale-depth-decr": 0.3, "neck/measure-neck-height-incr": 0.4,
    "arms/l-upperarm-fat-decr": 0.5, "arms/r-upperarm-fat-decr": 0.5, "arms/l-upperarm-shoulder-muscle-decr": 0.5,
    "arms/r-upperarm-shoulder-muscle-decr": 0.5, "mouth/mouth-angles-up": 0.35, "forehead/forehead-scale-vert-incr": 0.2,
    "cheek/l-cheek-volume-incr": 0.3, "cheek/r-cheek-volume-incr": 0.3,
}  # fmt: skip
"""Local targets every drawn character shares."""

_POINTED_EARS = {
    f"ears/{side}-ear-{kind}": amount
    for side in "lr"
    for kind, amount in (
        ("shape-pointed", 1.0), ("scale-incr", 0.7), ("scale-vert-incr", 1.0), ("wing-incr", 0.8),
        ("rot-backward", 0.3),
    )
}  # fmt: skip

CAST: tuple[Character, ...] = (
    Character(
        "mia", "Mia", True, 0.60, EUROPEAN, "long01", "7a4428", "f9d9c4", HOODIE, ("f2a7b5", "ffffff", "d78a9c"),
        "4f7fb5", "#FF8FCF", "neon", emotion="smile", gear=("headphones",),
        values={"acc": _hex("f4f1f5"), "acc2": _hex("e58aa4"), "liner": 0.5},
    ),
    Character(
        "kenji", "Kenji", False, 0.60, ASIAN, "short02", "17161c", "f0cfae", HOODIE, ("363c48", "ff6b5e", "23272f"),
        "3b2a20", "#3AD1C8", "neon", eye_size=0.61, gear=("glasses_square",),
        values={"acc": _hex("1c1d22"), "fringe": 7.72},
    ),
    Character(
        "amara", "Amara", True, 0.62, AFRICAN, "afro01", "1d1412", "7a4a33", TURTLENECK,
        ("d9a441", "ffffff", "b0812a"), "3a2418", "#E6D3B8", "room", lip="7d3536", gear=("earrings",),
        values={"acc": _hex("e7c15a"), "liner": 0.6},
    ),
    Character(
        "leo", "Leo", False, 0.64, EUROPEAN, "short01", "4a2d1c", "f3c9ad", TSHIRT, ("3f6f8f", "f7f3ea", "335b76"),
        "5a7a4a", "#CBD8DE", "room", eye_size=0.53, head_scale=1.29, values={"pattern": 5},
    ),
    Character(
        "luna", "Luna", True, 0.58, (0, 0.3, 0.7), "bob02", "8a6fd1", "fbe3d6", TSHIRT, ("2b2d42", "ef476f", "2b2d42"),
        "7b5bd6", "#C98FB0", "dusk", eye_size=0.86, values={"pattern": 4, "browc": _hex("6a53a8"), "liner": 0.8},
    ),
    Character(
        "marcus", "Marcus", False, 0.70, AFRICAN, "short04", "120d0c", "5b3926", BLAZER,
        ("2f4a43", "f3efe6", "b5842f"), "2e1c14", "#D9DDE2", "office", eye_size=0.53, head_scale=1.28, lip="6b3a34",
        muscle=0.6, values={"beard": 0.8, "pattern": 0},
    ),
    Character(
        "elif", "Elif", True, 0.66, (0, 0.25, 0.75), "bob01", "2b1a14", "f1cdb0", BLAZER,
        ("7b2d43", "fbf3ee", "cdb38b"), "4b6b3f", "#E6DCD2", "office", lip="b5434d", values={"liner": 0.7},
    ),
    Character(
        "sana", "Sana", True, 0.55, ASIAN, "braid01", "2a1d1a", "f6d9bd", VNECK, ("7fc8a9", "ffffff", "5ba787"),
        "4a3020", "#DCE5D6", "room", eye_size=0.81, gear=("glasses_round",), values={"freck": 0.6, "acc": _hex("a8583e")},
    ),
    Character(
        "vex", "Vex", True, 0.60, EUROPEAN, "short03", "37c5c0", "b9c6f2", TSHIRT, ("22203a", "37c5c0", "37c5c0"),
        "e0457b", "#4F8FA8", "dusk", eye_size=0.9, head_scale=1.36, lip="7d7fc4", emotion="skeptic", emotion_gain=0.6,
        gear=("horns",), local=_POINTED_EARS,
        values={"pattern": 1, "browc": _hex("1f7d7a"), "liner": 1.0, "acc": _hex("4a4278"), "acc2": _hex("2ad4cc")},
    ),
    Character(
        "gorm", "Gorm", False, 0.72, (0.4, 0.0, 0.6), "short04", "1d1a17", "7fae5a", VNECK, ("5a3d2b", "c9a15a", "c9a15a"),
        "d8a531", "#8FBF80", "glade", lip="5d7f3f", emotion="smile", emotion_gain=0.6, gear=("horns", "earrings"),
        local={**_POINTED_EARS, "nose/nose-scale-horiz-incr": 0.8, "chin/chin-width-incr": 0.8,
               "head/head-square": 0.6, "neck/neck-scale-horiz-incr": 0.5},
        eye_size=0.56, head_scale=1.26, weight=0.55, muscle=0.85,
        values={"acc": _hex("e6dcc0"), "acc2": _hex("6b5a45"), "stubble": 0.0, "browT": 0.05, "browc": _hex("2c3a1d")},
    ),
    Character(
        "nyx", "Nyx", True, 0.56, (0, 0.3, 0.7), "long01", "3b3550", "c9a7a0", HOODIE, ("7a68c4", "ffffff", "5b4aa0"),
        "7be06a", "#B88CFF", "neon", lip="a0565f", emotion="smile", gear=("cat_ears",),
        eye_size=0.9, head_scale=1.36, local={"nose/nose-scale-horiz-decr": 0.6, "chin/chin-height-decr": 0.4},
        values={"acc": _hex("3b3550"), "acc2": _hex("f0a8b8"), "liner": 1.0, "freck": 0.0, "browc": _hex("2d2840")},
    ),
    Character(
        "ruth", "Ruth", True, 0.93, EUROPEAN, "bob02", "c9ccd2", "f2cdb8", BLAZER, ("5a6b8c", "ffffff", "b08bb0"),
        "6b8fae", "#E2D9E4", "room", eye_size=0.53, head_scale=1.28, weight=0.5, gear=("glasses_round", "earrings"),
        values={"acc": _hex("7c4a5e")},
    ),
)  # fmt: skip
"""The characters that come as presets."""


def build_look(who: Character, assets: AssetFolder) -> Look:
    """The character's look; without ``assets`` every hair becomes the shell."""
    values = dict(DEFAULTS)
    skin = _hex(who.skin)
    lip = (
        _hex(who.lip) if who.lip else skin * np.array([0.88, 0.55, 0.56] if who.female else [0.86, 0.62, 0.6])
    )
    values.update(skin_values(skin, lip, 0.34))
    values.update(hair_values(_hex(who.hair_colour)))
    hair = assets.mesh("hair", who.hair) or "shell"
    values.update(
        garment=who.garment, g1=_hex(who.colours[0]), g2=_hex(who.colours[1]), g3=_hex(who.colours[2]),
        iris=_hex(who.iris), hairmode=1 if hair == "shell" else 2, irisR=0.54,
        browT=0.020 if who.female else 0.032, browY=0.015, hairlen=5.6 if who.female else 6.95, fringe=7.78,
        sleeve=0.78 if who.garment in (TSHIRT, VNECK) else 2.02, shadowneck=0.5, fold=0.10, toon=0.71,
        hairh=tuple(np.clip(_hex(who.hair_colour) * 1.25 + 0.05, 0, 1).tolist()),
        L=(0.36, 0.50, 0.79), amb=(0.34, 0.33, 0.38),
    )  # fmt: skip
    values.update(who.values)
    return Look(
        {"gender": 0.95 if who.female else 0.03, "age": who.age, "muscle": who.muscle, "weight": who.weight,
         "height": 0.5, "proportions": 0.95, "race": who.race},
        {**_SOFT_FACE, **who.local}, values, garment=who.garment, looseness=LOOSENESS[who.garment], hair=hair,
        hair_rounds=2, eye_size=who.eye_size, head_scale=who.head_scale, fine=True, outline_px=1.3, gear=who.gear,
    )  # fmt: skip
