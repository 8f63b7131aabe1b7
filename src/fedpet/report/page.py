"""The report: one HTML page that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from fedpet.report.document import Results, count, open_results
from fedpet.report.sections import (
    curves,
    decisions,
    headline,
    hospitals,
    models,
    outcomes,
    provenance,
)
from fedpet.report.sections.curves import Figure
from fedpet.report.sections.tables import NumberTable, StripTable
from fedpet.report.words import Words, words_of

RESULTS_NAME = "results.json"
SECTIONS = (
    "results", "hospitals", "worth", "calibration", "decisions", "training",
    "hazard", "cohort", "left", "trust", "plan",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Everything that the page shows of one survival endpoint."""

    name: str
    title: str
    curves: tuple[Figure, ...]
    bars: StripTable | None
    comparison: NumberTable | None
    differences: StripTable | None
    calibration: tuple[Figure, ...]
    calibration_lead: str
    whole_follow_up: str
    decisions: tuple[Figure, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Binary:
    """A yes-or-no endpoint and its table."""

    title: str
    table: NumberTable


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """What the reader can check."""

    checks: tuple[provenance.Check, ...]
    facts: tuple[tuple[str, str, bool], ...]
    scheme: str
    intervals: str
    limits: tuple[str, ...]
    timings: tuple[provenance.Timing, ...]
    seconds: str


def render(
    results: Mapping[str, object], *, language: str = "en", results_name: str = RESULTS_NAME
) -> str:
    """Write the report.

    Args:
        results: The document of schema `fedpet-results/1`: JSON values only.
        language: `en` or `fr`.
        results_name: Name of the JSON file that lies beside the page.

    Returns:
        One HTML document with its styles and charts inside; it asks for nothing else.

    Raises:
        StoreError: If the document is of another schema or answers no plan.
        NotFoundError: If the language is not known.
    """
    opened, words = open_results(results), words_of(language)
    primary = opened.primary
    return (
        environment()
        .get_template("report.html")
        .render(
            words=words,
            plan=_plan(opened),
            started=words.date(opened.text("experiment", "started")),
            version=opened.text("experiment", "fedpet") or "?",
            phantom=opened.at("experiment", "phantom") is True,
            sites=sum(bool(count(site.get("subjects"))) for site in opened.rows("sites")),
            results_name=results_name,
            sections=SECTIONS,
            cards=headline.cards(opened, words),
            verdict=headline.verdict(opened, words),
            primary=_outcome(opened, words, primary),
            others=tuple(
                _outcome(opened, words, name)
                for name in opened.survival_endpoints
                if name != primary
            ),
            binaries=_binaries(opened, words),
            forests=hospitals.forests(opened, words, primary),
            forest_lead=_forest_lead(opened, words),
            training=models.training(opened, words),
            acceptance=models.acceptance(opened, words),
            participation=hospitals.participation(opened, words),
            hazards=_hazards(opened, words),
            cohort=hospitals.cohort(opened, words),
            findings=hospitals.findings(opened, words),
            left=provenance.left(opened, words),
            trust=_trust(opened, words, results_name),
        )
    )


@cache
def environment() -> Environment:
    """Return what draws pages from the templates of this room."""
    return Environment(
        loader=PackageLoader("fedpet.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _plan(results: Results) -> dict[str, str]:
    plan = {key: results.text("plan", key) for key in ("name", "title", "fingerprint", "text")}
    return {**plan, "title": plan["title"] or plan["name"] or "?"}


def _outcome(results: Results, words: Words, endpoint: str) -> Outcome:
    return Outcome(
        name=endpoint,
        title=words.title(endpoint),
        curves=curves.curves(results, words, endpoint),
        bars=outcomes.bars(results, words, endpoint),
        comparison=outcomes.comparison(results, words, endpoint),
        differences=outcomes.differences(results, words, endpoint),
        calibration=curves.calibration(results, words, endpoint),
        calibration_lead=words("calibration_lead", endpoint=words.endpoint(endpoint)),
        whole_follow_up=decisions.whole_follow_up(results, words, endpoint),
        decisions=decisions.decisions(results, words, endpoint),
    )


def _binaries(results: Results, words: Words) -> tuple[Binary, ...]:
    found = []
    for name in results.part("binary"):
        table = outcomes.binary(results, words, name)
        if table is not None:
            found.append(Binary(title=words.endpoint(name), table=table))
    return tuple(found)


def _forest_lead(results: Results, words: Words) -> str:
    by_hospital = results.text("plan", "scheme") == "held-out-sites"
    return words("forest_lead_held-out-sites" if by_hospital else "forest_lead_other")


def _hazards(results: Results, words: Words) -> tuple[StripTable, ...]:
    found = (models.hazard_ratios(results, words, name) for name in results.survival_endpoints)
    return tuple(table for table in found if table is not None)


def _trust(results: Results, words: Words, results_name: str) -> Trust:
    return Trust(
        checks=provenance.checks(results, words),
        facts=provenance.facts(results, words, results_name=results_name),
        scheme=provenance.scheme(results, words),
        intervals=provenance.intervals(results, words),
        limits=provenance.limits(results, words),
        timings=provenance.timings(results, words),
        seconds=words.duration(results.number("experiment", "seconds") or 0.0),
    )
