"""Decision curves: net benefit by threshold probability."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from fedpet.report.charts.scales import Scale
from fedpet.report.charts.svg import path, percent, picture, stretched, tag

PLOT = 230.0
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One policy: net benefit at each threshold; `look` is a class of the style sheet."""

    look: str
    thresholds: Sequence[float]
    benefits: Sequence[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """The words of a chart."""

    name: str
    title: str
    description: str
    x_axis: str
    y_axis: str
    percents: Sequence[str]


def draw(lines: Sequence[Line], *, labels: Labels, written: Sequence[str], axis: Scale) -> Markup:
    """Draw net benefit against threshold; below the axis of benefits a line ends.

    Args:
        lines: The policies.
        labels: The words.
        written: The ticks of `axis` as they are printed.
        axis: The axis of benefits.
    """
    drawn = [tag("text", labels.y_axis, x=-40, y=-12, class_="quiet")]
    for tick, label in zip(axis.ticks, written, strict=True):
        y = (1 - axis.share(tick)) * PLOT
        drawn.append(tag("line", x1=0, x2="100%", y1=y, y2=y, class_="grid"))
        drawn.append(tag("text", label, x=-8, y=y + 4, text_anchor="end"))
    for share, label in zip(SHARES, labels.percents, strict=True):
        at = percent(100 * share)
        drawn.append(tag("text", label, x=at, y=PLOT + 19, text_anchor="middle"))
    drawn.append(stretched(*(_line(line, axis) for line in lines), height=PLOT))
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


def _line(line: Line, axis: Scale) -> Markup:
    points = []
    for threshold, benefit in zip(line.thresholds, line.benefits, strict=False):
        if benefit < axis.low:
            break
        points.append((100 * threshold, (1 - axis.share(benefit)) * PLOT))
    return path(points, class_=f"line {line.look}") if len(points) > 1 else Markup()
