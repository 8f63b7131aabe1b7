"""What does not fit together between sites: units, codes, constants, times.

Alarms compare what each site told of itself (`site_table`) with the others. They point to where
somebody should look; they are no proof. A site's name is all that they say of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

SITES_MIN = 3
APART = 3.0
ALIKE = 1.6
CODED_MIN = 0.99
IMPUTED_MIN = 0.3
MISSING_APART = 0.4
FACTORS = {
    7.0: "days against weeks",
    10.0: "g/L against g/dL, or cm against mm",
    12.0: "years against months",
    18.0: "glucose: mg/dL against mmol/L",
    30.4375: "days against months",
    52.18: "weeks against years",
    88.42: "creatinine: umol/L against mg/dL",
    100.0: "per cent against share, or m against cm",
    365.25: "days against years",
    1000.0: "mL against L, or g against mg",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What one site told of one column.

    Args:
        known: Subjects with a value, 0 if that is hidden or nobody has one.
        missing: Subjects without, 0 if that is hidden.
        mean: 0 if it was not told.
        sd: 0 if it was not told.
        coded: Share of values that are 0 or 1.
        mode: Share of the most frequent value.
        constant: Whether all have the same value.
    """

    known: float
    missing: float
    mean: float
    sd: float
    coded: float
    mode: float
    constant: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeFacts:
    """What one site told of one endpoint: subjects, share of events, share at time 0, mean days."""

    known: float
    events: float
    zero: float
    mean_days: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """Something that somebody should look at.

    Args:
        site: Where.
        about: Which column or endpoint.
        kind: `unit`, `constant`, `imputed`, `inverted`, `coding`, `missing`, `absent` or `times`.
        text: What was found and expected, in a sentence.
    """

    site: str
    about: str
    kind: str
    text: str


def column_alarms(column: str, facts: Mapping[str, Facts]) -> list[Alarm]:
    """Compare a column between sites.

    Args:
        column: Its name.
        facts: What each site told of it.
    """
    found = []
    for site, own in facts.items():
        others = [one for name, one in facts.items() if name != site and one.known > 0]
        for kind, text in _about_column(own, others):
            found.append(Alarm(site=site, about=column, kind=kind, text=text))
    return found


def _about_column(own: Facts, others: list[Facts]) -> list[tuple[str, str]]:
    if own.known == 0:
        known = "a few of the" if own.missing == 0 else "none of the"
        return [("absent", f"{known} subjects here have a value.")] if others else []
    if own.constant:
        rest = "" if all(one.constant for one in others) else ", and not so at other sites"
        return [("constant", f"all subjects here have the same value{rest}.")]
    found = []
    usual = [one.mode for one in others]
    often = own.coded < CODED_MIN and own.mode >= IMPUTED_MIN
    if often and usual and own.mode > 2 * max(np.median(usual), 0.05):
        share = f"{own.mode:.0%} of the subjects here have one same value"
        found.append(("imputed", f"{share}; at other sites {np.median(usual):.0%}."))
    if len(others) >= SITES_MIN - 1:
        found += [*_coding(own, others), *_missing(own, others)]
    return found


def _coding(own: Facts, others: list[Facts]) -> list[tuple[str, str]]:
    coded = float(np.median([one.coded for one in others]))
    if coded >= CODED_MIN and own.coded < CODED_MIN:
        return [("coding", "other values than 0 and 1, which is what other sites hold.")]
    if own.coded >= CODED_MIN:
        if coded < CODED_MIN:
            return [("coding", "only 0 and 1, other values at other sites.")]
        shares = [one.mean for one in others if one.coded >= CODED_MIN and not one.constant]
        return _inverted(own, shares) if shares else []
    means = np.array([abs(one.mean) for one in others if one.mean != 0 and one.sd > 0])
    spreads = np.array([one.sd for one in others if one.mean != 0 and one.sd > 0])
    if not len(means) or own.mean == 0 or own.sd == 0:
        return []
    ratio, spread = abs(own.mean) / np.median(means), own.sd / np.median(spreads)
    factor = max(ratio, 1 / ratio)
    together = max(ratio / spread, spread / ratio)
    # Sites may differ; one in another unit differs in mean and spread by the same large factor.
    if factor < APART or together > 2 * ALIKE or (means > APART * np.median(means)).mean() > 0.4:
        return []
    return [("unit", f"values are {_times(ratio)} those of other sites{_likely(factor)}.")]


def _inverted(own: Facts, shares: list[float]) -> list[tuple[str, str]]:
    usual = float(np.median(shares))
    away, mirrored = abs(own.mean - usual), abs(own.mean - (1 - usual))
    error = np.sqrt(max(usual * (1 - usual), 1e-3) / own.known)
    agree = np.quantile([abs(share - usual) for share in shares], 0.8) < away
    if away > 0.3 and away > 4 * error and mirrored < away / 2 and agree:
        told = f"{own.mean:.0%} have 1 here and {usual:.0%} at other sites"
        return [("inverted", f"{told}; 0 and 1 may be exchanged.")]
    return []


def _missing(own: Facts, others: list[Facts]) -> list[tuple[str, str]]:
    def share(one: Facts) -> float:
        return one.missing / (one.known + one.missing)

    usual = float(np.median([share(one) for one in others]))
    if abs(share(own) - usual) > MISSING_APART:
        return [("missing", f"{share(own):.0%} lack a value; {usual:.0%} at other sites.")]
    return []


def time_alarms(endpoint: str, facts: Mapping[str, TimeFacts]) -> list[Alarm]:
    """Compare an endpoint between sites.

    Args:
        endpoint: Its name.
        facts: What each site told of it.
    """
    found = []
    for site, own in facts.items():
        others = [one for name, one in facts.items() if name != site and one.known > 0]
        if own.known == 0 or len(others) < SITES_MIN - 1:
            continue
        for text in _about_times(own, others):
            found.append(Alarm(site=site, about=endpoint, kind="times", text=text))
    return found


def _about_times(own: TimeFacts, others: list[TimeFacts]) -> list[str]:
    found = []
    usual = float(np.median([one.mean_days for one in others]))
    if own.mean_days > 0 and usual > 0:
        ratio = own.mean_days / usual
        factor = max(ratio, 1 / ratio)
        if factor >= 2 * APART:
            found.append(f"times are {_times(ratio)} those of other sites{_likely(factor)}.")
    if own.zero > 0.2 and own.zero > 2 * max(float(np.median([o.zero for o in others])), 0.05):
        found.append(f"{own.zero:.0%} of the times are 0.")
    events = float(np.median([one.events for one in others]))
    away, mirrored = abs(own.events - events), abs(own.events - (1 - events))
    if away > 0.3 and mirrored < away / 2:
        told = f"{own.events:.0%} have the event here and {events:.0%} at other sites"
        found.append(f"{told}; events and censorings may be exchanged.")
    return found


def _times(ratio: float) -> str:
    return f"about {ratio:.3g} times" if ratio >= 1 else f"about 1/{1 / ratio:.3g} of"


def _likely(factor: float) -> str:
    nearest = min(FACTORS, key=lambda known: abs(np.log(known / factor)))
    close = abs(np.log(nearest / factor)) < np.log(1.3)
    return f" ({FACTORS[nearest]}?)" if close else ""
