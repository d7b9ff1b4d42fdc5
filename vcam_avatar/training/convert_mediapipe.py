"""Make the picture analysis networks from MediaPipe's wheel: TensorFlow Lite files -> ``models/*.onnx``.

    python -m vcam_avatar.training.convert_mediapipe mediapipe-0.10.21-*.whl models/

Needs the packages ``tflite`` and ``onnx``. The networks are Copyright The MediaPipe Authors, Apache-2.0.
"""

import argparse
import hashlib
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from vcam_avatar.inference.sidecar import write_sidecar
from vcam_avatar.training.tflite_convert import GraphConverter

_FOLDER = "mediapipe/modules/"


@dataclass(frozen=True, slots=True)
class Source:
    """One network of the wheel."""

    path: str
    """Inside ``mediapipe/modules``."""
    description: str
    values: dict[str, object]
    """What the pipeline has to know; goes into the sidecar."""


SOURCES = {
    "face_finder": Source(
        "face_detection/face_detection_full_range_sparse.tflite",
        "Finds faces up to 5 m away: boxes and 6 keypoints per anchor, and scores before the sigmoid",
        {"low": -1.0, "high": 1.0, "strides": [4], "anchors": [1]},
    ),
    "face_finder_near": Source(
        "face_detection/face_detection_short_range.tflite",
        "Finds large faces: boxes and 6 keypoints per anchor, and scores before the sigmoid",
        {"low": -1.0, "high": 1.0, "strides": [8, 16], "anchors": [2, 6]},
    ),
    "face_mesh": Source(
        "face_landmark/face_landmark_with_attention.tflite",
        "478 points of a face with refined lips, eyes and irises, in pixels of the crop; "
        "presence before the sigmoid",
        {"low": 0.0, "high": 1.0},
    ),
    "person_finder": Source(
        "pose_detection/pose_detection.tflite",
        "Finds people: boxes and 4 keypoints per anchor, and scores before the sigmoid",
        {"low": -1.0, "high": 1.0, "strides": [8, 16, 32], "anchors": [2, 2, 6]},
    ),
    "pose_points": Source(
        "pose_landmark/pose_landmark_full.tflite",
        "39 points of a body (x, y, z, visibility, presence) in pixels of the crop, presence of a person, "
        "person mask before the sigmoid, heat maps, points in metres",
        {"low": 0.0, "high": 1.0},
    ),
    "palm_finder": Source(
        "palm_detection/palm_detection_full.tflite",
        "Finds palms: boxes and 7 keypoints per anchor, and scores before the sigmoid",
        {"low": 0.0, "high": 1.0, "strides": [8, 16], "anchors": [2, 6]},
    ),
    "hand_points": Source(
        "hand_landmark/hand_landmark_full.tflite",
        "21 points of a hand (x, y, z) in pixels of the crop, presence, handedness, points in metres",
        {"low": 0.0, "high": 1.0},
    ),
    "person_mask": Source(
        "selfie_segmentation/selfie_segmentation.tflite",
        "Probability that a pixel belongs to a person",
        {"low": 0.0, "high": 1.0},
    ),
}


def mesh_outputs(graph: GraphConverter) -> list[tuple[str, list[int]]]:
    """Put the refined lips, eyes and irises over the coarse mesh: ``points`` and ``presence``."""
    mesh, lips, left_eye, right_eye, left_iris, right_iris, flag = map(int, graph.graph.OutputsAsNumpy())
    crops = [o for kind, o in graph.custom_options if kind == "Landmarks2TransformMatrix"]
    source = np.arange(478)
    start = 468
    for options in crops:
        indices = np.array([int(index) for index in options["subset_idxs"]])
        source[indices] = start + np.arange(len(indices))
        start += len(indices)
    source[468:] = start + np.arange(10)
    xy = [graph.node("Reshape", [graph.name(mesh), graph.weight(np.array([468, 3], np.int64))])]
    xy[0] = graph.node("Gather", [xy[0], graph.weight(np.array([0, 1], np.int64))], axis=1)
    for tensor in (lips, left_eye, right_eye, left_iris, right_iris):
        xy.append(graph.node("Reshape", [graph.name(tensor), graph.weight(np.array([-1, 2], np.int64))]))
    every = graph.node("Concat", xy, axis=0)
    graph.node("Gather", [every, graph.weight(source.astype(np.int64))], "output0", axis=0)
    graph.node("Reshape", [graph.name(flag), graph.weight(np.array([1], np.int64))], "output1")
    return [("output0", [478, 2]), ("output1", [1])]


def convert(wheel: Path, folder: Path) -> None:
    """Write every network of ``SOURCES`` and its sidecar into ``folder``."""
    with zipfile.ZipFile(wheel) as archive, tempfile.TemporaryDirectory() as scratch:
        for name, source in SOURCES.items():
            original = Path(scratch) / "network.tflite"
            original.write_bytes(archive.read(_FOLDER + source.path))
            model = GraphConverter(original).convert(mesh_outputs if name == "face_mesh" else None)
            target = folder / f"{name}.onnx"
            onnx.save(model, str(target))
            digest = hashlib.sha256(original.read_bytes()).hexdigest()
            write_sidecar(
                target,
                description=source.description,
                training_data=[
                    {
                        "name": "not published by the authors",
                        "licence": "weights Apache-2.0",
                        "amount": "unknown",
                    }
                ],
                recipe=f"python -m vcam_avatar.training.convert_mediapipe {wheel.name} models/",
                values={
                    **source.values,
                    "copyright": "The MediaPipe Authors",
                    "licence": "Apache-2.0",
                    "source": f"{wheel.name}: {_FOLDER}{source.path}",
                    "source_sha256": digest,
                },
            )
            print(f"{target}: {target.stat().st_size / 1e6:.2f} MB")


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description="Convert MediaPipe's picture networks to ONNX")
    parser.add_argument("wheel", type=Path, help="mediapipe-0.10.21 wheel, any platform")
    parser.add_argument("folder", type=Path, help="where to write .onnx and .json")
    arguments = parser.parse_args(argv)
    convert(arguments.wheel, arguments.folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
