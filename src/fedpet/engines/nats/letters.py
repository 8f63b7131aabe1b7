"""Signed letters: everything that passes the broker, except chunks, which their hash vouches for.

```
8 bytes "fedpet", 1, 0 | 4 bytes length | JSON header | 64 bytes signature | enclosed arrays
```
Rules:
1. The signature covers federation, kind, reader and the whole header; the header holds the hash of
   what is enclosed and of every chunk. A letter taken out of its place is refused.
2. Every length is bounded before anything is parsed; whatever arrives ends in a letter or in
   `UpdateError`.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fedpet.engines.nats.chunks import Bulk
from fedpet.errors import RefusalError, UpdateError
from fedpet.privacy.identity import SIGNATURE_BYTES, Identity, PublicIdentity

MAGIC = b"fedpet\x01\x00"
HEADER_LIMIT_BYTES = 3 << 20
LETTER_LIMIT_BYTES = 4 << 20
DEPTH_MAX = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One message between members of a federation.

    Args:
        federation: Identifier of the federation.
        kind: What it is: `ask`, `answer`, `hello`, `welcome`, `beat`, `join` or `joined`.
        author: Who wrote and signed it.
        to: Who shall read it.
        about: What it belongs to, such as the identifier of the question.
        body: JSON values.
        bulk: Arrays that lie at the broker in chunks.
        enclosed: Small arrays, enclosed.
    """

    federation: str
    kind: str
    author: str
    to: str
    about: str = ""
    body: Mapping[str, Any] = field(default_factory=dict)
    bulk: Bulk | None = None
    enclosed: bytes = b""


def seal(letter: Letter, identity: Identity) -> bytes:
    """Sign a letter and return its bytes."""
    header = json.dumps(
        {
            "federation": letter.federation,
            "kind": letter.kind,
            "author": letter.author,
            "to": letter.to,
            "about": letter.about,
            "body": dict(letter.body),
            "bulk": None if letter.bulk is None else letter.bulk.to_json(),
            "enclosed": hashlib.sha256(letter.enclosed).hexdigest(),
        },
        sort_keys=True,
        separators=(",", ":"),
        allow_nan=False,
    ).encode()
    signature = identity.sign(_context(letter), header)
    length = len(header).to_bytes(4, "little")
    return b"".join((MAGIC, length, header, signature, letter.enclosed))


def read(data: bytes) -> tuple[Letter, bytes, bytes]:
    """Parse a letter without trusting it; return it with its signed header and its signature.

    Raises:
        UpdateError: If it is not a well-formed letter within its limits.
    """
    start = len(MAGIC) + 4
    length = int.from_bytes(data[len(MAGIC) : start], "little")
    end = start + length + SIGNATURE_BYTES
    if len(data) > LETTER_LIMIT_BYTES or length > HEADER_LIMIT_BYTES or len(data) < end:
        raise UpdateError("A letter is truncated or exceeds its limit.")
    if data[: len(MAGIC)] != MAGIC:
        raise UpdateError("A letter is not one that this version of fedpet reads.")
    header, signature, enclosed = data[start : start + length], data[end - 64 : end], data[end:]
    try:
        values = json.loads(header)
        digest = values.pop("enclosed")
        bulk = values.pop("bulk")
        letter = Letter(
            **values, bulk=None if bulk is None else Bulk.from_json(bulk), enclosed=enclosed
        )
        texts = (letter.federation, letter.kind, letter.author, letter.to, letter.about)
        if not all(type(text) is str and len(text) <= 200 for text in texts):
            raise TypeError("a name")
        if type(letter.body) is not dict or not _plain(letter.body, depth=DEPTH_MAX):
            raise TypeError("body")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise UpdateError("A letter is not well-formed; it was refused.") from error
    if hashlib.sha256(enclosed).hexdigest() != digest:
        raise UpdateError("What a letter encloses was changed on its way.")
    return letter, header, signature


def open_letter(
    data: bytes,
    *,
    author: PublicIdentity,
    federation: str,
    kind: str,
    written_by: str,
    to: str,
) -> Letter:
    """Read a letter that must come from one author, for one reader, of one kind.

    Raises:
        UpdateError: If it is not well-formed, or belongs elsewhere.
        RefusalError: If its author did not sign it.
    """
    letter, header, signature = read(data)
    expected = (federation, kind, written_by, to)
    if (letter.federation, letter.kind, letter.author, letter.to) != expected:
        raise UpdateError("A letter belongs to another federation, kind, author or reader.")
    try:
        author.verify(signature, context=_context(letter), message=header)
    except RefusalError as error:
        raise RefusalError(f"A letter was not signed by '{written_by}'.") from error
    return letter


def _context(letter: Letter) -> bytes:
    return json.dumps(["letter", letter.federation, letter.kind, letter.to]).encode()


def _plain(value: object, *, depth: int) -> bool:
    if depth < 0 or (isinstance(value, float) and not math.isfinite(value)):
        return False
    if isinstance(value, dict):
        return all(_plain(item, depth=depth - 1) for item in value.values())
    if isinstance(value, list):
        return all(_plain(item, depth=depth - 1) for item in value)
    return True
