"""All errors a user may see. One line each: the cause and the cure.

Caller bugs stay ``TypeError`` / ``ValueError``.
"""


class AvatarError(Exception):
    """Root of the errors that the command line prints without a traceback."""

    exit_code = 1
    """Exit status of the command line."""


class ConfigError(AvatarError):
    """The configuration or a command-line value cannot be used."""

    exit_code = 2


class MediaError(AvatarError):
    """An audio, picture or video file cannot be used."""

    exit_code = 3


class ModelError(AvatarError):
    """A network file is missing, damaged or does not fit its sidecar."""

    exit_code = 4


class AvatarDataError(AvatarError):
    """An avatar is unknown, damaged, or cannot be made from a picture."""

    exit_code = 5


class DeviceError(AvatarError):
    """A microphone or camera cannot be opened or has failed."""

    exit_code = 6


class ControlError(AvatarError):
    """A command could not reach the running service, or was refused."""

    exit_code = 7
