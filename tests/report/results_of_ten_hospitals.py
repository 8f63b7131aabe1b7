"""A results document with everything in it, written by hand from a seed; no experiment is run."""

from __future__ import annotations

import random

ARMS = {
    "network-federated": ("Network, federated", "PET projections + clinical", "federated"),
    "network-pooled": ("Network, pooled", "PET projections + clinical", "pooled"),
    "network-local": ("Network, local only", "PET projections + clinical", "local"),
    "cox-federated": ("Cox, clinical + biomarkers", "clinical + biomarkers", "federated"),
    "cox-clinical": ("Cox, clinical only", "clinical", "federated"),
    "tmtv": ("TMTV alone", "TMTV", "federated"),
}
HORIZONS = ("6", "12", "24")
SITES = tuple(f"site-{index}" for index in range(10))
PLAN = """name = "toy"
[inputs]
clinical = ["age_years"]
[privacy]
update_norm_max = 10.0
"""


def results_document(*, seed: int = 7) -> dict:
    """Return a document of schema `fedpet-results/1`."""
    rng = random.Random(seed)

    def estimate(low: float = 0.55, high: float = 0.75) -> dict:
        value = rng.uniform(low, high)
        return {"value": value, "low": value - 0.04, "high": value + 0.05}

    subjects = [20 + 3 * index for index in range(10)]
    return {
        "schema": "fedpet-results/1",
        "plan": {
            "name": "toy", "title": "A toy experiment", "fingerprint": "ab" * 32, "text": PLAN,
            "primary": "pfs", "horizons_months": [6.0, 12.0, 24.0], "scheme": "held-out-sites",
            "folds": 3, "rounds": 4, "bootstrap": 100, "seed": 2026,
        },
        "experiment": {
            "id": "toy-1", "started": "2026-03-02T10:00:00+00:00", "seconds": 75.0,
            "fedpet": "0.1.0", "phantom": True,
            "timings": [{"name": "Cox models", "seconds": 5.0},
                        {"name": "Network, federated", "seconds": 70.0}],
        },
        "sites": [
            {"name": site, "subjects": n, "events": {"pfs": n - 8, "os": n // 2},
             "fold": index % 3, "reason": ""}
            for index, (site, n) in enumerate(zip(SITES, subjects, strict=True))
        ],
        "arms": [
            {"id": key, "label": label, "inputs": inputs, "training": training}
            for key, (label, inputs, training) in ARMS.items()
        ],
        "performance": {
            endpoint: {arm: _performance(rng, estimate) for arm in ARMS}
            for endpoint in ("pfs", "os")
        },
        "binary": {
            "response": {
                "network-federated": {"subjects": 300, "positives": 120, "auc": estimate(),
                                      "brier": estimate(0.1, 0.2)}
            }
        },
        "kaplan_meier": {
            endpoint: {arm: _kaplan_meier() for arm in ("network-federated", "cox-federated")}
            for endpoint in ("pfs", "os")
        },
        "site_performance": {
            "pfs": {
                arm: [
                    {"site": site, "subjects": n, "events": n - 8, "c_within": estimate(),
                     "reason": ""}
                    for site, n in zip(SITES, subjects, strict=True)
                ]
                for arm in ("network-federated", "cox-federated")
            },
            "os": {},
        },
        "average_hospital": {
            "pfs": {
                arm: {"sites": 10, "c_within": estimate(), "prediction": {"low": 0.5, "high": 0.8},
                      "i2": 0.31, "tau2": 0.02}
                for arm in ("network-federated", "cox-federated")
            },
            "os": {},
        },
        "curves": {
            "network-federated": [
                {"fold": fold, "rounds": [1, 2, 3, 4], "loss": [4.0, 3.5, 3.2, 3.1]}
                for fold in (0, 1, 2, None)
            ]
        },
        "differences": {
            endpoint: [
                {"a": "network-federated", "b": other, "metric": "c_within",
                 "value": value, "low": value - 0.03, "high": value + 0.03}
                for other, value in (("network-pooled", -0.01), ("network-local", 0.06),
                                     ("tmtv", 0.05), ("cox-federated", -0.08))
            ]
            for endpoint in ("pfs", "os")
        },
        "hazard_ratios": {
            "pfs": [
                {"name": "age_years", "log": False, "hazard_ratio": 1.1, "low": 0.9, "high": 1.3,
                 "p": 0.21},
                {"name": "tmtv_ml", "log": True, "hazard_ratio": 1.9, "low": 1.6, "high": 2.2,
                 "p": 1e-9},
            ]
        },
        "ceiling": {"pfs": {"all": 0.742, "clinical": 0.64}},
        "checks": [
            {"name": "Federated Cox equals pooled stratified Cox, pfs: largest difference of a "
             "coefficient", "value": 2e-12, "limit": 1e-8, "passed": True}
        ],
        "findings": [
            {"site": "site-1", "code": "FP-2104", "severity": "error", "title": "Dose missing",
             "subjects": "<5", "fix": "Give doses."}
        ],
        "participation": {
            "sites": list(SITES),
            "rounds": [1, 2, 3, 4],
            "state": {site: ["ok", "ok", "missed", "absent"] for site in SITES},
        },
        "left": [
            {"what": "model updates", "messages": 40, "bytes": 1_313_280},
            {"what": "counts of subjects and events", "messages": 20, "bytes": 900},
        ],
    }  # fmt: skip


def _performance(rng: random.Random, estimate) -> dict:
    return {
        "subjects": 335,
        "events": 255,
        "c_within": estimate(),
        "c_global": estimate(),
        "auc": {h: estimate() for h in HORIZONS},
        "brier": {h: estimate(0.1, 0.25) for h in HORIZONS},
        "brier_reference": {h: rng.uniform(0.1, 0.25) for h in HORIZONS},
        "c_uno": estimate(),
        "ibs": estimate(0.1, 0.25),
        "ibs_reference": rng.uniform(0.1, 0.25),
        "d_calibration": {"p": rng.uniform(0.01, 0.9), "shares": [0.1] * 10},
        "decision": {h: _decision(rng) for h in HORIZONS},
        "calibration": {
            h: {
                "observed_expected": estimate(0.9, 1.1),
                "slope": estimate(0.8, 1.2),
                "bins": [
                    {"predicted": p, "observed": p + 0.02, "low": p - 0.1, "high": p + 0.1,
                     "subjects": n}
                    for p, n in ((0.2, 40), (0.5, 40), (0.8, 7))
                ],
            }
            for h in HORIZONS
        },
    }  # fmt: skip


def _decision(rng: random.Random) -> dict:
    thresholds = [0.05 * step for step in range(1, 15)]
    event = rng.uniform(0.4, 0.6)
    of_all = [event - (1 - event) * t / (1 - t) for t in (*thresholds, 0.75, 0.8, 0.85, 0.9, 0.95)]
    gain = [max(value, 0.0) + 0.04 for value in of_all[: len(thresholds)]]
    return {
        "thresholds": thresholds,
        "model": [{"value": v, "low": v - 0.02, "high": v + 0.02} for v in gain],
        "treat_all": of_all,
    }


def _kaplan_meier() -> dict:
    months = [0.0, 3.0, 6.0, 9.0, 12.0, 18.0, 24.0]
    return {
        "groups": [
            {
                "label": label,
                "months": months[:stop],
                "survival": [max(0.0, 1 - slope * month) for month in months[:stop]],
                "low": [max(0.0, 0.95 - slope * month) for month in months[:stop]],
                "high": [min(1.0, 1.02 - slope * month) for month in months[:stop]],
            }
            for label, slope, stop in (("low", 0.02, 7), ("middle", 0.03, 6), ("high", 0.05, 4))
        ],
        "at_risk": {
            "months": [0.0, 6.0, 12.0, 18.0, 24.0],
            "groups": [
                [112, 88, 61, 40, 23],
                [112, 70, 33, 17, "<10"],
                [111, 41, "<10", "<10", "<10"],
            ],
        },
        "logrank_p": 3.4e-8,
    }
