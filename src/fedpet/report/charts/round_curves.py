"""Training loss by round: thin lines for the folds, a thick one for the model that is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from fedpet.report.charts.scales import Scale, linear, step_for
from fedpet.report.charts.svg import path, percent, picture, stretched, tag

PLOT = 230.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One fit: rounds, losses, and whether its model is kept."""

    rounds: Sequence[float]
    losses: Sequence[float]
    kept: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """The words of a chart."""

    name: str
    title: str
    description: str
    x_axis: str
    y_axis: str
    kept: str


def draw(lines: Sequence[Line], *, labels: Labels, written: Sequence[str], axis: Scale) -> Markup:
    """Draw losses against rounds.

    Args:
        lines: The fits; kept ones are drawn last, so that they lie on top.
        labels: The words.
        written: The ticks of `axis` as they are printed.
        axis: The axis of losses, from `loss_axis`.
    """
    last = max((max(line.rounds, default=1.0) for line in lines), default=1.0)
    x = _round_axis(last)
    ordered = sorted(lines, key=lambda line: line.kept)
    drawn = [tag("text", labels.y_axis, x=-40, y=-12, class_="quiet")]
    for tick, label in zip(axis.ticks, written, strict=True):
        y = _y(axis, tick)
        drawn.append(tag("line", x1=0, x2="100%", y1=y, y2=y, class_="grid"))
        drawn.append(tag("text", label, x=-8, y=y + 4, text_anchor="end"))
    for tick in x.ticks:
        at = percent(x.x(tick))
        drawn.append(tag("text", f"{tick:g}", x=at, y=PLOT + 19, text_anchor="middle"))
    drawn.append(stretched(*(_line(line, x, axis) for line in ordered), height=PLOT))
    for line in ordered:
        if line.kept and line.losses:
            at, y = percent(x.x(line.rounds[-1])), _y(axis, line.losses[-1])
            drawn.append(tag("circle", cx=at, cy=y, r=5, class_="mark strong"))
            drawn.append(
                tag("text", labels.kept, x=at, y=y - 12, text_anchor="end", class_="head halo")
            )
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


def loss_axis(lines: Sequence[Line]) -> Scale:
    """Return the axis of losses around all lines."""
    return linear((loss for line in lines for loss in line.losses), most=5)


def _round_axis(last: float) -> Scale:
    step = max(1.0, step_for(last, most=6))
    ticks = tuple(
        float(tick) for tick in (1, *(step * n for n in range(1, 1000) if 1 < step * n <= last))
    )
    return Scale(low=1.0, high=max(last, 2.0), ticks=ticks)


def _y(axis: Scale, loss: float) -> float:
    return (1 - axis.share(loss)) * PLOT


def _line(line: Line, x: Scale, y: Scale) -> Markup:
    points = [(x.x(r), _y(y, loss)) for r, loss in zip(line.rounds, line.losses, strict=False)]
    if not points:
        return Markup()
    return path(points, class_="line kept" if line.kept else "line fold")
