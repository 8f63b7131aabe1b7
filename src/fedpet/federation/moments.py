"""How covariates are harmonised, scaled and imputed: sums over the training sites of a fold."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from itertools import count

import numpy as np

from fedpet.federation.asking import Execution, Question, answered, ask
from fedpet.federation.harmonising import fit_harmonisation
from fedpet.federation.journal import Closed
from fedpet.federation.preparation import Fold
from fedpet.federation.records import Record
from fedpet.parameters import Array
from fedpet.survival.combat import Combat
from fedpet.survival.disclosure import CELL_MIN
from fedpet.survival.preprocessing import Preprocessing, combat_arrays, fit_preprocessing
from fedpet.survival.quantiles import medians


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """Summed moments of a fold's training subjects, column by column.

    Args:
        columns: Names of the columns.
        log: Columns taken as log(1 + x) first.
        subjects: Number of training subjects.
        first: `count` and `sum`, each [columns].
        second: `count` and `sum_squares` about the mean, each [columns].
        median: What stands for a missing value, [columns]; None for the mean.
        combat: The harmonisation that comes before, where the plan wants one.
    """

    columns: tuple[str, ...]
    log: tuple[str, ...]
    subjects: int
    first: Mapping[str, Array]
    second: Mapping[str, Array]
    median: Array | None = None
    combat: Combat | None = None

    def preprocessing(self, columns: tuple[str, ...]) -> Preprocessing:
        """Return scaling and imputation for some of the columns."""
        index = [self.columns.index(name) for name in columns]
        return fit_preprocessing(
            {name: array[index] for name, array in self.first.items()},
            {name: array[index] for name, array in self.second.items()},
            columns=columns,
            log=tuple(name for name in columns if name in self.log),
            subjects=self.subjects,
            fill=None if self.median is None else self.median[index],
            combat=self.combat,
        )


def moments_of(run: Execution, fold: Fold) -> Generator[Record, None, tuple[Fold, Moments]]:
    """Harmonise where the plan wants it, then sum the training subjects' moments in two passes.

    Returns:
        The fold with the sites that answered, and the moments.
    """
    inputs = run.plan.inputs
    columns = (*inputs.clinical, *inputs.biomarkers)
    body = {"columns": list(columns), "select": fold.training()}
    combat = None
    if inputs.harmonise:
        harmonised = yield from fit_harmonisation(run, fold)
        combat, fold = harmonised.combat, replace(fold, train_sites=harmonised.sites)
    carried = {f"prep.{name}": array for name, array in combat_arrays(combat).items()}
    counted = yield from ask(
        run,
        Question(
            step=f"{fold.path}/count",
            label=f"Counting, {fold.label}",
            kind="count",
            sites=fold.train_sites,
            body={"select": fold.training()},
        ),
    )
    fold = replace(fold, train_sites=answered(counted))
    first = yield from ask(
        run,
        Question(
            step=f"{fold.path}/means",
            label=f"Means of the covariates, {fold.label}",
            kind="moments",
            sites=fold.train_sites,
            body=body,
            arrays=carried,
        ),
    )
    fold = replace(fold, train_sites=answered(first))
    known = first.arrays["count"]
    center = np.divide(first.arrays["sum"], known, out=np.zeros_like(known), where=known > 0)
    second = yield from ask(
        run,
        Question(
            step=f"{fold.path}/spreads",
            label=f"Spreads of the covariates, {fold.label}",
            kind="moments",
            sites=fold.train_sites,
            body=body,
            arrays={**carried, "center": center},
        ),
    )
    fold = replace(fold, train_sites=answered(second))
    median = None
    if inputs.impute == "median":
        median, fold = yield from _medians(run, fold, columns, carried, first, second)
    moments = Moments(
        columns=columns,
        log=tuple(inputs.log),
        subjects=int(counted.arrays["subjects"].sum()),
        first=first.arrays,
        second=second.arrays,
        median=median,
        combat=combat,
    )
    return fold, moments


def _medians(
    run: Execution,
    fold: Fold,
    columns: tuple[str, ...],
    carried: Mapping[str, Array],
    first: Closed,
    second: Closed,
) -> Generator[Record, None, tuple[Array, Fold]]:
    """Find the medians of a fold's training subjects by counting between edges.

    No count that is refined further is of fewer than five subjects: a median is nobody's value.
    """
    sums = first.arrays["count"], first.arrays["sum"], second.arrays["sum_squares"]
    walk = medians(*sums, least=CELL_MIN)
    cells: Array | None = None
    for number in count():
        try:
            wanted, edges = next(walk) if cells is None else walk.send(cells)
        except StopIteration as stop:
            found: Array = stop.value
            return found, fold
        closed = yield from ask(
            run,
            Question(
                step=f"{fold.path}/medians-{number + 1}",
                label=f"Medians of the covariates, {fold.label}",
                kind="histogram",
                sites=fold.train_sites,
                body={"columns": [columns[index] for index in wanted], "select": fold.training()},
                arrays={**carried, "edges": edges},
            ),
        )
        fold = replace(fold, train_sites=answered(closed))
        cells = closed.arrays["cells"]
    raise AssertionError("a refinement ends")
