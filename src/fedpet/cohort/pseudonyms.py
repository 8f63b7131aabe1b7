"""Pseudonyms: keyed hashes of the patient's number. The key never leaves the hospital."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from fedpet.errors import StoreError

FILE = "pseudonym.key"
KEY = re.compile(r"[0-9a-f]{64}")
LENGTH = 12


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """Turns identifiers into pseudonyms with a hospital's key.

    Args:
        key: 32 bytes.

    Examples:
        >>> Pseudonyms(b"k" * 32).of("PAT-0001")
        'ca25212dbbe8'
    """

    key: bytes = field(repr=False)

    def of(self, patient_id: str) -> str:
        """Return the first 12 hexadecimal digits of HMAC-SHA256(key, patient id).

        White space around the number does not count, as in DICOM.
        """
        return self.digest(patient_id.strip().encode())[:LENGTH]

    def loosely(self, patient_id: str) -> str:
        """Return the pseudonym that the number would have without its case and leading zeros."""
        return self.of("~" + patient_id.strip().casefold().lstrip("0"))

    def digest(self, data: bytes) -> str:
        """Return HMAC-SHA256(key, data) in hexadecimal."""
        return hmac.new(self.key, data, hashlib.sha256).hexdigest()


def load_pseudonyms(folder: Path, *, make: bool = True) -> Pseudonyms:
    """Read the key of a hospital's folder; make one, readable by its owner only, if absent.

    Args:
        folder: The hospital's folder.
        make: Whether a key may be made.

    Raises:
        StoreError: If the file does not hold a key.
    """
    path = folder / FILE
    if make and not path.exists():
        _make(path)
    try:
        text = path.read_text(encoding="ascii").strip().lower()
    except (OSError, UnicodeDecodeError):
        text = ""
    if not KEY.fullmatch(text):
        raise StoreError(
            f"{FILE} does not hold 64 hexadecimal digits.",
            why="Without the key, subjects would get other pseudonyms than before.",
            do="Restore the file from a backup; delete it only if no cohort was built with it.",
        )
    return Pseudonyms(bytes.fromhex(text))


def _make(path: Path) -> None:
    """Write a new key; whoever comes first wins."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    except OSError:
        raise StoreError(
            "The hospital's folder may not be written.", do="Ask for write permission."
        ) from None
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(secrets.token_hex(32) + "\n")
