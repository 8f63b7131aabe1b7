"""Our own bounded reader of explicit and implicit VR little endian, as PACS write it.

It goes forward only, decodes the wanted attributes and stops before the pixels. What it does not
know it declines, so that pydicom may try.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final

from fedpet.imaging import tags
from fedpet.imaging.header import Header
from fedpet.imaging.tags import Wanted

DEPTH_MAX = 16
IMPLICIT = "1.2.840.10008.1.2"
NATIVE = (IMPLICIT, "1.2.840.10008.1.2.1")
DEFLATED = "1.2.840.10008.1.2.1.99"
ENCAPSULATED = ("1.2.840.10008.1.2.4", "1.2.840.10008.1.2.5")  # JPEG family, RLE
INFLATE_BYTES = 1 << 20

_EXPLICIT: Final = struct.Struct("<HH2sH")
_TAG_LENGTH: Final = struct.Struct("<HHI")
_ULONG: Final = struct.Struct("<I")
_USHORT: Final = struct.Struct("<H")
_DOUBLE: Final = struct.Struct("<d")
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
_SEQUENCE_END = 0xFFFEE0DD


class MoreError(Exception):
    """The bytes at hand end before the header does."""


class UnusualError(Exception):
    """A layout that is left to pydicom."""


def parse_file(data: bytes, wanted: Wanted) -> Header:
    """Parse the beginning of a file that has `DICM` behind its preamble.

    Args:
        data: The first bytes of the file.
        wanted: Attributes to decode.

    Raises:
        MoreError: If the header goes on behind `data`.
        UnusualError: If the layout is not one that PACS usually write.
    """
    syntax, position = file_meta(data)
    if syntax == DEFLATED:
        data = data[:position] + _inflate(data[position:])
    elif syntax not in NATIVE and not syntax.startswith(ENCAPSULATED):
        raise UnusualError
    raw: dict[int, bytes] = {}
    sequences: dict[int, tuple[Header, ...]] = {}
    reader = _Reader(data, explicit=syntax != IMPLICIT)
    meta = position if syntax == DEFLATED else 0
    pixels = reader.elements(position, len(data), wanted, raw, sequences, top=True)
    return Header(decode(raw, wanted, codec_of(raw, "")), sequences, syntax, pixels, meta)


def _inflate(packed: bytes) -> bytes:
    """Inflate what is at hand, within a limit, so that a small file cannot fill the memory."""
    limit = max(INFLATE_BYTES, 8 * len(packed))
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, limit)
    except zlib.error:
        raise UnusualError from None


def file_meta(data: bytes) -> tuple[str, int]:
    """Return the transfer syntax and where the data set begins; the meta group is explicit."""
    position, syntax = 132, ""
    while True:
        if position + 12 > len(data):
            raise MoreError
        group, element, vr, length = _EXPLICIT.unpack_from(data, position)
        if group != 2:
            break
        start = position + 8
        if vr in _LONG_VR:
            length, start = _ULONG.unpack_from(data, start)[0], position + 12
        elif vr not in _SHORT_VR:
            raise UnusualError
        if element == 0x10:
            syntax = data[start : start + length].decode("ascii", "replace").strip("\0 ")
        position = start + length
    if not syntax:
        raise UnusualError
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
                raise MoreError if top else UnusualError
            if explicit:
                group, element, vr, length = _EXPLICIT.unpack_from(data, position)
                start = position + 8
                if vr in _SHORT_VR:  # nine of ten elements, and nearly none is wanted
                    tag = group << 16 | element
                    if last < tag < tags.PIXELS_FLOAT and tag not in wanted:
                        last, position = tag, start + length
                        if position > end:
                            raise MoreError if top else UnusualError
                        continue
                elif vr not in _LONG_VR:
                    raise UnusualError
                else:
                    if start + 4 > end:
                        raise MoreError if top else UnusualError
                    length = _ULONG.unpack_from(data, start)[0]
                    start += 4
            else:
                group, element, length = _TAG_LENGTH.unpack_from(data, position)
                start, vr = position + 8, b""
            tag = group << 16 | element
            if tag <= last:
                raise UnusualError
            last = tag
            if top and tag >= tags.PIXELS_FLOAT:
                return self._pixels(tag, start, length)
            want = wanted.get(tag)
            if length == _UNDEFINED or vr == b"SQ" or (want is not None and type(want) is not str):
                inner = want if want is not None and not isinstance(want, str) else None
                if (vr and vr != b"SQ") or isinstance(want, str):
                    raise UnusualError  # e.g. UN of undefined length: implicit VR inside
                if inner is None and length != _UNDEFINED:
                    position = start + length
                    if position > end:
                        raise MoreError if top else UnusualError
                    continue
                items, position = self._sequence(start, length, end, inner, 0, top=top)
                if inner is not None:
                    sequences[tag] = items
                continue
            position = start + length
            if position > end:
                raise MoreError if top else UnusualError
            if want is not None:
                raw[tag] = data[start:position]
                if tag == tags.CHARACTER_SET:
                    self.codec = codec_of(raw, "")
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
            raise UnusualError
        close = end if length == _UNDEFINED else position + length
        if close > end:
            raise MoreError if top else UnusualError
        found: list[Header] = []
        while position < close:
            if position + 8 > close:
                raise MoreError if top else UnusualError
            group, element, size = _TAG_LENGTH.unpack_from(self.data, position)
            tag, start = group << 16 | element, position + 8
            if tag == _SEQUENCE_END and length == _UNDEFINED:
                return tuple(found), start
            if tag != _ITEM:
                raise UnusualError
            if size == _UNDEFINED:
                item, position = self._open_item(start, close, wanted, depth, top=top)
            else:
                position = start + size
                if position > close:
                    raise MoreError if top else UnusualError
                item = self._item(start, position, wanted)
            if wanted is not None:
                found.append(item)
        if length == _UNDEFINED:
            raise MoreError if top else UnusualError
        return tuple(found), position

    def _item(self, start: int, end: int, wanted: Wanted | None) -> Header:
        raw: dict[int, bytes] = {}
        sequences: dict[int, tuple[Header, ...]] = {}
        if wanted is not None:
            self.elements(start, end, wanted, raw, sequences)
        return Header(decode(raw, wanted or {}, self.codec), sequences)

    def _open_item(
        self, position: int, end: int, wanted: Wanted | None, depth: int, *, top: bool
    ) -> tuple[Header, int]:
        """Read an item of undefined length: up to its own delimiter."""
        data, start = self.data, position
        while True:
            if position + 12 > end:
                raise MoreError if top else UnusualError
            if _TAG_LENGTH.unpack_from(data, position)[:2] == (0xFFFE, 0xE00D):
                return self._item(start, position, wanted), position + 8
            vr = b""
            if self.explicit:
                _, _, vr, length = _EXPLICIT.unpack_from(data, position)
                inside = position + 8
                if vr in _LONG_VR:
                    length, inside = _ULONG.unpack_from(data, inside)[0], inside + 4
                elif vr not in _SHORT_VR:
                    raise UnusualError
            else:
                length, inside = _ULONG.unpack_from(data, position + 4)[0], position + 8
            if length == _UNDEFINED:
                if vr not in (b"", b"SQ"):
                    raise UnusualError
                _, position = self._sequence(inside, length, end, None, depth + 1, top=top)
            else:
                position = inside + length


def codec_of(raw: dict[int, bytes], default: str) -> str:
    """Return Python's name of the first character set of (0008,0005); `default` without it."""
    name = raw.get(tags.CHARACTER_SET)
    if name is None:
        return default
    first = name.decode("ascii", "replace").split("\\")[0].strip("\0 ")
    return _CODECS.get(first, "latin_1")


def decode(raw: dict[int, bytes], wanted: Wanted, codec: str) -> dict[int, str]:
    """Turn raw values into text, numbers of two bytes into decimal."""
    values = {}
    for tag, value in raw.items():
        kind = wanted[tag]
        if kind == "text":
            try:
                text = value.decode("ascii")
            except UnicodeDecodeError:
                text = value.decode(codec or "latin_1", "replace")
            values[tag] = text.strip("\0 ")
        elif kind == "double":
            if len(value) >= 8:
                values[tag] = repr(_DOUBLE.unpack_from(value)[0])
        elif kind == "ulong":
            if len(value) >= 4:
                values[tag] = str(_ULONG.unpack_from(value)[0])
        elif len(value) >= 2:
            values[tag] = str(_USHORT.unpack_from(value)[0])
    return values
