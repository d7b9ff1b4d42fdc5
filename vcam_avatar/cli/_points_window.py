"""The window in which points are placed on a picture."""

import os
import sys
from pathlib import Path
from typing import Any

import cv2

from vcam_avatar.avatars.points_editor import PointsEditor
from vcam_avatar.errors import AvatarDataError

_TITLE = "Avatar Cam: points"
_ENTER, _ESCAPE = (10, 13, 65421), 27
_NAMES = {
    65361: "left", 65362: "up", 65363: "right", 65364: "down",
    2424832: "left", 2490368: "up", 2555904: "right", 2621440: "down",
    63234: "left", 63232: "up", 63235: "right", 63233: "down",
    65535: "delete", 3014656: "delete", 63272: "delete", 127: "delete", 8: "delete",
    65451: "+", 65453: "-",
}  # fmt: skip
"""Keys without a letter, by their codes with X11, Windows and macOS."""


def edit_points(editor: PointsEditor, target: Path) -> bool:
    """Let the user place the points until they are saved or the window is left.

    Returns:
        Whether ``target`` was written.

    Raises:
        AvatarDataError: there is no screen, or the file cannot be written.
    """
    if sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
        raise AvatarDataError(
            "there is no screen for the window; use the text file instead: "
            "vcam-avatar avatars create PICTURE --points-template FILE"
        )
    os.environ.setdefault("QT_LOGGING_RULES", "*.warning=false")

    def mouse(event: int, x: int, y: int, flags: int, _: Any) -> None:
        if event == cv2.EVENT_LBUTTONDOWN:
            editor.press(x, y)
        elif event == cv2.EVENT_MOUSEMOVE and flags & cv2.EVENT_FLAG_LBUTTON:
            editor.drag(x, y)
        elif event == cv2.EVENT_LBUTTONUP:
            editor.release()

    try:
        cv2.namedWindow(_TITLE, cv2.WINDOW_AUTOSIZE | cv2.WINDOW_GUI_NORMAL)
        cv2.setMouseCallback(_TITLE, mouse)
    except cv2.error as exc:
        raise AvatarDataError(
            f"no window can be opened ({exc.err or 'no display'}); use the text file instead: "
            "vcam-avatar avatars create PICTURE --points-template FILE"
        ) from exc
    try:
        while True:
            cv2.imshow(_TITLE, editor.render())
            code = cv2.waitKeyEx(30)
            if cv2.getWindowProperty(_TITLE, cv2.WND_PROP_VISIBLE) < 1:
                return False
            if code == -1:
                continue
            if code == _ESCAPE:
                return False
            if code in _ENTER:
                if editor.save(target):
                    return True
            else:
                editor.key(_NAMES.get(code) or chr(code & 0x7F).lower())
    finally:
        cv2.destroyAllWindows()
