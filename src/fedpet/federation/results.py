"""From summed evaluations to the one document that the report is made of."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from typing import Any

import numpy as np

from fedpet import __version__, planfile
from fedpet.federation import history, measures
from fedpet.federation.acceptance import Verdict
from fedpet.federation.asking import Execution, masks
from fedpet.federation.preparation import Enrolled, Fold, everybody
from fedpet.parameters import Parameters
from fedpet.plan import Plan
from fedpet.privacy.accountant import promised
from fedpet.survival import binary, disclosure, kaplan_meier, log_rank, scores
from fedpet.survival.bootstrap import Measured
from fedpet.survival.concordance import concordance_within
from fedpet.survival.grid import grid_of
from fedpet.survival.newton import CoxFit
from fedpet.survival.preprocessing import MONTH_DAYS

SCHEMA = "fedpet-results/1"
COX_TOLERANCE = 1e-8


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What the coordinator knows besides the sites' answers.

    Args:
        started: When the run began, ISO 8601.
        phantom: Whether the subjects are simulated.
        ceiling: The best reachable C-index by endpoint, known for phantoms only.
        findings: Counts of quality findings by site, as released by the sites.
    """

    started: str
    phantom: bool = False
    ceiling: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    findings: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What the sites measured of one arm on one endpoint.

    Args:
        summed: Sums over all sites.
        each: Pairs of one hospital alone, or why there are none.
        models: Models judged per subject; more than one for local-only.
    """

    summed: Parameters
    each: Mapping[str, Parameters | str]
    models: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything that the walk gathered for the results.

    Args:
        enrolled: The sites.
        folds: The folds as they were fitted.
        losses: Training loss of the federated network by fold and round; None is the fold of all.
        fits: Cox fits on everybody, by endpoint.
        pooled: The same fitted on the pooled site.
        judged: What was measured, by endpoint and arm.
        labels: Arms in the order of display, with their names.
        verdicts: How candidates for the federated network were judged, by fold and round.
    """

    enrolled: Enrolled
    folds: Sequence[Fold]
    losses: Mapping[int | None, Sequence[float]]
    fits: Mapping[str, CoxFit]
    pooled: Mapping[str, CoxFit]
    judged: Mapping[str, Mapping[str, Judged]]
    labels: Mapping[str, str]
    verdicts: Sequence[Verdict] = ()


def results_of(run: Execution, context: Context, evidence: Evidence) -> dict[str, Any]:
    """Assemble the document: a pure function of the journal, so that a resumed run equals it.

    Returns:
        JSON values only; None where a number could not be computed.
    """
    plan = run.plan
    steps = run.journal.history()
    return {
        "schema": SCHEMA,
        "plan": _plan(run),
        "experiment": {
            "id": run.experiment,
            "started": context.started,
            "seconds": sum(step.seconds for _, step in steps),
            "fedpet": __version__,
            "phantom": context.phantom,
            "timings": history.timings(steps),
            "versions": _versions(),
        },
        "privacy": _privacy(run, evidence),
        "sites": _sites(evidence),
        **_judgements(plan, evidence),
        "curves": {
            "network-federated": [
                {"fold": fold, "rounds": list(range(1, len(losses) + 1)), "loss": list(losses)}
                for fold, losses in evidence.losses.items()
            ]
        },
        "acceptance": [verdict.values() for verdict in evidence.verdicts],
        "hazard_ratios": {
            endpoint: _hazard_ratios(plan, fit) for endpoint, fit in evidence.fits.items()
        },
        "ceiling": {name: dict(values) for name, values in context.ceiling.items()},
        "checks": _checks(evidence),
        "findings": [_finding(finding) for finding in context.findings],
        "participation": history.participation(steps, pooled=run.pooled),
        "left": history.left(steps),
    }


def _privacy(run: Execution, evidence: Evidence) -> dict[str, Any]:
    folds = (*evidence.folds, everybody(evidence.enrolled))
    return {
        "secure_sum": all(masks(run, fold.train_sites) for fold in folds),
        "update_norm_max": run.plan.privacy.update_norm_max,
        "noise": promised(run.plan, evidence.enrolled.subjects.values()),
    }


def _judgements(plan: Plan, evidence: Evidence) -> dict[str, Any]:
    """Return all that is told of arms, by endpoint and arm."""
    judged = evidence.judged
    survival = {name: judged[name] for name in plan.endpoints.survival}
    grid = grid_of(plan.endpoints.horizons_months, plan.model.intervals_months)
    measured = {
        endpoint: {arm: scores.performance(found.summed, grid=grid) for arm, found in arms.items()}
        for endpoint, arms in survival.items()
    }
    used = {arm for arms in judged.values() for arm in arms}
    return {
        "arms": [
            {"id": arm, "label": label, **NATURE[arm]}
            for arm, label in evidence.labels.items()
            if arm in used
        ],
        "performance": {
            endpoint: {
                arm: _performance(
                    plan,
                    found,
                    models=judged[endpoint][arm].models,
                    one_scale=NATURE[arm]["training"] != "local",
                )
                for arm, found in arms.items()
            }
            for endpoint, arms in measured.items()
        },
        "differences": {endpoint: _differences(arms) for endpoint, arms in measured.items()},
        "binary": {
            endpoint: {arm: _binary(found) for arm, found in judged[endpoint].items()}
            for endpoint in plan.endpoints.binary
        },
        "kaplan_meier": {
            endpoint: {
                arm: _kaplan_meier(plan, found.summed)
                for arm, found in arms.items()
                if found.models == 1
            }
            for endpoint, arms in survival.items()
        },
        "site_performance": {
            endpoint: {arm: _by_site(found) for arm, found in arms.items() if found.each}
            for endpoint, arms in survival.items()
        },
        "average_hospital": {
            endpoint: {
                arm: measures.average_hospital(found.each)
                for arm, found in arms.items()
                if found.each
            }
            for endpoint, arms in survival.items()
        },
    }


NATURE = {
    "network-federated": {"inputs": "PET projections + clinical", "training": "federated"},
    "network-pooled": {"inputs": "PET projections + clinical", "training": "pooled"},
    "network-local": {"inputs": "PET projections + clinical", "training": "local"},
    "network-personal": {"inputs": "PET projections + clinical", "training": "local"},
    "network-ensemble": {"inputs": "PET projections + clinical", "training": "ensemble"},
    "cox-federated": {"inputs": "clinical + biomarkers", "training": "federated"},
    "cox-clinical": {"inputs": "clinical", "training": "federated"},
    "tmtv": {"inputs": "TMTV", "training": "federated"},
}


def _plan(run: Execution) -> dict[str, Any]:
    plan = run.plan
    return {
        "name": plan.name,
        "title": plan.title,
        "fingerprint": run.fingerprint,
        "text": planfile.dumps(plan),
        "primary": plan.endpoints.primary,
        "horizons_months": list(plan.endpoints.horizons_months),
        "scheme": plan.evaluation.scheme,
        "folds": plan.evaluation.folds,
        "rounds": plan.training.rounds,
        "bootstrap": plan.evaluation.bootstrap,
        "seed": plan.seed,
    }


def _versions() -> dict[str, str]:
    """Return what computed: the interpreter, and the libraries that decide on the last digits."""
    found = {"python": platform.python_version()}
    for name in ("numpy", "torch"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _sites(evidence: Evidence) -> list[dict[str, Any]]:
    enrolled = evidence.enrolled
    held_out = {site: fold.index for fold in evidence.folds for site in fold.test_sites}
    by_hospital = any(fold.test_part == "all" for fold in evidence.folds)
    subjects = [enrolled.subjects[site] for site in enrolled.sites]
    endpoints = {name for events in enrolled.events.values() for name in events}
    columns = {
        name: _events([enrolled.events[site][name] for site in enrolled.sites], subjects)
        for name in sorted(endpoints)
    }
    taking_part = [
        {
            "name": site,
            "subjects": _count(enrolled.subjects[site]),
            "events": {name: column[index] for name, column in columns.items()},
            "fold": held_out.get(site) if by_hospital else None,
            "reason": "",
        }
        for index, site in enumerate(enrolled.sites)
    ]
    refused: list[dict[str, Any]] = [
        {"name": site, "subjects": 0, "events": {}, "fold": None, "reason": reason}
        for site, reason in sorted(enrolled.refusals.items())
    ]
    return taking_part + refused


def _count(number: int) -> int | str:
    """Return a count as it may be passed on; none at all describes nobody."""
    return disclosure.printed(disclosure.cell(number)) if number else 0


def _events(counts: Sequence[int], subjects: Sequence[int]) -> list[int | str]:
    return [disclosure.printed(one) for one in disclosure.events(counts, subjects)]


def _finding(finding: Mapping[str, Any]) -> dict[str, Any]:
    return {**finding, "subjects": _count(int(finding["subjects"]))}


def _performance(
    plan: Plan, found: scores.Performance, *, models: int, one_scale: bool
) -> dict[str, Any]:
    """Return what was measured of one arm on one endpoint.

    Args:
        plan: Names the horizons.
        found: From the sums.
        models: Models judged per subject, to count each subject once.
        one_scale: Whether hospitals were judged with risks that can be compared; where each had a
            model of its own, pairs across hospitals would compare models, not subjects.
    """
    horizons = [f"{horizon:g}" for horizon in plan.endpoints.horizons_months]

    def at(values: Sequence[Measured]) -> dict[str, Any]:
        return {
            name: measures.estimate(value) for name, value in zip(horizons, values, strict=True)
        }

    return {
        "subjects": found.subjects // models,
        "events": found.events // models,
        "c_within": measures.estimate(found.c_within),
        "c_global": measures.estimate(found.c_global) if one_scale else None,
        "auc": at(found.auc) if one_scale else dict.fromkeys(horizons),
        "brier": at(found.brier),
        "brier_reference": dict(zip(horizons, found.brier_reference, strict=True)),
        **measures.accuracy(found, horizons=horizons, one_scale=one_scale),
        "calibration": {
            name: {
                "observed_expected": measures.estimate(found.observed_expected[index]),
                "slope": measures.estimate(found.slope[index]),
                "bins": [
                    asdict(one)
                    for one in found.bins[index]
                    if one.subjects >= disclosure.AT_RISK_MIN
                ],
            }
            for index, name in enumerate(horizons)
        },
    }


def _binary(found: Judged) -> dict[str, Any]:
    measured = binary.binary_performance(found.summed)
    return {
        "subjects": measured.subjects,
        "positives": measured.positives,
        "auc": measures.estimate(measured.auc),
        "delong": None if measured.delong is None else asdict(measured.delong),
        "brier": measures.estimate(measured.brier),
        "observed_expected": measures.estimate(measured.observed_expected),
    }


def _kaplan_meier(plan: Plan, summed: Parameters) -> dict[str, Any]:
    """Return curves by third of predicted risk, cut where fewer than ten remain at risk."""
    joint = np.asarray(summed["joint"], np.float64)[0]
    third = joint.shape[2] // 3
    counts = np.stack([joint[:, :, g * third : (g + 1) * third].sum(axis=2) for g in range(3)])
    grid = grid_of(plan.endpoints.horizons_months, plan.model.intervals_months)
    edges = grid.time_edges_days / MONTH_DAYS
    times = np.round(edges, 2)
    groups, at_risk = [], []
    last = max(plan.endpoints.horizons_months)
    ticks = [float(tick) for tick in np.arange(0, last + 1, 6 if last > 12 else 3)]
    for label, table in zip(("low", "middle", "high"), counts, strict=True):
        curve = kaplan_meier.curve(table)
        shown = curve.at_risk[: len(times)] >= disclosure.AT_RISK_MIN
        stop = int(np.argmin(shown)) if not shown.all() else len(times)
        groups.append(
            {
                "label": label,
                "months": times[:stop].tolist(),
                "survival": curve.survival[:stop].tolist(),
                "low": curve.low[:stop].tolist(),
                "high": curve.high[:stop].tolist(),
            }
        )
        row = [float(curve.at_risk[int(np.argmin(np.abs(times - tick)))]) for tick in ticks]
        at_risk.append([disclosure.printed(one) for one in disclosure.at_risk(row)])
    compared = log_rank.log_rank_test(log_rank.log_rank_sums(counts))
    return {
        "groups": groups,
        "at_risk": {"months": ticks, "groups": at_risk},
        "logrank_p": compared.p_value,
    }


def _by_site(found: Judged) -> list[dict[str, Any]]:
    released = {site: arrays for site, arrays in found.each.items() if not isinstance(arrays, str)}
    subjects = [round(float(arrays["subjects"].sum())) for arrays in released.values()]
    events = [round(float(arrays["events"].sum())) for arrays in released.values()]
    shown = dict(zip(released, _events(events, subjects), strict=True))
    listed = []
    for site, arrays in sorted(found.each.items()):
        if isinstance(arrays, str):
            listed.append(
                {"site": site, "subjects": 0, "events": 0, "c_within": None, "reason": arrays}
            )
            continue
        estimate = measures.estimate(concordance_within(arrays["pairs"]))
        listed.append(
            {
                "site": site,
                "subjects": _count(round(float(arrays["subjects"].sum()))),
                "events": shown[site],
                "c_within": estimate,
                "reason": "" if estimate else "no pair of subjects can be compared",
            }
        )
    return listed


def _differences(arms: Mapping[str, scores.Performance]) -> list[dict[str, Any]]:
    """Compare the two federated arms with everything else, in pairs of bootstrap replicates."""
    found = []
    for first in ("network-federated", "cox-federated"):
        for second in arms:
            if first not in arms or second in (first, "network-federated"):
                continue
            difference = measures.estimate(arms[first].c_within.minus(arms[second].c_within))
            if difference is not None:
                found.append({"a": first, "b": second, "metric": "c_within", **difference})
    return found


def _hazard_ratios(plan: Plan, fit: CoxFit) -> list[dict[str, Any]]:
    """Return hazard ratios per standard deviation, with Wald intervals and p-values."""
    listed = []
    for name, beta, error in zip(fit.covariates, fit.params, fit.standard_errors, strict=True):
        listed.append(
            {
                "name": name,
                "log": name in plan.inputs.log,
                "hazard_ratio": math.exp(beta),
                "low": math.exp(beta - 1.959963984540054 * error),
                "high": math.exp(beta + 1.959963984540054 * error),
                "p": math.erfc(abs(beta / error) / math.sqrt(2)),
            }
        )
    return listed


def _checks(evidence: Evidence) -> list[dict[str, Any]]:
    checks = []
    for endpoint, fit in evidence.pooled.items():
        gap = float(np.abs(fit.params - evidence.fits[endpoint].params).max())
        checks.append(
            {
                "name": f"Federated Cox equals pooled stratified Cox, {endpoint}: "
                "largest difference of a coefficient",
                "value": gap,
                "limit": COX_TOLERANCE,
                "passed": gap <= COX_TOLERANCE,
            }
        )
    return checks
