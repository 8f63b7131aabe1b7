"""The head of a site's audit, signed: what other sites remember, so that none can be cut short.

A reply carries the head of the site's audit; the next request carries the heads of all sites to
each of them. A site that deletes its newest entries, or writes its audit anew, no longer has the
head that others remember.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

from fedpet.errors import RefusalError, StoreError
from fedpet.privacy.identity import Identity, PublicIdentity

CONTEXT = b"audit head"
HASH_CHARACTERS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Where a site's audit stood.

    Args:
        site: Whose audit.
        number: Number of its newest entry, from 1.
        hash: Hash of that entry, hexadecimal.
        key: The site's public key, hexadecimal.
        signature: Over all of this, hexadecimal.
    """

    site: str
    number: int
    hash: str
    key: str
    signature: str = ""

    def values(self) -> dict[str, Any]:
        """Return JSON values."""
        return {name: getattr(self, name) for name in FIELDS}

    def verify(self) -> None:
        """Refuse a head that its own key did not sign; whose key it is, a roster tells.

        Raises:
            RefusalError: If the signature does not fit.
        """
        try:
            public = PublicIdentity(bytes.fromhex(self.key))
            public.verify(bytes.fromhex(self.signature), context=CONTEXT, message=_message(self))
        except (ValueError, StoreError) as error:
            raise RefusalError("The head of an audit is not signed.") from error


FIELDS = tuple(field.name for field in fields(Head))


def signed_head(identity: Identity, *, site: str, number: int, hash_: str) -> Head:
    """Return a head with its site's signature."""
    key = identity.public.key.hex()
    head = Head(site=site, number=number, hash=hash_, key=key)
    return Head(
        site=site,
        number=number,
        hash=hash_,
        key=key,
        signature=identity.sign(CONTEXT, _message(head)).hex(),
    )


def head_from(values: Mapping[str, Any]) -> Head:
    """Read what `Head.values` gave, from a message or a file, and check its signature.

    Raises:
        RefusalError: If it is no head, or not signed by the key that it names.
    """
    try:
        head = Head(**values)
    except TypeError:
        raise RefusalError("The head of an audit is not well-formed.") from None
    texts = (head.site, head.hash, head.key, head.signature)
    if type(head.number) is not int or head.number < 1 or any(type(t) is not str for t in texts):
        raise RefusalError("The head of an audit is not well-formed.")
    if len(head.hash) != HASH_CHARACTERS:
        raise RefusalError("The head of an audit is not well-formed.")
    _verified(head)
    return head


@lru_cache(maxsize=4096)
def _verified(head: Head) -> None:
    """Verify a head once: the same ones come with every request of an experiment."""
    head.verify()


def _message(head: Head) -> bytes:
    return json.dumps([head.site, head.number, head.hash, head.key]).encode()
