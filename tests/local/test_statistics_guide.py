"""The page that walks through the lung data shows what the program prints."""

import doctest
from pathlib import Path

import pytest
from lifelines import CoxPHFitter
from lifelines.datasets import load_lung

from fedpet.local import federation

PAGE = Path(__file__).resolve().parents[2] / "docs/guides/statistics.md"


def test_every_output_on_the_page_is_true():
    """A reader who types it sees the same numbers."""
    failed, tried = doctest.testfile(str(PAGE), module_relative=False, encoding="utf-8")
    assert failed == 0
    assert tried > 30


def test_the_coefficients_of_the_page_are_those_of_one_table():
    """lifelines, on all subjects in one place, stratified by region."""
    lung = load_lung().dropna(subset=["inst", "age", "sex", "ph.ecog"])
    table = lung[["age", "ph.ecog"]].rename(columns={"ph.ecog": "ecog"})
    table["male"] = (lung["sex"] == 1).astype(float)
    table["os_days"], table["os_event"] = lung["time"], lung["status"] == lung["status"].max()
    region = lung["inst"].astype(int) % 4
    with federation({f"r{code}": part for code, part in table.groupby(region)}) as sites:
        model = sites.cox("os", ["age", "male", "ecog"])
    fitter = CoxPHFitter()
    fitter.fit(
        table.assign(region=region),
        "os_days",
        "os_event",
        strata=["region"],
        fit_options={"precision": 1e-14, "step_size": 1.0},
    )
    for name, value in model.params_.items():
        assert value == pytest.approx(fitter.params_[name], abs=1e-7)
        assert model.standard_errors_[name] == pytest.approx(
            fitter.standard_errors_[name], abs=1e-7
        )
    assert model.log_likelihood_ == pytest.approx(fitter.log_likelihood_, abs=1e-6)
