"""B5, B6 and L2 in the picture: how the second generator's faces look.

B6 compares with the truth on synthetic people never trained on (a small set ships with the package). B5 looks
for a seam where the patch ends, L2 measures with the face detector how far the drawn lips open.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vcam_avatar.errors import AvatarError
from vcam_avatar.evaluation.report import Result, not_measured
from vcam_avatar.media import Body, ByteArray, FacePatch, FloatArray, UnitFeatures, face_crop_matrix
from vcam_avatar.resources import asset_path
from vcam_avatar.stages.compositor import Compositor
from vcam_avatar.stages.face import NeuralFaceGenerator
from vcam_avatar.stages.face_picture import MOUTH_WINDOW, to_unit_crop
from vcam_avatar.stages.face_prepared import PreparedFace, lip_gap
from vcam_avatar.stages.visemes import VISEME_ACTIONS, VISEMES

PATCH_PX = 256
"""Side of the crops compared: the mouth's window then is 128 px."""
_OPEN = ("aa", "E", "O")
_CLOSED = ("PP",)


class _Deaf:
    """A listener for pictures without sound."""

    def reset(self, seed: int) -> None:
        """Nothing to forget."""

    def listen(self, unit: UnitFeatures, muted: bool = False) -> FloatArray:
        """Rest."""
        return np.zeros(52, np.float32)


@dataclass(frozen=True, slots=True)
class HeldOutFace:
    """One person never trained on."""

    source: ByteArray
    """uint8 ``(160, 160, 3)`` BGR, the unit face crop."""
    landmarks: FloatArray
    """float32 ``(68, 2)`` of the source, in the unit crop."""
    targets: ByteArray
    """uint8 ``(K, 160, 160, 3)``: the same person with other expressions."""
    actions: FloatArray
    """float32 ``(K, 52)``."""
    inside: ByteArray
    """uint8 ``(K, 160, 160)``: 255 inside the mouth."""


def held_out_faces() -> list[HeldOutFace]:
    """The shipped held-out people."""
    faces = []
    with np.load(asset_path("held_out_faces.npz")) as stored:
        for n in range(len(stored["landmarks"])):
            pictures = [_decoded(stored[f"picture_{n}_{k}"]) for k in range(1 + stored["actions"].shape[1])]
            faces.append(
                HeldOutFace(
                    pictures[0],
                    stored["landmarks"][n],
                    np.stack(pictures[1:]),
                    stored["actions"][n],
                    np.unpackbits(stored["inside"][n], axis=2, count=pictures[0].shape[1]) * np.uint8(255),
                )
            )
    return faces


def _decoded(data: Any) -> ByteArray:
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def face_generator() -> NeuralFaceGenerator:
    """The shipped networks, without a listener."""
    return NeuralFaceGenerator(_Deaf())


def prepare_crop(
    generator: NeuralFaceGenerator, crop: ByteArray, landmarks: FloatArray, side_px: int = PATCH_PX
) -> PreparedFace:
    """Prepare a face of which only the unit crop is there."""
    return generator.prepare_picture(crop, landmarks * len(crop), side_px, crop=whole_crop(len(crop)))


def whole_crop(side_px: int) -> FloatArray:
    """The crop matrix of a picture that is a unit crop."""
    return np.array([[side_px, 0, 0], [0, side_px, 0]], np.float32)


def mouth_of(picture: ByteArray) -> ByteArray:
    """The mouth's window of a unit crop, as it is compared: 128 px a side."""
    left, top, right, bottom = (round(edge * len(picture)) for edge in MOUTH_WINDOW)
    window = picture[top:bottom, left:right]
    side = PATCH_PX // 2
    return np.asarray(cv2.resize(window, (side, side), interpolation=cv2.INTER_CUBIC), np.uint8)


def flattened(prepared: PreparedFace, patch: FacePatch) -> ByteArray:
    """The patch over the picture's own crop."""
    alpha = patch.image_bgra[..., 3:].astype(np.float32) / 255
    mixed = patch.image_bgra[..., :3] * alpha + prepared.source_bgr * (1 - alpha)
    return np.rint(mixed).astype(np.uint8)


def ssim(a: ByteArray, b: ByteArray) -> float:
    """Structural similarity of two BGR pictures, Gaussian window of 1.5 px, mean over pixels and channels."""
    x, y = a.astype(np.float64), b.astype(np.float64)

    def mean(values: Any) -> Any:
        return cv2.GaussianBlur(values, (11, 11), 1.5)

    mx, my = mean(x), mean(y)
    xx, yy, xy = mean(x * x) - mx * mx, mean(y * y) - my * my, mean(x * y) - mx * my
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    score = (2 * mx * my + c1) * (2 * xy + c2) / ((mx * mx + my * my + c1) * (xx + yy + c2))
    return float(score.mean())


def _b6(generator: NeuralFaceGenerator, faces: list[HeldOutFace]) -> Result:
    rows: list[list[float]] = []
    overlaps: list[float] = []
    mean_mouth = np.mean([mouth_of(t).astype(np.float32) for f in faces for t in f.targets], 0)
    for face in faces:
        prepared = prepare_crop(generator, face.source, face.landmarks)
        for target, actions, inside in zip(face.targets, face.actions, face.inside, strict=True):
            # The truth is absolute; what the picture keeps is added again.
            wanted = np.clip(actions - prepared.rest, 0, 1)
            patch = generator.draw(prepared, wanted)
            truth = mouth_of(target)
            others = (
                mouth_of(flattened(prepared, patch)),
                mouth_of(face.source),
                np.clip(mean_mouth, 0, 255).astype(np.uint8),
            )
            l1 = [float(np.abs(o.astype(np.float32) - truth).mean()) / 255 for o in others]
            rows.append([*l1, *(ssim(o, truth) for o in others)])
            overlap = _inside_overlap(generator, prepared, wanted, inside)
            if overlap is not None:
                overlaps.append(overlap)
    l1, copy_l1, mean_l1, score, copy_score, mean_score = np.mean(rows, 0).tolist()
    value = {"l1": l1, "ssim": score, "inside_iou": float(np.mean(overlaps)) if overlaps else None}
    return Result(
        value=value,
        unit="L1 of 0..1; SSIM; IoU",
        target="SSIM >= 0.90",
        holds=score >= 0.90,
        data=f"{len(faces)} synthetic people never trained on, 128 px mouth crop",
        n=len(rows),
        baselines={
            "copy": {"l1": copy_l1, "ssim": copy_score},
            "mean mouth": {"l1": mean_l1, "ssim": mean_score},
        },
    )


def _inside_overlap(
    generator: NeuralFaceGenerator, prepared: PreparedFace, wanted: FloatArray, inside: ByteArray
) -> float | None:
    """Overlap of the paint in the mouth's window with the mouth's true inside; None if it is closed."""
    truth = mouth_of(np.repeat(inside[..., None], 3, 2))[..., 0] > 127
    if truth.sum() < 60:
        return None
    paint = generator.mouth_paint(prepared, wanted)
    side = truth.shape[0]
    drawn = cv2.resize(paint, (side, side), interpolation=cv2.INTER_LINEAR) > 0.5
    return float((drawn & truth).sum() / max(1, (drawn | truth).sum()))


@dataclass(frozen=True, slots=True)
class Photo:
    """A picture of a real person."""

    name: str
    picture: ByteArray
    face_px: FloatArray


def photos(data: Path, limit: int) -> Iterator[Photo]:
    """Photo-real half bodies that nothing was ever trained on, with the detector's landmarks."""
    from vcam_avatar.avatars.mesh import landmarks68
    from vcam_avatar.avatars.people import PeopleReader

    reader = PeopleReader(1)
    files = sorted((data / "echomimic_v2" / "avatars").glob("*.jpg"))
    for file in files[:: max(1, len(files) // limit)][:limit]:
        picture = np.asarray(cv2.imread(str(file)), np.uint8)
        faces = reader.faces(np.ascontiguousarray(picture[..., ::-1]))
        if faces:
            yield Photo(file.stem, picture, landmarks68(faces[0].mesh_px))


def compose_photo(prepared: PreparedFace, photo: Photo, patch: FacePatch, points: int = 9) -> ByteArray:
    """The photo with the patch where the face is."""
    unit = np.stack(np.meshgrid(np.linspace(0, 1, points), np.linspace(0, 1, points)), -1)
    matrix = face_crop_matrix(photo.face_px)
    grid = (unit @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
    return Compositor().compose(Body(photo.picture, grid, None), patch)


def _prepare_photo(generator: NeuralFaceGenerator, photo: Photo) -> PreparedFace:
    matrix = face_crop_matrix(photo.face_px)
    return generator.prepare_picture(
        photo.picture, photo.face_px, round(float(np.hypot(matrix[0, 0], matrix[1, 0])))
    )


def _b5(generator: NeuralFaceGenerator, pictures: list[Photo]) -> Result:
    ratios, idle = [], 0
    for photo in pictures:
        prepared = _prepare_photo(generator, photo)
        still = compose_photo(prepared, photo, generator.draw(prepared, np.zeros(52, np.float32)))
        if not prepared.open_mouth:
            idle = max(idle, int(np.abs(still.astype(int) - photo.picture).max()))
        for name in _OPEN:
            patch = generator.draw(prepared, VISEME_ACTIONS[VISEMES.index(name)])
            ratios.append(_seam(prepared, patch))
    return Result(
        value={"seam": float(np.mean(ratios)), "idle_difference": idle},
        unit="edge energy at the patch's border / the photo's there; grey levels",
        target="seam <= 1.1; idle difference 0",
        holds=float(np.mean(ratios)) <= 1.1 and idle == 0,
        data=f"{len(pictures)} photo-real half bodies, 3 open visemes each",
        n=len(ratios),
    )


def _seam(prepared: PreparedFace, patch: FacePatch) -> float:
    """Edge energy where the patch fades, over that of the picture at the same place."""
    alpha = patch.image_bgra[..., 3]
    ring = (alpha > 8) & (alpha < 247)
    if ring.sum() < 50:
        return 1.0

    def energy(picture: ByteArray) -> float:
        grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY).astype(np.float32)
        return float(np.abs(cv2.Laplacian(grey, cv2.CV_32F))[ring].mean())

    return energy(flattened(prepared, patch)) / max(energy(prepared.source_bgr), 1e-3)


def _l2(generator: NeuralFaceGenerator, pictures: list[Photo]) -> Result:
    from vcam_avatar.avatars.mesh import landmarks68
    from vcam_avatar.avatars.people import PeopleReader

    reader = PeopleReader(1)
    opened: list[float] = []
    closed: list[float] = []
    for photo in pictures:
        prepared = _prepare_photo(generator, photo)
        matrix = face_crop_matrix(photo.face_px)
        gaps = {}
        for name in (*_OPEN, *_CLOSED):
            patch = generator.draw(prepared, VISEME_ACTIONS[VISEMES.index(name)])
            frame = compose_photo(prepared, photo, patch)
            faces = reader.faces(np.ascontiguousarray(frame[..., ::-1]))
            if faces:
                gaps[name] = lip_gap(to_unit_crop(landmarks68(faces[0].mesh_px), matrix))
        opened += [gaps[n] for n in _OPEN if n in gaps]
        closed += [gaps[n] for n in _CLOSED if n in gaps]
    if not opened or not closed:
        return not_measured("ratio", ">= 6; 95 % of closures < 10 %", "the detector found no drawn face")
    typical = float(np.mean(opened))
    share = float(np.mean(np.array(closed) < 0.1 * typical))
    ratio = typical / max(float(np.mean(closed)), 1e-3)
    return Result(
        value={"ratio": ratio, "closed": share},
        unit="lip gap of open vowels / of p b m; share of closures below 10 %",
        target=">= 6; >= 0.95",
        holds=ratio >= 6 and share >= 0.95,
        data=f"{len(pictures)} photo-real half bodies, measured in the picture by the face detector",
        n=len(opened) + len(closed),
    )


def measure(data: Path, quick: bool) -> dict[str, Result]:
    """B5, B6 and L2 in the picture; what is absent is listed as not measured."""
    try:
        generator = face_generator()
    except AvatarError as exc:
        return {"B6": not_measured("SSIM", "SSIM >= 0.90", str(exc))}
    results = {"B6": _b6(generator, held_out_faces()[: 8 if quick else None])}
    pictures = list(photos(data, 4 if quick else 20))
    if not pictures:
        why = f"no photo-real half bodies in {data}"
        results["B5_face"] = not_measured("ratio", "seam <= 1.1; idle difference 0", why)
        results["L2_picture"] = not_measured("ratio", ">= 6; >= 0.95", why)
        return results
    results["B5_face"] = _b5(generator, pictures)
    results["L2_picture"] = _l2(generator, pictures)
    return results
