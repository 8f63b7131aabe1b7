"""The few primitives of the secure sum, each from `cryptography` or the standard library."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Sequence
from typing import TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from fedpet.errors import RefusalError

PROTOCOL = "fedpet-sa/1"
KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16
MLKEM_PUBLIC_BYTES = 1184
KEM_PUBLIC_BYTES = MLKEM_PUBLIC_BYTES + 32
SUITE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)

Fact: TypeAlias = str | int | float | bool | Sequence["Fact"] | None


def fingerprint(purpose: str, *facts: Fact) -> bytes:
    """Return the SHA-256 of named facts: a canonical JSON list, so that no two lists collide."""
    text = json.dumps([PROTOCOL, purpose, *facts], separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).digest()


def derive(key: bytes, purpose: str, context: bytes) -> bytes:
    """Return a 32-byte key: one block of HKDF-Expand with SHA-256 (RFC 5869, section 2.3)."""
    info = f"{PROTOCOL} {purpose}".encode() + b"\0" + context
    return hmac.digest(key, info + b"\x01", "sha256")


def pair_root(first: bytes, second: bytes, context: bytes) -> bytes:
    """Return the root secret of two sites from both contributions: HKDF-Extract (RFC 5869)."""
    return hmac.digest(context, first + second, "sha256")


def authenticate(key: bytes, message: bytes) -> bytes:
    """Return the HMAC-SHA-256 of a message."""
    return hmac.digest(key, message, "sha256")


def same(first: bytes, second: bytes) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(first, second)


def seal(key: bytes, nonce: bytes, plain: bytes, context: bytes) -> bytes:
    """Encrypt and authenticate with AES-256-GCM; the nonce stands in front."""
    return nonce + AESGCM(key).encrypt(nonce, plain, context)


def unseal(key: bytes, box: bytes, context: bytes) -> bytes:
    """Open what `seal` closed.

    Raises:
        RefusalError: If the box was altered, or is meant for another key or context.
    """
    try:
        return AESGCM(key).decrypt(box[:NONCE_BYTES], box[NONCE_BYTES:], context)
    except (InvalidTag, ValueError) as error:
        raise RefusalError("A sealed box of the secure sum does not open.") from error


class KemKey:
    """A site's key for one experiment: ML-KEM-768 and X25519 together, both must be broken.

    Args:
        seed: 96 secret bytes: 64 for ML-KEM, 32 for X25519.
    """

    __slots__ = ("_key", "public")

    def __init__(self, seed: bytes) -> None:
        lattice = MLKEM768PrivateKey.from_seed_bytes(seed[:64])
        curve = X25519PrivateKey.from_private_bytes(seed[64:96])
        self._key = MLKEM768X25519PrivateKey(lattice, curve)
        self.public = (
            lattice.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()
        )

    def open(self, box: bytes, context: bytes) -> bytes:
        """Open a box sealed for this key.

        Raises:
            RefusalError: If it does not open.
        """
        try:
            return SUITE.decrypt(box, self._key, info=context)
        except (InvalidTag, ValueError) as error:
            raise RefusalError("A sealed box of the secure sum does not open.") from error


def seal_for(public: bytes, plain: bytes, context: bytes) -> bytes:
    """Encrypt for the holder of a KEM key (HPKE, RFC 9180, base mode).

    Raises:
        RefusalError: If the key is none.
    """
    if len(public) != KEM_PUBLIC_BYTES:
        raise RefusalError("A key of the secure sum has the wrong length.")
    try:
        lattice = MLKEM768PublicKey.from_public_bytes(public[:MLKEM_PUBLIC_BYTES])
        curve = X25519PublicKey.from_public_bytes(public[MLKEM_PUBLIC_BYTES:])
        return SUITE.encrypt(plain, MLKEM768X25519PublicKey(lattice, curve), info=context)
    except ValueError as error:
        raise RefusalError("A key of the secure sum is not well-formed.") from error
