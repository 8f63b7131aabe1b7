"""Numbers that we did not compute, and the real data that they belong to."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest

BRCA = Path(__file__).resolve().parents[2] / "shared/data/tcga_brca"
LUNG_COVARIATES = ("age", "sex", "ph.ecog")


@cache
def reference(name: str = "survival") -> dict[str, dict[str, np.ndarray]]:
    """Return tests/reference/<name>.json, written by the script beside it."""
    path = Path(__file__).parent / f"reference/{name}.json"
    return {
        name: {key: np.array(value) for key, value in entry.items()}
        for name, entry in json.loads(path.read_text()).items()
    }


class Lung:
    """NCCTG lung cancer: 18 institutions, every subject whose institution is known."""

    def __init__(self, *, complete: bool) -> None:
        from lifelines.datasets import load_lung

        frame = load_lung().dropna(subset=["inst"])
        if complete:
            frame = frame.dropna(subset=list(LUNG_COVARIATES))
        self.x = frame[list(LUNG_COVARIATES)].to_numpy(float)
        self.time = frame["time"].to_numpy(float)
        self.event = frame["status"].to_numpy() == 1
        self.inst = frame["inst"].to_numpy().astype(np.int64)


@cache
def lung(*, complete: bool = True) -> Lung:
    """Return the lung data; `complete` drops the one subject without performance status."""
    return Lung(complete=complete)


class Brca:
    """Fed-TCGA-BRCA as FLamby splits it, standardised by the training fold."""

    def __init__(self) -> None:
        import pandas as pd

        table = pd.read_csv(BRCA / "brca.csv").merge(
            pd.read_csv(BRCA / "train_test_split.csv"), on="pid"
        )
        self.train = (table["fold"] == "train").to_numpy()
        self.region = table["fold2"].str.rsplit("_", n=1).str[-1].to_numpy().astype(np.int64)
        self.time, self.event = table["T"].to_numpy(float), table["E"].to_numpy() == 1
        raw = table.drop(columns=["pid", "E", "T", "fold", "fold2"]).to_numpy(float)
        fitted = raw[self.train]
        sd = fitted.std(axis=0, ddof=1)
        self.x = (raw - fitted.mean(axis=0)) / np.where(sd > 0, sd, 1.0)


@cache
def brca() -> Brca:
    """Return the breast-cancer data, or skip the test."""
    if not BRCA.exists():
        pytest.skip("shared/data/tcga_brca is not here; it lies beside the repository")
    return Brca()
