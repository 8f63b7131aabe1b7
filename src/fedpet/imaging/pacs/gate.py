"""A gate that keeps answers from being lost inside pynetdicom.

pynetdicom 3.0.4 pauses its own reading thread before a question is sent, but may take a thread
that has just left the pause for one that is still in it. That thread then takes an answer for an
unexpected message and drops it: a series is missing from C-FIND, once in some thousand questions
on a busy machine (pydicom/pynetdicom issue 875). Here, closing the gate returns only when the
thread stands still before it.
"""

from __future__ import annotations

import threading
import time

from pynetdicom.events import Event as PacsEvent

PATIENCE_S = 10.0


class Gate(threading.Event):
    """Takes the place of the pause of one association; its thread waits here.

    Args:
        reader: The association's own thread.
    """

    def __init__(self, reader: threading.Thread) -> None:
        super().__init__()
        self._reader = reader
        self._change = threading.Condition()
        self._is_open = True
        self._standing = False

    def is_set(self) -> bool:
        """Tell whether the gate is open."""
        return self._is_open

    def set(self) -> None:
        """Open the gate."""
        with self._change:
            self._is_open = True
            self._change.notify_all()

    def clear(self) -> None:
        """Close the gate, and return when the thread stands before it or has ended."""
        until_s = time.monotonic() + PATIENCE_S
        with self._change:
            self._is_open = False
            if threading.current_thread() is self._reader:
                return
            while not self._standing and self._reader.is_alive() and time.monotonic() < until_s:
                self._change.wait(0.05)

    def wait(self, timeout: float | None = None) -> bool:
        """Stand before the gate until it opens."""
        with self._change:
            self._standing = not self._is_open
            self._change.notify_all()
            opened = self._change.wait_for(lambda: self._is_open, timeout)
            self._standing = False
            return opened


def put_gate(event: PacsEvent) -> None:
    """Give an association its gate; a handler of EVT_CONN_OPEN, before its thread reads."""
    event.assoc._reactor_checkpoint = Gate(event.assoc)
