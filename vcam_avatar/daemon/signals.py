"""What the system asks of the service."""

import signal
import sys
import threading
from types import FrameType
from typing import Any


class Signals:
    """Takes note of signals while inside; elsewhere than in the main thread there are none.

    A handler interrupts anything, also code that holds a lock, so it only sets attributes, which the
    main loop looks at.

    Attributes:
        stop: the end was asked for (Ctrl+C, SIGTERM).
        reload: reading the avatars anew was asked for (SIGHUP).
    """

    def __init__(self) -> None:
        self.stop = self.reload = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Signals":
        if threading.current_thread() is threading.main_thread():
            numbers = [signal.SIGINT, signal.SIGTERM]
            if sys.platform == "win32":
                numbers.append(signal.SIGBREAK)
            else:
                numbers.append(signal.SIGHUP)
            self._before = {number: signal.signal(number, self._note) for number in numbers}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if sys.platform != "win32" and number == signal.SIGHUP:
            self.reload = True
        else:
            self.stop = True
