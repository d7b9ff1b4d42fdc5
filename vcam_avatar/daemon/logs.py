"""Where the service writes down what happened: a file that cannot grow without end."""

import contextlib
import logging
import logging.handlers
from collections.abc import Iterator
from pathlib import Path

from vcam_avatar.errors import ConfigError

MAX_BYTES = 2_000_000
KEPT_FILES = 3
FORMAT = "%(asctime)s %(levelname)s %(threadName)s %(name)s: %(message)s"


def default_log_file() -> Path:
    """The log file when none is named."""
    import platformdirs

    return Path(platformdirs.user_log_dir("vcam-avatar", appauthor=False)) / "vcam-avatar.log"


@contextlib.contextmanager
def logging_to(file: Path, level: int = logging.INFO) -> Iterator[None]:
    """Log to ``file`` too while inside, at most 8 MB with its older parts.

    Raises:
        ConfigError: the file cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.handlers.RotatingFileHandler(
            file, maxBytes=MAX_BYTES, backupCount=KEPT_FILES, encoding="utf-8"
        )
    except OSError as exc:
        raise ConfigError(f"cannot write the log {file}: {exc.strerror}") from exc
    handler.setLevel(level)
    handler.setFormatter(logging.Formatter(FORMAT))
    root = logging.getLogger()
    before = root.level
    quiet = [other for other in root.handlers if other.level == logging.NOTSET]
    if before > level:
        # What is shown elsewhere stays as it was.
        for other in quiet:
            other.setLevel(before)
        root.setLevel(level)
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(before)
        for other in quiet:
            other.setLevel(logging.NOTSET)
        handler.close()
