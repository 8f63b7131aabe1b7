"""The page of a privacy audit: what attacks reached, for the data-protection officer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup, escape

from fedpet.errors import NotFoundError
from fedpet.report.audit_words import CATALOGUES
from fedpet.report.document import Json, mapping, number, rows, sequence, text
from fedpet.report.page import environment
from fedpet.report.sections.tables import TextTable

SIZE, MARGIN = 260, 34
LOOKS = {"loss": ("#0b5c8a", ""), "reference": ("#a33b20", "6 4")}


def render_privacy_audit(audit: Mapping[str, object], *, language: str = "en") -> str:
    """Write the page of a privacy audit.

    Args:
        audit: The document of schema `fedpet-privacy-audit/1`: JSON values only.
        language: `en` or `fr`.

    Returns:
        One HTML document with its styles and charts inside; it asks for nothing else.

    Raises:
        NotFoundError: If the language is not known.
    """
    if language not in CATALOGUES:
        raise NotFoundError(f"The page is not written in language '{language}'.")
    words = CATALOGUES[language]
    member, plan = mapping(audit.get("membership")), mapping(audit.get("plan"))
    counts = {key: _whole(member, key) for key in ("members", "others", "references")}
    sites = sequence(member.get("sites"))
    rebuilt = rows(audit.get("statistics"))
    subjects = _whole(rebuilt[0], "subjects") if rebuilt else 0
    return (
        environment()
        .get_template("privacy_audit.html")
        .render(
            words=words,
            language=language,
            title=text(plan.get("title")).removeprefix("Privacy audit: "),
            line=words["line"].format(
                name=text(plan.get("name")),
                fingerprint=text(plan.get("fingerprint"))[:16],
                date=text(audit.get("date"))[:10],
                version=text(audit.get("fedpet")),
            ),
            phantom=audit.get("phantom") is True,
            verdict=_verdict(member, words),
            member_lead=words["member_lead"].format(**counts, sites=len(sites)),
            power=words["power"].format(
                **counts, best=_decimal(number(member.get("epsilon_best")) or 0.0, 1, words)
            ),
            members=_members(member, words),
            roc=_roc(mapping(member.get("roc")), words),
            inversion=_inversion(rows(audit.get("inversion")), words),
            rows_lead=words["rows_lead"].format(subjects=subjects),
            rebuilt=_rebuilt(rebuilt, words),
        )
    )


def _verdict(member: Json, words: Mapping[str, str]) -> str:
    proved = number(member.get("epsilon_proved")) or 0.0
    bound = number(member.get("epsilon_bound"))
    told = {"proved": _decimal(proved, 2, words), "bound": _decimal(bound or 0.0, 2, words)}
    if bound is not None:
        return words["verdict_within" if proved <= bound else "verdict_above"].format(**told)
    if proved > 0:
        return words["verdict_some"].format(**told)
    seen = _clearest(member)
    if seen is None:
        return words["verdict_none"]
    return words["verdict_seen"].format(
        false=_percent(seen[0], words, 0), true=_percent(seen[1], words, 0)
    )


def _clearest(member: Json) -> tuple[float, float] | None:
    """Return shares of false alarms and of members found where they are apart the most."""
    apart = []
    for found in mapping(member.get("found")).values():
        for one in rows(found):
            true, false = mapping(one.get("true")), mapping(one.get("false"))
            alarms, hits = number(false.get("value")) or 0.0, number(true.get("value")) or 0.0
            low = number(true.get("low")) or 0.0
            if low > alarms:
                apart.append((low - alarms, alarms, hits))
    return max(apart)[1:] if apart else None


def _members(member: Json, words: Mapping[str, str]) -> TextTable:
    listed = []
    for name, found in mapping(member.get("found")).items():
        for one in rows(found):
            epsilon = number(one.get("epsilon")) or 0.0
            listed.append(
                (
                    words[f"attack:{name}"],
                    _percent(number(one.get("false_alarms")) or 0.0, words, 0),
                    _rate(mapping(one.get("false")), words),
                    _rate(mapping(one.get("true")), words),
                    _decimal(epsilon, 2, words) if epsilon > 0 else words["nothing"],
                )
            )
    return TextTable(
        caption=words["member_heading"],
        heads=(
            (words["attack"], False),
            (words["meant"], True),
            (words["false"], True),
            (words["true"], True),
            (words["epsilon"], True),
        ),
        rows=tuple(listed),
        note=words["member_note"],
    )


def _inversion(found: Sequence[Json], words: Mapping[str, str]) -> TextTable:
    trials = _whole(found[0], "trials") if found else 0
    return TextTable(
        caption=words["invert_heading"],
        heads=(
            (words["network"], False),
            (words["seen"], False),
            (words["error"].format(trials=trials), True),
        ),
        rows=tuple(
            (
                words[f"network:{text(one.get('network'))}"],
                words[f"seen:{text(one.get('seen'))}"].format(subjects=_whole(one, "subjects")),
                _error(number(one.get("error")), words),
            )
            for one in found
        ),
        note=words["invert_note"],
    )


def _rebuilt(found: Sequence[Json], words: Mapping[str, str]) -> TextTable:
    return TextTable(
        caption=words["rows_heading"],
        heads=((words["grid"], False), (words["rows"], True)),
        rows=tuple(
            (words[f"grid:{text(one.get('grid'))}"], str(_whole(one, "rows"))) for one in found
        ),
    )


def _roc(curves: Json, words: Mapping[str, str]) -> Markup:
    """Draw shares of members found against shares of false alarms, with the diagonal of chance."""

    def at(point: Sequence[float]) -> str:
        return f"{MARGIN + point[0] * SIZE:.1f},{10 + (1 - point[1]) * SIZE:.1f}"

    width, height = SIZE + MARGIN + 220, SIZE + 50
    parts = [
        f'<svg viewBox="0 0 {width} {height}" role="img" width="{width}" height="{height}">',
        f"<title>{escape(words['roc'])}</title><desc>{escape(words['roc_text'])}</desc>",
        f'<rect x="{MARGIN}" y="10" width="{SIZE}" height="{SIZE}" fill="none" stroke="#888"/>',
        f'<polyline points="{at((0, 0))} {at((1, 1))}" fill="none" stroke="#888" '
        'stroke-dasharray="2 4"/>',
    ]
    for index, (name, points) in enumerate(curves.items()):
        color, dash = LOOKS.get(str(name), ("#333", ""))
        drawn = " ".join(
            at([number(value) or 0.0 for value in sequence(point)]) for point in sequence(points)
        )
        style = f'fill="none" stroke="{color}" stroke-width="2" stroke-dasharray="{dash}"'
        top, left = 26 + 20 * index, MARGIN + SIZE + 10
        parts.append(f'<polyline points="{drawn}" {style}/>')
        parts.append(f'<line x1="{left}" y1="{top - 4}" x2="{left + 22}" y2="{top - 4}" {style}/>')
        label = escape(words.get(f"attack:{name}", str(name)))
        parts.append(f'<text x="{left + 28}" y="{top}" font-size="11">{label}</text>')
    for share in (0.0, 0.5, 1.0):
        x, y = at((share, 0.0)).split(",")
        shown = _percent(share, words, 0)
        parts.append(
            f'<text x="{x}" y="{float(y) + 16:.1f}" font-size="11" text-anchor="middle">'
            f"{shown}</text>"
        )
    parts.append(
        f'<text x="{MARGIN + SIZE / 2}" y="{height - 6}" font-size="11" text-anchor="middle">'
        f"{escape(words['roc'])}</text></svg>"
    )
    return Markup("".join(parts))  # noqa: S704  (every word is escaped above)


def _error(value: float | None, words: Mapping[str, str]) -> str:
    if value is None or value > 1:
        return words["worse"]
    return _decimal(value, 3, words)


def _rate(rate: Json, words: Mapping[str, str]) -> str:
    value, low, high = (number(rate.get(key)) or 0.0 for key in ("value", "low", "high"))
    return (
        f"{_percent(value, words, 1)} [{_percent(low, words, 1)}, {_percent(high, words, 1)}], "
        f"{_whole(rate, 'hits')}/{_whole(rate, 'of')}"
    )


def _percent(share: float, words: Mapping[str, str], digits: int) -> str:
    return f"{_decimal(100 * share, digits, words)}\N{NARROW NO-BREAK SPACE}%"


def _decimal(value: float, digits: int, words: Mapping[str, str]) -> str:
    return f"{value:.{digits}f}".replace(".", words["decimal"])


def _whole(row: Json, key: str) -> int:
    return round(number(row.get(key)) or 0)
