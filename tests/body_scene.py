"""A drawn person whose parts are known exactly."""

import cv2
import numpy as np

from vcam_avatar.avatars.keypoints import make_keypoints
from vcam_avatar.media import Size
from vcam_avatar.stages.pose_layout import rest_pose

WIDTH, HEIGHT, UNIT = 480, 400, 130.0
SKIN, CLOTH, WALL = (120, 150, 210), (140, 90, 40), (90, 130, 90)


def points() -> np.ndarray:
    """The canonical person at rest in pixels, float32 (57, 3), elbows a little away from the body."""
    pose = np.array(rest_pose())
    pose[[3, 6], 0] *= 1.25
    pose[:, :2] = pose[:, :2] * UNIT + [WIDTH / 2, 150]
    return pose.astype(np.float32)


def landmarks() -> np.ndarray:
    """iBUG-68 face landmarks around the nose: only brows, eyes, mouth and chin lie where they should."""
    nose = points()[0, :2]
    angle = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    face = np.zeros((68, 2), np.float32)
    face[:17] = nose + np.stack(
        [np.cos(np.linspace(np.pi, 0, 17)) * 30, np.sin(np.linspace(np.pi, 0, 17)) * 42], 1
    )
    face[17:27] = nose + np.stack([np.linspace(-24, 24, 10), np.full(10, -24.0)], 1)
    face[27:36] = nose
    face[36:42] = nose + np.array([-13, -14]) + np.stack([np.cos(angle[::2]) * 5, np.sin(angle[::2]) * 2], 1)
    face[42:48] = nose + np.array([13, -14]) + np.stack([np.cos(angle[::2]) * 5, np.sin(angle[::2]) * 2], 1)
    face[48:60] = nose + np.array([0, 18]) + np.stack([np.cos(angle) * 11, np.sin(angle) * 4], 1)
    face[60:] = nose + np.array([0, 18])
    return face


def draw(arms: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Picture uint8 (H, W, 3) and person mask uint8 (H, W), with or without arms."""
    p = points()[:, :2]
    image = np.full((HEIGHT, WIDTH, 3), WALL, np.uint8)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    rng = np.random.default_rng(3)

    def both(paint, colour):
        paint(image, colour)
        paint(mask, 255)

    torso = np.array([p[2] + [-6, -16], p[5] + [6, -16], p[10] + [6, 90], p[9] + [-6, 90]]).astype(np.int32)
    both(lambda t, c: cv2.fillPoly(t, [torso], c), CLOTH)
    both(lambda t, c: cv2.ellipse(t, (int(p[0, 0]), int(p[0, 1]) - 4), (34, 46), 0, 0, 360, c, -1), SKIN)
    both(lambda t, c: cv2.line(t, p[0].astype(int).tolist(), p[1].astype(int).tolist(), c, 26), SKIN)
    if arms:
        for s, e, w, h in ((2, 3, 4, 36), (5, 6, 7, 15)):
            both(
                lambda t, c, s=s, e=e: cv2.line(
                    t, p[s].astype(int).tolist(), p[e].astype(int).tolist(), c, 36
                ),
                CLOTH,
            )
            both(
                lambda t, c, e=e, w=w: cv2.line(
                    t, p[e].astype(int).tolist(), p[w].astype(int).tolist(), c, 26
                ),
                SKIN,
            )
            for tip in (4, 8, 12, 16, 20):
                a, b = p[h].astype(int).tolist(), p[h + tip].astype(int).tolist()
                both(lambda t, c, a=a, b=b: cv2.line(t, a, b, c, 8), SKIN)
    grain = rng.normal(0, 3, image.shape)
    for x, y in landmarks()[36:60].astype(int):
        cv2.circle(image, (int(x), int(y)), 2, (40, 40, 60), -1)
    return np.clip(image + grain, 0, 255).astype(np.uint8), mask


def keypoints():
    """As an avatar holds them."""
    return make_keypoints(Size(WIDTH, HEIGHT), points(), landmarks())
