"""Make ``held_out_bodies.npz``: synthetic people in two poses that no network has seen."""

import argparse
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vcam_avatar.factory.assets import AssetFolder
from vcam_avatar.factory.bodies import SIZE_PX, body_sample
from vcam_avatar.factory.renderer import Renderer

SEED = 990_001
"""Training sets use small seeds."""


def main(argv: list[str] | None = None) -> int:
    """``python -m vcam_avatar.evaluation.body_set OUT.npz --count N``."""
    parser = argparse.ArgumentParser(description="Held-out synthetic bodies.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--assets", type=Path)
    options = parser.parse_args(argv)
    renderer, assets = Renderer(SIZE_PX, SIZE_PX, 2), AssetFolder(options.assets)
    arrays: dict[str, Any] = {}
    keypoints, marks = [], []
    for index in range(options.count):
        sample = body_sample(renderer, SEED, index, "photo" if index % 2 else "mixed", assets, 2)
        for number, name in enumerate(("source", "target")):
            bgra = cv2.cvtColor(sample.pictures[str(number)], cv2.COLOR_RGBA2BGRA)
            arrays[f"{name}_{index}"] = cv2.imencode(".webp", bgra, [cv2.IMWRITE_WEBP_QUALITY, 95])[1]
        keypoints.append(sample.arrays["keypoints"][:, :57])
        marks.append(sample.arrays["landmarks"])
    arrays["keypoints"] = np.stack(keypoints).astype(np.float32)
    arrays["landmarks"] = np.stack(marks).astype(np.float32)
    np.savez_compressed(options.out, **arrays)
    print(options.out, options.out.stat().st_size // 1024, "KiB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
