"""One survival endpoint: curves by risk third, every arm beside every other, calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from fedpet.report.charts import calibration_plot, scales, strips, survival_curves
from fedpet.report.disclosure import AT_RISK_MIN, at_risk, events
from fedpet.report.document import (
    LEADING_ARMS,
    Arm,
    Json,
    Results,
    count,
    number,
    numbers,
    rows,
    sequence,
    text,
)
from fedpet.report.sections.tables import NumberTable, StripRow, StripTable, TextTable
from fedpet.report.words import Shown, Words

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
LOOKS = ("low", "middle", "high")
CHANCE = 0.5
SIGNS = {"better": "▲", "worse": "▼", "undecided": "=", "unknown": "?"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A chart with its caption, the words under it, and the same in numbers."""

    title: str
    chart: Markup
    note: str = ""
    table: TextTable | None = None


def measured_arms(results: Results, endpoint: str) -> tuple[Arm, ...]:
    """Return the arms that were judged on an endpoint, in the document's order."""
    found = results.part("performance", endpoint)
    return tuple(arm for arm in results.arms if arm.id in found)


def leading_arms(results: Results, endpoint: str) -> tuple[Arm, ...]:
    """Return the federated network and the Cox model, as far as they were judged."""
    by_id = {arm.id: arm for arm in measured_arms(results, endpoint)}
    return tuple(by_id[name] for name in LEADING_ARMS if name in by_id)


def percents(words: Words) -> tuple[str, ...]:
    """Return the labels of an axis of shares."""
    return tuple(words.percent(share) for share in SHARES)


def curves(results: Results, words: Words, endpoint: str) -> tuple[Figure, ...]:
    """Draw survival by predicted risk third, for the leading arms."""
    found = []
    for arm in leading_arms(results, endpoint):
        part = results.part("kaplan_meier", endpoint, arm.id)
        if rows(part.get("groups")):
            found.append(_curves_of(part, results, words, endpoint, arm))
    return tuple(found)


def _curves_of(part: Json, results: Results, words: Words, endpoint: str, arm: Arm) -> Figure:
    table = part.get("at_risk")
    risk = table if isinstance(table, dict) else {}
    ticks = numbers(risk.get("months"))
    hidden_from = [at_risk(numbers(row)) for row in sequence(risk.get("groups"))]
    drawn = []
    for index, group in enumerate(rows(part.get("groups"))[: len(LOOKS)]):
        cells = hidden_from[index] if index < len(hidden_from) else []
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


def bars(results: Results, words: Words, endpoint: str) -> StripTable | None:
    """Show the C-index of every arm beside chance and, where it is known, the ceiling."""
    found = [
        (arm, results.estimate("performance", endpoint, arm.id, "c_within"))
        for arm in measured_arms(results, endpoint)
    ]
    known = [one for _, one in found if one is not None]
    if not known:
        return None
    ceiling = results.number("ceiling", endpoint, "all")
    values = [v for one in known for v in (one.value, one.low, one.high) if v is not None]
    scale = scales.linear([*values, CHANCE, *([] if ceiling is None else [ceiling])])
    references = [strips.Reference(CHANCE, "chance")]
    legend = [("chance", words("chance", value=words.number(CHANCE, 1)))]
    if ceiling is not None:
        references.append(strips.Reference(ceiling, "ceiling"))
        legend.append(("ceiling", words("ceiling_line", value=words.number(ceiling, 3))))
    listed = []
    for arm, one in found:
        shown = words.estimate(one)
        look = {"federated": "strong", "pooled": "quiet", "local": "quiet"}.get(arm.training, "")
        look = look if arm.id.startswith("network") else "plain"
        listed.append(
            StripRow(
                label=words.arm(arm),
                note=words.named("inputs", arm.inputs),
                strip=strips.interval(
                    scale, one, references=references, look=look, bar_from=CHANCE,
                    title=f"{words.arm(arm)}: {shown.value} ({shown.interval})",
                ),
                shown=shown,
                strong=arm.id == "network-federated",
            )
        )  # fmt: skip
    return StripTable(
        key=f"bars-{endpoint}",
        caption=words("bars_caption", endpoint=words.endpoint(endpoint)),
        heads=(words("model"), words("c_within"), words("value_95")),
        axis=strips.axis(
            scale,
            [words.number(tick, 2) for tick in scale.ticks],
            title=words("c_within"),
            anchor=CHANCE,
        ),
        rows=tuple(listed),
        legend=tuple(legend),
    )


def comparison(results: Results, words: Words, endpoint: str) -> NumberTable | None:
    """Put every measure of every arm into one table."""
    horizons = results.horizons
    listed = []
    for arm in measured_arms(results, endpoint):
        base = ("performance", endpoint, arm.id)
        cells = [words.estimate(results.estimate(*base, name)) for name in ("c_within", "c_global")]
        for measure in ("auc", "brier"):
            cells += [words.estimate(results.estimate(*base, measure, h)) for h in horizons]
        cells += [
            words.estimate(results.estimate(*base, "calibration", h, "observed_expected"), 2)
            for h in horizons
        ]
        strong = arm.id == "network-federated"
        listed.append((words.arm(arm), words.named("inputs", arm.inputs), tuple(cells), strong))
    if not listed:
        return None
    incomplete = any(not cell.known for row in listed for cell in row[2])
    listed += _without_predictors(results, words, endpoint)
    months = tuple(words("month_short", month=h) for h in horizons)
    subjects, events = _judged(results, endpoint)
    note = words("comparison_note", subjects=subjects, events=events)
    return NumberTable(
        caption=words("comparison_caption", endpoint=words.endpoint(endpoint)),
        corner=words("model"),
        groups=(
            (words("c_index"), 2),
            *((words(name), len(horizons)) for name in ("auc", "brier", "calibration_oe")),
        ),
        heads=(words("within"), words("global"), *months, *months, *months),
        rows=tuple(listed),
        note=f"{note} {words('incomplete_note')}" if incomplete else note,
    )


def _judged(results: Results, endpoint: str) -> tuple[str, str]:
    arms = measured_arms(results, endpoint)
    part = results.part("performance", endpoint, arms[0].id) if arms else {}
    return str(count(part.get("subjects")) or "?"), str(count(part.get("events")) or "?")


def _without_predictors(
    results: Results, words: Words, endpoint: str
) -> list[tuple[str, str, tuple[Shown, ...], bool]]:
    """Return the row of the Brier score that needs no predictor, if the document has it."""
    arm = measured_arms(results, endpoint)[0]
    base = ("performance", endpoint, arm.id, "brier_reference")
    values = [results.number(*base, h) for h in results.horizons]
    if not any(value is not None for value in values):
        return []
    empty = Shown("–")
    blanks = (empty,) * len(values)
    brier = tuple(
        empty if value is None else Shown(words.number(value, 3), path="/".join(("", *base, h)))
        for h, value in zip(results.horizons, values, strict=True)
    )
    row = (empty, empty, *blanks, *brier, *blanks)
    return [(words("no_predictors"), words("no_predictors_note"), row, False)]


def differences(results: Results, words: Words, endpoint: str) -> StripTable | None:
    """Show by how much the federated arms differ from all others, in pairs of replicates."""
    names = {arm.id: words.arm(arm) for arm in results.arms}
    found = []
    for index, row in enumerate(results.rows("differences", endpoint)):
        first, second = text(row.get("a")), text(row.get("b"))
        one = results.difference(endpoint, first, second)
        if one is not None and one.path.endswith(f"/{index}") and {first, second} <= names.keys():
            found.append((first, second, one))
    if not found:
        return None
    scale = scales.linear(
        [0.0, *(v for *_, one in found for v in (one.value, one.low, one.high) if v is not None)]
    )
    listed = []
    for first, second, one in found:
        shown = words.estimate(one, signed=True)
        label = words("minus", a=names[first], b=names[second])
        listed.append(
            StripRow(
                label=label,
                note="",
                strip=strips.interval(
                    scale,
                    one,
                    references=[strips.Reference(0.0, "chance")],
                    look=one.sign if one.sign in ("better", "worse") else "quiet",
                    title=f"{label}: {shown.value} ({shown.interval})",
                ),
                shown=shown,
                sign=SIGNS[one.sign],
                word=words(f"sign_{one.sign}"),
            )
        )
    return StripTable(
        key=f"differences-{endpoint}",
        caption=words("differences_caption", endpoint=words.endpoint(endpoint)),
        heads=(words("difference"), words("difference_axis"), words("value_95"), words("reading")),
        axis=strips.axis(
            scale,
            [words.number(tick, 2, signed=True) for tick in scale.ticks],
            title=words("difference_axis"),
            anchor=0.0,
        ),
        rows=tuple(listed),
        note=words("differences_note"),
    )


def calibration(results: Results, words: Words, endpoint: str) -> tuple[Figure, ...]:
    """Draw observed against predicted risk at each horizon for the leading arms."""
    arms = leading_arms(results, endpoint)
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
        subjects = count(one.get("subjects")) or 0
        if predicted is None or observed is None or subjects < AT_RISK_MIN:
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


def binary(results: Results, words: Words, endpoint: str) -> NumberTable | None:
    """Put the measures of a yes-or-no endpoint into a table."""
    found = results.part("binary", endpoint)
    arms = [arm for arm in results.arms if arm.id in found]
    if not arms:
        return None
    listed = []
    for arm in arms:
        cells = (
            words.estimate(results.estimate("binary", endpoint, arm.id, "auc")),
            words.estimate(results.estimate("binary", endpoint, arm.id, "brier")),
        )
        listed.append(
            (words.arm(arm), words.named("inputs", arm.inputs), cells,
             arm.id == "network-federated")
        )  # fmt: skip
    part = results.part("binary", endpoint, arms[0].id)
    subjects, positives = count(part.get("subjects")) or 0, count(part.get("positives")) or 0
    yes = events([positives], [subjects])[0]
    return NumberTable(
        caption=words.title(endpoint),
        corner=words("model"),
        groups=(),
        heads=(words("auc"), words("brier")),
        rows=tuple(listed),
        note=words("binary_note", subjects=words.number(subjects), positives=words.cell(yes)),
    )
