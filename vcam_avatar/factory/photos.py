"""The photo-like and painted presets: pictures of EchoMimicV2's set, most of them retouched.

``python -m vcam_avatar.factory.photos presets --pictures FOLDER`` makes them again.
"""

import argparse
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from vcam_avatar.avatars.analysis import PictureAnalyser
from vcam_avatar.avatars.create import create_avatar
from vcam_avatar.avatars.keypoints import LEFT_HAND, RIGHT_HAND
from vcam_avatar.avatars.pictures import read_picture
from vcam_avatar.avatars.settings import AvatarSettings, BackgroundSettings, GainSettings
from vcam_avatar.factory.retouch import Retouch, retouch
from vcam_avatar.media import ByteArray

LICENCE = "Apache-2.0"
SOURCE = "antgroup/echomimic_v2, EMTD_dataset/ref_imgs_by_FLUX ({}); made by a network, no real person"


@dataclass(frozen=True, slots=True)
class Photo:
    """A preset made of a picture."""

    name: str
    picture: str
    """File name in the set, without its end."""
    description: str
    slot: int
    wish: Retouch = field(default_factory=Retouch)
    background: BackgroundSettings = field(default_factory=BackgroundSettings)
    enlarge: float = 1.0
    """Before it is painted."""
    smile: float = 0.3
    wiped: tuple[tuple[int, int], ...] = ()
    """Corners, px, of a piece of furniture that looks like part of the person."""


_BLUR = BackgroundSettings(kind="blur", blur=0.03)

PHOTOS: tuple[Photo, ...] = (
    Photo("noah", "man_0017", "young man in a green shirt, photo-like, dark studio", 2),
    Photo("priya", "openhand_0140", "young woman with brown skin, dark green top, photo-like", 3,
          Retouch(skin="a36a49", hair="1a1512"), _BLUR),
    Photo("clara", "openhand_0303", "red-haired woman in autumn, painted", 5,
          Retouch(skin="e3b193", hair="7d3a1c", brush=9), BackgroundSettings(kind="blur", blur=0.008), 1.5),
    Photo("samir", "man_0055", "man with brown skin, open denim shirt, photo-like", 20,
          Retouch(skin="74483a", hair="17110f"), _BLUR),
    Photo("omar", "man_0001", "man with dark skin, light blue shirt, photo-like, evening room", 8,
          Retouch(skin="5c3c2e", hair="120e0d"), _BLUR),
    Photo("walter", "man_0177", "grey-haired man in a linen shirt, photo-like", 10,
          Retouch(hair="a6a6a8", hair_contrast=1.25, age=1.1, stubble=0.45), _BLUR),
    Photo("mei", "woman_0057", "young woman in a light polo shirt, photo-like, class room", 13,
          background=_BLUR, wiped=((188, 640), (228, 646), (240, 640), (258, 625), (268, 632), (269, 672),
                                   (264, 690), (256, 720), (248, 740), (188, 740))),
    Photo("rosa", "woman_0253", "silver-haired woman in a blue blouse, photo-like", 19,
          Retouch(skin="b98262", hair="9b9995", hair_contrast=0.9, age=1.1, cloth="3d5a73"), _BLUR),
    Photo("max", "man_0424", "man in a dark blue shirt, photo-like, green studio", 21),
)  # fmt: skip
"""In the order of their keys."""


def export_photo(photo: Photo, pictures: Path, root: Path, analyser: PictureAnalyser) -> Path:
    """Write one as an avatar folder under ``root``; replaces an older one.

    Raises:
        MediaError: the picture is missing.
        AvatarDataError: nobody is found in it.
    """
    whole = read_picture(pictures / f"{photo.picture}.jpg").bgr
    if photo.wiped:
        whole = _wipe(whole, photo.wiped)
    if photo.enlarge != 1:
        size = (round(whole.shape[1] * photo.enlarge), round(whole.shape[0] * photo.enlarge))
        whole = np.asarray(cv2.resize(whole, size, interpolation=cv2.INTER_LANCZOS4), np.uint8)
    settings = AvatarSettings(
        name=photo.name.capitalize(), licence=LICENCE, description=photo.description, slot=photo.slot,
        source=SOURCE.format(photo.picture) + ("" if photo.wish == Retouch() else "; retouched"),
        background=photo.background, gains=GainSettings(smile=photo.smile),
    )  # fmt: skip
    if photo.wish != Retouch():
        seen = analyser.analyse(whole)
        sides = [hand for hand in (LEFT_HAND, RIGHT_HAND) if seen.points_px[hand, 2].mean() > 0.3]
        hands = [seen.points_px[hand, :2] for hand in sides]
        whole = retouch(whole, seen.face_px, hands, seen.mask, photo.wish)
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / f"{photo.name}.png"
        cv2.imwrite(str(file), whole)
        made = create_avatar(
            file, photo.name, settings=settings, folder=root, replace=True, analyser=analyser
        )
    return made.folder


def _wipe(picture: ByteArray, corners: tuple[tuple[int, int], ...]) -> ByteArray:
    """Put what is left of a piece of the room in its place, row by row."""
    inside = np.zeros(picture.shape[:2], np.uint8)
    cv2.fillPoly(inside, [np.array(corners, np.int32)], 1)
    left = min(x for x, _ in corners)
    rows = picture[:, left - 8 : left].mean(1, keepdims=True)
    weight = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), 1.0)[..., None]
    return np.asarray(picture * (1 - weight) + rows * weight + 0.5, np.uint8)


def main(argv: list[str] | None = None) -> int:
    """``python -m vcam_avatar.factory.photos OUT --pictures FOLDER [NAME...]``."""
    parser = argparse.ArgumentParser(description="Make the photo-like and painted presets.")
    parser.add_argument("out", type=Path, help="folder of the presets")
    parser.add_argument("names", nargs="*", help="only these")
    parser.add_argument("--pictures", type=Path, required=True, help="EchoMimicV2's reference pictures")
    options = parser.parse_args(argv)
    analyser = PictureAnalyser()
    for photo in PHOTOS:
        if not options.names or photo.name in options.names:
            print(export_photo(photo, options.pictures, options.out, analyser))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
