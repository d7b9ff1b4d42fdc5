"""B1 to B5: how the body looks beside the truth, how sharp and how calm it is, and what a frame costs."""

import itertools
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vcam_avatar import resources
from vcam_avatar.avatars.format import load_avatar
from vcam_avatar.avatars.layers_build import build_layers
from vcam_avatar.evaluation.body_compare import Sums, hand_boxes
from vcam_avatar.evaluation.body_flow import measure_flow
from vcam_avatar.evaluation.body_poses import sheet_poses
from vcam_avatar.evaluation.report import Result, not_measured
from vcam_avatar.media import ByteArray, FloatArray, Size
from vcam_avatar.stages.body import BodyGenerator, PreparedBody
from vcam_avatar.stages.body_background import extend
from vcam_avatar.stages.hands import load_hand_mesh

HELD_OUT_BODIES = "held_out_bodies.npz"
"""Synthetic people never trained on, two poses each, in ``vcam_avatar/assets``."""
_SIDE = 256
_WALL = (120, 120, 120)
_B1 = "L1 <= 0.02, PSNR >= 27, SSIM >= .90"
_B2 = "PSNR >= 24, SSIM >= .85"
_B4 = ">= 0.95 of the picture's"
_B5 = "0 in pixels that must not move"


def _identity_body(
    generator: BodyGenerator, picture: ByteArray, points: FloatArray, face: FloatArray, mask: ByteArray,
    scale: float, background: ByteArray | None,
) -> PreparedBody:  # fmt: skip
    """Layers of ``picture`` prepared for a frame that is the picture times ``scale``."""
    layers = build_layers(picture, points, face, mask)
    size = Size(round(picture.shape[1] * scale), round(picture.shape[0] * scale))
    view = np.array([[scale, 0, 0], [0, scale, 0]], np.float32)
    if background is None:
        assert layers.background_bgr is not None
        own = view.copy()
        own[:, :2] *= picture.shape[1] / layers.size.width_px
        background = extend(layers.background_bgr, own, size)
    return generator.prepare_layers(
        layers, points, face, view, size, background=background, picture_width_px=picture.shape[1],
        picture=picture if picture.shape[2] == 4 else np.dstack([picture, mask]),
    )  # fmt: skip


def _flat(rgba: Any) -> ByteArray:
    alpha = rgba[..., 3:].astype(np.float32) / 255
    return np.asarray(np.rint(rgba[..., 2::-1] * alpha + np.array(_WALL) * (1 - alpha)), np.uint8)


def _decode(data: Any) -> Any:
    bgra: Any = cv2.imdecode(np.asarray(data, np.uint8), cv2.IMREAD_UNCHANGED)
    return cv2.cvtColor(bgra, cv2.COLOR_BGRA2RGBA)


def measure_synthetic(generators: dict[str, BodyGenerator], limit: int) -> Result:
    """B1: unseen synthetic people from a source pose to a target pose at 256 px."""
    path = resources.asset_path(HELD_OUT_BODIES)
    sums = {name: Sums([]) for name in ("copy", *generators)}
    count = 0
    with np.load(path) as data:
        keypoints, marks = data["keypoints"], data["landmarks"]
        total = min(limit, len(keypoints))
        for i in range(total):
            source, target = _decode(data[f"source_{i}"]), _decode(data[f"target_{i}"])
            first, second = keypoints[i].astype(np.float32).copy()
            first[:, 2] = ((first[:, :2] > -20) & (first[:, :2] < _SIDE + 20)).all(1)
            truth, boxes = _flat(target), hand_boxes(second, target.shape)
            wall = np.full((_SIDE, _SIDE, 3), _WALL, np.uint8)
            sums["copy"].add(_flat(source), truth, boxes)
            bgra = np.ascontiguousarray(source[..., [2, 1, 0, 3]])
            for name, generator in generators.items():
                body = _identity_body(generator, bgra, first, marks[i, 0], source[..., 3], 1.0, wall)
                sums[name].add(generator.draw(body, second[:, :2]).image_bgr, truth, boxes)
            count += 1
    means = {name: s.means() for name, s in sums.items()}
    value = means["body"]
    holds = value["l1"] <= 0.02 and value["psnr"] >= 27 and value["ssim"] >= 0.90
    others: dict[str, Any] = {name: m for name, m in means.items() if name != "body"}
    return Result(value, "share, dB", _B1, holds, "synthetic people never trained on", count, others)


def measure_real(generators: dict[str, BodyGenerator], data: Path, limit: int) -> Result:
    """B2: a real person's held-out frames from one of them, moved by the tracked keypoints."""
    import av

    from vcam_avatar.avatars.analysis import PictureAnalyser
    from vcam_avatar.training.pose_sources import read_steady

    folder = data / "latentsync_people"
    if not (folder / "demo3_video.mp4").is_file():
        return not_measured("dB", _B2, f"{folder} is absent")
    points, _ = read_steady(folder / "demo3_holistic.npz")
    good = [t for t in range(450, len(points)) if np.isfinite(points[t]).all()]
    source_at = good[len(good) // 2]
    wanted = {source_at, *good[:: max(1, len(good) // limit)]}
    frames = {}
    with av.open(str(folder / "demo3_video.mp4")) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number in wanted:
                frames[number] = frame.to_ndarray(format="bgr24")[420:1500]
    offset = np.array([0, 420], np.float32)
    picture = np.ascontiguousarray(frames[source_at])
    found = PictureAnalyser().analyse(picture)
    known = np.concatenate([points[source_at] - offset, np.ones((57, 1), np.float32)], 1).astype(np.float32)
    scale = 0.5
    bodies = {
        name: _identity_body(g, picture, known, found.face_px, found.mask, scale, None)
        for name, g in generators.items()
    }
    sums = {name: Sums([]) for name in ("copy", *generators)}
    size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
    still = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    for t in sorted(set(frames) - {source_at}):
        truth = np.asarray(cv2.resize(frames[t], size, interpolation=cv2.INTER_AREA), np.uint8)
        boxes = hand_boxes((points[t] - offset) * scale, truth.shape)
        sums["copy"].add(still, truth, boxes)
        for name, generator in generators.items():
            body = bodies[name]
            body.reset()
            sums[name].add(generator.draw(body, points[t] - offset).image_bgr, truth, boxes)
    means = {name: s.means() for name, s in sums.items()}
    value = means["body"]
    others: dict[str, Any] = {name: m for name, m in means.items() if name != "body"}
    holds = value["psnr"] >= 24 and value["ssim"] >= 0.85
    return Result(
        value, "share, dB", _B2, holds, "demo3, 5 s never trained on, 540 px", len(frames) - 1, others
    )


def _presets() -> list[Path]:
    return sorted(p for p in resources.presets_dir().iterdir() if (p / "avatar.toml").is_file())


def measure_sharpness(generator: BodyGenerator, limit: int) -> Result:
    """B4: variance of the Laplacian on head and chest, moved by fractions of a pixel, over the picture's."""
    ratios = []
    size = Size(1280, 720)
    for folder in _presets()[:limit]:
        avatar = load_avatar(folder)
        body = generator.prepare(avatar, size)
        pose = np.array(body.retargeter.start_pose)
        pose[:, 0] += 0.004
        made = generator.generate(body, pose)
        truth = extend(avatar.picture_bgr, avatar.view(size), size)
        alpha = np.ascontiguousarray(np.repeat(avatar.person_alpha[..., None], 3, 2))
        inside = extend(alpha, avatar.view(size), size)[..., 0] > 250
        low, high = made.face_grid.reshape(-1, 2).min(0), made.face_grid.reshape(-1, 2).max(0)
        window = np.zeros(inside.shape, bool)
        middle, half = (low + high) / 2, (high - low) / 2
        window[
            max(0, int(low[1])) : int(high[1] + half[1]), int(middle[0] - half[0]) : int(middle[0] + half[0])
        ] = True
        window &= cv2.erode(inside.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
        if window.sum() < 400:
            continue
        ratios.append(_sharpness(made.image_bgr, window) / max(_sharpness(truth, window), 1e-6))
    value = round(float(np.median(ratios)), 3)
    spread = {"worst": round(float(min(ratios)), 3)}
    return Result(
        {"median": value, **spread}, "ratio", _B4, value >= 0.95, "presets at 1280x720", len(ratios)
    )


def _sharpness(image: ByteArray, window: Any) -> float:
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.float32)
    return float(cv2.Laplacian(grey, cv2.CV_32F)[window].var())


def measure_calm(generator: BodyGenerator, limit: int) -> Result:
    """B5: pixels away from a moving arm, and hands under tracking noise of half a pixel."""
    still, hands = [], []
    size = Size(1280, 720)
    rng = np.random.default_rng(2)
    for folder in _presets()[:limit]:
        body = generator.prepare(load_avatar(folder), size)
        pose = np.array(body.retargeter.start_pose)
        frames = []
        for _ in range(12):
            moved = pose.copy()
            moved[15:36, :2] += 0.02 * rng.normal()
            frames.append(generator.generate(body, moved).image_bgr.astype(np.int16))
        low = body.core.rest[2, 0]
        still.append(max(float(np.abs(a - b)[:, : int(low)].mean()) for a, b in itertools.pairwise(frames)))
        frames = []
        for _ in range(12):
            noisy = pose.copy()
            noisy[15:, :2] += rng.normal(0, 0.5 / body.core.unit, (42, 2))
            frames.append(generator.generate(body, noisy).image_bgr.astype(np.int16))
        changes = [np.abs(a - b) for a, b in itertools.pairwise(frames)]
        moving = [float(c[c.max(2) > 0].mean()) for c in changes if (c.max(2) > 0).any()]
        hands.append(float(np.mean(moving)) if moving else 0.0)
    value = {"still_levels": round(max(still), 4), "hand_noise_levels": round(float(np.mean(hands)), 2)}
    return Result(value, "grey levels", _B5, max(still) == 0, "presets, left hand moving", len(still))


def measure_cost(generator: BodyGenerator, frames: int) -> Result:
    """Time of a frame at 1280x720 on one thread: processor time, and wall time beside it."""
    avatar = load_avatar(_presets()[0])
    body = generator.prepare(avatar, Size(1280, 720))
    poses = list(sheet_poses(load_hand_mesh(resources.models_dir() / "hand_mesh.npz")).values())
    own, wall = [], []
    for k in range(frames):
        a, b, t = poses[k // 8 % len(poses)], poses[(k // 8 + 1) % len(poses)], (k % 8) / 8
        pose = (a * (1 - t) + b * t).astype(np.float32)
        start, start_own = time.perf_counter(), time.thread_time()
        generator.generate(body, pose)
        own.append((time.thread_time() - start_own) * 1e3)
        wall.append((time.perf_counter() - start) * 1e3)
    value = {
        "processor_p50": round(float(np.percentile(own[5:], 50)), 2),
        "processor_p95": round(float(np.percentile(own[5:], 95)), 2),
        "wall_p50": round(float(np.percentile(wall[5:], 50)), 2),
    }
    return Result(value, "ms", "<= 14 a frame", value["processor_p50"] <= 14, avatar.name, frames)


def measure(data: Path, quick: bool = False) -> dict[str, Result]:
    """All measures of the body; ``quick`` looks at a few pictures only."""
    generator = BodyGenerator()
    generators = {"body": generator}
    generators["part warps only"] = BodyGenerator(refine=False, parts_only=True, fields=False)
    generators["bent by joints alone"] = BodyGenerator(refine=False, fields=False)
    if generator.refines:
        generators["without the refiner"] = BodyGenerator(refine=False)
    results = {}
    try:
        results["B1"] = measure_synthetic(generators, 4 if quick else 1000)
    except FileNotFoundError as exc:
        results["B1"] = not_measured("share, dB", _B1, f"{exc} is absent")
    results["B1 flow"] = measure_flow()
    results["B2"] = measure_real(generators, data, 4 if quick else 24)
    count = 2 if quick else 12
    results["B4"] = measure_sharpness(generator, count)
    results["B5 body"] = measure_calm(generator, count)
    results["body frame"] = measure_cost(generator, 40 if quick else 200)
    return results
