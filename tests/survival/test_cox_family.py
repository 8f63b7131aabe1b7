"""Robust errors, the test of proportional hazards and one common baseline equal R's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedpet.errors import DataError
from fedpet.survival import cox, cox_scores, newton, pooled_baseline
from fedpet.survival import proportional_hazards as ph
from fedpet.survival.cox_scores import score_pieces, score_residuals
from fedpet.survival.kaplan_meier import event_table
from references import LUNG_COVARIATES, brca, lung, reference

CASES = [
    (f"{name}_{ties}", name, ties)
    for name in ("pooled", "stratified", "late", "late_stratified")
    for ties in ("efron", "breslow")
]


def setting(name: str):
    """Return entry times and strata of a fixture."""
    data = lung()
    entry = np.minimum(np.arange(1, 227) % 7 * 20.0, data.time - 1)
    return (
        entry if "late" in name else None,
        data.inst if "stratified" in name else None,
    )


def added(parts):
    """Add named arrays as the coordinator does."""
    return {name: sum(part[name] for part in parts) for name in parts[0]}


class Pooled:
    """Sites that fit one baseline together, in two phases, as their coordinator sees it."""

    def __init__(self, x, time, event, site, edges, *, entry=None, ties="efron"):
        self.efron = ties == "efron"
        self.groups = [
            pooled_baseline.on_cells(
                x[site == code],
                time[site == code],
                event[site == code],
                edges,
                entry=None if entry is None else entry[site == code],
            )
            for code in np.unique(site)
        ]
        self.cells = pooled_baseline.cells_of(
            added([pooled_baseline.cell_sums(group, len(edges)) for group in self.groups])
        )
        self.floats = len(edges) + x.shape[1] + 1
        self.steps = None

    def __call__(self, beta):
        used, tied = self.cells.used, self.cells.tied
        first = [pooled_baseline.risk_arrays(one, beta, used, tied) for one in self.groups]
        self.floats += sum(array.size for array in first[0].values())
        self.steps = pooled_baseline.steps_of(self.cells, added(first), efron=self.efron)
        if self.steps is None:
            return pooled_baseline.unreachable(self.cells)
        back = (beta, used, self.steps.hazard, self.steps.tied_hazard)
        second = [pooled_baseline.curvature_arrays(one, *back) for one in self.groups]
        self.floats += sum(array.size for array in second[0].values())
        return pooled_baseline.sums_of(self.cells, beta, self.steps, added(second))


def fine(*times):
    """Return edges at which every time is a cell of its own."""
    return np.unique(np.concatenate([[-1.0], *times]))


@pytest.mark.parametrize(("key", "name", "ties"), CASES)
@pytest.mark.parametrize("cluster", ["site", "subject"])
def test_robust_errors_equal_r_survival(key, name, ties, cluster):
    """The sandwich with clusters of institutions and of subjects, to 1e-9."""
    expected, data = reference("cox_curves")[key], lung()
    entry, strata = setting(name)
    beta = expected["beta"]
    sums = cox.cox_sums(data.x, data.time, data.event, beta, strata=strata, ties=ties, entry=entry)
    if strata is not None:
        residuals = cox_scores.stratified_residuals(
            data.x, data.time, data.event, beta, strata=strata, ties=ties, entry=entry
        )
    else:
        model = Pooled(
            data.x,
            data.time,
            data.event,
            data.inst,
            fine(data.time, data.time if entry is None else entry),
            entry=entry,
            ties=ties,
        )
        model(beta)
        residuals = [
            score_residuals(one, np.exp(one.x @ beta), model.cells.used, score_pieces(model.steps))
            for one in model.groups
        ]
    np.testing.assert_allclose(sum(one.sum(axis=0) for one in residuals), sums.gradient, atol=1e-9)
    found = cox_scores.meat(residuals, cluster=cluster, p=3)
    robust = cox_scores.sandwich(np.linalg.inv(sums.information), found["meat"])
    np.testing.assert_allclose(np.sqrt(np.diag(robust)), expected[f"robust_{cluster}"], atol=1e-9)


@pytest.mark.parametrize(("key", "name", "ties"), CASES)
@pytest.mark.parametrize("transform", ph.TRANSFORMS)
def test_the_test_of_proportional_hazards_equals_r_survival(key, name, ties, transform):
    """`cox.zph` of survival 3: each covariate and all together, four transforms of time."""
    expected, data = reference("cox_curves")[key], lung()
    entry, strata = setting(name)
    beta = expected["beta"]
    if transform in ("identity", "log"):
        g = ph.of_times(transform, data.time)
    else:
        edges = fine(data.time, data.time if entry is None else entry)
        counts = event_table(data.time, data.event, edges, entry=entry)
        cells = ph.of_cells(transform, counts, edges)
        g = cells[np.searchsorted(edges, data.time) - 1]
    summed = ph.stratified_sums(
        data.x, data.time, data.event, beta, g, strata=strata, ties=ties, entry=entry
    )
    sums = cox.cox_sums(data.x, data.time, data.event, beta, strata=strata, ties=ties, entry=entry)
    found = ph.proportional_hazards(
        summed,
        transform=transform,
        covariates=LUNG_COVARIATES,
        gradient=sums.gradient,
        information=sums.information,
        penalty=np.zeros(3),
    )
    chi_square = [*found.chi_square, found.global_chi_square]
    np.testing.assert_allclose(chi_square, expected[f"zph_{transform}"], atol=1e-8)


@pytest.mark.parametrize("ties", ["efron", "breslow"])
@pytest.mark.parametrize("name", ["pooled", "late", "weekly"])
def test_eighteen_sites_with_one_baseline_equal_r_survival(name, ties):
    """Two phases over 18 institutions: coefficients, errors, likelihood and baseline hazard."""
    expected, data = reference("cox_curves")[f"{name}_{ties}"], lung()
    entry, _ = setting(name)
    edges = fine(data.time, data.time if entry is None else entry)
    if name == "weekly":
        edges = np.arange(0.0, 1030.0, 7.0)
    center = data.x.mean(axis=0)
    model = Pooled(data.x - center, data.time, data.event, data.inst, edges, entry=entry, ties=ties)
    fit = newton.fit(model, covariates=LUNG_COVARIATES)
    np.testing.assert_allclose(fit.params, expected["beta"], atol=1e-9)
    np.testing.assert_allclose(fit.standard_errors, expected["se"], atol=1e-9)
    likelihoods = [fit.log_likelihood_null, fit.log_likelihood]
    np.testing.assert_allclose(likelihoods, expected["log_likelihood"], atol=1e-8)
    np.testing.assert_allclose(fit.score_test, expected["score"][0], atol=1e-8)
    hazard = pooled_baseline.baseline_hazard(model.cells, model.steps)
    at = np.searchsorted(edges, [100.0, 365.0, 730.0], side="right") - 2
    at_zero = hazard[at] * np.exp(-center @ fit.params)
    np.testing.assert_allclose(at_zero, expected["hazard"], atol=1e-8)


def test_breast_cancer_with_one_baseline_costs_few_numbers():
    """39 covariates over six regions: R's fit, and at most 100,000 floats from each."""
    data = brca()
    rows = data.train
    time = data.time[rows]
    model = Pooled(data.x[rows], time, data.event[rows], data.region[rows], fine(time))
    fit = newton.fit(model, covariates=[f"x{i}" for i in range(39)], ridge=10.0)
    expected = reference("survival")["brca_pooled"]
    np.testing.assert_allclose(fit.params, expected["beta"], atol=1e-8)
    np.testing.assert_allclose(fit.params[0], 0.224280159744, atol=1e-10)
    np.testing.assert_allclose(fit.log_likelihood, -578.7479097878, atol=1e-8)
    hazard = pooled_baseline.baseline_hazard(model.cells, model.steps)
    base = reference("cox_curves")["brca_baseline"]
    at = np.searchsorted(fine(time), base["days"], side="right") - 2
    np.testing.assert_allclose(hazard[at], base["hazard"], atol=1e-8)
    assert model.floats <= 100_000
    assert len(fit.remarks) == 7  # rank 32 of 39: seven columns that only the ridge tells apart


def test_a_step_beyond_what_may_be_summed_is_halved():
    """A linear predictor of 14 is a hazard ratio of a million; the trial answers so, with zeros."""
    data = lung()
    model = Pooled(data.x, data.time, data.event, data.inst, fine(data.time))
    far = model(np.array([1.0, 0.0, 0.0]))
    assert far.log_likelihood == -np.inf
    one = pooled_baseline.risk_arrays(
        model.groups[0], np.array([1.0, 0.0, 0.0]), model.cells.used, model.cells.tied
    )
    assert one["beyond"] > 0
    assert not one["risk"].any()


def test_no_sum_over_a_lone_death_is_sent():
    """It would be that subject's row; Efron's first step does without it."""
    data = lung()
    model = Pooled(data.x, data.time, data.event, data.inst, fine(data.time))
    one = pooled_baseline.risk_arrays(
        model.groups[0], np.zeros(3), model.cells.used, model.cells.tied
    )
    assert len(one["dead"]) == (model.cells.deaths > 1).sum()


@st.composite
def hospitals(draw):
    """Draw small data with ties, late entry and sites, some of them empty of events."""
    n = draw(st.integers(5, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    time = rng.integers(1, draw(st.integers(2, 15)), n).astype(float)
    entry = np.minimum(rng.integers(-3, 8, n).astype(float), time - 1)
    return (
        rng.normal(size=(n, 2)),
        time,
        rng.random(n) < draw(st.floats(0.2, 1.0)),
        rng.integers(0, draw(st.integers(1, 5)), n),
        entry if draw(st.booleans()) else None,
        rng,
    )


@given(data=hospitals(), ties=st.sampled_from(["efron", "breslow"]))
def test_two_phases_over_any_partition_equal_one_table(data, ties):
    """Hospitals merged, split, renamed or empty: the pooled sums are those of one table."""
    x, time, event, site, entry, rng = data
    beta = rng.normal(size=2)
    if not event.any():
        return
    whole = cox.cox_sums(x, time, event, beta, ties=ties, entry=entry)
    edges = fine(time, time if entry is None else entry)
    for sites in (site, np.zeros_like(site), rng.permutation(site), np.arange(len(site))):
        model = Pooled(x, time, event, sites, edges, entry=entry, ties=ties)
        model.groups.append(pooled_baseline.on_cells(x[:0], time[:0], event[:0], edges))
        found = model(beta)
        np.testing.assert_allclose(found.log_likelihood, whole.log_likelihood, atol=1e-9)
        np.testing.assert_allclose(found.gradient, whole.gradient, atol=1e-9)
        np.testing.assert_allclose(found.information, whole.information, atol=1e-9)


@given(data=hospitals())
def test_subjects_of_weight_zero_change_nothing(data):
    """A site that counts for nothing is as if it were not there."""
    x, time, event, site, entry, rng = data
    beta = rng.normal(size=2)
    weights = np.where(site == 0, 0.0, 1.0 + site)
    kept = weights > 0
    one = cox.cox_sums(x, time, event, beta, strata=site, weights=weights, entry=entry)
    two = cox.cox_sums(
        x[kept],
        time[kept],
        event[kept],
        beta,
        strata=site[kept],
        weights=weights[kept],
        entry=None if entry is None else entry[kept],
    )
    for name, array in cox.to_arrays(one).items():
        np.testing.assert_allclose(array, cox.to_arrays(two)[name], atol=1e-9, err_msg=name)


def test_sums_with_32_fractional_bits_still_converge():
    """What a masked sum leaves of 18 sites' answers: the fit settles, 1e-7 from R's."""
    data, expected = lung(), reference("cox_curves")["stratified_efron"]
    rng = np.random.default_rng(1)

    def coarse(beta):
        total = {}
        for code in np.unique(data.inst):
            rows = data.inst == code
            sums = cox.cox_sums(data.x[rows], data.time[rows], data.event[rows], beta)
            for name, array in cox.to_arrays(sums).items():
                sent = np.floor(array * 2**32 + rng.random(array.shape)) / 2**32
                total[name] = total.get(name, 0.0) + sent
        return cox.from_arrays(total)

    fit = newton.fit(coarse, covariates=LUNG_COVARIATES)
    np.testing.assert_allclose(fit.params, expected["beta"], atol=1e-7)
    assert fit.iterations <= 8


def test_covariates_that_cannot_be_estimated_are_dropped_by_choice():
    """Constant, repeated and separating covariates leave with their reasons; the rest is R's."""
    data, expected = lung(), reference("cox_curves")["stratified_efron"]
    age, sex, ecog = data.x.T
    first = (data.time < np.quantile(data.time, 0.1)) & data.event
    x = np.column_stack([age, np.full(226, 3.0), sex, 2 * sex - 1, ecog, data.inst])
    names = ["age", "constant", "sex", "male", "ph.ecog", "inst"]

    def fit(table, covariates, **options):
        return newton.fit(
            lambda beta: cox.cox_sums(table, data.time, data.event, beta, strata=data.inst),
            covariates=covariates,
            **options,
        )

    found = fit(x - x.mean(axis=0), names, unidentified="drop")
    assert found.covariates == LUNG_COVARIATES
    np.testing.assert_allclose(found.params, expected["beta"], atol=1e-9)
    assert [name for name, _ in found.dropped] == ["inst", "male", "constant"]
    with pytest.raises(DataError, match="'inst' does not vary within any hospital"):
        fit(x - x.mean(axis=0), names)

    def apart(beta):
        both = np.column_stack([age, first])
        return cox.cox_sums(both, data.time, data.event, beta)

    with pytest.raises(DataError, match="'early' separates"):
        newton.fit(apart, covariates=["age", "early"])
    kept = newton.fit(apart, covariates=["age", "early"], unidentified="drop")
    assert kept.covariates == ("age",)
    assert "no finite value" in kept.dropped[0][1]


def test_a_subject_that_enters_after_it_left_is_refused():
    """Exchanged columns would otherwise be a silent gap in the risk sets."""
    with pytest.raises(DataError, match="at or after the end"):
        cox.cox_sums(
            np.zeros((1, 1)), np.ones(1), np.ones(1, bool), np.zeros(1), entry=np.array([1.0])
        )


def test_lifelines_agrees_on_coefficients_and_names():
    """Another implementation, with its penalizer per subject: theta / n."""
    import pandas as pd
    from lifelines import CoxPHFitter

    data = lung()
    frame = pd.DataFrame(data.x, columns=list(LUNG_COVARIATES))
    frame["time"], frame["event"], frame["inst"] = data.time, data.event, data.inst
    theirs = CoxPHFitter().fit(frame, "time", "event", strata=["inst"])
    ours = newton.fit(
        lambda b: cox.cox_sums(data.x, data.time, data.event, b, strata=data.inst),
        covariates=LUNG_COVARIATES,
    )
    np.testing.assert_allclose(ours.params, theirs.params_.to_numpy(), atol=5e-6)
    np.testing.assert_allclose(ours.standard_errors, theirs.standard_errors_.to_numpy(), atol=5e-6)
    theirs = CoxPHFitter(penalizer=5 / 226).fit(frame.drop(columns="inst"), "time", "event")
    sd = data.x.std(axis=0, ddof=1)
    ours = newton.fit(
        lambda b: cox.cox_sums(data.x / sd, data.time, data.event, b),
        covariates=LUNG_COVARIATES,
        ridge=5.0,
    )
    np.testing.assert_allclose(ours.params / sd, theirs.params_.to_numpy(), atol=5e-6)
