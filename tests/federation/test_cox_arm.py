"""NCCTG lung cancer, 18 institutions as 18 hospitals, through nodes, engine and Newton steps."""

import numpy as np
import pytest

from federated import federation
from fedpet.cohort.samples import Cohort, Outcome
from fedpet.federation.arms import fit_cox
from fedpet.federation.moments import moments_of
from fedpet.federation.preparation import enrol, everybody
from fedpet.node.policy import Policy
from fedpet.plan import Cox, Endpoints, Evaluation, Inputs, Plan, Sites
from references import LUNG_COVARIATES, lung, reference


def institutions() -> dict[str, Cohort]:
    data, found = lung(), {}
    for code in np.unique(data.inst):
        rows = data.inst == code
        n = int(rows.sum())
        found[f"inst-{code:02d}"] = Cohort(
            name="lung",
            fingerprint=f"inst-{code}",
            phantom=False,
            spacing_mm=4.0,
            subjects=tuple(f"{code}-{row}" for row in range(n)),
            strata=(f"inst-{code:02d}",) * n,
            columns=LUNG_COVARIATES,
            table=data.x[rows],
            outcomes={"os": Outcome(time_days=data.time[rows], event=data.event[rows])},
            binary={},
            mips=np.zeros((n, 2, 8, 8), np.float16),
        )
    return found


def finish(walk):
    """Run a part of the walk to its end and return what it found."""
    while True:
        try:
            next(walk)
        except StopIteration as stop:
            return stop.value


@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_eighteen_hospitals_give_the_numbers_of_r(tmp_path, ties):
    """Coefficients, standard errors and log-likelihood of `coxph(strata(inst))` to 1e-8."""
    hospitals = institutions()
    plan = Plan(
        name="lung",
        title="NCCTG lung cancer",
        cohort="lung",
        inputs=Inputs(clinical=LUNG_COVARIATES, biomarkers=()),
        endpoints=Endpoints(primary="os", survival=("os",), binary=()),
        sites=Sites(sites_min=3, subjects_min=1),
        cox=Cox(ridge=0.0, ties=ties),
        evaluation=Evaluation(baselines=()),
    )
    policies = {site: Policy(subjects_min=1) for site in hospitals}
    with federation(tmp_path, plan, hospitals, policies=policies) as execution:
        enrolled = finish(enrol(execution))
        fold, moments = finish(moments_of(execution, everybody(enrolled)))
        prep = moments.preprocessing(LUNG_COVARIATES)
        fitted, fit = finish(fit_cox(execution, fold, prep, arm="cox", endpoint="os", site=None))
    assert len(enrolled.sites) == 18
    assert (fit.subjects, fit.events) == (226, 163)
    expected = reference()["stratified" if ties == "efron" else "stratified_breslow"]
    # The arm standardises covariates; on the raw scale its numbers are R's.
    np.testing.assert_allclose(fit.params / prep.sd, expected["beta"], atol=1e-8)
    np.testing.assert_allclose(fit.standard_errors / prep.sd, expected["se"], atol=1e-8)
    np.testing.assert_allclose(fit.log_likelihood, expected["log_likelihood"][0], atol=1e-8)
    np.testing.assert_allclose(
        fit.params / prep.sd, [0.009561341697, -0.547356676849, 0.597253244680], atol=1e-8
    )
    assert np.isfinite(fitted.arrays["cox.hazard"]).all()
