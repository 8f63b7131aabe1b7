"""Candidates for the global model are judged by the hospitals, and taken back if they got worse.

```
every n rounds:  score (one sum over sites)  ->  votes (one signed bit a site)  ->  go on, or back
```
Both are asked on subjects that no network of the plan is trained on (`acceptance.guard_share`),
so that what judges the models of the evaluation has no part in choosing them. All answers stand
in the journal: a run that is resumed decides as it did before.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from fedpet.errors import RefusalError, UpdateError
from fedpet.federation.asking import Execution, Question, answered, ask, by_site
from fedpet.federation.preparation import Fold
from fedpet.federation.records import ModelJudged, Record
from fedpet.federation.votes import Vote, digests, vote_in
from fedpet.parameters import Array, Parameters
from fedpet.plan import Plan

Why = Literal["accepted", "votes", "loss"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How one candidate was judged.

    Args:
        fold: Number of the fold, None for the fit on everybody.
        round: After which round.
        accepted: Whether training goes on from it.
        why: `accepted`, or what was missed first: `votes` or `loss`.
        loss: Mean loss over all sites, summed over endpoints.
        loss_before: That of the model accepted last.
        back_to: The round of the model that training goes on from.
        votes: By site.
        silent: Why a site did not vote.
    """

    fold: int | None
    round: int
    accepted: bool
    why: Why
    loss: float
    loss_before: float
    back_to: int
    votes: Mapping[str, Vote]
    silent: Mapping[str, str]

    @property
    def accepts(self) -> int:
        """Number of accepting votes."""
        return sum(vote.accepts for vote in self.votes.values())

    def values(self) -> dict[str, Any]:
        """Return JSON values for the results, without keys and signatures."""
        sites = {site: "accept" if v.accepts else "reject" for site, v in self.votes.items()}
        return {
            "fold": self.fold,
            "round": self.round,
            "accepted": self.accepted,
            "why": self.why,
            "accepts": self.accepts,
            "votes": len(self.votes),
            "loss": self.loss,
            "loss_before": self.loss_before,
            "back_to": self.back_to,
            "sites": dict(sorted({**sites, **self.silent}.items())),
        }


@dataclass(slots=True, kw_only=True)
class Guard:
    """The model accepted last in one fit, and how every candidate of it was judged.

    Args:
        fold: Who fits.
        columns: Covariates that the network reads.
        arrays: `prep.*`.
        model: The weights accepted last; the first ones at the start.
        round: After which round they came; 0 at the start.
        loss: Their mean loss; None until it was asked for.
        verdicts: In the order of the rounds.
    """

    fold: Fold
    columns: tuple[str, ...]
    arrays: Parameters
    model: Mapping[str, Array]
    round: int = 0
    loss: float | None = None
    verdicts: list[Verdict] = field(default_factory=list)

    def after_round(
        self, run: Execution, number: int, candidate: Mapping[str, Array]
    ) -> Generator[Record, None, Mapping[str, Array]]:
        """Have a candidate judged if its round is one that the plan names.

        Returns:
            The weights that training goes on from: the candidate's, or those accepted last.

        Raises:
            UpdateError: If too few sites score or vote; the run can be resumed.
        """
        plan = run.plan
        if not plan.acceptance.due(number, plan.training.rounds):
            return candidate
        if self.loss is None:
            self.loss = yield from self._score(run, self.round, self.model)
        loss = yield from self._score(run, number, candidate)
        votes, silent = yield from self._votes(run, number, candidate)
        why = _why(plan, votes, loss=loss, before=self.loss)
        verdict = Verdict(
            fold=self.fold.index,
            round=number,
            accepted=why == "accepted",
            why=why,
            loss=loss,
            loss_before=self.loss,
            back_to=number if why == "accepted" else self.round,
            votes=votes,
            silent=silent,
        )
        self.verdicts.append(verdict)
        yield ModelJudged(
            label=f"Network, {self.fold.label}",
            round=number,
            accepted=verdict.accepted,
            why=why,
            accepts=verdict.accepts,
            votes=len(votes),
            loss=loss,
            loss_before=self.loss,
            back_to=verdict.back_to,
        )
        if verdict.accepted:
            self.model, self.round, self.loss = dict(candidate), number, loss
        return self.model

    def _body(self, number: int) -> dict[str, Any]:
        select = {**self.fold.training(), "guard": "in"}
        return {"round": number, "columns": list(self.columns), "select": select}

    def _score(
        self, run: Execution, number: int, model: Mapping[str, Array]
    ) -> Generator[Record, None, float]:
        closed = yield from ask(
            run,
            Question(
                step=f"{self.fold.path}/network/score-{number:03d}",
                label=f"Judging the network, {self.fold.label}, round {number}",
                kind="score",
                sites=self.fold.train_sites,
                body=self._body(number),
                arrays={**self.arrays, **_prefixed("model.", model)},
            ),
        )
        return _mean_loss(closed.arrays)

    def _votes(
        self, run: Execution, number: int, candidate: Mapping[str, Array]
    ) -> Generator[Record, None, tuple[dict[str, Vote], dict[str, str]]]:
        both = {**_prefixed("model.", candidate), **_prefixed("last.", self.model)}
        question = Question(
            step=f"{self.fold.path}/network/vote-{number:03d}",
            label=f"Voting on the network, {self.fold.label}, round {number}",
            kind="vote",
            sites=self.fold.train_sites,
            body=self._body(number),
            arrays={**self.arrays, **both},
            release="votes",
        )
        try:
            closed = yield from ask(run, question)
        except UpdateError as error:
            raise UpdateError(
                error.title,
                why=error.why,
                do=(
                    "Ask the hospitals to release 'votes', then `fedpet resume` the run.",
                    "Small hospitals keep nobody apart and do not vote: a larger "
                    "acceptance.guard_share helps, which is another plan.",
                    "Or set acceptance.every to 0, which is another plan.",
                ),
            ) from error
        silent = {site: why for site, why in closed.sites.items() if why != "ok"}
        votes = {}
        about = {"plan": run.fingerprint, "experiment": run.experiment, "step": question.step}
        for site in answered(closed):
            try:
                vote = vote_in(
                    by_site(closed)[site], asked={"site": site, **about}, models=digests(both)
                )
                _require_key(run, site, vote.key)
                votes[site] = vote
            except RefusalError as error:
                silent[site] = error.title
        if len(votes) < run.plan.sites.sites_min:
            raise UpdateError(
                f"{question.label}: {len(votes)} of {len(question.sites)} sites gave a vote that "
                f"they signed, {run.plan.sites.sites_min} are needed.",
                why="; ".join(f"{site}: {why}" for site, why in sorted(silent.items())),
            )
        return votes, silent


def guarded(plan: Plan, fold: Fold) -> Fold:
    """Return a fold without those who judge its candidates, where the plan keeps some apart."""
    if not plan.acceptance.every:
        return fold
    return replace(fold, narrowed={**fold.narrowed, "guard": "out"})


def _require_key(run: Execution, site: str, key: str) -> None:
    """Refuse a vote by another key than everybody pinned for the site.

    Raises:
        RefusalError: If it is.
    """
    pinned = None if run.roster is None else run.roster.of(site).key.hex()
    if pinned not in (None, key):
        raise RefusalError(f"The vote of '{site}' is signed by another key than the roster's.")


def _why(plan: Plan, votes: Mapping[str, Vote], *, loss: float, before: float) -> Why:
    rules = plan.acceptance
    if sum(vote.accepts for vote in votes.values()) < rules.accepts_min * len(votes) - 1e-9:
        return "votes"
    if loss > before + rules.loss_rise_max * abs(before):
        return "loss"
    return "accepted"


def _mean_loss(summed: Parameters) -> float:
    """Return the sum over endpoints of the mean loss per subject whose endpoint is known."""
    mean = 0.0
    for name, array in summed.items():
        if name.startswith("loss."):
            weight = float(summed[f"weight.{name.removeprefix('loss.')}"].sum())
            mean += float(array.sum()) / weight if weight > 0 else 0.0
    return mean


def _prefixed(prefix: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {f"{prefix}{name}": array for name, array in arrays.items()}
