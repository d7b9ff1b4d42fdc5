"""Faces saying the 15 visemes, blinking and looking about, one sheet per face, to judge by eye.

python -m vcam_avatar.evaluation.face_sheet OUT AVATAR_OR_PICTURE... [--side 512] [--mouths | --rows]
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from vcam_avatar.avatars.format import find_avatar, load_avatar
from vcam_avatar.errors import AvatarError
from vcam_avatar.evaluation.face import face_generator
from vcam_avatar.media import FACE_ACTIONS, ByteArray, FloatArray, face_crop_matrix
from vcam_avatar.stages.face import NeuralFaceGenerator
from vcam_avatar.stages.face_picture import MOUTH_WINDOW, cut_crop
from vcam_avatar.stages.visemes import VISEME_ACTIONS, VISEMES

_FORMATS = {".png", ".jpg", ".jpeg", ".webp"}


def _actions(**amounts: float) -> FloatArray:
    """Actions by name; a name without a side stands for both."""
    vector = np.zeros(len(FACE_ACTIONS), np.float32)
    for n, action in enumerate(FACE_ACTIONS):
        vector[n] = amounts.get(action, amounts.get(action.removesuffix("Left").removesuffix("Right"), 0.0))
    return vector


SPOKEN: dict[str, FloatArray] = dict(zip(VISEMES, VISEME_ACTIONS, strict=True))
EXTRAS: dict[str, FloatArray] = {
    "blink": _actions(eyeBlink=1.0),
    "half": _actions(eyeBlink=0.5),
    "brows": _actions(browInnerUp=0.7, browOuterUp=0.7),
    "look": _actions(eyeLookOutLeft=0.5, eyeLookInRight=0.5),
    "smile": _actions(mouthSmile=0.6, cheekSquint=0.3),
}
"""What a face does besides speaking."""
_SHORT = ("PP", "FF", "SS", "TH", "aa", "E", "O", "U")
"""Visemes of a row."""


def viseme_tiles(
    generator: NeuralFaceGenerator,
    picture_bgr: ByteArray,
    face_px: FloatArray,
    side_px: int = 512,
    wanted: dict[str, FloatArray] = SPOKEN,
) -> dict[str, ByteArray]:
    """The face's crop as it is and with each expression, enlarged as a frame would show it.

    Args:
        generator: with the networks to judge.
        picture_bgr: uint8 ``(H, W, 3)``.
        face_px: float ``(68, 2)`` landmarks in its pixels.
        side_px: side of each tile.
        wanted: name -> float32 ``(52,)``.

    Returns:
        Name -> uint8 ``(side_px, side_px, 3)`` BGR; the picture itself comes first.
    """
    matrix = face_crop_matrix(face_px)
    prepared = generator.prepare_picture(picture_bgr, face_px, side_px)
    below = np.ascontiguousarray(cut_crop(picture_bgr, matrix, side_px))
    tiles = {"picture": below}
    for name, actions in wanted.items():
        patch = generator.draw(prepared, actions).image_bgra.astype(np.float32)
        patch[..., :3] *= patch[..., 3:] / 255
        over = np.asarray(cv2.resize(patch, (side_px, side_px), interpolation=cv2.INTER_LINEAR))
        tiles[name] = np.rint(over[..., :3] + below * (1 - over[..., 3:] / 255)).astype(np.uint8)
    return tiles


def sheet(tiles: dict[str, ByteArray], columns: int) -> ByteArray:
    """Tiles of one size, named, in rows: uint8 BGR."""
    named = [_named(picture, name) for name, picture in tiles.items()]
    while len(named) % columns:
        named.append(np.zeros_like(named[0]))
    return np.vstack([np.hstack(named[n : n + columns]) for n in range(0, len(named), columns)])


def mouth_part(tile: ByteArray) -> ByteArray:
    """The mouth's window of a crop."""
    left, top, right, bottom = (round(edge * len(tile)) for edge in MOUTH_WINDOW)
    return tile[top:bottom, left:right]


def _named(picture: ByteArray, name: str) -> ByteArray:
    picture = picture.copy()
    for colour, thickness in ((0, 3), (255, 1)):
        cv2.putText(
            picture, name, (5, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (colour,) * 3, thickness, cv2.LINE_AA
        )
    return picture


def read_face(name: str) -> tuple[ByteArray, FloatArray]:
    """Picture and landmarks of an avatar (a name or a folder), or of the largest face in a picture file.

    Raises:
        AvatarError: no such avatar, an unreadable picture, or no face in it.
    """
    path = Path(name)
    if path.suffix.lower() not in _FORMATS:
        avatar = load_avatar(find_avatar(name))
        return avatar.picture_bgr, avatar.face_px
    from vcam_avatar.avatars.mesh import landmarks68
    from vcam_avatar.avatars.people import PeopleReader

    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise AvatarError(f"cannot read {path}")
    faces = PeopleReader(1).faces(np.ascontiguousarray(picture[..., ::-1]))
    if not faces:
        raise AvatarError(f"no face found in {path}")
    return np.asarray(picture, np.uint8), landmarks68(faces[0].mesh_px)


def main(argv: list[str] | None = None) -> int:
    """Write one sheet per face, or with ``--mouths`` one for all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="folder for the sheets")
    parser.add_argument("faces", nargs="+", help="avatars (name or folder) or pictures")
    parser.add_argument("--side", type=int, default=512, help="side of a face crop in px")
    parser.add_argument("--mouths", action="store_true", help="mouths only, four faces to a sheet")
    parser.add_argument("--rows", action="store_true", help="one row of eight visemes a face")
    parser.add_argument("--extras", action="store_true", help="also blink, brows, glance, smile")
    options = parser.parse_args(argv)
    options.out.mkdir(parents=True, exist_ok=True)
    generator = face_generator()
    wanted = SPOKEN | EXTRAS if options.extras else SPOKEN
    if options.rows:
        wanted = {name: SPOKEN[name] for name in _SHORT}
    joined: list[ByteArray] = []
    for name in options.faces:
        tiles = viseme_tiles(generator, *read_face(name), options.side, wanted)
        short = Path(name).stem
        if options.mouths:
            parts = {f"{short} {key}": mouth_part(tile) for key, tile in tiles.items()}
            joined.append(sheet(parts, 8))
        elif options.rows:
            joined.append(sheet({f"{short} {key}": tile for key, tile in tiles.items()}, len(tiles)))
        else:
            cv2.imwrite(str(options.out / f"{short}.jpg"), sheet(tiles, 4), [cv2.IMWRITE_JPEG_QUALITY, 90])
        print(name, flush=True)
    name, count = ("rows", 11) if options.rows else ("mouths", 4)
    for n in range(0, len(joined), count):
        path = options.out / f"{name}{n // count}.jpg"
        cv2.imwrite(str(path), np.vstack(joined[n : n + count]), [cv2.IMWRITE_JPEG_QUALITY, 90])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
