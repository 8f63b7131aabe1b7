"""One survival endpoint: every arm beside every other."""

from __future__ import annotations

from fedpet.report.charts import scales, strips
from fedpet.report.document import Results, count, text
from fedpet.report.sections.tables import NumberTable, StripRow, StripTable
from fedpet.report.words import Shown, Words
from fedpet.survival.disclosure import events

CHANCE = 0.5
SIGNS = {"better": "▲", "worse": "▼", "undecided": "=", "unknown": "?"}


def bars(results: Results, words: Words, endpoint: str) -> StripTable | None:
    """Show the C-index of every arm beside chance and, where it is known, the ceiling."""
    found = [
        (arm, results.estimate("performance", endpoint, arm.id, "c_within"))
        for arm in results.measured_arms(endpoint)
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
    incomplete = False
    for arm in results.measured_arms(endpoint):
        base = ("performance", endpoint, arm.id)
        indices = ("c_within", "c_global", "c_uno")
        cells = [words.estimate(results.estimate(*base, name)) for name in indices]
        for measure in ("auc", "brier"):
            cells += [words.estimate(results.estimate(*base, measure, h)) for h in horizons]
        cells.append(words.estimate(results.estimate(*base, "ibs")))
        cells += [
            words.estimate(results.estimate(*base, "calibration", h, "observed_expected"), 2)
            for h in horizons
        ]
        incomplete |= arm.training != "local" and not all(cell.known for cell in cells)
        strong = arm.id == "network-federated"
        listed.append((words.arm(arm), words.named("inputs", arm.inputs), tuple(cells), strong))
    if not listed:
        return None
    listed += _without_predictors(results, words, endpoint)
    months = tuple(words("month_short", month=h) for h in horizons)
    subjects, events = _judged(results, endpoint)
    note = words("comparison_note", subjects=subjects, events=events)
    return NumberTable(
        caption=words("comparison_caption", endpoint=words.endpoint(endpoint)),
        corner=words("model"),
        groups=(
            (words("c_index"), 3),
            (words("auc"), len(horizons)),
            (words("brier"), len(horizons) + 1),
            (words("calibration_oe"), len(horizons)),
        ),
        heads=(
            words("within"),
            words("global"),
            words("uno"),
            *months,
            *months,
            words("mean"),
            *months,
        ),
        rows=tuple(listed),
        note=f"{note} {words('incomplete_note')}" if incomplete else note,
    )


def _judged(results: Results, endpoint: str) -> tuple[str, str]:
    arms = results.measured_arms(endpoint)
    part = results.part("performance", endpoint, arms[0].id) if arms else {}
    return str(count(part.get("subjects")) or "?"), str(count(part.get("events")) or "?")


def _without_predictors(
    results: Results, words: Words, endpoint: str
) -> list[tuple[str, str, tuple[Shown, ...], bool]]:
    """Return the row of the Brier score that needs no predictor, if the document has it."""
    arm = results.measured_arms(endpoint)[0]
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
    mean = results.number("performance", endpoint, arm.id, "ibs_reference")
    path = f"/performance/{endpoint}/{arm.id}/ibs_reference"
    averaged = empty if mean is None else Shown(words.number(mean, 3), path=path)
    row = (empty, empty, empty, *blanks, *brier, averaged, *blanks)
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
