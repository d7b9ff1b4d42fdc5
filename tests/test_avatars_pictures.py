"""Pictures of every kind become avatars or are refused with a reason."""

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from vcam_avatar.avatars import load_avatar
from vcam_avatar.avatars.analysis import PictureAnalyser
from vcam_avatar.avatars.create import analyse_file, create_avatar, name_from, repair_avatar, write_template
from vcam_avatar.avatars.face_shape import HANDLES, STANDARD_FACE, bend_face
from vcam_avatar.avatars.pictures import read_picture
from vcam_avatar.avatars.points_file import read_points_file
from vcam_avatar.errors import AvatarDataError, AvatarError, MediaError
from vcam_avatar.media import Size

skimage_data = pytest.importorskip("skimage.data")


@pytest.fixture(scope="module")
def analyser() -> PictureAnalyser:
    return PictureAnalyser(threads=1)


@pytest.fixture(scope="module")
def astronaut() -> Image.Image:
    """A woman, 512x512: face at about (225, 115), shoulders about 190 px apart."""
    return Image.fromarray(skimage_data.astronaut())


EYES_PX = np.array([222.0, 108.0])


def test_points_of_the_astronaut(analyser: PictureAnalyser, astronaut: Image.Image) -> None:
    found = analyser.analyse(np.ascontiguousarray(np.asarray(astronaut)[..., ::-1]))
    np.testing.assert_allclose(found.face_px[36:48].mean(0), EYES_PX, atol=6)
    right, left = found.points_px[2], found.points_px[5]
    assert right[0] < left[0] - 120
    assert 200 < right[1] < 300
    assert found.mask[400, 200] == 255
    assert found.mask[30, 480] == 0
    assert any("hands were not found" in note for note in found.notes)


def kinds(image: Image.Image, folder: Path) -> dict[str, Path]:
    """The same picture in many kinds of file."""
    exif = Image.Exif()
    exif[0x0112] = 6
    grey16 = np.asarray(image.convert("L")).astype(np.uint16) * 257
    alpha = image.convert("RGBA")
    ellipse = np.zeros((512, 512), np.uint8)
    cv2.ellipse(ellipse, (220, 330), (240, 340), 0, 0, 360, 255, -1)
    alpha.putalpha(Image.fromarray(ellipse))
    files = {
        "grey.png": lambda path: image.convert("L").save(path),
        "grey16.png": lambda path: Image.fromarray(grey16).save(path),
        "colour16.png": lambda path: cv2.imwrite(
            str(path), np.asarray(image)[..., ::-1].astype(np.uint16) * 257
        ),
        "palette.png": lambda path: image.convert("P").save(path),
        "cmyk.jpg": lambda path: image.convert("CMYK").save(path),
        "turned.jpg": lambda path: image.rotate(90, expand=True).save(path, exif=exif),
        "animated.gif": lambda path: image.save(path, save_all=True, append_images=[image.rotate(5)]),
        "cut-out.png": lambda path: alpha.save(path),
    }
    paths = {}
    for name, write in files.items():
        paths[name] = folder / name
        write(paths[name])
    return paths


@pytest.mark.parametrize(
    "kind",
    ["grey.png", "grey16.png", "colour16.png", "palette.png", "cmyk.jpg", "turned.jpg", "animated.gif",
     "cut-out.png"],
)  # fmt: skip
def test_kinds_of_file(kind: str, analyser: PictureAnalyser, astronaut: Image.Image, tmp_path: Path) -> None:
    picture, keypoints, mask, notes = analyse_file(kinds(astronaut, tmp_path)[kind], None, analyser)
    assert picture.bgr.shape == (512, 512, 3)
    assert picture.bgr.dtype == np.uint8
    assert mask.shape == (512, 512)
    np.testing.assert_allclose(keypoints.face_px[36:48].mean(0), EYES_PX, atol=8)
    assert (picture.alpha is not None) == (kind == "cut-out.png")
    assert any("animated" in note for note in notes) == (kind == "animated.gif")
    # Brightness survives whatever the depth.
    assert abs(float(picture.bgr[:, :, 1].mean()) - 112) < 12


def test_a_small_person_in_a_large_file_is_cut_out(
    analyser: PictureAnalyser, astronaut: Image.Image, tmp_path: Path
) -> None:
    large = Image.new("RGB", (4000, 6000), (90, 110, 120))
    large.paste(astronaut.resize((1536, 1536)), (1000, 4464))
    large.save(tmp_path / "large.jpg")
    picture, keypoints, _, _ = analyse_file(tmp_path / "large.jpg", None, analyser)
    assert max(picture.bgr.shape) <= 1440
    # Without the cut the face would come out four times as small as in the file.
    assert np.hypot(*(keypoints.face_px[57] - keypoints.face_px[27])) > 70


def test_of_two_people_the_larger_is_taken_alone(
    analyser: PictureAnalyser, astronaut: Image.Image, tmp_path: Path
) -> None:
    pair = Image.new("RGB", (1024, 512))
    pair.paste(astronaut, (0, 0))
    pair.paste(astronaut.resize((440, 440)), (560, 72))
    pair.save(tmp_path / "pair.png")
    picture, keypoints, mask, notes = analyse_file(tmp_path / "pair.png", None, analyser)
    assert any("2 faces were found" in note for note in notes)
    assert picture.bgr.shape[1] < 600
    np.testing.assert_allclose(keypoints.face_px[36:48].mean(0), EYES_PX, atol=8)
    assert mask.shape == picture.bgr.shape[:2]


def claimed_size(image: Image.Image, path: Path, side: int) -> bytes:
    """A PNG whose header claims more pixels than it has."""
    image.save(path)
    data = bytearray(path.read_bytes())
    data[16:24] = struct.pack(">II", side, side)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)


REFUSED = {
    "one.png": (lambda image, path: image.crop((0, 0, 1, 1)).save(path), "1x1; at least 64 pixels"),
    "truncated.jpg": (
        lambda image, path: (image.save(path), path.write_bytes(path.read_bytes()[:9000])),
        "is damaged",
    ),
    "text.png": (lambda image, path: path.write_text("hello"), "not a picture this program can read"),
    "nobody.png": (
        lambda image, path: Image.fromarray(skimage_data.coffee()).save(path),
        "no face was found",
    ),
    "head.png": (lambda image, path: image.crop((140, 0, 310, 170)).save(path), "ends above the shoulders"),
    "tiny.png": (lambda image, path: image.resize((100, 100)).save(path), "no face large enough|no face was"),
    "glass.png": (
        lambda image, path: (image.putalpha(0), image.save(path)),
        "wholly transparent",
    ),
    "bomb.png": (
        lambda image, path: path.write_bytes(claimed_size(image, path, 20_000)),
        "million pixels|too many pixels",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_refused_with_a_reason(
    name: str, analyser: PictureAnalyser, astronaut: Image.Image, tmp_path: Path
) -> None:
    make, message = REFUSED[name]
    make(astronaut.copy(), tmp_path / name)
    with pytest.raises(AvatarError, match=message):
        analyse_file(tmp_path / name, None, analyser)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="does not exist"):
        read_picture(tmp_path / "none.png")
    with pytest.raises(MediaError, match="folder"):
        read_picture(tmp_path)


def test_created_loaded_damaged_repaired(
    analyser: PictureAnalyser, astronaut: Image.Image, tmp_path: Path
) -> None:
    astronaut.resize((288, 288)).save(tmp_path / "my picture!.png")
    made = create_avatar(tmp_path / "my picture!.png", folder=tmp_path / "own", analyser=analyser)
    assert made.folder == tmp_path / "own" / "my-picture"
    avatar = load_avatar(made.folder)
    assert avatar.has_background
    assert cv2.imread(str(made.folder / "thumbnail.png")).shape == (180, 320, 3)
    assert sorted(path.name for path in (tmp_path / "own").iterdir()) == ["my-picture"]
    with pytest.raises(AvatarDataError, match="already"):
        create_avatar(tmp_path / "my picture!.png", folder=tmp_path / "own", analyser=analyser)
    assert repair_avatar(made.folder, analyser) == ()
    (made.folder / "keypoints.json").write_text("{")
    (made.folder / "layers" / "core.png").unlink()
    assert len(repair_avatar(made.folder, analyser)) == 3
    again = load_avatar(made.folder)
    np.testing.assert_allclose(again.face_px, avatar.face_px, atol=0.5)


@pytest.mark.parametrize("rows", [240, 300])
def test_a_picture_that_ends_at_the_shoulders(
    rows: int, analyser: PictureAnalyser, astronaut: Image.Image, tmp_path: Path
) -> None:
    astronaut.crop((0, 0, 512, rows)).save(tmp_path / "bust.png")
    made = create_avatar(tmp_path / "bust.png", folder=tmp_path / "own", analyser=analyser)
    assert load_avatar(made.folder).cut_below


def test_points_template_is_read_back(astronaut: Image.Image, tmp_path: Path) -> None:
    astronaut.save(tmp_path / "a.png")
    drawn = write_template(tmp_path / "a.png", tmp_path / "points.txt")
    assert drawn.is_file()
    points = read_points_file(tmp_path / "points.txt", Size(512, 512))
    np.testing.assert_allclose(points.face_px[36:48].mean(0), EYES_PX, atol=6)
    assert points.points_px[2, 0] < points.points_px[5, 0]


def test_template_without_a_face_is_a_valid_start(tmp_path: Path) -> None:
    Image.new("RGB", (300, 400), (200, 200, 200)).save(tmp_path / "empty.png")
    write_template(tmp_path / "empty.png", tmp_path / "points.txt")
    assert read_points_file(tmp_path / "points.txt", Size(300, 400)).points_px[1, 2] == 1


LINES = "neck 160 200\nright_shoulder 100 210\nleft_shoulder 220 210\n" + "".join(
    f"{name} {160 + 40 * STANDARD_FACE[index, 0]:.2f} {90 + 40 * STANDARD_FACE[index, 1]:.2f}\n"
    for name, index in HANDLES.items()
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LINES.replace("neck", "nekc"), "line 1 has the unknown name 'nekc'"),
        (LINES.replace("neck 160 200", "neck 160"), "line 1 is not 'name x y'"),
        (LINES.replace("neck 160 200", "neck 160 nan"), "line 1: the numbers must be finite"),
        (LINES.replace("neck 160 200\n", ""), "neck missing"),
        (LINES + "neck 1 1\n", "line 18: neck was given before"),
        (LINES + "left_hand_3 10 10\n", "left_hand needs all"),
        (LINES.replace("right_shoulder 100 210", "right_shoulder 9999 210"), "far outside"),
        ('{"people": []}', "is not OpenPose JSON"),
    ],
)
def test_points_file_errors_name_the_line(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text(text)
    with pytest.raises(AvatarDataError, match=message):
        read_points_file(tmp_path / "p.txt", Size(320, 400))


def test_points_file_bends_the_standard_face(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text(LINES + "# end\n")
    points = read_points_file(tmp_path / "p.txt", Size(320, 400))
    np.testing.assert_allclose(points.face_px, STANDARD_FACE * 40 + [160, 90], atol=0.1)


def test_bent_face_meets_every_handle() -> None:
    rng = np.random.default_rng(3)
    handles = {
        name: tuple(STANDARD_FACE[index] * [50, 40] + rng.normal(0, 3, 2) + 200)
        for name, index in HANDLES.items()
    }
    face = bend_face(handles)
    for name, index in HANDLES.items():
        np.testing.assert_allclose(face[index], handles[name], atol=0.05)
    with pytest.raises(ValueError, match="chin missing"):
        bend_face({name: place for name, place in handles.items() if name != "chin"})


def test_openpose_json(tmp_path: Path) -> None:
    import json

    body = np.zeros((25, 3))
    for index, place in ((0, (160, 150)), (1, (160, 200)), (2, (110, 200)), (5, (210, 200))):
        body[index] = *place, 0.8
    face = np.concatenate([STANDARD_FACE * 30 + [160, 100], np.ones((68, 1))], 1)
    person = {
        "pose_keypoints_2d": body.ravel().tolist(),
        "face_keypoints_2d": np.concatenate([face, np.ones((2, 3))]).ravel().tolist(),
        "hand_left_keypoints_2d": [],
    }
    (tmp_path / "o.json").write_text(json.dumps({"people": [person]}))
    points = read_points_file(tmp_path / "o.json", Size(320, 400))
    np.testing.assert_allclose(points.points_px[2], [110, 200, 0.8], atol=1e-5)


def test_names_from_files() -> None:
    assert name_from(Path("x/Ünï côde (1).png")) == "n-c-de-1"
    assert name_from(Path("???.png")) == "avatar"
