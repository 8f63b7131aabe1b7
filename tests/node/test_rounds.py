"""How often a plan may ask: each test is an attack that a door without memory lets through."""

from dataclasses import replace

import numpy as np
import pytest
from test_gate import COX, EVERYBODY, PLAN, approved, ask, failed, refused

from fedpet import plan as plans
from fedpet import planfile
from fedpet.federation.heads import signed_head
from fedpet.federation.messages import Request, decode, encode
from fedpet.node import rounds
from fedpet.node.gate import Node
from fedpet.node.policy import Policy, write_policy
from toy import toy_cohort, toy_plan


@pytest.fixture
def node(tmp_path):
    write_policy(Policy(secure_sum="optional"), tmp_path / "policy.toml")
    node = Node(site="nice", folder=tmp_path, cohorts={"toy": toy_cohort("n", subjects=30, seed=3)})
    approved(node)
    yield node
    node.close()


def model(node):
    found = ask(node, kind="initialise").arrays
    return {f"model.{k}": v for k, v in found.items() if not k.startswith("weight.")}


def test_the_same_question_again_has_the_same_answer(node):
    """A repeated delivery is no attack; a run that is resumed asks its open step again."""
    first, again = (ask(node, kind="moments", step="all/means") for _ in range(2))
    assert again.status == "ok"
    assert all((first.arrays[name] == array).all() for name, array in again.arrays.items())


def test_a_step_asked_again_with_another_question_gets_nothing(node):
    """Otherwise one approved step would be a free query interface."""
    about_everybody = {"endpoint": "pfs", "model": "cox"}
    arrays = {"beta": np.zeros(4)}
    assert ask(node, kind="cox", step="a", body=about_everybody, arrays=arrays).status == "ok"
    other = {"beta": np.ones(4)}
    refused(ask(node, kind="cox", step="a", body=about_everybody, arrays=other), "another question")
    # With the defence off, which is another step, it is answered:
    assert ask(node, kind="cox", step="b", body=about_everybody, arrays=other).status == "ok"


def test_a_round_is_trained_once(node):
    """A crafted model sent as round 1 again would return a second gradient of the same subjects."""
    arrays = model(node)
    assert ask(node, kind="train", step="r1", body={"round": 1}, arrays=arrays).status == "ok"
    crafted = {name: array + 1 for name, array in arrays.items()}
    again = ask(node, kind="train", step="r1-again", body={"round": 1}, arrays=crafted)
    refused(again, "asked before, under another step")


def test_rounds_and_folds_beyond_the_plan_get_nothing(node):
    """Three rounds were approved, in two folds and on everybody."""
    arrays = model(node)
    failed(ask(node, kind="train", body={"round": 4}, arrays=arrays), "has rounds 1 to 3")
    for fold in (99, -1, "0", True, 0.5):
        asked = {"round": 1, "select": {**EVERYBODY, "fold": fold}}
        refused(ask(node, kind="train", body=asked, arrays=arrays), "and no other")


def test_a_plan_is_run_as_often_as_the_hospital_allows(node, tmp_path):
    """Each new experiment would grant all rounds anew."""
    write_policy(Policy(secure_sum="optional", plan_experiments_max=2), tmp_path / "policy.toml")
    assert ask(node, experiment="one").status == "ok"
    assert ask(node, experiment="two").status == "ok"
    refused(ask(node, experiment="three"), "was run 2 times")
    assert ask(node, experiment="one").status == "ok"


def test_an_experiment_asks_as_many_steps_as_the_hospital_allows(node, tmp_path):
    """Thousands of Cox sums at chosen coefficients would be a system of equations."""
    write_policy(Policy(secure_sum="optional", experiment_steps_max=2), tmp_path / "policy.toml")
    assert ask(node, step="one").status == "ok"
    assert ask(node, step="two").status == "ok"
    refused(ask(node, step="three"), "has asked 2 steps")
    assert ask(node, step="two").status == "ok"


def test_an_experiment_belongs_to_one_plan(node):
    """Rounds of one plan are not spent under the name of another."""
    other = replace(PLAN, seed=PLAN.seed + 1)
    approved(node, other)
    assert ask(node, experiment="e").status == "ok"
    refused(ask(node, plan=other, experiment="e"), "belongs to another plan")


def test_steps_are_remembered_when_the_node_starts_anew(node, tmp_path):
    """A restart is no amnesty."""
    body, arrays = {"endpoint": "pfs", "model": "cox"}, {"beta": np.zeros(4)}
    assert ask(node, kind="cox", step="a", body=body, arrays=arrays).status == "ok"
    node.close()
    cohorts = {"toy": toy_cohort("n", subjects=30, seed=3)}
    again = Node(site="nice", folder=tmp_path, cohorts=cohorts)
    refused(ask(again, kind="exposure", step="a", body=body, arrays=COX), "another question")
    again.close()


def test_a_release_that_is_not_in_the_plan_gets_nothing(node, tmp_path):
    """The policy opens `site-results`; a plan that does not ask for them does not get them."""
    quiet = toy_plan(evaluation=replace(PLAN.evaluation, site_results=False))
    approved(node, quiet)
    own = {"endpoint": "pfs", "model": "cox", "release": "site-results"}
    refused(ask(node, plan=quiet, kind="concordance", body=own, arrays=COX), "does not ask for")
    assert ask(node, kind="concordance", body=own, arrays=COX).status == "ok"


def test_a_requester_who_is_not_allowed_gets_nothing(node, tmp_path):
    """By the policy's list, and by the name for which the plan was approved."""
    refused(ask(node, requester="somebody else"), "was approved for 'this machine', and not for")
    write_policy(
        Policy(secure_sum="optional", requesters=("the study team",)), tmp_path / "policy.toml"
    )
    refused(ask(node), "is not among those whom this hospital answers")
    plan = toy_plan(title="For the study team.")
    node.propose(planfile.dumps(plan), requester="the study team")
    node.decide(plans.fingerprint(plan), "approved", person="data manager")
    assert ask(node, plan=plan, requester="the study team").status == "ok"


def test_a_plan_from_somebody_else_is_approved_anew(node):
    """The first approval goes on to hold for whom it was given, and for nobody else."""
    node.propose(planfile.dumps(PLAN), requester="another team")
    refused(ask(node, requester="another team"), "and not for 'another team'")
    assert ask(node).status == "ok"
    node.decide(plans.fingerprint(PLAN), "approved", person="data manager")
    assert ask(node, requester="another team").status == "ok"


def test_a_node_whose_audit_lacks_what_others_saw_answers_nothing(node):
    """Whoever set the audit back may have set back the memory of what was asked, too."""
    seen = decode(node.handle_bytes(encode(request_of("one")))).head
    assert ask(node, heads={"nice": seen}).status == "ok"
    later = signed_head(node.identity, site="nice", number=999, hash_="0" * 64)
    refused(ask(node, heads={"nice": later.values()}), "no longer holds entry 999")


def request_of(step):
    body = {"select": EVERYBODY}
    plan = plans.fingerprint(PLAN)
    return Request(site="nice", experiment="h", plan=plan, step=step, kind="count", body=body)


def test_a_hospital_tells_of_its_own_ranking_as_often_as_models_are_judged(node, monkeypatch):
    """Coefficients of choice rank subjects at will; enough such counts of pairs name them."""
    own = {"endpoint": "pfs", "model": "cox", "release": "site-results"}

    def crafted(number):
        arrays = {**COX, "cox.beta": COX["cox.beta"] + number}
        return ask(node, kind="concordance", step=f"c-{number}", body=own, arrays=arrays)

    most = rounds.OWN_EACH_FOLD * PLAN.evaluation.folds
    assert [crafted(number).status for number in range(most)] == ["ok"] * most
    refused(crafted(most), "of no more in one run")
    assert crafted(0).status == "ok"  # delivered again
    monkeypatch.setattr(rounds, "OWN_EACH_FOLD", 1000)
    assert crafted(most).status == "ok"
