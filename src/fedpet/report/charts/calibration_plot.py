"""Observed against predicted probability, by groups of similar predicted risk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from fedpet.report.charts.svg import path, percent, picture, stretched, tag

PLOT = 250.0
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One group: predicted and observed probability of the event, with its 95 % interval."""

    predicted: float
    observed: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One arm's groups; `look` is `network` (circles) or `cox` (squares)."""

    look: str
    points: Sequence[Point]


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """The words of a chart."""

    name: str
    title: str
    description: str
    x_axis: str
    y_axis: str
    percents: Sequence[str]


def draw(series: Sequence[Series], *, labels: Labels) -> Markup:
    """Draw groups around the diagonal on which a perfect forecast lies."""
    drawn = [tag("text", labels.y_axis, x=-40, y=-12, class_="quiet")]
    for share, label in zip(SHARES, labels.percents, strict=True):
        y, x = (1 - share) * PLOT, percent(100 * share)
        drawn += [
            tag("line", x1=0, x2="100%", y1=y, y2=y, class_="grid"),
            tag("line", x1=x, x2=x, y1=0, y2=PLOT, class_="grid"),
            tag("text", label, x=-8, y=y + 4, text_anchor="end"),
            tag("text", label, x=x, y=PLOT + 18, text_anchor="middle"),
        ]
    drawn.append(stretched(path([(0, PLOT), (100, 0)], class_="diagonal"), height=PLOT))
    for one in series:
        for point in one.points:
            drawn += _point(point, one.look)
    drawn.append(
        tag("text", labels.x_axis, x="50%", y=PLOT + 36, text_anchor="middle", class_="quiet")
    )
    return picture(
        *drawn,
        name=labels.name,
        title=labels.title,
        description=labels.description,
        height=PLOT + 42,
        css="chart plot",
    )


def _point(point: Point, look: str) -> list[Markup]:
    x, y = percent(100 * min(max(point.predicted, 0), 1)), (1 - point.observed) * PLOT
    drawn = []
    if point.low is not None and point.high is not None:
        drawn.append(
            tag(
                "line",
                x1=x,
                x2=x,
                y1=(1 - point.low) * PLOT,
                y2=(1 - point.high) * PLOT,
                class_=f"whisker {look}",
            )
        )
    if look == "network":
        drawn.append(tag("circle", cx=x, cy=y, r=4.5, class_=f"mark {look}"))
    else:
        square = tag("rect", x=-4, y=-4, width=8, height=8, class_=f"mark {look}")
        drawn.append(tag("svg", square, x=x, y=y, overflow="visible", width=1, height=1))
    return drawn
