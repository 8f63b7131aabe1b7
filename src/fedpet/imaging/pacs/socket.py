"""A connection that answers at once and reads in large pieces; the rest is pynetdicom's.

pynetdicom's thread sleeps 1 ms between looks at its connection. Here it waits for the connection
itself, and looks more often while an answer is being prepared.

Senders built on DCMTK write a small piece and wait for its receipt before the rest (Nagle's
algorithm), while the kernel delays receipts by 40 ms: 23 objects a second, whatever their size.
Asking for immediate receipts before every read ends the wait. TCP_QUICKACK is not lasting: the
kernel may leave that mode at any time, hence at every read.
"""

from __future__ import annotations

import select
import socket
import ssl

from pynetdicom import evt
from pynetdicom.events import Event
from pynetdicom.transport import AssociationSocket

QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)
# Room above the length that we ask for: other protocol units have no stated bound.
SLACK_BYTES = 1 << 16
IDLE_S = 0.001
ANSWERING_S = 0.0002


class QuickSocket(AssociationSocket):
    """Reads as pynetdicom's socket does, faster and within bounds."""

    unit_bytes_max = 1 << 24
    object_bytes_max = 1 << 31
    _since_object = 0
    _answering = False

    @property
    def ready(self) -> bool:
        """Tell whether something came; waits a moment for it."""
        connection = self.socket
        if connection is None or not self._is_connected:
            return False
        if isinstance(connection, ssl.SSLSocket) and connection.pending():
            return True
        try:
            wait_s = ANSWERING_S if self._answering else IDLE_S
            came, _, _ = select.select([connection], [], [], wait_s)
        except (OSError, ValueError):
            self.event_queue.put("Evt17")  # the connection is closed
            return False
        return bool(came)

    def send(self, bytestream: bytes) -> None:
        """Send as before; what was being prepared is on its way."""
        self._answering = False
        super().send(bytestream)

    def recv(self, nr_bytes: int) -> bytearray:
        """Read exactly so many bytes, or fewer if the other side closed.

        Raises:
            ConnectionAbortedError: If a unit or an object is larger than agreed.
        """
        self._since_object += nr_bytes
        if nr_bytes > self.unit_bytes_max or self._since_object > self.object_bytes_max:
            raise ConnectionAbortedError("more bytes than agreed")
        connection = self.socket
        assert connection is not None
        data = bytearray(nr_bytes)
        view = memoryview(data)
        done = 0
        while done < nr_bytes:
            if QUICKACK is not None:
                connection.setsockopt(socket.IPPROTO_TCP, QUICKACK, 1)
            came = connection.recv_into(view[done:])
            if not came:
                view.release()
                del data[done:]
                return data
            done += came
        view.release()
        return data

    def object_ended(self) -> None:
        """Begin to count bytes anew; an answer will follow soon."""
        self._since_object = 0
        self._answering = True


def quicken(event: Event, pdu_bytes: int, object_bytes: int) -> None:
    """Give a connection that was just opened our reading; a handler of EVT_CONN_OPEN."""
    wrapped = event.assoc.dul.socket
    assert wrapped is not None
    wrapped.__class__ = QuickSocket
    assert isinstance(wrapped, QuickSocket)
    wrapped.unit_bytes_max = pdu_bytes + SLACK_BYTES
    event.assoc.dul._run_loop_delay = 0  # `ready` waits instead
    # Protocol units of 4 KiB carry 12 bytes of their own: far less than this.
    wrapped.object_bytes_max = object_bytes + object_bytes // 64 + SLACK_BYTES
    if wrapped.socket is not None:
        wrapped.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _count_anew(event: Event) -> None:
    wrapped = event.assoc.dul.socket
    if isinstance(wrapped, QuickSocket):
        wrapped.object_ended()


def handlers(*, pdu_bytes: int, object_bytes: int) -> list[evt.EventHandlerType]:
    """Return the event handlers that make a pynetdicom connection quick and bounded.

    Args:
        pdu_bytes: Largest protocol unit that was agreed.
        object_bytes: Largest object.
    """
    return [
        (evt.EVT_CONN_OPEN, quicken, [pdu_bytes, object_bytes]),
        (evt.EVT_DIMSE_RECV, _count_anew),
    ]
