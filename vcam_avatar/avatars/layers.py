"""An avatar's picture taken apart: what is drawn where, in which order, and completed where it was hidden.

Back to front: background, core (head, hair, neck and torso, arms removed and what they hid completed),
then per arm upper arm and forearm as straightened strips, and the hand as a style for a mesh.
All lengths are in pixels of the layers, which are as large as the picture or uniformly smaller.
"""

import json
import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vcam_avatar.errors import AvatarDataError
from vcam_avatar.media import ByteArray, Size

LAYERS_DIR = "layers"
LAYERS_FILE = "layers.json"
LAYERS_FORMAT = 1
SIDES = ("left", "right")
"""The person's left and right."""
STRIPS = ("upper", "fore")

Colour = tuple[float, float, float]
"""Blue, green, red, 0 to 255."""


@dataclass(frozen=True, slots=True)
class Strip:
    """A stretch of arm, straightened: seen from the front, hanging straight down.

    The bone runs down the middle column; columns run to the right of the picture while the arm hangs.
    """

    image_bgra: ByteArray
    """uint8 ``(h, w, 4)``, straight alpha, at least 2x2. The silhouette of the arm with its sleeve,
    rounded at both ends so that joints can bend."""
    start: float
    """Where the upper edge lies along the bone: 0 is the upper joint, 1 the lower. Usually below 0."""
    end: float
    """Where the lower edge lies along the bone. Usually above 1."""
    half_width_px: float
    """From the bone to the left or right edge of the strip."""
    length_px: float
    """Of the bone when it lies in the picture plane, nothing foreshortened."""


@dataclass(frozen=True, slots=True)
class HandStyle:
    """How the hand mesh is coloured and lit so that it belongs to the picture."""

    palm_px: float
    """From the wrist to the root of the middle finger, seen flat."""
    skin_bgr: Colour
    """The hand where light falls straight on it."""
    shadow_bgr: Colour
    """The hand where no light falls."""
    light: tuple[float, float, float] = (-0.25, -0.55, 0.8)
    """Towards the light: x right, y down, z to the viewer; unit length."""
    nail_bgr: Colour | None = None
    """Finger nails; None: a little lighter and pinker than the skin."""
    detail: float = 1.0
    """Strength of creases, veins and knuckles: 1 photo, 0 flat drawing."""
    toon: float = 0.0
    """0 smooth shading, 1 two flat tones with a hard edge."""
    outline_bgr: Colour | None = None
    """Colour of the line around hands in drawings; None: no line."""
    outline_px: float = 0.0
    """Width of that line."""
    elbow_bgr: Colour | None = None
    """Bare skin at the elbow in light, where it differs from the hand's."""
    sleeve_end: float = 0.0
    """Where the sleeve ends: 0 to 1 from shoulder to elbow, 1 to 2 from elbow to wrist."""


@dataclass(frozen=True, slots=True)
class Cutout:
    """A part of the picture as it is."""

    image_bgra: ByteArray
    """uint8 ``(h, w, 4)``, straight alpha, at least 2x2."""
    left_px: int
    """Where its left column lies in the layers."""
    top_px: int


@dataclass(frozen=True, slots=True)
class ArmLayers:
    """One arm."""

    upper: Strip
    """Shoulder to elbow."""
    fore: Strip
    """Elbow to wrist."""
    hand: HandStyle
    own: Cutout | None = None
    """The arm and hand as the picture shows them; None: to be cut out when they are needed."""


@dataclass(frozen=True, slots=True)
class Layers:
    """All layers of one picture."""

    size: Size
    """Of ``core_bgra`` and ``background_bgr``: the picture's, or uniformly smaller."""
    core_bgra: ByteArray
    """uint8 ``(h, w, 4)``, straight alpha: the person without arms."""
    background_bgr: ByteArray | None
    """uint8 ``(h, w, 3)``: what is behind the person, completed; None when the picture is cut out."""
    left: ArmLayers | None
    """The person's left arm; None when the picture ends above it."""
    right: ArmLayers | None

    def arm(self, side: str) -> ArmLayers | None:
        """The arm on ``"left"`` or ``"right"``."""
        return self.left if side == "left" else self.right


def save_layers(folder: Path, layers: Layers) -> None:
    """Write ``layers`` into ``folder`` (an avatar's ``layers/``), made if absent."""
    folder.mkdir(parents=True, exist_ok=True)
    data: dict[str, Any] = {
        "format": LAYERS_FORMAT,
        "width": layers.size.width_px,
        "height": layers.size.height_px,
        "background": layers.background_bgr is not None,
    }
    _write_png(folder / "core.png", layers.core_bgra)
    if layers.background_bgr is not None:
        _write_png(folder / "background.png", layers.background_bgr)
    for side in SIDES:
        arm = layers.arm(side)
        data[side] = None
        if arm is None:
            continue
        data[side] = {"hand": asdict(arm.hand)}
        for part in STRIPS:
            strip: Strip = getattr(arm, part)
            _write_png(folder / f"{side}_{part}.png", strip.image_bgra)
            data[side][part] = {name: round(float(getattr(strip, name)), 4) for name in _STRIP_NUMBERS}
        if arm.own is not None:
            _write_png(folder / f"{side}_own.png", arm.own.image_bgra)
            data[side]["own"] = {"left": arm.own.left_px, "top": arm.own.top_px}
    (folder / LAYERS_FILE).write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


def load_layers(folder: Path) -> Layers:
    """Read what ``save_layers`` wrote.

    Raises:
        AvatarDataError: a file is missing, damaged or of an unknown format; names the file.
    """
    path = folder / LAYERS_FILE
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as exc:
        raise AvatarDataError(f"{path} is missing; run 'avatars repair'") from exc
    except (OSError, ValueError) as exc:
        raise AvatarDataError(f"{path} cannot be read: {exc}; run 'avatars repair'") from exc
    try:
        if data["format"] != LAYERS_FORMAT:
            raise AvatarDataError(f"{path}: format {data['format']!r} is unknown; update the program")
        size = Size(int(data["width"]), int(data["height"]))
        core = _read_png(folder / "core.png", 4)
        background = _read_png(folder / "background.png", 3) if data["background"] else None
        for name, image in (("core", core), ("background", background)):
            if image is not None and image.shape[:2] != (size.height_px, size.width_px):
                raise AvatarDataError(f"{folder / name}.png is not {size}; run 'avatars repair'")
        arms = {side: _read_arm(folder, side, data[side]) for side in SIDES}
    except (KeyError, TypeError, ValueError) as exc:
        raise AvatarDataError(f"{path}: {exc!r}; run 'avatars repair'") from exc
    return Layers(size, core, background, arms["left"], arms["right"])


_STRIP_NUMBERS = ("start", "end", "half_width_px", "length_px")


def _read_arm(folder: Path, side: str, data: dict[str, Any] | None) -> ArmLayers | None:
    if data is None:
        return None
    strips = {}
    for part in STRIPS:
        numbers = {name: float(data[part][name]) for name in _STRIP_NUMBERS}
        if not all(math.isfinite(value) for value in numbers.values()):
            raise ValueError(f"{side}.{part}: not finite")
        if numbers["length_px"] <= 0 or numbers["half_width_px"] <= 0 or numbers["end"] <= numbers["start"]:
            raise ValueError(f"{side}.{part}: no length or width")
        strips[part] = Strip(_read_png(folder / f"{side}_{part}.png", 4), **numbers)
    known = {field.name for field in fields(HandStyle)}
    hand = data["hand"]
    if unknown := set(hand) - known:
        raise ValueError(f"{side}.hand: unknown {', '.join(sorted(unknown))}")
    style_values: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in hand.items()}
    style = HandStyle(**style_values)
    own = None
    if (place := data.get("own")) is not None:
        own = Cutout(_read_png(folder / f"{side}_own.png", 4), int(place["left"]), int(place["top"]))
    return ArmLayers(strips["upper"], strips["fore"], style, own)


def _write_png(path: Path, image: ByteArray) -> None:
    ok, data = cv2.imencode(".png", image)
    if not ok:
        raise ValueError(f"cannot encode an image of shape {image.shape}")
    path.write_bytes(data.tobytes())


def _read_png(path: Path, channels: int) -> ByteArray:
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as exc:
        raise AvatarDataError(f"{path} cannot be read: {exc}; run 'avatars repair'") from exc
    image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if len(data) else None
    if image is None or image.ndim != 3 or image.shape[2] != channels or image.dtype != np.uint8:
        raise AvatarDataError(f"{path} is not an 8-bit PNG of {channels} channels; run 'avatars repair'")
    if min(image.shape[:2]) < 2:
        raise AvatarDataError(f"{path} is too small; run 'avatars repair'")
    return image.astype(np.uint8, copy=False)
