"""The rounds of a network: who trains, what they are told, what becomes of the sum, when to stop.

Everything follows from the plan and from the sums before, so that a run that was interrupted
walks the same rounds to the same bytes.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fedpet.errors import UpdateError
from fedpet.federation.acceptance import Guard
from fedpet.federation.asking import Execution, Question, answered, ask
from fedpet.federation.preparation import Fold
from fedpet.federation.records import Record, RoundClosed
from fedpet.federation.strategies import Server, sites_of_round, strategy_of, told_to_sites
from fedpet.parameters import Array, Parameters
from fedpet.plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What rounds end with.

    Args:
        model: The global model.
        losses: Training loss of each round; nothing where sites tell none.
        kept: The last round of which each site keeps something, if the plan has it.
        stopped: The round after which training stopped early, and None if it did not.
    """

    model: Mapping[str, Array]
    losses: list[float]
    kept: Mapping[str, int]
    stopped: int | None = None


def sites_keep(plan: Plan) -> bool:
    """Return whether sites keep something for themselves between two rounds."""
    return plan.strategy.name in ("scaffold", "fedbn", "ditto") or plan.training.optimiser == "kept"


def train_rounds(
    run: Execution,
    fold: Fold,
    columns: Sequence[str],
    scaling: Parameters,
    initial: Parameters,
    *,
    subjects: int,
    guard: Guard | None = None,
) -> Generator[Record, None, Trained]:
    """Train a network for the plan's rounds, or until the validation loss no longer falls.

    Args:
        run: The execution.
        fold: Who trains.
        columns: Covariates, before preprocessing.
        scaling: `prep.*`.
        initial: The first weights.
        subjects: Number of training subjects at all sites.
        guard: Who judges the candidates of some rounds, and what becomes of the model.
    """
    plan, strategy = run.plan, strategy_of(run.plan.strategy)
    walk = _Walk(run=run, fold=fold, columns=tuple(columns), scaling=scaling, subjects=subjects)
    server = Server(model=dict(initial))
    losses: list[float] = []
    kept: dict[str, int] = {}
    best: tuple[float, int, Mapping[str, Array], dict[str, int]] | None = None
    for number in range(1, plan.training.rounds + 1):
        summed, sites, seconds = yield from walk.train(number, server, kept)
        server = strategy.advance(server, summed)
        if sites_keep(plan):
            kept |= dict.fromkeys(sites, number)
        told = loss_of(summed)
        losses += [] if told is None else [told]
        yield RoundClosed(
            label=f"Network, {fold.label}",
            fold=fold.index,
            folds=plan.evaluation.folds,
            round=number,
            rounds=plan.training.rounds,
            sites=len(sites),
            loss=told,
            seconds=seconds,
        )
        if guard is not None:
            model = yield from guard.after_round(run, number, server.model)
            server = replace(server, model=model)
        if not plan.training.patience:
            continue
        judged = yield from walk.validate(number, server.model, kept)
        if best is None or judged < best[0]:
            best = judged, number, server.model, dict(kept)
        elif number - best[1] >= plan.training.patience:
            break
    if best is None:
        return Trained(model=server.model, losses=losses, kept=kept)
    return Trained(
        model=best[2],
        losses=losses,
        kept=kept if plan.strategy.name != "fedbn" else best[3],
        stopped=best[1],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Walk:
    """What every round's questions have in common."""

    run: Execution
    fold: Fold
    columns: tuple[str, ...]
    scaling: Parameters
    subjects: int

    def train(
        self, number: int, server: Server, kept: Mapping[str, int]
    ) -> Generator[Record, None, tuple[Parameters, tuple[str, ...], float]]:
        plan, fold = self.run.plan, self.fold
        step = f"{fold.path}/network/round-{number:03d}"
        sites = sites_of_round(
            fold.train_sites,
            share=plan.strategy.sites_share,
            least=plan.sites.sites_min,
            seed=plan.seed,
            step=step,
        )
        fit = {"fit": fold.path} if sites_keep(plan) else {}
        closed = yield from ask(
            self.run,
            Question(
                step=step,
                label=f"Network, {fold.label}, round {number}",
                kind="train",
                sites=sites,
                body={
                    "round": number,
                    "columns": list(self.columns),
                    "select": self._selection("fit"),
                    **fit,
                },
                body_by_site={s: {"kept": kept[s]} for s in sites if s in kept},
                arrays={
                    **self.scaling,
                    **{f"model.{name}": array for name, array in server.model.items()},
                    **told_to_sites(server),
                },
                total=self._total(),
            ),
        )
        return closed.arrays, answered(closed), closed.seconds

    def validate(
        self, number: int, model: Parameters, kept: Mapping[str, int]
    ) -> Generator[Record, None, float]:
        fold = self.fold
        closed = yield from ask(
            self.run,
            Question(
                step=f"{fold.path}/network/validation-{number:03d}",
                label=f"Validation loss, {fold.label}, round {number}",
                kind="loss",
                sites=fold.train_sites,
                body={"columns": list(self.columns), "select": self._selection("validation")},
                body_by_site={
                    s: {"fit": fold.path, "kept": kept[s]} for s in fold.train_sites if s in kept
                },
                arrays={
                    **self.scaling,
                    **{f"model.{name}": array for name, array in model.items()},
                },
            ),
        )
        found = loss_of(closed.arrays)
        if found is None:
            raise UpdateError("No site told a validation loss.")
        return found

    def _total(self) -> float | None:
        """Return a bound for the sum of weights; None where what is sent has no tight bound."""
        strategy = self.run.plan.strategy
        if strategy.name == "scaffold" or strategy.weights == "events":
            return None
        equal = strategy.weights == "equal"
        return float(len(self.fold.train_sites) if equal else self.subjects)

    def _selection(self, within: str) -> dict[str, Any]:
        chosen = self.fold.training()
        return {**chosen, "within": within} if self.run.plan.training.patience else chosen


def loss_of(summed: Mapping[str, Array]) -> float | None:
    """Return the sum over heads of the mean loss per subject with a known endpoint.

    None where sites tell no loss: it would tell of patients what noise hides.
    """
    if not any(name.startswith("loss.") for name in summed):
        return None
    mean = 0.0
    for name, array in summed.items():
        if name.startswith("loss."):
            weight = summed[f"weight.{name.removeprefix('loss.')}"].sum()
            mean += float(array.sum() / weight) if weight > 0 else 0.0
    return mean
