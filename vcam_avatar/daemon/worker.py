"""A thread for work that may be left unfinished when the program ends."""

import os
import queue
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

Result = TypeVar("Result")


class BackgroundWorker:
    """Runs jobs one after another. Unlike an executor's, its thread keeps no program from ending."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._lock = threading.Lock()

    def submit(self, job: Callable[..., Result], *arguments: Any) -> "Future[Result]":
        """Queue ``job(*arguments)``.

        Raises:
            RuntimeError: after ``close``.
        """
        future: Future[Result] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError(f"the worker {self._name} is closed")
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            self._jobs.put((future, lambda: job(*arguments)))
        return future

    def close(self) -> None:
        """Begin no more jobs; the one that runs is not waited for."""
        with self._lock:
            self._closed = True
            self._jobs.put(None)

    def _run(self) -> None:
        if sys.platform.startswith("linux"):
            # The threads of the running picture go first.
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
        while (item := self._jobs.get()) is not None:
            future, job = item
            if self._closed:
                future.cancel()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(job())
            except BaseException as exc:
                future.set_exception(exc)
