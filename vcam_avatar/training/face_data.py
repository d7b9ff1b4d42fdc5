"""Batches of faces: one picture of a person, and what the same person looks like with other expressions."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from vcam_avatar.media import FACE_ACTIONS, ByteArray, FloatArray
from vcam_avatar.stages.face_picture import landmark_maps
from vcam_avatar.training.face_losses import FaceBatch

_MIRROR_POINTS = np.array(
    [
        *range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1), 45, 44, 43, 42, 47, 46,
        39, 38, 37, 36, 41, 40, *range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), 67, 66, 65,
    ]
)  # fmt: skip
"""iBUG-68 landmarks of the mirrored face."""


def _mirrored_action(name: str) -> str:
    if name.endswith("Left"):
        return name[:-4] + "Right"
    return name[:-5] + "Left" if name.endswith("Right") else name


_MIRROR_ACTIONS = np.array([FACE_ACTIONS.index(_mirrored_action(name)) for name in FACE_ACTIONS])


@dataclass(frozen=True, slots=True)
class FaceSet:
    """I people with E expressions each, and how E - 1 of them map back to the first."""

    pictures: ByteArray
    """uint8 ``(I, E, S, S, 3)`` BGR; expression 0 is the source. S = 160 + 2 ``margin_px``."""
    actions: FloatArray
    """float32 ``(I, E, 52)``."""
    landmarks: FloatArray
    """float32 ``(I, E, 68, 2)`` in the unit crop."""
    flow: NDArray[np.float16]
    """float16 ``(I, E - 1, S, S, 2)``: place in picture 0 minus place in picture e, in crop sides."""
    visible: ByteArray
    """uint8 ``(I, E - 1, S, S)``: 255 where the flow is true and the place is seen in picture 0."""
    inside: ByteArray
    """uint8 ``(I, E - 1, S, S)``: 255 inside the mouth of picture e."""
    unsure: ByteArray
    """uint8 ``(I, E - 1, S, S)``: 255 where eyes have turned: the flow is that of the eyeball's surface, not
    of the iris, and only the picture counts."""
    margin_px: int
    """How much more than the unit crop the pictures show on every side."""

    def __len__(self) -> int:
        return len(self.pictures)


def mouth_class(actions: FloatArray) -> NDArray[np.int64]:
    """Coarse state of the mouth, 0..8: how far open x spread, plain or round; ``(..., 52) -> (...)``."""

    def amount(*names: str) -> FloatArray:
        return np.asarray(np.mean([actions[..., FACE_ACTIONS.index(name)] for name in names], 0), np.float32)

    opening = amount("jawOpen") + 0.5 * amount("mouthLowerDownLeft", "mouthLowerDownRight")
    rounding = amount("mouthPucker", "mouthFunnel") - amount("mouthSmileLeft", "mouthStretchLeft")
    return np.asarray(np.digitize(opening, [0.08, 0.3]) * 3 + np.digitize(rounding, [-0.12, 0.12]), np.int64)


MOUTH_CLASSES = 9


def augmented_batch(
    faces: FaceSet, chosen: NDArray[np.int64], per_source: int, rng: np.random.Generator
) -> FaceBatch:
    """Faces ``chosen`` with ``per_source`` random expressions each, moved, mirrored, recoloured, worn.

    Picture and expressions of one face get the same changes, apart from what only a source suffers:
    noise, compression, landmarks that are a little off.
    """
    sources, maps, source_actions, targets, actions, flows, masked = [], [], [], [], [], [], []
    expressions = faces.pictures.shape[1]
    for i in chosen:
        matrix = _random_matrix(rng)
        mirror = rng.random() < 0.5
        inverse = np.linalg.inv(matrix[:, :2])
        points = (faces.landmarks[i, 0] - matrix[:, 2]) @ inverse.T
        margin = faces.margin_px
        recolour = _random_colouring(rng)
        source = recolour(_moved(faces.pictures[i, 0], matrix, margin))
        own = faces.actions[i, 0]
        if mirror:
            source = source[:, ::-1]
            points = points[_MIRROR_POINTS] * [-1, 1] + [1, 0]
            own = own[_MIRROR_ACTIONS]
        points = points + rng.normal(0, rng.choice([0.0, 0.002, 0.005]), points.shape)
        points = points + rng.normal(0, 0.003, 2)
        sources.append(source)
        maps.append(landmark_maps(points.astype(np.float32)))
        source_actions.append(own)
        for e in rng.permutation(expressions - 1)[:per_source]:
            flow = _moved(faces.flow[i, e].astype(np.float32), matrix, margin) @ inverse.T.astype(np.float32)
            masks = _moved(
                np.stack([faces.visible[i, e], faces.inside[i, e], faces.unsure[i, e]], -1), matrix, margin
            )
            target = recolour(_moved(faces.pictures[i, e + 1], matrix, margin))
            done = faces.actions[i, e + 1]
            if mirror:
                target, masks, done = target[:, ::-1], masks[:, ::-1], done[_MIRROR_ACTIONS]
                flow = flow[:, ::-1] * np.array([-1, 1], np.float32)
            targets.append(target)
            flows.append(flow)
            masked.append(masks)
            actions.append(done)
    visible, inside, unsure = (
        torch.from_numpy(np.stack(masked)).permute(3, 0, 1, 2).unsqueeze(2).float() / 255
    )
    return FaceBatch(
        source=_worn(_pictures(sources), rng),
        landmark_maps=torch.from_numpy(np.stack(maps)),
        source_actions=torch.from_numpy(np.stack(source_actions).astype(np.float32)),
        target=_pictures(targets),
        actions=torch.from_numpy(np.stack(actions).astype(np.float32)),
        flow=torch.from_numpy(np.stack(flows)).permute(0, 3, 1, 2).contiguous(),
        visible=visible,
        inside=inside,
        unsure=unsure,
    )


def plain_batch(faces: FaceSet, chosen: NDArray[np.int64]) -> FaceBatch:
    """Faces ``chosen`` with all their expressions, unchanged: for measuring."""
    count = faces.pictures.shape[1] - 1
    cut = slice(faces.margin_px, faces.pictures.shape[2] - faces.margin_px)
    masks = [
        np.concatenate([part[i, :, cut, cut] for i in chosen])
        for part in (faces.visible, faces.inside, faces.unsure)
    ]
    flow = np.concatenate([faces.flow[i, :, cut, cut] for i in chosen]).astype(np.float32)
    return FaceBatch(
        source=_pictures([faces.pictures[i, 0, cut, cut] for i in chosen]),
        landmark_maps=torch.from_numpy(np.stack([landmark_maps(faces.landmarks[i, 0]) for i in chosen])),
        source_actions=torch.from_numpy(faces.actions[chosen, 0]),
        target=_pictures([faces.pictures[i, e + 1, cut, cut] for i in chosen for e in range(count)]),
        actions=torch.from_numpy(np.concatenate([faces.actions[i, 1:] for i in chosen])),
        flow=torch.from_numpy(flow).permute(0, 3, 1, 2).contiguous(),
        visible=torch.from_numpy(masks[0]).unsqueeze(1).float() / 255,
        inside=torch.from_numpy(masks[1]).unsqueeze(1).float() / 255,
        unsure=torch.from_numpy(masks[2]).unsqueeze(1).float() / 255,
    )


def _random_matrix(rng: np.random.Generator) -> FloatArray:
    """float ``(2, 3)`` new unit crop -> old unit crop: turned, scaled, stretched, shifted a little."""
    angle = rng.normal(0, 0.05)
    # The detector's eyes lie a little higher than the factory's: its crops are 4 % larger.
    scale = 1.04 * np.exp(rng.normal(0, 0.05)) * np.exp(rng.normal(0, 0.04, 2) * [1, -1])
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * scale
    shift = np.array([0.5, 0.5]) + rng.normal(0, 0.012, 2)
    return np.concatenate([rotation, (shift - rotation @ [0.5, 0.5])[:, None]], 1)


def _moved(image: Any, matrix: FloatArray, margin: int) -> Any:
    """The unit crop of a picture that shows ``margin`` px more, after ``matrix`` in unit coordinates."""
    side = image.shape[0] - 2 * margin
    centred = np.array(matrix, np.float64)
    centred[:, 2] = centred[:, 2] * side + centred[:, :2] @ [0.5, 0.5] - 0.5 + margin
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(image, centred, (side, side), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved)


def _pictures(images: list[Any]) -> torch.Tensor:
    stacked = np.ascontiguousarray(np.stack(images).transpose(0, 3, 1, 2))
    return torch.from_numpy(stacked).float() / 255


@dataclass(frozen=True, slots=True)
class _Colouring:
    """One change of light, colour and contrast, for a source and all its targets."""

    mix: FloatArray
    """``(3, 4)``: new BGR from old BGR and 1, both 0..255."""
    curve: ByteArray
    """uint8 ``(256,)``: gamma."""
    blur_px: float

    def __call__(self, picture: Any) -> Any:
        picture = cv2.LUT(cv2.transform(picture, self.mix), self.curve)
        return cv2.GaussianBlur(picture, (0, 0), self.blur_px) if self.blur_px > 0 else picture


def _random_colouring(rng: np.random.Generator) -> _Colouring:
    mix = np.diag(np.exp(rng.normal(0, 0.12, 3))) * np.exp(rng.normal(0, 0.18))
    mix = mix + rng.normal(0, 0.03, (3, 3))
    if rng.random() < 0.04:
        mix = np.tile([0.11, 0.59, 0.30], (3, 1))
    curve = 255 * (np.arange(256) / 255) ** np.exp(rng.normal(0, 0.18))
    return _Colouring(
        np.concatenate([mix, rng.normal(0, 7, (3, 1))], 1),
        np.rint(curve).astype(np.uint8),
        float(rng.choice([0.0, 0.0, 0.5, 0.8, 1.3])),
    )


def _worn(source: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Noise and compression that only the source suffers."""
    strength = torch.from_numpy(rng.choice([0, 0, 0.01, 0.03], (len(source), 1, 1, 1)).astype(np.float32))
    noise = torch.from_numpy(rng.standard_normal(source.shape, np.float32))
    source = (source + strength * noise).clamp(0, 1)
    for i in np.flatnonzero(rng.random(len(source)) < 0.25):
        picture = (source[i].permute(1, 2, 0).numpy() * 255 + 0.5).astype(np.uint8)
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 90))]
        worn: Any = cv2.imdecode(cv2.imencode(".jpg", picture, quality)[1], cv2.IMREAD_COLOR)
        source[i] = torch.from_numpy(worn.transpose(2, 0, 1).astype(np.float32) / 255)
    return source
