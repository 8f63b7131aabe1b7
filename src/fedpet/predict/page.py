"""One page about one subject: it needs no other file, and asks for none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from fedpet.errors import NotFoundError
from fedpet.predict import pictures
from fedpet.predict.subject import UNLIKE, Prediction
from fedpet.predict.words import CATALOGUES, decimal, percent

WIDTH, HEIGHT = 640.0, 250.0
LEFT, TOP, RIGHT, BOTTOM = 46.0, 12.0, 10.0, 34.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """Which run this is.

    Args:
        title: The plan's title.
        fingerprint: The plan's fingerprint.
        network: Name of the network that tells the risk.
        made: When the page was made.
    """

    title: str
    fingerprint: str
    network: str
    made: str


def render(prediction: Prediction, heading: Heading, *, language: str = "en") -> str:
    """Write the page.

    Args:
        prediction: From `subject.predict`.
        heading: Which run this is.
        language: `en` or `fr`.

    Raises:
        NotFoundError: If the language is not known.
    """
    if language not in CATALOGUES:
        raise NotFoundError(
            f"There is no page in '{language}'.", do="Choose one of: " + ", ".join(CATALOGUES)
        )
    environment = Environment(
        loader=PackageLoader("fedpet.predict", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("subject.html").render(
        language=language,
        words=CATALOGUES[language],
        heading=heading,
        subject=prediction.subject,
        chart=_chart(prediction, language),
        band=prediction.refits,
        times=_times(prediction, language),
        bound=_bound(prediction, language),
        like=_like(prediction, language),
        unlike=prediction.unlike,
        unseen=prediction.unseen,
        views=_views(prediction),
        rows=_rows(prediction, language),
        sums=_sums(prediction, language),
        months=f"{prediction.months[-1]:g}",
        rest=decimal(100 * prediction.attribution.unexplained, 2, language=language),
    )


def _times(prediction: Prediction, language: str) -> list[tuple[str, str, str]]:
    """Return event-free probabilities at a quarter, half and end of what is predicted."""
    last = len(prediction.months)
    chosen = sorted({max(0, last // 4 - 1), max(0, last // 2 - 1), last - 1})
    return [
        (
            f"{prediction.months[k]:g}",
            percent(float(prediction.survival[k]), language=language),
            f"{percent(float(prediction.low[k]), language=language)} – "
            f"{percent(float(prediction.high[k]), language=language)}",
        )
        for k in chosen
    ]


def _bound(prediction: Prediction, language: str) -> str:
    words = CATALOGUES[language]
    if prediction.bound_months is None:
        return words["bound_none"]
    end = prediction.bound_months >= prediction.months[-1] - 1e-9
    months = decimal(prediction.bound_months, 0 if end else 1, language=language)
    return words["bound_end" if end else "bound_value"].format(months=months)


def _like(prediction: Prediction, language: str) -> tuple[str, str]:
    words, share = CATALOGUES[language], prediction.share_as_far
    if share is None:
        return words["like_unknown"], words["like_unknown_note"]
    told = words["like_few"] if share < UNLIKE else percent(share, language=language)
    answer = words["like_no" if prediction.unlike else "like_yes"]
    note = words["like_note"].format(share=told)
    return answer, note[0].upper() + note[1:]


def _views(prediction: Prediction) -> list[tuple[str, str]]:
    maps = prediction.attribution.images
    largest = float(np.quantile(np.abs(maps), 0.998)) if maps.size else 0.0
    largest = largest or float(np.abs(maps).max(initial=0.0))
    return [
        (pictures.uptake(seen), pictures.looked(seen, told, largest=largest))
        for seen, told in zip(prediction.projections, maps, strict=True)
    ]


def _rows(prediction: Prediction, language: str) -> list[tuple[str, str, str, float]]:
    largest = max((abs(one.amount) for one in prediction.contributions), default=0.0) or 1.0
    return [
        (
            one.name,
            CATALOGUES[language]["missing"]
            if one.value is None
            else f"{one.value:g}".replace(".", "," if language == "fr" else "."),
            decimal(100 * one.amount, 1, language=language, signed=True),
            one.amount / largest,
        )
        for one in prediction.contributions
    ]


def _sums(prediction: Prediction, language: str) -> list[tuple[str, str]]:
    told, words = prediction.attribution, CATALOGUES[language]

    def points(value: float, *, signed: bool = True) -> str:
        return decimal(100 * value, 1, language=language, signed=signed)

    return [
        (words["average"], points(told.start, signed=False)),
        (words["images"], points(float(told.images.sum()))),
        (words["covariates"], points(float(told.covariates.sum()))),
        (words["this"], points(told.end, signed=False)),
    ]


def _chart(prediction: Prediction, language: str) -> dict[str, object]:
    """Return places of the curve, its band and the ticks, in the units of the drawing."""
    months = np.array([0.0, *prediction.months])
    across = LEFT + months / months[-1] * (WIDTH - LEFT - RIGHT)

    def down(share: float) -> float:
        return round(TOP + (1 - share) * (HEIGHT - TOP - BOTTOM), 1)

    def line(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> list[str]:
        both = zip(across, [1.0, *values], strict=True)
        return [f"{x:.1f},{down(float(y))}" for x, y in both]

    step = 6 if months[-1] <= 36 else 12
    ticks = np.arange(0, months[-1] + 1e-9, step)
    bound = prediction.bound_months
    return {
        "width": WIDTH,
        "height": HEIGHT,
        "left": LEFT,
        "right": WIDTH - RIGHT,
        "bottom": HEIGHT - BOTTOM,
        "top": TOP,
        "line": " ".join(line(prediction.survival)),
        "band": " ".join([*line(prediction.low), *reversed(line(prediction.high))]),
        "across": [
            (round(float(LEFT + t / months[-1] * (WIDTH - LEFT - RIGHT)), 1), f"{t:g}")
            for t in ticks
        ],
        "down": [(down(s), percent(s, language=language)) for s in (0.0, 0.25, 0.5, 0.75, 1.0)],
        "bound": None
        if bound is None
        else round(LEFT + bound / float(months[-1]) * (WIDTH - LEFT - RIGHT), 1),
    }
