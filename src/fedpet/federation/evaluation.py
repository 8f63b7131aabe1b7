"""Judge every model on subjects that it was not fitted to; sums over sites again."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any

from fedpet.federation.arms import Fitted
from fedpet.federation.asking import Execution, Question, ask, by_site
from fedpet.federation.preparation import Fold
from fedpet.federation.records import Record
from fedpet.parameters import Array, Parameters

Layer = Mapping[str, tuple[Fitted, Mapping[str, Any]]]
"""Which model each site judges in one exchange, and on which of its subjects."""


def layers_of(folds: Sequence[Fold], models: Sequence[Fitted]) -> tuple[Layer, ...]:
    """Lay out the exchanges that judge one model per fold.

    With held-out hospitals one exchange serves all folds, because every hospital is held out
    once, so that each sum runs over all hospitals; with held-out subjects each fold is its own.
    """
    layers: list[dict[str, tuple[Fitted, Mapping[str, Any]]]] = []
    for fold, model in zip(folds, models, strict=True):
        entries: dict[str, tuple[Fitted, Mapping[str, Any]]] = {
            site: (model, fold.testing()) for site in fold.test_sites
        }
        for layer in layers:
            if not layer.keys() & entries.keys():
                layer.update(entries)
                break
        else:
            layers.append(entries)
    return tuple(layers)


def local_layers(
    folds: Sequence[Fold], locals_: Sequence[Mapping[str, Fitted]]
) -> tuple[Layer, ...]:
    """Lay out the exchanges that judge models trained at one hospital alone.

    With held-out hospitals every local model of a fold is judged at every hospital that the fold
    holds out; with held-out subjects each hospital judges its own model on its own subjects.
    """
    if folds and folds[0].test_part == "test":
        return tuple(
            {site: (own[site], fold.testing()) for site in fold.test_sites if site in own}
            for fold, own in zip(folds, locals_, strict=True)
        )
    turns = min((len(own) for own in locals_), default=0)
    return tuple(
        {
            site: (own[sorted(own)[turn]], fold.testing())
            for fold, own in zip(folds, locals_, strict=True)
            for site in fold.test_sites
        }
        for turn in range(turns)
    )


def judge(
    run: Execution, *, arm: str, label: str, endpoint: str, layers: Sequence[Layer]
) -> Generator[Record, None, dict[str, Array]]:
    """Sum what every site measures of the models it is given.

    Returns:
        The arrays of `fedpet.survival.scores.performance_sums`, or of `binary_sums` for a binary
        endpoint, summed over sites and layers.
    """
    summed: dict[str, Array] = {}
    for number, layer in enumerate(layers):
        closed = yield from ask(
            run,
            _question(
                step=f"evaluate/{arm}/{endpoint}/{number}",
                label=f"Evaluating {label}, {endpoint}",
                endpoint=endpoint,
                layer=layer,
                release=None,
            ),
        )
        for name, array in closed.arrays.items():
            summed[name] = summed[name] + array if name in summed else array
    return summed


def judge_each(
    run: Execution, *, arm: str, label: str, endpoint: str, layers: Sequence[Layer]
) -> Generator[Record, None, dict[str, Parameters | str]]:
    """Ask every hospital for its own C-index: a named release that its policy allows or refuses.

    Only counts of pairs are asked for; a hospital's histogram by time and risk would show its
    single subjects.

    Returns:
        By site: the arrays summed over layers, or the reason why there are none.
    """
    found: dict[str, Parameters | str] = {}
    for number, layer in enumerate(layers):
        closed = yield from ask(
            run,
            _question(
                step=f"evaluate-each/{arm}/{endpoint}/{number}",
                label=f"Hospitals' own results of {label}, {endpoint}",
                endpoint=endpoint,
                layer=layer,
                release="site-results",
            ),
        )
        found |= {site: state for site, state in closed.sites.items() if state != "ok"}
        for site, arrays in by_site(closed).items():
            before = found.get(site)
            if isinstance(before, str) or before is None:
                found[site] = arrays
            else:
                found[site] = {name: before[name] + array for name, array in arrays.items()}
    return found


def _question(
    *, step: str, label: str, endpoint: str, layer: Layer, release: str | None
) -> Question:
    bodies: dict[str, dict[str, Any]] = {}
    arrays: dict[str, dict[str, Array]] = {}
    for site, (model, select) in layer.items():
        body, arrays[site] = model.question(endpoint)
        bodies[site] = {**body, **model.kept_at(site), "select": dict(select)}
    return Question(
        step=step,
        label=label,
        kind="concordance" if release else "evaluate",
        sites=tuple(sorted(layer)),
        body_by_site=bodies,
        arrays_by_site=arrays,
        release=release,
        sites_min=0 if release else None,
    )
