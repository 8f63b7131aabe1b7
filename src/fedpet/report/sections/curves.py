"""Pictures of one survival endpoint: curves by risk third, and predicted against observed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from fedpet.report.charts import calibration_plot, survival_curves
from fedpet.report.document import (
    Arm,
    Json,
    Results,
    mapping,
    number,
    numbers,
    rows,
    sequence,
    text,
)
from fedpet.report.sections.tables import TextTable
from fedpet.report.words import Words
from fedpet.survival import disclosure
from fedpet.survival.disclosure import AT_RISK_MIN

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
LOOKS = ("low", "middle", "high")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A chart with its caption, the words under it, and the same in numbers."""

    title: str
    chart: Markup
    note: str = ""
    table: TextTable | None = None


def percents(words: Words) -> tuple[str, ...]:
    """Return the labels of an axis of shares."""
    return tuple(words.percent(share) for share in SHARES)


def curves(results: Results, words: Words, endpoint: str) -> tuple[Figure, ...]:
    """Draw survival by predicted risk third, for the leading arms."""
    found = []
    for arm in results.leading_arms(endpoint):
        part = results.part("kaplan_meier", endpoint, arm.id)
        if rows(part.get("groups")):
            found.append(_curves_of(part, results, words, endpoint, arm))
    return tuple(found)


def _curves_of(part: Json, results: Results, words: Words, endpoint: str, arm: Arm) -> Figure:
    risk = mapping(part.get("at_risk"))
    ticks = numbers(risk.get("months"))
    cells_of = [
        [cell for value in sequence(row) if (cell := disclosure.read(value)) is not None]
        for row in sequence(risk.get("groups"))
    ]
    drawn = []
    for index, group in enumerate(rows(part.get("groups"))[: len(LOOKS)]):
        cells = cells_of[index] if index < len(cells_of) else []
        end = next((t for t, c in zip(ticks, cells, strict=False) if c.count is None), None)
        drawn.append(_curve(group, words, index, [words.cell(cell) for cell in cells], end))
    p = number(part.get("logrank_p"))
    title = words("km_title", arm=words.arm(arm))
    table_ = _event_free(drawn, results, words, endpoint)
    chart = survival_curves.draw(
        drawn,
        ticks=ticks or (0.0,),
        labels=survival_curves.Labels(
            name=f"km {endpoint} {arm.id}",
            title=f"{title}, {words.endpoint(endpoint)}",
            description=words("km_description", n=AT_RISK_MIN),
            y_axis=words("km_y"),
            x_axis=words("months_axis"),
            at_risk=words("at_risk"),
            percents=percents(words),
        ),
    )
    return Figure(title=title, chart=chart, note=_log_rank(words, p), table=table_)


def _log_rank(words: Words, p: float | None) -> str:
    if p is None:
        return words("logrank_none")
    shown = words.p_value(p)
    return words("logrank", p=shown if p < 0.001 else f"= {shown}")


def _curve(
    group: Json, words: Words, index: int, counts: Sequence[str], end: float | None
) -> survival_curves.Curve:
    months = numbers(group.get("months"))
    shown = len(months) if end is None else sum(month < end for month in months)
    label = text(group.get("label"))
    return survival_curves.Curve(
        look=LOOKS[index],
        label=words.named("third", label),
        months=months[:shown],
        survival=numbers(group.get("survival"))[:shown],
        low=numbers(group.get("low"))[:shown],
        high=numbers(group.get("high"))[:shown],
        at_risk=counts,
    )


def _event_free(
    drawn: Sequence[survival_curves.Curve], results: Results, words: Words, endpoint: str
) -> TextTable:
    """Read the curves that are drawn at the horizons, so that numbers and picture agree."""
    horizons = results.horizons
    listed = []
    for curve in drawn:
        cells = [curve.label]
        for horizon in horizons:
            at = [i for i, month in enumerate(curve.months) if month <= float(horizon) + 1e-6]
            reached = bool(curve.months) and curve.months[-1] >= float(horizon) - 1e-6
            if not at or not reached or at[-1] >= len(curve.survival):
                cells.append(words("few_at_risk", n=AT_RISK_MIN))
                continue
            i = at[-1]
            interval = words("dash", low=words.number(100 * curve.low[i]),
                             high=words.number(100 * curve.high[i]))  # fmt: skip
            cells.append(
                words("value_interval", value=words.percent(curve.survival[i]), interval=interval)
            )
        listed.append(tuple(cells))
    return TextTable(
        caption=words(f"event_free:{endpoint}" if f"event_free:{endpoint}" in words.catalogue
                      else "event_free"),
        heads=((words("third"), False),
               *((words("at_month", month=horizon), True) for horizon in horizons)),
        rows=tuple(listed),
    )  # fmt: skip


def calibration(results: Results, words: Words, endpoint: str) -> tuple[Figure, ...]:
    """Draw observed against predicted risk at each horizon for the leading arms."""
    arms = results.leading_arms(endpoint)
    found = []
    for horizon in results.horizons:
        series, notes = [], []
        for arm in arms:
            base = ("performance", endpoint, arm.id, "calibration", horizon)
            points = _points(results.rows(*base, "bins"))
            if points:
                look = "network" if arm.id.startswith("network") else "cox"
                series.append(calibration_plot.Series(look=look, points=points))
            slope = words.estimate(results.estimate(*base, "slope"), 2)
            ratio = words.estimate(results.estimate(*base, "observed_expected"), 2)
            notes.append(
                words("calibration_note", arm=words.arm(arm), ratio=ratio.value, slope=slope.value)
            )
        if not series:
            continue
        title = words("at_months", month=horizon)
        chart = calibration_plot.draw(
            series,
            labels=calibration_plot.Labels(
                name=f"calibration {endpoint} {horizon}",
                title=words("calibration_title", endpoint=words.endpoint(endpoint), month=horizon),
                description=" ".join(notes),
                x_axis=words("predicted_risk"),
                y_axis=words("observed_risk"),
                percents=percents(words),
            ),
        )
        found.append(Figure(title=title, chart=chart, note=" ".join(notes)))
    return tuple(found)


def _points(bins: Sequence[Json]) -> tuple[calibration_plot.Point, ...]:
    found = []
    for one in bins:
        predicted, observed = number(one.get("predicted")), number(one.get("observed"))
        if predicted is None or observed is None:
            continue
        found.append(
            calibration_plot.Point(
                predicted=predicted,
                observed=observed,
                low=number(one.get("low")),
                high=number(one.get("high")),
            )
        )
    return tuple(found)
