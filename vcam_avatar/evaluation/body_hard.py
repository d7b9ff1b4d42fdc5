"""Pictures that are hard to make an avatar of: no hands, no torso, a cut arm, from the side; drawings."""

import argparse
from pathlib import Path

import cv2
import numpy as np

from vcam_avatar import resources
from vcam_avatar.avatars.analysis import PictureAnalyser
from vcam_avatar.avatars.create import create_avatar
from vcam_avatar.errors import AvatarError
from vcam_avatar.evaluation.body_sheet import contact_sheet
from vcam_avatar.media import ByteArray
from vcam_avatar.stages.body import BodyGenerator


def cut_pictures() -> dict[str, ByteArray]:
    """A photo-like preset without hands, without a torso, and with one arm beyond the border."""
    whole = cv2.imread(str(resources.presets_dir() / "noah" / "picture.png"))
    if whole is None:
        raise AvatarError("the preset noah is missing; install the package again")
    boxes = {
        "no-hands": np.s_[:470, 60:708],
        "no-torso": np.s_[:262, 250:512],
        "cut-arm": np.s_[:, 200:],
    }
    return {name: np.asarray(whole[box], np.uint8) for name, box in boxes.items()}


def main(argv: list[str] | None = None) -> int:
    """``python -m vcam_avatar.evaluation.body_hard FOLDER``: avatars, what was said, and their sheets."""
    parser = argparse.ArgumentParser(description="Avatars of pictures that are hard to take apart.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--assets", type=Path, help="MakeHuman system assets: also drawings and profiles")
    options = parser.parse_args(argv)
    options.folder.mkdir(parents=True, exist_ok=True)
    pictures = cut_pictures()
    if options.assets is not None:
        from vcam_avatar.evaluation.body_drawn import drawn_pictures

        pictures |= drawn_pictures(options.assets)
    analyser, generator = PictureAnalyser(), BodyGenerator()
    for name, picture in pictures.items():
        file = options.folder / f"{name}.png"
        cv2.imwrite(str(file), picture)
        try:
            made = create_avatar(file, folder=options.folder / "avatars", replace=True, analyser=analyser)
        except AvatarError as exc:
            print(f"{name}: refused: {exc}")
            continue
        print(f"{name}: made; {'; '.join(made.notes) or 'nothing to say'}")
        sheet = contact_sheet(generator, [str(options.folder / "avatars" / name)], 720, 2)
        cv2.imwrite(str(options.folder / f"{name}.jpg"), sheet)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
