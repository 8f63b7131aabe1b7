"""Numbers of a judged model as they stand in the results: rounded to nothing, small cells cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fedpet.parameters import Parameters
from fedpet.survival import disclosure, scores
from fedpet.survival.bootstrap import Measured
from fedpet.survival.concordance import concordance_error, concordance_within
from fedpet.survival.decision import DecisionCurve
from fedpet.survival.random_effects import random_effects


def estimate(measured: Measured) -> dict[str, float | None] | None:
    """Return a number with its interval; None where the data do not define it."""
    found = measured.estimate()
    if found is None:
        return None
    return {"value": found.value, "low": found.low, "high": found.high}


def accuracy(
    found: scores.Performance, *, horizons: Sequence[str], one_scale: bool
) -> dict[str, Any]:
    """Return Uno's C-index, mean Brier score, D-calibration and decision curves.

    Args:
        found: From the sums.
        horizons: Names of the horizons.
        one_scale: Whether hospitals were judged with risks that can be compared.
    """
    whole = found.d_calibration
    return {
        "c_uno": estimate(found.c_uno) if one_scale else None,
        "ibs": estimate(found.ibs),
        "ibs_reference": found.ibs_reference if np.isfinite(found.ibs_reference) else None,
        "d_calibration": None if whole is None else {"p": whole.p, "shares": list(whole.shares)},
        "decision": {
            name: _decision(curve) for name, curve in zip(horizons, found.decision, strict=True)
        },
    }


def _decision(curve: DecisionCurve) -> dict[str, Any]:
    """Return a decision curve up to the first threshold that few subjects reach."""
    few = [size < disclosure.AT_RISK_MIN for size in curve.subjects]
    stop = few.index(True) if True in few else len(few)
    return {
        "thresholds": list(curve.thresholds[:stop]),
        "model": [estimate(one) for one in curve.model[:stop]],
        "treat_all": list(curve.treat_all),
    }


def average_hospital(each: Mapping[str, Parameters | str]) -> dict[str, Any] | None:
    """Summarise hospitals' own C-indices: random effects (REML) on the logit scale.

    Returns:
        None with fewer than two hospitals whose C-index has a standard error.
    """
    centres, errors = [], []
    for _, arrays in sorted(each.items()):
        if isinstance(arrays, str):
            continue
        value = concordance_within(arrays["pairs"]).replicates[0]
        error = concordance_error(arrays["pairs"][0], arrays["influence"])
        if error and 0 < value < 1:
            centres.append(np.log(value / (1 - value)))
            errors.append(error / (value * (1 - value)))
    if len(centres) < 2:
        return None
    found = random_effects(np.array(centres), np.array(errors))
    ends = (found.prediction_low, found.prediction_high)
    low, high = (None if end is None else _share(end) for end in ends)
    return {
        "sites": found.sites,
        "c_within": {
            "value": _share(found.estimate),
            "low": _share(found.low),
            "high": _share(found.high),
        },
        "prediction": {"low": low, "high": high},
        "i2": found.i2,
        "tau2": found.tau2,
    }


def _share(logit: float) -> float:
    return float(1 / (1 + np.exp(-logit)))
