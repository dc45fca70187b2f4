"""Steps beside each other: in order, few on the way, and ended as one."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Generator, Iterator

import pytest

from rendering.engine.pipeline import Busy, beside

STEPS = ("decode", "cut", "network")


def chain(source: Iterator[int], *steps: Callable[[int], int]) -> Generator[int, None, None]:
    """``steps`` after one another, each with the step before it beside it."""

    def after(items: Generator[int, None, None], step: Callable[[int], int]) -> Generator[int, None, None]:
        with contextlib.closing(items):
            for item in items:
                yield step(item)

    items = beside(source, depth=1, name=STEPS[0])
    for step, name in zip(steps, STEPS[1:], strict=False):
        items = beside(after(items, step), depth=1, name=name)
    return items


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name in STEPS]


def test_order_is_kept_whatever_takes_longer() -> None:
    def slow_for_even(number: int) -> int:
        time.sleep(0.003 if number % 2 == 0 else 0)
        return number

    assert list(chain(iter(range(30)), slow_for_even, lambda number: number + 1)) == list(range(1, 31))
    assert threads() == []


def test_steps_are_at_work_at_the_same_time() -> None:
    meeting = threading.Barrier(2, timeout=10)

    def first(number: int) -> int:
        if number == 1:
            meeting.wait()
        return number

    def second(number: int) -> int:
        if number == 0:
            meeting.wait()  # until number 1 is in the step before
        return number

    assert list(chain(iter(range(4)), first, second)) == [0, 1, 2, 3]


def test_no_step_runs_ahead_of_who_takes() -> None:
    begun: list[int] = []

    def source() -> Iterator[int]:
        for number in range(1000):
            begun.append(number)
            yield number

    most = 0
    with contextlib.closing(chain(source(), lambda n: n, lambda n: n)) as items:
        for taken, _ in zip(range(50), items, strict=False):
            time.sleep(0.001)
            most = max(most, len(begun) - taken)
    # One in each step, and the one that was taken.
    assert most <= 4
    assert threads() == []


@pytest.mark.parametrize("fails_in", [0, 1, 2])
def test_what_a_step_raises_comes_out_after_what_was_made_before_it(fails_in: int) -> None:
    def broken(step: int) -> Callable[[int], int]:
        def run(number: int) -> int:
            if step == fails_in and number == 5:
                raise MemoryError(step)
            return number

        return run

    taken: list[int] = []

    def take() -> None:
        with contextlib.closing(chain((broken(0)(n) for n in range(1000)), broken(1), broken(2))) as items:
            for number in items:
                taken.append(number)

    with pytest.raises(MemoryError):
        take()
    assert taken == [0, 1, 2, 3, 4]
    assert threads() == []


def test_who_stops_taking_ends_every_step_and_closes_the_source() -> None:
    closed = []

    def source() -> Iterator[int]:
        try:
            yield from range(1000)
        finally:
            closed.append(threading.current_thread().name)

    def cancelled() -> None:
        with contextlib.closing(chain(source(), lambda n: n, lambda n: n)) as items:
            for number in items:
                if number == 7:
                    raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cancelled()
    assert closed == ["decode"]
    assert threads() == []


def test_a_chain_that_nobody_takes_from_begins_nothing() -> None:
    chain(iter(range(3)), lambda n: n).close()
    assert threads() == []


def test_waiting_for_others_does_not_count_as_busy() -> None:
    busy, seen = Busy(), []
    made = busy.step(beside(busy.reading(range(5), "decode"), depth=1, name="decode"), seen.append, "network")
    assert [next(made), next(made)] == [0, 1]
    held = busy.seconds["network"]
    time.sleep(0.05)
    assert busy.seconds["network"] == held
    assert list(made) == [2, 3, 4]
    assert seen == [0, 1, 2, 3, 4]
    assert busy.seconds["network"] > held
    assert busy.seconds["decode"] > 0
