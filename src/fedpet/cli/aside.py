"""Let work go on aside while this thread watches: Ctrl-C reaches the watcher, and nobody else."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from multiprocessing import active_children
from queue import Empty, SimpleQueue
from typing import TypeVar

POLL_S = 0.2
T = TypeVar("T")
Source = Callable[[], Generator[T, None, None]]


def aside(sources: Sequence[Source[T]], *, at_once: int) -> Iterator[T]:
    """Run generators in threads and yield what they yield, as it comes.

    Processes that they start are deaf to Ctrl-C from their first instant, so that none of them
    complains on the screen. When the watcher stops, they are ended.

    Args:
        sources: Each makes a generator; it runs in one thread from beginning to end.
        at_once: How many run at the same time.
    """
    queue: SimpleQueue[T] = SimpleQueue()
    stop = threading.Event()

    def work(source: Source[T]) -> None:
        with closing(source()) as items:
            for item in items:
                queue.put(item)
                if stop.is_set():
                    return

    threads = ThreadPoolExecutor(at_once, thread_name_prefix="aside", initializer=_deaf)
    try:
        yield from _passed_on(queue, [threads.submit(work, source) for source in sources])
    except BaseException:
        stop.set()
        for process in active_children():
            process.terminate()
        raise
    finally:
        threads.shutdown(cancel_futures=True)


def _deaf() -> None:
    # A new process inherits the signals that the thread which starts it has blocked.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


def _passed_on(queue: SimpleQueue[T], futures: list[Future[None]]) -> Iterator[T]:
    while True:
        ended = all(future.done() for future in futures)
        try:
            yield queue.get(timeout=POLL_S)
        except Empty:
            if ended:
                break
    for future in futures:
        future.result()
