"""The cache: one entry per scan, known by the content of its inputs, never changed once written.

`cache/<key>/` holds `volume.b2nd` (int16 [channels, z, y, x] on the common grid: PET as
SUV * 256 in unsigned 16 bits, CT in HU, lesion labels), `mips.npy` (float16 [2, z, width], SUV)
and `record.json` (biomarkers of the native grid, how SUV was found, remarks). It holds no
identifier, no date and no pseudonym, and may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fedpet.cohort.manifest import FILE as MANIFEST
from fedpet.cohort.manifest import Manifest, file_digest, read_manifest, write_private
from fedpet.errors import NotFoundError, StoreError

# Raise it whenever the same files would give other numbers.
PIPELINE = 3
FOLDER = "cache"
VOLUME, MIPS, RECORD = "volume.b2nd", "mips.npy", "record.json"
SUV_STEPS = 256.0
SUV_MAX = 65535 / SUV_STEPS
BLOCK_SLICES = 8
Fact: TypeAlias = str | float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is known about a prepared scan besides its images.

    Args:
        channels: Of the volume: `pet`, then `ct` and `lesions` where there are any.
        lesions: `given`, `found` or `missing`.
        biomarkers: By name, measured on the native PET grid; NaN where unknown.
        body_suv: Mean SUV where it is above 0.1; NaN if nowhere.
        provenance: The rules by which SUV was found; offsets in time, no dates.
        remarks: (code, text) of what was repaired or unusual.
        volume: SHA-256 of the decoded volume.
        files: SHA-256 of `volume.b2nd` and `mips.npy`.
    """

    channels: tuple[str, ...]
    lesions: str
    biomarkers: Mapping[str, float]
    body_suv: float
    provenance: Mapping[str, Fact]
    remarks: tuple[tuple[str, str], ...]
    volume: str
    files: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleVolume:
    """The images of one subject on the common grid, arrays [z, y, x].

    Args:
        suv: float32, g/mL, within 0.002 of the resampled SUV and at most 255.996.
        ct_hu: int16; None where there is no CT.
        lesions: uint16 labels; None where they are not known.
    """

    suv: NDArray[np.float32]
    ct_hu: NDArray[np.int16] | None
    lesions: NDArray[np.uint16] | None


def pack(
    suv: NDArray[np.float32],
    ct_hu: NDArray[np.int16] | None,
    lesions: NDArray[np.generic] | None,
) -> tuple[NDArray[np.int16], tuple[str, ...]]:
    """Stack the channels of a volume as int16, and name them.

    Examples:
        >>> array, channels = pack(np.full((1, 1, 1), 2.5, np.float32), None, None)
        >>> int(array[0, 0, 0, 0]), channels
        (640, ('pet',))
    """
    steps = np.rint(np.clip(suv, 0.0, SUV_MAX) * SUV_STEPS).astype(np.uint16).view(np.int16)
    stack, names = [steps], ["pet"]
    if ct_hu is not None:
        stack.append(ct_hu.astype(np.int16))
        names.append("ct")
    if lesions is not None:
        stack.append(lesions.astype(np.uint16).view(np.int16))
        names.append("lesions")
    return np.stack(stack), tuple(names)


def write_entry(
    folder: Path,
    key: str,
    *,
    volume: NDArray[np.int16],
    mips: NDArray[np.float16],
    record: Record,
) -> Record:
    """Write an entry whole or not at all, and return its record with the digests filled in.

    Args:
        folder: The cache.
        key: Of the entry.
        volume: int16 [channels, z, y, x]; see `pack`.
        mips: float16 [2, z, width].
        record: Without digests.
    """
    import blosc2

    part = folder / f".{key}.{os.getpid()}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(mode=0o700, parents=True)
    blosc2.asarray(
        volume,
        urlpath=str(part / VOLUME),
        mode="w",
        chunks=(1, *volume.shape[1:]),
        blocks=(1, min(BLOCK_SLICES, volume.shape[1]), *volume.shape[2:]),
        cparams=blosc2.CParams(
            codec=blosc2.Codec.LZ4, clevel=1, filters=[blosc2.Filter.SHUFFLE], nthreads=1
        ),
    )
    (part / VOLUME).chmod(0o600)
    with (part / MIPS).open("wb") as file:
        np.save(file, mips, allow_pickle=False)
    (part / MIPS).chmod(0o600)
    told = {
        **asdict(record),
        "volume": hashlib.sha256(np.ascontiguousarray(volume).data).hexdigest(),
        "files": {name: file_digest(part / name) for name in (VOLUME, MIPS)},
    }
    write_private(part / RECORD, json.dumps(_without_nan(told), sort_keys=True).encode())
    shutil.rmtree(folder / key, ignore_errors=True)
    part.rename(folder / key)
    return _record(told)


def read_entry(folder: Path, key: str) -> Record | None:
    """Return the record of an entry that is whole; None if it must be made (again)."""
    entry = folder / key
    try:
        record = _record(json.loads((entry / RECORD).read_bytes()))
        whole = all(file_digest(entry / name) == digest for name, digest in record.files.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return record if whole and set(record.files) == {VOLUME, MIPS} else None


def read_mips(folder: Path, key: str) -> NDArray[np.float16]:
    """Return the maximum projections of an entry, float16 [2, z, width]."""
    mips: NDArray[np.float16] = np.load(folder / key / MIPS, allow_pickle=False)
    return mips


def open_volume(folder: Path, subject: str) -> SampleVolume:
    """Read the images of one subject of a built cohort, checked against their digest.

    Args:
        folder: The cohort's folder.
        subject: Pseudonym.

    Raises:
        NotFoundError: If no cohort was built there, or the subject is not in it.
        StoreError: If the volume is missing or altered.
    """
    manifest = _manifest(folder)
    if subject not in manifest.entries:
        raise NotFoundError("The cohort has no such subject.")
    found = read_volume(folder / FOLDER / manifest.entries[subject])
    if found is None or found[0].volume != manifest.content[f"volume/{subject}"]:
        raise StoreError(
            "The images of a subject are missing or were altered.", do="Build the cohort again."
        )
    return found[1]


def read_volume(entry: Path) -> tuple[Record, SampleVolume] | None:
    """Read the images of an entry, checked against the digest in its record.

    Args:
        entry: Folder of the entry.

    Returns:
        None if a file is missing or altered.
    """
    try:
        record = _record(json.loads((entry / RECORD).read_bytes()))
        data = (entry / VOLUME).read_bytes()
        if hashlib.sha256(data).hexdigest() != record.files[VOLUME]:
            return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    import blosc2

    array = blosc2.ndarray_from_cframe(data)[:]
    channel = dict(zip(record.channels, array, strict=True))
    return record, SampleVolume(
        suv=channel["pet"].view(np.uint16).astype(np.float32) / np.float32(SUV_STEPS),
        ct_hu=channel.get("ct"),
        lesions=channel["lesions"].view(np.uint16) if "lesions" in channel else None,
    )


def _manifest(folder: Path) -> Manifest:
    """Read a manifest, once for many subjects."""
    try:
        status = (folder / MANIFEST).stat()
    except OSError:
        return read_manifest(folder)
    return _manifest_of(folder, status.st_ino, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=16)
def _manifest_of(folder: Path, inode: int, size: int, modified_ns: int) -> Manifest:
    del inode, size, modified_ns
    return read_manifest(folder)


def prune(folder: Path, keep: Collection[str]) -> int:
    """Delete every entry that is not named, half-written ones included; return how many."""
    gone = [entry for entry in folder.iterdir() if entry.name not in keep]
    for entry in gone:
        shutil.rmtree(entry, ignore_errors=True)
    return len(gone)


def _record(told: Mapping[str, Any]) -> Record:
    number = {None: math.nan}
    return Record(
        **{
            **told,
            "channels": tuple(told["channels"]),
            "biomarkers": {name: number.get(x, x) for name, x in told["biomarkers"].items()},
            "body_suv": number.get(told["body_suv"], told["body_suv"]),
            "remarks": tuple((code, text) for code, text in told["remarks"]),
        }
    )


def _without_nan(value: Any) -> Any:
    """Return the value with NaN as None, which JSON can say."""
    if isinstance(value, Mapping):
        return {name: _without_nan(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
