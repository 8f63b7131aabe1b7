"""What people decided about single series: the column `override` of scans.csv, and choices.csv.

The build writes scans.csv, with one line for every series that it found. Whoever wants another
series writes `chosen` or `excluded` into the column `override` of its line, or keeps a file of his
own:

    series,choice
    1f0c52d7a9be,chosen
    77aa01c9e2d4,excluded
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from fedpet.cohort.csvfile import read_csv
from fedpet.cohort.pseudonyms import LENGTH, Pseudonyms
from fedpet.errors import DataError
from fedpet.imaging.rules import Rules

if TYPE_CHECKING:
    from fedpet.imaging.gathering import Holding
    from fedpet.imaging.index import Index

Word: TypeAlias = Literal["chosen", "excluded"]
WORDS: Final[Mapping[str, Word]] = {"chosen": "chosen", "excluded": "excluded"}
CHOICES: Final = "choices.csv"
SCANS: Final = "scans.csv"
COLUMNS: Final = {SCANS: "override", CHOICES: "choice"}
CODE: Final = "FP-2108"
BYTES_MAX: Final = 64 << 20
MISTAKES_SHOWN: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A person's word about one series.

    Args:
        series: Its digest, as scans.csv shows it.
        word: `chosen` or `excluded`.
        place: File and line.
    """

    series: str
    word: Word
    place: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """All that people decided about the series of a hospital."""

    rows: tuple[Choice, ...] = ()

    def of(self, series: str) -> Choice | None:
        """Return what was decided about the series of a digest."""
        return next((row for row in self.rows if row.series == series), None)

    def follow(self, holding: Holding, rules: Rules, pseudonyms: Pseudonyms) -> Index:
        """Choose the scans of a folder, and do what people decided.

        Args:
            holding: What the folder holds.
            rules: Of the hospital.
            pseudonyms: With the hospital's key.

        Raises:
            DataError: Listing every decision that cannot be followed, and why.
        """
        from fedpet.imaging.index import choose

        known = _identities(holding, pseudonyms)
        mistakes = [
            f"{row.place}: no series of the folder has the digest '{row.series}'."
            for row in self.rows
            if row.series not in known
        ]
        words = {known[row.series]: row for row in self.rows if row.series in known}
        chosen = {identity for identity, row in words.items() if row.word == "chosen"}
        excluded = frozenset(words) - chosen
        index = choose(
            holding, replace(rules, chosen=frozenset(chosen), excluded=frozenset(excluded))
        )
        taken = _taken(index)
        reasons = {one.identity: one.reason for one in index.rejected if one.identity}
        mistakes += [
            f"{row.place}: series {row.series} cannot be chosen. {reasons.get(identity, '')}"
            for identity, row in words.items()
            if row.word == "chosen" and identity not in taken
        ]
        if mistakes:
            raise _refusal(mistakes)
        return index


def series_digest(identity: str, pseudonyms: Pseudonyms) -> str:
    """Return the name of a series in scans.csv, which tells nothing without the key."""
    return pseudonyms.digest(f"series {identity}".encode())[:LENGTH] if identity else ""


def load_choices(folder: Path) -> Choices:
    r"""Read scans.csv and choices.csv of a hospital's folder; without them nothing is decided.

    Raises:
        DataError: Listing every line that cannot be understood.

    Examples:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / CHOICES).write_text("series,choice\n1f0c52d7a9be,chosen\n")
        >>> load_choices(folder).of("1f0c52d7a9be").word
        'chosen'
    """
    mistakes: list[str] = []
    rows: dict[str, Choice] = {}
    for name in COLUMNS:
        for row in _read(folder / name, mistakes):
            before = rows.setdefault(row.series, row)
            if before.word != row.word:
                mistakes.append(f"{row.place}: {before.place} says '{before.word}'.")
    if mistakes:
        raise _refusal(mistakes)
    return Choices(rows=tuple(rows.values()))


def _read(path: Path, mistakes: list[str]) -> Sequence[Choice]:
    column = COLUMNS[path.name]
    try:
        if not path.exists():
            return []
        if path.stat().st_size > BYTES_MAX:
            mistakes.append(f"{path.name} has more than {BYTES_MAX >> 20} MiB.")
            return []
        data = path.read_bytes()
    except OSError as error:
        mistakes.append(f"{path.name} cannot be read: {error.strerror}.")
        return []
    sheet = read_csv(path.name, data, ("series", column))
    header = [cell.strip().lower() for cell in sheet.header]
    missing = [name for name in ("series", column) if header.count(name) != 1]
    if missing:
        mistakes.append(f"{path.name} must have one column '{missing[0]}'.")
        return []
    mistakes += [f"{path.name} line {line}: it does not fit the header." for line in sheet.ragged]
    found = []
    for line, cells in zip(sheet.lines, sheet.rows, strict=True):
        series, word = cells[header.index("series")].lower(), cells[header.index(column)].lower()
        place = f"{path.name} line {line}"
        if word in WORDS and series:
            found.append(Choice(series=series[:40], word=WORDS[word], place=place))
        elif word:
            told = f"'{column}' is '{word[:20]}', expected chosen, excluded or nothing"
            mistakes.append(f"{place}: {told if series else 'it names no series'}.")
    return found


def _identities(holding: Holding, pseudonyms: Pseudonyms) -> dict[str, str]:
    """Return the identity of everything in a folder by its digest."""
    identities = {
        *(one.identity for one in holding.volumes),
        *(one.identity for one in holding.masks),
        *(one.identity for one in holding.rejected),
    }
    return {series_digest(one, pseudonyms): one for one in identities if one}


def _taken(index: Index) -> frozenset[str]:
    return frozenset(
        one.identity
        for scan in index.scans
        for one in (scan.pet, scan.ct, scan.mask)
        if one is not None
    )


def _refusal(mistakes: Sequence[str]) -> DataError:
    more = len(mistakes) - MISTAKES_SHOWN
    shown = [*mistakes[:MISTAKES_SHOWN], *([f"... and {more} more."] if more > 0 else [])]
    lines = "1 decision" if len(mistakes) == 1 else f"{len(mistakes)} decisions"
    return DataError(
        f"{lines} about series cannot be followed.",
        why="\n".join(shown),
        do="Correct or delete the lines; `fedpet cohort scans FOLDER` lists all series.",
        code=CODE,
    )
