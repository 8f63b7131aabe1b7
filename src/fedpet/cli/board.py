"""What a watcher of an experiment knows: a value that grows with every record. Drawn elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from fedpet.federation.records import (
    Finished,
    ModelJudged,
    Record,
    RoundClosed,
    SiteEnrolled,
    SiteState,
    StepClosed,
    StepStarted,
)
from fedpet.plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One hospital.

    Args:
        subjects: None until it is enrolled.
        events: Observed events by survival endpoint.
        state: `waiting`, `working`, `answered`, `resting` (not asked in this step), `refused` or
            `failed`.
        reason: Why it refused or failed.
        seconds: How long its last answer took.
    """

    subjects: int | None = None
    events: Mapping[str, int] = field(default_factory=dict)
    state: str = "waiting"
    reason: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """Everything that a screen shows of a running experiment.

    Args:
        rounds_total: Rounds of network training in all folds and the fit on everybody.
        started_s: Clock when work, not replay, began; None before.
        label: What is being done.
        rows: Hospitals by name.
        rounds_done: Rounds closed, replayed ones included.
        rounds_fresh: Rounds closed since `started_s`.
        steps: Steps closed.
        steps_replayed: Steps that an earlier run had closed.
        losses: Training loss by round of the network in training.
        losses_of: Which network that is.
        verdict: What hospitals said of the newest candidate, in words.
        finished: Whether results are there.
    """

    rounds_total: int
    started_s: float | None = None
    label: str = "Starting"
    rows: Mapping[str, Row] = field(default_factory=dict)
    rounds_done: int = 0
    rounds_fresh: int = 0
    steps: int = 0
    steps_replayed: int = 0
    losses: tuple[float, ...] = ()
    losses_of: str = ""
    verdict: str = ""
    finished: bool = False

    def taken(self, record: Record, *, now_s: float) -> Board:
        """Return the board after a record.

        Args:
            record: What happened.
            now_s: The clock, in seconds from anywhere.
        """
        match record:
            case StepStarted():
                return replace(self, label=record.label, rows=self._asked(record.sites))
            case SiteState():
                return self._after_answer(record, now_s)
            case SiteEnrolled():
                row = replace(
                    self.rows.get(record.site, Row()),
                    subjects=record.subjects,
                    events=dict(record.events),
                )
                return replace(self, rows={**self.rows, record.site: row})
            case StepClosed():
                return replace(
                    self,
                    steps=self.steps + 1,
                    steps_replayed=self.steps_replayed + record.replayed,
                    rows=self._answered() if record.replayed else self.rows,
                )
            case RoundClosed():
                losses = self.losses if record.round > 1 else ()
                return replace(
                    self,
                    rounds_done=self.rounds_done + 1,
                    rounds_fresh=self.rounds_fresh + (self.started_s is not None),
                    losses=losses if record.loss is None else (*losses, record.loss),
                    losses_of=record.label,
                )
            case ModelJudged():
                return replace(self, verdict=judged_in_words(record))
            case Finished():
                return replace(self, finished=True, label="Finished", rows=self._asked(()))

    def seconds_left(self, now_s: float) -> float | None:
        """Return the seconds that the remaining rounds should take; None where unknown.

        The pace is that of all work since the start, so that what happens between rounds counts.
        """
        if self.started_s is None or self.rounds_fresh < 2:
            return None
        pace = (now_s - self.started_s) / self.rounds_fresh
        return pace * (self.rounds_total - self.rounds_done)

    def _asked(self, sites: tuple[str, ...]) -> dict[str, Row]:
        rows = {
            site: row
            if row.state in ("refused", "failed") and site not in sites
            else replace(row, state="resting", reason="")
            for site, row in self.rows.items()
        }
        for site in sites:
            rows[site] = replace(rows.get(site, Row()), state="working", reason="")
        return dict(sorted(rows.items()))

    def _after_answer(self, record: SiteState, now_s: float) -> Board:
        row = replace(
            self.rows.get(record.site, Row()),
            state="answered" if record.state == "ok" else record.state,
            reason=" ".join(record.reasons),
            seconds=record.seconds,
        )
        started = now_s - record.seconds if self.started_s is None else self.started_s
        return replace(self, started_s=started, rows={**self.rows, record.site: row})

    def _answered(self) -> dict[str, Row]:
        return {
            site: replace(row, state="answered") if row.state == "working" else row
            for site, row in self.rows.items()
        }


def judged_in_words(record: ModelJudged) -> str:
    """Return what hospitals said of a candidate, and what follows.

    Examples:
        >>> judged_in_words(ModelJudged("Network, fold 1", 4, False, "votes", 1, 3, 2.5, 2.0, 2))
        'Network, fold 1, round 4: rejected (1 of 3 votes, loss 2.000 -> 2.500); back to round 2'
    """
    told = (
        f"{record.label}, round {record.round}: {'accepted' if record.accepted else 'rejected'} "
        f"({record.accepts} of {record.votes} votes, "
        f"loss {record.loss_before:.3f} -> {record.loss:.3f})"
    )
    if record.accepted:
        return told
    back = f"round {record.back_to}" if record.back_to else "the initial model"
    return f"{told}; back to {back}"


def board_of(plan: Plan) -> Board:
    """Return the board of an experiment that has not begun."""
    return Board(rounds_total=(plan.evaluation.folds + 1) * plan.training.rounds)
