"""What colour the person's skin has in light and in shade."""

import itertools
from typing import Any

import cv2
import numpy as np

from vcam_avatar.avatars.layers_fill import distance_to_bone
from vcam_avatar.avatars.layers_scene import ArmSeen, Scene

_ENOUGH = 120
"""Pixels of fingers that say what skin looks like."""


def read_skin(scene: Scene, arms: list[ArmSeen]) -> dict[str, Any]:
    """Colours of skin: from the hands where they are seen, else from the face."""
    mask = np.zeros(scene.person.shape, bool)
    for arm in arms:
        if arm.hand_seen:
            for finger in range(5):
                chain = [0, *range(1 + 4 * finger, 5 + 4 * finger)]
                for a, b in itertools.pairwise(chain):
                    mask |= distance_to_bone(scene.grid, arm.hand[a], arm.hand[b])[0] < 0.05 * arm.palm_px
    face = scene.face
    cheeks = np.zeros(scene.person.shape, bool)
    width = float(np.hypot(*(face[45] - face[36])))
    sides = []
    for a, b in ((31, 2), (35, 14)):
        centre = face[a] * 0.45 + face[b] * 0.55
        disc = np.hypot(*np.moveaxis(scene.grid - centre, -1, 0)) < 0.13 * width
        cheeks |= disc
        sides.append(float(scene.picture[disc].mean()) if disc.any() else 128.0)
    pixels = scene.picture[mask & scene.person]
    face_pixels = scene.picture[cheeks & scene.person]
    if len(face_pixels) < 10:
        face_pixels = np.array([[140.0, 165.0, 215.0]], np.float32)
    face_colour = np.median(face_pixels, 0)
    pixels = _like(pixels, face_colour)
    if len(pixels) < _ENOUGH:
        # Sleeves and pale clothes are taken for skin more easily here than on fingers.
        limbs = np.zeros(scene.person.shape, bool)
        for arm in arms:
            if arm.upper_seen:
                limbs |= distance_to_bone(scene.grid, arm.elbow, arm.wrist)[0] < 0.4 * arm.elbow_radius
                to_bone, along, _ = distance_to_bone(scene.grid, arm.shoulder, arm.elbow)
                limbs |= (to_bone < 0.4 * arm.elbow_radius) & (along > 0.5)
        shown = scene.picture[limbs & scene.person]
        bare = _like(shown, face_colour)
        if len(bare) > 0.25 * len(shown):
            pixels = np.concatenate([pixels, bare])
    if len(pixels) < 60:
        pixels = face_pixels
    order = pixels.sum(1).argsort()
    bright = pixels[order[int(0.55 * len(order)) : max(int(0.95 * len(order)), 1)]].mean(0)
    dark = pixels[order[int(0.04 * len(order)) : max(int(0.2 * len(order)), 1)]].mean(0)
    # Hands in shade still have to go with the face.
    bright = np.clip(bright, 0.92 * face_colour, 1.12 * face_colour)
    dark = np.clip(dark, 0.42 * bright, 0.66 * bright * np.array([0.9, 0.97, 1.08]))
    balance = float(np.clip((sides[1] - sides[0]) / max(sum(sides), 1), -0.25, 0.25))
    light = np.array([3.0 * balance, -0.5, 0.85])
    light /= np.linalg.norm(light)
    return {"skin": bright, "shadow": dark, "light": light}


def read_arm_skin(scene: Scene, arms: list[ArmSeen], hand_bgr: Any, sleeve_end: float) -> Any:
    """Colour of bare arms in light where enough of them is seen beyond ``sleeve_end``, else the hand's.

    Hands are often redder than arms: with the arms drawn in the hands' colour nobody would look the same.
    """
    bare = np.zeros(scene.person.shape, bool)
    hands = np.zeros(scene.person.shape, np.uint8)
    for arm in arms:
        if arm.upper_seen:
            to_bone, along, _ = distance_to_bone(scene.grid, arm.shoulder, arm.elbow)
            bare |= (to_bone < 0.75 * arm.elbow_radius) & (along > sleeve_end + 0.12) & (along < 1)
            to_bone, along, _ = distance_to_bone(scene.grid, arm.elbow, arm.wrist)
            bare |= (to_bone < 0.5 * arm.elbow_radius) & (along > sleeve_end - 0.9) & (along < 0.85)
        for point in arm.hand:
            x, y = np.rint(point).astype(int).tolist()
            cv2.circle(hands, (x, y), round(0.35 * arm.palm_px), 1, -1)
    shown = scene.picture[bare & scene.person & (hands == 0)]
    pixels = _like(shown, np.asarray(hand_bgr))
    if len(pixels) < max(_ENOUGH, 0.4 * len(shown)):
        return hand_bgr
    order = pixels.sum(1).argsort()
    bright = pixels[order[int(0.75 * len(order)) : max(int(0.97 * len(order)), 1)]].mean(0)
    return np.clip(bright, 0.92 * hand_bgr, 1.2 * hand_bgr)


def _like(pixels: Any, face_colour: Any) -> Any:
    """Those of ``pixels`` that could be skin of that face: rings and what is seen between fingers are not."""
    ratio = np.log((pixels + 8) / (pixels.sum(1, keepdims=True) + 24)) - np.log(
        (face_colour + 8) / (face_colour.sum() + 24)
    )
    light = pixels.sum(1) / max(float(face_colour.sum()), 1.0)
    return pixels[(np.abs(ratio).max(1) < 0.2) & (light > 0.3) & (light < 1.25)]
