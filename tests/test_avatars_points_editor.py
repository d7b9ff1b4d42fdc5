"""Points placed with the mouse, without a window."""

import os
from pathlib import Path

import numpy as np
import pytest

from vcam_avatar.avatars.analysis import shoulders_below
from vcam_avatar.avatars.face_shape import HANDLES, STANDARD_FACE
from vcam_avatar.avatars.keypoints import BODY_NAMES, RIGHT_HAND
from vcam_avatar.avatars.points_editor import PointsEditor
from vcam_avatar.avatars.points_file import read_points_file
from vcam_avatar.cli._points_window import edit_points
from vcam_avatar.errors import AvatarDataError
from vcam_avatar.media import Size

WIDTH, HEIGHT = 900, 1200


@pytest.fixture
def editor() -> PointsEditor:
    face = (STANDARD_FACE * 100 + [450, 300]).astype(np.float32)
    points = shoulders_below(face)
    points[BODY_NAMES.index("right_wrist")] = 200, 900, 1
    points[RIGHT_HAND] = [(200 + i, 900 + 2 * i, 1) for i in range(21)]
    return PointsEditor(np.full((HEIGHT, WIDTH, 3), 200, np.uint8), points, face)


def move(editor: PointsEditor, start: np.ndarray, end: np.ndarray) -> None:
    """Drag from one place of the picture to another, in three steps."""
    editor.press(*editor.to_window(start))
    for share in (0.3, 0.8, 1.0):
        editor.drag(*editor.to_window(start + share * (end - start)))
    editor.release()


def test_a_dragged_point_is_saved_where_it_was_left(editor: PointsEditor, tmp_path: Path) -> None:
    chin, elbow = np.array([460.0, 520.0]), np.array([120.0, 700.0])
    move(editor, editor.places["chin"], chin)
    move(editor, editor.places["right_elbow"], elbow)
    assert editor.selected == "right_elbow"
    assert editor.save(tmp_path / "p.txt")
    saved = read_points_file(tmp_path / "p.txt", Size(WIDTH, HEIGHT))
    np.testing.assert_allclose(saved.face_px[8], chin, atol=0.2)
    np.testing.assert_allclose(saved.points_px[BODY_NAMES.index("right_elbow"), :2], elbow, atol=0.2)


def test_beside_the_points_all_of_the_face_or_the_body_moves(editor: PointsEditor) -> None:
    before = {name: place.copy() for name, place in editor.places.items()}
    inside = STANDARD_FACE[30] * 100 + [450 + 40, 300 + 25]
    move(editor, inside, inside + np.array([30, -20]))
    for name, place in editor.places.items():
        expected = before[name] + ([30, -20] if name in HANDLES else [0, 0])
        np.testing.assert_allclose(place, expected, atol=1e-6)
    before = {name: place.copy() for name, place in editor.places.items()}
    move(editor, np.array([880.0, 30.0]), np.array([890.0, 80.0]))
    np.testing.assert_allclose(editor.places["neck"], before["neck"] + [10, 50], atol=1e-6)
    np.testing.assert_allclose(editor.places["chin"], before["chin"], atol=1e-6)


def test_a_hand_follows_its_wrist_and_goes_with_it(editor: PointsEditor) -> None:
    wrist = editor.places["right_wrist"].copy()
    hand = editor.points_px()[RIGHT_HAND, :2]
    move(editor, wrist, wrist + np.array([25, 15]))
    np.testing.assert_allclose(editor.points_px()[RIGHT_HAND, :2], hand + np.array([25, 15]), atol=1e-3)
    editor.key("delete")
    assert "right_wrist" not in editor.places
    assert (editor.points_px()[RIGHT_HAND, 2] == 0).all()
    editor.key("u")
    np.testing.assert_allclose(editor.points_px()[RIGHT_HAND, :2], hand + np.array([25, 15]), atol=1e-3)
    editor.key("u")
    np.testing.assert_allclose(editor.places["right_wrist"], wrist)


def test_keys_move_and_resize(editor: PointsEditor) -> None:
    def span() -> float:
        return float(np.hypot(*(editor.places["right_eye_outer"] - editor.places["left_eye_outer"])))

    before = span()
    for _ in range(10):
        editor.key("+")
    assert span() == pytest.approx(before * 1.03**10)
    editor.press(*editor.to_window(editor.places["chin"]))
    editor.release()
    chin = editor.places["chin"].copy()
    editor.key("left")
    np.testing.assert_allclose(editor.places["chin"], chin - [1, 0])
    # What a person needs cannot be taken away.
    editor.key("delete")
    assert "chin" in editor.places


def test_points_that_are_not_there_can_be_added(editor: PointsEditor) -> None:
    assert "left_wrist" not in editor.places
    editor.key("a")
    assert {*editor.places} == {*HANDLES, *BODY_NAMES[1:11]}
    assert editor.places["right_wrist"][0] < editor.places["neck"][0] < editor.places["left_wrist"][0]


def test_what_cannot_be_right_is_said_and_not_saved(editor: PointsEditor, tmp_path: Path) -> None:
    shoulder = editor.places["left_shoulder"].copy()
    move(editor, shoulder, editor.places["right_shoulder"] + [3, 0])
    plain = editor.render()
    assert not editor.save(tmp_path / "p.txt")
    assert "too small" in editor.message
    assert not (tmp_path / "p.txt").exists()
    assert (editor.render()[:60] != plain[:60]).any()


def test_the_picture_shows_the_points(editor: PointsEditor) -> None:
    image = editor.render()
    assert image.shape[0] <= 870
    assert image.shape[1] <= 1200
    x, y = (round(float(v)) for v in editor.to_window(editor.places["chin"]))
    assert tuple(image[y, x]) == (0, 255, 255)


@pytest.mark.skipif(os.name == "nt", reason="there is always a screen")
def test_without_a_screen_the_text_file_is_named(
    editor: PointsEditor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(AvatarDataError, match="points-template"):
        edit_points(editor, tmp_path / "p.txt")
