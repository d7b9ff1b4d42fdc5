import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from vcam_avatar.evaluation.face import HeldOutFace, face_generator, flattened, held_out_faces, prepare_crop
from vcam_avatar.media import FACE_ACTIONS
from vcam_avatar.stages.face import NeuralFaceGenerator
from vcam_avatar.stages.face_prepared import PreparedFace, lip_gap
from vcam_avatar.stages.visemes import VISEME_ACTIONS, VISEMES

GOLDEN = Path(__file__).parent / "golden"
SILENT = np.zeros(52, np.float32)


@pytest.fixture(scope="module")
def generator() -> NeuralFaceGenerator:
    return face_generator()


@pytest.fixture(scope="module")
def faces() -> list[HeldOutFace]:
    return held_out_faces()


def closed_face(faces: list[HeldOutFace]) -> HeldOutFace:
    return min(faces, key=lambda face: lip_gap(face.landmarks))


@pytest.fixture(scope="module")
def prepared(generator: NeuralFaceGenerator, faces: list[HeldOutFace]) -> PreparedFace:
    face = closed_face(faces)
    return prepare_crop(generator, face.source, face.landmarks)


def viseme(name: str) -> np.ndarray:
    return VISEME_ACTIONS[VISEMES.index(name)]


def test_a_face_at_rest_is_the_picture_to_the_bit(
    generator: NeuralFaceGenerator, prepared: PreparedFace
) -> None:
    assert not prepared.open_mouth
    patch = generator.draw(prepared, SILENT)
    assert patch.image_bgra[..., 3].max() == 0
    np.testing.assert_array_equal(patch.image_bgra[..., :3], prepared.source_bgr)


def test_an_open_vowel_opens_the_mouth_and_p_keeps_it_shut(
    generator: NeuralFaceGenerator, prepared: PreparedFace
) -> None:
    openness = {
        name: generator.mouth_paint(prepared, viseme(name)).mean() for name in ("sil", "PP", "aa", "E")
    }
    assert openness["aa"] > 0.02
    assert openness["E"] > 0.5 * openness["aa"] * 0.4
    assert openness["PP"] < 0.15 * openness["aa"]
    assert openness["sil"] < 0.1 * openness["aa"]


def test_a_picture_with_an_open_mouth_is_closed_in_silence(
    generator: NeuralFaceGenerator, faces: list[HeldOutFace]
) -> None:
    face = max(faces, key=lambda face: lip_gap(face.landmarks))
    prepared = prepare_crop(generator, face.source, face.landmarks)
    assert prepared.open_mouth
    shut, opened = (generator.mouth_paint(prepared, e) > 0.5 for e in (SILENT, viseme("aa")))
    assert shut.sum() < 0.1 * opened.sum()
    assert (
        np.abs(flattened(prepared, generator.draw(prepared, SILENT)).astype(int) - prepared.source_bgr).max()
        > 30
    )


def test_the_patch_fades_before_its_border(generator: NeuralFaceGenerator, prepared: PreparedFace) -> None:
    loud = np.full(52, 0.6, np.float32)
    alpha = generator.draw(prepared, loud).image_bgra[..., 3]
    border = np.concatenate([alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]])
    assert border.max() <= 8
    assert np.abs(np.diff(alpha.astype(int), axis=0)).max() < 60


def test_speech_leaves_the_eyes_and_blinks_leave_the_mouth(
    generator: NeuralFaceGenerator, prepared: PreparedFace
) -> None:
    source = prepared.source_bgr.astype(int)
    speaking = flattened(prepared, generator.draw(prepared, viseme("aa"))).astype(int)
    side = prepared.side_px
    eyes, mouth = slice(round(0.2 * side), round(0.34 * side)), slice(round(0.5 * side), round(0.75 * side))
    blink = SILENT.copy()
    blink[[FACE_ACTIONS.index("eyeBlinkLeft"), FACE_ACTIONS.index("eyeBlinkRight")]] = 1
    blinking = flattened(prepared, generator.draw(prepared, blink)).astype(int)

    def change(picture: np.ndarray, rows: slice) -> float:
        return float(np.abs(picture[rows] - source[rows]).mean())

    assert change(speaking, eyes) < 0.25 * change(speaking, mouth)
    assert change(blinking, mouth) < 0.25 * change(blinking, eyes)


def test_the_same_face_and_expression_give_the_same_bits(
    generator: NeuralFaceGenerator, prepared: PreparedFace, faces: list[HeldOutFace]
) -> None:
    first = generator.draw(prepared, viseme("O")).image_bgra
    generator.draw(prepared, viseme("aa"))
    again = generator.draw(prepared, viseme("O")).image_bgra
    np.testing.assert_array_equal(first, again)
    face = closed_face(faces)
    other = prepare_crop(generator, face.source, face.landmarks)
    np.testing.assert_array_equal(first, generator.draw(other, viseme("O")).image_bgra)


def test_a_gain_of_zero_leaves_the_mouth_alone(
    generator: NeuralFaceGenerator, faces: list[HeldOutFace]
) -> None:
    face = closed_face(faces)
    matrix = np.array([[160, 0, 0], [0, 160, 0]], np.float32)
    prepared = generator.prepare_picture(face.source, face.landmarks * 160, 160, mouth_gain=0.0, crop=matrix)
    alpha = generator.draw(prepared, viseme("aa")).image_bgra[..., 3]
    assert alpha[80:].max() == 0


def test_unseen_people_come_out_nearer_the_truth_than_by_copying(
    generator: NeuralFaceGenerator, faces: list[HeldOutFace]
) -> None:
    from vcam_avatar.evaluation.face import _b6

    result = _b6(generator, faces[:8])
    assert isinstance(result.value, dict)
    copy = result.baselines["copy"]
    assert isinstance(copy, dict)
    assert result.value["ssim"] > copy["ssim"] + 0.02
    assert result.value["l1"] < copy["l1"]
    assert result.value["inside_iou"] > 0.5


def test_drawing_a_face_fits_the_budget(generator: NeuralFaceGenerator, prepared: PreparedFace) -> None:
    times = []
    for _ in range(10):
        start = time.thread_time()
        generator.draw(prepared, viseme("aa"))
        times.append(time.thread_time() - start)
    assert min(times) < 0.014, "the target is 6 ms on an idle core; busy ones get twice that"


@pytest.mark.golden
@pytest.mark.parametrize("name", ["PP", "aa", "O"])
def test_the_drawn_face_stays_as_it_was(
    generator: NeuralFaceGenerator, prepared: PreparedFace, name: str, tmp_path: Path
) -> None:
    drawn = flattened(prepared, generator.draw(prepared, viseme(name)))
    small = cv2.resize(drawn, (96, 96), interpolation=cv2.INTER_AREA)
    expected = cv2.imread(str(GOLDEN / f"face_{name}.png"))
    assert expected is not None, "run this file as a program after new weights"
    difference = np.abs(small.astype(int) - expected)
    if difference.mean() > 0.7 or difference.max() > 24:
        cv2.imwrite(str(tmp_path / "actual.png"), small)
        pytest.fail(f"face_{name} differs by {difference.mean():.2f} on average, see {tmp_path}")


def write_golden() -> None:
    """Store what the shipped weights draw now; look at the pictures before committing them."""
    generator = face_generator()
    face = closed_face(held_out_faces())
    prepared = prepare_crop(generator, face.source, face.landmarks)
    for name in ("PP", "aa", "O"):
        drawn = flattened(prepared, generator.draw(prepared, viseme(name)))
        small = cv2.resize(drawn, (96, 96), interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(GOLDEN / f"face_{name}.png"), small)


if __name__ == "__main__":
    write_golden()
