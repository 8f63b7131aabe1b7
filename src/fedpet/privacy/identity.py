"""Who speaks: a site's signing key, made at the site, and the list of keys that everyone pinned.

Rules:
1. A private key is made where it is used, written with owner-only rights, and never travels.
2. A signature covers a context (what kind of statement, in which federation) and a message, so
   that one statement can never pass for another.
3. A roster names its sites and their keys; its digest is what hospitals compare and pin.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from fedpet.errors import RefusalError, StoreError

DOMAIN = b"fedpet/1 signature\0"
KEY_BYTES = 32
SIGNATURE_BYTES = 64
SITES_MAX = 10_000


@dataclass(frozen=True, slots=True)
class PublicIdentity:
    """A site's public Ed25519 key.

    Args:
        key: 32 bytes.
    """

    key: bytes

    def __post_init__(self) -> None:
        if len(self.key) != KEY_BYTES:
            raise StoreError(f"A public identity has {len(self.key)} bytes, expected {KEY_BYTES}.")

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the key in hexadecimal: what two people compare over the telephone."""
        return hashlib.sha256(DOMAIN + self.key).hexdigest()

    def verify(self, signature: bytes, *, context: bytes, message: bytes) -> None:
        """Refuse a signature that this identity did not make over this context and message.

        Raises:
            RefusalError: If the signature does not fit.
        """
        try:
            Ed25519PublicKey.from_public_bytes(self.key).verify(
                signature, _statement(context, message)
            )
        except (InvalidSignature, ValueError) as error:
            raise RefusalError("A signature does not belong to the site that it names.") from error


class Identity:
    """A site's private Ed25519 key. Its text form shows the public half only.

    Args:
        key: 32 secret bytes; use `create`, `load` or `load_or_create`.
    """

    __slots__ = ("_key", "public")

    def __init__(self, key: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(key)
        self.public = PublicIdentity(self._key.public_key().public_bytes_raw())

    def __repr__(self) -> str:
        return f"Identity({self.public.fingerprint[:12]})"

    @classmethod
    def create(cls, path: Path) -> Identity:
        """Make a new identity and write it, readable by its owner only.

        Raises:
            StoreError: If the file exists or cannot be written.
        """
        key = Ed25519PrivateKey.generate()
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(pem)
                file.flush()
                os.fsync(file.fileno())
            os.link(partial, path)  # never replaces a key that is there already
        except FileExistsError as error:
            raise StoreError(
                "There is an identity in this folder already.",
                do="Keep it; a new one would have to be enrolled again.",
            ) from error
        except OSError as error:
            raise StoreError(
                "The identity cannot be written.",
                why=f"The system says: {error.strerror}.",
                do="Look for a full or read-only disk.",
            ) from error
        finally:
            partial.unlink(missing_ok=True)
        return cls(key.private_bytes_raw())

    @classmethod
    def load(cls, path: Path) -> Identity:
        """Read an identity.

        Raises:
            StoreError: If the file is missing, readable by others, or no Ed25519 key.
        """
        try:
            mode, pem = path.stat().st_mode & 0o777, path.read_bytes()
        except OSError as error:
            raise StoreError(
                "The identity cannot be read.",
                why=f"The system says: {error.strerror}.",
                do="Restore it from the hospital's backup, or enrol anew.",
            ) from error
        if os.name == "posix" and mode & 0o077:
            raise StoreError(
                f"The identity may be read by others than its owner (mode {mode:o}).",
                do="Set its mode to 600; if somebody may have read it, enrol anew.",
            )
        try:
            key = serialization.load_pem_private_key(pem, password=None)
        except (ValueError, TypeError) as error:
            raise _damaged() from error
        if not isinstance(key, Ed25519PrivateKey):
            raise _damaged()
        return cls(key.private_bytes_raw())

    @classmethod
    def load_or_create(cls, path: Path) -> Identity:
        """Read the identity, or make it when there is none yet."""
        return cls.load(path) if path.exists() else cls.create(path)

    def sign(self, context: bytes, message: bytes) -> bytes:
        """Return the signature, 64 bytes, over a context and a message."""
        return self._key.sign(_statement(context, message))


@dataclass(frozen=True, slots=True)
class Roster:
    """The sites of a federation and their public identities, as everybody pinned them.

    Args:
        sites: Public identities by site name.
        epoch: Grows by one with every change; an older roster is never accepted again.
    """

    sites: Mapping[str, PublicIdentity]
    epoch: int = 1

    def __post_init__(self) -> None:
        keys = [identity.key for identity in self.sites.values()]
        if len(set(keys)) != len(keys):
            raise StoreError("Two sites of the roster have the same key.")
        if self.epoch < 1 or not 0 < len(keys) <= SITES_MAX:
            raise StoreError("A roster needs at least one site, and an epoch from 1.")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the sites, sorted."""
        return tuple(sorted(self.sites))

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical bytes in hexadecimal: what hospitals pin."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def of(self, site: str) -> PublicIdentity:
        """Return a site's public identity.

        Raises:
            RefusalError: If the roster does not name the site.
        """
        found = self.sites.get(site)
        if found is None:
            raise RefusalError(f"'{site}' is not in the roster that this hospital pinned.")
        return found

    def to_bytes(self) -> bytes:
        """Return the canonical bytes: JSON with sorted names and hexadecimal keys."""
        sites = {name: identity.key.hex() for name, identity in self.sites.items()}
        document = {"format": "fedpet-roster/1", "epoch": self.epoch, "sites": sites}
        return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Roster:
        """Read what `to_bytes` wrote.

        Raises:
            StoreError: If the bytes are no roster.
        """
        try:
            document = json.loads(data)
            if set(document) != {"format", "epoch", "sites"}:
                raise KeyError("format")
            if document["format"] != "fedpet-roster/1" or type(document["epoch"]) is not int:
                raise ValueError(document["format"])
            sites = {
                str(name): PublicIdentity(bytes.fromhex(key))
                for name, key in document["sites"].items()
            }
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise StoreError(
                "The roster is not what fedpet wrote.", do="Fetch it again and compare its digest."
            ) from error
        return cls(sites, document["epoch"])


def _statement(context: bytes, message: bytes) -> bytes:
    return DOMAIN + len(context).to_bytes(4, "big") + context + message


def _damaged() -> StoreError:
    return StoreError(
        "The identity is damaged; it is no Ed25519 key.",
        do="Restore it from the hospital's backup, or enrol anew.",
    )
