"""The quality page: one HTML file about a hospital's cohort, which stays at the hospital."""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from fedpet.cohort.findings import KINDS, ORDER, Finding
from fedpet.cohort.manifest import write_private
from fedpet.cohort.page_charts import Histogram, histogram, quartile_strip
from fedpet.cohort.page_facts import ROWS, Facts, SubjectFacts, facts_of, row_of
from fedpet.cohort.page_words import PageWords, page_words
from fedpet.cohort.summary import CohortSummary

NAME = "quality.html"
# Usual values: EANM/EARL for the liver, mass balance for the body, EANM 2.0 for time and dose.
EXPECTED = {
    "liver_suv": (1.3, 3.0),
    "body_suv": (0.5, 1.5),
    "uptake_min": (45.0, 90.0),
    "dose_mbq_kg": (1.5, 8.0),
}
SIGNS = {"ok": "✓", "look": "!", "fix": "×", "none": "–"}
LABELS_REPEATED = 80
SUBJECTS_SHOWN = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A finding as the page tells it."""

    finding: Finding
    title: str
    original: str
    fix: str
    row: str
    shown: tuple[str, ...]
    more: int


def write_page(
    folder: Path, summary: CohortSummary, *, language: str = "en", to: Path | None = None
) -> Path:
    """Write the quality page of a hospital's cohort, readable by its owner only.

    Args:
        folder: The hospital's folder.
        summary: Of its cohort, by `summary.check`.
        language: `en` or `fr`.
        to: Where; `<folder>/cohort/quality.html` unless told.

    Returns:
        Where it was written.

    Raises:
        NotFoundError: If no cohort was built, or the language is not known.
        StoreError: If a file of the cohort is missing or altered.
    """
    path = to or folder / "cohort" / NAME
    write_private(path, render(facts_of(folder, summary), language=language).encode())
    return path


def render(facts: Facts, *, language: str = "en") -> str:
    """Write the page: its styles and pictures are inside, and it asks for nothing else.

    Args:
        facts: What it shows.
        language: `en` or `fr`.

    Raises:
        NotFoundError: If the language is not known.
    """
    words = page_words(language)
    style = files("fedpet.cohort").joinpath("templates/quality.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    told = tuple(_told(finding, words) for finding in facts.summary.findings)
    return (
        _environment()
        .get_template("quality.html")
        .render(
            w=words,
            style=style,
            style_digest=digest,
            facts=facts,
            summary=facts.summary,
            rows=ROWS,
            signs=SIGNS,
            cards=_cards(facts, words),
            told=told,
            groups=[
                (severity, [one for one in told if one.finding.severity == severity])
                for severity in ORDER
            ],
            meanings={one.finding.code: one.title for one in told},
            picture=_picture,
            charts=_charts(facts),
            strip=quartile_strip,
            criterion=", ".join(facts.summary.criteria.values()),
            labels_repeated=min(LABELS_REPEATED, len(facts.subjects) // 4 + 1),
        )
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("fedpet.cohort", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.tests["known"] = lambda value: math.isfinite(value)
    return environment


def _picture(subject: SubjectFacts) -> str:
    return "data:image/png;base64," + base64.b64encode(subject.picture).decode()


def _cards(facts: Facts, words: PageWords) -> Sequence[tuple[str, str, str, str]]:
    """Return (state, label, number, explanation) of the cards at the top."""
    used = [subject for subject in facts.subjects if subject.used]
    look = sum(subject.state == "look" for subject in used)
    lost = len(facts.subjects) - len(used)
    counts = facts.summary.counts
    pfs = facts.summary.endpoints.get("pfs")
    events = "–" if pfs is None else str(pfs.events)
    known = 0 if pfs is None else pfs.known
    scans, rows = counts.get("scans", 0), counts.get("rows", 0)
    return (
        ("ok", words("card_used"), str(len(used)), words("card_used_of", scans=scans, rows=rows)),
        ("fix", words("card_fix"), str(lost), words("card_fix_say")),
        ("look", words("card_look"), str(look), words("card_look_say")),
        ("plain", words("card_events"), events, words("card_events_of", known=known)),
    )


def _charts(facts: Facts) -> list[tuple[str, tuple[float, float] | None, Histogram]]:
    return [
        (name, EXPECTED.get(name), histogram(values, EXPECTED.get(name)))
        for name, values in facts.spreads.items()
    ]


def _told(finding: Finding, words: PageWords) -> Told:
    """Tell a finding in the page's language; the sentence of the check stands beside it."""
    title, fix = words.finding(finding.code)
    concerned = len(finding.subjects) or len(finding.lines)
    if title and concerned:
        title = f"{title} ({words.counted(finding)})"
    kind = KINDS.get(finding.code)
    # A remedy of this very finding says more than that of its kind.
    own = kind is not None and finding.fix != kind.fix
    told_fix = words.remedy(finding.fix) if not fix or own else fix
    return Told(
        finding=finding,
        title=title or finding.title,
        original=finding.title if title else "",
        fix=told_fix,
        row=row_of(finding),
        shown=finding.subjects[:SUBJECTS_SHOWN],
        more=max(0, len(finding.subjects) - SUBJECTS_SHOWN),
    )
