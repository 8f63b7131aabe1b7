"""The Cox model from sums equals R's `coxph`, and obeys what sums must obey."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedpet.errors import DataError
from fedpet.survival import cox, newton
from references import LUNG_COVARIATES, brca, lung, reference


def add(parts: list[cox.CoxSums]) -> cox.CoxSums:
    """Add as the coordinator does: array by array."""
    arrays = [cox.to_arrays(part) for part in parts]
    return cox.from_arrays({name: sum(each[name] for each in arrays) for name in arrays[0]})


def fit_lung(*, by: np.ndarray | None = None, ridge: float = 0.0, **options) -> newton.CoxFit:
    data = lung()
    return newton.fit(
        lambda beta: cox.cox_sums(data.x, data.time, data.event, beta, strata=by, **options),
        covariates=LUNG_COVARIATES,
        ridge=ridge,
    )


@pytest.mark.parametrize(
    ("name", "ties", "stratified"),
    [
        ("efron", "efron", False),
        ("breslow", "breslow", False),
        ("stratified", "efron", True),
        ("stratified_breslow", "breslow", True),
    ],
)
def test_the_lung_fit_equals_r_survival(name, ties, stratified):
    """Coefficients, standard errors and log-likelihoods of R, to 1e-8 and better."""
    expected, data = reference()[name], lung()
    fit = fit_lung(by=data.inst if stratified else None, ties=ties)
    np.testing.assert_allclose(fit.params, expected["beta"], atol=1e-10)
    np.testing.assert_allclose(fit.standard_errors, expected["se"], atol=1e-10)
    np.testing.assert_allclose(fit.log_likelihood, expected["log_likelihood"][0], atol=1e-8)
    null = cox.cox_sums(
        data.x,
        data.time,
        data.event,
        np.zeros(3),
        strata=data.inst if stratified else None,
        ties=ties,
    )
    np.testing.assert_allclose(null.log_likelihood, expected["log_likelihood_null"][0], atol=1e-8)
    assert (fit.subjects, fit.events) == (226, 163)


def test_case_weights_equal_r_survival():
    """Efron's steps share the mean weight of the tied deaths, as in R."""
    fit = fit_lung(weights=1.0 + np.arange(1, 227) % 3)
    np.testing.assert_allclose(fit.params, reference()["weighted"]["beta"], atol=1e-9)
    np.testing.assert_allclose(fit.standard_errors, reference()["weighted"]["se"], atol=1e-9)


def test_late_entry_equals_r_survival():
    """A subject counts as at risk only after it came under observation."""
    entry = np.minimum(np.arange(1, 227) % 7 * 20.0, lung().time - 1)
    fit = fit_lung(entry=entry)
    np.testing.assert_allclose(fit.params, reference()["late_entry"]["beta"], atol=1e-9)
    np.testing.assert_allclose(fit.standard_errors, reference()["late_entry"]["se"], atol=1e-9)


def test_the_ridge_has_the_convention_of_r():
    """theta/2 * |beta|^2, as in `ridge(theta=, scale=FALSE)`."""
    fit = fit_lung(ridge=5.0)
    np.testing.assert_allclose(fit.params, reference()["ridge_5"]["beta"], atol=1e-9)


@pytest.mark.parametrize("stratified", [False, True])
def test_fed_tcga_brca_equals_r_survival(stratified):
    """Six regions, 39 columns of rank 32, ridge 10: R's coefficients and log-likelihood."""
    data = brca()
    x, time, event = data.x[data.train], data.time[data.train], data.event[data.train]
    region = data.region[data.train]

    def evaluate(beta: np.ndarray) -> cox.CoxSums:
        if not stratified:
            return cox.cox_sums(x, time, event, beta)
        sites = [region == code for code in range(6)]
        return add([cox.cox_sums(x[rows], time[rows], event[rows], beta) for rows in sites])

    fit = newton.fit(evaluate, covariates=[f"x{i}" for i in range(39)], ridge=10.0)
    expected = reference()["brca_stratified" if stratified else "brca_pooled"]
    np.testing.assert_allclose(fit.params, expected["beta"], atol=1e-8)
    np.testing.assert_allclose(fit.log_likelihood, expected["log_likelihood"][0], atol=1e-7)
    # The numbers printed in the literature study, written down independently of the file.
    age, norm, loglik = (
        (0.239501478166, 0.898761006018, -414.2872796012)
        if stratified
        else (0.224280159744, 0.939372693837, -578.7479097878)
    )
    np.testing.assert_allclose(fit.params[0], age, atol=1e-10)
    np.testing.assert_allclose(fit.params @ fit.params, norm, atol=1e-8)
    np.testing.assert_allclose(fit.log_likelihood, loglik, atol=1e-8)


@st.composite
def survival_data(draw):
    """Draw small data with ties in time and several sites."""
    n = draw(st.integers(4, 30))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return (
        rng.normal(size=(n, 3)),
        rng.integers(0, draw(st.integers(1, 12)), n).astype(float),
        rng.random(n) < draw(st.floats(0.0, 1.0)),
        rng.integers(0, draw(st.integers(1, 4)), n),
        rng.normal(size=3),
        rng,
    )


def naive(x, time, event, beta, *, efron):
    """Compute log-likelihood and its terms by the textbook's double sum."""
    total = 0.0
    for t in np.unique(time[event]):
        dead, risk = event & (time == t), time >= t
        d = dead.sum()
        total += (x[dead] @ beta).sum()
        for step in range(d):
            share = step / d if efron else 0.0
            total -= np.log(np.exp(x[risk] @ beta).sum() - share * np.exp(x[dead] @ beta).sum())
    return total


@given(data=survival_data(), ties=st.sampled_from(["efron", "breslow"]))
def test_sums_equal_the_textbook_and_its_derivatives(data, ties):
    """An independent double loop gives the value; differences give gradient and information."""
    x, time, event, _, beta, _ = data
    sums = cox.cox_sums(x, time, event, beta, ties=ties)
    value = naive(x, time, event, beta, efron=ties == "efron")
    np.testing.assert_allclose(sums.log_likelihood, value, atol=1e-9)
    h = 1e-5
    for i, unit in enumerate(np.eye(3) * h):
        up = cox.cox_sums(x, time, event, beta + unit, ties=ties)
        down = cox.cox_sums(x, time, event, beta - unit, ties=ties)
        slope = (up.log_likelihood - down.log_likelihood) / (2 * h)
        np.testing.assert_allclose(sums.gradient[i], slope, atol=1e-5, rtol=1e-5)
        curvature = -(up.gradient - down.gradient) / (2 * h)
        np.testing.assert_allclose(sums.information[i], curvature, atol=1e-5, rtol=1e-5)


@given(data=survival_data())
def test_one_exchange_of_site_sums_equals_the_stratified_model(data):
    """Hospitals that send their own sums, or one table with the hospital as stratum: the same."""
    x, time, event, site, beta, _ = data
    whole = cox.cox_sums(x, time, event, beta, strata=site)
    parts = add(
        [
            cox.cox_sums(x[site == code], time[site == code], event[site == code], beta)
            for code in np.unique(site)
        ]
    )
    for name, array in cox.to_arrays(whole).items():
        np.testing.assert_allclose(array, cox.to_arrays(parts)[name], atol=1e-9, err_msg=name)


@given(data=survival_data())
def test_the_order_of_subjects_does_not_matter(data):
    """A table sorted otherwise is the same table."""
    x, time, event, site, beta, rng = data
    order = rng.permutation(len(x))
    one = cox.cox_sums(x, time, event, beta, strata=site)
    two = cox.cox_sums(x[order], time[order], event[order], beta, strata=site[order])
    for name, array in cox.to_arrays(one).items():
        np.testing.assert_allclose(array, cox.to_arrays(two)[name], atol=1e-9, err_msg=name)


@given(data=survival_data())
def test_subjects_without_an_event_at_their_site_add_nothing(data):
    """A hospital without events is at home in the federation: zeros, and no NaN."""
    x, time, event, _, beta, _ = data
    sums = cox.cox_sums(x, time, np.zeros_like(event), beta)
    assert sums.log_likelihood == 0
    assert not sums.gradient.any()
    assert not sums.information.any()
    assert sums.subjects == len(x)


def test_a_site_without_subjects_adds_zeros():
    """An empty selection is not an error of the mathematics."""
    none = cox.cox_sums(np.zeros((0, 2)), np.zeros(0), np.zeros(0, bool), np.zeros(2))
    assert none.subjects == 0
    assert not none.information.any()


def test_large_linear_predictors_do_not_overflow():
    """Newton trials may be far off; sums stay finite and comparable."""
    x = np.array([[0.0], [1.0], [2.0]])
    sums = cox.cox_sums(x, np.arange(3.0), np.ones(3, bool), np.array([900.0]))
    assert np.isfinite(sums.log_likelihood)
    assert np.isfinite(sums.information).all()


@pytest.mark.parametrize(
    ("x", "event", "found"),
    [
        ([[0.0], [1.0], [2.0]], [False, False, False], "needs events"),
        ([[1.0], [1.0], [1.0]], [True, True, True], "'a' does not vary"),
        ([[0.0], [0.0], [1.0]], [False, False, True], "does not vary"),
    ],
)
def test_what_cannot_be_estimated_is_named(x, event, found):
    """No silent infinity: the covariate and the remedy stand in the message."""
    with pytest.raises(DataError, match=found):
        newton.fit(
            lambda b: cox.cox_sums(np.array(x), np.arange(3.0), np.array(event), b),
            covariates=["a"],
        )


def test_covariates_that_carry_the_same_information_are_named():
    """Duplicate columns end in an error that lists them."""
    rng = np.random.default_rng(0)
    a = rng.normal(size=40)
    x, time = np.stack([a, 2 * a, rng.normal(size=40)], axis=1), rng.random(40)
    with pytest.raises(DataError, match="a, b carry the same information"):
        newton.fit(lambda b: cox.cox_sums(x, time, time < 0.7, b), covariates=["a", "b", "c"])


def test_a_covariate_that_separates_events_is_named_and_a_ridge_cures_it():
    """Perfect separation has no finite hazard ratio."""
    x = np.array([[1.0]] * 8 + [[0.0]] * 8)
    time = np.concatenate([np.arange(1.0, 9.0), np.arange(11.0, 19.0)])
    event = np.arange(16) < 8

    def evaluate(beta: np.ndarray) -> cox.CoxSums:
        return cox.cox_sums(x, time, event, beta)

    with pytest.raises(DataError, match="'a' separates"):
        newton.fit(evaluate, covariates=["a"])
    fit = newton.fit(evaluate, covariates=["a"], ridge=1.0)
    assert 0 < fit.params[0] < 5


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(bad):
    """NaN is never carried on silently."""
    x = np.array([[0.0], [bad]])
    with pytest.raises(DataError, match="finite"):
        cox.cox_sums(x, np.ones(2), np.ones(2, bool), np.zeros(1))


@given(data=survival_data(), ridge=st.floats(0.5, 50))
def test_a_ridge_fit_is_a_stationary_point(data, ridge):
    """At the answer the penalised gradient vanishes, whatever the data."""
    x, time, event, site, _, _ = data
    if not event.any():
        return

    def evaluate(beta: np.ndarray) -> cox.CoxSums:
        return cox.cox_sums(x, time, event, beta, strata=site)

    fit = newton.fit(evaluate, covariates=["a", "b", "c"], ridge=ridge)
    gradient = evaluate(fit.params).gradient - ridge * fit.params
    assert np.abs(gradient).max() < 1e-8
    assert np.isfinite(fit.standard_errors).all()


def test_a_covariate_in_small_units_is_not_mistaken_for_a_separating_one():
    """Units do not matter: the same fit in other units, the coefficient scaled."""
    data = lung()
    scale = np.array([1e-6, 1e4, 1.0])
    fit = newton.fit(
        lambda beta: cox.cox_sums(data.x * scale, data.time, data.event, beta),
        covariates=LUNG_COVARIATES,
    )
    np.testing.assert_allclose(fit.params * scale, reference()["efron"]["beta"], rtol=1e-7)
