"""The header of one DICOM file: our own bounded reader, and pydicom where that one declines.

The own reader knows explicit and implicit VR little endian in file order, which is what PACS
write. It reads a few kilobytes, decodes the wanted attributes only and stops before the pixels.
Anything unusual (big endian, deflated, tags out of order, odd value types) goes to pydicom; what
pydicom cannot read either ends in a DataError.
"""

from __future__ import annotations

import math
import os
import struct
import warnings
import zlib
from dataclasses import dataclass
from typing import Final

import pydicom
from pydicom.errors import BytesLengthException, InvalidDicomError

from fedpet.errors import DataError
from fedpet.imaging import tags
from fedpet.imaging.tags import Wanted

CHUNK_BYTES = 8192
DEPTH_MAX = 16
IMPLICIT = "1.2.840.10008.1.2"
NATIVE = (IMPLICIT, "1.2.840.10008.1.2.1")
UNREADABLE = (
    *(InvalidDicomError, EOFError, OSError, ValueError, TypeError, KeyError, AttributeError),
    *(NotImplementedError, IndexError, OverflowError, RecursionError, MemoryError),
    *(struct.error, zlib.error, BytesLengthException, RuntimeError),
)

_EXPLICIT: Final = struct.Struct("<HH2sH")
_TAG_LENGTH: Final = struct.Struct("<HHI")
_ULONG: Final = struct.Struct("<I")
_USHORT: Final = struct.Struct("<H")
_LONG_VR = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC"))
_LONG_VR |= frozenset((b"UN", b"UR", b"UT", b"UV"))
_SHORT_VR = frozenset(
    b"AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US".split()  # PS3.5 7.1.2
)
_CODECS = {
    "ISO_IR 101": "iso8859_2",
    "ISO_IR 109": "iso8859_3",
    "ISO_IR 110": "iso8859_4",
    "ISO_IR 126": "iso8859_7",
    "ISO_IR 127": "iso8859_6",
    "ISO_IR 138": "iso8859_8",
    "ISO_IR 144": "iso8859_5",
    "ISO_IR 148": "iso8859_9",
    "ISO_IR 192": "utf_8",
    "GB18030": "gb18030",
    "GBK": "gbk",
}
_UNDEFINED = 0xFFFFFFFF
_ITEM = 0xFFFEE000
_ITEM_END = 0xFFFEE00D
_SEQUENCE_END = 0xFFFEE0DD


class _MoreError(Exception):
    """The bytes at hand end before the header does."""


class _UnusualError(Exception):
    """A layout that is left to pydicom."""


@dataclass(frozen=True, slots=True)
class Header:
    """Decoded attributes of a file or of an item of a sequence.

    Args:
        values: Text of each wanted attribute by tag; numbers in decimal, parts joined by a
            backslash as DICOM does.
        sequences: Items of each wanted sequence by tag.
        syntax: UID of the transfer syntax; empty in items.
        pixels: (tag, first byte, length) of the pixel data; None without. The length is -1 if
            the pixels are encapsulated, and the first byte -1 where only pydicom can find them.
    """

    values: dict[int, str]
    sequences: dict[int, tuple[Header, ...]]
    syntax: str = ""
    pixels: tuple[int, int, int] | None = None

    def text(self, tag: int) -> str:
        """Return the value as text; empty if absent."""
        return self.values.get(tag, "")

    def words(self, tag: int) -> tuple[str, ...]:
        r"""Return the parts of a value; none if absent.

        Examples:
            >>> Header({tags.IMAGE_TYPE: "ORIGINAL\\PRIMARY"}, {}).words(tags.IMAGE_TYPE)
            ('ORIGINAL', 'PRIMARY')
        """
        value = self.values.get(tag, "")
        return tuple(part.strip() for part in value.split("\\")) if value else ()

    def numbers(self, tag: int) -> tuple[float, ...]:
        """Return the parts as numbers; none if any of them is absent, no number or not finite."""
        return parse_numbers(self.values.get(tag, ""))

    def number(self, tag: int) -> float | None:
        """Return the only or first number; None if absent, no number or not finite."""
        numbers = parse_numbers(self.values.get(tag, ""))
        return numbers[0] if numbers else None

    def items(self, tag: int) -> tuple[Header, ...]:
        """Return the items of a sequence; none if absent."""
        return self.sequences.get(tag, ())

    def first(self, *path: int) -> Header:
        """Return the first item along nested sequences; an empty header where one is absent."""
        header = self
        for tag in path:
            inside = header.items(tag)
            if not inside:
                return Header({}, {})
            header = inside[0]
        return header

    def private(self, tag: int) -> str:
        """Return a vendor's value from whichever block its creator reserved.

        A value in block 0x10 without any creator is accepted, as some exports drop creators.
        """
        creator = tags.PRIVATE_CREATORS[tag].lower()
        named = False
        for block in tags.PRIVATE_BLOCKS:
            name = self.text(tags.creator_of(tag, block))
            named = named or bool(name)
            if name.lower().startswith(creator):
                return self.text(tags.in_block(tag, block))
        return "" if named else self.text(tag)


def parse_numbers(text: str) -> tuple[float, ...]:
    r"""Read backslash-separated decimal numbers; none if one of them is not a finite number.

    Examples:
        >>> parse_numbers("4.0\\4.5"), parse_numbers("4.0\\nan"), parse_numbers("")
        ((4.0, 4.5), (), ())
    """
    try:
        numbers = tuple(map(float, text.split("\\")))
    except ValueError:
        return ()
    return numbers if all(map(math.isfinite, numbers)) else ()


def read_header(path: str, wanted: Wanted = tags.INDEX) -> Header | None:
    """Read the wanted attributes of a file.

    Args:
        path: Any file.
        wanted: Attributes to decode.

    Returns:
        The header, or None if the file is not DICOM (no `DICM` behind the preamble).

    Raises:
        DataError: If the file cannot be opened, or neither reader understands it.
    """
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - Path costs as much as parsing
            head = file.read(CHUNK_BYTES)
            if head[128:132] != b"DICM":
                return None
            size = os.fstat(file.fileno()).st_size
            while True:
                try:
                    return _parse_file(head, wanted)
                except _MoreError:
                    more = file.read(7 * len(head)) if len(head) < size else b""
                    if not more:
                        break
                    head += more
                except _UnusualError:
                    break
    except OSError as error:
        raise DataError(
            f"A file cannot be opened: {error.strerror}.", code="FP-2111", do="Check its rights."
        ) from error
    return _read_with_pydicom(path, wanted)


def _parse_file(data: bytes, wanted: Wanted) -> Header:
    syntax, position = _file_meta(data)
    if (
        syntax not in NATIVE
        and not syntax.startswith("1.2.840.10008.1.2.4")
        and syntax != ("1.2.840.10008.1.2.5")
    ):
        raise _UnusualError
    raw: dict[int, bytes] = {}
    sequences: dict[int, tuple[Header, ...]] = {}
    reader = _Reader(data, explicit=syntax != IMPLICIT)
    pixels = reader.elements(position, len(data), wanted, raw, sequences, top=True)
    return Header(_decode(raw, wanted, _codec(raw, "")), sequences, syntax, pixels)


def _file_meta(data: bytes) -> tuple[str, int]:
    """Return the transfer syntax and where the data set begins; the meta group is explicit."""
    position, syntax = 132, ""
    while True:
        if position + 12 > len(data):
            raise _MoreError
        group, element, vr, length = _EXPLICIT.unpack_from(data, position)
        if group != 2:
            break
        start = position + 8
        if vr in _LONG_VR:
            length, start = _ULONG.unpack_from(data, start)[0], position + 12
        elif vr not in _SHORT_VR:
            raise _UnusualError
        if element == 0x10:
            syntax = data[start : start + length].decode("ascii", "replace").strip("\0 ")
        position = start + length
    if not syntax:
        raise _UnusualError
    return syntax, position


class _Reader:
    """Walks over the elements of one file held in memory; every step goes forward."""

    __slots__ = ("codec", "data", "explicit")

    def __init__(self, data: bytes, *, explicit: bool) -> None:
        self.data = data
        self.explicit = explicit
        self.codec = ""

    def elements(
        self,
        position: int,
        end: int,
        wanted: Wanted,
        raw: dict[int, bytes],
        sequences: dict[int, tuple[Header, ...]],
        *,
        top: bool = False,
    ) -> tuple[int, int, int] | None:
        """Collect the elements from `position` to `end`; at the top, stop at the pixels."""
        data, explicit, last = self.data, self.explicit, -1
        while position < end:
            if position + 8 > end:
                raise _MoreError if top else _UnusualError
            if explicit:
                group, element, vr, length = _EXPLICIT.unpack_from(data, position)
                start = position + 8
                if vr in _LONG_VR:
                    if start + 4 > end:
                        raise _MoreError if top else _UnusualError
                    length = _ULONG.unpack_from(data, start)[0]
                    start += 4
                elif vr not in _SHORT_VR:
                    raise _UnusualError
            else:
                group, element, length = _TAG_LENGTH.unpack_from(data, position)
                start, vr = position + 8, b""
            tag = group << 16 | element
            if tag <= last:
                raise _UnusualError
            last = tag
            if top and tag >= tags.PIXELS_FLOAT:
                return self._pixels(tag, start, length)
            want = wanted.get(tag)
            if length == _UNDEFINED or vr == b"SQ" or (want is not None and type(want) is not str):
                inner = want if want is not None and not isinstance(want, str) else None
                if (vr and vr != b"SQ") or isinstance(want, str):
                    raise _UnusualError  # e.g. UN of undefined length: implicit VR inside
                if inner is None and length != _UNDEFINED:
                    position = start + length
                    if position > end:
                        raise _MoreError if top else _UnusualError
                    continue
                items, position = self._sequence(start, length, end, inner, 0, top=top)
                if inner is not None:
                    sequences[tag] = items
                continue
            position = start + length
            if position > end:
                raise _MoreError if top else _UnusualError
            if want is not None:
                raw[tag] = data[start:position]
                if tag == tags.CHARACTER_SET:
                    self.codec = _codec(raw, "")
        return None

    def _pixels(self, tag: int, start: int, length: int) -> tuple[int, int, int] | None:
        if tag not in (tags.PIXELS, tags.PIXELS_FLOAT, tags.PIXELS_DOUBLE):
            return None
        return tag, start, -1 if length == _UNDEFINED else length

    def _sequence(
        self, position: int, length: int, end: int, wanted: Wanted | None, depth: int, *, top: bool
    ) -> tuple[tuple[Header, ...], int]:
        """Return the items of a sequence and the position behind it."""
        if depth > DEPTH_MAX:
            raise _UnusualError
        close = end if length == _UNDEFINED else position + length
        if close > end:
            raise _MoreError if top else _UnusualError
        found: list[Header] = []
        while position < close:
            if position + 8 > close:
                raise _MoreError if top else _UnusualError
            group, element, size = _TAG_LENGTH.unpack_from(self.data, position)
            tag, start = group << 16 | element, position + 8
            if tag == _SEQUENCE_END and length == _UNDEFINED:
                return tuple(found), start
            if tag != _ITEM:
                raise _UnusualError
            if size == _UNDEFINED:
                item, position = self._open_item(start, close, wanted, depth, top=top)
            else:
                position = start + size
                if position > close:
                    raise _MoreError if top else _UnusualError
                item = self._item(start, position, wanted)
            if wanted is not None:
                found.append(item)
        if length == _UNDEFINED:
            raise _MoreError if top else _UnusualError
        return tuple(found), position

    def _item(self, start: int, end: int, wanted: Wanted | None) -> Header:
        raw: dict[int, bytes] = {}
        sequences: dict[int, tuple[Header, ...]] = {}
        if wanted is not None:
            self.elements(start, end, wanted, raw, sequences)
        return Header(_decode(raw, wanted or {}, self.codec), sequences)

    def _open_item(
        self, position: int, end: int, wanted: Wanted | None, depth: int, *, top: bool
    ) -> tuple[Header, int]:
        """Read an item of undefined length: up to its own delimiter."""
        data, start = self.data, position
        while True:
            if position + 12 > end:
                raise _MoreError if top else _UnusualError
            if _TAG_LENGTH.unpack_from(data, position)[:2] == (0xFFFE, 0xE00D):
                return self._item(start, position, wanted), position + 8
            vr = b""
            if self.explicit:
                _, _, vr, length = _EXPLICIT.unpack_from(data, position)
                inside = position + 8
                if vr in _LONG_VR:
                    length, inside = _ULONG.unpack_from(data, inside)[0], inside + 4
                elif vr not in _SHORT_VR:
                    raise _UnusualError
            else:
                length, inside = _ULONG.unpack_from(data, position + 4)[0], position + 8
            if length == _UNDEFINED:
                if vr not in (b"", b"SQ"):
                    raise _UnusualError
                _, position = self._sequence(inside, length, end, None, depth + 1, top=top)
            else:
                position = inside + length


def _codec(raw: dict[int, bytes], default: str) -> str:
    name = raw.get(tags.CHARACTER_SET)
    if name is None:
        return default
    first = name.decode("ascii", "replace").split("\\")[0].strip("\0 ")
    return _CODECS.get(first, "latin_1")


def _decode(raw: dict[int, bytes], wanted: Wanted, codec: str) -> dict[int, str]:
    values = {}
    for tag, value in raw.items():
        kind = wanted[tag]
        if kind == "text":
            try:
                text = value.decode("ascii")
            except UnicodeDecodeError:
                text = value.decode(codec or "latin_1", "replace")
            values[tag] = text.strip("\0 ")
        elif len(value) >= 2:
            values[tag] = str(_USHORT.unpack_from(value)[0])
    return values


def _read_with_pydicom(path: str, wanted: Wanted) -> Header:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(path, stop_before_pixels=True)
            syntax = str(getattr(dataset.file_meta, "TransferSyntaxUID", IMPLICIT))
            header = _from_pydicom(dataset, wanted, "")
    except UNREADABLE as error:
        raise DataError(
            "A DICOM file is damaged: its header cannot be read.",
            do="Export it again from the PACS.",
            code="FP-2111",
        ) from error
    has_pixels = tags.ROWS in dataset
    pixels = (tags.PIXELS, -1, -1) if has_pixels else None
    return Header(header.values, header.sequences, syntax, pixels)


def _from_pydicom(dataset: pydicom.Dataset, wanted: Wanted, codec: str) -> Header:
    raw: dict[int, bytes] = {}
    texts: dict[int, str] = {}
    sequences: dict[int, tuple[Header, ...]] = {}
    if tags.CHARACTER_SET in dataset:
        name = dataset.get_item(tags.CHARACTER_SET).value
        raw[tags.CHARACTER_SET] = name if isinstance(name, bytes) else str(name).encode()
        codec = _codec(raw, codec)
    for tag, kind in wanted.items():
        if tag not in dataset or tag == tags.CHARACTER_SET:
            continue
        if not isinstance(kind, str):
            items = dataset[tag].value
            sequences[tag] = tuple(_from_pydicom(item, kind, codec) for item in items or ())
            continue
        element = dataset.get_item(tag)
        value = element.value
        if kind == "text" and isinstance(value, bytes):
            raw[tag] = value
        elif isinstance(value, bytes):
            swap = getattr(element, "is_little_endian", True)
            raw[tag] = value[:2] if swap else value[1::-1]
        elif value is not None:
            parts = [value] if isinstance(value, str) or not hasattr(value, "__iter__") else value
            texts[tag] = "\\".join(str(part) for part in parts)
    texts.update(_decode(raw, wanted, codec))
    return Header(texts, sequences)
