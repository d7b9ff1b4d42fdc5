"""Pairs for the hand refiner: the hand mesh drawn where a real hand is, and the real hand.

Frames of real videos with tracked hand points. The mesh is posed by the lift network and then fitted to the
points; its colours are regressed from the frames; the real hand is painted over by its surroundings and the
mesh drawn in its place. What the refiner sees at run time, with the truth beside it.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from vcam_avatar.media import ByteArray, FloatArray
from vcam_avatar.stages.body_paint import HAND_FROM, HAND_WHOLE, HandPainter, Painted, Ramp, make_ramp, over
from vcam_avatar.stages.body_refine import crop_box
from vcam_avatar.stages.hands import HandMesh, bone_matrices, forearm_matrix, load_hand_mesh
from vcam_avatar.training.body_lift import FOREARM_PALMS, HandLift, Kinematics, load_lift

CROP_PX = 128
"""Side of the stored crops."""
FADE = (HAND_FROM, HAND_WHOLE)
HELD_OUT = {"demo3": 450}
"""Frames from this one on are never trained on."""


@dataclass
class Fitted:
    """Hands of one side of one video."""

    frames: Any
    """int ``(n,)`` frame numbers."""
    rotation: FloatArray
    angles: FloatArray
    wrist_px: FloatArray
    palm_px: FloatArray
    elbow_px: FloatArray
    """float32 ``(n, 2)``, NaN where unknown."""
    error: FloatArray
    """Mean distance of the points after fitting, palm lengths."""


def fit_hands(
    lift: HandLift, hand: Kinematics, points: FloatArray, elbow: FloatArray, mirror: bool, rounds: int = 250,
    video: bool = True,
) -> Fitted:  # fmt: skip
    """Pose the mesh on tracked points ``(T, 21, 2)`` in pixels, NaN where nothing was found.

    ``elbow`` ``(T, 2)`` gives the forearm's direction, NaN: unknown. ``video``: neighbours look alike.
    """
    good = np.nonzero(np.isfinite(points).all((1, 2)))[0]
    xy = points[good].astype(np.float32)
    wrist = xy[:, 0].copy()
    palm = float(np.percentile(np.linalg.norm(xy[:, 9] - wrist, axis=1), 85))
    flat = (xy - wrist[:, None]) / palm * np.array([-1 if mirror else 1, 1], np.float32)
    target = torch.from_numpy(flat)
    arm = towards_elbow(wrist, elbow[good], palm, mirror)
    with torch.no_grad():
        rotation, angles = lift(target, torch.from_numpy(arm))
    six = torch.cat([rotation[:, :, 0], rotation[:, :, 1]], 1).clone().requires_grad_(True)
    start_angles = angles.clone()
    bend = angles.clone().requires_grad_(True)
    scale = torch.zeros(len(target), 1, 1, requires_grad=True)
    shift = torch.zeros(len(target), 1, 2, requires_grad=True)
    optimiser = torch.optim.Adam([six, bend, scale, shift], lr=0.02)

    def pose() -> tuple[Any, Any, Any]:
        first = torch.nn.functional.normalize(six[:, :3], dim=1)
        second = six[:, 3:] - (first * six[:, 3:]).sum(1, keepdim=True) * first
        second = torch.nn.functional.normalize(second, dim=1)
        matrix = torch.stack([first, second, torch.linalg.cross(first, second)], 2)
        limited = torch.minimum(torch.maximum(bend, lift.lower), lift.upper)
        seen = hand(matrix, limited)[..., :2] * torch.exp(scale) + shift
        return matrix, limited, seen

    for _ in range(rounds):
        _, _, seen = pose()
        loss = (seen - target).abs().mean() * 10 + ((bend - start_angles) ** 2).mean() * 0.3
        loss = loss + (scale**2).mean() * 0.5 + (shift**2).mean() * 3
        if video:
            loss = loss + ((bend[1:] - bend[:-1]) ** 2).mean() * 0.3 + ((scale[1:] - scale[:-1]) ** 2).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        matrix, limited, seen = pose()
        error = (seen - target).norm(dim=-1).mean(1)
        sign = np.array([-1 if mirror else 1, 1], np.float32)
        return Fitted(
            good, matrix.numpy(), limited.numpy(), wrist + shift[:, 0].numpy() * palm * sign,
            (torch.exp(scale)[:, 0, 0] * palm).numpy(), elbow[good].astype(np.float32), error.numpy(),
        )  # fmt: skip


def towards_elbow(wrist: FloatArray, elbow: FloatArray, palm_px: Any, mirror: bool) -> FloatArray:
    """Unit vectors ``(n, 3)`` in left-hand space; what looks short points at the viewer."""
    flat = (elbow - wrist) / (np.reshape(palm_px, (-1, 1)) * FOREARM_PALMS) * [-1 if mirror else 1, 1]
    depth = np.sqrt(np.clip(1 - (flat**2).sum(1), 0, None))
    out = np.concatenate([flat, depth[:, None]], 1)
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    return np.asarray(np.nan_to_num(out), np.float32)


def regress_ramp(samples: list[tuple[ByteArray, ByteArray]], light: tuple[float, float, float]) -> Ramp:
    """Colours by brightness from (brightness, real BGR) pixel lists: a line per channel, robustly."""
    brightness = np.concatenate([b for b, _ in samples]).astype(np.float32) / 255
    colour = np.concatenate([c for _, c in samples]).astype(np.float32)
    keep = (brightness > 0.2) & (colour.sum(1) > 60)
    brightness, colour = brightness[keep], colour[keep]
    design = np.stack([np.ones_like(brightness), brightness], 1)
    weight = np.ones(len(colour), np.float32)
    line = np.zeros((2, 3), np.float32)
    for _ in range(8):
        left = (design * weight[:, None]).T @ design + np.eye(2) * 1e-3
        line = np.linalg.solve(left, (design * weight[:, None]).T @ colour).astype(np.float32)
        residual = np.abs(colour - design @ line).max(1)
        weight = 1 / (1 + (residual / 18) ** 2)
    skin, shadow = line[0] + 0.85 * line[1], line[0] + 0.25 * line[1]
    return make_ramp(tuple(skin), tuple(np.maximum(shadow, 0.35 * skin)), light)


class VideoHands:
    """One video: both hands fitted, drawn on demand."""

    def __init__(self, data: Path, name: str, lift: HandLift, mesh: HandMesh) -> None:
        track = np.load(data / "latentsync_people" / f"{name}_holistic.npz")
        size = np.array([float(track["width"]), float(track["height"])], np.float32)
        hand = Kinematics(mesh)
        self.name, self._mesh = name, mesh
        self.video = data / "latentsync_people" / f"{name}_video.mp4"
        self.fits = {
            side: fit_hands(
                lift,
                hand,
                track[key][..., :2].astype(np.float32) * size,
                track["pose"][:, elbow, :2].astype(np.float32) * size,
                side == "right",
            )
            for side, key, elbow in (("left", "lhand", 13), ("right", "rhand", 14))
        }
        self._painter = HandPainter(mesh)

    def paint(self, side: str, row: int, ramp: Ramp, size: tuple[int, int]) -> Painted | None:
        """Draw hand number ``row`` of ``side``."""
        fit = self.fits[side]
        arm = towards_elbow(
            fit.wrist_px[row : row + 1], fit.elbow_px[row : row + 1], fit.palm_px[row], side == "right"
        )
        lower = forearm_matrix(self._mesh, fit.rotation[row], arm[0], 1.0, 1.0)
        matrices = bone_matrices(self._mesh, fit.rotation[row], fit.angles[row], lower)
        wrist = (float(fit.wrist_px[row, 0]), float(fit.wrist_px[row, 1]))
        self._painter.pose(matrices, side == "right", wrist, float(fit.palm_px[row]), ramp)
        return self._painter.draw(size, FADE)


def grey_ramp(light: tuple[float, float, float]) -> Ramp:
    """Brightness itself as colour."""
    ramp = make_ramp((255, 255, 255), (0, 0, 0), light, 0.0)
    return Ramp(np.repeat(np.arange(256, dtype=np.float32)[:, None], 3, 1), ramp.light, 0.0)


def frames(path: Path) -> Any:
    """Yield (number, BGR) of a video."""
    import av

    with av.open(str(path)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            yield number, frame.to_ndarray(format="bgr24")


def build(data: Path, out: Path, mesh: HandMesh, lift: HandLift, names: tuple[str, ...]) -> None:
    """Write one ``.npz`` per video and side: ``drawn`` BGR + alpha, ``real`` BGR, ``frame``, ``error``."""
    light = (-0.1, -0.6, 0.8)
    for name in names:
        video = VideoHands(data, name, lift, mesh)
        apart = _apart(video)
        ramp = _video_ramp(video, light, apart)
        rows = {side: {int(f): i for i, f in enumerate(fit.frames)} for side, fit in video.fits.items()}
        stored: dict[str, dict[str, list[Any]]] = {
            side: {"drawn": [], "real": [], "frame": [], "error": []} for side in rows
        }
        for number, picture in frames(video.video):
            for side, table in rows.items():
                row = table.get(number)
                if row is None or not apart.get((side, number), False):
                    continue
                pair = _pair(video, side, row, ramp, picture)
                if pair is None:
                    continue
                for key, value in zip(("drawn", "real"), pair, strict=True):
                    stored[side][key].append(value)
                stored[side]["frame"].append(number)
                stored[side]["error"].append(float(video.fits[side].error[row]))
        for side, lists in stored.items():
            if lists["frame"]:
                arrays: dict[str, Any] = {key: np.array(value) for key, value in lists.items()}
                np.savez(out / f"{name}_{side}.npz", **arrays)
            print(name, side, len(lists["frame"]), "pairs", flush=True)


def _apart(video: VideoHands) -> dict[tuple[str, int], bool]:
    """Hands that were fitted well and do not touch the other one."""
    places = {
        side: {int(f): fit.wrist_px[i] for i, f in enumerate(fit.frames)} for side, fit in video.fits.items()
    }
    out = {}
    for side, fit in video.fits.items():
        other = places["right" if side == "left" else "left"]
        for i, f in enumerate(fit.frames):
            far = (
                int(f) not in other
                or float(np.linalg.norm(other[int(f)] - fit.wrist_px[i])) > 1.6 * fit.palm_px[i]
            )
            near = fit.palm_px[i] < 1.25 * np.median(fit.palm_px)
            out[side, int(f)] = bool(far and near and fit.error[i] < 0.075)
    return out


def _video_ramp(
    video: VideoHands, light: tuple[float, float, float], apart: dict[tuple[str, int], bool]
) -> Ramp:
    grey = grey_ramp(light)
    samples: list[tuple[ByteArray, ByteArray]] = []
    for number, picture in frames(video.video):
        if number % 12:
            continue
        for side, fit in video.fits.items():
            found = np.nonzero(fit.frames == number)[0]
            if len(found) == 0 or not apart.get((side, number), False):
                continue
            drawn = video.paint(side, int(found[0]), grey, (picture.shape[1], picture.shape[0]))
            if drawn is None:
                continue
            height, width = drawn.image_bgra.shape[:2]
            real = picture[drawn.top_px : drawn.top_px + height, drawn.left_px : drawn.left_px + width]
            inside = cv2.erode(drawn.image_bgra[..., 3], np.ones((9, 9), np.uint8)) > 250
            samples.append((drawn.image_bgra[inside][::7, 0].copy(), real[inside][::7].copy()))
    return regress_ramp(samples, light)


def _pair(
    video: VideoHands, side: str, row: int, ramp: Ramp, picture: ByteArray
) -> tuple[ByteArray, ByteArray] | None:
    fit = video.fits[side]
    matrices = bone_matrices(video._mesh, fit.rotation[row], fit.angles[row])
    knuckle = matrices[8, :2, :3] @ video._mesh.joints[8] + matrices[8, :2, 3]
    knuckle = knuckle * [-1 if side == "right" else 1, 1] * fit.palm_px[row] + fit.wrist_px[row]
    left, top, length = crop_box(fit.wrist_px[row], knuckle, float(fit.palm_px[row]))
    height, width = picture.shape[:2]
    if left < 0 or top < 0 or left + length > width or top + length > height:
        return None
    drawn = video.paint(side, row, ramp, (width, height))
    if drawn is None:
        return None
    layer = np.zeros((height, width, 4), np.uint8)
    layer[
        drawn.top_px : drawn.top_px + drawn.image_bgra.shape[0],
        drawn.left_px : drawn.left_px + drawn.image_bgra.shape[1],
    ] = drawn.image_bgra
    box = np.s_[int(top) : int(top + length) + 1, int(left) : int(left + length) + 1]

    def cut(image: ByteArray) -> ByteArray:
        return np.asarray(cv2.resize(image[box], (CROP_PX, CROP_PX), interpolation=cv2.INTER_AREA), np.uint8)

    real, small = cut(picture), cut(layer)
    hidden = cv2.dilate((small[..., 3] > 8).astype(np.uint8), np.ones((13, 13), np.uint8))
    behind = np.asarray(cv2.inpaint(real, hidden, 4, cv2.INPAINT_TELEA), np.uint8)
    over(behind, np.ascontiguousarray(small), 0, 0)
    both: ByteArray = np.concatenate([behind, small[..., 3:]], -1)
    return both, real


def main(argv: list[str] | None = None) -> int:
    """Build the pairs from ``latentsync_people``."""
    parser = argparse.ArgumentParser(description="Pairs for the hand refiner.")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--lift", type=Path, default=Path(".work/hand_lift/checkpoint.pt"))
    parser.add_argument("--out", type=Path, default=Path(".work/hand_pairs"))
    parser.add_argument("--videos", nargs="+", default=["demo3", "demo2", "demo1"])
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    lift = load_lift(options.lift)
    mesh = load_hand_mesh(options.models / "hand_mesh.npz")
    build(options.data, options.out, mesh, lift, tuple(options.videos))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
