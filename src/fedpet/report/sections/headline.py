"""What a reader must know after ten seconds: four numbers and one sentence."""

from __future__ import annotations

from dataclasses import dataclass

from fedpet.report.document import Arm, Estimate, Results, count
from fedpet.report.words import Shown, Words

GAIN_OVER = ("network-local", "tmtv", "cox-clinical")
COMPARED_WITH = ("network-local", "tmtv", "network-pooled")


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A number card: what it is, the number, and a line about it."""

    label: str
    shown: Shown
    note: str


def cards(results: Results, words: Words) -> tuple[Card, ...]:
    """Return the four numbers, each with its interval where it is an estimate."""
    leading = results.leading
    found = (
        results.estimate("performance", results.primary, leading.id, "c_within")
        if leading
        else None
    )
    return (
        Card(
            label=words("card_c", arm=words.arm_inside(leading) if leading else "–"),
            shown=words.estimate(found),
            note=words(
                "card_c_note", endpoint=words.title(results.primary), who=_judged_on(results, words)
            ),
        ),
        _people(results, words),
        _gain(results, words, leading),
        _ceiling(results, words),
    )


def _judged_on(results: Results, words: Words) -> str:
    return words.named("judged", results.text("plan", "scheme"), otherwise=words("judged:other"))


def _people(results: Results, words: Words) -> Card:
    sites = results.rows("sites")
    taking_part = [site for site in sites if count(site.get("subjects"))]
    subjects = sum(count(site.get("subjects")) or 0 for site in taking_part)
    refused = len(sites) - len(taking_part)
    note = words("card_people_note", subjects=words.number(subjects))
    if refused:
        note += " " + words("card_refused_one" if refused == 1 else "card_refused", n=refused)
    if results.at("experiment", "phantom"):
        note += " " + words("card_phantom")
    return Card(label=words("card_people"), shown=Shown(words.number(len(taking_part))), note=note)


def _gain(results: Results, words: Words, leading: Arm | None) -> Card:
    arms = {arm.id: arm for arm in results.arms}
    for other in GAIN_OVER:
        found = results.difference(results.primary, leading.id, other) if leading else None
        if found is not None and other in arms:
            return Card(
                label=words("card_gain", arm=words.arm_inside(arms[other])),
                shown=words.estimate(found, signed=True),
                note=words(f"difference_{found.sign}"),
            )
    return Card(
        label=words("card_gain_none"),
        shown=Shown(words("not_compared"), known=False),
        note=words("card_gain_none_note"),
    )


def _ceiling(results: Results, words: Words) -> Card:
    ceiling = results.number("ceiling", results.primary, "all")
    if ceiling is not None:
        path = f"/ceiling/{results.primary}/all"
        return Card(
            label=words("card_ceiling"),
            shown=Shown(words.number(ceiling, 3), path=path),
            note=words("card_ceiling_note"),
        )
    cox = results.estimate("performance", results.primary, "cox-federated", "c_within")
    return Card(
        label=words("card_c", arm=words("the:cox-federated")),
        shown=words.estimate(cox),
        note=words("card_cox_note"),
    )


def verdict(results: Results, words: Words) -> str:
    """Say in one sentence what was found; where an interval includes zero, the sentence says so."""
    leading, endpoint = results.leading, results.primary
    if leading is None:
        return words("verdict_nothing", endpoint=words.endpoint(endpoint))
    found = results.estimate("performance", endpoint, leading.id, "c_within")
    if found is None:
        return words(
            "verdict_no_c", endpoint=words.endpoint(endpoint), arm=words.arm_inside(leading)
        )
    lead = words(
        "verdict_lead",
        endpoint=words.endpoint(endpoint),
        who=_judged_on(results, words),
        arm=words.arm_inside(leading),
        c=words.inline(found),
    )
    parts = _comparisons(results, words, leading)
    return words("verdict_compared", lead=lead, parts=words.list(parts)) if parts else f"{lead}."


def _comparisons(results: Results, words: Words, leading: Arm) -> tuple[str, ...]:
    arms = {arm.id: arm for arm in results.arms}
    found: dict[str, list[str]] = {"better": [], "undecided": [], "unknown": [], "worse": []}
    for other in COMPARED_WITH:
        difference = results.difference(results.primary, leading.id, other)
        if difference is not None and other in arms:
            found[difference.sign].append(_clause(words, arms[other], difference))
    return tuple(
        words(f"verdict_{sign}", arms=words.list(tuple(clauses)))
        for sign, clauses in found.items()
        if clauses
    )


def _clause(words: Words, other: Arm, difference: Estimate) -> str:
    return words(
        "verdict_clause",
        arm=words.arm_inside(other),
        difference=words.estimate(difference, signed=True).value,
        interval=words.interval(difference.low, difference.high),
    )
