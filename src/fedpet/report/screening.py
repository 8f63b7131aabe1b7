"""The page of a biomarker screen: a forest plot for each biomarker, and how its cutpoint stands."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from markupsafe import Markup

from fedpet.report.charts.scales import Scale, ratios
from fedpet.report.charts.strips import Reference, axis, interval
from fedpet.report.document import Estimate, Json, mapping, number, rows, sequence
from fedpet.report.page import environment
from fedpet.report.sections.tables import StripRow, StripTable
from fedpet.report.words import Shown

HEADS = ("Hospital", "Hazard ratio per SD", "HR [95 %]")
NONE = Reference(1.0, "chance")


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """What the page shows of one biomarker on one endpoint."""

    title: str
    forest: StripTable | None
    lines: tuple[str, ...]


def render_screening(data: Mapping[str, object], *, title: str, disclosure: str) -> str:
    """Write the page of a screen.

    Args:
        data: What `fedpet biomarkers screen --format json` tells: JSON values only.
        title: Of the plan.
        disclosure: What left the hospitals, in words.

    Returns:
        One HTML document with its styles and charts inside; it asks for nothing else.
    """
    findings = rows(data.get("findings"))
    adjusted = [str(name) for name in sequence(data.get("adjusted_for"))]
    hospitals = {str(site) for one in findings for site in mapping(one.get("by_hospital"))}
    endpoints = dict.fromkeys(str(one.get("endpoint")) for one in findings)
    return (
        environment()
        .get_template("screening.html")
        .render(
            title=title,
            lead=f"{len(findings)} tests; {len(hospitals)} hospitals released their own estimates.",
            adjusted=f"alone and adjusted for {', '.join(adjusted)}" if adjusted else "alone",
            tests=data.get("tests"),
            overviews=[_overview(findings, endpoint) for endpoint in endpoints],
            findings=[_section(one, index) for index, one in enumerate(findings)],
            disclosure=disclosure,
        )
    )


def _overview(findings: Iterable[Json], endpoint: str) -> StripTable:
    """Return all biomarkers of one endpoint, alone and adjusted."""
    chosen = [one for one in findings if one.get("endpoint") == endpoint]
    told = []
    for one in chosen:
        for kind, words in (("alone", "alone"), ("adjusted", "adjusted")):
            effect = mapping(one.get(kind))
            if found := _ratio(effect):
                label = str(one.get("biomarker")) if kind == "alone" else ""
                told.append((label, words, found, _p_words(effect), kind == "alone"))
    scale = _scale([found for _, _, found, _, _ in told])
    return StripTable(
        key=f"overview-{endpoint}",
        caption=endpoint,
        heads=("Biomarker", HEADS[1], HEADS[2], "p, Holm"),
        axis=_axis(scale),
        rows=tuple(
            _row(label, note, found, scale, strong=strong, word=word)
            for label, note, found, word, strong in told
        ),
    )


def _section(one: Json, index: int) -> Section:
    biomarker, endpoint = str(one.get("biomarker")), str(one.get("endpoint"))
    told: list[tuple[str, Estimate, bool]] = []
    for site, row in mapping(one.get("by_hospital")).items():
        if found := _ratio(mapping(row)):
            told.append((str(site), found, False))
    if found := _ratio(mapping(one.get("over_hospitals"))):
        told.append(("Mean of hospitals (random effects)", found, True))
    if found := _ratio(mapping(one.get("alone"))):
        told.append(("All subjects (stratified Cox)", found, True))
    scale = _scale([found for _, found, _ in told])
    forest = StripTable(
        key=f"forest-{index}",
        caption=f"{biomarker}, {endpoint}: hazard ratio per standard deviation",
        heads=HEADS,
        axis=_axis(scale),
        rows=tuple(_row(label, "", found, scale, strong=strong) for label, found, strong in told),
    )
    return Section(
        title=f"{biomarker}, {endpoint}", forest=forest if told else None, lines=tuple(_lines(one))
    )


def _lines(one: Json) -> Iterable[str]:
    over, cut = mapping(one.get("over_hospitals")), mapping(one.get("cutpoint"))
    share, q_p = number(over.get("i2")), number(over.get("q_p"))
    if share is not None:
        chance = "" if q_p is None else f"; by chance alone p = {q_p:.2g}"
        yield f"Hospitals differ: I² {share:.0%}{chance}."
    at, naive = number(cut.get("cut")), number(cut.get("p_naive"))
    corrected, seen = number(cut.get("p_corrected")), number(cut.get("hazard_ratio_seen"))
    if at is not None and None not in (naive, corrected, seen):
        ratio, low, high = (number(cut.get(key)) for key in ("hazard_ratio", "low", "high"))
        above = number(cut.get("share_above")) or 0.0
        yield (
            f"Best cutpoint {at:.4g} ({above:.0%} at or above it): p = {corrected:.2g} corrected "
            f"for the choice ({naive:.2g} as if it had been chosen beforehand); hazard ratio "
            f"{ratio:.2f} [{low:.2f}, {high:.2f}] after the optimism is taken off ({seen:.2f} "
            "before)."
        )
    yield from (str(note) for note in sequence(one.get("notes")))


def _ratio(effect: Json) -> Estimate | None:
    value = number(effect.get("hazard_ratio"))
    if value is None or value <= 0:
        return None
    return Estimate(value=value, low=number(effect.get("low")), high=number(effect.get("high")))


def _row(
    label: str, note: str, found: Estimate, scale: Scale, *, strong: bool, word: str = ""
) -> StripRow:
    look = "strong" if strong else "plain"
    limits = ""
    if found.low is not None and found.high is not None:
        limits = f"[{found.low:.2f}, {found.high:.2f}]"
    return StripRow(
        label=label,
        note=note,
        strip=interval(
            scale, found, references=(NONE,), look=look, title=f"{label} {note} {found.value:.2f}"
        ),
        shown=Shown(value=f"{found.value:.2f}", interval=limits),
        word=word,
        strong=strong,
    )


def _scale(found: Iterable[Estimate]) -> Scale:
    ends = [end for one in found for end in (one.value, one.low, one.high) if end is not None]
    return ratios([end for end in ends if math.isfinite(end)])


def _axis(scale: Scale) -> Markup:
    return axis(scale, [f"{tick:g}" for tick in scale.ticks], title=HEADS[1], anchor=1.0)


def _p_words(effect: Json) -> str:
    p = number(effect.get("p_holm"))
    if p is None:
        return ""
    return "<0.0001" if p < 1e-4 else f"{p:.2g}"
