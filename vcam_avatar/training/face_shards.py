"""The factory's face samples, unpacked into arrays for training."""

import argparse
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vcam_avatar.errors import MediaError
from vcam_avatar.factory.faces import CROP_PX, FLOW_STEP_PX, SIZE_PX
from vcam_avatar.factory.scene import sample_background
from vcam_avatar.factory.shards import Sample, ShardFolder
from vcam_avatar.factory.truth import PARTS
from vcam_avatar.media import ByteArray, FloatArray
from vcam_avatar.resources import asset_path
from vcam_avatar.stages import face_picture
from vcam_avatar.training.face_data import FaceSet

_INSIDE = [PARTS.index(name) for name in ("mouth_inside", "teeth", "tongue")]
_EYEBALL = [PARTS.index(name) for name in ("eye_white", "iris")]
_THIN = np.ones((3, 3), np.uint8)
_DETECTOR_OFFSET = np.array([
    (0.007, -0.008), (0.005, -0.004), (-0.007, -0.0), (0.004, -0.014), (-0.002, -0.026), (0.01, -0.022),
    (-0.004, -0.014), (0.007, -0.0), (-0.005, -0.004), (-0.007, -0.008), (-0.01, -0.022), (0.002, -0.026),
    (-0.009, 0.008), (0.002, -0.008), (-0.003, 0.0), (0.0, 0.006), (0.003, 0.0), (-0.002, -0.008),
    (0.009, 0.008), (-0.004, 0.012), (0.002, 0.005), (0.0, 0.003), (-0.002, 0.005), (0.004, 0.012),
    (-0.016, 0.01), (0.011, 0.005), (0.0, 0.009), (-0.011, 0.005), (0.016, 0.01), (-0.008, -0.002),
    (0.0, -0.002), (0.008, -0.002),
], np.float32)  # fmt: skip
"""Where the face detector of ``avatars`` puts eye and lip landmarks 36..67, seen from the factory's: median
of 72 pictures, in crop sides, the two halves of the face averaged."""
_Place = tuple[ShardFolder, str]
"""Where a sample lies: folder and key."""
HELD_OUT_EVERY = 20
"""One in so many people is never trained on, by sample number."""


def is_held_out(key: str) -> bool:
    """Whether the sample ``key`` is kept for measuring."""
    return int(key) % HELD_OUT_EVERY == HELD_OUT_EVERY - 1


def load_faces(folders: list[Path], limit: int) -> tuple[FaceSet, FaceSet]:
    """Read up to ``limit`` people, of every folder the same share as far as it has them.

    Only finished shards count, so a folder may still be growing.

    Returns:
        Those to train on, and those never trained on.

    Raises:
        MediaError: no samples, or samples of another size.
    """
    train: list[_Place] = []
    held_out: list[_Place] = []
    left = limit
    opened = sorted((ShardFolder(folder) for folder in folders), key=len)
    for n, shards in enumerate(opened):
        keys = shards.keys[: left // (len(opened) - n)]
        left -= len(keys)
        train += [(shards, key) for key in keys if not is_held_out(key)]
        held_out += [(shards, key) for key in keys if is_held_out(key)]
    return _unpack(train), _unpack(held_out)


def load_held_out(folder: Path, limit: int) -> FaceSet:
    """Read up to ``limit`` of the people never trained on."""
    shards = ShardFolder(folder)
    return _unpack([(shards, key) for key in shards.keys if is_held_out(key)][:limit])


def _unpack(places: list[_Place]) -> FaceSet:
    if not places:
        raise MediaError("too few faces: make more")
    if CROP_PX != face_picture.CROP_PX:
        raise MediaError(f"faces are {CROP_PX} px, the network sees {face_picture.CROP_PX} px")
    shards, key = places[0]
    first = _sample_arrays(shards.read(key))
    arrays = {name: np.zeros((len(places), *value.shape), value.dtype) for name, value in first.items()}
    for row, (shards, key) in enumerate(places):
        for name, value in _sample_arrays(shards.read(key)).items():
            arrays[name][row] = value
    return FaceSet(**arrays, margin_px=(SIZE_PX - CROP_PX) // 2)


def _sample_arrays(sample: Sample) -> dict[str, Any]:
    count = len(sample.arrays["actions"])
    rng = np.random.default_rng(int(sample.key))
    background = sample_background(rng, SIZE_PX, SIZE_PX)
    pictures = np.stack([_over(sample.pictures[str(k)], background) for k in range(count)])
    parts = sample.arrays["parts"]
    valid = np.unpackbits(sample.arrays["valid"], axis=2, count=SIZE_PX).astype(bool)
    # The background stands still: where both pictures show it, it is seen in both.
    valid |= (parts[1:] == 0) & (parts[:1] == 0)
    # Contours one sample wide are seen well enough; painting them would blur them.
    visible = np.stack([cv2.morphologyEx(v.astype(np.uint8) * 255, cv2.MORPH_CLOSE, _THIN) for v in valid])
    gaze = sample.arrays["gaze"]
    turned = np.hypot(*(gaze[1:] - gaze[:1]).T) > 0.01
    unsure = np.isin(parts[1:], _EYEBALL) & turned[:, None, None]
    in_crop = (sample.arrays["landmarks"] - (SIZE_PX - CROP_PX) / 2) / CROP_PX
    landmarks = _mended(in_crop.astype(np.float32))
    return {
        "pictures": pictures,
        "actions": sample.arrays["actions"].astype(np.float32),
        "landmarks": landmarks,
        "flow": (sample.arrays["flow"] * (FLOW_STEP_PX / CROP_PX)).astype(np.float16),
        "visible": visible,
        "inside": np.isin(parts[1:], _INSIDE).astype(np.uint8) * 255,
        "unsure": unsure.astype(np.uint8) * 255,
    }


def _mended(landmarks: FloatArray) -> FloatArray:
    """Landmarks as the detector would put them.

    The middle of the lower lip's inner edge comes from its neighbours: on the mesh it lies on the upper lip.
    """
    landmarks[:, 66] = (landmarks[:, 65] + landmarks[:, 67]) / 2
    landmarks[:, 66] += 0.6 * (landmarks[:, 57] - (landmarks[:, 56] + landmarks[:, 58]) / 2)
    landmarks[:, 36:] += _DETECTOR_OFFSET
    return landmarks


def _over(rgba: ByteArray, background_rgb: ByteArray) -> ByteArray:
    alpha = rgba[..., 3:].astype(np.float32) / 255
    mixed = rgba[..., :3] * alpha + background_rgb * (1 - alpha)
    return np.ascontiguousarray(np.rint(mixed).astype(np.uint8)[..., ::-1])


def write_held_out(folder: Path, file: Path, people: int = 16, expressions: int = 3) -> None:
    """Store people never trained on for the evaluation; see ``evaluation.face.held_out_faces``."""
    faces = load_held_out(folder, people)
    cut = slice(faces.margin_px, faces.pictures.shape[2] - faces.margin_px)
    arrays: dict[str, Any] = {
        "landmarks": faces.landmarks[:, 0],
        "actions": faces.actions[:, 1 : 1 + expressions],
        "inside": np.packbits(faces.inside[:, :expressions, cut, cut] > 127, axis=3),
    }
    for n in range(len(faces)):
        for k in range(1 + expressions):
            quality = [cv2.IMWRITE_WEBP_QUALITY, 90]
            arrays[f"picture_{n}_{k}"] = cv2.imencode(".webp", faces.pictures[n, k, cut, cut], quality)[1]
    np.savez_compressed(file, **arrays)


def main(argv: list[str] | None = None) -> int:
    """Write the held-out people for the evaluation."""
    parser = argparse.ArgumentParser(description=write_held_out.__doc__)
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=asset_path("README.md").with_name("held_out_faces.npz"))
    args = parser.parse_args(argv)
    write_held_out(args.faces, args.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
