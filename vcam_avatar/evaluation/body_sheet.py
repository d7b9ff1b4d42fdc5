"""B3: contact sheets of avatars in twelve poses, to be looked at."""

import argparse
from pathlib import Path

import cv2
import numpy as np

from vcam_avatar import resources
from vcam_avatar.avatars.format import find_avatar, load_avatar
from vcam_avatar.evaluation.body_poses import sheet_poses
from vcam_avatar.media import ByteArray, Size
from vcam_avatar.stages.body import BodyGenerator
from vcam_avatar.stages.hands import load_hand_mesh

_FRAME = Size(1280, 720)


def contact_sheet(generator: BodyGenerator, avatars: list[str], cell_px: int, columns: int = 12) -> ByteArray:
    """One row of poses per avatar (more rows when ``columns`` is below 12), frames cut to a square and
    reduced to ``cell_px``: uint8 ``(H, W, 3)``."""
    poses = sheet_poses(load_hand_mesh(resources.models_dir() / "hand_mesh.npz"))
    rows = []
    left = (_FRAME.width_px - _FRAME.height_px) // 2
    for name in avatars:
        body = generator.prepare(load_avatar(find_avatar(name)), _FRAME)
        cells = []
        for pose in poses.values():
            body.reset()
            image = generator.generate(body, pose).image_bgr[:, left : left + _FRAME.height_px]
            cells.append(cv2.resize(image, (cell_px, cell_px), interpolation=cv2.INTER_AREA))
        rows += [np.hstack(cells[i : i + columns]) for i in range(0, len(cells), columns)]
    return np.asarray(np.vstack(rows), np.uint8)


def main(argv: list[str] | None = None) -> int:
    """``python -m vcam_avatar.evaluation.body_sheet OUT.png AVATAR...``."""
    parser = argparse.ArgumentParser(description="Contact sheets of avatars in twelve poses.")
    parser.add_argument("out", type=Path)
    parser.add_argument("avatars", nargs="+", help="names or folders")
    parser.add_argument("--cell", type=int, default=240, help="side of a picture in px")
    parser.add_argument("--columns", type=int, default=12, choices=(2, 3, 4, 6, 12))
    options = parser.parse_args(argv)
    sheet = contact_sheet(BodyGenerator(), options.avatars, options.cell, options.columns)
    cv2.imwrite(str(options.out), sheet)
    print(options.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
