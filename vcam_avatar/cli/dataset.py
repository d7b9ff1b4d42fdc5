"""``vcam-avatar dataset``: makes training sets of sound and motion."""

import argparse

from vcam_avatar.cli._tasks import Task, add_tasks

TASKS = {
    "build": Task("vcam_avatar.training.dataset_video", "from videos of one person talking"),
    "pairs": Task("vcam_avatar.training.pose_corpus", "the set behind the shipped pose weights"),
}


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    add_tasks(subparsers, "dataset", "make training sets (needs the extra 'train')", TASKS)
