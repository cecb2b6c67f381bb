"""Overlaps stages of work: a generator runs ahead in a thread while its consumer works."""

import threading
from collections.abc import Generator
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")

_PATIENCE_S = 5.0


def ahead(items: Generator[T], depth: int) -> Generator[T]:
    """Yield the same items in the same order, but produce up to `depth` of them ahead in a thread.

    An error of `items` is raised in the place of its item. If the caller closes this generator, the thread finishes its
    current item, closes `items` and ends.
    """
    ready: SimpleQueue[tuple[T] | BaseException | None] = SimpleQueue()
    room, over = threading.Semaphore(depth), threading.Event()

    def work() -> None:
        end: BaseException | None = None
        try:
            for item in items:
                ready.put((item,))
                room.acquire()
                if over.is_set():
                    break
            items.close()
        except BaseException as error:  # raised in the caller's thread
            end = error
        ready.put(end)

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    try:
        while isinstance(made := ready.get(), tuple):
            room.release()
            yield made[0]
        if made is not None:
            raise made
    finally:
        over.set()
        room.release()
        worker.join(_PATIENCE_S)  # do not wait for a camera that hangs
