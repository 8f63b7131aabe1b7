"""Describe columns over all sites: how many, mean and spread, quantiles, categories."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fedpet.federation.asking import Execution, answered
from fedpet.federation.records import Record
from fedpet.federation.statistics.question import EVERYBODY, Subjects, inquire
from fedpet.parameters import Array
from fedpet.survival.describe import Moments, mean_of, moments_of
from fedpet.survival.disclosure import CELL_MIN, Cell, cells_of
from fedpet.survival.quantiles import ROUNDS_MAX, Target, edges_of, first_target, refined

SHARES = (0.25, 0.5, 0.75)
LEVELS = tuple(float(level) for level in range(10))


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column over all sites.

    Args:
        name: Its name.
        known: Subjects who have a value.
        missing: Subjects who have none.
        mean: Over those who have one; None if they are too few.
        sd: Standard deviation with n - 1; None if they are too few.
        quantiles: By share; none for a category, and None for what cannot be told.
        levels: Subjects by category, where a column holds whole numbers from 0 to 9 only.
    """

    name: str
    known: Cell
    missing: Cell
    mean: float | None
    sd: float | None
    quantiles: Mapping[float, float | None]
    levels: Mapping[float, Cell]

    @property
    def constant(self) -> bool:
        """Whether everybody who has a value has the same."""
        return self.sd is not None and self.sd <= 1e-12 * (1 + abs(self.mean or 0.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """Columns over all sites.

    Args:
        columns: One by one, in the order asked for.
        subjects: Subjects over all sites.
        sites: Sites behind them.
        hidden: Counts that are not told because they are small, or would tell of small ones.
    """

    columns: tuple[Column, ...]
    subjects: int
    sites: tuple[str, ...]
    hidden: int

    def __getitem__(self, name: str) -> Column:
        """Return a column by its name."""
        return next(column for column in self.columns if column.name == name)


def describe(
    run: Execution,
    *,
    columns: Sequence[str] = (),
    subjects: Subjects = EVERYBODY,
    shares: Sequence[float] = SHARES,
    least: int = CELL_MIN,
) -> Generator[Record, None, Description]:
    """Count, average and spread columns of the plan; quantiles and categories besides.

    Args:
        run: The execution.
        columns: Names; all of the plan's inputs unless told.
        subjects: Whom it is about.
        shares: Which quantiles.
        least: Smallest count that is told.
    """
    inputs = run.plan.inputs
    names = tuple(dict.fromkeys(columns)) or (*inputs.clinical, *inputs.biomarkers)
    select = subjects.choice()
    moments, sites = yield from _moments(run, names, select)
    counts, other = yield from _levels(run, names, select, sites)
    coded = tuple(bool(other[i] == 0 and moments.count[i] >= least) for i in range(len(names)))
    numeric = [i for i in range(len(names)) if not coded[i] and moments.count[i] >= least]
    targets = yield from _quantiles(run, names, numeric, moments, select, sites, shares, least)
    described = tuple(
        _column(
            name,
            moments,
            index,
            counts[index] if coded[index] else None,
            {one.share: one.value for one in targets.get(index, ())},
            least,
        )
        for index, name in enumerate(names)
    )
    cells = [cell for one in described for cell in (one.missing, *one.levels.values())]
    return Description(
        columns=described,
        subjects=moments.subjects,
        sites=sites,
        hidden=sum(cell.count is None for cell in cells),
    )


def _moments(
    run: Execution, names: tuple[str, ...], select: Mapping[str, object]
) -> Generator[Record, None, tuple[Moments, tuple[str, ...]]]:
    body = {"columns": list(names), "select": select}
    first = yield from inquire(
        run, "describe", kind="describe-moments", label="Means of the columns", body=body
    )
    center = mean_of(first.arrays)
    scale = np.maximum(np.abs(center), 1.0)
    second = yield from inquire(
        run,
        "describe",
        kind="describe-moments",
        label="Spreads of the columns",
        body=body,
        arrays={"center": center, "scale": scale},
        sites=answered(first),
    )
    return moments_of(second.arrays, center=center, scale=scale), answered(second)


def _levels(
    run: Execution, names: tuple[str, ...], select: Mapping[str, object], sites: tuple[str, ...]
) -> Generator[Record, None, tuple[Array, Array]]:
    closed = yield from inquire(
        run,
        "describe",
        kind="describe-levels",
        label="Categories of the columns",
        body={"columns": list(names), "select": select},
        arrays={"levels": np.tile(np.array(LEVELS), (len(names), 1))},
        sites=sites,
    )
    return closed.arrays["levels"], closed.arrays["other"]


def _quantiles(
    run: Execution,
    names: tuple[str, ...],
    numeric: list[int],
    moments: Moments,
    select: Mapping[str, object],
    sites: tuple[str, ...],
    shares: Sequence[float],
    least: int,
) -> Generator[Record, None, dict[int, list[Target]]]:
    """Refine every quantile of every column at once, a few times."""
    targets = [
        (
            index,
            first_target(
                share,
                known=float(moments.count[index]),
                mean=float(moments.mean[index]),
                sd=float(np.nan_to_num(moments.sd[index])),
                least=least,
            ),
        )
        for index in numeric
        for share in shares
    ]
    for _ in range(ROUNDS_MAX):
        open_ = [number for number, (_, target) in enumerate(targets) if not target.done]
        if not open_:
            break
        edges = edges_of([targets[number][1] for number in open_])
        closed = yield from inquire(
            run,
            "describe",
            kind="describe-histogram",
            label="Quantiles of the columns",
            body={"columns": [names[targets[n][0]] for n in open_], "select": select},
            arrays={"edges": edges},
            sites=sites,
        )
        for row, number in enumerate(open_):
            index, target = targets[number]
            cells = closed.arrays["cells"][row]
            targets[number] = (index, refined(target, edges[row], cells, least=least))
    found: dict[int, list[Target]] = {}
    for index, target in targets:
        found.setdefault(index, []).append(target)
    return found


def _column(
    name: str,
    moments: Moments,
    index: int,
    counts: Array | None,
    quantiles: Mapping[float, float | None],
    least: int,
) -> Column:
    known, subjects = round(float(moments.count[index])), moments.subjects
    missing = subjects - known
    told = known >= least
    sd = float(moments.sd[index])
    shown = cells_of([known, missing], least=least)
    levels = {} if counts is None else _told_levels(counts, least)
    return Column(
        name=name,
        known=shown[0],
        missing=shown[1],
        mean=float(moments.mean[index]) if told else None,
        sd=sd if told and not np.isnan(sd) else None,
        quantiles=dict(quantiles),
        levels=levels,
    )


def _told_levels(counts: Array, least: int) -> dict[float, Cell]:
    present = [number for number, count in enumerate(counts) if count > 0]
    cells = cells_of([round(float(counts[number])) for number in present], least=least)
    return {LEVELS[number]: cell for number, cell in zip(present, cells, strict=True)}
