"""How the report says things: sentences from a catalogue, numbers in the reader's notation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from fedpet.errors import NotFoundError
from fedpet.report.document import Arm, Estimate
from fedpet.report.english import ENGLISH
from fedpet.report.french import FRENCH
from fedpet.survival.disclosure import Cell

CATALOGUES: Mapping[str, Mapping[str, str]] = {"en": ENGLISH, "fr": FRENCH}
MINUS = "\N{MINUS SIGN}"
NARROW_SPACE = "\N{NARROW NO-BREAK SPACE}"
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True, slots=True)
class Shown:
    """A number as it is printed.

    Args:
        value: The number, or the words that stand for it.
        interval: Its interval, empty if there is none to print.
        path: Where the number stands in the results, for whoever checks.
        known: Whether there is a number.
    """

    value: str
    interval: str = ""
    path: str = ""
    known: bool = True


@dataclass(frozen=True, slots=True)
class Words:
    """One language.

    Args:
        language: `en` or `fr`.
        catalogue: Sentences by key.
    """

    language: str
    catalogue: Mapping[str, str]

    def __call__(self, key: str, **values: object) -> str:
        """Return the sentence of a key with its values filled in."""
        return self.catalogue[key].format(**values) if values else self.catalogue[key]

    def named(self, kind: str, name: str, *, otherwise: str = "") -> str:
        """Return the sentence of `kind:name`, else the given words, else the name itself."""
        return self.catalogue.get(f"{kind}:{name}", otherwise or name)

    def arm(self, arm: Arm) -> str:
        """Name an arm as in a table."""
        return self.named("arm", arm.id, otherwise=arm.label)

    def arm_inside(self, arm: Arm) -> str:
        """Name an arm as inside a sentence, with its article."""
        return self.named("the", arm.id, otherwise=arm.label)

    def endpoint(self, name: str) -> str:
        """Name an endpoint as inside a sentence."""
        return self.named("endpoint", name)

    def title(self, name: str) -> str:
        """Name an endpoint as in a heading."""
        found = self.endpoint(name)
        return found[:1].upper() + found[1:]

    def list(self, parts: tuple[str, ...]) -> str:
        """Join parts with commas and a last "and".

        Examples:
            >>> words_of("en").list(("a", "b", "c"))
            'a, b and c'
        """
        if len(parts) < 2:
            return "".join(parts)
        return f"{', '.join(parts[:-1])} {self('and')} {parts[-1]}"

    def number(self, value: float, decimals: int = 0, *, signed: bool = False) -> str:
        r"""Print a number; the minus is a minus sign, and no zero carries one.

        Examples:
            >>> words_of("fr").number(1234.5, 1), words_of("en").number(-0.0001, 3)
            ('1\u202f234,5', '0.000')
        """
        rounded = round(value, decimals) + 0.0
        sign = MINUS if rounded < 0 else "+" if signed and rounded > 0 else ""
        whole, _, rest = f"{abs(rounded):,.{decimals}f}".partition(".")
        whole = whole.replace(",", self("thousands"))
        return f"{sign}{whole}{self('decimal') + rest if rest else ''}"

    def percent(self, share: float) -> str:
        """Print a share of one as a percentage without decimals."""
        return self("percent", value=self.number(100 * share))

    def small(self, value: float) -> str:
        """Print a number of any size with two digits, as a power of ten where it is tiny.

        Examples:
            >>> words_of("en").small(1e-8), words_of("en").small(0)
            ('1 × 10⁻⁸', '0')
        """
        if value == 0:
            return "0"
        if 1e-3 <= abs(value) < 1e5:
            return self.number(value, 0 if float(value).is_integer() else 3)
        mantissa, _, power = f"{value:.1e}".partition("e")
        shown = self.number(float(mantissa), 0 if mantissa.endswith(".0") else 1)
        return f"{shown} × 10{str(int(power)).translate(SUPERSCRIPTS)}"

    def p_value(self, value: float | None) -> str:
        """Print a p-value, never as zero."""
        if value is None:
            return self("not_estimable")
        return self("p_tiny") if value < 0.001 else self.number(value, 3)

    def cell(self, cell: Cell) -> str:
        """Print a count, or what stands in its place."""
        if cell.count is not None:
            return self.number(cell.count)
        if cell.sign == "?":
            return self("withheld")
        return f"{cell.sign}{NARROW_SPACE}{self.number(cell.bound)}"

    def interval(self, low: float | None, high: float | None, decimals: int = 3) -> str:
        """Print an interval, or that there is none."""
        if low is None or high is None:
            return self("no_interval")
        between = "to" if low < 0 else "dash"
        return self(between, low=self.number(low, decimals), high=self.number(high, decimals))

    def estimate(
        self, found: Estimate | None, decimals: int = 3, *, signed: bool = False, reason: str = ""
    ) -> Shown:
        """Print a number with its interval; if there is none, that it is not estimable, and why."""
        if found is None:
            return Shown(self("not_estimable"), reason, known=False)
        return Shown(
            self.number(found.value, decimals, signed=signed),
            self.interval(found.low, found.high, decimals),
            found.path,
        )

    def inline(self, found: Estimate, decimals: int = 3, *, signed: bool = False) -> str:
        """Print a number and its interval within a sentence."""
        shown = self.estimate(found, decimals, signed=signed)
        return self("value_interval", value=shown.value, interval=shown.interval)

    def size(self, size_bytes: float) -> str:
        r"""Print a number of bytes in decimal units.

        Examples:
            >>> words_of("en").size(53_364_144), words_of("fr").size(1008)
            ('53.4 MB', '1,0\u202fko')
        """
        for power, unit in ((3, "GB"), (2, "MB"), (1, "kB")):
            if size_bytes >= 1000**power:
                return self(unit, value=self.number(size_bytes / 1000**power, 1))
        return self("B", value=self.number(size_bytes))

    def duration(self, seconds: float) -> str:
        """Print a duration with the unit that suits it."""
        if seconds < 60:
            return self("seconds", value=self.number(seconds, 1))
        minutes, rest = divmod(round(seconds), 60)
        if minutes < 60:
            return self("minutes", minutes=minutes, seconds=f"{rest:02d}")
        return self("hours", hours=minutes // 60, minutes=f"{minutes % 60:02d}")

    def date(self, iso: str) -> str:
        """Print the day of an ISO 8601 time; what is no date stays as it is.

        Examples:
            >>> words_of("fr").date("2026-01-01T10:00:00+00:00")
            '1er janvier 2026'
        """
        try:
            day = datetime.fromisoformat(iso)
        except ValueError:
            return iso
        first = self("first_of_month") if day.day == 1 else str(day.day)
        month = self("months").split()[day.month - 1]
        return f"{first} {month} {day.year}"


def words_of(language: str) -> Words:
    """Return a language's words.

    Raises:
        NotFoundError: If the report is not written in this language.
    """
    if language not in CATALOGUES:
        raise NotFoundError(
            f"The report is not written in language '{language}'.",
            do=f"Choose one of: {', '.join(sorted(CATALOGUES))}.",
        )
    return Words(language, CATALOGUES[language])
