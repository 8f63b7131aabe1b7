"""Who is behind a pseudonym: an encrypted file that stays with the data manager.

The table is apart from the images and from the cohort; nothing else in fedpet reads it. It is
sealed with AES-256-GCM under a key made from a passphrase by scrypt, or held in a key file.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from fedpet.cohort.manifest import write_private
from fedpet.cohort.pseudonyms import Pseudonyms
from fedpet.errors import NotFoundError, StoreError

SCHEMA: Final = "fedpet-pseudonyms/1"
# 128 MiB and about half a second for each guess (RFC 7914; OWASP 2024).
COST: Final = {"n": 1 << 17, "r": 8, "p": 1}
_COST_MAX: Final = {"n": 1 << 20, "r": 32, "p": 16}
PASSPHRASE_MIN: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One subject.

    Args:
        pseudonym: Twelve hexadecimal digits.
        patient_id: (0010,0020).
        shift_days: By how much the subject's dates were moved.
    """

    pseudonym: str
    patient_id: str
    shift_days: int


def entry_of(patient_id: str, pseudonyms: Pseudonyms) -> Entry:
    """Return what the table holds of a patient."""
    return Entry(
        pseudonym=pseudonyms.of(patient_id),
        patient_id=patient_id,
        shift_days=pseudonyms.shift_days(patient_id),
    )


@dataclass(frozen=True, slots=True)
class Lock:
    """What opens a table: a passphrase, or 32 bytes from a key file.

    Args:
        secret: Text or bytes.
    """

    secret: str | bytes

    def __repr__(self) -> str:
        return "Lock(...)"


def write_table(path: Path, entries: Iterable[Entry], lock: Lock) -> int:
    """Write subjects to a table; those that it holds already stay.

    Args:
        path: The file; made if absent, replaced in one step.
        entries: Subjects.
        lock: Of the file; must open it if it exists.

    Returns:
        How many subjects it holds now.

    Raises:
        StoreError: If the lock is too weak or does not open the file, or it cannot be written.
    """
    held = {one.pseudonym: one for one in read_table(path, lock)} if path.exists() else {}
    held |= {one.pseudonym: one for one in entries}
    told = [[one.pseudonym, one.patient_id, one.shift_days] for _, one in sorted(held.items())]
    try:
        write_private(path, seal(json.dumps(told).encode(), lock))
    except OSError as error:
        raise StoreError(
            f"The pseudonym table cannot be written: {error.strerror}.", code="FP-3032"
        ) from None
    return len(held)


def read_table(path: Path, lock: Lock) -> tuple[Entry, ...]:
    """Return the subjects of a table.

    Raises:
        NotFoundError: If there is no such file.
        StoreError: If the lock does not open it, or it was altered.
    """
    try:
        sealed = path.read_bytes()
    except OSError:
        raise NotFoundError(
            "There is no pseudonym table of that name.",
            do="Give the file that `fedpet cohort deidentify --table FILE` wrote.",
            code="FP-6021",
        ) from None
    told = json.loads(unseal(sealed, lock))
    return tuple(
        Entry(pseudonym=pseudonym, patient_id=patient, shift_days=days)
        for pseudonym, patient, days in told
    )


def find_subject(path: Path, pseudonym: str, lock: Lock) -> Entry:
    """Return who is behind a pseudonym.

    Raises:
        NotFoundError: If the table does not hold it.
        StoreError: If the lock does not open the table.
    """
    for one in read_table(path, lock):
        if secrets.compare_digest(one.pseudonym, pseudonym.strip().lower()):
            return one
    raise NotFoundError(
        "The pseudonym table does not hold this subject.",
        do="Check the twelve digits; a table grows with each `fedpet cohort deidentify --table`.",
        code="FP-6021",
    )


def seal(plain: bytes, lock: Lock) -> bytes:
    """Encrypt and authenticate bytes; the head says how, and cannot be altered either."""
    head: dict[str, object] = {"schema": SCHEMA, "cipher": "AES-256-GCM"}
    salt = b""
    if isinstance(lock.secret, str):
        if len(lock.secret) < PASSPHRASE_MIN:
            raise StoreError(
                f"The passphrase has fewer than {PASSPHRASE_MIN} characters.",
                do="Take four or five words.",
                code="FP-3032",
            )
        salt = secrets.token_bytes(16)
        head |= {"key": "scrypt", "salt": base64.b64encode(salt).decode(), **COST}
    else:
        head |= {"key": "file"}
    nonce = secrets.token_bytes(12)
    head["nonce"] = base64.b64encode(nonce).decode()
    box = AESGCM(_key(lock, salt, COST)).encrypt(nonce, plain, _bound(head))
    return (json.dumps({**head, "box": base64.b64encode(box).decode()}, indent=1) + "\n").encode()


def unseal(sealed: bytes, lock: Lock) -> bytes:
    """Return what `seal` sealed.

    Raises:
        StoreError: If the lock is another one, or a single bit was altered.
    """
    try:
        told = json.loads(sealed)
        box = base64.b64decode(told.pop("box"), validate=True)
        nonce = base64.b64decode(told["nonce"], validate=True)
        salt = base64.b64decode(told.get("salt", ""), validate=True)
        cost = {name: int(told.get(name, COST[name])) for name in COST}
        if told["schema"] != SCHEMA or any(cost[name] > _COST_MAX[name] for name in cost):
            raise ValueError
        return AESGCM(_key(lock, salt, cost)).decrypt(nonce, box, _bound(told))
    except (ValueError, KeyError, TypeError, AttributeError, InvalidTag, UnicodeDecodeError):
        raise StoreError(
            "The pseudonym table does not open.",
            why="The passphrase or key file is another one, or the file was altered.",
            do="Try again, or restore it from a backup.",
            code="FP-3032",
        ) from None


def _key(lock: Lock, salt: bytes, cost: dict[str, int]) -> bytes:
    if isinstance(lock.secret, bytes):
        return lock.secret
    return Scrypt(salt=salt, length=32, **cost).derive(lock.secret.encode())


def _bound(head: dict[str, object]) -> bytes:
    return json.dumps(head, sort_keys=True, separators=(",", ":")).encode()


def is_inside(path: Path, folder: Path) -> bool:
    """Tell whether a file would lie in a folder, so that it would be given away with it."""
    return folder.resolve() in path.resolve().parents
