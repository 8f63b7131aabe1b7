"""What travels with the kept network, so that a hospital can say how sure it is of one subject.

Three sums: where the training subjects lie in what the network sees, how far they are from their
mean, and at which predicted level those failed whom a fold held out.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

from fedpet.federation.arms import Fitted
from fedpet.federation.asking import Execution, Question, ask
from fedpet.federation.evaluation import layers_of
from fedpet.federation.preparation import Fold
from fedpet.federation.records import Record
from fedpet.parameters import Array
from fedpet.survival.conformal import failures
from fedpet.survival.likeness import likeness_of


def companion_of(
    run: Execution,
    everybody: Fold,
    network: Fitted,
    *,
    folds: Sequence[Fold],
    models: Sequence[Fitted],
) -> Generator[Record, None, dict[str, Array]]:
    """Sum what a prediction for one subject needs besides the network.

    With noise on training nothing is asked: these sums carry none.

    Args:
        run: The execution.
        everybody: The fold that the network was fitted on.
        network: The network that is kept.
        folds: The folds of the evaluation.
        models: The network of each fold.

    Returns:
        `likeness.mean`, `likeness.inverse`, `likeness.histogram`, and by survival endpoint
        `failures.<endpoint>`.
    """
    if run.plan.privacy.differential_privacy != "none":
        return {}
    found = yield from _likeness(run, everybody, network)
    for endpoint in run.plan.endpoints.survival:
        summed: dict[str, Array] = {}
        for number, layer in enumerate(layers_of(folds, models)):
            bodies, arrays = {}, {}
            for site, (model, select) in layer.items():
                body, arrays[site] = model.question(endpoint)
                bodies[site] = {**body, "select": dict(select)}
            closed = yield from ask(
                run,
                Question(
                    step=f"companion/levels/{endpoint}/{number}",
                    label=f"Levels of failure, {endpoint}",
                    kind="levels",
                    sites=tuple(sorted(layer)),
                    body_by_site=bodies,
                    arrays_by_site=arrays,
                ),
            )
            for name, array in closed.arrays.items():
                summed[name] = summed[name] + array if name in summed else array
        found[f"failures.{endpoint}"] = failures(summed)
    return found


def _likeness(
    run: Execution, fold: Fold, network: Fitted
) -> Generator[Record, None, dict[str, Array]]:
    body, arrays = network.question(run.plan.endpoints.primary)
    del body["endpoint"]  # subjects whose outcome is not known are subjects too
    body["select"] = fold.training()
    summed = yield from ask(
        run,
        Question(
            step="companion/features",
            label="What the network sees, all hospitals",
            kind="features",
            sites=fold.train_sites,
            body=body,
            arrays=arrays,
        ),
    )
    likeness = likeness_of(summed.arrays)
    where = {"likeness.mean": likeness.mean, "likeness.inverse": likeness.inverse}
    counted = yield from ask(
        run,
        Question(
            step="companion/distances",
            label="Distances from the mean, all hospitals",
            kind="distances",
            sites=fold.train_sites,
            body=body,
            arrays={**arrays, **where},
        ),
    )
    return {**where, "likeness.histogram": counted.arrays["histogram"]}
