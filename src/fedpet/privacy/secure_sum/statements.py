"""The exact bytes that sites sign, seal under and commit to in a secure sum."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

import numpy as np

from fedpet.parameters import Parameters
from fedpet.privacy.secure_sum.keys import PROTOCOL, fingerprint
from fedpet.privacy.secure_sum.lanes import Words32, Words64
from fedpet.privacy.secure_sum.terms import Batch, Scope, pack

ADVERTISE, AGREE, SHARE, MASK = (
    f"{PROTOCOL} {what}".encode() for what in ("advertise", "agree", "share", "mask")
)


def key_statement(scope: Scope, site: str, public: bytes) -> bytes:
    """Return what a site signs of its KEM key."""
    return fingerprint("kem", scope.context.hex(), site, public.hex())


def pair_context(scope: Scope, sender: tuple[str, bytes], receiver: tuple[str, bytes]) -> bytes:
    """Return what a sealed contribution is bound to: experiment, both sites, both KEM keys."""
    named = [value for site, public in (sender, receiver) for value in (site, public.hex())]
    return fingerprint("pair", scope.context.hex(), *named)


def commitment(place: bytes, site: str, kind: str, secret: bytes) -> bytes:
    """Return the SHA-256 that a site publishes of a secret, to be checked when it is opened."""
    return sha256(pack(place, site.encode(), kind.encode(), secret)).digest()


def box_digests(batch: Batch, boxes: Mapping[str, bytes]) -> bytes:
    """Return the digests of a site's boxes in the order of the cohort, zeros for its own."""
    digests = (sha256(boxes[j]).digest() if j in boxes else bytes(32) for j in batch.cohort)
    return b"".join(digests)


def summand_digest(purpose: str, fold: str, arrays: Parameters) -> str:
    """Return the SHA-256 by which a site knows again what it gave before; it stays at the site."""
    digest = sha256(pack(purpose.encode(), fold.encode()))
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(pack(name.encode(), str(array.dtype).encode(), str(array.shape).encode()))
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def vector_digest(narrow: Words32, wide: Words64) -> bytes:
    """Return the SHA-256 of a masked vector."""
    digest = sha256(len(narrow).to_bytes(8, "big"))
    digest.update(narrow.data)
    digest.update(wide.data)
    return digest.digest()
