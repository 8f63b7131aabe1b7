"""cohort.json: what a built cohort holds, and the digests by which it is known."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fedpet.errors import NotFoundError, StoreError

FILE = "cohort.json"
SCHEMA = "fedpet-cohort/1"
BUILD_AGAIN = "Build it again with `fedpet cohort build`; what is unchanged is not read again."
BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a cohort's table.

    Args:
        name: Canonical name, as in plans.
        kind: `clinical` or `biomarker`.
        unit: Canonical unit; empty where there is none.
        label: For people.
    """

    name: str
    kind: str
    unit: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What `cohort.json` says. It names pseudonyms, so it stays in the hospital.

    Args:
        name: Name of the cohort, as in plans.
        site: The hospital.
        phantom: Whether the subjects are simulated.
        spacing_mm: Voxel size of the common grid.
        columns: Of the table, in order.
        survival: Names of the survival endpoints.
        binary: Names of the yes-or-no endpoints.
        progression: `confirmed` or `first`: which progressions count.
        subjects: Pseudonyms, in order.
        content: SHA-256 of `samples.safetensors` and `mips.npy`, and of each subject's volume.
        entries: Cache entry of each subject.
        counts: Scans found, series rejected, rows read, subjects left out.
        inputs: Keyed digests of the files and scans that the cohort was built from.
        findings: SHA-256 of `findings.json`.
        software: Version that built it.
        created: When, UTC.
        criteria: By which rules progression and response were called, where the dictionary says so.
        suv: What SUV is normalised by.
    """

    name: str
    site: str
    phantom: bool
    spacing_mm: float
    columns: tuple[Column, ...]
    survival: tuple[str, ...]
    binary: tuple[str, ...]
    progression: str
    subjects: tuple[str, ...]
    content: Mapping[str, str]
    entries: Mapping[str, str]
    counts: Mapping[str, int]
    inputs: Mapping[str, tuple[str, ...]]
    findings: str
    software: str
    created: str
    criteria: Mapping[str, str] = field(default_factory=dict)
    suv: str = "bw"

    @property
    def fingerprint(self) -> str:
        """SHA-256 over all that a model can read; not over when, where and from which files."""
        told = {"schema": SCHEMA, **asdict(self)}
        for name in ("entries", "counts", "inputs", "findings", "software", "created", "criteria"):
            del told[name]
        if self.suv == "bw":  # cohorts from before there was a choice keep their fingerprint
            del told["suv"]
        return hashlib.sha256(_canonical(told)).hexdigest()

    @property
    def samples(self) -> str:
        """Folder of the arrays, from the cohort's folder."""
        return f"samples/{self.fingerprint[:16]}"


def write_manifest(manifest: Manifest, folder: Path) -> None:
    """Replace the manifest of a cohort in one step."""
    told = {"schema": SCHEMA, "fingerprint": manifest.fingerprint, **asdict(manifest)}
    write_private(folder / FILE, json.dumps(told, indent=1, sort_keys=True).encode())


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a cohort's folder.

    Raises:
        NotFoundError: If no cohort was built there.
        StoreError: If the file was altered, or another version of fedpet wrote it.
    """
    try:
        data = (folder / FILE).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise NotFoundError(
            "No cohort has been built here.", do="Build it with `fedpet cohort build FOLDER`."
        ) from None
    try:
        told = json.loads(data)
        schema, fingerprint = told.pop("schema"), told.pop("fingerprint")
    except (ValueError, KeyError, AttributeError, TypeError):
        raise _altered(FILE) from None
    if schema != SCHEMA:
        raise StoreError(
            f"The cohort was written by another version ({schema!r:.40}; expected {SCHEMA}).",
            do=BUILD_AGAIN,
        )
    try:
        manifest = Manifest(
            **{
                **told,
                "columns": tuple(Column(**column) for column in told["columns"]),
                "inputs": {name: tuple(keys) for name, keys in told["inputs"].items()},
                **{name: tuple(told[name]) for name in ("survival", "binary", "subjects")},
            }
        )
        intact = manifest.fingerprint == fingerprint
    except (KeyError, TypeError, AttributeError):
        raise _altered(FILE) from None
    if not intact:
        raise _altered(FILE)
    return manifest


def verify(path: Path, digest: str) -> None:
    """Check a file of ours against its SHA-256.

    Raises:
        StoreError: If it is missing or was altered.
    """
    try:
        intact = file_digest(path) == digest
    except OSError:
        raise StoreError(f"{path.name} of the cohort is missing.", do=BUILD_AGAIN) from None
    if not intact:
        raise _altered(path.name)


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def keep_private(path: Path, data: bytes) -> None:
    """Write a file that only its owner may read, unless it holds these bytes already."""
    try:
        same = path.read_bytes() == data
    except OSError:
        same = False
    if not same:
        write_private(path, data)


def _altered(name: str) -> StoreError:
    return StoreError(
        f"{name} of the cohort was altered after the build.",
        why="Its content does not have the digest that the build wrote down.",
        do=BUILD_AGAIN,
    )


def _canonical(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
