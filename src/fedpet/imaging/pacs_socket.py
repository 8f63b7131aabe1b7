"""A connection that answers at once and reads in large pieces; the rest is pynetdicom's.

Senders built on DCMTK write a small piece and wait for its receipt before the rest (Nagle's
algorithm), while the kernel delays receipts by 40 ms: 23 objects a second, whatever their size.
Asking for immediate receipts before every read ends the wait. TCP_QUICKACK is not lasting: the
kernel may leave that mode at any time, hence at every read.
"""

from __future__ import annotations

import socket

from pynetdicom import evt
from pynetdicom.events import Event
from pynetdicom.transport import AssociationSocket

QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)
# Room above the length that we ask for: other protocol units have no stated bound.
SLACK_BYTES = 1 << 16


class QuickSocket(AssociationSocket):
    """Reads as pynetdicom's socket does, faster and within bounds."""

    unit_bytes_max = 1 << 24
    object_bytes_max = 1 << 31
    _since_object = 0

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
        """Begin to count bytes anew."""
        self._since_object = 0


def quicken(event: Event, pdu_bytes: int, object_bytes: int) -> None:
    """Give a connection that was just opened our reading; a handler of EVT_CONN_OPEN."""
    wrapped = event.assoc.dul.socket
    assert wrapped is not None
    wrapped.__class__ = QuickSocket
    assert isinstance(wrapped, QuickSocket)
    wrapped.unit_bytes_max = pdu_bytes + SLACK_BYTES
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
