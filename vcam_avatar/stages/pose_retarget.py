"""From the canonical person to an avatar: own bone lengths, joint limits, the user's gains.

Torso and head of the avatar's picture stand for the canonical rest pose and move by differences; arms and
hands move by directions, each bone as long as the avatar's own. The avatar's picture therefore comes back
exactly from ``start_pose``.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vcam_avatar.media import FloatArray
from vcam_avatar.stages.pose_layout import (
    ARMS,
    FINGERS,
    FOREARM,
    HAND_POINTS,
    HEAD,
    LEFT_EAR,
    LEFT_HIP,
    LEFT_SHOULDER,
    MID_HIP,
    NECK,
    PALM,
    RIGHT_EAR,
    RIGHT_HIP,
    RIGHT_SHOULDER,
    TORSO,
    UPPER_ARM,
    finger_limits,
    layout_of,
    rest_pose,
)

MAX_HEAD_SHIFT, MAX_TORSO_SHIFT, MAX_SHOULDER_SHIFT = 0.30, 0.25, 0.20
"""How far head, hips and each shoulder may leave their place relative to the neck, in shoulder widths."""
MAX_DEFORMATION = 0.15
"""How far single points of head and hips may leave what all of them do: a head that turns."""
MAX_SHOULDER_STRETCH = 0.02
"""How much nearer or farther than one shoulder width the shoulders may be; nobody turns."""
TIP_GAP = 0.045
"""Least distance of neighbouring fingertips of an open hand, in shoulder widths."""
MAX_WRIST_BEND_RAD = 1.75
"""Greatest angle between forearm and palm in the picture, where both are seen at length."""
MAX_CROSSING = 0.35
"""How far an elbow may pass the middle of the body, in shoulder widths."""
_SEEN = 0.3
"""Confidence above which an avatar's keypoint is believed."""


_SHOULDERS, _ELBOWS, _WRISTS, _HANDS = ([arm[part] for arm in ARMS] for part in range(4))
_OUTWARD = np.array([-1.0, 1.0], np.float32)
_CHILDREN = np.array(FINGERS)
_PARENTS = np.concatenate([np.zeros((len(FINGERS), 1), int), _CHILDREN[:, :-1]], 1)
_FINGER_LIMITS = np.array(
    [
        [finger_limits()[int(p), int(c)] for p, c in zip(*pair, strict=True)]
        for pair in zip(_PARENTS, _CHILDREN, strict=True)
    ],
    np.float32,
)[..., None]


@dataclass(frozen=True, slots=True)
class Gains:
    """The user's wishes; 1 is as predicted, 0 is the picture's own pose."""

    liveliness: float = 1.0
    """All motion."""
    head: float = 1.0
    """Head motion, on top of ``liveliness``."""
    hands: float = 1.0
    """Arm and hand motion, on top of ``liveliness``."""


def _shorten(vector: NDArray[Any], longest: float | FloatArray) -> NDArray[Any]:
    """``vector`` (..., 2), no longer than ``longest``."""
    length = np.sqrt(np.einsum("...d,...d->...", vector, vector))[..., None]
    return np.asarray(vector * (longest / np.maximum(length, longest)))


def _rotate(vector: NDArray[Any], angle: NDArray[Any]) -> NDArray[Any]:
    """``vector`` (..., 21, 2) turned by ``angle`` (...)."""
    cos, sin = np.cos(angle)[..., None], np.sin(angle)[..., None]
    x, y = vector[..., 0], vector[..., 1]
    return np.stack([x * cos - y * sin, x * sin + y * cos], -1)


def limit_pose(pose: FloatArray) -> FloatArray:
    """Bring a canonical pose within what joints allow.

    Args:
        pose: float ``(..., K, 2 or 3)`` normalised; not modified.

    Returns:
        float32 of the same shape: no bone longer than it is, hands joined to their wrists, wrists bent no
        further than ``MAX_WRIST_BEND_RAD``, elbows not across the body, head and hips near their place.
    """
    out = np.array(pose, np.float32)
    xy = out[..., :2]
    rest = rest_pose(layout_of(pose.shape[-2]))[:, :2]
    neck = xy[..., NECK, :].copy()
    for group, longest in ((HEAD, MAX_HEAD_SHIFT), ((MID_HIP, RIGHT_HIP, LEFT_HIP), MAX_TORSO_SHIFT)):
        index = list(group)
        shift = xy[..., index, :] - neck[..., None, :] - rest[index]
        middle = shift.mean(-2, keepdims=True)
        own = _shorten(shift - middle, MAX_DEFORMATION)
        xy[..., index, :] = neck[..., None, :] + rest[index] + _shorten(middle, longest) + own
    for shoulder in (RIGHT_SHOULDER, LEFT_SHOULDER):
        shift = xy[..., shoulder, :] - neck - rest[shoulder]
        xy[..., shoulder, :] += _shorten(shift, MAX_SHOULDER_SHIFT) - shift
    # Directions of the bones as given; then joined up again from the shoulder outwards, both arms at once.
    hands = np.stack([xy[..., h : h + HAND_POINTS, :] for h in _HANDS], -3)
    upper = _shorten(xy[..., _ELBOWS, :] - xy[..., _SHOULDERS, :], UPPER_ARM)
    fore = _shorten(xy[..., _WRISTS, :] - xy[..., _ELBOWS, :], FOREARM)
    across = (xy[..., _SHOULDERS, 0] + upper[..., 0] - neck[..., None, 0]) * _OUTWARD
    upper[..., 0] += _OUTWARD * np.maximum(0, -MAX_CROSSING - across)
    upper = _shorten(upper, UPPER_ARM)
    xy[..., _ELBOWS, :] = xy[..., _SHOULDERS, :] + upper
    xy[..., _WRISTS, :] = xy[..., _ELBOWS, :] + fore
    shape = hands - hands[..., :1, :]
    shape = _rotate(shape, _excess_bend(fore, shape[..., 9, :]))
    chains = _shorten(shape[..., _CHILDREN, :] - shape[..., _PARENTS, :], _FINGER_LIMITS)
    shape[..., _CHILDREN, :] = np.cumsum(chains, -2)
    hands = xy[..., _WRISTS, None, :] + shape
    for side, hand in enumerate(_HANDS):
        xy[..., hand : hand + HAND_POINTS, :] = hands[..., side, :, :]
    return out


def _excess_bend(fore: NDArray[Any], palm: NDArray[Any]) -> NDArray[Any]:
    """Angle (...) by which a hand must turn back, radians."""
    bend = np.arctan2(
        fore[..., 0] * palm[..., 1] - fore[..., 1] * palm[..., 0], (fore[..., :2] * palm[..., :2]).sum(-1)
    )
    # A bone that points at the camera has no direction worth limiting: fade the limit in.
    seen = np.minimum(
        np.linalg.norm(fore, axis=-1) / (0.6 * FOREARM), np.linalg.norm(palm, axis=-1) / (0.7 * PALM)
    )
    weight = np.clip(2 * seen - 1, 0, 1)
    excess = np.sign(bend) * np.maximum(0, np.abs(bend) - MAX_WRIST_BEND_RAD)
    # Near a half turn the side is not known; a full correction would flip from frame to frame.
    sure = np.clip((np.pi - np.abs(bend)) / 0.4, 0, 1)
    return np.asarray(-excess * weight * sure)


def steady_shoulders(pose: FloatArray) -> FloatArray:
    """Keep the shoulders as wide as they are.

    Args:
        pose: float ``(..., K, 2 or 3)`` normalised; not modified.

    Returns:
        float32 of the same shape: the distance of the shoulders within ``MAX_SHOULDER_STRETCH`` of one
        shoulder width, their middle where it was; each arm moves along with its shoulder.
    """
    out = np.array(pose, np.float32)
    across = out[..., LEFT_SHOULDER, :2] - out[..., RIGHT_SHOULDER, :2]
    width = np.linalg.norm(across, axis=-1, keepdims=True)
    wanted = np.clip(width, 1 - MAX_SHOULDER_STRETCH, 1 + MAX_SHOULDER_STRETCH)
    push = 0.5 * across * (wanted / np.maximum(width, 1e-6) - 1)
    for (shoulder, elbow, wrist, hand), side in zip(ARMS, (-1, 1), strict=True):
        arm = [shoulder, elbow, wrist, *range(hand, hand + HAND_POINTS)]
        out[..., arm, :2] += side * push[..., None, :]
    return out


def spread_fingers(pose: FloatArray) -> FloatArray:
    """Keep neighbouring fingertips of hands seen open apart.

    Args:
        pose: float ``(..., K, 2 or 3)`` normalised; not modified.

    Returns:
        float32 of the same shape: index to little fingertips at least ``TIP_GAP`` from each other along the
        line of their knuckles where the palm is seen broad, fading out as it turns edge-on.
    """
    out = np.array(pose, np.float32)
    for hand in _HANDS:
        points = out[..., hand : hand + HAND_POINTS, :2]
        broad = np.linalg.norm(points[..., 17, :] - points[..., 5, :], axis=-1)
        gap = TIP_GAP * np.clip((broad - 0.07) / 0.04, 0, 1)[..., None]
        across = points[..., 17, :] - points[..., 5, :]
        across = across / np.maximum(np.linalg.norm(across, axis=-1, keepdims=True), 1e-6)
        tips = np.einsum("...id,...d->...i", points[..., [8, 12, 16, 20], :], across)
        lack = np.clip(gap - np.diff(tips, axis=-1), 0, TIP_GAP)
        # Each gap that is too small pushes the fingers on both of its sides outwards.
        total = np.cumsum(lack, -1)
        push = np.concatenate([np.zeros_like(total[..., :1]), total], -1) - total.mean(-1, keepdims=True)
        for finger, chain in enumerate(FINGERS[1:]):
            for point, share in zip(chain[1:], (0.33, 0.67, 1.0), strict=True):
                points[..., point, :] += (share * push[..., finger])[..., None] * across
    return out


class Retargeter:
    """Puts canonical poses onto one avatar.

    Attributes:
        start_pose: float32 ``(K, 3)`` normalised: the avatar's picture, as seen by the networks.
    """

    def __init__(self, avatar_keypoints_px: FloatArray, gains: Gains | None = None) -> None:
        """Learn the avatar's bones.

        Args:
            avatar_keypoints_px: float ``(K, 3)`` keypoints in its picture. Arms and hands below
                confidence 0.3 are replaced by the canonical rest pose; shoulders are required.
            gains: the user's; may be replaced later through the attribute ``gains``.

        Raises:
            ValueError: unknown number of keypoints, or no shoulders.
        """
        points = np.asarray(avatar_keypoints_px, np.float64)
        if points.ndim != 2 or points.shape[1] != 3:
            raise ValueError(f"expected keypoints of shape (K, 3), got {points.shape}")
        self.gains = gains or Gains()
        self.layout = layout_of(len(points))
        self._rest = rest_pose(self.layout).astype(np.float64)
        xy, seen = points[:, :2].copy(), points[:, 2] >= _SEEN
        seen &= np.isfinite(xy).all(1)
        if not (seen[RIGHT_SHOULDER] and seen[LEFT_SHOULDER]):
            raise ValueError("the avatar's shoulders are not marked")
        self.unit_px = float(np.linalg.norm(xy[RIGHT_SHOULDER] - xy[LEFT_SHOULDER]))
        if not self.unit_px > 1e-6:
            raise ValueError("the avatar's shoulders coincide")
        if not seen[NECK]:
            xy[NECK] = (xy[RIGHT_SHOULDER] + xy[LEFT_SHOULDER]) / 2
        unit, rest = self.unit_px, self._rest[:, :2]
        for i in range(self.layout.size):
            if not seen[i] and i not in (NECK,):
                xy[i] = xy[NECK] + rest[i] * unit
        ears = seen[RIGHT_EAR] and seen[LEFT_EAR]
        width = float(np.linalg.norm(xy[RIGHT_EAR] - xy[LEFT_EAR])) if ears else 0.0
        own = float(np.linalg.norm(rest[RIGHT_EAR] - rest[LEFT_EAR]))
        # Head motion goes with the size of the head; turned heads show their ears too close.
        self._head_unit = float(np.clip(width / own, 0.8 * unit, 1.6 * unit)) if ears else unit
        self._bones = self._bone_scales(xy, seen)
        self._picture = xy
        start = self._rest.copy()
        for shoulder, elbow, wrist, hand in ARMS:
            upper, fore, palm = self._bones[shoulder]
            if seen[elbow] and seen[wrist]:
                start[elbow, :2] = start[shoulder, :2] + (xy[elbow] - xy[shoulder]) / upper
                start[wrist, :2] = start[elbow, :2] + (xy[wrist] - xy[elbow]) / fore
            else:
                self._picture[elbow] = xy[shoulder] + (rest[elbow] - rest[shoulder]) * upper
                self._picture[wrist] = self._picture[elbow] + (rest[wrist] - rest[elbow]) * fore
            points_of_hand = slice(hand, hand + HAND_POINTS)
            if seen[wrist] and seen[points_of_hand].mean() > 0.8:
                shape = (xy[points_of_hand] - xy[hand]) / palm
            else:
                shape = rest[points_of_hand] - rest[hand]
            start[points_of_hand, :2] = start[wrist, :2] + shape
            self._picture[points_of_hand] = self._picture[wrist] + shape * palm
        self.start_pose: FloatArray = limit_pose(start.astype(np.float32))

    def _bone_scales(self, xy: NDArray[Any], seen: NDArray[Any]) -> dict[int, tuple[float, float, float]]:
        """Pixels per canonical unit of upper arm, forearm and hand, by shoulder index."""

        def longest(pairs: list[tuple[int, int]]) -> float:
            lengths = [np.linalg.norm(xy[a] - xy[b]) for a, b in pairs if seen[a] and seen[b]]
            return float(max(lengths, default=0.0))

        unit = self.unit_px
        # One picture shows a bone at most as long as it is: trust the longer side, within human bounds.
        upper = float(np.clip(longest([(s, e) for s, e, _, _ in ARMS]), 0.72 * unit, 1.1 * unit))
        fore = longest([(e, w) for _, e, w, _ in ARMS])
        fore = max(float(np.clip(fore, 0.78 * upper, 0.95 * upper)), min(fore, 1.05 * unit))
        palm = longest([(h, h + 9) for _, _, _, h in ARMS])
        palm = float(np.clip(palm, 0.24 * unit, 0.42 * unit))
        return {arm[0]: (upper / UPPER_ARM, fore / FOREARM, palm / PALM) for arm in ARMS}

    @property
    def bone_lengths_px(self) -> tuple[float, float, float]:
        """Full lengths in picture pixels of upper arm, forearm and palm (wrist to middle knuckle)."""
        upper, fore, palm = self._bones[LEFT_SHOULDER]
        return upper * UPPER_ARM, fore * FOREARM, palm * PALM

    def to_pixels(self, pose: FloatArray) -> FloatArray:
        """Where the avatar's keypoints are in this pose.

        Args:
            pose: float ``(K, 2 or 3)`` canonical, normalised; not modified.

        Returns:
            float32 ``(K, 2)`` pixels of the avatar's picture. The hips stay where they are: the neck moves.

        Raises:
            ValueError: the number of keypoints is not the avatar's.
        """
        if pose.shape[0] != self.layout.size:
            raise ValueError(f"avatar has {self.layout.size} keypoints, pose has {pose.shape[0]}")
        wanted = self._with_gains(np.asarray(pose, np.float64)[:, :2])
        xy = limit_pose(wanted.astype(np.float32)).astype(np.float64)
        rest, unit, picture = self._rest[:, :2], self.unit_px, self._picture
        out = picture.copy()
        lean = (rest[MID_HIP] - rest[NECK]) - (xy[MID_HIP] - xy[NECK])
        for i in TORSO:
            out[i] = picture[i] + (lean + (xy[i] - xy[NECK]) - (rest[i] - rest[NECK])) * unit
        for i in HEAD:
            turn = (xy[i] - xy[NECK]) - (rest[i] - rest[NECK])
            out[i] = picture[i] + lean * unit + turn * self._head_unit
        for shoulder, elbow, wrist, hand in ARMS:
            upper, fore, palm = self._bones[shoulder]
            out[elbow] = out[shoulder] + (xy[elbow] - xy[shoulder]) * upper
            out[wrist] = out[elbow] + (xy[wrist] - xy[elbow]) * fore
            points = slice(hand, hand + HAND_POINTS)
            out[points] = out[wrist] + (xy[points] - xy[hand]) * palm
        return out.astype(np.float32)

    def _with_gains(self, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        gains = self.gains
        if gains.liveliness == gains.head == gains.hands == 1.0:
            return xy
        start = np.asarray(self.start_pose[:, :2], np.float64)
        weight = np.full(len(xy), gains.liveliness, np.float64)
        weight[list(HEAD)] *= gains.head
        out: NDArray[np.float64] = start + (xy - start) * weight[:, None]
        amount = gains.liveliness * gains.hands
        for shoulder, elbow, wrist, hand in ARMS:
            points = slice(hand, hand + HAND_POINTS)
            for a, b in ((shoulder, elbow), (elbow, wrist)):
                bone = start[b] - start[a]
                out[b] = out[a] + bone + (xy[b] - xy[a] - bone) * amount
            shape = start[points] - start[hand]
            # More than the predicted finger motion would tear fingers apart: only the arms are amplified.
            out[points] = out[wrist] + shape + (xy[points] - xy[hand] - shape) * min(amount, 1.0)
        return out
