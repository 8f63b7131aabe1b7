"""Decoded attributes of one DICOM file; nothing else of its header enters the program."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fedpet.imaging import tags


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
        meta: Where the deflated stream begins; 0 if there is none. Pixels then count as if the
            stream lay inflated in its place.
    """

    values: dict[int, str]
    sequences: dict[int, tuple[Header, ...]]
    syntax: str = ""
    pixels: tuple[int, int, int] | None = None
    meta: int = 0

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

    def integer(self, tag: int) -> int:
        """Return the value as a whole number below a billion; 0 if absent or no such number."""
        text = self.values.get(tag, "")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0

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
