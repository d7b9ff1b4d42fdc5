"""Who to draw: a random identity, its clothes, hair and style."""

import colorsys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vcam_avatar.factory.assets import AssetFolder
from vcam_avatar.factory.human import human_model
from vcam_avatar.factory.person import BLAZER, HOODIE, NO_GARMENT, TSHIRT, TURTLENECK, VNECK, Look

Colour = tuple[float, float, float]
STYLES = ("toon", "flat", "painted", "line", "semi", "photo")
"""Ways of drawing, from cartoon to photo-like; 'mixed' draws one at random."""

SKIN_TONES = np.array([
    (0.99, 0.86, 0.78), (0.97, 0.80, 0.70), (0.94, 0.75, 0.63), (0.88, 0.67, 0.53), (0.78, 0.56, 0.42),
    (0.66, 0.45, 0.33), (0.52, 0.34, 0.25), (0.38, 0.25, 0.19),
])  # fmt: skip
HAIR_COLOURS = np.array([
    (0.10, 0.08, 0.09), (0.18, 0.11, 0.08), (0.30, 0.18, 0.11), (0.45, 0.27, 0.14), (0.62, 0.42, 0.22),
    (0.83, 0.66, 0.40), (0.55, 0.20, 0.10), (0.70, 0.70, 0.72),
])  # fmt: skip
DYED = np.array(
    [(0.95, 0.55, 0.70), (0.45, 0.55, 0.90), (0.40, 0.75, 0.70), (0.60, 0.40, 0.80), (0.85, 0.25, 0.30)]
)
IRISES = (
    (0.07, 0.6, 0.4),
    (0.09, 0.7, 0.5),
    (0.58, 0.5, 0.75),
    (0.40, 0.4, 0.6),
    (0.07, 0.7, 0.28),
    (0.75, 0.4, 0.7),
)
NATURAL_IRISES = (
    (0.06, 0.65, 0.20),
    (0.07, 0.60, 0.30),
    (0.09, 0.50, 0.42),
    (0.58, 0.32, 0.55),
    (0.36, 0.20, 0.45),
)
"""Of the photo-like end: brown first."""
LOOSENESS = {NO_GARMENT: 0.05, TSHIRT: 0.05, VNECK: 0.04, TURTLENECK: 0.05, HOODIE: 0.17, BLAZER: 0.13}
LOCAL_FOLDERS = ("head", "nose", "mouth", "chin", "cheek", "forehead", "eyes", "ears", "eyebrows", "neck")
FEMALE_HAIR = ("long01", "ponytail01", "braid01", "bob01", "bob02", "short03")
MALE_HAIR = ("short01", "short02", "short03", "short04")

DEFAULTS: dict[str, Any] = {
    "armcut": (-9, 9, 0), "eyepos": (0, 7, 30), "L": (0.435, 0.532, 0.726), "toon": 1.0,
    "amb": (0.25, 0.25, 0.3), "lcol": (1, 1, 1),
    "paint": 0.0, "gazeL": (0, 0, 1), "gazeR": (0, 0, 1), "irisR": 0.42, "freck": 0.0, "fold": 0.14,
    "stubble": 0.0, "beard": 0.0, "liner": 0.0, "lipgloss": 0.0, "makeup": 0.0, "texgain": 1.0,
    "rimlight": 1.0, "fillc": (0, 0, 0), "ink": 0.0,
    "teethdark": 1.0,
    "shadowneck": 0.55, "seed": 3.3, "window": 1, "hairlen": 6.0, "fringe": 7.8, "hairmode": 0, "pattern": 0,
    "garment": 0, "sleeve": 2.02, "g1": (0.3, 0.3, 0.3), "g2": (0.9, 0.9, 0.9), "g3": (0.2, 0.2, 0.2),
    "pants": (0.20, 0.22, 0.28), "hem": 0.75,
    "acc": (0.12, 0.12, 0.14), "acc2": (0.5, 0.5, 0.55), "nail": (0.9, 0.7, 0.68),
    "browT": 0.03, "browA": 0.0, "browY": 0.01, "blushA": 0.3,
}  # fmt: skip
"""Shader values a look may leave out."""


def hsv(hue: float, saturation: float, value: float) -> Colour:
    """RGB 0..1; the hue wraps."""
    return colorsys.hsv_to_rgb(hue % 1, saturation, value)


def _rgb(colour: Any) -> Colour:
    r, g, b = np.clip(np.asarray(colour, float), 0, 1).tolist()
    return r, g, b


def skin_values(skin: NDArray[np.float64], lip: NDArray[np.float64], blush_amount: float) -> dict[str, Any]:
    """The shader values that follow from a skin and a lip colour."""
    return {
        "skin": _rgb(skin), "lip": _rgb(lip), "blush": _rgb(skin * np.array([1.02, 0.68, 0.66])),
        "blushA": blush_amount, "nail": _rgb(skin * np.array([1.05, 0.88, 0.86])),
    }  # fmt: skip


def hair_values(hair: NDArray[np.float64]) -> dict[str, Any]:
    """The shader values that follow from a hair colour."""
    brow = hair * 0.45 if hair.sum() > 1.2 else hair * 0.8
    return {"hairc": _rgb(hair), "hairh": _rgb(hair * 1.5 + 0.12), "browc": _rgb(brow)}


def _local_shape(rng: np.random.Generator, strength: float) -> dict[str, float]:
    """A few random targets of head and face, the same on both sides."""
    names = [
        n for n in human_model().local
        if n.split("/")[0] in LOCAL_FOLDERS and not n.split("/")[1].startswith("r-") and "trans" not in n
    ]  # fmt: skip
    out: dict[str, float] = {}
    for name in rng.choice(names, 10, replace=False):
        amount = float(abs(rng.normal(0, strength)))
        out[str(name)] = amount
        folder, part = str(name).split("/")
        if part.startswith("l-"):
            out[f"{folder}/r-{part[2:]}"] = amount
    return out


def _skin_texture(
    rng: np.random.Generator, assets: AssetFolder, female: bool, dark: bool, age: float
) -> Path | None:
    skins = [s for s in assets.skins() if "suit" not in s.name]
    if not skins:
        return None
    tone = "darkskinned" if dark else "lightskinned"
    sex = "_female" if female else "_male"
    fit = [s for s in skins if sex in s.name and tone in s.name]
    if age > 0.85:
        fit = [s for s in fit if s.name.startswith("old")] or fit
    else:
        fit = [s for s in fit if not s.name.startswith("old")] or fit
    fit = fit or [s for s in skins if sex in s.name]
    return fit[int(rng.integers(len(fit)))] if fit else None


def sample_look(rng: np.random.Generator, style: str = "mixed", assets: AssetFolder | None = None) -> Look:
    """A random person.

    Args:
        style: one of ``STYLES`` or 'mixed'.
        assets: optional MakeHuman system assets for hair meshes, textured skins and clothes.

    Raises:
        ValueError: unknown style.
    """
    assets = assets or AssetFolder(None)
    if style == "mixed":
        style = str(rng.choice(STYLES, p=[0.26, 0.10, 0.12, 0.06, 0.14, 0.32]))
    if style not in STYLES:
        raise ValueError(f"no style {style!r}; known are mixed, {', '.join(STYLES)}")
    toon = {"toon": 1.0, "flat": 1.0, "painted": 0.6, "line": 1.0, "semi": 0.4, "photo": 0.0}[style]
    cute = {"toon": 1.0, "flat": 0.9, "painted": 0.5, "line": 0.7, "semi": 0.45, "photo": 0.0}[style]
    female = bool(rng.random() < 0.5)
    race = rng.dirichlet([0.5, 0.5, 0.5])
    age = float(np.clip(rng.normal(0.62, 0.12), 0.42, 0.97))
    shape = {
        "gender": float(np.clip((0.92 if female else 0.05) + rng.normal(0, 0.07), 0, 1)), "age": age,
        "muscle": float(np.clip(rng.normal(0.5, 0.15), 0.15, 0.9)),
        "weight": float(np.clip(rng.normal(0.45, 0.17), 0.1, 1)), "height": float(rng.uniform(0.3, 0.7)),
        "proportions": float(rng.uniform(0.5, 1)), "race": tuple(race.tolist()),
    }  # fmt: skip
    tone = float(np.clip(race[0] * 6.2 + race[1] * 2.0 + race[2] * 1.0 + rng.normal(0, 0.6), 0, 6.99))
    low = int(tone)
    skin = SKIN_TONES[low] * (1 - tone + low) + SKIN_TONES[min(low + 1, 7)] * (tone - low)
    texture = _skin_texture(rng, assets, female, tone > 4.2, age) if style in ("photo", "semi") else None
    if style == "photo" or texture is not None:
        texture_tint = (np.array([1.04, 0.985, 1.0]) + rng.normal(0, 0.015, 3)) * rng.uniform(0.88, 1.05)
    elif rng.random() < 0.05:
        skin = np.array(hsv(float(rng.random()), 0.35, 0.85))
    if rng.random() < 0.18 and style != "photo":
        hair_colour = DYED[rng.integers(len(DYED))]
    elif race[2] < 0.6:
        hair_colour = HAIR_COLOURS[min(int(abs(rng.normal(0, 1.6))), 4)]
    else:
        hair_colour = HAIR_COLOURS[rng.integers(8)]
    if age > 0.85:
        hair_colour = hair_colour * 0.3 + np.array([0.75, 0.75, 0.77]) * 0.7
    hair, hair_texture, hair_mode = _choose_hair(rng, assets, female, race[0] > 0.5, style)
    garment = int(rng.choice([TSHIRT, VNECK, TURTLENECK, HOODIE, BLAZER, TSHIRT, HOODIE]))
    outfit = None
    if style in ("photo", "semi") and rng.random() < 0.35:
        names = [n for n in assets.outfits() if n.startswith("female" if female else "male")]
        if names:
            outfit = str(rng.choice(names))
    values = dict(DEFAULTS)
    values.update(_garment_values(rng, garment if outfit is None else NO_GARMENT))
    lip = skin * np.array([0.86, 0.5, 0.54] if female else [0.86, 0.58, 0.58])
    if female and rng.random() < 0.35:
        lip = np.array(hsv(float(rng.uniform(-0.06, 0.03)), 0.6, float(rng.uniform(0.45, 0.8))))
    values.update(skin_values(skin if texture is None else texture_tint, lip, float(rng.uniform(0.1, 0.5))))
    values.update(hair_values(hair_colour))
    values.update(
        toon=toon, paint=0.55 if style == "painted" else 0.0, iris=hsv(*IRISES[int(rng.integers(6))]),

        irisR=0.40 + 0.11 * cute,
        browT=float(rng.uniform(0.013, 0.024) if female else rng.uniform(0.022, 0.036)),
        browA=float(rng.uniform(-0.03, 0.03)), browY=float(rng.uniform(-0.005, 0.03)),
        freck=float(rng.random() < 0.15) * 0.5, seed=float(rng.random() * 10), hairmode=hair_mode,
        fringe=float(rng.uniform(7.62, 7.9)),
        hairlen=float(rng.choice([4.6, 5.9, 6.4]) if female else rng.choice([6.9, 7.1])),
        liner=float(rng.uniform(0, 1)) if female else 0.0,
        makeup=float(rng.uniform(0, 0.5) * (rng.random() < 0.5)) if female else 0.0,
        lipgloss=float(rng.uniform(0, 0.25)) if female else 0.0,
        acc=hsv(float(rng.random()), float(rng.choice([0.05, 0.6])), float(rng.uniform(0.06, 0.5))),
        acc2=hsv(float(rng.random()), float(rng.choice([0.05, 0.6])), float(rng.uniform(0.2, 0.9))),
    )  # fmt: skip
    if not female and age > 0.5:
        facial = rng.random()
        values["stubble"] = float(rng.uniform(0.3, 0.9)) if facial < 0.35 else 0.0
        values["beard"] = float(rng.uniform(0.7, 0.95)) if 0.35 < facial < 0.52 else 0.0
    values["shadowneck"] = 0.55 if toon > 0.5 else 0.22
    if style == "line":
        values.update(ink=1.0, blushA=0.0, rimlight=0.0, shadowneck=0.4)
    if toon < 0.5:  # a lamp, a window or a screen at the side
        side = np.array(hsv(float(rng.random()), float(rng.choice([0.1, 0.1, 0.5])), 1.0))
        values["fillc"] = _rgb(side * rng.uniform(0.0, 0.2))
        values["iris"] = hsv(*NATURAL_IRISES[int(rng.integers(2 if race[2] < 0.4 else len(NATURAL_IRISES)))])
    if style == "flat":
        values.update(amb=(0.8, 0.8, 0.8), shadowneck=0.25, rimlight=0.3)
    gear = tuple(
        name
        for name, chance in (
            ("glasses_round", 0.09),
            ("glasses_square", 0.09),
            ("headphones", 0.10),
            ("earrings", 0.12 * female),
        )
        if rng.random() < chance
    )
    if "glasses_round" in gear and "glasses_square" in gear:
        gear = tuple(g for g in gear if g != "glasses_square")
    return Look(
        shape, _local_shape(rng, 0.30), values, style=cute,
        garment=garment if outfit is None else NO_GARMENT, looseness=LOOSENESS[garment], hair=hair,
        hair_volume=float(rng.uniform(0, 0.10)), outfit=assets.mesh("clothes", outfit) if outfit else None,
        textures={"skin": texture, "hair": hair_texture if style in ("photo", "semi") else None,
                  "cloth": assets.texture("clothes", outfit) if outfit else None},
        eye_size=0.12 + 0.5 * cute * float(rng.uniform(0.6, 1.1)) if cute > 0 else 0.0,
        head_scale=1 + 0.14 * cute * float(rng.uniform(0.5, 1.2)),
        outline_px={"toon": 1.3, "line": 1.5}.get(style, 0.0), gear=gear,
    )  # fmt: skip


def _choose_hair(
    rng: np.random.Generator, assets: AssetFolder, female: bool, african: bool, style: str
) -> tuple[Path | str | None, Path | None, int]:
    """Hair mesh, its texture, and the shader's mode: 0 bald, 1 shell, 2 mesh."""
    wanted = list(FEMALE_HAIR if female else MALE_HAIR)
    if african:
        wanted.append("afro01")
    names = [n for n in wanted if assets.mesh("hair", n)]
    if style == "photo":
        names = [n for n in names if assets.texture("hair", n)] or names
    draw = rng.random()
    if not female and draw < 0.06:
        return None, None, 0
    if names:
        name = str(rng.choice(names))
        return assets.mesh("hair", name), assets.texture("hair", name), 2
    return "shell", None, 1


def _garment_values(rng: np.random.Generator, garment: int) -> dict[str, Any]:
    hue, saturation = float(rng.random()), float(rng.choice([0.15, 0.45, 0.65]))
    value = float(rng.uniform(0.25, 0.9))
    if garment == BLAZER:
        saturation, value = saturation * 0.6, float(rng.uniform(0.15, 0.5))
    first = np.array(hsv(hue, saturation, value))
    second = np.array(hsv(hue + float(rng.choice([0, 0.5, 0.08])), saturation * 0.6, min(1, value + 0.35)))
    third = first * 0.7
    if garment == BLAZER:
        second = np.array([0.96, 0.96, 0.97]) * rng.uniform(0.85, 1)
        third = np.array(hsv(float(rng.random()), 0.6, 0.5))
    if garment == TSHIRT and rng.random() < 0.5:
        third = first
    patterns = {
        TSHIRT: [0, 0, 0, 1, 2, 3, 4, 5],
        VNECK: [0, 0, 1, 2, 3, 5],
        HOODIE: [0, 0, 6],
        BLAZER: [0, 7],
    }
    return {
        "garment": garment, "g1": _rgb(first), "g2": _rgb(second), "g3": _rgb(third),
        "pattern": int(rng.choice(patterns.get(garment, [0, 1]))),
        "sleeve": float(rng.uniform(0.55, 0.9) if garment in (TSHIRT, VNECK) else 2.02),
    }  # fmt: skip
