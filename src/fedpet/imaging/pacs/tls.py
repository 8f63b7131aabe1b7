"""TLS both ways: what we show to the PACS, and what senders must show to us."""

from __future__ import annotations

import ssl
from pathlib import Path

from fedpet.errors import DataError
from fedpet.imaging.pacs.settings import Tls


def client_context(tls: Tls, folder: Path) -> ssl.SSLContext:
    """Return the context for connections that we open.

    Args:
        tls: Names of the files; without `ca` the machine's own authorities count.
        folder: From where the names count.

    Raises:
        DataError: If a file is absent or not what it should be (FP-3016).
    """
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = tls.check_name
    _load(context, tls, folder, certificate=bool(tls.certificate))
    return context


def server_context(tls: Tls, folder: Path) -> ssl.SSLContext:
    """Return the context for connections that others open; they must show a certificate.

    Raises:
        DataError: If a file is absent or not what it should be (FP-3016).
    """
    missing = [name for name in ("certificate", "key", "ca") if not getattr(tls, name)]
    if missing:
        raise DataError(
            f"pacs.toml: [listen] tls needs {' and '.join(missing)} under [tls].", code="FP-3016"
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    _load(context, tls, folder, certificate=True)
    return context


def _load(context: ssl.SSLContext, tls: Tls, folder: Path, *, certificate: bool) -> None:
    name = "ca"
    try:
        if tls.ca:
            context.load_verify_locations(_file(tls.ca, folder, "ca"))
        if certificate:
            name = "certificate or key"
            key = _file(tls.key, folder, "key") if tls.key else None
            context.load_cert_chain(
                _file(tls.certificate, folder, "certificate"), key, password=_no_password
            )
    except ssl.SSLError as error:
        raise DataError(
            f"pacs.toml, [tls]: the file of {name} cannot be used "
            f"({(error.reason or 'not a PEM file').replace('_', ' ').lower()}).",
            do="Give PEM files (text that begins with -----BEGIN), and a key without password "
            "that belongs to the certificate.",
            code="FP-3016",
        ) from None
    except OSError as error:
        raise DataError(
            f"pacs.toml, [tls]: the file of {name} cannot be read: {error.strerror}.",
            do="Ask for read permission for the account that runs fedpet.",
            code="FP-3016",
        ) from None


def _file(name: str, folder: Path, key: str) -> str:
    path = folder / name
    if not path.is_file():
        raise DataError(
            f'pacs.toml, [tls]: there is no file "{name}", named by {key}.',
            do="Paths count from the folder of pacs.toml.",
            code="FP-3016",
        )
    return str(path)


def _no_password() -> str:
    return ""
