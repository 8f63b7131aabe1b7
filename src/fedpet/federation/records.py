"""What an experiment tells whoever watches it. The terminal and the pages draw these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fedpet.parameters import Parameters


@dataclass(frozen=True, slots=True)
class StepStarted:
    """Sites were asked for something."""

    step: str
    label: str
    sites: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SiteState:
    """One site answered: `ok`, `refused` or `failed`, with its reasons."""

    site: str
    state: str
    step: str
    seconds: float = 0.0
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SiteEnrolled:
    """A site takes part, with this many subjects and events."""

    site: str
    subjects: int
    events: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class StepClosed:
    """A step's sum is in the journal; `replayed` if it was there before.

    `values` are the numbers that one site sent, whatever the form in which they travelled.
    """

    step: str
    label: str
    seconds: float
    replayed: bool
    values: int = 0


@dataclass(frozen=True, slots=True)
class RoundClosed:
    """A round of network training ended with a new global model."""

    label: str
    fold: int | None
    folds: int
    round: int
    rounds: int
    sites: int
    loss: float | None  # None where noise hides it
    seconds: float


@dataclass(frozen=True, slots=True)
class ModelJudged:
    """A candidate was accepted, or training goes back to an earlier model.

    Args:
        why: `accepted`, or what was missed: `votes` or `loss`.
        loss: Mean loss of the candidate over all sites.
        loss_before: That of the model accepted last.
        back_to: The round of the model that training goes on from; 0 is the initial one.
    """

    label: str
    round: int
    accepted: bool
    why: str
    accepts: int
    votes: int
    loss: float
    loss_before: float
    back_to: int


@dataclass(frozen=True, slots=True)
class Finished:
    """The experiment ended.

    Args:
        results: The document that the report is made of.
        models: Arrays of the models that are kept, fitted on everybody, by name.
        evidence: What their passports hold besides, JSON values: votes, statements, heads.
    """

    results: Mapping[str, Any]
    models: Mapping[str, Parameters]
    evidence: Mapping[str, Any] = field(default_factory=dict)


Record = StepStarted | SiteState | SiteEnrolled | StepClosed | RoundClosed | ModelJudged | Finished
