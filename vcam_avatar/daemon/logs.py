"""Where the service writes down what happened: a file that cannot grow without end."""

import logging
import logging.handlers
from pathlib import Path

from vcam_avatar.errors import ConfigError

MAX_BYTES = 2_000_000
KEPT_FILES = 3
FORMAT = "%(asctime)s %(levelname)s %(threadName)s %(name)s: %(message)s"


def default_log_file() -> Path:
    """The log file when none is named."""
    import platformdirs

    return Path(platformdirs.user_log_dir("vcam-avatar", appauthor=False)) / "vcam-avatar.log"


def log_to_file(file: Path, level: int = logging.INFO) -> None:
    """Log to ``file`` too, at most 8 MB with its older parts.

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
    root.addHandler(handler)
    if root.level > level:
        for other in root.handlers:
            if other is not handler and other.level == logging.NOTSET:
                other.setLevel(root.level)
        root.setLevel(level)
