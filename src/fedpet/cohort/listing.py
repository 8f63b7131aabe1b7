"""What was found in a hospital's folder, remembered as long as no file of it changes.

Reading every header again is most of the work of a build that has nothing to do. A listing is
valid while each file has the path, size and times that it had, the rules of choice are the same
and so is the code that applies them; looking that up takes a few microseconds a file. The file
holds pseudonyms, keyed digests and masked days; it may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from functools import cache
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Final

import fedpet.imaging
from fedpet.cohort.manifest import write_private
from fedpet.cohort.pseudonyms import Pseudonyms
from fedpet.cohort.quality import Failure, Seen, day_of
from fedpet.errors import DataError
from fedpet.imaging.remarks import Rejected

if TYPE_CHECKING:
    from fedpet.imaging.index import Index

FILE: Final = "listing.json"
SCHEMA: Final = "fedpet-listing/1"
UNKNOWN: Final = os.stat_result([0] * 10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What a folder holds, without identifiers.

    Args:
        scans: One per subject.
        keys: Cache entry of each scan.
        rejected: Pseudonym (empty where the file names nobody) and what was left aside.
        files: Number of files looked at.
        failures: Scans that cannot be used whatever one tries, by cache entry.
    """

    scans: tuple[Seen, ...]
    keys: tuple[str, ...]
    rejected: tuple[tuple[str, Rejected], ...]
    files: int
    failures: Mapping[str, Failure] = field(default_factory=dict)


def listing_of(index: Index, keys: Sequence[str], pseudonyms: Pseudonyms) -> Listing:
    """Return what an index holds, subjects under their pseudonyms.

    Args:
        index: Of the folder.
        keys: Cache entry of each scan.
        pseudonyms: With the hospital's key.
    """
    return Listing(
        scans=tuple(
            Seen(
                subject=pseudonyms.of(scan.patient_id),
                loose=pseudonyms.loosely(scan.patient_id),
                day=day_of(scan.date),
            )
            for scan in index.scans
        ),
        keys=tuple(keys),
        rejected=tuple(
            (
                pseudonyms.of(one.patient_id) if one.patient_id else "",
                Rejected(
                    patient_id="",
                    series="",
                    modality=one.modality,
                    reason=one.reason,
                    files=one.files,
                ),
            )
            for one in index.rejected
        ),
        files=index.files,
    )


def state_of(folders: Sequence[Path], rules: str, pseudonyms: Pseudonyms) -> str:
    """Digest all on which a listing depends, without opening any file of the folders.

    Args:
        folders: Of images and masks; one may be absent, or a file.
        rules: How scans are chosen.
        pseudonyms: With the hospital's key, so that the digest tells nothing without it.

    Raises:
        DataError: If one of the folders cannot be listed.
    """
    digest = hashlib.sha256(f"{SCHEMA} {_code()} {rules}\n".encode())
    for number, folder in enumerate(folders):
        for lines in _walk(str(folder)):
            digest.update(f"{number} {lines}\n".encode("utf-8", "surrogateescape"))
    return pseudonyms.digest(digest.digest())


@cache
def _code() -> str:
    """Digest the room that reads images: with other rules it may find something else."""
    digest = hashlib.sha256()
    for folder in fedpet.imaging.__path__:
        for path in sorted(Path(folder).iterdir()):
            if path.is_file():
                digest.update(path.read_bytes())
    return digest.hexdigest()


def _walk(root: str) -> Iterator[str]:
    """Yield what is known of the files of each folder below a root, in an order that is always one.

    A folder below it that cannot be listed stands for itself, so that it counts when it can.
    """
    waiting = [("", root)]
    while waiting:
        below, path = waiting.pop()
        try:
            with os.scandir(path) as listing:
                entries = sorted(listing, key=attrgetter("name"))
        except NotADirectoryError:
            yield _line(below, os.stat(path))  # noqa: PTH116 - as in the loop
            continue
        except OSError as error:
            if not below and not isinstance(error, FileNotFoundError):
                raise DataError(
                    f"A folder cannot be listed: {error.strerror}.",
                    do="Check its rights.",
                    code="FP-2110",
                ) from error
            yield _line(f"{below}/", UNKNOWN)
            continue
        lines = [below]
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                waiting.append((f"{below}/{entry.name}", entry.path))
                continue
            try:
                status = entry.stat()
            except OSError:  # a link to nothing, or a folder that may only be listed
                status = UNKNOWN
            lines.append(_line(entry.name, status))
        yield "\n".join(lines)


def _line(name: str, status: os.stat_result) -> str:
    told = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
    return f"{name!r} {told}"


def remember(listing: Listing, folder: Path, *, state: str, pseudonyms: Pseudonyms) -> None:
    """Write a listing so that only the owner may read it.

    Args:
        listing: What was found.
        folder: The cohort's folder.
        state: Of the folder before it was looked through.
        pseudonyms: With the hospital's key; days are masked with it.
    """
    told = {
        "schema": SCHEMA,
        "state": state,
        "scans": [
            (seen.subject, seen.loose, _masked(seen, state, pseudonyms)) for seen in listing.scans
        ],
        "keys": listing.keys,
        "rejected": [
            (subject, one.modality, one.reason, one.files) for subject, one in listing.rejected
        ],
        "files": listing.files,
        "failures": {key: asdict(one) for key, one in listing.failures.items()},
    }
    data = json.dumps(told, sort_keys=True).encode()
    seal = pseudonyms.digest(data)
    write_private(folder / FILE, seal.encode() + b"\n" + data)


def recall(folder: Path, *, state: str, pseudonyms: Pseudonyms) -> Listing | None:
    """Return the listing of a folder in this state; None if there is none, or it was altered."""
    try:
        seal, data = (folder / FILE).read_bytes().split(b"\n", 1)
        if seal.decode() != pseudonyms.digest(data):
            return None
        told = json.loads(data)
        if (told["schema"], told["state"]) != (SCHEMA, state):
            return None
        scans = [
            _unmasked(Seen(subject=subject, loose=loose, day=None), day, state, pseudonyms)
            for subject, loose, day in told["scans"]
        ]
        rejected = [
            (
                subject,
                Rejected(patient_id="", series="", modality=kind, reason=reason, files=files),
            )
            for subject, kind, reason, files in told["rejected"]
        ]
        failures = {key: Failure(**one) for key, one in told["failures"].items()}
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Listing(
        scans=tuple(scans),
        keys=tuple(told["keys"]),
        rejected=tuple(rejected),
        files=told["files"],
        failures=failures,
    )


def _mask(subject: str, state: str, pseudonyms: Pseudonyms) -> int:
    return int(pseudonyms.digest(f"day {state} {subject}".encode())[:8], 16)


def _masked(seen: Seen, state: str, pseudonyms: Pseudonyms) -> int | None:
    """Return the day of a scan as a number that tells nothing without the key."""
    if seen.day is None:
        return None
    return seen.day.toordinal() ^ _mask(seen.subject, state, pseudonyms)


def _unmasked(seen: Seen, day: int | None, state: str, pseudonyms: Pseudonyms) -> Seen:
    if day is None:
        return seen
    ordinal = day ^ _mask(seen.subject, state, pseudonyms)
    return replace(seen, day=date.fromordinal(ordinal))
