"""Finished avatars: a character drawn with exact keypoints and exact layers."""

import shutil
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vcam_avatar.avatars.create import make_thumbnail
from vcam_avatar.avatars.format import LAYERS_FOLDER, write_avatar
from vcam_avatar.avatars.keypoints import make_keypoints
from vcam_avatar.avatars.layers import ArmLayers, Colour, HandStyle, Layers, Strip, save_layers
from vcam_avatar.avatars.settings import SETTINGS_FILE, AvatarSettings, BackgroundSettings, read_settings
from vcam_avatar.errors import ConfigError
from vcam_avatar.factory.assets import AssetFolder
from vcam_avatar.factory.backdrops import backdrop
from vcam_avatar.factory.characters import Character, build_look
from vcam_avatar.factory.expressions import FaceState
from vcam_avatar.factory.faces import load_person
from vcam_avatar.factory.mesh import FloatArray
from vcam_avatar.factory.person import Person, Posed
from vcam_avatar.factory.renderer import Picture, Renderer, look_at, perspective, project
from vcam_avatar.factory.scene import Camera
from vcam_avatar.factory.skeleton import HAND_SHAPES, Rotations, curl_fingers, reach
from vcam_avatar.factory.truth import keypoints_3d, keypoints_px, landmarks_px
from vcam_avatar.media import ByteArray, Size

PICTURE_PX = 1080
"""Width and height of a preset's picture."""
SAMPLES = 2
_FOV_RAD = 0.26
_CORE_ENDS = (0.22, 0.26, 0.30, 0.34)
"""Where the torso's layer ends along the upper arms: the mean of these cuts is its soft edge."""
_STRIP_START, _STRIP_END = -0.30, 1.22
_FADE = (-0.14, 0.10)
"""Along the upper arm: where its strip fades in over the shoulder."""
SOURCE = "vcam-avatar factory"
LICENCE = "CC0 1.0; drawn by vcam-avatar's factory from MakeHuman's CC0 data"


@dataclass(slots=True)
class _Studio:
    """One character before the camera."""

    who: Character
    person: Person
    renderer: Renderer
    camera: Camera
    values: dict[str, Any]

    def draw(self, posed: Posed, cut: tuple[float, float, float] = (-9, 9, 0)) -> Picture:
        """Draw the stretch of the arms from ``cut[0]`` to ``cut[1]`` on the side of sign ``cut[2]``."""
        return self.renderer.draw(
            posed.render_positions, posed.render_normals, self.camera.matrix, {**self.values, "armcut": cut},
            outline_px=self.person.look.outline_px * PICTURE_PX / 640, view=self.camera.view,
        )  # fmt: skip


def _pose(person: Person, actions: dict[str, float], *, straight: bool) -> Posed:
    """Arms hanging: easily, or straight in the picture plane for the strips."""
    rotations: Rotations = {}
    for side, sign in (("L", 1.0), ("R", -1.0)):
        shoulder = person.joints[person.model.bone[f"upperarm01.{side}"]].astype(np.float64)
        hand = person.joints[person.model.bone[f"wrist.{side}"]].astype(np.float64)
        easily = np.array([sign * 0.42, -4.9, 0.45]) / 4.94 * 0.992 * float(np.linalg.norm(hand - shoulder))
        hang = np.array([sign * 0.9, -9.0, 0.0]) if straight else easily
        reach(person.model, person.joints, side, shoulder + hang, (-sign, 0, -0.2), rotations)
        curl_fingers(person.model, person.joints, side, HAND_SHAPES["relax"], 0.03, rotations)
    return person.pose(rotations, actions)


def _camera(posed: Posed) -> Camera:
    """Straight in front; from above the hair to 1.9 shoulder widths below the neck."""
    points = keypoints_3d(posed)
    width = float(np.linalg.norm(points[2] - points[5]))
    top = float(posed.positions[posed.person.faces, 1].max()) + 0.35
    low = float(points[1, 1]) - 1.9 * width
    at = np.array([float(points[1, 0]), (top + low) / 2, 0.2])
    distance = (top - low) / 2 / np.tan(_FOV_RAD / 2)
    eye = at + np.array([0.0, 0.0, distance])
    matrix = perspective(_FOV_RAD, 1.0, distance * 0.3, distance * 2) @ look_at(eye, at)
    return Camera(
        matrix.astype(np.float32), eye.astype(np.float32), np.array([0, 0, 1], np.float32),
        0.6 / 1.7 / float(distance),
    )  # fmt: skip


def _bgra(picture: Picture) -> ByteArray:
    out: ByteArray = np.asarray(cv2.cvtColor(picture.rgba, cv2.COLOR_RGBA2BGRA), np.uint8)
    return out


def _mean(pictures: list[ByteArray]) -> ByteArray:
    """Mean of straight-alpha pictures."""
    alpha = np.mean([p[..., 3:].astype(np.float32) for p in pictures], 0)
    colour = np.mean([p[..., :3].astype(np.float32) * p[..., 3:] for p in pictures], 0)
    out: ByteArray = np.rint(np.concatenate([colour / np.maximum(alpha, 1), alpha], 2)).astype(np.uint8)
    return out


def _smooth(x: Any, low: float, high: float) -> Any:
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def _strip(
    image_bgra: ByteArray, upper: FloatArray, lower: FloatArray, start: float, end: float, outward: float
) -> Strip:
    """Cut a bone's surroundings out of a picture that shows one hanging arm only.

    Args:
        upper, lower: the bone's joints, px.
        outward: 1 or -1: on which side the body is not, the strip fades in over the shoulder; 0: it has
            a round end about the upper joint.
    """
    bone = (lower - upper).astype(np.float64)
    length = float(np.hypot(*bone))
    axis = bone / length
    across = np.array([axis[1], -axis[0]])
    premultiplied = image_bgra.astype(np.float32)
    premultiplied[..., :3] *= premultiplied[..., 3:] / 255
    ys, xs = np.nonzero(image_bgra[..., 3] > 0)
    seen = np.stack([xs + 0.5, ys + 0.5], 1) - upper
    along, off = seen @ axis / length, np.abs(seen @ across)
    here = (along > start) & (along < end)
    half = float(np.percentile(off[here], 99.7)) + 4 if here.any() else 8.0
    rows, columns = max(8, round((end - start) * length)), max(8, round(2 * half))
    t = start + (np.arange(rows) + 0.5) / rows * (end - start)
    c = ((np.arange(columns) + 0.5) / columns * 2 - 1) * half
    x = upper[0] + t[:, None] * bone[0] + c[None] * across[0] - 0.5
    y = upper[1] + t[:, None] * bone[1] + c[None] * across[1] - 0.5
    cut = cv2.remap(premultiplied, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR)
    alpha = cut[..., 3] / 255

    def disc_at(place: float) -> tuple[float, float]:
        """Middle and half width of the arm at ``place``, px across the bone."""
        row = np.median(alpha[(np.abs(t - place) < 0.03)], 0) > 0.5
        if not row.any():
            return 0.0, half
        return float((c[row].max() + c[row].min()) / 2), float((c[row].max() - c[row].min()) / 2)

    middle, radius = disc_at(1.0)
    below = np.maximum((t[:, None] - 1) * length, 0)
    keep = 1 - _smooth(np.hypot(below, c[None] - middle), radius - 1.5, radius + 1.0) * (below > 0)
    if outward:
        # The side towards the body belongs to the torso for longer.
        inner = _smooth(-outward * c[None], -0.3 * radius, 0.7 * radius)
        keep = keep * _smooth(t[:, None] - 0.12 * inner, *_FADE)
    else:
        above, (middle, top) = np.maximum(-t[:, None] * length, 0), disc_at(0.0)
        round_top = _smooth(np.hypot(above, c[None] - middle), top - 1.5, top + 1.0) * (above > 0)
        keep = keep * (1 - round_top)
    colour = cut[..., :3] / np.maximum(alpha, 1 / 255)[..., None]
    image = np.concatenate([np.clip(colour, 0, 255), (alpha * keep)[..., None] * 255], 2)
    return Strip(np.rint(image).astype(np.uint8), start, end, half, length)


def _colour(rgb: Any, gain: float = 1.0) -> Colour:
    r, g, b = np.clip(np.asarray(rgb, float) * gain * 255, 0, 255).round(1).tolist()
    return b, g, r


def _hand_style(studio: _Studio, posed: Posed, picture: Picture, side: str) -> HandStyle:
    look = studio.person.look
    first = 15 if side == "left" else 36
    points = project(keypoints_3d(posed), studio.camera.matrix, PICTURE_PX, PICTURE_PX)
    world = keypoints_3d(posed)
    scale = float(np.hypot(*(points[2] - points[5])[:2]) / np.linalg.norm(world[2] - world[5]))
    palm = float(np.linalg.norm(world[first + 9] - world[first])) * scale
    bare = np.isin(picture.part, (13, 14)) & (picture.rgba[..., 3] > 250)
    toon = float(look.shading["toon"])
    if bare.sum() > 200:
        pixels = picture.rgba[bare][:, :3].astype(np.float32) / 255
        level = pixels.sum(1)
        light = np.median(pixels[level >= np.percentile(level, 70)], 0)
        dark = np.median(pixels[level <= np.percentile(level, 20)], 0)
    else:
        light = np.asarray(look.shading["skin"], float)
        dark = light * np.array([0.78, 0.66, 0.68])
    dark = np.minimum(dark, light * np.array([0.84, 0.74, 0.74]))
    direction = np.asarray(look.shading["L"], float) * np.array([1, -1, 1])
    light_x, light_y, light_z = (direction / np.linalg.norm(direction)).round(4).tolist()
    return HandStyle(
        round(palm, 2), _colour(light), _colour(dark), (light_x, light_y, light_z),
        nail_bgr=_colour(look.shading["nail"]), detail=0.25 if toon > 0.5 else 0.9, toon=round(toon * 0.9, 2),
        outline_bgr=_colour(look.shading["skin"], 0.28) if look.outline_px > 0 else None,
        outline_px=round(look.outline_px * PICTURE_PX / 640, 2), sleeve_end=2.0,
    )  # fmt: skip


def _arm(studio: _Studio, posed: Posed, side: str) -> ArmLayers:
    sign, joints = (1.0, (5, 6, 7)) if side == "left" else (-1.0, (2, 3, 4))
    picture = studio.draw(posed, (0.01, 9, sign))
    image = _bgra(picture)
    points = keypoints_px(posed, studio.camera.matrix, PICTURE_PX, PICTURE_PX)[:, :2]
    shoulder, elbow, wrist = (points[j] for j in joints)
    upper = _strip(image, shoulder, elbow, _STRIP_START, _STRIP_END, sign)
    # Bare or not, the forearm is drawn exactly; only the hand comes from the hand mesh.
    fore = _strip(_bgra(studio.draw(posed, (0.6, 2.0, sign))), elbow, wrist, -0.30, 1.04, 0)
    return ArmLayers(upper, fore, _hand_style(studio, posed, picture, side))


def export_preset(who: Character, assets: AssetFolder, root: Path, renderer: Renderer | None = None) -> Path:
    """Write one character as an avatar folder under ``root``; replaces an older one.

    Returns:
        The folder.

    Raises:
        ConfigError: there is another avatar of that name.
    """
    person = Person(build_look(who, assets))
    renderer = renderer or Renderer(PICTURE_PX, PICTURE_PX, SAMPLES)
    load_person(renderer, person)
    actions = who.actions()
    posed = _pose(person, actions, straight=False)
    camera = _camera(posed)
    state = FaceState(actions, (0.0, -0.02))
    values = {
        **person.look.shading,
        "eyepos": camera.eye,
        "gazeL": state.gaze_vector(),
        "gazeR": state.gaze_vector(),
    }
    studio = _Studio(who, person, renderer, camera, values)
    picture = studio.draw(posed)
    core = _mean([_bgra(studio.draw(posed, (-9, end, 0))) for end in _CORE_ENDS])
    hanging = _pose(person, actions, straight=True)
    layers = Layers(
        Size(PICTURE_PX, PICTURE_PX), core, None,
        _arm(studio, hanging, "left"), _arm(studio, hanging, "right"),
    )  # fmt: skip
    points = keypoints_px(posed, camera.matrix, PICTURE_PX, PICTURE_PX)
    points[:, 2] = 1.0
    keypoints = make_keypoints(
        Size(PICTURE_PX, PICTURE_PX),
        points,
        landmarks_px(posed, camera.matrix, PICTURE_PX, PICTURE_PX),
        who.name,
    )
    folder = root / who.name
    description, slot = "", 0
    if folder.is_dir():
        old = read_settings(folder / SETTINGS_FILE)
        if old.source != SOURCE:
            raise ConfigError(f"{folder} is not a preset of the factory: it stays as it is")
        description, slot = old.description, old.slot
        shutil.rmtree(folder)
    settings = AvatarSettings(
        name=who.title, licence=LICENCE, source=SOURCE, description=description, slot=slot,
        background=BackgroundSettings(kind="picture", colour=who.background, picture="background.jpg"),
    )  # fmt: skip
    folder.mkdir(parents=True)
    behind = backdrop(who.backdrop, who.background, zlib.crc32(who.name.encode()))
    jpeg = cv2.imencode(".jpg", behind, [cv2.IMWRITE_JPEG_QUALITY, 92])[1]
    (folder / "background.jpg").write_bytes(jpeg.tobytes())
    write_avatar(folder, settings, _bgra(picture), keypoints)
    save_layers(folder / LAYERS_FOLDER, layers)
    make_thumbnail(folder)
    return folder
