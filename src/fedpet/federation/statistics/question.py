"""What every statistic shares: which subjects it is about, and how its questions are named."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

from fedpet.errors import PlanError
from fedpet.federation.asking import Execution, Question, ask
from fedpet.federation.journal import Closed
from fedpet.federation.records import Record
from fedpet.parameters import Parameters
from fedpet.plan import Statistic


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Subjects whose value of a column lies in [low, high); a missing value lies nowhere.

    Args:
        column: A column of the plan.
        low: Least value, None for no limit.
        high: First value beyond, None for no limit.
    """

    column: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subjects:
    """The analysis set: the subjects that statistics are about, the same in all of them.

    Args:
        complete: Columns that must be known.
        where: Ranges that all must hold.

    Examples:
        >>> Subjects(complete=("ecog",)).choice()["complete"]
        ['ecog']
    """

    complete: tuple[str, ...] = ()
    where: tuple[Range, ...] = ()

    def choice(self) -> dict[str, Any]:
        """Return the selection as a request carries it."""
        chosen: dict[str, Any] = {"fold": None, "part": "all", "members": None}
        if self.complete:
            chosen["complete"] = sorted(self.complete)
        if self.where:
            chosen["where"] = [
                {"column": one.column, "low": one.low, "high": one.high} for one in self.where
            ]
        return chosen


EVERYBODY = Subjects()


def sites_of(run: Execution) -> tuple[str, ...]:
    """Return the sites that a statistic asks: those of the plan, or all; never the pooled one.

    Raises:
        PlanError: If the plan names a site that is not part of the federation.
    """
    sites = run.plan.sites.names or tuple(site for site in run.engine.sites if site != run.pooled)
    if unknown := [site for site in sites if site not in run.engine.sites]:
        raise PlanError(
            f"The plan names site '{unknown[0]}', which is not part of this federation.",
            why=f"Known sites: {', '.join(run.engine.sites)}.",
        )
    return tuple(sites)


def require_allowed(run: Execution, topic: Statistic) -> None:
    """Refuse a statistic that the plan does not allow.

    Raises:
        PlanError: Saying which key of the plan allows it.
    """
    if topic not in run.plan.statistics.allowed:
        raise PlanError(
            f"The plan does not allow the statistic '{topic}'.",
            why="Hospitals approve by name what may be asked beside the experiment.",
            do=f'Add "{topic}" to `allowed` in [statistics]; hospitals approve the plan anew.',
            code="FP-2013",
        )


def inquire(
    run: Execution,
    topic: Statistic,
    *,
    kind: str,
    label: str,
    body: Mapping[str, Any],
    arrays: Parameters | None = None,
    sites: tuple[str, ...] | None = None,
    release: str | None = None,
    sites_min: int | None = None,
) -> Generator[Record, None, Closed]:
    """Ask one question of a statistic, named `statistics/<topic>/<start of its digest>`.

    Args:
        run: The execution.
        topic: The statistic; the plan must allow it.
        kind: What to compute; a name in the node's fixed table.
        label: The same in the reader's words.
        body: JSON values; holds `select`, from `Subjects.choice`.
        arrays: Arrays for every site.
        sites: Who is asked; all unless told. A statistic that asks several times goes on with
            `answered(closed)` of its first step.
        release: Name of a release, if answers are to be kept apart by site.
        sites_min: Answers needed; the plan's minimum unless told.

    Raises:
        PlanError: If the plan does not allow the statistic.
        UpdateError: If fewer sites than needed answered; it lists why.
    """
    require_allowed(run, topic)
    question = Question(
        step="",
        label=label,
        kind=kind,
        sites=sites_of(run) if sites is None else sites,
        body=body,
        arrays=arrays or {},
        release=release,
        sites_min=sites_min,
    )
    return (yield from ask(run, question.named_by_digest(f"statistics/{topic}")))
