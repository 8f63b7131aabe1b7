"""One association with the PACS: opened, or an error that says why not."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

from pynetdicom import AE, _config, evt
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from fedpet.errors import FedpetError
from fedpet.imaging.pacs import words
from fedpet.imaging.pacs.gate import put_gate
from fedpet.imaging.pacs.quiet import hush
from fedpet.imaging.pacs.settings import PacsSettings
from fedpet.imaging.pacs.socket import handlers
from fedpet.imaging.pacs.tls import client_context

PROBE_S = 10.0


def entity(settings: PacsSettings) -> AE:
    """Return our application entity with its limits; it opens nothing yet.

    The libraries' own log lines are switched off for the process: they name patients.
    """
    _config.LOG_HANDLER_LEVEL = "none"
    hush()
    _config.LOG_REQUEST_IDENTIFIERS = _config.LOG_RESPONSE_IDENTIFIERS = False
    made = AE(ae_title=settings.ae_title)
    made.maximum_pdu_size = settings.limits.pdu_bytes
    made.acse_timeout = made.dimse_timeout = made.network_timeout = settings.limits.timeout_s
    made.connection_timeout = min(settings.limits.timeout_s, PROBE_S)
    return made


@contextmanager
def association(
    settings: PacsSettings,
    folder: Path,
    contexts: Sequence[PresentationContext],
    *,
    service: str,
    roles: Sequence[SCP_SCU_RoleSelectionNegotiation] = (),
    further: Sequence[evt.EventHandlerType] = (),
) -> Iterator[Association]:
    """Open an association with the PACS for the block, and close it whatever happens.

    Args:
        settings: Where the PACS is.
        folder: Of pacs.toml, from where certificates are named.
        contexts: What we want to do.
        service: Its name, for messages: `C-FIND`.
        roles: Reversed roles, for C-GET.
        further: Event handlers.

    Raises:
        FedpetError: If it does not come about; the text says where it failed.
    """
    tls = client_context(settings.tls, folder) if settings.pacs.tls else None
    limits = settings.limits
    started_s = perf_counter()
    opened = entity(settings).associate(
        _address(settings),
        settings.pacs.port,
        contexts=list(contexts),
        ae_title=settings.pacs.ae_title,
        max_pdu=limits.pdu_bytes,
        ext_neg=list(roles),
        tls_args=(tls, settings.pacs.host) if tls else None,
        evt_handlers=[
            *handlers(pdu_bytes=limits.pdu_bytes, object_bytes=limits.object_mb * 10**6),
            (evt.EVT_CONN_OPEN, put_gate),
            *further,
        ],
    )
    if not opened.is_established:
        waited_s = perf_counter() - started_s
        raise _why_not(opened, settings, tls, service=service, waited_s=waited_s)
    try:
        yield opened
    except BaseException:
        if opened.is_established:
            opened.abort()
        raise
    if opened.is_established:
        opened.release()


def echo(settings: PacsSettings, folder: Path) -> float:
    """Ask the PACS whether it is there (C-ECHO), and return the time of its answer in s.

    Raises:
        FedpetError: If it is not, or does not know us.
    """
    with association(settings, folder, [build_context(Verification)], service="C-ECHO") as opened:
        started = perf_counter()
        status = status_of(opened.send_c_echo())
        if status != 0:
            raise words.answered_badly(settings, "C-ECHO", status)
        return perf_counter() - started


def status_of(answer: object) -> int | None:
    """Return the status of an answer; None where the answer holds none: the line is dead."""
    status = getattr(answer, "Status", None)
    return None if status is None else int(status)


def _address(settings: PacsSettings) -> str:
    pacs = settings.pacs
    try:
        found = socket.getaddrinfo(pacs.host, pacs.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise words.unreachable(
            settings,
            f"There is no host named {pacs.host}.",
            "Check [pacs] host in pacs.toml, or give its IP address.",
        ) from None
    v4 = [entry for entry in found if entry[0] == socket.AF_INET]
    return str((v4 or found)[0][4][0])


def _why_not(
    opened: Association,
    settings: PacsSettings,
    tls: ssl.SSLContext | None,
    *,
    service: str,
    waited_s: float,
) -> FedpetError:
    """Find out why an association did not come about."""
    answer = opened.acceptor.primitive
    if opened.is_rejected and answer is not None:
        return words.rejected(
            settings,
            result=int(answer.result or 0),
            source=int(answer.result_source or 0),
            reason=int(answer.diagnostic or 0),
        )
    if answer is not None:  # accepted, but none of the contexts
        return words.not_offered(settings, service)
    if found := probe(settings, tls):
        return found
    if waited_s >= settings.limits.timeout_s:
        return words.mute(settings)
    return words.tls_expected(settings)


def probe(settings: PacsSettings, tls: ssl.SSLContext | None) -> FedpetError | None:
    """Connect once more by hand to see at which step it fails; None if it does not."""
    pacs = settings.pacs
    try:
        with socket.create_connection((pacs.host, pacs.port), timeout=PROBE_S) as plain:
            if tls is not None:
                with tls.wrap_socket(plain, server_hostname=pacs.host):
                    pass
    except ssl.SSLCertVerificationError as error:
        return words.tls_failed(
            settings, f"Its certificate is not accepted: {error.verify_message}."
        )
    except (ssl.SSLError, ConnectionResetError) as error:
        if tls is None:
            return None
        reason = getattr(error, "reason", None) or "the other side ended the handshake"
        return words.tls_failed(settings, f"{str(reason).replace('_', ' ').capitalize()}.")
    except ConnectionRefusedError:
        return words.unreachable(
            settings,
            "The machine is there, but nothing listens on that port.",
            "Check [pacs] port in pacs.toml with the PACS administrator.",
        )
    except TimeoutError:
        return words.unreachable(
            settings,
            f"Nothing answered within {PROBE_S:g} s.",
            "Check host and port, and ask whether a firewall stands between.",
        )
    except OSError as error:
        return words.unreachable(
            settings, f"{error.strerror or 'The network said no'}.", "Check host and network."
        )
    return None
