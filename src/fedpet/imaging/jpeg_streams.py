"""What a compressed frame says of itself, read before a decoder in C is trusted with it.

The decoders of JPEG are old and were not made for damaged files: a header that contradicts itself
can end the whole process. So its segments are checked here; what a sound header leaves to go wrong
is told by the decoder.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from fedpet.errors import DataError

_PAIR: Final = struct.Struct(">HH")
_SIZ: Final = struct.Struct(">4I")
# Baseline, extended, lossless (Huffman) and JPEG-LS frames.
_FRAMES: Final = frozenset((0xC0, 0xC1, 0xC3, 0xF7))
_TABLES: Final = frozenset((0xC4, 0xDB, 0xDD, 0xF8, 0xFE, *range(0xE0, 0xF0)))
_RESTARTS: Final = range(0xD0, 0xD8)


def check_stream(stream: bytes, *, rows: int, columns: int, bits: int) -> None:
    """Refuse a JPEG, JPEG-LS or JPEG 2000 stream that is not the image the header tells of.

    Args:
        stream: One frame; streams of another kind (RLE) pass.
        rows: Rows of the header.
        columns: Columns of the header.
        bits: Bits allocated in the header.

    Raises:
        DataError: If the size differs, or the stream's own header is damaged.

    Source:
        ISO/IEC 10918-1 B.2, 14495-1 C.2, 15444-1 A.5.1.
    """
    try:
        size = _size_2000(stream) if stream[:2] == b"\xff\x4f" else _size_jpeg(stream, bits)
    except (ValueError, IndexError, struct.error):
        raise DataError(
            "A compressed slice is damaged.", do="Export the series again.", code="FP-2111"
        ) from None
    if size is not None and size != (rows, columns):
        raise DataError(
            f"A slice holds {size[0]}x{size[1]} pixels, its header says {rows}x{columns}.",
            code="FP-2111",
        )


def _size_2000(stream: bytes) -> tuple[int, int]:
    width, height, left, top = _SIZ.unpack_from(stream, 8)
    return height - top, width - left


def _size_jpeg(stream: bytes, bits: int) -> tuple[int, int] | None:
    """Return (rows, columns) of a JPEG or JPEG-LS stream whose header is sound; None for RLE.

    Raises:
        ValueError: If the header is not sound.
    """
    if stream[:2] != b"\xff\xd8":
        if stream[:1] == b"\xff":
            raise ValueError
        return None
    frame = b""
    kind = 0
    tables: set[int] = set()
    for marker, body in _segments(stream):
        if marker in _FRAMES and not frame:
            frame, kind = body, marker
        elif marker == 0xC4:
            tables |= set(_huffman_tables(body, lossless=kind == 0xC3))
        elif marker == 0xDA:
            _check_scan(body, kind, tables)
        elif marker not in _TABLES:
            raise ValueError
    precision, (height, width), components = frame[0], _PAIR.unpack_from(frame, 1), frame[5]
    if not (2 <= precision <= min(bits, 16) and components == 1 and len(frame) == 9):
        raise ValueError
    return height, width


def _segments(stream: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the segments up to the scan, which must be the only one and reach to the end."""
    at = 2
    while True:
        if stream[at] != 0xFF:
            raise ValueError
        marker = stream[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        length = int.from_bytes(stream[at + 2 : at + 4], "big")
        body = stream[at + 4 : at + 2 + length]
        if length < 2 or len(body) != length - 2:
            raise ValueError
        yield marker, body
        at += 2 + length
        if marker == 0xDA:
            _check_data(stream, at)
            return


def _check_data(stream: bytes, at: int) -> None:
    """Refuse markers inside the coded data, but for restarts; JPEG-LS stuffs bits, not bytes."""
    while (at := stream.find(b"\xff", at)) >= 0 and at + 1 < len(stream):
        marker = stream[at + 1]
        if marker == 0xD9:
            return
        if marker >= 0x80 and marker not in _RESTARTS and marker != 0xFF:
            raise ValueError
        at += 1
    raise ValueError


def _huffman_tables(body: bytes, *, lossless: bool) -> Iterator[int]:
    """Yield the names of Huffman tables after checking that each is a code."""
    at = 0
    while at < len(body):
        counts = body[at + 1 : at + 17]
        space = sum(count << (15 - length) for length, count in enumerate(counts))
        symbols = body[at + 17 : at + 17 + sum(counts)]
        largest = 16 if lossless else 255
        if len(counts) != 16 or len(symbols) != sum(counts) or not symbols:
            raise ValueError
        if space > 1 << 16 or max(symbols) > largest or body[at] & 0x0F > 3 or body[at] >> 4 > 1:
            raise ValueError
        yield body[at]
        at += 17 + len(symbols)


def _check_scan(body: bytes, kind: int, tables: set[int]) -> None:
    """Check that the scan is of one component, with tables that are there (B.2.3)."""
    if not kind or len(body) != 6 or body[0] != 1:
        raise ValueError
    direct = body[2] >> 4
    if kind == 0xC3 and not (direct in tables and 1 <= body[3] <= 7 and body[4:6] == b"\0\0"):
        raise ValueError
    if kind in (0xC0, 0xC1) and not {direct, 0x10 | body[2] & 0x0F} <= tables:
        raise ValueError
