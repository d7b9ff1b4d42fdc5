"""How one person bends: optical flow from what is drawn to what is true, as a function of the pose.

A ridge regression for every node of a grid, weighted by how well the flow is known there; it starts from
whatever bends the avatar already, so that nothing is learnt where that is right.
"""

from typing import Any

import cv2
import numpy as np

from vcam_avatar.avatars.learnt import FEATURES, MotionTable
from vcam_avatar.media import ByteArray, FloatArray
from vcam_avatar.stages.body import PreparedBody
from vcam_avatar.stages.body_learnt import features, grid_places
from vcam_avatar.training.learn_scene import Scene

NODES = 40
_RIDGE = 2.0
"""Frames' worth of doubt in every feature."""
_AGREE_PX = 1.0
"""Flow there and back again may miss by this."""
_FARTHEST = 0.15
"""Longer flow is a mistake, in shoulder widths."""
_ROUNDS = 3


def fit_motion(
    scene: Scene, body: PreparedBody, numbers: list[int], known: MotionTable | None = None
) -> MotionTable:
    """Learn displacements from frames.

    Args:
        body: prepared with ``known``.
        numbers: frames to learn from.
        known: what ``body`` bends by already.
    """
    seen = [_observe(scene, body, number) for number in numbers]
    poses = features(np.stack([scene.places(n) for n in numbers]), body.core.rest, body.core.unit)
    spread = (np.sqrt((poses**2).mean(0)) + 0.01).astype(np.float32)
    x = poses / spread
    weight = np.stack([s[..., 2] for s in seen])
    wanted = np.stack([s[..., :2] for s in seen]) / np.maximum(weight[..., None], 1e-3)
    weight = np.minimum(weight, 1)
    if known is not None:
        before = np.clip(poses / known.spread, known.lowest, known.highest)
        wanted = wanted + np.tensordot(before, known.shifts, 1)
    robust: Any = np.ones_like(weight)
    shifts = np.zeros((FEATURES, NODES, NODES, 2), np.float32)
    for _ in range(_ROUNDS):
        trust = weight * robust
        square = np.einsum("tk,tl,tyx->yxkl", x, x, trust, optimize=True)
        product = np.einsum("tk,tyxc,tyx->yxkc", x, wanted, trust, optimize=True)
        solved = np.linalg.solve(square + _RIDGE * np.eye(FEATURES), product)
        shifts = solved.transpose(2, 0, 1, 3).astype(np.float32)
        miss = np.linalg.norm(np.tensordot(x, shifts, 1) - wanted, axis=-1)
        robust = 1 / (1 + (miss * body.core.unit / 2) ** 2)
    shifts = _spread_out(shifts, np.clip(trust.sum(0) / (0.1 * len(numbers)), 0, 1))
    lowest, highest = np.minimum(x.min(0), 0), np.maximum(x.max(0), 0)
    return MotionTable(shifts, spread, lowest.astype(np.float32), highest.astype(np.float32))


def _observe(scene: Scene, body: PreparedBody, number: int) -> FloatArray:
    """``(NODES, NODES, 3)``: weighted sums of flow in shoulder widths, and of weights, at rest."""
    core = body.core
    truth = scene.truth(number)
    drawn = scene.draw(body, number)
    forth, back = _flow(drawn, truth), _flow(truth, drawn)
    height, width = truth.shape[:2]
    xs, ys = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    again = cv2.remap(back, xs + forth[..., 0], ys + forth[..., 1], cv2.INTER_LINEAR)
    shown = np.zeros((height, width, 4), np.uint8)
    core.draw(shown, body.bent)
    inside = cv2.erode((shown[..., 3] > 200).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    sure = (np.linalg.norm(forth + again, axis=-1) < _AGREE_PX) & inside
    sure &= scene.arms(scene.places(number)) == 0
    count = len(core.texture_px)
    at, now = core.points[:count], body.bent[:count]
    columns, rows = np.ascontiguousarray(now[:, :1]), np.ascontiguousarray(now[:, 1:])
    flow = cv2.remap(forth, columns, rows, cv2.INTER_LINEAR)[:, 0] / core.unit
    share = cv2.blur(sure.astype(np.float32), (9, 9))
    weight = cv2.remap(share, columns, rows, cv2.INTER_LINEAR)[:, 0]
    weight = weight * (np.linalg.norm(flow, axis=1) < _FARTHEST)
    node = np.rint(grid_places(at, core.rest, core.unit, NODES)).astype(int)
    sums = np.zeros((NODES, NODES, 3), np.float32)
    np.add.at(sums, (node[:, 1], node[:, 0]), np.concatenate([flow * weight[:, None], weight[:, None]], 1))
    return np.asarray(cv2.GaussianBlur(sums, (0, 0), 1.0), np.float32)


def _flow(a: ByteArray, b: ByteArray) -> FloatArray:
    search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)  # type: ignore[attr-defined]
    grey = [cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) for image in (a, b)]
    return np.asarray(search.calc(grey[0], grey[1], None), np.float32)


def _spread_out(shifts: FloatArray, known: FloatArray) -> FloatArray:
    """Smooth, and continued to nodes where nothing was seen."""
    planes = shifts.transpose(1, 2, 0, 3).reshape(NODES, NODES, -1)
    value, weight = np.zeros_like(planes), np.zeros((NODES, NODES, 1), np.float32)
    for sigma in (1, 2, 4, 8):
        share = cv2.GaussianBlur(known.astype(np.float32), (0, 0), sigma)[..., None]
        near = [cv2.GaussianBlur(planes[..., k] * known, (0, 0), sigma) for k in range(planes.shape[2])]
        part = (1 - weight) * (share if sigma == 1 else np.clip(20 * share, 0, 1))
        value += np.stack(near, -1) / np.maximum(share, 1e-4) * part
        weight += part
    value /= np.maximum(weight, 1e-4)
    return np.ascontiguousarray(value.reshape(NODES, NODES, FEATURES, 2).transpose(2, 0, 1, 3), np.float32)
