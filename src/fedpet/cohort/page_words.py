"""The words of the quality page, in English and French."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fedpet.cohort.findings import Finding
from fedpet.cohort.page_french import FINDINGS, FRENCH, OWN_REMEDIES
from fedpet.errors import NotFoundError

ENGLISH: dict[str, str] = {
    "title": "Quality of the cohort {name}, {site}",
    "kind": "Quality page",
    "stays": "This page stays at this hospital.",
    "stays_more": "It shows images and single subjects by pseudonym. Do not send it.",
    "phantom": "Simulated subjects",
    "built": "Built {created} by fedpet {version}. Fingerprint {fingerprint}. Images at {mm} mm.",
    "changed": "The folder changed since the build",
    "changed_do": "Build the cohort again, then write this page again.",
    "card_used": "Subjects ready",
    "card_used_of": "from {scans} scans and {rows} rows",
    "card_fix": "Left out, to be fixed",
    "card_fix_say": "not used until their findings are solved",
    "card_look": "Ready, but look",
    "card_look_say": "used, with at least one warning",
    "card_events": "Progressions or deaths",
    "card_events_of": "events of PFS, known in {known} subjects",
    "strip": "Every subject at a glance",
    "strip_say": "One column for each subject, worst first. Point at a column, or reach it with "
    "the tab key, to read it; press it to see the scan.",
    "skip_strip": "Skip the subjects",
    "ok": "in order",
    "look": "look",
    "fix": "to be fixed",
    "none": "nothing there",
    "pet": "PET",
    "ct": "CT",
    "suv": "SUV",
    "lesions": "Lesions",
    "clinical": "Clinical",
    "endpoint": "Endpoint",
    "left_out": "left out",
    "used": "used",
    "findings": "Findings, worst first",
    "no_findings": "Nothing was found that needs a look.",
    "error": "To be fixed: the subjects, or series, are left out",
    "warning": "To look at: used, but a value may be wrong or unknown",
    "info": "Good to know",
    "what": "What was found",
    "who": "Subjects",
    "do": "What to do",
    "lines": "lines of the table: {lines}",
    "and_more": "and {count} more",
    "examples": "For example",
    "scans": "Scans",
    "scans_say": "Coronal maximum projections, white SUV 0, black SUV 8 and above; lesions "
    "outlined in red.",
    "no_picture": "no image",
    "mip_of": "Coronal projection of {subject}",
    "min": "min",
    "missing_values": "{missing} of {columns} values missing",
    "how_suv": "How SUV was found",
    "rule": "Values",
    "decay": "Decay",
    "reference": "Reference time",
    "injection": "Injection time",
    "number": "Scans",
    "spread": "Over all scans",
    "spread_say": "The tinted range is the usual one; darker bars lie outside of it.",
    "liver_suv": "Mean SUV of the liver",
    "blood_suv": "Mean SUV of the blood pool",
    "body_suv": "Mean SUV of the body",
    "uptake_min": "Minutes from injection to scan",
    "dose_mbq_kg": "Injected dose, MBq/kg",
    "median_of": "median {median}, {values} scans",
    "outside": "{count} outside {low} to {high}",
    "ranges": "What the columns hold",
    "ranges_say": "Subjects in the cohort only. The line runs from the least to the greatest "
    "value, the box holds the middle half, the bar is the median.",
    "column": "Column",
    "missing": "Missing",
    "least": "Least",
    "quartiles": "25 to 75 %",
    "median": "Median",
    "greatest": "Greatest",
    "shape": "Spread",
    "unit": "Unit",
    "kind_clinical": "Clinical variables",
    "kind_biomarker": "Image biomarkers",
    "endpoints": "Endpoints",
    "endpoint_name": "Endpoint",
    "known": "Known",
    "events": "Events",
    "months": "Median months",
    "rule_confirmed": "A progression counts if a scan at least 28 days later confirmed it.",
    "rule_first": "Every progression counts, confirmed or not.",
    "criterion": "Criterion of the hospital: {criterion}.",
    "pfs": "Progression-free survival",
    "os": "Overall survival",
    "response": "Response",
    "early_failure": "Early failure (6 months)",
    "foot": "Written by fedpet on this machine; the page asks for nothing from elsewhere.",
    "subject_one": "1 subject",
    "subject_many": "{count} subjects",
    "line_one": "1 line",
    "line_many": "{count} lines",
}


@dataclass(frozen=True, slots=True)
class PageWords:
    """The words of one language.

    Args:
        language: `en` or `fr`.
        words: By key.
        findings: Title and remedy by code; empty where the sentences of the check are used.
    """

    language: str
    words: Mapping[str, str] = field(repr=False)
    findings: Mapping[str, tuple[str, str]] = field(repr=False)

    def __call__(self, key: str, **values: object) -> str:
        """Return a text with its values filled in."""
        return self.words[key].format(**values)

    def number(self, value: float, digits: int = 3) -> str:
        """Return a number with as many digits as are worth reading; a dash if there is none.

        Examples:
            >>> page_words("fr").number(3.14159), page_words("en").number(float("nan"))
            ('3,14', '–')
        """
        if value != value:  # NaN
            return "–"
        text = f"{value:.{digits}g}" if abs(value) < 10**digits else f"{value:.0f}"
        return text.replace(".", ",") if self.language == "fr" else text

    def finding(self, code: str) -> tuple[str, str]:
        """Return title and remedy of a kind of finding; empty where there are none."""
        return self.findings.get(code, ("", ""))

    def remedy(self, text: str) -> str:
        """Return the remedy of a single finding in this language, where it is known."""
        return OWN_REMEDIES.get(text, text) if self.language == "fr" else text

    def counted(self, finding: Finding) -> str:
        """Tell how many subjects or lines a finding is about."""
        what, count = ("subject", len(finding.subjects)) if finding.subjects else (
            "line", len(finding.lines),
        )  # fmt: skip
        return self(f"{what}_one" if count == 1 else f"{what}_many", count=count)


def page_words(language: str) -> PageWords:
    """Return the words of a language.

    Raises:
        NotFoundError: If it is neither `en` nor `fr`.
    """
    if language == "en":
        return PageWords("en", ENGLISH, {})
    if language == "fr":
        return PageWords("fr", FRENCH, FINDINGS)
    raise NotFoundError(f"There is no page in the language '{language:.20}'.", do="Use en or fr.")
