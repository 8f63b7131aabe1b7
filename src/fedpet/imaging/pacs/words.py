"""What a PACS answers, in words: refusals, statuses and broken connections, with what to do.

No text here holds a value that came with a patient: where one is needed, the caller gives the
row number of the list.
"""

from __future__ import annotations

from fedpet.errors import DataError, EngineError, FedpetError, RefusalError, StoreError
from fedpet.imaging.pacs.settings import PacsSettings

CALLED_UNKNOWN = (1, 7)
CALLER_UNKNOWN = (1, 3)
# (source, reason) of PS3.8 table 9-21.
REASONS = {
    (1, 1): "no reason given",
    (1, 2): "application context name not supported",
    CALLER_UNKNOWN: "calling AE title not recognised",
    CALLED_UNKNOWN: "called AE title not recognised",
    (2, 1): "no reason given by its connection layer",
    (2, 2): "protocol version not supported",
    (3, 1): "temporary congestion",
    (3, 2): "local limit of connections exceeded",
}
# PS3.4 tables C.4-1 to C.4-3, PS3.7 annex C.
STATUSES = {
    0x0105: "no such attribute",
    0x0106: "invalid attribute value",
    0x0110: "processing failure",
    0x0112: "no such object instance",
    0x0117: "invalid object instance",
    0x0118: "no such SOP class",
    0x0119: "class and instance conflict",
    0x0120: "missing attribute",
    0x0122: "SOP class not supported",
    0x0124: "not authorised",
    0x0210: "duplicate invocation",
    0x0211: "unrecognised operation",
    0x0212: "mistyped argument",
    0xA700: "out of resources",
    0xA701: "out of resources, the number of matches cannot be counted",
    0xA702: "out of resources, objects cannot be sent",
    0xA801: "move destination unknown",
    0xA900: "the question does not fit the SOP class",
    0xAA00: "none of the frames asked for were found",
    0xB000: "some objects could not be sent",
    0xFE00: "cancelled",
}
MOVE_DESTINATION_UNKNOWN = 0xA801


def in_words(status: int) -> str:
    """Return a DIMSE status in words.

    Examples:
        >>> in_words(0xA801)
        'status A801: move destination unknown'
        >>> in_words(0xC123)
        'status C123: unable to process'
    """
    told = STATUSES.get(status, "unable to process" if status >> 12 == 0xC else "unknown status")
    return f"status {status:04X}: {told}"


def rejected(settings: PacsSettings, *, result: int, source: int, reason: int) -> FedpetError:
    """Return the error for an A-ASSOCIATE-RJ.

    Args:
        settings: Ours and the PACS's names.
        result: 1 permanent, 2 transient.
        source: 1 the application, 2 and 3 its connection layer.
        reason: The number that the PACS gave.
    """
    pacs = settings.pacs
    told = REASONS.get((source, reason), "a reason that the standard does not know")
    why = f"{pacs.ae_title} answered A-ASSOCIATE-RJ, reason {reason}: {told}."
    if (source, reason) == CALLER_UNKNOWN:
        return RefusalError(
            "The PACS does not know this node.", why=why, do=_introduce(settings), code="FP-3012"
        )
    if (source, reason) == CALLED_UNKNOWN:
        return RefusalError(
            f"The PACS does not answer to the AE title {pacs.ae_title}.",
            why=why,
            do=(
                "Ask the PACS administrator for its AE title, and write it in pacs.toml under "
                "[pacs] ae_title; upper and lower case count.",
                _introduce(settings) + " Some PACS give this reason to nodes they do not know.",
            ),
            code="FP-3013",
        )
    later = "Try again in some minutes" if result == 2 or source == 3 else "Show this line to the"
    do = f"{later}." if later.startswith("Try") else f"{later} PACS administrator."
    return EngineError("The PACS refused the connection.", why=why, do=do, code="FP-3014")


def unreachable(settings: PacsSettings, why: str, do: str) -> EngineError:
    """Return the error for a PACS that does not answer at all."""
    pacs = settings.pacs
    return EngineError(
        f"Cannot reach {pacs.ae_title} at {pacs.host}, port {pacs.port}.",
        why=why,
        do=do,
        code="FP-3015",
    )


def tls_failed(settings: PacsSettings, why: str) -> EngineError:
    """Return the error for a TLS handshake that failed."""
    pacs = settings.pacs
    return EngineError(
        f"TLS with {pacs.ae_title} at {pacs.host}, port {pacs.port} failed.",
        why=why,
        do=(
            "Check with the PACS administrator that this port speaks TLS, and which authority "
            "signed its certificate: pacs.toml, [tls] ca.",
            "If the PACS asks for our certificate, give it under [tls] certificate and key.",
        ),
        code="FP-3016",
    )


def mute(settings: PacsSettings) -> EngineError:
    """Return the error for something that accepts connections and says nothing."""
    waited = f"{settings.limits.timeout_s:g} s"
    return unreachable(
        settings,
        f"The connection was accepted, but no DICOM answer came in {waited}.",
        "Check the port: it may belong to another program, or speak TLS only (tls = true under "
        "[pacs]). A busy PACS may need a longer [limits] timeout_s.",
    )


def tls_expected(settings: PacsSettings) -> EngineError:
    """Return the error for a connection that was closed before anything was said."""
    pacs = settings.pacs
    return EngineError(
        f"{pacs.ae_title} at {pacs.host}, port {pacs.port} closed the connection at once.",
        why="Something listens there, but it ended the connection without a DICOM answer.",
        do=(
            "Check the port: it may belong to another program, or expect "
            + ("no TLS." if pacs.tls else "TLS: set tls = true under [pacs] in pacs.toml."),
            "Some PACS close connections of machines that they do not know: "
            + _introduce(settings),
        ),
        code="FP-3015",
    )


def not_offered(settings: PacsSettings, service: str) -> EngineError:
    """Return the error for a PACS that accepts us but not the service."""
    other = "move" if service == "C-GET" else "get"
    do = [f"Ask the PACS administrator to allow {service} for AE title {settings.ae_title}."]
    if service in ("C-GET", "C-MOVE"):
        do.append(f"Or fetch in another way: --by {other}, or --by web.")
    return EngineError(
        f"{settings.pacs.ae_title} does not offer {service} to us.",
        why="It accepted the connection, but not this service.",
        do=do,
        code="FP-3018",
    )


def answered_badly(settings: PacsSettings, service: str, status: int | None) -> FedpetError:
    """Return the error for a status that is a failure; None means that no answer came."""
    name = settings.pacs.ae_title
    if status == MOVE_DESTINATION_UNKNOWN:
        return RefusalError(
            f"{name} does not know where to send: C-MOVE destination {settings.ae_title}.",
            why=f"It answered {in_words(status)}.",
            do=(_introduce(settings), "Or fetch without a way back: --by get, or --by web."),
            code="FP-3017",
        )
    if status is None:
        return EngineError(
            f"{name} stopped answering during {service}.",
            why=f"The connection ended, or nothing came for {settings.limits.timeout_s:g} s.",
            do="Run the same command again; what is complete is not fetched again.",
            code="FP-3019",
        )
    return EngineError(
        f"{name} could not carry out {service}.",
        why=f"It answered {in_words(status)}.",
        do="Run the same command again later; if it stays, show this to the PACS administrator.",
        code="FP-3019",
    )


def port_taken(settings: PacsSettings, reason: str) -> StoreError:
    """Return the error for our own port that cannot be opened."""
    listen = settings.listen
    return StoreError(
        f"Our receiver cannot listen on {listen.host}, port {listen.port}: {reason}.",
        why="Another program uses the port, or the address is not one of this machine; ports "
        "below 1024 belong to the administrator.",
        do="Stop the other program, or choose another [listen] port in pacs.toml and tell the "
        "PACS administrator.",
        code="FP-3021",
    )


def came_incomplete(*, sent: int, came: int) -> DataError:
    """Return the error for a series of which fewer files came than were sent."""
    return DataError(
        f"Of {sent} objects of a series, {came} are here.",
        why="Objects were refused here or lost on the way, or the PACS could not send them in a "
        "form that we accept.",
        do="Run the same command again; see docs/guides/pacs.md, 'Series that stay incomplete'.",
        code="FP-3019",
    )


def _introduce(settings: PacsSettings) -> str:
    listen = settings.listen
    host = "this machine's address" if listen.host in ("127.0.0.1", "0.0.0.0") else listen.host  # noqa: S104 - compared, not bound
    return (
        f"Ask the PACS administrator to add AE title {settings.ae_title}, host {host}, "
        f"port {listen.port}."
    )
