"""A picture becomes an avatar's folder."""

import dataclasses
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vcam_avatar.avatars.analysis import PictureAnalyser, PictureAnalysis, eye_mouth_px, shoulders_below
from vcam_avatar.avatars.face_shape import STANDARD_FACE
from vcam_avatar.avatars.format import (
    LAYERS_FOLDER,
    MASK_FILE,
    PICTURE_FILE,
    THUMBNAIL_FILE,
    Avatar,
    check_name,
    load_avatar,
    read_png,
    user_avatars_dir,
    write_avatar,
    write_png,
)
from vcam_avatar.avatars.keypoints import KEYPOINTS_FILE, Keypoints, make_keypoints, write_keypoints
from vcam_avatar.avatars.layers import ArmLayers, Layers, load_layers, save_layers
from vcam_avatar.avatars.layers_build import build_layers
from vcam_avatar.avatars.learnt import forget_learnt, load_learnt
from vcam_avatar.avatars.mesh import landmarks68
from vcam_avatar.avatars.pictures import Picture, read_picture
from vcam_avatar.avatars.points_file import draw_points, read_points_file, write_points_file
from vcam_avatar.avatars.settings import SETTINGS_FILE, AvatarSettings, BackgroundSettings, write_settings
from vcam_avatar.errors import AvatarDataError
from vcam_avatar.media import ByteArray, FloatArray, Size
from vcam_avatar.stages.body_background import make_background

WORK_PX = 1440
"""Longest side of a stored picture."""
_LEAST_PX = 64
_GOOD_FACE_PX = 60.0
"""Eye-mouth distance worth having; a smaller face in a large file is cut out of it."""
_BEHIND = (128, 128, 128)
"""Colour that analysis sees behind cut-outs."""
THUMBNAIL_SIZE = Size(320, 180)


@dataclass(frozen=True, slots=True)
class Created:
    """What ``create_avatar`` made."""

    folder: Path
    notes: tuple[str, ...]
    """What was not found or looks doubtful, each a sentence with what to do."""


def name_from(path: Path) -> str:
    """A folder name made of a file's name."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", path.stem).strip("-_")[:64]
    return name or "avatar"


def create_avatar(
    picture_path: Path,
    name: str = "",
    *,
    hands_path: Path | None = None,
    points_path: Path | None = None,
    settings: AvatarSettings | None = None,
    folder: Path | None = None,
    replace: bool = False,
    analyser: PictureAnalyser | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Created:
    """Make an avatar of a picture.

    Args:
        picture_path: any picture file.
        name: folder name; by default from the file's name.
        hands_path: second picture of the same person with the palms shown; gives the hands' colours.
        points_path: points placed by hand, in pixels of the upright picture file.
        settings: for ``avatar.toml``; by default the name, and green behind cut-outs.
        folder: where to put the avatar's folder; by default the user's avatars.
        replace: overwrite an avatar of that name.
        analyser: to be used again for many pictures.
        progress: told what is going on.

    Raises:
        MediaError: the picture cannot be read.
        AvatarDataError: nobody is found, the name is taken or the folder cannot be written.
    """
    name = check_name(name or name_from(picture_path))
    root = folder or user_avatars_dir()
    target = root / name
    if target.exists() and not replace:
        raise AvatarDataError(f"there is an avatar {name} already; choose another --name or use --replace")
    analyser = analyser or PictureAnalyser()
    progress("reading the picture")
    picture, keypoints, mask, notes = analyse_file(picture_path, points_path, analyser, progress)
    if settings is None:
        background = BackgroundSettings(kind="keep" if picture.alpha is None else "colour")
        settings = AvatarSettings(name=name, background=background)
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root, prefix=".new-") as scratch:
            fresh = Path(scratch) / name
            if picture.alpha is None:
                write_avatar(fresh, settings, picture.bgr, keypoints, mask)
            else:
                write_avatar(fresh, settings, np.dstack([picture.bgr, picture.alpha]), keypoints)
            progress("taking the picture apart")
            make_layers(fresh)
            if hands_path is not None:
                progress("looking at the hands")
                notes = tuple(note for note in notes if "--hands" not in note)
                notes += colour_hands(fresh, hands_path, analyser)
            make_thumbnail(fresh)
            _put(fresh, target)
    except OSError as exc:
        raise AvatarDataError(f"avatar {name} cannot be written to {root}: {exc}") from exc
    return Created(target, notes)


def _put(fresh: Path, target: Path) -> None:
    """Move a finished folder into place; the old one disappears only when the new one is there."""
    if target.exists():
        old = fresh.parent / "old"
        target.rename(old)
        try:
            fresh.rename(target)
        except OSError:
            old.rename(target)
            raise
        shutil.rmtree(old, ignore_errors=True)
    else:
        fresh.rename(target)


def analyse_file(
    path: Path,
    points_path: Path | None,
    analyser: PictureAnalyser | None,
    progress: Callable[[str], None] = lambda _: None,
) -> tuple[Picture, Keypoints, ByteArray, tuple[str, ...]]:
    """Read a picture and find the person: picture, points in its pixels, mask, notes."""
    whole = _checked(read_picture(path), path)
    picture = whole.reduced(WORK_PX)
    analyser = analyser or PictureAnalyser()
    if points_path is not None:
        height, width = whole.bgr.shape[:2]
        given = read_points_file(points_path, Size(width, height))
        scale = picture.bgr.shape[0] / height
        points, face = given.points_px.copy(), given.face_px * scale
        points[:, :2] *= scale
        progress("finding the person's outline")
        mask = picture.alpha
        if mask is None:
            mask = analyser.mask(picture.bgr, points, face)
        analysis = PictureAnalysis(points, face, mask, (), np.zeros((0, 2), np.float32))
    else:
        progress("finding face, body and hands")
        analysis = analyser.analyse(picture.over(_BEHIND), picture.alpha)
        notes = tuple(note for note in analysis.notes if "faces were found" in note)
        alone = _alone(whole, picture, analysis)
        if alone is not None:
            whole, picture = alone, alone.reduced(WORK_PX)
            analysis = analyser.analyse(picture.over(_BEHIND), picture.alpha)
        closer = _closer(whole, picture, analysis)
        if closer is not None:
            picture = closer
            analysis = analyser.analyse(picture.over(_BEHIND), picture.alpha)
        analysis = dataclasses.replace(analysis, notes=tuple(dict.fromkeys(notes + analysis.notes)))
    size = Size(picture.bgr.shape[1], picture.bgr.shape[0])
    keypoints = make_keypoints(size, analysis.points_px, analysis.face_px, str(path))
    return picture, keypoints, analysis.mask, whole.notes + analysis.notes


def _checked(picture: Picture, path: Path) -> Picture:
    height, width = picture.bgr.shape[:2]
    if min(height, width) < _LEAST_PX:
        raise AvatarDataError(
            f"{path} is {width}x{height}; at least {_LEAST_PX} pixels a side are needed, 720 look good"
        )
    if picture.alpha is not None and not (picture.alpha > 127).any():
        raise AvatarDataError(f"{path} is wholly transparent; save it with the person visible")
    return picture


def colour_hands(folder: Path, hands_path: Path, analyser: PictureAnalyser) -> tuple[str, ...]:
    """Give an avatar's hands the skin seen in a second picture; returns what could not be done.

    Both pictures' faces, where there are two, make up for different light.
    """
    avatar = load_avatar(folder)
    seen = _checked(read_picture(hands_path), hands_path).reduced(WORK_PX).over(_BEHIND)
    rgb = np.ascontiguousarray(seen[..., ::-1])
    hands = analyser.people.find_hands(rgb)
    if not hands:
        return (f"no hand was found in {hands_path}; show both palms, fingers apart, in good light",)
    pixels = np.concatenate([_inside(seen, hand.points_px[[0, 1, 2, 5, 9, 13, 17], :2]) for hand in hands])
    if len(pixels) < 50:
        return (f"the hands in {hands_path} are too small; use a larger picture",)
    gain: NDArray[np.floating] = np.ones(3)
    faces = analyser.people.faces(rgb, most=1)
    if faces:
        cheeks = [1, 2, 3, 13, 14, 15, 31, 35]
        here = _inside(avatar.picture_bgr, avatar.face_px[cheeks])
        there = _inside(seen, landmarks68(faces[0].mesh_px)[cheeks])
        if len(here) > 50 and len(there) > 50:
            gain = np.median(here, 0) / np.maximum(np.median(there, 0), 1)
    order = np.argsort(pixels.mean(1))
    skin = np.median(pixels[order[len(order) // 2 :]], 0) * gain
    shadow = np.median(pixels[order[: max(1, len(order) // 5)]], 0) * gain

    def tone(values: NDArray[np.floating]) -> tuple[float, float, float]:
        blue, green, red = (round(float(value), 1) for value in np.clip(values, 0, 255))
        return blue, green, red

    layers = load_layers(avatar.layers_folder)

    def coloured(arm: ArmLayers | None) -> ArmLayers | None:
        if arm is None:
            return None
        style = dataclasses.replace(arm.hand, skin_bgr=tone(skin), shadow_bgr=tone(shadow))
        return dataclasses.replace(arm, hand=style)

    fresh = dataclasses.replace(layers, left=coloured(layers.left), right=coloured(layers.right))
    save_layers(avatar.layers_folder, fresh)
    return ()


def _inside(picture: ByteArray, points_px: FloatArray) -> FloatArray:
    """Colours inside the hull of points, float32 ``(n, 3)``."""
    hull = cv2.convexHull(np.ascontiguousarray(points_px, np.float32))
    mask = np.zeros(picture.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round(hull).astype(np.int32)], 1)
    return picture[mask > 0].astype(np.float32)


def _alone(whole: Picture, picture: Picture, analysis: PictureAnalysis) -> Picture | None:
    """The file cut halfway to the faces beside the main one, or None when there are none."""
    height, width = picture.bgr.shape[:2]
    span = eye_mouth_px(analysis.face_px)
    centre = float(analysis.face_px[:, 0].mean())
    left, right = 0.0, float(width)
    for other in analysis.other_faces_px[:, 0]:
        middle = (centre + float(other)) / 2
        if other < centre - 2 * span:
            left = max(left, middle)
        elif other > centre + 2 * span:
            right = min(right, middle)
    if right - left > 0.95 * width or right - left < 5 * span:
        return None
    factor = whole.bgr.shape[0] / height
    return whole.cropped(int(left * factor), 0, int(right * factor), whole.bgr.shape[0])


def _closer(whole: Picture, picture: Picture, analysis: PictureAnalysis) -> Picture | None:
    """The part of the file around a small person at a better resolution, or None."""
    factor = whole.bgr.shape[0] / picture.bgr.shape[0]
    span = eye_mouth_px(analysis.face_px)
    if span >= _GOOD_FACE_PX or factor < 1.3:
        return None
    gain = min(factor, _GOOD_FACE_PX / span)
    height, width = picture.bgr.shape[:2]
    eyes = analysis.face_px[36:48].mean(0)
    # Room for the hair, arms to the sides and the body down to the hips.
    box = np.array([eyes[0] - 11 * span, eyes[1] - 5 * span, eyes[0] + 11 * span, eyes[1] + 11 * span])
    known = analysis.points_px[analysis.points_px[:, 2] > 0.3, :2]
    box[:2] = np.minimum(box[:2], known.min(0) - span)
    box[2:] = np.maximum(box[2:], known.max(0) + span)
    left, top, right, bottom = np.clip(box, 0, [width, height, width, height]) * factor
    part = whole.cropped(int(left), int(top), int(right), int(bottom))
    longest = max(part.bgr.shape[:2]) * gain / factor
    return part.reduced(min(WORK_PX, round(longest)))


def make_layers(folder: Path) -> None:
    """Build and store the layers of an avatar's folder anew."""
    avatar = load_avatar(folder)
    picture = avatar.picture_bgr
    if not avatar.has_background:
        picture = np.dstack([picture, avatar.person_alpha])
    layers = build_layers(picture, avatar.points_px, avatar.face_px, avatar.person_alpha)
    shutil.rmtree(folder / LAYERS_FOLDER, ignore_errors=True)
    save_layers(folder / LAYERS_FOLDER, layers)


def make_thumbnail(folder: Path) -> None:
    """Store a small still of the avatar as it will be framed."""
    avatar = load_avatar(folder)
    write_png(folder / THUMBNAIL_FILE, still(avatar, load_layers(avatar.layers_folder), THUMBNAIL_SIZE))


def still(avatar: Avatar, layers: Layers, size: Size) -> ByteArray:
    """The unmoved picture in its frame: uint8 ``(H, W, 3)``."""
    # Twice the size, then averaged: view matrices sample single pixels.
    large = Size(size.width_px * 2, size.height_px * 2)
    behind = make_background(avatar, layers, large)
    view = avatar.view(large)
    whole = (large.width_px, large.height_px)
    image = behind.astype(np.float32)
    for part, matrix in _parts(avatar, layers, view):
        weight = part[..., 3].astype(np.float32) / 255
        ink = cv2.warpAffine(part[..., :3] * weight[..., None], matrix, whole, flags=cv2.INTER_LINEAR)
        cover = cv2.warpAffine(weight, matrix, whole, flags=cv2.INTER_LINEAR)[..., None]
        image = ink + image * (1 - cover)
    image = np.asarray(image + 0.5, np.uint8)
    if avatar.settings.mirror:
        image = np.asarray(cv2.flip(image, 1), np.uint8)
    small = cv2.resize(image, (size.width_px, size.height_px), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


def _parts(avatar: Avatar, layers: Layers, view: FloatArray) -> list[tuple[ByteArray, FloatArray]]:
    """BGRA pictures from back to front, and where each lies in the frame."""
    own = [arm.own for arm in (layers.left, layers.right) if arm is not None and arm.own is not None]
    if not avatar.has_background or not own:
        return [(np.dstack([avatar.picture_bgr, avatar.person_alpha]), view)]
    # The layers know the person's outline better than the mask, and have no room in their colours.
    scale = avatar.keypoints.size.width_px / layers.size.width_px
    matrix = view.copy()
    matrix[:, :2] *= scale
    parts = [(layers.core_bgra, matrix)]
    for cut in own:
        placed = matrix.copy()
        placed[:, 2] += matrix[:, :2] @ np.array([cut.left_px, cut.top_px], np.float32)
        parts.append((cut.image_bgra, placed))
    return parts


def found_points(picture_path: Path) -> tuple[ByteArray, FloatArray, FloatArray]:
    """What a user starts from who places points by hand.

    Returns:
        The upright picture, uint8 ``(H, W, 3)``, cut-outs before grey; ``(57, 3)`` and ``(68, 2)`` points in
        its pixels: those found, below a face of an ordinary body, or an ordinary person's in the middle.

    Raises:
        MediaError: the picture cannot be read.
        AvatarDataError: it is too small.
    """
    picture = _checked(read_picture(picture_path), picture_path)
    height, width = picture.bgr.shape[:2]
    small = picture.reduced(WORK_PX)
    scale = height / small.bgr.shape[0]
    analyser, seen = PictureAnalyser(), small.over(_BEHIND)
    try:
        analysis = analyser.analyse(seen, small.alpha)
        points, face = analysis.points_px.copy(), analysis.face_px * scale
        points[:, :2] *= scale
    except AvatarDataError:
        faces = analyser.people.faces(np.ascontiguousarray(seen[..., ::-1]), most=1)
        if faces:
            face = landmarks68(faces[0].mesh_px) * scale
        else:
            face = (STANDARD_FACE * 0.09 * height + [width / 2, 0.25 * height]).astype(np.float32)
        points = shoulders_below(face)
    return picture.over(_BEHIND), points, face


def write_template(picture_path: Path, target: Path) -> Path:
    """Write a points file for a picture, with what can be found already, and a picture beside it.

    Returns:
        The picture with the points drawn on it.

    Raises:
        MediaError: the picture cannot be read.
        AvatarDataError: it is too small, or the files cannot be written.
    """
    picture, points, face = found_points(picture_path)
    size = Size(picture.shape[1], picture.shape[0])
    drawn = target.with_suffix(".png")
    try:
        write_points_file(target, points, face, size)
        write_png(drawn, draw_points(picture, points, face))
    except OSError as exc:
        raise AvatarDataError(f"{target} cannot be written: {exc}") from exc
    return drawn


def repair_avatar(folder: Path, analyser: PictureAnalyser | None = None) -> tuple[str, ...]:
    """Make again whatever is missing or damaged in an avatar's folder, from its picture.

    Returns:
        What was done, a sentence each; empty when nothing was wrong.

    Raises:
        AvatarDataError: the picture itself is gone or damaged, or ``avatar.toml`` has errors that only
            its author can correct.
    """
    done = []
    if not (folder / SETTINGS_FILE).is_file():
        write_settings(folder / SETTINGS_FILE, AvatarSettings(name=folder.name))
        done.append(f"{SETTINGS_FILE} was written with default settings")
    try:
        avatar = load_avatar(folder)
    except AvatarDataError as broken:
        picture = read_png(folder / PICTURE_FILE)
        if picture.ndim != 3:
            raise AvatarDataError(
                f"{folder / PICTURE_FILE} is not a colour picture; create it again"
            ) from broken
        cut_out = picture.shape[2] == 4 and int(picture[..., 3].min()) < 255
        alpha = np.ascontiguousarray(picture[..., 3]) if cut_out else None
        seen = Picture(np.ascontiguousarray(picture[..., :3]), alpha)
        analysis = (analyser or PictureAnalyser()).analyse(seen.over(_BEHIND), alpha)
        size = Size(picture.shape[1], picture.shape[0])
        keypoints = make_keypoints(size, analysis.points_px, analysis.face_px, str(folder))
        write_keypoints(folder / KEYPOINTS_FILE, keypoints)
        if not cut_out:
            write_png(folder / MASK_FILE, analysis.mask)
        done.append("points and mask were found anew in the picture")
        avatar = load_avatar(folder)
    try:
        layers = load_layers(avatar.layers_folder)
        shape = (layers.size.width_px, layers.size.height_px)
        whole = (avatar.keypoints.size.width_px, avatar.keypoints.size.height_px)
        damaged = bool(done) or abs(shape[0] / shape[1] - whole[0] / whole[1]) > 0.01
    except AvatarDataError:
        damaged = True
    if damaged:
        make_layers(folder)
        done.append("the layers were built again")
    try:
        load_learnt(folder)
    except AvatarDataError:
        forget_learnt(folder)
        done.append("what it had learnt from a video was damaged and is forgotten")
    if done or not (folder / THUMBNAIL_FILE).is_file():
        make_thumbnail(folder)
        done.append("the thumbnail was drawn again")
    return tuple(done)
