"""ComBat over hospitals: two sums, training subjects only, carried by the model."""

from dataclasses import replace

import numpy as np
import pytest

from federated import federation, frozen, small_plan, walk
from fedpet import plan as plans
from fedpet.cohort.samples import Outcome
from fedpet.contradictions import contradictions
from fedpet.errors import DataError, PlanError, UpdateError
from fedpet.federation.session import Federation
from fedpet.node.policy import Policy
from fedpet.plan import STATISTICS
from fedpet.survival.combat import (
    adjustment,
    combat_sums,
    effects_of,
    fit_combat,
    harmonise,
)
from fedpet.training.harmonising import values_of
from fedpet.training.selection import select
from toy import COLUMNS, toy_hospitals

FEATURES, PRESERVED = ("tmtv_ml", "suvmax"), ("age_years", "ecog")
POLICY = Policy(
    secure_sum="optional", releases=("counts", "site-results", "local-model"), sites_min=2
)


def plan_of(**changes):
    inputs = plans.Inputs(
        clinical=("age_years", "ecog", "nlr"),
        biomarkers=FEATURES,
        log=("nlr", "tmtv_ml"),
        harmonise=FEATURES,
        preserve=PRESERVED,
        **changes.pop("inputs", {}),
    )
    return small_plan(inputs=inputs, statistics=plans.Statistics(allowed=STATISTICS), **changes)


def hospitals_with_scanners(*, sites=4):
    """Return hospitals whose scanners measure other SUV than the first one's."""
    found = {}
    for index, (site, cohort) in enumerate(toy_hospitals(sites=sites, subjects=40).items()):
        table = cohort.table.copy()
        table[:, 4] = (1 + 0.3 * index) * table[:, 4] + index
        table[:, 3] *= np.exp(0.4 * index)
        found[site] = replace(cohort, table=table)
    return found


def tables(hospitals):
    rows = {}
    for site, cohort in hospitals.items():
        x = cohort.table[:, [COLUMNS.index(name) for name in PRESERVED]]
        y = cohort.table[:, [COLUMNS.index(name) for name in FEATURES]].copy()
        y[:, 0] = np.log1p(y[:, 0])
        rows[site] = (y, x)
    return rows


def on_one_table(hospitals, *, base=None):
    """Fit the same without nodes."""
    rows = tables(hospitals)
    first = {site: combat_sums(y, x) for site, (y, x) in rows.items()}
    total = {name: sum(one[name] for one in first.values()) for name in first["site-0"]}
    beta = effects_of(total, covariates=PRESERVED)
    second = {site: combat_sums(y, x, beta=beta) for site, (y, x) in rows.items()}
    left = {name: sum(one[name] for one in second.values()) for name in second["site-0"]}
    reference = None if base is None else {**first[base], **second[base]}
    return fit_combat(total, left, beta=beta, features=FEATURES, reference=reference)


def test_two_sums_over_nodes_equal_the_fit_on_all_tables(tmp_path):
    """What the coordinator gets are sums; each site harmonises its own features with them."""
    hospitals = hospitals_with_scanners()
    with federation(tmp_path, plan_of(), hospitals) as run:
        found = Federation(run).combat()
        asked = [closed.kind for _, closed in run.journal.history()]
    expected = on_one_table(hospitals)
    for name, array in expected.to_arrays().items():
        np.testing.assert_allclose(found.combat.to_arrays()[name], array, atol=1e-9)
    assert asked == ["combat-confounding"] * 2 + ["combat"] * 2
    assert found.sites == tuple(hospitals)
    assert found.confounding_p > 0.01


def test_others_are_moved_to_a_hospital_that_releases_its_means(tmp_path):
    """M-ComBat: the reference stays as it is; its policy decides on the release."""
    hospitals = hospitals_with_scanners()
    plan = plan_of(
        inputs={"harmonise_to": "site-2"},
        evaluation=plans.Evaluation(folds=2, bootstrap=20, scheme="held-out-subjects"),
    )
    with federation(
        tmp_path / "a", plan, hospitals, policies=dict.fromkeys(hospitals, POLICY)
    ) as run:
        found = Federation(run).combat().combat
    np.testing.assert_allclose(found.mean, on_one_table(hospitals, base="site-2").mean, atol=1e-9)
    arrays = {f"prep.combat.{name}": array for name, array in found.to_arrays().items()}
    body = {"columns": list(FEATURES), "select": {"fold": None, "part": "all", "members": None}}
    log = np.array([True, False])
    for site in ("site-2", "site-3"):
        y, x = tables(hospitals)[site]
        moved = values_of(hospitals[site], plan, body, arrays, log=log)
        own = None if site == "site-2" else adjustment(found, y, x)
        np.testing.assert_allclose(moved, harmonise(found, own, y, x), atol=1e-12)
    closed = dict.fromkeys(hospitals, replace(POLICY, releases=("counts",)))
    with (
        federation(tmp_path / "b", plan, hospitals, policies=closed) as run,
        pytest.raises(UpdateError) as caught,
    ):
        Federation(run).combat()
    assert "site-2: This hospital does not release 'site-results'" in caught.value.why


def test_a_fold_that_parts_subjects_estimates_shifts_on_its_training_subjects_only():
    """Altering a test subject's features moves nobody else's harmonised features."""
    hospitals = hospitals_with_scanners()
    plan = plan_of(evaluation=plans.Evaluation(folds=2, bootstrap=20, scheme="held-out-subjects"))
    fitted, cohort = on_one_table(hospitals), hospitals["site-3"]
    arrays = {f"prep.combat.{name}": array for name, array in fitted.to_arrays().items()}
    body = {"columns": ["suvmax"], "select": {"fold": 0, "part": "test", "members": None}}
    row = select(cohort, plan, body["select"])[0]
    table = cohort.table.copy()
    table[row, COLUMNS.index("suvmax")] += 50
    log = np.array([False])
    before = values_of(cohort, plan, body, arrays, log=log)
    after = values_of(replace(cohort, table=table), plan, body, arrays, log=log)
    others = np.arange(len(before)) != row
    np.testing.assert_array_equal(before[others], after[others])
    assert after[row, 0] > before[row, 0]


def test_a_whole_experiment_runs_harmonised_and_resumes_to_the_same_bytes(tmp_path):
    """Fitted in every fold on its training hospitals; carried by every model that is kept."""
    hospitals, plan = hospitals_with_scanners(), plan_of()
    with federation(tmp_path, plan, hospitals, policies=dict.fromkeys(hospitals, POLICY)) as run:
        first, _ = walk(run)
        again, _ = walk(run)
        steps = [step for step, _ in run.journal.history()]
    assert frozen(first) == frozen(again)
    assert {"fold-0/combat-1", "fold-1/combat-2", "all/combat-1"} <= set(steps)
    model = first.models["cox-federated-pfs"]
    np.testing.assert_allclose(model["prep.combat.mean"], on_one_table(hospitals).mean, atol=1e-9)


def test_hospitals_that_differ_in_outcome_are_not_harmonised(tmp_path):
    """One hospital loses its patients five times as fast: ComBat would hide why."""
    hospitals = hospitals_with_scanners()
    cohort = hospitals["site-0"]
    outcome = cohort.outcomes["pfs"]
    sooner = Outcome(time_days=outcome.time_days / 5, event=outcome.event)
    hospitals["site-0"] = replace(cohort, outcomes={**cohort.outcomes, "pfs": sooner})
    with federation(tmp_path, plan_of(), hospitals) as run, pytest.raises(DataError) as caught:
        Federation(run).combat()
    assert "Hospitals differ in 'pfs'" in caught.value.title


def test_a_plan_says_what_is_harmonised_and_contradictions_are_told(tmp_path):
    """Foreign columns, a column that is both, a reference that is held out, nothing at all."""
    told = dict(contradictions(plan_of(inputs={"harmonise_to": "site-1"})))
    assert "held out" in told["inputs.harmonise_to"]
    base = plan_of()
    both = replace(base, inputs=replace(base.inputs, preserve=("suvmax", "shoe_size")))
    words = " ".join(why for _, why in contradictions(both))
    assert "'shoe_size' is not among the inputs" in words
    assert "'suvmax' is also harmonised" in words
    plain = replace(base, inputs=replace(base.inputs, harmonise=(), preserve=()))
    hospitals = hospitals_with_scanners()
    with federation(tmp_path, plain, hospitals) as run, pytest.raises(PlanError, match="no column"):
        Federation(run).combat()
