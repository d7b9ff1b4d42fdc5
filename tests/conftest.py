"""Checks of the run as a whole."""

import sys

import pytest


def pytest_sessionfinish(session: pytest.Session) -> None:
    """The default run must work without torch: fail when something imported it."""
    expression = session.config.getoption("markexpr")
    if "not train" in expression and "torch" in sys.modules and session.exitstatus == 0:
        session.exitstatus = 1
        print("\ntorch was imported by a run that must do without it")
