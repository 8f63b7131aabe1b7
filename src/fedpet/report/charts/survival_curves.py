"""Kaplan-Meier curves with bands, and the numbers at risk aligned under the axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from fedpet.report.charts.scales import Scale
from fedpet.report.charts.svg import path, percent, picture, stretched, tag

PLOT = 250.0
GROUP_ROW = 34.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One group's curve.

    Args:
        look: `low`, `middle` or `high`: colour and dash.
        label: The group in the reader's words.
        months: Times, from 0, increasing.
        survival: Share that is event-free from each time on.
        low: Lower 95 % limit.
        high: Upper 95 % limit.
        at_risk: What is printed under each tick.
    """

    look: str
    label: str
    months: Sequence[float]
    survival: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    at_risk: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """The words of a chart."""

    name: str
    title: str
    description: str
    y_axis: str
    x_axis: str
    at_risk: str
    percents: Sequence[str]


def draw(curves: Sequence[Curve], *, ticks: Sequence[float], labels: Labels) -> Markup:
    """Draw curves of survival against months.

    Args:
        curves: At most three.
        ticks: Times under which numbers at risk are written, in months.
        labels: The words; `percents` name 0, 25, 50, 75 and 100 %.
    """
    scale = Scale(low=0.0, high=max([1.0, *ticks]), ticks=tuple(ticks))
    table_top = PLOT + 62
    height = table_top + GROUP_ROW * len(curves) + 4
    return picture(
        tag("text", labels.y_axis, x=-40, y=-12, class_="quiet"),
        *_grid(labels.percents),
        stretched(
            *(_band(curve, scale) for curve in curves),
            *(_line(curve, scale) for curve in curves),
            height=PLOT,
        ),
        *_time_axis(scale, labels.x_axis),
        tag("text", labels.at_risk, x=0, y=table_top - 4, class_="head"),
        *(
            element
            for index, curve in enumerate(curves)
            for element in _at_risk(curve, scale, y=table_top + GROUP_ROW * index)
        ),
        name=labels.name,
        title=labels.title,
        description=labels.description,
        height=height,
        css="chart plot",
    )


def _y(share: float) -> float:
    return (1 - share) * PLOT


def _grid(percents: Sequence[str]) -> list[Markup]:
    drawn = []
    for share, label in zip((0.0, 0.25, 0.5, 0.75, 1.0), percents, strict=True):
        y = _y(share)
        drawn.append(tag("line", x1=0, x2="100%", y1=y, y2=y, class_="grid" if share else "base"))
        drawn.append(tag("text", label, x=-8, y=y + 4, text_anchor="end"))
    return drawn


def _time_axis(scale: Scale, label: str) -> list[Markup]:
    drawn = []
    for tick in scale.ticks:
        at = percent(scale.x(tick))
        drawn.append(tag("line", x1=at, x2=at, y1=PLOT, y2=PLOT + 5, class_="base"))
        drawn.append(tag("text", f"{tick:g}", x=at, y=PLOT + 19, text_anchor="middle"))
    drawn.append(tag("text", label, x="50%", y=PLOT + 36, text_anchor="middle", class_="quiet"))
    return drawn


def steps(
    months: Sequence[float], shares: Sequence[float], scale: Scale
) -> list[tuple[float, float]]:
    """Return the corners of a step function as (percent, pixel).

    Examples:
        >>> axis = Scale(low=0, high=10, ticks=())
        >>> steps([0, 5], [1.0, 0.5], axis)
        [(0.0, 0.0), (50.0, 0.0), (50.0, 125.0)]
    """
    corners: list[tuple[float, float]] = []
    for month, share in zip(months, shares, strict=False):
        if scale.outside(month):
            break
        if corners:
            corners.append((scale.x(month), corners[-1][1]))
        corners.append((scale.x(month), _y(share)))
    return corners[:1] + [b for a, b in pairwise(corners) if a != b]


def _band(curve: Curve, scale: Scale) -> Markup:
    above = steps(curve.months, curve.high, scale)
    below = steps(curve.months, curve.low, scale)
    if not above or not below:
        return Markup()
    return path(above + below[::-1], closed=True, class_=f"band {curve.look}")


def _line(curve: Curve, scale: Scale) -> Markup:
    corners = steps(curve.months, curve.survival, scale)
    return path(corners, class_=f"line {curve.look}") if corners else Markup()


def _at_risk(curve: Curve, scale: Scale, *, y: float) -> list[Markup]:
    drawn = [
        tag("line", x1=0, x2=22, y1=y + 9, y2=y + 9, class_=f"line {curve.look}"),
        tag("text", curve.label, x=28, y=y + 13, class_="quiet"),
    ]
    for tick, shown in zip(scale.ticks, curve.at_risk, strict=False):
        drawn.append(
            tag(
                "text",
                shown,
                x=percent(scale.x(tick)),
                y=y + 28,
                text_anchor="middle",
                class_="count",
            )
        )
    return drawn
