"""What acting on a prediction is worth, and whether predictions hold over the whole follow-up."""

from __future__ import annotations

from fedpet.report.charts import decision_plot, scales
from fedpet.report.document import Results, number, numbers, rows
from fedpet.report.sections.curves import Figure, percents
from fedpet.report.words import Words

LOOKS = {"network-federated": "kept", "cox-federated": "high"}


def decisions(results: Results, words: Words, endpoint: str) -> tuple[Figure, ...]:
    """Draw the decision curves of the leading arms at each horizon."""
    found = []
    for horizon in results.horizons:
        lines: list[decision_plot.Line] = []
        notes: list[str] = []
        everybody: tuple[float, ...] = ()
        for arm in results.leading_arms(endpoint):
            part = results.part("performance", endpoint, arm.id, "decision", horizon)
            benefits = tuple(
                value
                for one in rows(part.get("model"))
                if (value := number(one.get("value"))) is not None
            )
            thresholds = numbers(part.get("thresholds"))[: len(benefits)]
            if len(benefits) < 2:
                continue
            everybody = numbers(part.get("treat_all"))
            lines.append(
                decision_plot.Line(look=LOOKS[arm.id], thresholds=thresholds, benefits=benefits)
            )
            notes.append(_note(words, words.arm(arm), thresholds, benefits, everybody))
        if lines:
            found.append(_figure(words, endpoint, horizon, lines, notes, everybody))
    return tuple(found)


def whole_follow_up(results: Results, words: Words, endpoint: str) -> str:
    """Say whether predicted survival is spread as it must be (D-calibration)."""
    parts = []
    for arm in results.leading_arms(endpoint):
        p = results.number("performance", endpoint, arm.id, "d_calibration", "p")
        if p is not None:
            shown = words.p_value(p)
            shown = shown if p < 0.001 else f"= {shown}"
            parts.append(words("d_calibration_arm", arm=words.arm(arm), p=shown))
    return words("d_calibration", arms=words.list(tuple(parts))) if parts else ""


def _note(
    words: Words,
    arm: str,
    thresholds: tuple[float, ...],
    benefits: tuple[float, ...],
    everybody: tuple[float, ...],
) -> str:
    """Say over which thresholds in a row the model beats acting on everybody and on nobody."""
    run: list[float] = []
    longest: list[float] = []
    for threshold, benefit, of_all in zip(thresholds, benefits, everybody, strict=False):
        run = [*run, threshold] if benefit > max(of_all, 0.0) + 1e-9 else []
        longest = max(longest, run, key=len)
    if not longest:
        return words("decision_never", arm=arm)
    low, high = words.percent(longest[0]), words.percent(longest[-1])
    return words("decision_note", arm=arm, low=low, high=high)


def _figure(
    words: Words,
    endpoint: str,
    horizon: str,
    lines: list[decision_plot.Line],
    notes: list[str],
    everybody: tuple[float, ...],
) -> Figure:
    highest = max([0.05, *everybody[:1], *(b for line in lines for b in line.benefits)])
    axis = scales.linear([-0.05, 0.0, highest], most=5)
    thresholds = lines[0].thresholds
    for_all = decision_plot.Line(look="fold", thresholds=thresholds, benefits=everybody)
    nobody = decision_plot.Line(look="zero", thresholds=(0.0, 1.0), benefits=(0.0, 0.0))
    chart = decision_plot.draw(
        [nobody, for_all, *lines],
        labels=decision_plot.Labels(
            name=f"decision {endpoint} {horizon}",
            title=words("decision_title", endpoint=words.endpoint(endpoint), month=horizon),
            description=" ".join(notes),
            x_axis=words("threshold"),
            y_axis=words("net_benefit"),
            percents=percents(words),
        ),
        written=[words.number(tick, 2) for tick in axis.ticks],
        axis=axis,
    )
    return Figure(title=words("at_months", month=horizon), chart=chart, note=" ".join(notes))
