"""What the checks of a cohort found: what, how bad, in whom, and what to do about it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from fedpet.errors import StoreError

Severity: TypeAlias = Literal["error", "warning", "info"]
EXAMPLES = 3
NUMBER = re.compile(r"(\(\w{4},\w{4}\))|(?<![\w.])[-+]?\d+(?:\.\d+)?(?!\w)")
ORDER: dict[str, int] = {"error": 0, "warning": 1, "info": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of finding, as the help page of its code tells it.

    Args:
        severity: `error`: the subject is left out; `warning`: a value, or an endpoint, is taken
            as unknown or deserves a look; `info`: good to know.
        meaning: What the kind is about.
        fix: What the hospital can do, most likely remedy first.
    """

    severity: Severity
    meaning: str
    fix: str


KINDS: dict[str, Kind] = {
    "FP-2150": Kind(
        severity="error",
        meaning="A PET has no row in the clinical table.",
        fix="Add the subject to the table, with the PatientID (0010,0020) of the images.",
    ),
    "FP-2151": Kind(
        severity="error",
        meaning="A row of the clinical table has no PET.",
        fix="Export the PET of the subject, or leave it so: the row is not used.",
    ),
    "FP-2152": Kind(
        severity="error",
        meaning="A subject has several rows that differ.",
        fix="Keep one row for each subject.",
    ),
    "FP-2153": Kind(
        severity="error",
        meaning="A line of the table has more or fewer fields than the header.",
        fix="Look for a separator inside a text, and put that text between quotes.",
    ),
    "FP-2154": Kind(
        severity="error",
        meaning="A line of the table names no subject.",
        fix="Fill in the subject's number, or delete the line.",
    ),
    "FP-2155": Kind(
        severity="error",
        meaning="A required variable is missing.",
        fix="Fill it in, or take `required` from the variable in dictionary.toml.",
    ),
    "FP-2156": Kind(
        severity="error",
        meaning="No endpoint of the subject is known.",
        fix="Fill in the dates of first infusion, progression, death and last contact.",
    ),
    "FP-2157": Kind(
        severity="error",
        meaning="A series of images was not taken.",
        fix="Export the series again, complete and as it was reconstructed.",
    ),
    "FP-2158": Kind(
        severity="error",
        meaning="A PET scan cannot be read as SUV.",
        fix="Ask the PET unit to export the series again, with all its attributes.",
    ),
    "FP-2159": Kind(
        severity="warning",
        meaning="A folder of images cannot be listed; what it holds is not used.",
        fix="Ask for the right to read the folder and all below it, and build again.",
    ),
    "FP-2160": Kind(
        severity="warning",
        meaning="A cell that should hold a number does not.",
        fix="Correct the cells, or list a code for missing under `missing` in dictionary.toml.",
    ),
    "FP-2161": Kind(
        severity="warning",
        meaning="A number lies outside the range of the dictionary.",
        fix="Correct the cells, or widen `range` in dictionary.toml.",
    ),
    "FP-2162": Kind(
        severity="warning",
        meaning="A code is not in the dictionary.",
        fix="Add the code to `coding` in dictionary.toml (a response: to `yes`, `no` or "
        "`missing`), or correct the cells.",
    ),
    "FP-2163": Kind(
        severity="warning",
        meaning="A date cannot be read.",
        fix="Write dates as YYYY-MM-DD, or set `format` under [dates] in dictionary.toml.",
    ),
    "FP-2164": Kind(
        severity="warning",
        meaning="Dates contradict each other.",
        fix="Correct the dates.",
    ),
    "FP-2165": Kind(
        severity="info",
        meaning="A progression was not confirmed by the rule, and does not count.",
        fix="Add the date of the confirming scan if there was one.",
    ),
    "FP-2166": Kind(
        severity="warning",
        meaning="A subject has the same row twice; it counts once.",
        fix="Delete the copies.",
    ),
    "FP-2167": Kind(
        severity="info",
        meaning="The table has columns that the dictionary does not name; they are not used.",
        fix="Nothing, unless a column is wanted: describe it in dictionary.toml.",
    ),
    "FP-2168": Kind(
        severity="info",
        meaning="The table does not tell which progressions were confirmed.",
        fix="Name the column under [dates] progression_confirmed, if there is one.",
    ),
    "FP-2169": Kind(
        severity="info",
        meaning="A subject was lost to follow-up; it counts until the last contact.",
        fix="Ask for news, and fill in the date of last contact.",
    ),
    "FP-2170": Kind(
        severity="warning",
        meaning="A scan has no lesion mask, though the cohort says that masks are given.",
        fix='Add the mask, or set `lesions = "suv4.0"` in cohort.toml.',
    ),
    "FP-2171": Kind(
        severity="warning",
        meaning="A score cannot be right with these inputs; it is taken as unknown.",
        fix="Check the inputs of the score and their units (`scale` in dictionary.toml).",
    ),
    "FP-2172": Kind(
        severity="warning",
        meaning="The uptake of the body or the dose is not plausible.",
        fix="Check weight, dose and their units in the DICOM header.",
    ),
    "FP-2173": Kind(
        severity="warning",
        meaning="The PET was not made shortly before the treatment.",
        fix="Take the baseline scan; images made under treatment know the future.",
    ),
    "FP-2174": Kind(
        severity="info",
        meaning="The format of dates was told from the cells.",
        fix="Nothing, if it is right; otherwise set `format` under [dates] in dictionary.toml.",
    ),
    "FP-2175": Kind(
        severity="info",
        meaning="Several rows of a subject were merged, as the dictionary says.",
        fix="Nothing, if the first value of each column is the one that is meant.",
    ),
    "FP-2176": Kind(
        severity="info",
        meaning="What happened after the data were closed does not count.",
        fix="Nothing, if `cutoff` under [dates] in dictionary.toml is right.",
    ),
    "FP-2180": Kind(
        severity="warning",
        meaning="A column is missing in many subjects.",
        fix="Fill it in where it is known; it is imputed otherwise.",
    ),
    "FP-2181": Kind(
        severity="warning",
        meaning="A column has the same value in every subject.",
        fix="Check the column in the table and its coding in dictionary.toml.",
    ),
    "FP-2182": Kind(
        severity="warning",
        meaning="No subject has an event of an endpoint.",
        fix="Check the date columns in dictionary.toml: an empty one looks like no event.",
    ),
    "FP-2183": Kind(
        severity="warning",
        meaning="The cohort is small.",
        fix="Most hospitals' policies ask for at least 10 subjects in a sum.",
    ),
}


UNSPECIFIED = Kind(severity="warning", meaning="", fix="Look at the scan.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that the data check noticed. It names no identifier.

    Args:
        code: A key of `KINDS`, or a code of imaging.
        severity: `error`, `warning` or `info`; see `Kind`.
        title: One sentence with counts. Code, severity, title and fix may leave the hospital; the
            rest does not.
        subjects: Pseudonyms of those concerned, sorted.
        lines: Lines of the clinical table, from 1, where no pseudonym can be told.
        fix: What to do.
        details: What was found in single scans, a few examples.
    """

    code: str
    severity: Severity
    title: str
    subjects: tuple[str, ...] = ()
    lines: tuple[int, ...] = ()
    fix: str
    details: tuple[str, ...] = ()


def found(
    code: str,
    title: str,
    *,
    subjects: Iterable[str] = (),
    lines: Sequence[int] = (),
    severity: Severity | None = None,
    fix: str = "",
    details: Iterable[str] = (),
) -> Finding:
    """Make a finding; severity and remedy are those of its kind unless told.

    Codes below FP-2150 belong to imaging and have no kind here: both are told.

    Examples:
        >>> found("FP-2150", "2 PET scans have no row.", subjects=("b", "a")).subjects
        ('a', 'b')
    """
    kind = KINDS.get(code, UNSPECIFIED)
    return Finding(
        code=code,
        severity=severity or kind.severity,
        title=title,
        subjects=tuple(sorted(set(subjects))),
        lines=tuple(sorted(lines)),
        fix=fix or kind.fix,
        details=_a_few(details),
    )


def _a_few(details: Iterable[str]) -> tuple[str, ...]:
    """Return the most frequent texts, and say if there are more."""
    often = Counter(details)
    ordered = sorted(often, key=lambda text: (-often[text], text))
    more = () if len(ordered) <= EXAMPLES else (f"... and {len(ordered) - EXAMPLES} more",)
    return (*ordered[:EXAMPLES], *more)


def without_numbers(text: str) -> str:
    """Return a text without the values of a single scan; tags such as (0010,1030) stay.

    Examples:
        >>> without_numbers("The weight (0010,1030) is 0.5 kg.")
        'The weight (0010,1030) is … kg.'
    """
    return NUMBER.sub(lambda match: match[1] or "…", text)


def worst_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Sort by severity, then by the number of subjects or lines concerned, then by code."""
    return tuple(
        sorted(
            findings,
            key=lambda f: (ORDER[f.severity], -len(f.subjects) - len(f.lines), f.code, f.title),
        )
    )


def left_out(findings: Iterable[Finding]) -> frozenset[str]:
    """Return the subjects of all findings of severity `error`."""
    return frozenset(s for f in findings if f.severity == "error" for s in f.subjects)


def to_json(findings: Iterable[Finding]) -> bytes:
    """Return the findings as a JSON list, worst first."""
    return json.dumps([asdict(f) for f in worst_first(findings)], indent=1).encode()


def read_findings(path: Path) -> tuple[Finding, ...]:
    """Read the findings that a build wrote; none where there is no file.

    Raises:
        StoreError: If the file was altered beyond reading.
    """
    if not path.exists():
        return ()
    try:
        return tuple(
            Finding(
                code=item["code"],
                severity=item["severity"],
                title=item["title"],
                subjects=tuple(item["subjects"]),
                lines=tuple(item["lines"]),
                fix=item["fix"],
                details=tuple(item["details"]),
            )
            for item in json.loads(path.read_bytes())
        )
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            "findings.json of the cohort cannot be read.", do="Build the cohort again."
        ) from error


def counted(number: int, noun: str) -> str:
    """Return `1 row` or `3 rows`.

    Examples:
        >>> counted(1, "row"), counted(2, "row")
        ('1 row', '2 rows')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
