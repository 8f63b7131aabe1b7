"""Processes that prepare scans, and end with the one that started them."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context, parent_process


@contextmanager
def open_pool(workers: int) -> Iterator[Executor]:
    """Start processes that prepare scans; they end with this one, however it ends."""
    # Fresh processes, not forked ones: the caller may run threads.
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_be_a_worker)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _be_a_worker() -> None:
    """Leave Ctrl-C to the parent, which lets the scan at hand be finished; die with the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent.join,), daemon=True).start()


def _follow(join: object) -> None:
    assert callable(join)
    join()
    os._exit(1)
