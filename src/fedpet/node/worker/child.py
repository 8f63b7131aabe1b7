"""The worker itself: confines itself first, then computes what it is handed over two pipes.

It is started with nothing: no key, no open file of the node, no variable of its environment. The
first frame says how to confine; only then numerical libraries are imported, for the first time.
What it answers is an answer of code that is not trusted, and is checked as such by the node.
"""

from __future__ import annotations

import os
import sys
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from fedpet.node.worker.confinement import GIB, Confinement, enter
from fedpet.node.worker.wire import Patience, WireError, receive, send

if TYPE_CHECKING:
    from fedpet.node.worker.trade import Trade

DETAIL_MAX = 8000


def main() -> None:
    """Serve one node until it closes the line."""
    line_in, line_out = os.dup(0), os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):  # what custom code prints is no answer, and goes nowhere
        os.dup2(nowhere, number)
    patience = Patience()
    header, _ = receive(line_in, limit_bytes=0, patience=patience)
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in header.items()}
    held = enter(Confinement(**values))
    send(line_out, {"held": list(held)}, b"", patience)
    trade = None
    while True:
        try:
            header, block = receive(line_in, limit_bytes=8 * GIB, patience=patience)
        except WireError:
            return
        answer: dict[str, object] = {"ok": True}
        found = b""
        try:
            if trade is None:
                trade = _learn()
            found = trade.do(header, block)
        except MemoryError:
            answer = {"ok": False, "code": "FP-7012", "detail": ""}
        except Exception as error:  # noqa: BLE001  (whatever custom code raises is an answer)
            answer = {"ok": False, "code": _code(error), "detail": _detail(error)}
        send(line_out, answer, found, patience)


def _learn() -> Trade:
    """Import what computes; this process is confined by now."""
    from fedpet.node.worker.trade import Trade

    return Trade()


def _code(error: Exception) -> str:
    if "can't allocate memory" in str(error):
        return "FP-7012"
    return str(getattr(error, "code", "FP-7010"))


def _detail(error: Exception) -> str:
    """Return the last lines of the traceback, for the hospital's own log only."""
    text = ""
    with suppress(Exception):
        text = "".join(traceback.format_exception(error))[-DETAIL_MAX:]
    return text


if __name__ == "__main__":
    main()
    sys.exit(0)
