"""Subcommands that hand all further flags to one of several programs, imported only then."""

import argparse
import importlib
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Task:
    """One program with its own flags."""

    module: str
    """Has ``main(argv: list[str] | None) -> int``."""
    help: str


def add_tasks(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",
    command: str,
    summary: str,
    tasks: Mapping[str, Task],
) -> None:
    """Add ``command`` with one word for the task; the rest of the line belongs to the task."""
    lines = "\n".join(f"  {name:14} {task.help}" for name, task in tasks.items())
    parser = subparsers.add_parser(
        command,
        help=summary,
        description=f"{summary}\n\n{lines}\n\nEach has its own --help.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage=f"vcam-avatar {command} TASK ...",
    )
    parser.add_argument("task", choices=tasks, metavar="TASK")
    parser.add_argument("rest", nargs=argparse.REMAINDER, metavar="...")
    parser.set_defaults(handler=lambda args: _run(f"{command} {args.task}", tasks[args.task], args.rest))


def _run(name: str, task: Task, rest: list[str]) -> int:
    import sys

    from vcam_avatar.errors import ConfigError

    sys.argv = [f"vcam-avatar {name}", *rest]  # what the task's own help calls it

    try:
        module = importlib.import_module(task.module)
    except ModuleNotFoundError as exc:
        raise ConfigError(
            f"{exc.name} is missing: install what training needs with  pip install 'vcam-avatar[train]'"
        ) from exc
    return int(module.main(rest))
