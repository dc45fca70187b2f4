"""Steps of the work beside each other, each in a thread of its own, few things at a time on the way between them."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def beside(source: Iterable[Item], *, depth: int, name: str) -> Generator[Item, None, None]:
    """The same items in the same order, made by a thread of their own up to ``depth`` before they are taken.

    What making them raises comes out here, after the items before it. Who stops taking closes this generator: that ends
    the thread, after the item that it is at, and closes ``source`` in it, so that a chain of these ends as one.
    """
    ready: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()
    room, stopped = threading.Semaphore(depth), threading.Event()

    def make() -> None:
        items = iter(source)
        try:
            while True:
                room.acquire()
                if stopped.is_set():
                    return
                ready.put((next(items), None))
        except BaseException as error:  # noqa: BLE001 - raised again where the items are taken
            ready.put((None, error))
        finally:
            if isinstance(items, Generator):
                items.close()

    thread = threading.Thread(target=make, daemon=True, name=name)
    thread.start()
    try:
        while True:
            item, error = ready.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            room.release()
            yield item
    finally:
        stopped.set()
        room.release()
        thread.join()


class Helpers:
    """Threads that a step spreads over; none: it does all of it itself."""

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, "helper") if threads else None

    def __bool__(self) -> bool:
        return self._pool is not None

    def submit(self, work: Callable[..., Result], *given: Any) -> Future[Result]:
        """``work`` of ``given``, begun in this order."""
        if self._pool is None:
            raise ValueError("nobody helps")
        return self._pool.submit(work, *given)

    def map(self, work: Callable[..., Result], *given: Iterable[Any]) -> list[Result]:
        """``work`` of each of ``given``, in their order."""
        return list(self._pool.map(work, *given) if self._pool is not None else map(work, *given))

    def close(self) -> None:
        """End them, after what they are at."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


class Busy:
    """Seconds at work by name; waiting for the step before or after does not count."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def at(self, name: str) -> Iterator[None]:
        """What is done within counts as ``name``."""
        began = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - began

    def reading(self, items: Iterable[Item], name: str) -> Generator[Item, None, None]:
        """The same items; what it takes to get them counts."""
        source = iter(items)
        with contextlib.suppress(StopIteration):
            while True:
                with self.at(name):
                    item = next(source)
                yield item

    def step(
        self, source: Generator[Item, None, None], step: Callable[[Item], None], name: str
    ) -> Generator[Item, None, None]:
        """The items of ``source``, after ``step`` was done with each. Closes ``source`` at the end."""
        with contextlib.closing(source):
            for item in source:
                with self.at(name):
                    step(item)
                yield item
