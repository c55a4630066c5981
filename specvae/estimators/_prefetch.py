"""Work that a thread does ahead of the one who waits for it."""

import contextvars
import queue
import threading
from collections.abc import Generator, Iterable, Iterator
from typing import Any


def prefetch(items: Iterable[Any], depth: int = 2) -> Generator[Any]:
    """Yield the items of an iterable, of which a thread prepares the next ones.

    Their order is the same, and so is what the iterable draws from a generator of its own. An
    error of the iterable, Ctrl-C included, is raised when its item is asked for. The thread has
    ended when the last item is taken, and also when this generator is closed early, which waits for
    the item in preparation alone.

    Parameters
    ----------
    items : iterable
        Only the thread touches it until the end.
    depth : int, default=2
        Items at most that are prepared and not yet taken.

    Yields
    ------
    item : object

    Examples
    --------
    >>> list(prefetch(number**2 for number in range(4)))
    [0, 1, 4, 9]
    """
    ahead = _Ahead(iter(items), depth)
    try:
        yield from ahead.taken()
    finally:
        ahead.stop()


class _Ahead:
    """The thread, what it has prepared, and how much more it may."""

    def __init__(self, items: Iterator[Any], depth: int):
        self._items = items
        self._prepared: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()
        self._places = threading.Semaphore(depth)
        self._is_stopped = False
        # Settings such as numpy's error state are those of the caller.
        context = contextvars.copy_context()
        # A daemon: a read that never returns, as of a lost network disk, must not keep Python.
        self._thread = threading.Thread(
            target=context.run, args=(self._prepare,), name="specvae-prefetch", daemon=True
        )
        self._thread.start()

    def taken(self) -> Iterator[Any]:
        while True:
            item, error = self._prepared.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                try:
                    raise error
                finally:
                    del error  # it holds this frame, and batches with it
            self._places.release()
            yield item
            del item  # or its memory would be held while the next is awaited

    def stop(self) -> None:
        self._is_stopped = True
        self._places.release()
        self._thread.join()

    def _prepare(self) -> None:
        error: BaseException | None = None
        while error is None:
            self._places.acquire()
            if self._is_stopped:
                return
            item = None
            try:
                item = next(self._items)
            except BaseException as raised:  # for the one who waits for the item
                error = raised
            self._prepared.put((item, error))
            del item
