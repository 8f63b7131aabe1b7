"""What became of each scan of a hospital, and what of it is known without opening an image.

An unchanged cohort is built from here: this module must load nothing that reads images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from fedpet.cohort.cache import Record, read_entry
from fedpet.cohort.listing import Listing
from fedpet.cohort.quality import Failure

# Failures that may be the network's: files that could not be read, or not to their end.
UNREADABLE = frozenset(("FP-2111", "FP-2158"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A scan that is in the cache, or the reason why it is not.

    Args:
        subject: Pseudonym.
        key: Of its cache entry.
        outcome: The record, or why there is none.
        seconds: Wall time; near 0 if the entry was there.
        cached: Whether the entry was there.
    """

    subject: str
    key: str
    outcome: Record | Failure
    seconds: float
    cached: bool


def known_already(listing: Listing, folder: Path) -> list[Prepared] | None:
    """Take every scan of a listing from the cache.

    Args:
        listing: What was found.
        folder: The cache.

    Returns:
        None if one of the scans must be read.
    """
    known = []
    for seen, key in zip(listing.scans, listing.keys, strict=True):
        start = perf_counter()
        outcome = listing.failures.get(key) or read_entry(folder, key)
        if outcome is None:
            return None
        seconds = perf_counter() - start
        known.append(
            Prepared(subject=seen.subject, key=key, outcome=outcome, seconds=seconds, cached=True)
        )
    return known


def lasting(prepared: Sequence[Prepared]) -> dict[str, Failure]:
    """Return the failures that another try on the same files would not mend, by cache entry."""
    return {
        done.key: done.outcome
        for done in prepared
        if isinstance(done.outcome, Failure) and done.outcome.code not in UNREADABLE
    }
