"""What was fitted: the Cox model's hazard ratios, the network's way through the rounds."""

from __future__ import annotations

from fedpet.report.charts import round_curves, scales, strips
from fedpet.report.document import Estimate, Json, Results, number, numbers, text
from fedpet.report.sections.curves import Figure
from fedpet.report.sections.tables import StripRow, StripTable, TextTable
from fedpet.report.words import Words

NETWORK = "network-federated"


def hazard_ratios(results: Results, words: Words, endpoint: str) -> StripTable | None:
    """Show the hazard ratios of the exact Cox model, per standard deviation."""
    found = []
    for index, row in enumerate(results.rows("hazard_ratios", endpoint)):
        value = number(row.get("hazard_ratio"))
        if value is not None and value > 0:
            one = Estimate(
                value=value,
                low=number(row.get("low")),
                high=number(row.get("high")),
                path=f"/hazard_ratios/{endpoint}/{index}/hazard_ratio",
            )
            found.append((row, one))
    if not found:
        return None
    scale = scales.ratios(
        v for _, one in found for v in (one.value, one.low, one.high) if v is not None
    )
    return StripTable(
        key=f"hazard-{endpoint}",
        caption=words.title(endpoint),
        heads=(words("variable"), words("hazard_ratio"), words("value_95"), "p"),
        axis=strips.axis(
            scale, [words.number(tick, _decimals(tick)) for tick in scale.ticks],
            title=words("hazard_ratio"),
            anchor=1.0,
        ),
        rows=tuple(_ratio_row(row, one, scale, words) for row, one in found),
    )  # fmt: skip


def _decimals(tick: float) -> int:
    return next(digits for digits in (0, 1, 2) if abs(tick - round(tick, digits)) < 1e-9)


def _ratio_row(row: Json, one: Estimate, scale: scales.Scale, words: Words) -> StripRow:
    name = text(row.get("name"))
    label = _variable(name, words)
    shown = words.estimate(one, 2)
    return StripRow(
        label=label,
        note=words("log_scale") if row.get("log") is True else "",
        strip=strips.interval(
            scale,
            one,
            references=[strips.Reference(1.0, "chance")],
            title=f"{label}: {shown.value} ({shown.interval})",
        ),
        shown=shown,
        word=words.p_value(number(row.get("p"))),
    )


def _variable(name: str, words: Words) -> str:
    known, _, rest = name.partition(" ")
    if rest == "missing":
        return words("variable_missing", variable=words.named("variable", known))
    return words.named("variable", name)


def acceptance(results: Results, words: Words) -> TextTable | None:
    """List how candidates for the federated network were judged, by fold and round."""
    listed = []
    for row in results.rows("acceptance"):
        fold = number(row.get("fold"))
        back = number(row.get("back_to")) or 0.0
        why = text(row.get("why"))
        if why not in ("accepted", "votes", "loss"):
            continue
        verdict = words(f"verdict_{why}")
        if why != "accepted":
            verdict += ", " + (words("back_to", round=round(back)) if back else words("back_first"))
        listed.append(
            (
                words("kept") if fold is None else words("fold_number", n=round(fold) + 1),
                words.number(number(row.get("round")) or 0),
                words(
                    "votes_of",
                    accepts=round(number(row.get("accepts")) or 0),
                    votes=round(number(row.get("votes")) or 0),
                ),
                words.number(number(row.get("loss_before")) or 0.0, 3),
                words.number(number(row.get("loss")) or 0.0, 3),
                verdict,
            )
        )
    if not listed:
        return None
    return TextTable(
        caption=words("acceptance_caption"),
        heads=(
            (words("model"), False),
            (words("round"), True),
            (words("votes"), True),
            (words("loss_before"), True),
            (words("loss_after"), True),
            (words("outcome_of_vote"), False),
        ),
        rows=tuple(listed),
        note=words("acceptance_note"),
    )


def training(results: Results, words: Words) -> Figure | None:
    """Draw the loss of the federated network by round."""
    lines = []
    for row in results.rows("curves", NETWORK):
        losses = numbers(row.get("loss"))
        if losses:
            rounds = numbers(row.get("rounds"))[: len(losses)]
            lines.append(
                round_curves.Line(rounds=rounds, losses=losses, kept=row.get("fold") is None)
            )
    if not lines:
        return None
    axis = round_curves.loss_axis(lines)
    kept = next((line for line in lines if line.kept), lines[-1])
    chart = round_curves.draw(
        lines,
        labels=round_curves.Labels(
            name="training",
            title=words("training_title"),
            description=words(
                "training_description",
                rounds=len(kept.losses),
                first=words.number(kept.losses[0], 2),
                last=words.number(kept.losses[-1], 2),
            ),
            x_axis=words("round"),
            y_axis=words("loss"),
            kept=words("kept"),
        ),
        written=[words.number(tick, max(map(_decimals, axis.ticks))) for tick in axis.ticks],
        axis=axis,
    )
    return Figure(title=words("training_title"), chart=chart, note=words("training_note"))
