"""Placing points with the mouse: what a press, a drag and a key do, and what is shown. No window here."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vcam_avatar.avatars.face_shape import HANDLES, bend_face
from vcam_avatar.avatars.keypoints import BODY_NAMES, KEYPOINT_COUNT, LEFT_HAND, RIGHT_HAND, make_keypoints
from vcam_avatar.avatars.points_file import write_points_file, write_text
from vcam_avatar.errors import AvatarDataError
from vcam_avatar.media import ByteArray, FloatArray, Size

WINDOW_PX = (1180, 860)
"""Most width and height of what is shown."""
_MARGIN = 0.15
"""Of the picture, shown around it: hips and elbows may lie outside."""
_BAR_PX = 64
_REACH_PX = 14.0
"""A press this near a point takes it, window px."""
_BODY = tuple(BODY_NAMES[1:11])
_OPTIONAL = frozenset(_BODY) - {"neck", "right_shoulder", "left_shoulder"}
_BONES = (
    ("right_shoulder", "neck"), ("neck", "left_shoulder"), ("right_shoulder", "right_elbow"),
    ("right_elbow", "right_wrist"), ("left_shoulder", "left_elbow"), ("left_elbow", "left_wrist"),
    ("neck", "mid_hip"), ("right_hip", "mid_hip"), ("mid_hip", "left_hip"),
)  # fmt: skip
_USUAL = {"elbow": (0.62, 0.85), "wrist": (0.35, 1.3), "mid_hip": (0.0, 1.5), "hip": (0.3, 1.5)}
"""Where points that are not there are put, from the neck, in shoulder widths; x to the outside."""
_FACE_LINES = ((0, 17), (17, 22), (22, 27), (27, 31), (31, 36), (36, 42), (42, 48), (48, 60), (60, 68))
_CLOSED = frozenset((36, 42, 48, 60))
_HANDS = {"left_wrist": LEFT_HAND, "right_wrist": RIGHT_HAND}
_ARROWS = {"left": (-1, 0), "up": (0, -1), "right": (1, 0), "down": (0, 1)}
HELP = (
    "Drag a point. Drag beside the points: all of the face, or of the body.  + -  larger, smaller   "
    "arrows  by one pixel",
    "Del  take a point of an arm away   A  all points   U  undo   H  names   Enter  save   Esc  do not save",
)


class PointsEditor:
    """The points of one picture while they are being placed.

    Attributes:
        message: what was wrong with the last try to save; empty when nothing was.
    """

    def __init__(self, picture_bgr: ByteArray, points_px: FloatArray, face_px: FloatArray) -> None:
        """
        Args:
            picture_bgr: uint8 ``(H, W, 3)``.
            points_px: ``(57, 3)`` to start from; confidence 0: not there.
            face_px: ``(68, 2)``.
        """
        height, width = picture_bgr.shape[:2]
        self.size = Size(width, height)
        self.places: dict[str, NDArray[np.float64]] = {
            name: face_px[index].astype(np.float64) for name, index in HANDLES.items()
        }
        for name in _BODY:
            x, y, confidence = points_px[BODY_NAMES.index(name)]
            if confidence > 0 or name not in _OPTIONAL:
                self.places[name] = np.array([x, y], np.float64)
        self._hands = {
            wrist: points_px[where].astype(np.float64)
            for wrist, where in _HANDS.items()
            if (points_px[where, 2] > 0).all()
        }
        self.selected = ""
        self.message = ""
        self._group = "face"
        self._dragging: tuple[float, float] | None = None
        self._before: list[tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.float64]]]] = []
        self._named = True
        margin = _MARGIN * max(width, height)
        room = (WINDOW_PX[0], WINDOW_PX[1] - _BAR_PX)
        self._scale = min(room[0] / (width + 2 * margin), room[1] / (height + 2 * margin))
        self._origin = np.array([margin, margin]) * self._scale
        self._canvas = self._make_canvas(picture_bgr, margin)

    def _make_canvas(self, picture: ByteArray, margin: float) -> ByteArray:
        side = round(margin * self._scale)
        self._origin[:] = side
        size = (
            max(1, round(self.size.width_px * self._scale)),
            max(1, round(self.size.height_px * self._scale)),
        )
        small = cv2.resize(
            picture, size, interpolation=cv2.INTER_AREA if self._scale < 1 else cv2.INTER_CUBIC
        )
        return np.asarray(
            cv2.copyMakeBorder(small, side, side, side, side, cv2.BORDER_CONSTANT, value=(70, 70, 70)),
            np.uint8,
        )

    # Where things are

    def to_window(self, place: NDArray[np.floating]) -> NDArray[np.float64]:
        """Picture pixels to window pixels."""
        return np.asarray(place * self._scale + self._origin + [0, _BAR_PX], np.float64)

    def to_picture(self, x: float, y: float) -> NDArray[np.float64]:
        """Window pixels to picture pixels."""
        return np.asarray((np.array([x, y]) - self._origin - [0, _BAR_PX]) / self._scale, np.float64)

    def face_px(self) -> FloatArray:
        """float32 ``(68, 2)``: the face bent to its points."""
        return bend_face({name: (float(x), float(y)) for name in HANDLES for x, y in [self.places[name]]})

    def points_px(self) -> FloatArray:
        """float32 ``(57, 3)``: body and hands, confidence 1 where a point is."""
        points = np.zeros((KEYPOINT_COUNT, 3), np.float32)
        for name in _BODY:
            if name in self.places:
                points[BODY_NAMES.index(name)] = *self.places[name], 1
        face = self.face_px()
        for index, place in ((0, face[30]), (11, face[36:42].mean(0)), (12, face[42:48].mean(0)),
                             (13, face[0]), (14, face[16])):  # fmt: skip
            points[index] = *place, 1
        for wrist, hand in self._hands.items():
            points[_HANDS[wrist]] = hand
            points[_HANDS[wrist], 2] = 1
        return points

    # What the user does

    def press(self, x: float, y: float) -> None:
        """The mouse button goes down at window pixels: takes a point, or all of the face or body."""
        self._remember()
        distances = {name: float(np.hypot(*(self.to_window(p) - [x, y]))) for name, p in self.places.items()}
        nearest = min(distances, key=lambda name: distances[name])
        if distances[nearest] <= _REACH_PX:
            self.selected = nearest
            self._group = "face" if nearest in HANDLES else "body"
        else:
            self.selected = ""
            self._group = "face" if self._in_face(x, y) else "body"
        self._dragging = x, y

    def drag(self, x: float, y: float) -> None:
        """The mouse moves; does nothing while no button is down."""
        if self._dragging is None:
            return
        step = (np.array([x, y]) - self._dragging) / self._scale
        self._dragging = x, y
        self._shift([self.selected] if self.selected else self._members(), step)

    def release(self) -> None:
        """The mouse button goes up."""
        self._dragging = None
        if self._before and self._same(self._before[-1]):
            self._before.pop()

    def key(self, name: str) -> None:
        """A letter, ``left``, ``up``, ``right``, ``down`` or ``delete``; all others do nothing."""
        if name == "h":
            self._named = not self._named
        elif name == "u" and self._before:
            self.places, self._hands = self._before.pop()
            if self.selected not in self.places:
                self.selected = ""
        elif name in ("+", "=", "-"):
            self._remember()
            self._resize(1 / 1.03 if name == "-" else 1.03)
        elif name in _ARROWS:
            self._remember()
            step = np.array(_ARROWS[name], float)
            self._shift([self.selected] if self.selected else self._members(), step)
        elif name == "a":
            self._remember()
            self._complete()
        elif name == "delete" and self.selected in _OPTIONAL:
            self._remember()
            del self.places[self.selected]
            self._hands.pop(self.selected, None)
            self.selected = ""

    def save(self, path: Path) -> bool:
        """Write the points file; False, and ``message`` says why, when the points cannot be right.

        Raises:
            AvatarDataError: the file cannot be written.
        """
        points, face = self.points_px(), self.face_px()
        try:
            make_keypoints(self.size, points, face, "points")
        except AvatarDataError as wrong:
            self.message = str(wrong)
            return False
        try:
            write_points_file(path, points, face, self.size)
        except OSError as exc:
            raise AvatarDataError(f"{path} cannot be written: {exc}") from exc
        self.message = ""
        return True

    def _complete(self) -> None:
        neck = self.places["neck"]
        across = self.places["left_shoulder"] - self.places["right_shoulder"]
        width = float(np.hypot(*across))
        for name in _BODY:
            side = {"right": -1.0, "left": 1.0}.get(name.split("_")[0], 0.0)
            kind = name if side == 0 else name.split("_")[1]
            if name not in self.places and kind in _USUAL:
                x, y = _USUAL[kind]
                self.places[name] = neck + np.array([side * x, y]) * width

    def _members(self) -> list[str]:
        return [name for name in self.places if (name in HANDLES) == (self._group == "face")]

    def _in_face(self, x: float, y: float) -> bool:
        hull = cv2.convexHull(self.face_px())
        px, py = self.to_picture(x, y)
        slack = 0.15 * float(np.ptp(hull.reshape(-1, 2)[:, 0]))
        return cv2.pointPolygonTest(hull, (float(px), float(py)), True) > -slack

    def _shift(self, names: list[str], step: NDArray[np.floating]) -> None:
        for name in names:
            self.places[name] = self.places[name] + step
            if name in self._hands:
                self._hands[name] = self._hands[name] + [*step, 0]

    def _resize(self, factor: float) -> None:
        names = self._members()
        centre = np.mean([self.places[name] for name in names], 0)
        if self._group == "body":
            centre = self.places["neck"]
        for name in names:
            old = self.places[name]
            self._shift([name], (old - centre) * (factor - 1))
            if name in self._hands:
                hand = self._hands[name]
                wrist = self.places[name]
                hand[:, :2] = wrist + (hand[:, :2] - wrist) * factor

    def _remember(self) -> None:
        self._before.append(
            ({n: p.copy() for n, p in self.places.items()}, {n: p.copy() for n, p in self._hands.items()})
        )
        del self._before[:-200]

    def _same(self, state: tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.float64]]]) -> bool:
        return state[0].keys() == self.places.keys() and all(
            np.array_equal(state[0][name], self.places[name]) for name in self.places
        )

    # What is shown

    def render(self) -> ByteArray:
        """The picture with points, lines and help: uint8 ``(h, w, 3)`` BGR."""
        shown = np.zeros((self._canvas.shape[0] + _BAR_PX, max(self._canvas.shape[1], 900), 3), np.uint8)
        shown[_BAR_PX:, : self._canvas.shape[1]] = self._canvas
        face = self.to_window(self.face_px())
        for (start, end), closed in (((a, b), a in _CLOSED) for a, b in _FACE_LINES):
            line = np.round(face[start:end] * 8).astype(np.int32)
            cv2.polylines(shown, [line], closed, (90, 230, 90), 1, cv2.LINE_AA, shift=3)
        for a, b in _BONES:
            if a in self.places and b in self.places:
                ends = [_pixel(self.to_window(self.places[name])) for name in (a, b)]
                cv2.line(shown, ends[0], ends[1], (255, 190, 60), 2, cv2.LINE_AA)
        for hand in self._hands.values():
            for joint in range(1, 21):
                before = 0 if joint % 4 == 1 else joint - 1
                ends = [_pixel(self.to_window(hand[i, :2])) for i in (before, joint)]
                cv2.line(shown, ends[0], ends[1], (220, 120, 220), 1, cv2.LINE_AA)
        for name, place in self.places.items():
            chosen = name == self.selected
            colour = (0, 255, 255) if name in HANDLES else (60, 60, 255)
            centre = _pixel(self.to_window(place))
            cv2.circle(shown, centre, 8 if chosen else 5, (0, 0, 0), -1, cv2.LINE_AA)
            cv2.circle(
                shown, centre, 7 if chosen else 4, (255, 255, 255) if chosen else colour, -1, cv2.LINE_AA
            )
            if chosen or (self._named and name not in HANDLES):
                write_text(shown, name.replace("_", " "), (centre[0] + 9, centre[1] - 6), 0.42)
        shown[:_BAR_PX] = (45, 35, 30)
        lines = (self.message, "Correct the points, then press Enter again.") if self.message else HELP
        for row, text in enumerate(lines):
            write_text(
                shown, text, (10, 24 + 25 * row), 0.47, (140, 160, 255) if self.message else (235, 235, 235)
            )
        return shown


def _pixel(place: NDArray[np.floating]) -> tuple[int, int]:
    return round(float(place[0])), round(float(place[1]))
