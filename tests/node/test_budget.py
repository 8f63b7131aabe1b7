"""A node's account of epsilon: charged first, kept for ever, and never charged twice."""

import sqlite3
from dataclasses import replace

import numpy as np
import pytest

from federated import approve, federation, small_hospitals, small_plan, walk
from fedpet import plan as plans
from fedpet.cli.privacy_words import account_in_words
from fedpet.errors import RefusalError, StoreError
from fedpet.federation.messages import Request, decode, encode
from fedpet.node.budget import Budget, Charge
from fedpet.node.gate import Node
from fedpet.node.policy import Policy, write_policy
from fedpet.plan import Evaluation, Model, Privacy, Sites, Training
from fedpet.privacy.accountant import Spending, epsilon_of, planned
from fedpet.training import loop
from noisy import BODY
from noisy import request as arrays_of
from toy import toy_cohort, toy_plan
from toy_folders import write_toy_cohort

COHORT = toy_cohort("lyon", subjects=40, seed=3)


def plan_of(mode="local", **training):
    return toy_plan(
        sites=Sites(sites_min=2),
        model=Model(width=4, image_features=4, hidden=8),
        training=Training(**{"rounds": 4, "batch_size": 8, **training}),
        privacy=Privacy(differential_privacy=mode, noise_multiplier=6.0),
        evaluation=Evaluation(folds=2, bootstrap=0, baselines=()),
    )


def node_at(folder, plan, **policy):
    folder.mkdir(exist_ok=True)
    write_policy(
        Policy(secure_sum="optional", sites_min=2, **{"epsilon_max": 20.0, **policy}),
        folder / "policy.toml",
    )
    node = Node(site="lyon", folder=folder, cohorts={"toy": COHORT})
    approve(node, plan)
    return node


def asked(plan, number=1, **changes):
    return Request(
        **{
            "site": "lyon",
            "experiment": "e",
            "plan": plans.fingerprint(plan),
            "step": f"fold-0/network/round-{number:03d}",
            "kind": "train",
            "body": {**BODY, "round": number},
            "arrays": arrays_of(COHORT, plan),
            **changes,
        }
    )


def charge(question, steps=10):
    spending = Spending(sampling=0.2, noise=6.0, steps=steps)
    return Charge(question=question, cohort="toy", plan="p", spending=spending, delta=1e-4)


def test_a_question_is_charged_once_and_a_restart_forgets_nothing(tmp_path):
    """Closed or killed, the account opens with what it held."""
    budget = Budget(tmp_path)
    assert budget.charge(charge("a"), epsilon_max=20.0) == ()
    once = budget.epsilon("toy", delta=1e-4)
    assert budget.charge(charge("a"), epsilon_max=20.0) == ()
    assert budget.epsilon("toy", delta=1e-4) == once > 0
    del budget  # no farewell, as after a kill
    again = Budget(tmp_path)
    assert again.epsilon("toy", delta=1e-4) == once
    assert again.charge(charge("b"), epsilon_max=20.0) == ()
    assert again.epsilon("toy", delta=1e-4) > once
    again.close()


def test_the_budget_ends_and_stays_ended(tmp_path):
    """What would go beyond is not written down, and not answered; the rest may still be."""
    budget = Budget(tmp_path)
    most = epsilon_of([Spending(sampling=0.2, noise=6.0, steps=100)], delta=1e-4) * 1.001
    for number in range(10):
        assert budget.charge(charge(f"q{number}"), epsilon_max=most) == ()
    (reason,) = budget.charge(charge("one too many"), epsilon_max=most)
    assert reason.startswith("Epsilon would reach")
    assert budget.charge(charge("q3"), epsilon_max=most) == ()
    budget.close()


def test_an_account_that_cannot_be_written_answers_nothing(tmp_path):
    """Told but not charged is the one thing that may never happen."""
    budget = Budget(tmp_path)
    budget._db.execute("pragma query_only = on")
    with pytest.raises(StoreError):
        budget.charge(charge("a"), epsilon_max=20.0)
    budget.close()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "epsilon.db").write_bytes(b"this is no database at all" * 100)
    with pytest.raises(StoreError, match="account of epsilon"):
        Budget(tmp_path / "other")


def test_the_same_question_gets_the_same_answer_and_costs_nothing(tmp_path):
    """A lost line or a crash of the coordinator must not draw fresh noise on the same sum."""
    plan = plan_of()
    node = node_at(tmp_path / "a", plan)
    first = decode(node.handle_bytes(encode(asked(plan))))
    assert first.status == "ok", first.reasons
    spent = node.epsilon_spent("toy", delta=1e-4)
    node.close()
    node = node_at(tmp_path / "a", plan)
    again = decode(node.handle_bytes(encode(replace(asked(plan), attempt=1))))
    for name, array in first.arrays.items():
        np.testing.assert_array_equal(array, again.arrays[name])
    assert node.epsilon_spent("toy", delta=1e-4) == spent > 0
    for changes in ({"number": 2}, {"experiment": "another"}):
        before = node.epsilon_spent("toy", delta=1e-4)
        other = decode(node.handle_bytes(encode(asked(plan, **changes))))
        assert other.status == "ok"
        assert node.epsilon_spent("toy", delta=1e-4) > before
        assert not np.array_equal(other.arrays["heads.pfs.bias"], first.arrays["heads.pfs.bias"])
    node.close()


def test_the_charge_stands_even_if_the_work_fails(tmp_path, monkeypatch):
    """Charged first: a crash between charge and answer counts too much, never too little."""
    plan = plan_of()
    node = node_at(tmp_path / "a", plan)
    seen = []

    def fails(*_: object) -> None:
        seen.append(node.epsilon_spent("toy", delta=1e-4))
        raise MemoryError

    monkeypatch.setattr(loop, "_private", fails)
    reply = decode(node.handle_bytes(encode(asked(plan))))
    assert reply.status == "failed"
    assert seen[0] > 0
    assert node.epsilon_spent("toy", delta=1e-4) == seen[0]
    node.close()


def test_a_plan_beyond_the_budget_cannot_be_approved(tmp_path):
    """Told to the person who decides, before the first round and not in the middle."""
    node = node_at(tmp_path / "a", plan_of(), epsilon_max=0.1)
    assert node.decision(plans.fingerprint(plan_of())) is None
    with pytest.raises(RefusalError, match="Epsilon would reach"):
        node.decide(plans.fingerprint(plan_of()), "approved", person="a tester")
    node.close()


def test_a_hospital_can_ask_for_noise():
    """The order is what is hidden from whom: nothing, from the coordinator, from everybody."""
    for least, mode, allowed in (
        ("none", "none", True),
        ("distributed", "none", False),
        ("distributed", "local", True),
        ("local", "distributed", False),
    ):
        reasons = Policy(privacy_min=least, sites_min=2).objections(plan_of(mode))
        assert (reasons == ()) is allowed
    loose = replace(plan_of(), privacy=replace(plan_of().privacy, delta=0.01))
    assert any("may fail" in why for why in Policy(sites_min=2).objections(loose))


def test_a_secret_is_made_once_and_is_nobodys_but_the_nodes(tmp_path):
    """Another secret after a restart would draw fresh noise for the same question."""
    budget = Budget(tmp_path)
    first = budget.noise("q").uniform(4).tolist()
    assert (tmp_path / "noise.key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "epsilon.db").stat().st_mode & 0o777 == 0o600
    budget.close()
    budget = Budget(tmp_path)
    assert budget.noise("q").uniform(4).tolist() == first
    with sqlite3.connect(tmp_path / "epsilon.db") as db:
        assert db.execute("select count(*) from spent").fetchone() == (0,)
    db.close()
    budget.close()


def test_a_whole_experiment_runs_with_noise(tmp_path):
    """Folds, the kept model, evaluation; a site has paid what the plan said, and no more."""
    plan = small_plan(
        privacy=Privacy(differential_privacy="distributed", noise_multiplier=6.0),
        training=Training(rounds=2, batch_size=16),
        evaluation=Evaluation(folds=2, bootstrap=0, baselines=("local",)),
    )
    hospitals = small_hospitals(sites=6)  # so that each fold trains over three
    policy = Policy(
        releases=("counts", "site-results", "local-model"), sites_min=2, epsilon_max=1e3
    )
    with federation(
        tmp_path, plan, hospitals, policies=dict.fromkeys(hospitals, policy)
    ) as execution:
        finished, _ = walk(execution)
    assert all(np.isfinite(a).all() for m in finished.models.values() for a in m.values())
    site, cohort = next(iter(hospitals.items()))
    budget = Budget(tmp_path / site)
    spent = budget.epsilon("toy", delta=1e-4)
    budget.close()
    assert 0 < spent <= epsilon_of(planned(plan, subjects=len(cohort.subjects)), delta=1e-4)


def test_the_person_who_decides_reads_the_account(tmp_path):
    """What was spent, what this plan would add here, and that it may not be approved."""
    plan = plan_of()
    node = node_at(tmp_path / "node", plan)
    assert decode(node.handle_bytes(encode(asked(plan)))).status == "ok"
    node.close()
    told, over = account_in_words(plan, tmp_path)
    assert told[0].startswith("Plans with noise have spent epsilon 0.")
    assert over == ()
    write_toy_cohort(tmp_path, COHORT, site="lyon")
    write_policy(Policy(sites_min=2, epsilon_max=0.1), tmp_path / "node" / "policy.toml")
    told, over = account_in_words(plan, tmp_path)
    assert "At a hospital of 40 subjects" in told[1]
    assert "Epsilon would reach" in over[0]
