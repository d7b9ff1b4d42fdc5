"""Checks of the run as a whole."""

import logging
import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """The command line sets logging up for the process; a test must not do so for the next ones."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


_COLLECTED_WITH_TORCH = pytest.StashKey[bool]()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Files whose tests train import torch when they are collected, where it is installed."""
    session.config.stash[_COLLECTED_WITH_TORCH] = "torch" in sys.modules


def pytest_sessionfinish(session: pytest.Session) -> None:
    """The default run must work without torch: fail when a test imported it."""
    expression = session.config.getoption("markexpr")
    imported = "torch" in sys.modules and not session.config.stash.get(_COLLECTED_WITH_TORCH, True)
    if "not train" in expression and imported and session.exitstatus == 0:
        session.exitstatus = 1
        print("\ntorch was imported by a run that must do without it")
