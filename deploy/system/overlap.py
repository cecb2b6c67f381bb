"""Stages of work that overlap: each goes ahead in a thread of its own while the next one works on what came before."""

import threading
from collections.abc import Generator
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")

_PATIENCE_S = 5.0


def ahead(items: Generator[T], depth: int) -> Generator[T]:
    """The same items in the same order, made in a thread of their own, at most `depth` of them before they are wanted.

    An error comes where its item would have come. When the caller is done, or closes this, the thread ends with the
    item that it is making, and `items` is closed there.
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
        except BaseException as error:  # whatever it is, it belongs to the caller
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
        worker.join(_PATIENCE_S)  # a camera that hangs is not waited for
