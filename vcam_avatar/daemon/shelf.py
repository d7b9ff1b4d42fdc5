"""The avatars at hand: loaded in the background, so that a switch never makes the picture wait."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from typing import Generic, TypeVar

from vcam_avatar.daemon.worker import BackgroundWorker
from vcam_avatar.errors import AvatarDataError, AvatarError

log = logging.getLogger(__name__)

Prepared = TypeVar("Prepared")


class Shelf(Generic[Prepared]):
    """Prepares avatars on threads of its own, wanted ones first, and keeps the most recently used."""

    def __init__(
        self,
        names: Callable[[], Sequence[str]],
        prepare: Callable[[str], Prepared],
        capacity: int = 4,
    ) -> None:
        """
        Args:
            names: lists the avatars there are, in hotkey order; may read the disk.
            prepare: makes one ready to be shown; may take seconds and raise ``AvatarError``.
            capacity: how many are kept ready.
        """
        self._list = names
        self._prepare = prepare
        self._capacity = capacity
        self._lock = threading.Lock()
        self._ready: OrderedDict[str, Future[Prepared]] = OrderedDict()
        self._worker = BackgroundWorker("shelf")
        self._urgent = BackgroundWorker("wanted")
        self._warming: dict[str, Future[Prepared]] = {}
        self.names: tuple[str, ...] = tuple(names())
        """The avatars there are, in hotkey order."""

    def put(self, name: str, prepared: Prepared) -> None:
        """One that is ready already."""
        future: Future[Prepared] = Future()
        future.set_result(prepared)
        with self._lock:
            self._ready[name] = future

    def get(self, name: str) -> Prepared:
        """The avatar, prepared; waits for it.

        Raises:
            AvatarError: it cannot be made ready.
        """
        return self._future(name, urgent=True).result()

    def want(self, name: str, then: Callable[[Prepared], None], fail: Callable[[AvatarError], None]) -> None:
        """Call ``then`` with the avatar as soon as it is ready: at once if it is, else on the shelf's
        thread."""

        def done(future: Future[Prepared]) -> None:
            if future.cancelled():
                return
            error = future.exception()
            if error is None:
                then(future.result())
                return
            self._forget(name, future)
            if not isinstance(error, AvatarError):
                log.error("avatar %s cannot be prepared", name, exc_info=error)
                error = AvatarDataError(f"avatar {name} cannot be prepared ({error})")
            fail(error)

        self._future(name, urgent=True).add_done_callback(done)

    def warm(self, around: str) -> None:
        """Prepare the neighbours of an avatar, as far as there is room, for the next key press."""
        if around not in self.names:
            return
        at, count = self.names.index(around), len(self.names)
        for distance in range(1, self._capacity):
            for step in (distance, -distance):
                name = self.names[(at + step) % count]
                with self._lock:
                    full = len(self._ready) >= min(self._capacity, count)
                    known = name in self._ready
                if full:
                    return
                if not known:
                    self._future(name)

    def reload(self) -> None:
        """List the avatars anew and prepare them anew when next wanted.

        Raises:
            AvatarError: the avatars cannot be listed; everything stays as it was.
        """
        names = tuple(self._list())
        with self._lock:
            self.names = names
            for future in self._ready.values():
                future.cancel()
            self._ready.clear()

    def refresh(self, changed: Collection[str]) -> None:
        """List the avatars anew; prepare only those in ``changed`` anew when next wanted.

        Raises:
            AvatarError: the avatars cannot be listed; everything stays as it was.
        """
        names = tuple(self._list())
        with self._lock:
            self.names = names
            for name in changed:
                future = self._ready.pop(name, None)
                if future is not None:
                    future.cancel()

    def ready(self) -> dict[str, Prepared]:
        """The avatars that are prepared and kept, by name."""
        with self._lock:
            futures = dict(self._ready)
        done = {name: future for name, future in futures.items() if future.done() and not future.cancelled()}
        return {name: future.result() for name, future in done.items() if future.exception() is None}

    def close(self) -> None:
        """Prepare nothing more."""
        for worker in (self._worker, self._urgent):
            worker.close()

    def _future(self, name: str, urgent: bool = False) -> "Future[Prepared]":
        with self._lock:
            self._warming = {key: kept for key, kept in self._warming.items() if not kept.done()}
            future = self._ready.get(name)
            if urgent and future is not None and self._warming.get(name) is future:
                # What somebody waits for must not queue behind what is only made ready in case.
                future.cancel()
                del self._warming[name]
            if future is None or future.cancelled() or (future.done() and future.exception() is not None):
                worker = self._urgent if urgent else self._worker
                future = self._ready[name] = worker.submit(self._prepare, name)
                if not urgent:
                    self._warming[name] = future
            self._ready.move_to_end(name)
            while len(self._ready) > self._capacity:
                oldest = next(iter(self._ready))
                if not self._ready[oldest].done():
                    break
                del self._ready[oldest]
            return future

    def _forget(self, name: str, future: "Future[Prepared]") -> None:
        with self._lock:
            if self._ready.get(name) is future:
                del self._ready[name]
