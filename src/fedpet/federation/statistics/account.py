"""What a statistic cost and what was withheld: the disclosure report beside every result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from fedpet.federation.journal import Closed
from fedpet.plan import Plan
from fedpet.survival.disclosure import CELL_MIN
from fedpet.survival.disclosure_grid import DEPARTURES_MIN, GRID_DAYS_MIN

FLOAT_BYTES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What one statistic asked, of whom, and what it does not tell.

    Args:
        questions: Questions asked.
        replayed: Of those, answered from the journal.
        floats_up: Numbers that one site sent, all questions together.
        floats_down: Numbers that one site was sent.
        seconds: From the first question to the result.
        sites: Sites that answered every question.
        left_out: Why a site is not in the result.
        thresholds: What was kept to, by its name; a hospital's own rules may be stricter.
        merged: Intervals of time that were merged because few left or died in them.
        hidden: Counts that are not told because they are small, or would tell of small ones.
    """

    questions: int
    replayed: int
    floats_up: int
    floats_down: int
    seconds: float
    sites: tuple[str, ...]
    left_out: Mapping[str, str]
    thresholds: Mapping[str, float]
    merged: int = 0
    hidden: int = 0

    def report(self) -> dict[str, object]:
        """Return the account as JSON values."""
        values = asdict(self)
        return {**values, "sites": list(self.sites), "seconds": round(self.seconds, 4)}


def account_of(
    steps: Sequence[Closed],
    plan: Plan,
    *,
    replayed: int,
    floats_up: int,
    seconds: float,
    result: object,
) -> Account:
    """Add up what the closed steps of a statistic cost.

    Args:
        steps: Its steps, from the journal.
        plan: The plan.
        replayed: Steps that were answered from the journal.
        floats_up: Numbers that one site sent.
        seconds: From the first question to the result.
        result: What it gave; its `hidden` and `merged` counts, if it has any.
    """
    summed = [closed for closed in steps if not _released(closed)] or list(steps)
    left_out = {
        site: state for closed in summed for site, state in closed.sites.items() if state != "ok"
    }
    asked = {site for closed in summed for site in closed.sites}
    return Account(
        questions=len(steps),
        replayed=replayed,
        floats_up=floats_up,
        floats_down=sum(_each(closed.bytes_out, len(closed.sites)) for closed in steps),
        seconds=seconds,
        sites=tuple(sorted(asked - left_out.keys())),
        left_out=left_out,
        thresholds={
            "sites at least": plan.sites.sites_min,
            "count at least": CELL_MIN,
            "days of an interval at least": GRID_DAYS_MIN,
            "departures and deaths of an interval at least": DEPARTURES_MIN,
        },
        merged=int(getattr(result, "merged", 0) or 0),
        hidden=int(getattr(result, "hidden", 0) or 0),
    )


def _released(closed: Closed) -> bool:
    """Tell whether answers were kept apart by site; who refuses that is in the sums still."""
    return all("/" in name for name in closed.arrays)


def _each(size_bytes: int, sites: int) -> int:
    return round(size_bytes / FLOAT_BYTES / sites) if sites else 0
