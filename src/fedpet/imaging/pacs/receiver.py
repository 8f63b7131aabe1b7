"""Our C-STORE receiver: keeps what known callers send, as it was sent."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socketserver import BaseServer

from pynetdicom import AE, evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.events import Event
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]
from pynetdicom.transport import ThreadedAssociationServer

from fedpet.imaging.pacs import words
from fedpet.imaging.pacs.contexts import receiver_contexts
from fedpet.imaging.pacs.entity import entity
from fedpet.imaging.pacs.inbox import (
    NOT_MATCHING,
    NOT_UNDERSTOOD,
    Inbox,
    file_head,
    is_uid,
    read_uids,
)
from fedpet.imaging.pacs.settings import PacsSettings
from fedpet.imaging.pacs.socket import handlers
from fedpet.imaging.pacs.tls import server_context


class GuardedServer(ThreadedAssociationServer):
    """Accepts connections from allowed addresses; a slow or mute one holds up no other."""

    hosts: frozenset[str] = frozenset()
    silence_s = 60.0

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """Accept a connection; its TLS handshake happens in its own thread."""
        assert self.socket is not None
        client, address = self.socket.accept()
        client.settimeout(self.silence_s)
        if self.ssl_context is not None:
            client = self.ssl_context.wrap_socket(
                client, server_side=True, do_handshake_on_connect=False
            )
        return client, address

    def shutdown(self) -> None:
        """Stop serving and free the port."""
        BaseServer.shutdown(self)
        self.server_close()

    def verify_request(self, request: object, client_address: tuple[str, int]) -> bool:
        """Tell whether the address may connect."""
        del request
        return not self.hosts or client_address[0] in self.hosts


@contextmanager
def receiver(settings: PacsSettings, folder: Path, inbox: Inbox) -> Iterator[int]:
    """Receive objects while the block runs; gives the port on which we listen.

    Args:
        settings: Port, callers, limits.
        folder: Of pacs.toml, from where certificates are named.
        inbox: Where objects go.

    Raises:
        DataError: If certificates are not usable.
        StoreError: If the port cannot be opened (FP-3021).
    """
    listen, limits = settings.listen, settings.limits
    tls = server_context(settings.tls, folder) if listen.tls else None
    made = entity(settings)
    made.require_called_aet = True
    made.require_calling_aet = list(settings.callers)
    made.maximum_associations = listen.associations_max
    made.supported_contexts = receiver_contexts()
    made.add_supported_context(Verification)
    server = _open(made, settings, tls, inbox)
    server.silence_s = limits.timeout_s
    server.hosts = frozenset(listen.hosts)
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        for open_association in server.active_associations:
            open_association.abort()
        thread.join(timeout=5)


def keep(event: Event, inbox: Inbox) -> int:
    """Keep the object of a C-STORE request as it came; a handler of EVT_C_STORE."""
    request = event.request
    assert isinstance(request, C_STORE)
    instance = str(request.AffectedSOPInstanceUID or "")
    if not is_uid(instance) or request.DataSet is None:
        return inbox.refuse("not_understood", NOT_UNDERSTOOD)
    dataset, syntax = request.DataSet.getbuffer(), str(event.context.transfer_syntax)
    uids = read_uids(dataset, syntax=syntax)
    if uids is None:
        return inbox.refuse("not_understood", NOT_UNDERSTOOD)
    if uids.instance != instance:
        return inbox.refuse("not_matching", NOT_MATCHING)
    head = file_head(sop_class=str(event.context.abstract_syntax), instance=instance, syntax=syntax)
    return inbox.keep(uids, head, dataset)


def _open(
    made: AE, settings: PacsSettings, tls: ssl.SSLContext | None, inbox: Inbox
) -> GuardedServer:
    listen, limits = settings.listen, settings.limits
    try:
        server = made.make_server(
            (listen.host, listen.port),
            ssl_context=tls,
            evt_handlers=[
                *handlers(pdu_bytes=limits.pdu_bytes, object_bytes=limits.object_mb * 10**6),
                (evt.EVT_C_STORE, keep, [inbox]),
            ],
            server_class=GuardedServer,
        )
        assert isinstance(server, GuardedServer)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or "the address is not usable"
        raise words.port_taken(settings, str(reason).lower()) from None
    return server
