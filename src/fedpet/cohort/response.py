"""Categories of response, by the criterion that named them."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

Criterion: TypeAlias = Literal["RECIST 1.1", "iRECIST", "PERCIST"]
NOT_EVALUABLE = ("ne", "not evaluable", "inevaluable", "nd", "not done")
# Yes: complete and partial response. Everything else that was evaluated is no response.
YES: dict[str, tuple[str, ...]] = {
    "RECIST 1.1": ("cr", "pr", "complete response", "partial response"),
    "iRECIST": ("icr", "ipr", "immune complete response", "immune partial response"),
    "PERCIST": (
        "cmr", "pmr", "complete metabolic response", "partial metabolic response",
    ),
}  # fmt: skip
NO: dict[str, tuple[str, ...]] = {
    "RECIST 1.1": ("sd", "pd", "non-cr/non-pd", "stable disease", "progressive disease"),
    "iRECIST": (
        "isd", "iupd", "icpd", "immune stable disease", "immune unconfirmed progressive disease",
        "immune confirmed progressive disease",
    ),
    "PERCIST": (
        "smd", "pmd", "upmd", "cpmd", "stable metabolic disease", "progressive metabolic disease",
        "unconfirmed progressive metabolic disease", "confirmed progressive metabolic disease",
    ),
}  # fmt: skip


def categories(criterion: Criterion | None) -> dict[str, float]:
    """Return the number of each category in lower case: 1, 0, or NaN where it was not evaluable.

    iRECIST names its categories before the first progression without "i" as well, and a best
    response of unconfirmed progression is no response.

    Source:
        Eisenhauer 2009 (RECIST 1.1); Seymour 2017 (iRECIST); Wahl 2009 (PERCIST 1.0);
        Goldfarb 2019 (iPERCIST, UPMD and CPMD).

    Examples:
        >>> categories("PERCIST")["cmr"], categories("iRECIST")["iupd"]
        (1.0, 0.0)
        >>> "cmr" in categories("RECIST 1.1")
        False
    """
    if criterion is None:
        return {}
    names = ("RECIST 1.1", "iRECIST") if criterion == "iRECIST" else (criterion,)
    told = dict.fromkeys(NOT_EVALUABLE, math.nan)
    for name in names:
        told |= dict.fromkeys(YES[name], 1.0) | dict.fromkeys(NO[name], 0.0)
    return told
