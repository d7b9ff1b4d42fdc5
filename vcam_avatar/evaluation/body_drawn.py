"""Unseen synthetic people: drawings of several styles, and photo-like ones from the side."""

from pathlib import Path

import cv2
import numpy as np

from vcam_avatar.factory.assets import AssetFolder
from vcam_avatar.factory.backdrops import backdrop
from vcam_avatar.factory.bodies import BodyShot
from vcam_avatar.factory.expressions import neutral_face
from vcam_avatar.factory.faces import load_person
from vcam_avatar.factory.person import Posed
from vcam_avatar.factory.renderer import Renderer, look_at, perspective
from vcam_avatar.factory.scene import Camera, frame_camera
from vcam_avatar.media import ByteArray

_SIDE_PX = 768
_STYLES = ("line", "flat", "painted")
_FOV_RAD = 0.30
_SEED = 991_001
"""No training set uses it."""


def drawn_pictures(assets: Path | None) -> dict[str, ByteArray]:
    """Three kinds of drawings from the front, a photo-like one from the side."""
    renderer, folder = Renderer(_SIDE_PX, _SIDE_PX, 2), AssetFolder(assets)
    wall = backdrop("office", "#8090a0", 1)
    left = (wall.shape[1] - wall.shape[0]) // 2
    behind = cv2.resize(wall[:, left : left + wall.shape[0]], (_SIDE_PX, _SIDE_PX)).astype(np.float32)
    out = {}
    for index, style in enumerate((*_STYLES, "photo", "photo")):
        shot = BodyShot(np.random.default_rng([_SEED, index, 2]), style, folder, _SIDE_PX)
        load_person(renderer, shot.person)
        state = neutral_face(shot.gaze)
        posed = shot.pose(shot.first, state)
        name = style
        if style == "photo":
            turn = (45, 85)[index - len(_STYLES)]
            shot.camera, name = _from_the_side(posed, np.deg2rad(turn)), f"turned-{turn}"
        rgba = shot.draw(renderer, posed, state).rgba.astype(np.float32)
        alpha = rgba[..., 3:] / 255
        out[name] = np.asarray(np.rint(rgba[..., 2::-1] * alpha + behind * (1 - alpha)), np.uint8)
    return out


def _from_the_side(posed: Posed, yaw_rad: float) -> Camera:
    """The usual camera, gone around the person."""
    front = frame_camera(posed)
    distance = 0.6 / 1.7 / front.depth_per_dm
    at = front.eye - distance * front.view
    view = np.array([np.sin(yaw_rad), 0.0, np.cos(yaw_rad)])
    eye = at + distance * view
    matrix = perspective(_FOV_RAD, 1.0, distance * 0.3, distance * 2) @ look_at(eye, at)
    return Camera(
        matrix.astype(np.float32), eye.astype(np.float32), view.astype(np.float32), front.depth_per_dm
    )
