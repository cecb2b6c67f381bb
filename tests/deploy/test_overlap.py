"""Stages that overlap, by events and never by the clock."""

import threading
from collections.abc import Generator

import pytest

from detforge.deploy.inputs.canvases import Canvases
from detforge.deploy.system.overlap import ahead

PATIENCE_S = 30


def test_order_is_kept_through_stages() -> None:
    squares = ahead((i * i for i in ahead((i for i in range(200)), 3)), 1)
    assert list(squares) == [i * i for i in range(200)]


def test_the_next_item_is_made_while_the_caller_works() -> None:
    begun = [threading.Event() for _ in range(4)]

    def items() -> Generator[int]:
        for i, event in enumerate(begun):
            event.set()
            yield i

    for i in ahead(items(), 1):
        assert i == 3 or begun[i + 1].wait(PATIENCE_S)


def test_no_more_than_the_depth_waits() -> None:
    made, room = [], threading.Event()

    def items() -> Generator[int]:
        for i in range(50):
            made.append(i)
            if i == 4:
                room.set()
            yield i

    results = ahead(items(), 2)
    assert next(results) == 0
    # One is in the caller's hands, two wait: a fourth is begun when the caller comes back.
    assert not room.wait(0.2) and len(made) <= 4
    assert list(results) == list(range(1, 50))


def test_an_error_comes_in_its_place() -> None:
    def items() -> Generator[int]:
        yield 1
        yield 2
        raise KeyError("third")

    results = ahead(items(), 5)
    assert [next(results), next(results)] == [1, 2]
    with pytest.raises(KeyError, match="third"):
        next(results)


def test_closing_ends_every_stage() -> None:
    closed = threading.Event()

    def items() -> Generator[int]:
        try:
            yield from range(1000)
        finally:
            closed.set()

    before = threading.active_count()
    results = ahead((i for i in ahead(items(), 1)), 1)
    assert next(results) == 0
    results.close()
    assert closed.wait(PATIENCE_S) and threading.active_count() == before


def test_each_thread_uses_its_canvas_again() -> None:
    canvases = Canvases()
    first = canvases.take("image", (2, 3, 4, 5))
    other: list[object] = []
    thread = threading.Thread(target=lambda: other.append(canvases.take("image", (2, 3, 4, 5))))
    thread.start()
    thread.join()
    again = canvases.take("image", (1, 3, 8, 4), "float16")
    assert (first.shape, first.dtype, again.shape, again.dtype) == ((2, 3, 4, 5), "float32", (1, 3, 8, 4), "float16")
    assert first.ctypes.data == again.ctypes.data != other[0].ctypes.data
