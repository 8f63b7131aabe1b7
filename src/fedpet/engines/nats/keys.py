"""The key with which a member signs in at the broker: an NKey, made where it is used.

It is another key than the member's identity, so that nothing that the broker asks to be signed can
pass for a letter.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from fedpet.errors import RefusalError, StoreError

PUBLIC = re.compile(r"U[A-Z2-7]{55}")


def load_or_create(path: Path) -> str:
    """Return the seed in a file; make it, readable by its owner only, when there is none yet.

    Raises:
        StoreError: If the file is damaged, or readable by others.
    """
    import nkeys

    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        seed = nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(seed)
            file.flush()
            os.fsync(file.fileno())
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise StoreError(
            f"{path.name} may be read by others than its owner.", do="Set its mode to 600."
        )
    text = path.read_text(encoding="ascii", errors="replace").strip()
    public(text)
    return text


def public(seed: str) -> str:
    """Return the public half of a seed, as the broker's settings name it.

    Raises:
        StoreError: If it is no seed.
    """
    import binascii

    import nkeys

    try:
        return str(nkeys.from_seed(bytearray(seed.encode())).public_key.decode())
    except (nkeys.NkeysError, ValueError, binascii.Error) as error:
        raise StoreError(
            "The key for the broker is damaged.", do="Restore it from a backup, or enrol anew."
        ) from error


def require_public(text: object) -> str:
    """Return a public NKey of a user.

    Raises:
        StoreError: If it is anything else.
    """
    if not isinstance(text, str) or not PUBLIC.fullmatch(text):
        raise StoreError("This is no public key of a user (an NKey that begins with U).")
    return text


def sign(seed: str, message: bytes) -> str:
    """Return a signature over a message, in hexadecimal: proof that one holds the seed."""
    import nkeys

    return bytes(nkeys.from_seed(bytearray(seed.encode())).sign(message)).hex()


def verify(public_key: str, message: bytes, signature: str) -> None:
    """Refuse a signature that the holder of a key did not make.

    Raises:
        RefusalError: If it does not fit.
    """
    from base64 import b32decode

    raw = b32decode(require_public(public_key))[1:-2]  # prefix, key, checksum
    try:
        Ed25519PublicKey.from_public_bytes(raw).verify(bytes.fromhex(signature), message)
    except (InvalidSignature, ValueError) as error:
        raise RefusalError("A key was shown without proof that its holder has it.") from error
