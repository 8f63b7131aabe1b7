"""The whole walk: the same bytes whatever happens, and no site is fatal."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from federated import federation, frozen, small_hospitals, small_plan, walk
from fedpet.cohort.samples import Outcome
from fedpet.errors import UpdateError
from fedpet.federation.messages import Request, decode
from fedpet.federation.records import RoundClosed, SiteState, StepClosed
from fedpet.node.policy import Policy
from fedpet.parameters import from_bytes
from fedpet.plan import Endpoints, Evaluation, Sites

TESTS = Path(__file__).resolve().parents[1]


def failing_at(step: str):
    """Return a line that breaks whenever a request's step contains `step`."""

    def between(handler):
        def handle(data: bytes) -> bytes:
            request = decode(data)
            assert isinstance(request, Request)
            return b"" if step in request.step else handler(data)

        return handle

    return between


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """One undisturbed run, with every arm."""
    folder = tmp_path_factory.mktemp("reference")
    with federation(folder, small_plan(), small_hospitals(), pooled=True) as execution:
        finished, records = walk(execution)
    return finished, records, folder


def test_a_second_run_gives_the_same_bytes(tmp_path, reference):
    """Four workers or one, another folder: results and models are equal to the last bit."""
    with federation(tmp_path, small_plan(), small_hospitals(), pooled=True, workers=1) as execution:
        finished, _ = walk(execution)
    assert frozen(finished) == frozen(reference[0])


def test_a_killed_run_resumes_and_ends_with_the_same_bytes(tmp_path, reference):
    """SIGKILL in the middle of the network's rounds: nothing is lost, nothing is repeated."""
    program = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from federated import federation, small_hospitals, small_plan
from fedpet.federation import experiment
from fedpet.federation.records import RoundClosed
from fedpet.federation.results import Context
with federation(Path(sys.argv[2]), small_plan(), small_hospitals(), pooled=True) as execution:
    for record in experiment.run(execution, Context(started="2026-01-01T00:00:00", phantom=True)):
        if isinstance(record, RoundClosed):
            print("round", flush=True)
"""
    started = subprocess.Popen(
        [sys.executable, "-c", program, str(TESTS), str(tmp_path)], stdout=subprocess.PIPE
    )
    for _ in range(3):  # into the second fold
        assert started.stdout.readline() == b"round\n"
    time.sleep(0.03)
    os.kill(started.pid, signal.SIGKILL)
    started.stdout.close()
    assert started.wait() == -signal.SIGKILL
    with federation(tmp_path, small_plan(), small_hospitals(), pooled=True) as execution:
        finished, records = walk(execution)
    replayed = [record.replayed for record in records if isinstance(record, StepClosed)]
    assert 20 < sum(replayed) < len(replayed)
    assert frozen(finished) == frozen(reference[0])


def test_a_finished_run_is_replayed_without_asking_anybody(reference):
    """The document can be made again from the journal alone."""
    dead = dict.fromkeys([*small_hospitals(), "pooled"], failing_at(""))
    with federation(
        reference[2], small_plan(), small_hospitals(), pooled=True, through=dead
    ) as execution:
        finished, records = walk(execution)
    assert not [record for record in records if isinstance(record, SiteState)]
    assert frozen(finished) == frozen(reference[0])


def test_the_document_holds_every_arm_and_the_federated_cox_equals_the_pooled_one(reference):
    """Sums over hospitals give pooled-stratified coefficients to 1e-8."""
    results = reference[0].results
    assert [arm["id"] for arm in results["arms"]] == [
        "network-federated", "network-pooled", "network-local", "cox-federated", "cox-clinical",
        "tmtv",
    ]  # fmt: skip
    assert len(results["checks"]) == 2
    assert all(check["passed"] and check["value"] < 1e-8 for check in results["checks"])
    assert results["participation"]["state"]["site-0"] == ["ok"] * 2
    for endpoint in ("pfs", "os"):
        for arm in results["performance"][endpoint].values():
            assert arm["c_within"]["low"] <= arm["c_within"]["value"] <= arm["c_within"]["high"]


def test_every_subject_is_judged_once_by_models_that_did_not_see_it(reference):
    """Held-out hospitals cover all of them."""
    results = reference[0].results
    whole = sum(len(cohort.subjects) for cohort in small_hospitals().values())
    assert results["performance"]["pfs"]["network-federated"]["subjects"] == whole
    assert results["performance"]["pfs"]["network-local"]["subjects"] == whole


def test_local_networks_are_not_compared_across_hospitals(reference):
    """Each hospital was judged by another network: such pairs would compare networks."""
    measured = reference[0].results["performance"]["pfs"]
    local, federated = measured["network-local"], measured["network-federated"]
    assert local["c_within"] is not None
    assert local["c_global"] is None
    assert set(local["auc"].values()) == {None}
    assert federated["c_global"] is not None
    assert None not in federated["auc"].values()


def test_rounds_are_told_as_they_close(reference):
    """Progress is a record, not a print."""
    rounds = [record for record in reference[1] if isinstance(record, RoundClosed)]
    assert [(r.fold, r.round, r.rounds, r.sites) for r in rounds][:3] == [
        (0, 1, 2, 2),
        (0, 2, 2, 2),
        (1, 1, 2, 2),
    ]
    assert all(np.isfinite(r.loss) for r in rounds)


def test_a_hospital_that_refuses_is_named_and_the_others_go_on(tmp_path):
    """Its policy wants more sites than the plan has; the report says so."""
    policies = {"site-1": Policy(sites_min=9)}
    plan = small_plan(evaluation=Evaluation(folds=3, bootstrap=0, baselines=()))
    with federation(tmp_path, plan, small_hospitals(), policies=policies) as execution:
        finished, _ = walk(execution)
    told = {site["name"]: site["reason"] for site in finished.results["sites"]}
    assert "not approved" in told["site-1"]
    assert told["site-0"] == told["site-2"] == told["site-3"] == ""
    assert "site-1" not in finished.results["participation"]["sites"]


def test_a_hospital_that_fails_within_a_newton_fit_is_left_out_of_it(tmp_path):
    """The fit begins again without it and equals the fit that never had it."""
    quick = small_plan(
        endpoints=Endpoints(survival=("pfs",), binary=()),
        evaluation=Evaluation(folds=2, bootstrap=0, baselines=()),
    )
    line = {"site-2": failing_at("all/cox-federated/pfs/4-sites/newton-03")}
    with federation(tmp_path / "a", quick, small_hospitals(), through=line) as execution:
        finished, _ = walk(execution)
    line = {"site-2": failing_at("all/cox-federated/pfs/")}
    with federation(tmp_path / "b", quick, small_hospitals(), through=line) as execution:
        never, _ = walk(execution)
    assert finished.results["hazard_ratios"]["pfs"] == never.results["hazard_ratios"]["pfs"]


def test_below_the_quorum_the_run_stops_loses_nothing_and_resumes(tmp_path, reference):
    """All hospitals go off in a round: an error that says what to do; then they return."""
    dead = failing_at("fold-1/network/round-002")
    line = dict.fromkeys(["site-1", "site-2", "site-3", "site-0"], dead)
    plan, hospitals = small_plan(), small_hospitals()
    with (
        federation(tmp_path, plan, hospitals, pooled=True, through=line) as execution,
        pytest.raises(UpdateError, match="0 of 2 sites answered") as caught,
    ):
        walk(execution)
    assert "resume" in str(caught.value)
    with federation(tmp_path, plan, hospitals, pooled=True) as execution:
        before = len(execution.journal.history())
        finished, _ = walk(execution)
    assert before > 20
    assert frozen(finished) == frozen(reference[0])


@pytest.mark.parametrize("scheme", ["held-out-sites", "held-out-subjects"])
def test_a_hospital_without_any_known_outcome_breaks_nothing(tmp_path, scheme):
    """No event dates, no response labels: it still helps with images and scaling; no NaN."""
    hospitals = small_hospitals()
    bare = hospitals["site-0"]
    empty = Outcome(
        time_days=np.full(len(bare.subjects), np.nan), event=np.zeros(len(bare.subjects), bool)
    )
    hospitals["site-0"] = replace(
        bare,
        outcomes={"pfs": empty, "os": replace(bare.outcomes["os"], event=empty.event)},
        binary={"response": np.full(len(bare.subjects), np.nan)},
    )
    policies = {
        name: Policy(subjects_min=1, sites_min=2, secure_sum="optional") for name in hospitals
    }
    judging = Evaluation(scheme=scheme, folds=2, bootstrap=20, baselines=("clinical-cox",))
    plan = small_plan(evaluation=judging)
    with federation(tmp_path, plan, hospitals, policies=policies) as execution:
        finished, _ = walk(execution)
    json.dumps(finished.results, allow_nan=False)
    subjects = sum(len(cohort.subjects) for cohort in hospitals.values())
    found = finished.results["performance"]
    assert found["pfs"]["cox-federated"]["subjects"] == subjects - len(bare.subjects)
    assert found["os"]["cox-federated"]["subjects"] == subjects
    for arrays in finished.models.values():
        assert all(np.isfinite(array).all() for array in arrays.values())


@pytest.mark.parametrize("scheme", ["held-out-sites", "held-out-subjects"])
def test_hospitals_that_keep_their_local_models_only_cost_that_comparison(tmp_path, scheme):
    """The default policy releases no local model; the run ends without that arm."""
    hospitals = small_hospitals()
    policies = {
        name: Policy(subjects_min=1, sites_min=2, secure_sum="optional") for name in hospitals
    }
    policies["site-3"] = replace(policies["site-3"], releases=("counts", "local-model"))
    plan = small_plan(
        endpoints=Endpoints(survival=("pfs",), binary=()),
        evaluation=Evaluation(scheme=scheme, folds=2, bootstrap=0, baselines=("local",)),
    )
    with federation(tmp_path, plan, hospitals, policies=policies) as execution:
        finished, _ = walk(execution)
    own = {row["site"]: row for row in finished.results["site_performance"]["pfs"]["cox-federated"]}
    assert own["site-0"]["c_within"] is not None
    assert "does not release" in own["site-3"]["reason"]


def test_too_few_hospitals_end_with_every_reason(tmp_path):
    """Fewer sites than the plan needs: each one's reason stands in the error."""
    plan = small_plan(sites=Sites(sites_min=4, subjects_min=30))
    with (
        federation(tmp_path, plan, small_hospitals()) as execution,
        pytest.raises(UpdateError, match="2 sites take part; the plan needs 4") as caught,
    ):
        walk(execution)
    assert "site-0: 24 subjects; the plan asks for 30" in str(caught.value)


def test_no_step_of_the_journal_keeps_what_one_hospital_alone_said(reference):
    """Only named releases are apart by site; everything else is a sum."""
    apart = set()
    with sqlite3.connect(reference[2] / "journal.db") as db:
        for step, answer in db.execute("select step, answer from steps"):
            if any("/" in name for name in from_bytes(zlib.decompress(answer))):
                apart.add(step.split("/")[0] + ("/alone" if "alone" in step else ""))
    db.close()
    assert apart == {"enrol", "fold-0/alone", "fold-1/alone", "evaluate-each"}


def test_a_hospital_with_too_few_outcomes_is_left_out_of_both_sides_of_the_check(tmp_path):
    """Five known outcomes are not summed; federated and pooled fit still see the same subjects."""
    hospitals = small_hospitals(sites=5)
    bare = hospitals["site-0"]
    time_days = np.where(np.arange(24) < 5, bare.outcomes["pfs"].time_days, np.nan)
    few = Outcome(time_days=time_days, event=bare.outcomes["pfs"].event & (np.arange(24) < 5))
    hospitals["site-0"] = replace(bare, outcomes={**bare.outcomes, "pfs": few})
    plan = small_plan(
        endpoints=Endpoints(survival=("pfs",), binary=()),
        evaluation=Evaluation(folds=5, bootstrap=0, baselines=("pooled",)),
    )
    with federation(tmp_path, plan, hospitals, pooled=True) as execution:
        finished, records = walk(execution)
    told = [r.reasons[0] for r in records if isinstance(r, SiteState) and r.state == "refused"]
    assert any("fewer than the 10 subjects" in reason for reason in told)
    assert [check["passed"] for check in finished.results["checks"]] == [True]
