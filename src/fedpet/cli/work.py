"""Work that goes hospital by hospital, such as building cohorts: a value that grows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One hospital's part of the work.

    Args:
        done: Things done.
        total: Things to do; 0 while unknown.
        state: `waiting`, `working`, `answered` (done) or `failed`.
        note: What else to tell.
    """

    done: int = 0
    total: int = 0
    state: str = "waiting"
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Work over hospitals.

    Args:
        title: What is done.
        things: What is counted, such as `scans`.
        shares: By hospital.
        fresh: Things done since the start that were not done before; they tell the pace.
    """

    title: str
    things: str
    shares: Mapping[str, Share] = field(default_factory=dict)
    fresh: int = 0

    def with_share(self, site: str, share: Share, *, fresh: int = 0) -> Work:
        """Return the work with a hospital's part replaced."""
        shares = {**self.shares, site: share}
        return replace(self, shares=shares, fresh=self.fresh + fresh)

    @property
    def done(self) -> int:
        """Things done at all hospitals."""
        return sum(share.done for share in self.shares.values())

    @property
    def total(self) -> int:
        """Things to do at all hospitals, as far as known."""
        return sum(share.total for share in self.shares.values())

    def seconds_left(self, elapsed_s: float) -> float | None:
        """Return the seconds that should remain; None where that is unknown."""
        unknown = any(
            share.state == "waiting" and not share.total for share in self.shares.values()
        )
        if unknown or self.fresh < 5:
            return None
        return elapsed_s / self.fresh * (self.total - self.done)
