"""``vcam-avatar train``: makes the networks again."""

import argparse

from vcam_avatar.cli._tasks import Task, add_tasks

TASKS = {
    "voices": Task("vcam_avatar.training.speech_tts", "generate speech with known phones"),
    "speech": Task("vcam_avatar.training.speech", "gather speech and mouths into training sets"),
    "lips": Task("vcam_avatar.training.lips", "train and export the lip network"),
    "pose": Task("vcam_avatar.training.pose_train", "train and export the pose predictor"),
    "face": Task("vcam_avatar.training.face", "train the face generator"),
    "face-export": Task("vcam_avatar.training.face_export", "export the face generator"),
    "layers": Task("vcam_avatar.training.layers_train", "train the layer network"),
    "layers-export": Task("vcam_avatar.training.layers_export", "export the layer network"),
    "motion-data": Task("vcam_avatar.training.motion_data", "gather how heads and torsos bend"),
    "motion-real": Task("vcam_avatar.training.motion_real", "the same from videos of real people"),
    "motion": Task("vcam_avatar.training.motion_train", "train the networks that bend head and torso"),
    "motion-export": Task("vcam_avatar.training.motion_export", "export them"),
    "hands": Task("vcam_avatar.training.body_lift", "train and export the hand network"),
    "hand-pairs": Task("vcam_avatar.training.body_crops", "cut pairs of drawn and real hands from videos"),
    "limb-pairs": Task("vcam_avatar.training.body_crops_people", "draw and render synthetic people's arms"),
    "limb-refiner": Task("vcam_avatar.training.body_gan", "train and export the limb refiner"),
    "body": Task("vcam_avatar.training.body_learn", "let one avatar learn from a video of its person"),
    "detectors": Task("vcam_avatar.training.convert_mediapipe", "convert MediaPipe's detectors"),
}


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    add_tasks(subparsers, "train", "train the networks (needs the extra 'train')", TASKS)
