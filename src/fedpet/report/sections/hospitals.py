"""One row per hospital: how the model did there, who took part, what was found in the data."""

from __future__ import annotations

from fedpet.report.charts import scales, strips
from fedpet.report.document import (
    Arm,
    Estimate,
    Json,
    Results,
    count,
    estimate,
    mapping,
    sequence,
    text,
)
from fedpet.report.sections.outcomes import CHANCE
from fedpet.report.sections.tables import StripRow, StripTable, TextTable
from fedpet.report.words import Shown, Words
from fedpet.survival import disclosure
from fedpet.survival.disclosure import CELL_MIN

SEVERITIES = ("error", "warning", "info")


def forests(results: Results, words: Words, endpoint: str) -> tuple[StripTable, ...]:
    """Show each leading arm's C-index at every hospital, on one axis."""
    found = []
    for arm in results.leading_arms(endpoint):
        listed = results.rows("site_performance", endpoint, arm.id)
        if listed:
            found.append((arm, listed))
    values = [CHANCE]
    for arm, listed in found:
        overall = results.estimate("performance", endpoint, arm.id, "c_within")
        average = results.estimate("average_hospital", endpoint, arm.id, "c_within")
        for one in (overall, average, *(estimate(mapping(row.get("c_within"))) for row in listed)):
            if one is not None:
                values += [v for v in (one.value, one.low, one.high) if v is not None]
    scale = scales.linear(values, most=5)
    return tuple(_forest(results, words, endpoint, arm, listed, scale) for arm, listed in found)


def _forest(
    results: Results,
    words: Words,
    endpoint: str,
    arm: Arm,
    listed: tuple[Json, ...],
    scale: scales.Scale,
) -> StripTable:
    overall = results.estimate("performance", endpoint, arm.id, "c_within")
    references = [strips.Reference(CHANCE, "chance")]
    if overall is not None:
        references.append(strips.Reference(overall.value, "overall"))
    drawn = []
    for index, row in enumerate(listed):
        path = f"/site_performance/{endpoint}/{arm.id}/{index}/c_within"
        one = estimate(mapping(row.get("c_within")), path=path)
        note = ""
        subjects, events = (disclosure.read(row.get(key)) for key in ("subjects", "events"))
        if subjects is not None and events is not None and subjects.count != 0:
            note = words("n_events", n=words.cell(subjects), events=words.cell(events))
        drawn.append(
            _row(words, text(row.get("site")), note, one, scale, references,
                 reason=words.named("reason", text(row.get("reason"))) or "–")
        )  # fmt: skip
    if overall is not None:
        drawn.append(
            _row(words, words("all_hospitals"), words("within_hospitals"), overall, scale,
                 references, strong=True)
        )  # fmt: skip
    average = ("average_hospital", endpoint, arm.id)
    one = results.estimate(*average, "c_within")
    if one is not None:
        low, high = (results.number(*average, "prediction", end) for end in ("low", "high"))
        note = words("heterogeneity", i2=words.percent(results.number(*average, "i2") or 0.0))
        if low is not None and high is not None:
            note = f"{words('another_hospital', interval=words.interval(low, high, 2))} {note}"
        drawn.append(
            _row(words, words("average_hospital"), note, one, scale, references, strong=True)
        )
    return StripTable(
        key=f"forest-{endpoint}-{arm.id}",
        caption=words("forest_caption", arm=words.arm(arm)),
        heads=(words("hospital"), words("c_index"), words("value_95")),
        axis=strips.axis(
            scale,
            [words.number(tick, 1) for tick in scale.ticks],
            title=words("c_index"),
            anchor=CHANCE,
        ),
        rows=tuple(drawn),
        legend=(
            ("chance", words("chance", value=words.number(CHANCE, 1))),
            ("overall", words("all_hospitals")),
        ),
        note=words("suppressed_note", n=CELL_MIN)
        if any(_is_hidden(row.get("events")) for row in listed)
        else "",
    )


def _row(
    words: Words,
    label: str,
    note: str,
    one: Estimate | None,
    scale: scales.Scale,
    references: list[strips.Reference],
    *,
    reason: str = "",
    strong: bool = False,
) -> StripRow:
    shown = words.estimate(one, reason=reason)
    return StripRow(
        label=label,
        note=note,
        strip=strips.interval(
            scale,
            one,
            references=references,
            look="strong" if strong else "plain",
            title=f"{label}: {shown.value} ({shown.interval})",
        ),
        shown=shown,
        strong=strong,
    )


def cohort(results: Results, words: Words) -> TextTable | None:
    """List every hospital that was asked, with its counts or its reason for staying away."""
    sites = results.rows("sites")
    if not sites:
        return None
    taking_part = [site for site in sites if site.get("subjects")]
    endpoints = results.survival_endpoints
    listed = []
    for site in taking_part:
        events = mapping(site.get("events"))
        fold = count(site.get("fold"))
        listed.append(
            (
                text(site.get("name")),
                _shown(words, site.get("subjects")),
                *(_shown(words, events.get(name)) for name in endpoints),
                words("fold_number", n=fold + 1) if fold is not None else "–",
                words("took_part"),
            )
        )
    for site in sites:
        if site not in taking_part:
            blanks = ("–",) * (len(endpoints) + 2)
            reason = text(site.get("reason")) or words("no_reason")
            listed.append(
                (text(site.get("name")), *blanks, words("not_taking_part", reason=reason))
            )
    hidden = any(
        _is_hidden(some) for site in taking_part for some in mapping(site.get("events")).values()
    )
    return TextTable(
        caption=words("cohort_caption"),
        heads=(
            (words("hospital"), False),
            (words("subjects"), True),
            *((words("events_of", endpoint=words.named("short", name)), True)
              for name in endpoints),
            (words("held_out_in"), False),
            (words("state"), False),
        ),
        rows=tuple(listed),
        note=words("suppressed_note", n=CELL_MIN) if hidden else "",
    )  # fmt: skip


def _shown(words: Words, value: object) -> str:
    found = disclosure.read(value)
    return "–" if found is None else words.cell(found)


def _is_hidden(value: object) -> bool:
    found = disclosure.read(value)
    return found is not None and found.count is None


def findings(results: Results, words: Words) -> TextTable | None:
    """List what the hospitals' own checks found in the data, worst first; no subject is named."""
    found = sorted(
        results.rows("findings"),
        key=lambda row: (
            text(row.get("site")),
            SEVERITIES.index(text(row.get("severity")))
            if row.get("severity") in SEVERITIES
            else len(SEVERITIES),
            text(row.get("code")),
        ),
    )
    if not found:
        return None
    listed = []
    for row in found:
        listed.append(
            (
                text(row.get("site")),
                words.named("severity", text(row.get("severity")), otherwise="–"),
                text(row.get("code")),
                text(row.get("title")),
                _shown(words, row.get("subjects")) if row.get("subjects") else "–",
                text(row.get("fix")),
            )
        )
    names = ("hospital", "severity", "code", "finding", "subjects", "remedy")
    return TextTable(
        caption=words("findings_caption"),
        heads=tuple((words(name), name == "subjects") for name in names),
        rows=tuple(listed),
    )


def participation(results: Results, words: Words) -> StripTable | None:
    """Show which hospital answered in which round of the network that is kept."""
    part = results.part("participation")
    rounds = len(sequence(part.get("rounds")))
    table = mapping(part.get("state"))
    if not rounds or not table:
        return None
    listed = []
    for site, row in table.items():
        states = tuple(text(state) for state in sequence(row))
        answered = words("answered", n=states.count("ok"), rounds=rounds)
        listed.append(
            StripRow(
                label=str(site),
                note="",
                strip=strips.states(states, title=f"{site}: {answered}"),
                shown=Shown(answered),
            )
        )
    return StripTable(
        key="participation",
        caption=words("participation_caption"),
        heads=(words("hospital"), words("round"), words("answered_head")),
        axis=strips.round_axis(rounds, title=words("round")),
        rows=tuple(listed),
        legend=(
            ("ok", words("state_ok")),
            ("missed", words("state_missed")),
            ("absent", words("state_absent")),
        ),
    )
