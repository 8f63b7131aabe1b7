"""A reader of the page: what stands in it, as a browser would find it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "br", "hr", "img", "input", "link"}


@dataclass
class Element:
    """One element with its attributes and all text inside."""

    tag: str
    attributes: dict[str, str | None]
    text: str = ""


@dataclass
class Reader(HTMLParser):
    """Collect elements; `faults` lists tags that do not close in order."""

    elements: list[Element] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    stack: list[Element] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag, attrs):
        element = Element(tag, dict(attrs))
        self.elements.append(element)
        if tag not in VOID:
            self.stack.append(element)

    def handle_startendtag(self, tag, attrs):
        self.elements.append(Element(tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self.stack or self.stack[-1].tag != tag:
            self.faults.append(f"</{tag}> at {self.getpos()}")
            return
        self.stack.pop()

    def handle_data(self, data):
        for element in self.stack:
            element.text += data


def read(page: str) -> Reader:
    """Read a page to its end."""
    reader = Reader()
    reader.feed(page)
    reader.close()
    return reader


def numbers_in(words: str) -> list[float]:
    """Return the numbers of a text, in English or French notation."""
    found = re.findall(r"[+\u2212-]?\d+(?:[.,]\d+)?", words.replace("\u202f", ""))
    return [float(one.replace("\u2212", "-").replace(",", ".")) for one in found]


def at(document: object, pointer: str) -> object:
    """Follow a JSON pointer."""
    found = document
    for key in pointer.strip("/").split("/"):
        found = found[int(key)] if isinstance(found, list) else found[key]
    return found


def pictures(page: str) -> list[str]:
    """Return every outermost SVG as text."""
    found, depth, start = [], 0, 0
    for match in re.finditer(r"<svg\b[^>]*?(/?)>|</svg>", page):
        if match.group().startswith("</"):
            depth -= 1
            if depth == 0:
                found.append(page[start : match.end()])
        elif not match.group(1):
            if depth == 0:
                start = match.start()
            depth += 1
    return found
