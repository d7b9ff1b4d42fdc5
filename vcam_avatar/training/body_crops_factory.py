"""Pairs for the hand refiner from the factory: many skins, lights and styles, exact points.

The same pairs as ``body_crops`` makes from videos: the hand mesh drawn where a rendered hand is, beside the
rendering itself, over a made-up background.
"""

import argparse
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from vcam_avatar.factory.shards import Sample, ShardFolder
from vcam_avatar.factory.truth import PARTS
from vcam_avatar.media import ByteArray
from vcam_avatar.stages.body_paint import HandPainter, over
from vcam_avatar.stages.body_refine import crop_box
from vcam_avatar.stages.hands import HandMesh, bone_matrices, load_hand_mesh
from vcam_avatar.training.body_crops import CROP_PX, FADE, Fitted, fit_hands, grey_ramp, regress_ramp
from vcam_avatar.training.body_lift import HandLift, Kinematics, load_lift

_LIGHT = (-0.1, -0.6, 0.8)
_CANVAS_PX = 224
"""The rendered crops are a little narrower than the refiner's: room around them."""
_HAND = PARTS.index("hand")


def random_backdrop(rng: np.random.Generator, size: int) -> ByteArray:
    """Cloth, wall or blurred room: uint8 ``(size, size, 3)``."""
    coarse = rng.integers(20, 240, 3) + rng.normal(
        0, 30, (int(rng.integers(2, 6)), int(rng.integers(2, 6)), 3)
    )
    image = cv2.resize(coarse.astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
    image += rng.normal(0, rng.uniform(0, 4), (size, size, 1)).astype(np.float32)
    return np.clip(image, 0, 255).astype(np.uint8)


def _pad(picture: Any) -> Any:
    edge = (_CANVAS_PX - picture.shape[0]) // 2
    return cv2.copyMakeBorder(picture, edge, edge, edge, edge, cv2.BORDER_CONSTANT)


def sample_pairs(
    sample: Sample, mesh: HandMesh, lift: HandLift, hand: Kinematics, rng: np.random.Generator
) -> tuple[list[ByteArray], list[ByteArray], list[float]]:
    """``drawn`` BGR + alpha, ``real`` BGR and fit errors of one person's views."""
    drawn: list[ByteArray] = []
    real: list[ByteArray] = []
    errors: list[float] = []
    painter = HandPainter(mesh)
    names = sorted(sample.pictures)
    rgba = [_pad(sample.pictures[name]) for name in names]
    parts = [_pad(part) for part in sample.arrays["parts"]]
    edge = (_CANVAS_PX - sample.pictures[names[0]].shape[0]) // 2
    fits: list[tuple[Fitted, bool, Any]] = []
    for side, mirror in ((1, False), (-1, True)):
        rows = np.nonzero(sample.arrays["side"] == side)[0]
        points = sample.arrays["points"][rows].astype(np.float32) + edge
        fit = fit_hands(
            lift, hand, points, np.full((len(rows), 2), np.nan, np.float32), mirror, 200, video=False
        )
        fits.append((fit, mirror, rows))
    size = (_CANVAS_PX, _CANVAS_PX)

    def place(fit: Fitted, row: int, mirror: bool, ramp: Any) -> Any:
        matrices = bone_matrices(mesh, fit.rotation[row], fit.angles[row])
        wrist = (float(fit.wrist_px[row, 0]), float(fit.wrist_px[row, 1]))
        painter.pose(matrices, mirror, wrist, float(fit.palm_px[row]), ramp)
        return matrices, painter.draw(size, FADE)

    samples = []
    grey = grey_ramp(_LIGHT)
    for fit, mirror, rows in fits:
        for row, view in enumerate(rows):
            _, painted = place(fit, row, mirror, grey)
            if painted is None or fit.error[row] > 0.08:
                continue
            h, w = painted.image_bgra.shape[:2]
            box = np.s_[painted.top_px : painted.top_px + h, painted.left_px : painted.left_px + w]
            inside = (painted.image_bgra[..., 3] > 250) & (parts[view][box] == _HAND)
            bgr = rgba[view][box][..., 2::-1]
            samples.append((painted.image_bgra[inside][::3, 0].copy(), bgr[inside][::3].copy()))
    if sum(len(b) for b, _ in samples) < 300:
        return drawn, real, errors
    ramp = regress_ramp(samples, _LIGHT)
    for fit, mirror, rows in fits:
        for row, view in enumerate(rows):
            if fit.error[row] > 0.08:
                continue
            matrices, painted = place(fit, row, mirror, ramp)
            if painted is None:
                continue
            wall = random_backdrop(rng, _CANVAS_PX)
            bgra = cv2.cvtColor(rgba[view], cv2.COLOR_RGBA2BGRA)
            alpha = bgra[..., 3:].astype(np.float32) / 255
            truth = (bgra[..., :3] * alpha + wall * (1 - alpha)).astype(np.uint8)
            is_hand = cv2.dilate((parts[view] == _HAND).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
            rest = np.where(is_hand[..., None], 0, alpha)
            below = (bgra[..., :3] * rest + wall * (1 - rest)).astype(np.uint8)
            over(below, painted.image_bgra, painted.left_px, painted.top_px)
            mask = np.zeros((_CANVAS_PX, _CANVAS_PX), np.uint8)
            h, w = painted.hand.shape
            mask[painted.top_px : painted.top_px + h, painted.left_px : painted.left_px + w] = painted.hand
            knuckle = (matrices[8, :2, :3] @ mesh.joints[8] + matrices[8, :2, 3]) * [-1 if mirror else 1, 1]
            wrist = fit.wrist_px[row]
            left, top, length = crop_box(wrist, wrist + knuckle * fit.palm_px[row], float(fit.palm_px[row]))
            if left < 0 or top < 0 or left + length > _CANVAS_PX - 1 or top + length > _CANVAS_PX - 1:
                continue
            cut = np.s_[int(top) : int(top + length) + 1, int(left) : int(left + length) + 1]
            both = np.concatenate([below, mask[..., None], truth], -1)[cut]
            both = np.asarray(cv2.resize(both, (CROP_PX, CROP_PX), interpolation=cv2.INTER_LINEAR), np.uint8)
            drawn.append(both[..., :4].copy())
            real.append(both[..., 4:].copy())
            errors.append(float(fit.error[row]))
    return drawn, real, errors


def main(argv: list[str] | None = None) -> int:
    """Build ``factory_*.npz`` beside the pairs from videos."""
    parser = argparse.ArgumentParser(description="Pairs for the hand refiner from the factory's hands.")
    parser.add_argument("hands", type=Path, help="folder of a 'factory hands' data set")
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--lift", type=Path, default=Path(".work/hand_lift/checkpoint.pt"))
    parser.add_argument("--out", type=Path, default=Path(".work/hand_pairs"))
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    lift = load_lift(options.lift)
    mesh = load_hand_mesh(options.models / "hand_mesh.npz")
    hand, rng = Kinematics(mesh), np.random.default_rng(1)
    stored: dict[str, list[Any]] = {"drawn": [], "real": [], "error": []}
    for sample in ShardFolder(options.hands):
        if float(sample.meta["style"]) > 0.5:  # drawings: the refiner is for photos
            continue
        drawn, real, errors = sample_pairs(sample, mesh, lift, hand, rng)
        stored["drawn"] += drawn
        stored["real"] += real
        stored["error"] += errors
    arrays: dict[str, Any] = {key: np.array(value) for key, value in stored.items()}
    # No two of them are neighbours in time.
    arrays["frame"] = np.arange(len(stored["error"])) * 10
    np.savez(options.out / "factory_hands.npz", **arrays)
    print(len(stored["error"]), "pairs", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
