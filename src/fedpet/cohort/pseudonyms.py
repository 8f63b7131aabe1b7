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
SHIFT_DAYS = (30, 3650)


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

    def uid(self, uid: str) -> str:
        """Return the UID that stands for a DICOM UID: always the same, and random without the key.

        Below 2.25, as of a version 8 UUID (RFC 9562; PS3.5 B.2).

        Examples:
            >>> Pseudonyms(b"k" * 32).uid("1.2.840.1")
            '2.25.96211502162831020401676591035746633889'
        """
        number = int(self._of_kind("uid", uid.strip(" \0"))[:32], 16)
        number = number & ~(0xF << 76) | 8 << 76
        return f"2.25.{number & ~(0x3 << 62) | 2 << 62}"

    def shift_days(self, patient_id: str) -> int:
        """Return by how many days a patient's dates are moved: back by a month to ten years."""
        number = int(self._of_kind("shift", patient_id.strip())[:16], 16)
        return -(SHIFT_DAYS[0] + number % (SHIFT_DAYS[1] - SHIFT_DAYS[0]))

    def _of_kind(self, kind: str, text: str) -> str:
        """Return a keyed hash that has nothing in common with those of other kinds."""
        return self.digest(f"fedpet {kind}\0{text}".encode())

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
    return Pseudonyms(read_key(folder / FILE, make=make))


def read_key(path: Path, *, make: bool = False, private: bool = False) -> bytes:
    """Read 32 bytes from a file of 64 hexadecimal digits.

    Args:
        path: The file.
        make: Whether a new key may be made, readable by its owner only, if there is none.
        private: Whether a file that others may read is refused.

    Raises:
        StoreError: If the file does not hold a key, or others may read it.
    """
    if make and not path.exists():
        _make(path)
    try:
        text = path.read_text(encoding="ascii").strip().lower()
        mode = path.stat().st_mode
    except (OSError, UnicodeDecodeError):
        text, mode = "", 0
    if not KEY.fullmatch(text):
        raise StoreError(
            f"{path.name} does not hold 64 hexadecimal digits.",
            why="Without the key, subjects would get other pseudonyms than before.",
            do="Restore the file from a backup; delete it only if no cohort was built with it.",
        )
    if private and os.name == "posix" and mode & 0o077:
        raise StoreError(
            f"{path.name} can be read by others.",
            why="Whoever has the key can tell which patient is behind a pseudonym.",
            do=f"Keep it to yourself: chmod 600 {path.name}",
            code="FP-3031",
        )
    return bytes.fromhex(text)


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
