"""Configuration -> stages and avatars ready to run."""

import dataclasses

from vcam_avatar.avatars import Avatar, find_avatar, list_avatars, load_avatar
from vcam_avatar.config import Config
from vcam_avatar.errors import AvatarDataError
from vcam_avatar.pipeline.loop import PreparedAvatar, Stages
from vcam_avatar.stages.compositor import Compositor
from vcam_avatar.stages.face import NeuralFaceGenerator
from vcam_avatar.stages.features import FeatureStage
from vcam_avatar.stages.listener import Listener, ListenerSettings
from vcam_avatar.stages.pose_retarget import Retargeter

DEFAULT_AVATAR = "mia"
"""Shown when the configuration names none."""


def build_stages(config: Config) -> Stages:
    """Load the networks and make one of each stage.

    Raises:
        ModelError: a network is missing, damaged or does not fit.
    """
    from vcam_avatar.stages.body import BodyGenerator
    from vcam_avatar.stages.pose import NeuralPosePredictor

    networks = config.networks
    listener = Listener(settings=ListenerSettings(look_ahead_ms=config.voice.look_ahead_ms))
    return Stages(
        features=FeatureStage(config.video.fps),
        pose=NeuralPosePredictor(),
        body=BodyGenerator(),
        face=NeuralFaceGenerator(listener, networks.device, networks.threads),
        compositor=Compositor(),
    )


def find_configured_avatar(config: Config) -> Avatar:
    """Load the avatar that the configuration names, or the default one.

    Raises:
        AvatarDataError: unknown, damaged, or there is none at all.
    """
    name = config.avatar
    if not name:
        usable = [entry.name for entry in list_avatars() if not entry.problem]
        if not usable:
            raise AvatarDataError("there is no avatar: create one with  vcam-avatar avatars create PICTURE")
        name = DEFAULT_AVATAR if DEFAULT_AVATAR in usable else usable[0]
    return load_avatar(find_avatar(name))


def prepare_avatar(stages: Stages, avatar: Avatar, config: Config) -> PreparedAvatar:
    """Everything that can be computed once for this avatar and the configured size; may take seconds.

    Raises:
        AvatarDataError: its picture or layers cannot be used.
    """
    avatar = with_gains(avatar, config)
    size = config.video.size
    return PreparedAvatar(
        name=avatar.name,
        start_pose=Retargeter(avatar.points_px).start_pose,
        body=stages.body.prepare(avatar, size),
        face=stages.face.prepare(avatar, size),
        mirror=avatar.settings.mirror,
    )


def with_gains(avatar: Avatar, config: Config) -> Avatar:
    """The avatar with the gains that the user's configuration sets in place of its own."""
    wanted = {
        "mouth": config.voice.mouth_gain,
        "smile": config.voice.smile,
        "motion": config.motion.gain,
        "head": config.motion.head_gain,
    }
    update = {key: value for key, value in wanted.items() if value is not None}
    gains = avatar.settings.gains.model_copy(update=update)
    return dataclasses.replace(avatar, settings=avatar.settings.model_copy(update={"gains": gains}))
