"""``python -m vcam_avatar.evaluation.landmarks``: what ``dataset build`` sees against stored landmarks.

The three recordings in ``latentsync_people`` come with the landmarks that MediaPipe itself saw in them. The
distance is told in shoulder widths of the person.
"""

import argparse
import itertools
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vcam_avatar.evaluation.report import default_data
from vcam_avatar.media import FloatArray
from vcam_avatar.stages.pose_layout import LEFT_HAND, RIGHT_HAND, UPPER_BODY, shoulder_width

PEOPLE = ("demo1", "demo2", "demo3")
_SEEN = 0.3


def seen_and_stored(data: Path, name: str, frames: int | None = None) -> tuple[FloatArray, FloatArray]:
    """Keypoints of one recording as estimated here and as stored, float32 ``(T, 57, 3)`` each, in pixels of
    the reduced frame.

    Args:
        data: folder with ``latentsync_people``.
        name: one of ``PEOPLE``.
        frames: only the first so many.
    """
    from vcam_avatar.training.dataset_video import TrackingEstimator, video_frames
    from vcam_avatar.training.pose_sources import read_holistic

    folder = data / "latentsync_people"
    estimator = TrackingEstimator()
    _, pictures = video_frames(folder / f"{name}_video.mp4")
    poses, width = [], 0
    for picture in itertools.islice(pictures, frames):
        width = picture.shape[1]
        poses.append(estimator.see(picture))
    stored, _ = read_holistic(folder / f"{name}_holistic.npz")
    with np.load(folder / f"{name}_holistic.npz") as file:
        stored[..., :2] *= width / float(file["width"])
    count = min(len(poses), len(stored))
    return np.stack(poses[:count]), stored[:count]


def distances(seen: FloatArray, stored: FloatArray) -> dict[str, float]:
    """Shares of the shoulder width: median over everything of the body and of each hand, share of the body
    within 2 %, and the median of each body point. Points count where both see them."""
    apart = np.linalg.norm(seen[..., :2] - stored[..., :2], axis=-1) / shoulder_width(stored)
    apart = np.where((seen[..., 2] > _SEEN) & (stored[..., 2] > _SEEN), apart, np.nan)
    body = apart[:, :LEFT_HAND]
    out = {
        "body": float(np.nanmedian(body)),
        "body within 2 %": float((body[np.isfinite(body)] <= 0.02).mean()),
    }
    for label, start in (("left hand", LEFT_HAND), ("right hand", RIGHT_HAND)):
        out[label] = float(np.nanmedian(apart[:, start : start + 21]))
    points = {UPPER_BODY.keypoints[i]: float(np.nanmedian(apart[:, i])) for i in range(LEFT_HAND)}
    return {**out, **{f"point {name}": value for name, value in points.items()}}


def main(argv: Sequence[str] | None = None) -> int:
    """Print one JSON object per recording."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=default_data(), help="folder of the recordings")
    parser.add_argument("--frames", type=int, help="only the first so many of each")
    args = parser.parse_args(argv)
    for name in PEOPLE:
        got = distances(*seen_and_stored(args.data, name, args.frames))
        print(json.dumps({"recording": name, **{k: round(v, 4) for k, v in got.items()}}), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
