"""The experiment: from a plan to results, one straight walk over an engine and a journal.

```
enrol -> folds -> for each fold: moments -> Cox arms -> network rounds -> pooled and local-only
      -> the same on everybody (the models that are kept) -> judge every arm -> results
```
The walk is deterministic: all that it learns from the world comes through `ask`, which writes it
into the journal. A run that was interrupted walks again from the top, finds its closed steps and
ends with the same bytes.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from fedpet.federation.acceptance import Guard, Verdict, guarded
from fedpet.federation.arms import (
    Fitted,
    ensemble_of,
    fit_cox,
    initial_network,
    networks_of,
    train_alone,
    train_federated,
    with_risks,
)
from fedpet.federation.asking import Execution
from fedpet.federation.companion import companion_of
from fedpet.federation.evaluation import judge, judge_each, layers_of, local_layers
from fedpet.federation.moments import Moments, moments_of
from fedpet.federation.passports import passport_evidence
from fedpet.federation.preparation import (
    Fold,
    enrol,
    everybody,
    folds_of,
)
from fedpet.federation.records import Finished, Record
from fedpet.federation.results import Context, Evidence, Judged, results_of
from fedpet.federation.statements import statements_on
from fedpet.parameters import Parameters
from fedpet.plan import Plan
from fedpet.survival.newton import CoxFit

FEDERATED, POOLED, LOCAL = "network-federated", "network-pooled", "network-local"
PERSONAL, ENSEMBLE = "network-personal", "network-ensemble"
COMPANION = f"{FEDERATED}-companion"
COX, CLINICAL, TMTV = "cox-federated", "cox-clinical", "tmtv"
LABELS = {
    FEDERATED: "Network, federated",
    PERSONAL: "Network, each hospital's own beside the federated",
    POOLED: "Network, pooled",
    LOCAL: "Network, local only",
    ENSEMBLE: "Network, ensemble of local ones",
    COX: "Cox, clinical + biomarkers",
    CLINICAL: "Cox, clinical only",
    TMTV: "TMTV alone",
}


@dataclass(slots=True)
class FittedFold:
    """Everything that one fold fitted.

    Args:
        fold: Who fitted, with the sites that really took part.
        cox: Cox models by arm and endpoint.
        networks: Networks by arm; `network-local` is not among them.
        local: Networks trained at one site alone, by site.
        losses: Training loss by round of the federated network.
        fits: The Cox fits behind `cox`, with standard errors.
        verdicts: How candidates of the federated network were judged.
    """

    fold: Fold
    cox: dict[str, dict[str, Fitted]] = field(default_factory=dict)
    networks: dict[str, Fitted] = field(default_factory=dict)
    local: dict[str, Fitted] = field(default_factory=dict)
    losses: list[float] = field(default_factory=list)
    fits: dict[str, CoxFit] = field(default_factory=dict)
    verdicts: list[Verdict] = field(default_factory=list)


def run(execution: Execution, context: Context) -> Iterator[Record]:
    """Walk the whole experiment; the last record is `Finished`.

    Args:
        execution: Plan, engine, journal.
        context: What the coordinator adds to the results, such as a phantom's known ceiling.

    Raises:
        UpdateError: If too few sites answered a step. Nothing is lost; run again to resume.
    """
    enrolled = yield from enrol(execution)
    fitted = []
    for fold in folds_of(execution.plan, enrolled):
        fitted.append((yield from _fit(execution, fold)))
    final = yield from _fit(execution, everybody(enrolled))
    pooled = yield from _pooled_cox(execution, final)
    judged = yield from _judge(execution, fitted)
    evidence = Evidence(
        enrolled=enrolled,
        folds=[done.fold for done in fitted],
        losses={done.fold.index: done.losses for done in (*fitted, final)},
        fits=final.fits,
        pooled=pooled,
        judged=judged,
        labels=LABELS,
        verdicts=[verdict for done in (*fitted, final) for verdict in done.verdicts],
    )
    sums = yield from companion_of(
        execution,
        final.fold,
        final.networks[FEDERATED],
        folds=evidence.folds,
        models=[done.networks[FEDERATED] for done in fitted],
    )
    companion = {COMPANION: sums} if sums else {}
    kept = {**models_of(final), **refits_of(fitted), **companion}
    statements = yield from statements_on(execution, kept, sites=enrolled.sites)
    results = results_of(execution, context, evidence)
    yield Finished(results, kept, passport_evidence(execution, final.verdicts, statements))


def arms_of(plan: Plan) -> dict[str, tuple[str, ...]]:
    """Return the Cox arms of a plan with the covariates that each reads."""
    inputs = plan.inputs
    arms = {COX: (*inputs.clinical, *inputs.biomarkers)}
    if "clinical-cox" in plan.evaluation.baselines:
        arms[CLINICAL] = inputs.clinical
    if "tmtv" in plan.evaluation.baselines:
        arms[TMTV] = ("tmtv_ml",)
    return arms


def models_of(final: FittedFold) -> dict[str, Parameters]:
    """Return the models that are kept: fitted on everybody, by name."""
    kept: dict[str, Parameters] = {FEDERATED: final.networks[FEDERATED].arrays}
    return kept | {f"{COX}-{name}": model.arrays for name, model in final.cox[COX].items()}


def refits_of(fitted: Sequence[FittedFold]) -> dict[str, Parameters]:
    """Return the folds' networks by name: what is learned without some of the subjects."""
    return {f"{FEDERATED}-{done.fold.path}": done.networks[FEDERATED].arrays for done in fitted}


def _fit(run: Execution, fold: Fold) -> Generator[Record, None, FittedFold]:
    fold, moments = yield from moments_of(run, fold)
    done = FittedFold(fold=fold)
    yield from _fit_cox_arms(run, done, moments)
    yield from _fit_networks(run, done, moments)
    return done


def _fit_cox_arms(
    run: Execution, done: FittedFold, moments: Moments
) -> Generator[Record, None, None]:
    fold = done.fold
    for arm, columns in arms_of(run.plan).items():
        if fold.index is None and arm != COX:
            continue
        prep = moments.preprocessing(columns)
        done.cox[arm] = {}
        for endpoint in run.plan.endpoints.survival:
            model, fit = yield from fit_cox(run, fold, prep, arm=arm, endpoint=endpoint, site=None)
            if fold.index is not None:
                model = yield from with_risks(run, fold, model, arm=arm)
            done.cox[arm][endpoint] = model
            if arm == COX:
                done.fits[endpoint] = fit


def _fit_networks(
    run: Execution, done: FittedFold, moments: Moments
) -> Generator[Record, None, None]:
    fold = done.fold
    prep = moments.preprocessing(run.plan.inputs.clinical)
    trained = guarded(run.plan, fold)
    initial = yield from initial_network(run, trained, prep)
    guard = None
    if run.plan.acceptance.every:
        guard = Guard(
            fold=fold,
            columns=prep.columns,
            arrays={f"prep.{name}": array for name, array in prep.to_arrays().items()},
            model=initial,
        )
        done.verdicts = guard.verdicts
    network, done.losses = yield from train_federated(
        run, trained, prep, initial, subjects=moments.subjects, guard=guard
    )
    network, own = networks_of(network, run.plan)
    if fold.index is None:
        done.networks[FEDERATED] = network
        return
    done.networks[FEDERATED] = yield from with_risks(run, fold, network, arm=FEDERATED)
    if own is not None:
        done.networks[PERSONAL] = yield from with_risks(run, fold, own, arm=PERSONAL)
    alone = yield from train_alone(run, trained, prep, initial)
    if run.pooled in alone:
        done.networks[POOLED] = yield from with_risks(
            run, fold, alone.pop(run.pooled), arm=POOLED, site=run.pooled
        )
    plan = run.plan
    if "ensemble" in plan.evaluation.baselines and len(alone) >= plan.sites.sites_min:
        done.networks[ENSEMBLE] = yield from with_risks(run, fold, ensemble_of(alone), arm=ENSEMBLE)
    if "local" not in plan.evaluation.baselines:
        return
    # The federated model's distribution of risks only spreads local risks over the bins.
    spread = done.networks[FEDERATED].cdf
    done.local = {site: model.with_cdf(spread) for site, model in alone.items()}


def _pooled_cox(run: Execution, final: FittedFold) -> Generator[Record, None, dict[str, CoxFit]]:
    """Fit the Cox arm on the pooled site, stratified by hospital, to compare coefficients."""
    fits: dict[str, CoxFit] = {}
    if run.pooled is None or "pooled" not in run.plan.evaluation.baselines:
        return fits
    for endpoint, model in final.cox[COX].items():
        same = replace(final.fold, train_sites=model.sites)
        _, fits[endpoint] = yield from fit_cox(
            run, same, model.prep(), arm="cox-pooled", endpoint=endpoint, site=run.pooled
        )
    return fits


def _judge(
    run: Execution, fitted: list[FittedFold]
) -> Generator[Record, None, dict[str, dict[str, Judged]]]:
    """Judge every arm on every endpoint it predicts; by endpoint, then arm."""
    plan = run.plan
    judged: dict[str, dict[str, Judged]] = {}
    folds = [done.fold for done in fitted]
    for endpoint in (*plan.endpoints.survival, *plan.endpoints.binary):
        judged[endpoint] = {}
        for arm in LABELS:
            if arm == LOCAL:
                if endpoint != plan.endpoints.primary:
                    continue
                layers = local_layers(folds, [done.local for done in fitted])
                if any(len(layer) < plan.sites.sites_min for layer in layers):
                    continue  # too few hospitals released their local model
            else:
                models = [_model(done, arm, endpoint) for done in fitted]
                known = [model for model in models if model is not None]
                if len(known) < len(folds):
                    continue
                layers = layers_of(folds, known)
            if not layers:
                continue
            summed = yield from judge(
                run, arm=arm, label=LABELS[arm], endpoint=endpoint, layers=layers
            )
            each: Mapping[str, Parameters | str] = {}
            headline = arm in _told_apart(folds) and endpoint == plan.endpoints.primary
            if headline and plan.evaluation.site_results:
                each = yield from judge_each(
                    run, arm=arm, label=LABELS[arm], endpoint=endpoint, layers=layers
                )
            models_judged = len(layers) if arm == LOCAL and folds[0].test_part == "all" else 1
            judged[endpoint][arm] = Judged(summed=summed, each=each, models=models_judged)
    return judged


def _told_apart(folds: Sequence[Fold]) -> tuple[str, ...]:
    """Return the arms of which each hospital is asked its own result.

    A hospital's own model is among them where it is judged on that hospital's own subjects.
    """
    return (FEDERATED, COX, LOCAL) if folds[0].test_part == "test" else (FEDERATED, COX)


def _model(done: FittedFold, arm: str, endpoint: str) -> Fitted | None:
    if arm in done.cox:
        return done.cox[arm].get(endpoint)
    return done.networks.get(arm)
