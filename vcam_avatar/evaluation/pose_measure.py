"""Numbers about motion: how fast, how varied, how near to real motion, how it goes with the sound.

Motion is float ``(T, 57, 2 or 3)`` normalised at 25 Hz unless said otherwise.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import sqrtm
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from vcam_avatar.media import FloatArray
from vcam_avatar.stages.pose_layout import (
    ARMS,
    FINGERS,
    FOREARM,
    LEFT_HAND,
    NOSE,
    RIGHT_HAND,
    UPPER_ARM,
    UPPER_BODY,
    finger_limits,
)

HZ = 25
GRID_PX_PER_UNIT = 80.0
"""Pixels of the 256 grid (3.2 shoulder widths) per shoulder width."""
WING_W, WING_EPS, FINGERTIP_WEIGHT = 5.0, 1.0, 0.5
PCK_UNITS = 0.1
"""A keypoint counts as right within a tenth of the shoulder width."""
STILL_SPEED = 0.12
"""Hands slower than this, in shoulder widths a second, rest."""
_WATCHED = [NOSE, *(arm[2] for arm in ARMS), *UPPER_BODY.fingertips]


def errors(predicted: FloatArray, real: FloatArray) -> dict[str, float]:
    """Wing + fingertip loss, L1 and PCK of predicted poses against real ones, in pixels of the grid."""
    difference = (predicted[..., :2] - real[..., :2]) * GRID_PX_PER_UNIT
    size = np.abs(difference)
    constant = WING_W - WING_W * np.log1p(WING_W / WING_EPS)
    wing = np.where(size < WING_W, WING_W * np.log1p(size / WING_EPS), size - constant)
    tips = size[..., list(UPPER_BODY.fingertips), :]
    near = np.linalg.norm(difference, axis=-1) < PCK_UNITS * GRID_PX_PER_UNIT
    return {
        "loss": float(wing.mean() + FINGERTIP_WEIGHT * tips.mean()),
        "l1_px": float(size.mean()),
        "pck": float(near.mean()),
    }


def derivatives(motion: FloatArray) -> list[NDArray[np.float64]]:
    """Size of speed, acceleration and jerk of nose, wrists and fingertips, pooled: three ``(n,)``."""
    track = np.asarray(motion[:, _WATCHED, :2], np.float64)
    out = []
    for _ in range(3):
        track = np.diff(track, axis=0) * HZ
        out.append(np.linalg.norm(track, axis=-1).ravel())
    return out


def hellinger(a: NDArray[np.float64], b: NDArray[np.float64], bins: int = 40) -> float:
    """Distance 0..1 of two distributions of positive sizes, on logarithmic bins (small values pooled)."""
    top = max(np.percentile(a, 99.9), np.percentile(b, 99.9)) + 1e-9
    edges = np.concatenate([[0], np.geomspace(top / 300, top * 1.0001, bins)])
    p, q = (np.histogram(np.minimum(x, top), edges)[0] / len(x) for x in (a, b))
    return float(np.sqrt(max(0.0, 1 - np.sqrt(p * q).sum())))


def frechet(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Frechet distance of two clouds ``(n, d)`` taken as normal distributions."""
    mean = float(((a.mean(0) - b.mean(0)) ** 2).sum())
    floor = 1e-6 * np.eye(a.shape[1])
    ca, cb = np.cov(a, rowvar=False) + floor, np.cov(b, rowvar=False) + floor
    root = np.real(sqrtm(ca @ cb))
    return mean + float(np.trace(ca + cb - 2 * root))


class PoseSpace:
    """Principal components of real poses and of real one-second windows."""

    def __init__(self, real: list[FloatArray], size: int = 12) -> None:
        flat = np.concatenate([_flat(r) for r in real])
        self.mean, self.scale = flat.mean(0), 1.0
        self.basis = np.linalg.svd(flat - self.mean, full_matrices=False)[2][:size].T
        codes = [self.poses(r) for r in real]
        self.scale = float(np.concatenate(codes).std())
        spans = np.concatenate([_windows(c / self.scale) for c in codes])
        self.window_mean = spans.mean(0)
        self.window_basis = np.linalg.svd(spans - self.window_mean, full_matrices=False)[2][:size].T

    def poses(self, motion: FloatArray) -> NDArray[np.float64]:
        """``(T, size)``."""
        return np.asarray((_flat(motion) - self.mean) @ self.basis / self.scale)

    def windows(self, motion: FloatArray) -> NDArray[np.float64]:
        """``(T - 24, size)`` of each second."""
        return np.asarray((_windows(self.poses(motion)) - self.window_mean) @ self.window_basis)


def _flat(motion: FloatArray) -> NDArray[np.float64]:
    return np.asarray(motion[..., :2].reshape(len(motion), -1), np.float64)


def _windows(codes: NDArray[np.float64]) -> NDArray[np.float64]:
    view = np.lib.stride_tricks.sliding_window_view(codes, HZ, axis=0)
    return view.reshape(len(view), -1)


def hand_speed(motion: FloatArray) -> NDArray[np.float64]:
    """Mean speed of the wrists ``(T,)``, shoulder widths per second."""
    wrists = np.asarray(motion[:, [arm[2] for arm in ARMS], :2], np.float64)
    return np.asarray(np.linalg.norm(np.gradient(wrists, axis=0), axis=-1).mean(1) * HZ)


def motion_beats(motion: FloatArray) -> NDArray[np.int64]:
    """Ticks at which moving hands come to a stop or turn."""
    speed = gaussian_filter1d(hand_speed(motion), 1.5)
    inside = (speed[1:-1] < speed[:-2]) & (speed[1:-1] <= speed[2:])
    ticks = np.flatnonzero(inside) + 1
    # A beat is the end of a stroke: something moved within the half second before.
    return np.array([t for t in ticks if speed[max(0, t - 12) : t].max(initial=0) > 0.35], int)


def beat_alignment(motion: FloatArray, onsets_s: NDArray[np.float64], sigma_s: float = 0.1) -> float:
    """Mean nearness, 0..1, of motion beats to the nearest audio onset."""
    beats = motion_beats(motion) / HZ
    if not len(beats) or not len(onsets_s):
        return 0.0
    distance = np.abs(beats[:, None] - onsets_s[None]).min(1)
    return float(np.exp(-(distance**2) / (2 * sigma_s**2)).mean())


def coverage(motion: FloatArray, cells: int = 32) -> NDArray[np.bool_]:
    """Where on the grid the hands are for more than a moment, ``(cells, cells)``."""
    points = motion[:, [*(a[2] for a in ARMS), *UPPER_BODY.fingertips], :2].reshape(-1, 2)
    at = np.clip(((points + np.array([1.6, 1.15])) / 3.2 * cells).astype(int), 0, cells - 1)
    counts = np.zeros((cells, cells))
    np.add.at(counts, (at[:, 1], at[:, 0]), 1)
    share = gaussian_filter(counts / counts.sum(), 0.7)
    return np.asarray(share > 2e-4)


def dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Overlap of two masks, 0..1."""
    return float(2 * (a & b).sum() / max(1, a.sum() + b.sum()))


def bone_excess(motion: FloatArray) -> float:
    """Greatest length of any arm or finger bone beyond its full length, as a share of it; at most 0 when all
    keep to their lengths (a bone that points at the camera may look shorter)."""
    limits = {}
    for shoulder, elbow, wrist, _ in ARMS:
        limits[shoulder, elbow], limits[elbow, wrist] = UPPER_ARM, FOREARM
    for start in (LEFT_HAND, RIGHT_HAND):
        limits |= {(start + a, start + b): length for (a, b), length in finger_limits().items()}
    worst = -1.0
    for (a, b), length in limits.items():
        longest = float(np.linalg.norm(motion[:, a, :2] - motion[:, b, :2], axis=-1).max())
        worst = max(worst, longest / length - 1)
    return worst


def rigid_variation(motion: FloatArray) -> float:
    """Deviation of the distance between the shoulders over time, as a share of it."""
    width = np.linalg.norm(motion[:, 2, :2] - motion[:, 5, :2], axis=-1)
    return float(width.std() / width.mean())


def touching_fingertips(motion: FloatArray, near_px: float = 3.0) -> float:
    """Share of neighbouring fingertip pairs (index to little finger) nearer than ``near_px`` of the grid in
    hands that are seen open: palm at more than two thirds of its length."""
    close, seen = 0, 0
    for start in (LEFT_HAND, RIGHT_HAND):
        palm = np.linalg.norm(motion[:, start + 9, :2] - motion[:, start, :2], axis=-1)
        spread = np.linalg.norm(motion[:, start + 5, :2] - motion[:, start + 17, :2], axis=-1)
        frames = (palm > 0.18) & (spread > 0.11)
        tips = motion[frames][:, [start + f[-1] for f in FINGERS[1:]], :2]
        gap = np.linalg.norm(np.diff(tips, axis=1), axis=-1) * GRID_PX_PER_UNIT
        close, seen = close + int((gap < near_px).sum()), seen + gap.size
    return close / max(1, seen)


def rest_share(motion: FloatArray, chosen: NDArray[np.bool_]) -> float:
    """Share of the chosen ticks ``(T,)`` in which the hands rest."""
    return float((hand_speed(motion)[chosen] < STILL_SPEED).mean()) if chosen.any() else float("nan")


def time_to_rest(motion: FloatArray, speech: NDArray[np.bool_], longest_s: float = 4.0) -> list[float]:
    """Seconds from the end of speech until the hands stay at rest, for each pause longer than two seconds."""
    speed = hand_speed(motion)
    ends = np.flatnonzero(speech[:-1] & ~speech[1:]) + 1
    times = []
    for end in ends:
        following = speech[end:]
        length = int(np.argmax(following)) if following.any() else len(following)
        if length < 2 * HZ:
            continue
        span = speed[end : end + min(length, int(longest_s * HZ))]
        moving = np.flatnonzero(span > STILL_SPEED)
        times.append(float((moving[-1] + 1) / HZ) if len(moving) else 0.0)
    return times
