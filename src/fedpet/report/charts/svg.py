"""SVG elements with escaped text.

Charts are as wide as the page lets them be: along x everything is in percent, along y in pixels,
so that letters keep their size on a narrow screen. Paths, which know no percent, lie in a nested
picture of 1000 units that stretches.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from markupsafe import Markup, escape

PATH_WIDTH = 1000.0
Value = str | float | int


def tag(name: str, *children: str, **attributes: Value) -> Markup:
    """Return one element; `stroke_width` becomes `stroke-width`, `class_` becomes `class`.

    Examples:
        >>> tag("text", "a < b", text_anchor="end", x=1.50)
        Markup('<text text-anchor="end" x="1.5">a &lt; b</text>')
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_value(value))}"'
        for key, value in attributes.items()
    )
    inside = "".join(escape(child) for child in children)
    return Markup(f"<{name}{written}>{inside}</{name}>" if children else f"<{name}{written}/>")  # noqa: S704


def _value(value: Value) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def percent(value: float) -> str:
    """Write a share of the width.

    Examples:
        >>> percent(12.5)
        '12.5%'
    """
    return f"{_value(float(value))}%"


def slug(name: str) -> str:
    """Make an identifier of any text.

    Examples:
        >>> slug("Network, <b>")
        'network-b'
    """
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "x"


def picture(
    *children: str, name: str, title: str, description: str, height: float, css: str = "chart"
) -> Markup:
    """Return a whole chart that tells a screen reader its title and what it shows."""
    key = slug(name)
    return tag(
        "svg",
        tag("title", title, id=f"{key}-title"),
        tag("desc", description, id=f"{key}-desc"),
        *children,
        class_=css,
        role="img",
        aria_labelledby=f"{key}-title",
        aria_describedby=f"{key}-desc",
        width="100%",
        height=height,
    )


def stretched(*paths: str, height: float) -> Markup:
    """Return the nested picture in which `path` draws."""
    return tag(
        "svg",
        *paths,
        x=0,
        y=0,
        width="100%",
        height=height,
        viewBox=f"0 0 {PATH_WIDTH:g} {_value(float(height))}",
        preserveAspectRatio="none",
        overflow="visible",
    )


def path(points: Sequence[tuple[float, float]], *, closed: bool = False, **style: Value) -> Markup:
    """Return a line through points given as (percent, pixel)."""
    drawn = "L".join(f"{_value(x * PATH_WIDTH / 100)} {_value(float(y))}" for x, y in points)
    return tag(
        "path", d=f"M{drawn}{'Z' if closed else ''}", vector_effect="non-scaling-stroke", **style
    )
