"""Arrays cut into chunks that are named by their hash, and put together again in a file."""

from __future__ import annotations

import hashlib
import mmap
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedpet.errors import UpdateError

CHUNK_BYTES = 1 << 20
ENCLOSED_BYTES = 256 << 10
SIZE_LIMIT_BYTES = 8 << 30
HEX = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bulk:
    """Bytes that travel in chunks.

    Args:
        size: Bytes in all.
        chunks: SHA-256 of each chunk in hexadecimal; all but the last have `CHUNK_BYTES`.
    """

    size: int
    chunks: tuple[str, ...]

    def __post_init__(self) -> None:
        if not 0 < self.size <= SIZE_LIMIT_BYTES:
            raise UpdateError(f"Arrays of {self.size} bytes exceed the limit of a message.")
        if len(self.chunks) != -(-self.size // CHUNK_BYTES):
            raise UpdateError("A message names another number of chunks than its size needs.")

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return {"size": self.size, "chunks": list(self.chunks)}

    @classmethod
    def from_json(cls, values: object) -> Bulk:
        """Read what `to_json` wrote.

        Raises:
            UpdateError: If the values are anything else.
        """
        if not isinstance(values, dict) or set(values) != {"size", "chunks"}:
            raise UpdateError("A message describes its arrays in a way that is not known.")
        size, chunks = values["size"], values["chunks"]
        if type(size) is not int or not isinstance(chunks, list):
            raise UpdateError("A message describes its arrays in a way that is not known.")
        if not all(isinstance(chunk, str) and HEX.fullmatch(chunk) for chunk in chunks):
            raise UpdateError("A message names a chunk that is no SHA-256.")
        return cls(size=size, chunks=tuple(chunks))

    @property
    def name(self) -> str:
        """A name of the whole, from its chunks."""
        return hashlib.sha256("".join(self.chunks).encode()).hexdigest()

    def length(self, index: int) -> int:
        """Return the bytes of one chunk."""
        return min(CHUNK_BYTES, self.size - index * CHUNK_BYTES)


def viewed(path: Path) -> memoryview:
    """Return the bytes of a file, which must not be empty, without holding them in memory."""
    with path.open("rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def cut(data: bytes | memoryview) -> Iterator[memoryview]:
    """Yield the chunks of some bytes, without copying them."""
    view = memoryview(data)
    for start in range(0, len(view), CHUNK_BYTES):
        yield view[start : start + CHUNK_BYTES]


def bulk_of(data: bytes | memoryview) -> Bulk:
    """Return the description of some bytes."""
    chunks = tuple(hashlib.sha256(chunk).hexdigest() for chunk in cut(data))
    return Bulk(size=len(data), chunks=chunks)


class Gathering:
    """A file that grows chunk by chunk; what a former process gathered is kept if it is right.

    Args:
        path: The file, complete when it bears this name; `<name>.part` until then.
        bulk: What it shall hold.
    """

    def __init__(self, path: Path, bulk: Bulk) -> None:
        self.path = path
        self.bulk = bulk
        self._part = path.with_name(f"{path.name}.part")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(self._part, os.O_RDWR | os.O_CREAT, 0o600)
        self.missing = [
            index for index in range(len(bulk.chunks)) if not self._fits(index, self._read(index))
        ]

    def _read(self, index: int) -> bytes:
        return os.pread(self._file, self.bulk.length(index), index * CHUNK_BYTES)

    def _fits(self, index: int, data: bytes) -> bool:
        right = len(data) == self.bulk.length(index)
        return right and hashlib.sha256(data).hexdigest() == self.bulk.chunks[index]

    def put(self, index: int, data: bytes) -> None:
        """Write one chunk.

        Raises:
            UpdateError: If it is not the chunk that was announced.
        """
        if not self._fits(index, data):
            raise UpdateError("A chunk is not the one that was announced; it was refused.")
        os.pwrite(self._file, data, index * CHUNK_BYTES)

    def finish(self) -> Path:
        """Close the complete file and return its path."""
        os.ftruncate(self._file, self.bulk.size)
        self.close()
        self._part.replace(self.path)
        return self.path

    def close(self) -> None:
        """Close the file as it is; a later gathering goes on with it."""
        os.close(self._file)
