"""Pictures become avatars; the avatar folder format."""

from vcam_avatar.avatars.format import Avatar, AvatarEntry, find_avatar, list_avatars, load_avatar
from vcam_avatar.avatars.keypoints import BODY_NAMES, LEFT_HAND, RIGHT_HAND, Keypoints
from vcam_avatar.avatars.settings import AvatarSettings

__all__ = [
    "BODY_NAMES",
    "LEFT_HAND",
    "RIGHT_HAND",
    "Avatar",
    "AvatarEntry",
    "AvatarSettings",
    "Keypoints",
    "find_avatar",
    "list_avatars",
    "load_avatar",
]
