"""The audit as a page for the data-protection officer: what left, who decided, is it whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from fedpet.federation.heads import Head
from fedpet.node.audit import AuditEntry

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#16323f;background:#f4f7f8;margin:0}
header{background:#0d3b4c;color:#fff;padding:20px 32px}h1{margin:0;font-size:24px}
main{max-width:1180px;margin:24px auto;padding:0 16px}section{background:#fff;
border:1px solid #d7e0e4;border-radius:6px;padding:8px 20px 16px;margin-bottom:16px;overflow-x:auto}
h2{font-size:18px}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:5px 14px 5px 0;border-bottom:1px solid #d7e0e4;vertical-align:top}
td.n,th.n{text-align:right}code{font-size:13px;overflow-wrap:anywhere}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(180px,1fr));gap:12px;
margin-bottom:16px}.card{background:#fff;border:1px solid #d7e0e4;border-radius:6px;
padding:12px 18px}.card b{display:block;font-size:26px}@media print{body{background:#fff}}
"""
KINDS: Mapping[str, str] = {
    "count": "Numbers of subjects and events",
    "moments": "Sums and squares of covariates",
    "histogram": "Counts of a covariate between values",
    "cox": "Derivatives of a Cox likelihood",
    "exposure": "Events and time under observation",
    "initialise": "Initial weights, the same at every site",
    "train": "Change of a network's weights",
    "loss": "Loss on subjects kept to tell when training stops",
    "gradient": "Clipped gradients with noise",
    "risks": "Histogram of predicted risks",
    "evaluate": "Errors and concordant pairs of predictions",
    "features": "Sums and products of what the network sees",
    "distances": "Histogram of distances from the mean of all",
    "levels": "Histogram of levels at which subjects failed",
    "concordance": "This hospital's own C-index",
    "score": "Score of a candidate for the global model",
    "vote": "This hospital's vote on a candidate for the global model",
    "attack": "Counts of a membership attack on models of the plan",
    "attest": "This hospital's statement on the models of a run",
    "slope": "Derivatives of a calibration slope",
    "follow-up": "Counts of those under observation",
    "site-performance": "This hospital's own performance of a model",
    "fit-cox": "A Cox model fitted here alone",
    "screen-cutpoints": "Log-rank sums at candidate cutpoints",
    "combat": "Sums for harmonisation",
    "combat-reference": "This hospital's sums as the reference of harmonisation",
    "combat-confounding": "Counts that tell whether outcome and hospital go together",
    "cox-cells": "Counts of departures by interval of time",
    "cox-risk": "Sums over those at risk by interval of time",
    "cox-information": "Information of a Cox likelihood with one baseline",
    "cox-scores": "Products of the scores of a Cox model",
    "cox-changing": "Sums for the test of proportional hazards",
    "cox-effect": "This hospital's own coefficients",
    "curve": "Events and subjects at risk by interval of time",
    "log-rank": "Observed and expected events by group",
    "describe-moments": "Sums and squares of columns",
    "describe-histogram": "Counts of a column between values",
    "describe-levels": "Counts of categories",
    "describe-site": "This hospital's table 1",
    "describe-duplicates": "Salted marks of subjects",
    "sum.advertise": "A key for masks",
    "sum.agree": "Secrets for masks, sealed for other hospitals",
    "sum.share": "Shares of secrets of masks, sealed for other hospitals",
    "sum.confirm": "Proofs over whom a sum is opened",
    "sum.reveal": "Shares that open a sum",
}
MASKED = "sum.mask"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """One line of the table of what left.

    Args:
        requester: To whom.
        plan: Fingerprint.
        kind: What.
        masked: Whether it left under a mask, to be opened as a sum over hospitals only.
        release: Name of the release if it is about this hospital alone; else empty.
        answers: How often.
        values: How many numbers, in all.
        bytes: How many bytes of numbers, in all.
        first: When first.
        last: When last.
    """

    requester: str
    plan: str
    kind: str
    masked: bool
    release: str
    answers: int
    values: int
    bytes: int
    first: str
    last: str


def flows(entries: Sequence[AuditEntry]) -> tuple[Flow, ...]:
    """Return what left, by receiver, plan, kind and release, in the order of the first answer."""
    found: dict[tuple[str, str, str, bool, str], list[Mapping[str, Any]]] = {}
    behind: dict[str, str] = {}
    for entry in entries:
        told = entry.values
        kind = str(told.get("kind") or "")
        masked = kind == MASKED
        if told["what"] == "asked" and masked:
            behind[told["step"]] = str(told.get("of") or "")
        if told["what"] == "answered" and told["status"] == "ok":
            requester, plan, release = (
                str(told.get(name) or "") for name in ("requester", "plan", "release")
            )
            of = behind.get(told["step"], "") if masked else kind
            found.setdefault((requester, plan, of, masked, release), []).append(told)
    return tuple(
        Flow(
            requester=requester,
            plan=plan,
            kind=kind,
            masked=masked,
            release=release,
            answers=len(answers),
            values=sum(told["values"] for told in answers),
            bytes=sum(told["bytes"] for told in answers),
            first=answers[0]["at"],
            last=answers[-1]["at"],
        )
        for (requester, plan, kind, masked, release), answers in found.items()
    )


def audit_page(
    entries: Sequence[AuditEntry],
    *,
    site: str,
    head: Head | None,
    witnessed: Mapping[str, Head],
    names: Mapping[str, str],
) -> str:
    """Return one HTML page without scripts and without anything from elsewhere.

    Args:
        entries: The verified audit.
        site: The hospital.
        head: Its signed head.
        witnessed: Heads of other sites that are remembered here.
        names: Names of plans by fingerprint.
    """
    told = [entry.values for entry in entries]
    left = flows(entries)
    answers = [one for one in told if one["what"] == "answered"]
    cards = {
        "entries, every one signed": len(entries),
        "answers that left": sum(one["status"] == "ok" for one in answers),
        "requests refused": sum(one["status"] == "refused" for one in answers),
        "bytes of numbers that left": sum(flow.bytes for flow in left),
    }
    parts = [
        "".join(f"<div class=card><b>{n:,}</b>{escape(t)}</div>" for t, n in cards.items()),
        _section("What left this hospital", _flow_table(left, names), NO_IMAGE),
        _section("Who decided", _decisions(told, names)),
        _section("Rules that were changed", _rows(told, "policy", ("key", "before", "after"))),
        _section("Subjects taken out", _rows(told, "subject-removed", ("subjects", "cohort"))),
        _section("Is this audit whole?", _head(head), CHECKED),
        _section("Heads of other hospitals, remembered here", _heads(witnessed)),
    ]
    body = f"<div class=cards>{parts[0]}</div>{''.join(parts[1:])}"
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width,initial-scale=1'>"
        f"<title>Audit of {escape(site)}</title><style>{STYLE}</style></head><body>"
        f"<header><h1>Audit of {escape(site)}</h1>{_period(told)}</header>"
        f"<main>{body}</main></body></html>\n"
    )


NO_IMAGE = (
    "Sums over subjects, unless a release is named. No image, no row of a table, no date of a "
    "subject and no pseudonym is among them; the audit has no field that could hold one."
)
CHECKED = (
    "Before this page was written every entry's hash and signature was checked. The head below "
    "went to the other hospitals with the last answer: compare it with what they remember."
)


def _period(told: Sequence[Mapping[str, Any]]) -> str:
    if not told:
        return "No entry yet."
    return f"{escape(_span(told[0]['at'], told[-1]['at']))} UTC."


def _span(first: str, last: str) -> str:
    """Return two moments to the minute, or one if they are the same.

    Examples:
        >>> _span("2026-11-24T14:01:07", "2026-11-24T14:01:09")
        '2026-11-24 14:01'
    """
    told = dict.fromkeys(moment[:16].replace("T", " ") for moment in (first, last))
    return " to ".join(told)


def _flow_table(left: Sequence[Flow], names: Mapping[str, str]) -> str:
    rows = [
        (
            KINDS.get(flow.kind, flow.kind)
            + (", masked" if flow.masked else "")
            + (f" (release {flow.release})" if flow.release else ""),
            f"{names.get(flow.plan, '')} {flow.plan[:12]}",
            flow.requester,
            f"{flow.answers:,}",
            f"{flow.values:,}",
            f"{flow.bytes:,}",
            _span(flow.first, flow.last),
        )
        for flow in left
    ]
    heads = ("What", "Plan", "To whom", "#Answers", "#Numbers", "#Bytes", "When (UTC)")
    return _table(heads, rows)


def _decisions(told: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> str:
    words = ("proposed", "approved", "refused", "withdrawn")
    rows = [
        (
            one["at"][:16].replace("T", " "),
            one["what"],
            f"{names.get(str(one['plan']), '')} {one['plan'][:12]}",
            str(one.get("person") or one.get("requester") or ""),
        )
        for one in told
        if one["what"] in words
    ]
    return _table(("When (UTC)", "What", "Plan", "Who"), rows)


def _rows(told: Sequence[Mapping[str, Any]], what: str, fields: Sequence[str]) -> str:
    rows = [
        (
            one["at"][:16].replace("T", " "),
            *(str(one.get(field, "")) for field in fields),
            str(one["person"]),
        )
        for one in told
        if one["what"] == what
    ]
    return _table(("When (UTC)", *(field.capitalize() for field in fields), "Who"), rows)


def _head(head: Head | None) -> str:
    if head is None:
        return "<p>No entry yet.</p>"
    return (
        f"<p>Entry {head.number}, hash <code>{escape(head.hash)}</code>, signed with key "
        f"<code>{escape(head.key)}</code>.</p>"
    )


def _heads(witnessed: Mapping[str, Head]) -> str:
    rows = [(site, f"{one.number:,}", one.hash) for site, one in witnessed.items()]
    return _table(("Hospital", "#Entry", "Hash"), rows)


def _section(title: str, content: str, note: str = "") -> str:
    told = f"<p>{escape(note)}</p>" if note else ""
    return f"<section><h2>{escape(title)}</h2>{told}{content}</section>"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table; a heading that begins with # is over numbers."""
    if not rows:
        return "<p>None.</p>"
    marks = [" class=n" if head.startswith("#") else "" for head in heads]
    top = "".join(
        f"<th scope=col{mark}>{escape(head.removeprefix('#'))}</th>"
        for head, mark in zip(heads, marks, strict=True)
    )
    lines = [
        "<tr>"
        + "".join(f"<td{mark}>{escape(cell)}</td>" for cell, mark in zip(row, marks, strict=True))
        + "</tr>"
        for row in rows
    ]
    return f"<table><thead><tr>{top}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
