"""Where the PACS is, what we are called there, and how much may come in: values of pacs.toml."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge, Le, Len

# Strict at the door: no unknown key, no silent conversion.
DOOR = {"extra": "forbid", "strict": True, "allow_inf_nan": False}
Title = Annotated[str, Len(1, 16)]
Port = Annotated[int, Ge(1), Le(65535)]
Text = Annotated[str, Len(0, 1000)]
Retrieve = Literal["get", "move", "web"]
MODALITIES = ("PT", "CT", "SEG", "RTSTRUCT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """The PACS.

    Args:
        ae_title: Its AE title.
        host: Its name or IP address.
        port: Its DICOM port, commonly 104 or 11112; with TLS 2762.
        tls: Whether it speaks DICOM over TLS.
        retrieve: How series are fetched unless told: `get` (C-GET), `move` (C-MOVE to our own
            receiver) or `web` (DICOMweb).
    """

    __pydantic_config__ = DOOR

    ae_title: Title
    host: Annotated[str, Len(1, 253)]
    port: Port
    tls: bool = False
    retrieve: Retrieve = "get"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listen:
    """Our own receiver, for C-MOVE and `listen`.

    Args:
        host: Address of this machine on which it listens; only this machine unless told.
        port: Its port.
        tls: Whether senders must use TLS and show a certificate of our authority.
        callers: AE titles that may send; the PACS alone unless told, anybody if `["*"]`.
        hosts: IP addresses that may connect; any if empty.
        associations_max: Connections at one time.
    """

    __pydantic_config__ = DOOR

    host: Annotated[str, Len(1, 253)] = "127.0.0.1"
    port: Port = 11112
    tls: bool = False
    callers: tuple[Title, ...] = ()
    hosts: tuple[str, ...] = ()
    associations_max: Annotated[int, Ge(1), Le(100)] = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """Certificates, as PEM files named from the folder of pacs.toml.

    Args:
        certificate: Ours, shown to the PACS.
        key: Its private key.
        ca: The authority that signed the PACS's certificate.
        check_name: Whether the certificate must name the host; DICOM devices often do not.
    """

    __pydantic_config__ = DOOR

    certificate: Text = ""
    key: Text = ""
    ca: Text = ""
    check_name: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Web:
    """DICOMweb.

    Args:
        url: Address of the service, such as `https://pacs.hospital/dicom-web`.
        user: Name for HTTP basic authentication; none if empty.
        password_file: File with the password, from the folder of pacs.toml.
    """

    __pydantic_config__ = DOOR

    url: Text = ""
    user: Text = ""
    password_file: Text = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What may come in, and how long we wait.

    Args:
        pdu_bytes: Largest protocol unit that we ask for; a larger one ends the connection.
        object_mb: Largest object, in units of 10^6 bytes.
        objects: Objects in one run.
        free_gb: Space that must stay free on the disk, in units of 10^9 bytes.
        timeout_s: Longest silence of the other side, in seconds.
        retries: Further attempts for a series that failed.
    """

    __pydantic_config__ = DOOR

    pdu_bytes: Annotated[int, Ge(4096), Le(16 << 20)] = 1 << 18
    object_mb: Annotated[int, Ge(1), Le(100_000)] = 2000
    objects: Annotated[int, Ge(1), Le(1_000_000_000)] = 5_000_000
    free_gb: Annotated[float, Ge(0), Le(1_000_000)] = 5.0
    timeout_s: Annotated[float, Ge(1), Le(3600)] = 60.0
    retries: Annotated[int, Ge(0), Le(10)] = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class PacsSettings:
    """All of pacs.toml.

    Args:
        ae_title: What we are called; the PACS's administrator must know it.
        pacs: The PACS.
        listen: Our receiver.
        tls: Certificates.
        web: DICOMweb.
        limits: What may come in.

    Examples:
        >>> pacs = Peer(ae_title="PACS", host="pacs", port=104)
        >>> PacsSettings(ae_title="FEDPET", pacs=pacs).callers
        ('PACS',)
    """

    __pydantic_config__ = DOOR

    ae_title: Title
    pacs: Peer
    listen: Listen = field(default_factory=Listen)
    tls: Tls = field(default_factory=Tls)
    web: Web = field(default_factory=Web)
    limits: Limits = field(default_factory=Limits)

    @property
    def callers(self) -> tuple[str, ...]:
        """AE titles that may send to our receiver; none means anybody."""
        if "*" in self.listen.callers:
            return ()
        return self.listen.callers or (self.pacs.ae_title,)
