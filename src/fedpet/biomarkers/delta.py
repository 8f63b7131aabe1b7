"""Change between two scans of one subject."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from fedpet.errors import DataError


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The biomarkers of one scan.

    Args:
        day: Of the scan.
        values: By name.
    """

    day: date
    values: Mapping[str, float]


def relative_changes(one: Measured, other: Measured) -> dict[str, float]:
    """Return the change of each biomarker from the earlier scan to the later one.

    The earlier scan is the baseline, whichever is given first. A change is
    (later - baseline) / |baseline|: -0.3 is a fall by 30 %. From 0 to 0 nothing changed (0); from
    0 to anything else there is no relative change (NaN).

    Args:
        one: A scan.
        other: Another scan of the same subject, with biomarkers of the same names.

    Returns:
        `delta_<name>` for the names that both have.

    Raises:
        DataError: If both are of one day, or share no biomarker.

    Source:
        Relative change as in PERCIST 1.0 (Wahl et al. 2009).

    Examples:
        >>> before = Measured(day=date(2024, 1, 10), values={"tmtv_ml": 50.0})
        >>> after = Measured(day=date(2024, 3, 5), values={"tmtv_ml": 35.0})
        >>> relative_changes(after, before)
        {'delta_tmtv_ml': -0.3}
    """
    if one.day == other.day:
        raise DataError(
            "Both scans are of the same day, so that neither is the baseline.",
            do="Give two scans of different days.",
        )
    baseline, later = (one, other) if one.day < other.day else (other, one)
    names = [name for name in baseline.values if name in later.values]
    if not names:
        raise DataError(
            "The two scans share no biomarker.",
            do="Build both with the same `biomarkers` in cohort.toml.",
        )
    return {f"delta_{name}": _change(baseline.values[name], later.values[name]) for name in names}


def _change(before: float, after: float) -> float:
    if before == 0:
        return 0.0 if after == 0 else math.nan
    return (after - before) / abs(before)
