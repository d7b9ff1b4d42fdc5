"""From what a pose estimator saw in a video to motion that can be learnt: gaps filled, noise taken out, one
rate, the bones of the canonical person."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import savgol_filter

from vcam_avatar.media import FloatArray
from vcam_avatar.stages.pose_layout import (
    ARMS,
    FOREARM,
    HAND_POINTS,
    HEAD,
    NECK,
    PALM,
    TORSO,
    UPPER_ARM,
    layout_of,
    rest_pose,
    shoulder_width,
)
from vcam_avatar.stages.pose_retarget import limit_pose

MOTION_HZ = 25
"""Rate of the motion clock inside the pose predictor."""
_SEEN = 0.3


@dataclass(frozen=True, slots=True)
class CleanRules:
    """When a stretch of video is worth keeping."""

    longest_gap_s: float = 0.6
    """Points missing for longer are not made up: the stretch is dropped (hands are held instead)."""
    smooth_s: float = 0.36
    """Width of the cubic smoothing window."""
    shortest_span_s: float = 2.0
    """Shorter stretches between drops are not kept."""


def _fill(values: NDArray[Any], seen: NDArray[np.bool_]) -> NDArray[Any]:
    """Linear interpolation of ``values (T, D)`` where not ``seen (T,)``; ends are held."""
    if not seen.any():
        return np.full_like(values, np.nan)
    times = np.flatnonzero(seen)
    every = np.arange(len(values))
    return np.stack([np.interp(every, times, values[times, d]) for d in range(values.shape[1])], 1)


def _runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """``[start, end)`` of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(int)))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def good_spans(pose_px: FloatArray, fps: float, rules: CleanRules) -> list[tuple[int, int]]:
    """Stretches ``[start, end)`` of frames in which head, shoulders and arms are seen well enough."""
    core = [*HEAD[:1], *TORSO[:3], *(point for arm in ARMS for point in arm[1:3])]
    seen = (pose_px[:, core, 2] >= _SEEN) & np.isfinite(pose_px[:, core, :2]).all(-1)
    fine = np.asarray(seen.all(1), bool)
    for start, end in _runs(~fine):
        if end - start <= rules.longest_gap_s * fps and start > 0 and end < len(fine):
            fine[start:end] = True
    # A cut in the video: the shoulders jump.
    neck = np.nanmean(pose_px[:, [2, 5], :2], 1)
    jump = np.linalg.norm(np.diff(neck, axis=0), axis=1) > 0.35 * max(shoulder_width(pose_px), 1e-6)
    fine[1:][jump] = False
    return [(a, b) for a, b in _runs(fine) if b - a >= rules.shortest_span_s * fps]


def clean(pose_px: FloatArray, fps: float, rules: CleanRules | None = None) -> FloatArray:
    """Fill gaps, join hands to wrists, smooth.

    Args:
        pose_px: float ``(T, K, 3)`` estimated keypoints of one good span, pixels; missing ones have a
            confidence below 0.3 or are NaN.
        fps: frames per second.

    Returns:
        float32 ``(T, K, 3)``; confidence 1 where the point was seen, less inside filled gaps.
    """
    rules = rules or CleanRules()
    count = len(pose_px)
    xy = np.asarray(pose_px[..., :2], np.float64).copy()
    seen = (pose_px[..., 2] >= _SEEN) & np.isfinite(xy).all(-1)
    rest = np.asarray(rest_pose(layout_of(pose_px.shape[1]))[:, :2], np.float64)
    unit = shoulder_width(pose_px)
    hands = {hand: wrist for _, _, wrist, hand in ARMS}
    of_hands = {h + i for h in hands for i in range(HAND_POINTS)}
    for i in range(xy.shape[1]):
        if i not in of_hands:
            filled = _fill(xy[:, i], seen[:, i])
            xy[:, i] = filled if np.isfinite(filled).all() else xy[:, NECK] + rest[i] * unit
    for hand, wrist in hands.items():
        points = slice(hand, hand + HAND_POINTS)
        found = seen[:, points].mean(1) > 0.8
        shape = (xy[:, points] - xy[:, hand : hand + 1]).reshape(count, -1)
        # The hand's own wrist is the more exact one; where the hand is lost, the offset is carried over.
        offset = xy[:, hand] - xy[:, wrist]
        if found.any():
            xy[:, wrist] += _fill(offset, found)
            shape = _fill(shape, found)
        else:
            shape = np.tile((rest[points] - rest[hand]).reshape(-1) * unit, (count, 1))
        xy[:, points] = xy[:, wrist : wrist + 1] + shape.reshape(count, HAND_POINTS, 2)
        seen[:, points] = found[:, None]
    width = round(rules.smooth_s * fps) | 1
    if count > width > 3:
        xy = savgol_filter(xy, width, 3, axis=0)
    confidence = np.where(seen, 1.0, 0.5)
    return np.concatenate([xy, confidence[..., None]], -1).astype(np.float32)


def resample(pose: FloatArray, fps: float, target_hz: float = MOTION_HZ) -> FloatArray:
    """Linear resampling in time of ``(T, ...)``; frame 0 stays frame 0."""
    if abs(fps - target_hz) < 1e-6:
        return np.asarray(pose, np.float32)
    count = int(np.floor((len(pose) - 1) / fps * target_hz)) + 1
    at = np.minimum(np.arange(count) * fps / target_hz, len(pose) - 1)
    low = np.floor(at).astype(int)
    part = (at - low).reshape(-1, *([1] * (pose.ndim - 1)))
    high = np.minimum(low + 1, len(pose) - 1)
    return np.asarray(pose[low] * (1 - part) + pose[high] * part, np.float32)


def canonicalise(pose_px: FloatArray) -> FloatArray:
    """Give a person's motion the bones of the canonical person.

    Args:
        pose_px: float ``(T, K, 3)`` clean keypoints of one person, pixels.

    Returns:
        float32 ``(T, K, 3)`` normalised. Torso and head keep their motion about the canonical rest pose,
        arms and hands their directions and foreshortening.
    """
    xy = np.asarray(pose_px[..., :2], np.float64)
    unit = shoulder_width(pose_px)
    rest = np.asarray(rest_pose(layout_of(pose_px.shape[1]))[:, :2], np.float64)
    out = np.empty_like(xy)
    out[:] = rest

    def longest(a: int, b: int) -> float:
        return float(np.percentile(np.linalg.norm(xy[:, a] - xy[:, b], axis=-1), 97)) / unit

    neck = xy[:, NECK : NECK + 1]
    body = [i for i in range(xy.shape[1]) if i in HEAD or i in TORSO or i >= 2 * HAND_POINTS + 15]
    own = (xy[:, body] - neck) / unit
    out[:, body] = rest[body] + (own - np.median(own, 0))
    out[:, NECK] = 0
    upper = max(max(longest(s, e) for s, e, _, _ in ARMS), 0.62)
    fore = max(max(longest(e, w) for _, e, w, _ in ARMS), 0.60)
    palm = max(max(longest(h, h + 9) for _, _, _, h in ARMS), 0.22)
    for shoulder, elbow, wrist, hand in ARMS:
        points = slice(hand, hand + HAND_POINTS)
        out[:, elbow] = out[:, shoulder] + (xy[:, elbow] - xy[:, shoulder]) / unit * (UPPER_ARM / upper)
        out[:, wrist] = out[:, elbow] + (xy[:, wrist] - xy[:, elbow]) / unit * (FOREARM / fore)
        shape = (xy[:, points] - xy[:, hand : hand + 1]) / unit * (PALM / palm)
        out[:, points] = out[:, wrist : wrist + 1] + shape
    return limit_pose(np.concatenate([out, pose_px[..., 2:]], -1).astype(np.float32))
