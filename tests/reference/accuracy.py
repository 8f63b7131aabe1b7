"""Reference numbers of tests/survival on accuracy, from libraries that are no dependency.

    pip install scikit-survival==0.28.0 lifelines dcurves==1.1.7 SurvivalEVAL==0.9.0
    python accuracy.py ../../../shared/data/tcga_brca > accuracy.json

Reads survival.json and performance.json beside it for coefficients and data. scikit-survival is
GPL: it writes this fixture and is never imported by fedpet or its tests.
"""

import contextlib
import json
import sys
from importlib.metadata import version
from pathlib import Path

import dcurves
import numpy as np
import pandas as pd
from lifelines import CoxPHFitter
from lifelines.datasets import load_lung
from sksurv.linear_model import CoxPHSurvivalAnalysis
from sksurv.metrics import (
    brier_score,
    concordance_index_ipcw,
    cumulative_dynamic_auc,
    integrated_brier_score,
)
from sksurv.util import Surv
from SurvivalEVAL.evaluations.calibration.distributional.distribution_calibration import (
    d_calibration,
)

HERE = Path(__file__).parent
R = json.loads((HERE / "survival.json").read_text())
PERFORMANCE = json.loads((HERE / "performance.json").read_text())
THRESHOLDS = [round(0.05 * step, 2) for step in range(1, 20)]
COVARIATES = ["age", "sex", "ph.ecog"]


def plain(values):
    """Return JSON values; None where a number does not exist."""
    array = np.asarray(values, float)
    return [None if np.isnan(v) else float(v) for v in array.ravel()]


def lung():
    """Judge R's Efron fit on the data that it was fitted to."""
    frame = load_lung().dropna(subset=["inst", *COVARIATES])
    time, event = frame["time"].to_numpy(float), frame["status"].to_numpy() == 1
    risk = np.round(frame[COVARIATES].to_numpy(float) @ np.array(R["efron"]["beta"]), 12)
    days = np.array([180.0, 365.0, 540.0])
    hazard = np.array(R["baseline_efron"]["hazard"])
    survival = np.exp(-np.exp(risk)[:, None] * hazard)
    y = Surv.from_arrays(event, time)
    # A distribution for every subject: exponential with the fit's hazard at a year.
    at_own_time = np.exp(-np.exp(risk) * hazard[1] / 365 * time)
    statistic, p, counts = d_calibration(at_own_time, event)
    table = pd.DataFrame({"t": time, "e": event, "p": 1 - survival[:, 1]})
    with contextlib.redirect_stdout(sys.stderr):
        curve = dcurves.dca(
            data=table,
            outcome="e",
            modelnames=["p"],
            thresholds=THRESHOLDS,
            time=365,
            time_to_outcome_col="t",
        )
    taus = [365.0, 540.0, 730.0]
    own = CoxPHSurvivalAnalysis(ties="efron", tol=1e-14, n_iter=200).fit(frame[COVARIATES], y)
    own_hazard = own.cum_baseline_hazard_(days)
    own_risk = frame[COVARIATES].to_numpy(float) @ own.coef_
    own_survival = np.exp(-np.exp(own_risk)[:, None] * own_hazard)
    return {
        "days": plain(days),
        "brier": plain(brier_score(y, y, survival, days)[1]),
        "ibs": [float(integrated_brier_score(y, y, survival, days))],
        "own_coefficients": plain(own.coef_),
        "own_hazard": plain(own_hazard),
        "own_brier": plain(brier_score(y, y, own_survival, days)[1]),
        "auc": plain(cumulative_dynamic_auc(y, y, risk, days)[0]),
        "tau": taus,
        "uno": [float(concordance_index_ipcw(y, y, risk, tau=tau)[0]) for tau in taus],
        "d_calibration": plain(counts),
        "d_calibration_statistic": [float(statistic)],
        "d_calibration_p": [float(p)],
        "thresholds": THRESHOLDS,
        "net_benefit": plain(curve[curve.model == "p"].net_benefit),
        "treat_all": plain(curve[curve.model == "all"].net_benefit),
    }


def brca(folder):
    """Judge R's pooled ridge fit on the test fold of six regions; G from the training fold."""
    table = pd.read_csv(folder / "brca.csv").merge(
        pd.read_csv(folder / "train_test_split.csv"), on="pid"
    )
    train = (table["fold"] == "train").to_numpy()
    time, event = table["T"].to_numpy(float), table["E"].to_numpy() == 1
    raw = table.drop(columns=["pid", "E", "T", "fold", "fold2"]).to_numpy(float)
    sd = raw[train].std(axis=0, ddof=1)
    x = (raw - raw[train].mean(axis=0)) / np.where(sd > 0, sd, 1.0)
    risk = np.round(x @ np.array(R["brca_pooled"]["beta"]), 12)
    days = 365.25 * np.arange(1, 6)
    hazard = np.array([0.0131114863, 0.0334510286, 0.0811384105, 0.1054948318, 0.1655572412])
    survival = np.exp(-np.exp(risk)[:, None] * hazard)
    kept = ~train & (time < time[train].max())
    known = Surv.from_arrays(event[train], time[train])
    y = Surv.from_arrays(event[kept], time[kept])
    whole = Surv.from_arrays(event[~train], time[~train])
    taus = [1826.25, 3652.5]
    return {
        "days": plain(days),
        "hazard": plain(hazard),
        "subjects": [int(kept.sum())],
        "brier": plain(brier_score(known, y, survival[kept], days)[1]),
        "ibs": [float(integrated_brier_score(known, y, survival[kept], days))],
        "auc": plain(cumulative_dynamic_auc(known, y, risk[kept], days)[0]),
        "tau": taus,
        "uno": [
            float(concordance_index_ipcw(known, whole, risk[~train], tau=tau)[0]) for tau in taus
        ],
    }


def binary():
    """A decision curve of a yes-or-no outcome."""
    label = np.array(PERFORMANCE["asah"]["label"]) == 1
    score = 1 / (1 + np.exp(1.5 - 3 * np.array(PERFORMANCE["asah"]["score"])))
    table = pd.DataFrame({"e": label, "p": score})
    curve = dcurves.dca(data=table, outcome="e", modelnames=["p"], thresholds=THRESHOLDS)
    return {
        "thresholds": THRESHOLDS,
        "net_benefit": plain(curve[curve.model == "p"].net_benefit),
        "treat_all": plain(curve[curve.model == "all"].net_benefit),
    }


def slope():
    """Cox on the linear predictor, from lifelines."""
    frame = load_lung().dropna(subset=["inst", *COVARIATES])
    frame["half"] = frame[COVARIATES].to_numpy(float) @ np.array(R["efron"]["beta"]) / 2
    columns = ["time", "status", "half", "inst"]
    fit = CoxPHFitter().fit(
        frame[columns], "time", "status", strata=["inst"], fit_options={"precision": 1e-12}
    )
    return {"within": plain(fit.params_), "within_se": plain(fit.standard_errors_)}


names = ("scikit-survival", "lifelines", "dcurves", "SurvivalEVAL", "numpy")
found = {
    "made_by": {name: version(name) for name in names},
    "lung": lung(),
    "binary": binary(),
    "slope": slope(),
}
if len(sys.argv) > 1:
    found["brca"] = brca(Path(sys.argv[1]))
sys.stdout.write(json.dumps(found, indent=1) + "\n")
