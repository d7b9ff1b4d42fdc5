"""train and its like: every task leads to a program, and its flags reach it."""

import ast
import importlib.util
import sys
import types
from pathlib import Path

import pytest

from vcam_avatar.cli import _tasks, train
from vcam_avatar.cli.main import main


@pytest.mark.parametrize("name", train.TASKS)
def test_every_task_has_a_program(name: str) -> None:
    spec = importlib.util.find_spec(train.TASKS[name].module)
    assert spec is not None
    assert spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))  # not imported: that needs torch
    assert any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in tree.body)


def test_flags_reach_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    fake = types.ModuleType("fake_task")
    fake.main = lambda argv: seen.append(argv) or 0  # type: ignore[attr-defined, func-returns-value]
    monkeypatch.setitem(sys.modules, "fake_task", fake)
    monkeypatch.setattr(sys, "argv", ["x"])
    monkeypatch.setitem(train.TASKS, "lips", _tasks.Task("fake_task", ""))
    assert main(["train", "lips", "a", "--minutes", "3", "-x"]) == 0
    assert seen == [["a", "--minutes", "3", "-x"]]
    assert sys.argv[0] == "vcam-avatar train lips"


def test_missing_torch_is_explained(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr(sys, "argv", ["x"])
    monkeypatch.delitem(sys.modules, "vcam_avatar.training.lips", raising=False)
    assert main(["train", "lips", "--help"]) == 2
    assert "vcam-avatar[train]" in capsys.readouterr().err
