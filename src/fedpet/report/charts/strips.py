"""A chart in the rows of a table: an interval, a bar or a row of states beside its numbers.

The numbers stand in the table as text, so each strip is only a picture of its own row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from fedpet.report.charts.scales import Scale
from fedpet.report.charts.svg import percent, tag
from fedpet.report.document import Estimate

BEYOND_LEFT = "\N{BLACK LEFT-POINTING SMALL TRIANGLE}"
BEYOND_RIGHT = "\N{BLACK RIGHT-POINTING SMALL TRIANGLE}"


@dataclass(frozen=True, slots=True)
class Reference:
    """A line through all rows: `chance`, `overall` or `ceiling` is its look."""

    value: float
    look: str


def _strip(*children: str, title: str) -> Markup:
    return tag("svg", tag("title", title), *children, class_="strip", role="img", aria_label=title)


def axis(scale: Scale, labels: Sequence[str], *, title: str, anchor: float) -> Markup:
    """Return the labels of an axis, for the head of the column.

    Args:
        scale: The axis of the column.
        labels: Its ticks as they are printed.
        title: What the axis shows.
        anchor: The tick that stays on a narrow screen, with the ends if they are far from it.
    """
    texts = [
        tag(
            "text",
            label,
            x=percent(scale.x(tick)),
            y=14,
            text_anchor="middle",
            class_="major" if _stays(tick, scale, anchor) else "minor",
        )
        for tick, label in zip(scale.ticks, labels, strict=True)
    ]
    return tag(
        "svg", tag("title", title), *texts, class_="axis", role="img", width="100%", height=18
    )


def _stays(tick: float, scale: Scale, anchor: float) -> bool:
    end = tick in (scale.ticks[0], scale.ticks[-1])
    alone = all(abs(other - anchor) > 1e-9 for other in scale.ticks)
    far = alone or abs(scale.share(tick) - scale.share(anchor)) >= 0.45
    return abs(tick - anchor) < 1e-9 or (end and far)


def _references(scale: Scale, references: Sequence[Reference]) -> list[Markup]:
    return [
        tag(
            "line",
            x1=percent(scale.x(line.value)),
            x2=percent(scale.x(line.value)),
            y1="0",
            y2="100%",
            class_=f"ref {line.look}",
        )
        for line in references
        if not scale.outside(line.value)
    ]


def interval(
    scale: Scale,
    found: Estimate | None,
    *,
    references: Sequence[Reference] = (),
    look: str = "plain",
    title: str = "",
    bar_from: float | None = None,
) -> Markup:
    """Draw one estimate with its interval.

    Args:
        scale: The axis of the column.
        found: The estimate; None draws only the reference lines.
        references: Lines through all rows.
        look: Style of the mark: `plain`, `strong` or `quiet`.
        title: The row in words.
        bar_from: Where a bar starts; None draws a mark only.
    """
    drawn = _references(scale, references)
    if found is None:
        return _strip(*drawn, title=title)
    at = scale.x(found.value)
    if bar_from is not None:
        first, last = sorted((scale.x(bar_from), at))
        drawn.append(
            tag(
                "rect",
                x=percent(first),
                y="22%",
                width=percent(last - first),
                height="56%",
                class_=f"bar {look}",
            )
        )
    if found.low is not None and found.high is not None:
        drawn += _whisker(scale, found.low, found.high, look="whisker" if bar_from else look)
    if bar_from is None:
        drawn.append(tag("circle", cx=percent(at), cy="50%", r=5, class_=f"mark {look}"))
    return _strip(*drawn, title=title)


def _whisker(scale: Scale, low: float, high: float, *, look: str) -> list[Markup]:
    first, last = percent(scale.x(low)), percent(scale.x(high))
    drawn = [tag("line", x1=first, x2=last, y1="50%", y2="50%", class_=f"whisker {look}")]
    for value, place, sign in ((low, first, BEYOND_LEFT), (high, last, BEYOND_RIGHT)):
        if scale.outside(value):
            drawn.append(
                tag("text", sign, x=place, y="50%", dy="0.35em", text_anchor="middle", class_="off")
            )
        else:
            drawn.append(
                tag("line", x1=place, x2=place, y1="34%", y2="66%", class_=f"whisker {look}")
            )
    return drawn


def states(row: Sequence[str], *, title: str) -> Markup:
    """Draw one cell per round: full where the site answered, a cross where it failed, else empty.

    Args:
        row: `ok`, `missed` or `absent` for every round.
        title: The row in words.
    """
    width = 100 / max(len(row), 1)
    drawn: list[Markup] = []
    for index, state in enumerate(row):
        drawn.append(
            tag(
                "rect",
                x=percent(index * width + width * 0.08),
                y="18%",
                width=percent(width * 0.84),
                height="64%",
                class_=f"state {state if state in ('ok', 'missed') else 'absent'}",
            )
        )
        if state == "missed":
            drawn.append(
                tag(
                    "text",
                    "×",
                    x=percent((index + 0.5) * width),
                    y="50%",
                    dy="0.35em",
                    text_anchor="middle",
                    class_="cross",
                )
            )
    return _strip(*drawn, title=title)


def round_axis(rounds: int, *, title: str) -> Markup:
    """Return round numbers over the cells of `states`, as many as are readable."""
    every = next(step for step in (1, 5, 10, 50, 100, 1000, 10**6) if rounds / step <= 12)
    shown = [n for n in range(1, rounds + 1) if n == 1 or n % every == 0]
    texts = [
        tag("text", str(n), x=percent((n - 0.5) * 100 / rounds), y=14, text_anchor="middle")
        for n in shown
    ]
    return tag(
        "svg", tag("title", title), *texts, class_="axis", role="img", width="100%", height=18
    )
