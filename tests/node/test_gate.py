"""The only door: what is not approved, allowed or asked for by the plan does not leave."""

import json
from dataclasses import replace
from itertools import count

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedpet import plan as plans
from fedpet import planfile
from fedpet.errors import NotFoundError, PlanError, RefusalError, UpdateError
from fedpet.federation.messages import Reply, Request, decode, encode
from fedpet.node.gate import Node
from fedpet.node.policy import Policy, write_policy
from fedpet.plan import Evaluation, Privacy, Sites, Training
from fedpet.training.selection import fold_of
from toy import toy_cohort, toy_plan

EVERYBODY = {"fold": None, "part": "all", "members": None}
PLAN = toy_plan()
PREP = {
    "prep.log": np.array([0.0, 0.0, 1.0]),
    "prep.mean": np.array([65.0, 1.0, 1.2]),
    "prep.sd": np.array([9.0, 0.8, 0.5]),
    "prep.indicator": np.array([0.0, 0.0, 1.0]),
}
CLEAR = Policy(secure_sum="optional")  # one node cannot be masked; these tests look at summands
COLUMNS = ["age_years", "ecog", "nlr"]
COX = {"cox.beta": np.array([0.1, 0.2, 0.3, 0.0]), "cox.hazard": np.full(9, 1e-3)}


def approved(node: Node, plan: plans.Plan = PLAN) -> str:
    node.propose(planfile.dumps(plan))
    node.decide(plans.fingerprint(plan), "approved", person="data manager")
    return plans.fingerprint(plan)


@pytest.fixture
def node(tmp_path):
    write_policy(CLEAR, tmp_path / "policy.toml")
    node = Node(site="nice", folder=tmp_path, cohorts={"toy": toy_cohort("n", subjects=30, seed=3)})
    yield node
    node.close()


STEPS = count(1)


def ask(
    node: Node, *, kind="count", body=None, arrays=None, plan=PLAN, site="nice", step=None, **more
) -> Reply:
    """Ask in an experiment of the plan's own, every time under a new step unless told."""
    fingerprint = plans.fingerprint(plan) if isinstance(plan, plans.Plan) else plan
    request = Request(
        site=site,
        experiment=more.pop("experiment", f"e-{fingerprint[:8]}"),
        plan=fingerprint,
        step=step or f"step/{next(STEPS)}",
        kind=kind,
        body={"select": EVERYBODY, "columns": COLUMNS, **(body or {})},
        arrays={**PREP, **(arrays or {})},
        heads=more.pop("heads", {}),
    )
    reply = decode(node.handle_bytes(encode(request), **more))
    assert isinstance(reply, Reply)
    return reply


def refused(reply: Reply, text: str) -> None:
    assert reply.status == "refused", reply.reasons
    assert text in " ".join(reply.reasons)
    assert not reply.arrays


def failed(reply: Reply, text: str) -> None:
    assert reply.status == "failed", reply.reasons
    assert text in " ".join(reply.reasons)
    assert not reply.arrays


def test_an_approved_plan_is_answered(node):
    """The other side of all refusals: what a person approved is computed."""
    approved(node)
    reply = ask(node)
    assert reply.status == "ok"
    assert reply.arrays["subjects"].tolist() == [30.0]


def test_a_plan_that_nobody_approved_is_refused(node):
    """Off is the default: proposed is not approved, unknown even less."""
    refused(ask(node, plan="0" * 64), "is not approved at this hospital")
    node.propose(planfile.dumps(PLAN))
    refused(ask(node), "is not approved")


def test_a_withdrawn_approval_holds_at_once(node):
    """The next request is refused, whatever was running."""
    fingerprint = approved(node)
    node.decide(fingerprint, "withdrawn", person="data manager", reason="consent changed")
    refused(ask(node), "was withdrawn")


def test_one_changed_number_makes_another_plan(node):
    """An approval is for a fingerprint, not for a name."""
    approved(node)
    refused(ask(node, plan=replace(PLAN, seed=PLAN.seed + 1)), "is not approved")


def test_a_plan_changed_in_the_store_is_not_run(node, tmp_path, monkeypatch):
    """Whoever edits the database does not change what a person approved."""
    import sqlite3

    approved_one = approved(node)
    with sqlite3.connect(tmp_path / "state.db") as db:
        db.execute("update plans set text = replace(text, 'seed = 2026', 'seed = 2027')")
    db.close()
    failed(ask(node), "was changed after it was proposed")
    # With the defence off the other plan is computed, under the approved one's name:
    monkeypatch.setattr("fedpet.node.approvals.plans.fingerprint", lambda _: approved_one)
    assert ask(node, plan=approved_one).status == "ok"


def test_a_stricter_policy_stops_an_approved_plan(node, tmp_path):
    """The policy file is read at every request; the strictest rule holds."""
    approved(node)
    write_policy(Policy(secure_sum="optional", sites_min=7), tmp_path / "policy.toml")
    refused(ask(node), "requires 7")


def test_a_plan_that_the_policy_forbids_cannot_be_approved(node, tmp_path):
    """A click does not override the hospital's rules."""
    write_policy(Policy(secure_sum="optional", endpoints=("os",)), tmp_path / "policy.toml")
    _, objections = node.propose(planfile.dumps(PLAN))
    assert "pfs" in objections[0]
    with pytest.raises(RefusalError, match="may not approve"):
        node.decide(plans.fingerprint(PLAN), "approved", person="data manager")


def test_a_decision_needs_a_plan_that_was_proposed(node):
    """Nobody approves what nobody has read."""
    with pytest.raises(NotFoundError, match="No plan"):
        node.decide("f" * 64, "approved", person="data manager")
    for text in ("this is no plan", "#" * (1 << 21), "x = " + "[" * 30_000):
        with pytest.raises(PlanError):
            node.propose(text)


def test_a_request_for_another_site_is_refused(node):
    """A node answers in its own name only."""
    approved(node)
    refused(ask(node, site="lyon"), "is not site 'lyon'")


@pytest.mark.parametrize("kind", ["__import__", "pickle", "", "train; drop table audit"])
def test_unknown_work_is_refused(node, kind):
    """What can be asked stands in one fixed table; nothing of a request is executed."""
    approved(node)
    refused(ask(node, kind=kind), "not among the work")


def test_another_grid_or_cohort_is_refused(node):
    """A plan for other images is not computed on these."""
    other = toy_plan(cohort="breast")
    approved(node, other)
    refused(ask(node, plan=other), "no cohort named 'breast'")
    finer = toy_plan(inputs=replace(PLAN.inputs, spacing_mm=2.0))
    approved(node, finer)
    refused(ask(node, plan=finer), "grid of 4 mm")


def test_a_cohort_of_another_suv_is_refused(tmp_path):
    """Lean-mass SUV is a third lower: mixed with body-weight SUV it would look like biology."""
    cohort = replace(toy_cohort("n", subjects=30, seed=3), suv="lbm-janmahasatian")
    write_policy(CLEAR, tmp_path / "policy.toml")
    node = Node(site="nice", folder=tmp_path, cohorts={"toy": cohort})
    approved(node)
    refused(ask(node), "SUV by 'lbm-janmahasatian'")
    node.close()


def test_a_release_needs_the_policy_and_covers_one_kind_of_work(node, tmp_path):
    """`counts` opens counts, not models; what the policy does not list stays."""
    approved(node)
    assert ask(node, body={"release": "counts"}).status == "ok"
    refused(ask(node, body={"release": "local-model"}, kind="train"), "does not release")
    refused(ask(node, body={"release": "counts"}, kind="moments"), "does not cover 'moments'")
    write_policy(Policy(secure_sum="optional", releases=()), tmp_path / "policy.toml")
    refused(ask(node, body={"release": "counts"}), "does not release 'counts'")


def test_an_answer_about_few_subjects_is_refused(node, tmp_path):
    """By the size of the cohort, of the selection, and of those whose endpoint is known."""
    finely = toy_plan(evaluation=Evaluation(scheme="held-out-subjects", folds=6, bootstrap=0))
    approved(node, finely)
    few = {"select": {"fold": 3, "part": "test", "members": None}}
    refused(ask(node, plan=finely, body=few), "fewer than the 10 subjects")
    write_policy(Policy(secure_sum="optional", subjects_min=31), tmp_path / "policy.toml")
    refused(ask(node, plan=finely), "fewer than the 31")


def test_a_sum_that_leaves_out_few_subjects_is_refused(node):
    """All subjects less all but one is one subject: its age would be the difference."""
    finely = toy_plan(evaluation=Evaluation(scheme="held-out-subjects", folds=1000, bootstrap=0))
    approved(node, finely)
    fold = fold_of("n-0", seed=finely.seed, folds=1000)
    assert ask(node, plan=finely, kind="moments").status == "ok"
    for endpoint in ({}, {"endpoint": "pfs"}):
        all_but_one = {"select": {"fold": fold, "part": "train", "members": None}, **endpoint}
        refused(ask(node, plan=finely, kind="moments", body=all_but_one), "by subtraction")


@pytest.mark.parametrize("fold", [None, -1, 3, True, "0", 0.0])
def test_only_folds_of_the_plan_part_subjects(node, fold):
    """A fold that the plan does not have would be another selection than was approved."""
    by_subject = toy_plan(evaluation=Evaluation(scheme="held-out-subjects", folds=3, bootstrap=0))
    approved(node, by_subject)
    asked = {"select": {"fold": fold, "part": "train", "members": None}}
    failed(ask(node, plan=by_subject, body=asked), "has folds 0 to 2")


def test_a_plan_that_holds_out_hospitals_parts_nobody(node):
    """Its training and its test are whole hospitals; a part of one is nobody's business."""
    approved(node)
    asked = {"select": {"fold": 0, "part": "train", "members": None}}
    failed(ask(node, body=asked), "holds out hospitals")


def test_what_tells_of_this_hospital_alone_is_never_a_plain_answer(node, tmp_path):
    """Leaving out the release's name must not pass by the policy that forbids it."""
    approved(node)
    write_policy(Policy(secure_sum="optional", releases=("counts",)), tmp_path / "policy.toml")
    own = {"endpoint": "pfs", "model": "cox"}
    refused(ask(node, kind="concordance", body=own, arrays=COX), "release 'site-results' only")
    refused(ask(node, kind="train", body={"round": 1, "repeat": 3}), "release 'local-model'")


def test_a_plan_that_the_policy_kept_from_approval_is_refused_with_the_reason(node, tmp_path):
    """`not approved` alone would send people looking for a person who forgot a click."""
    write_policy(Policy(secure_sum="optional", sites_min=7), tmp_path / "policy.toml")
    node.propose(planfile.dumps(PLAN))
    refused(ask(node), "requires 7")


def test_an_endpoint_known_of_few_subjects_is_not_summed(tmp_path):
    """Three subjects with a known outcome are three subjects, however many are selected."""
    cohort = toy_cohort("n", subjects=30, seed=3)
    time = cohort.outcomes["pfs"].time_days.copy()
    time[3:] = np.nan
    rare = {"pfs": replace(cohort.outcomes["pfs"], time_days=time), "os": cohort.outcomes["os"]}
    write_policy(CLEAR, tmp_path / "policy.toml")
    node = Node(site="nice", folder=tmp_path, cohorts={"toy": replace(cohort, outcomes=rare)})
    approved(node)
    arrays = {"beta": np.zeros(4)}
    refused(ask(node, kind="cox", body={"endpoint": "pfs"}, arrays=arrays), "fewer than the 10")
    assert ask(node, kind="cox", body={"endpoint": "os"}, arrays=arrays).status == "ok"
    node.close()


@pytest.mark.parametrize(
    ("kind", "body", "arrays", "text"),
    [
        ("moments", {"columns": ["postcode"]}, {}, "does not name column 'postcode'"),
        ("cox", {"endpoint": "weight_loss"}, {"beta": np.zeros(4)}, "does not name the survival"),
        ("train", {"round": 9}, {}, "has rounds 1 to 3"),
        ("train", {"round": -1}, {}, "has rounds 1 to 3"),
        ("train", {"round": 1}, {"model.x": np.zeros(1)}, "does not fit the plan's network"),
        ("evaluate", {"endpoint": "pfs", "model": "tree"}, {}, "no kind of model"),
        ("count", {"select": {"part": "the rich"}}, {}, "cannot be selected"),
        ("count", {"select": "all"}, {}, "own log"),
        ("evaluate", {}, {}, "own log"),
    ],
)
def test_a_request_beyond_the_plan_gets_nothing(node, kind, body, arrays, text):
    """Columns, endpoints, rounds and models are those that were approved."""
    approved(node)
    failed(ask(node, kind=kind, body=body, arrays=arrays), text)


def test_a_failure_tells_no_detail_of_a_subject(node, caplog):
    """The coordinator hears that the work failed; the reason stays in the site's log."""
    approved(node)
    reply = ask(node, kind="cox", body={"endpoint": "pfs"}, arrays={"beta": np.zeros(99)})
    failed(reply, "The work failed; details are in the site's own log.")
    assert "work_failed" in caplog.text


def shapes(reply: Reply) -> dict[str, tuple[int, ...]]:
    assert reply.status == "ok", reply.reasons
    return {name: array.shape for name, array in reply.arrays.items()}


def test_no_reply_has_a_value_per_subject(tmp_path):
    """30 or 47 subjects: every answer has the same shapes, so none lists subjects."""
    found = []
    for index, subjects in enumerate((30, 47)):
        cohort = toy_cohort("n", subjects=subjects, seed=3)
        node = Node(site="nice", folder=tmp_path / str(index), cohorts={"toy": cohort})
        write_policy(
            Policy(secure_sum="optional", releases=("counts", "site-results", "local-model")),
            tmp_path / str(index) / "policy.toml",
        )
        approved(node)
        model = {
            f"model.{name}": array
            for name, array in ask(node, kind="initialise").arrays.items()
            if not name.startswith("weight.")
        }
        pfs = {"endpoint": "pfs", "model": "network"}
        response = {"endpoint": "response", "model": "network"}
        answers = {
            "count": ask(node),
            "moments": ask(node, kind="moments"),
            "cox": ask(node, kind="cox", body=pfs, arrays={"beta": np.zeros(4)}),
            "exposure": ask(node, kind="exposure", body=pfs, arrays=COX),
            "train": ask(node, kind="train", body={"round": 1}, arrays=model),
            "risks": ask(node, kind="risks", body=pfs, arrays=model),
            "evaluate": ask(node, kind="evaluate", body=pfs, arrays=model),
            "binary": ask(node, kind="evaluate", body=response, arrays=model),
            "own": ask(
                node, kind="concordance", body={**pfs, "release": "site-results"}, arrays=model
            ),
        }  # fmt: skip
        found.append({name: shapes(reply) for name, reply in answers.items()})
        node.close()
    assert found[0] == found[1]
    own = {"pairs": (31, 3), "influence": (3,), "subjects": (1,), "events": (1,)}
    assert found[0]["own"] == own


def test_an_update_is_clipped_to_the_stricter_of_plan_and_policy(node, tmp_path):
    """The change asked for has at most the norm that the hospital allows."""
    bounded = toy_plan(privacy=Privacy(update_norm_max=0.05), training=Training(rounds=3))
    approved(node, bounded)
    model = {
        f"model.{name}": array
        for name, array in ask(node, plan=bounded, kind="initialise").arrays.items()
        if not name.startswith("weight.")
    }

    def norm() -> float:
        reply = ask(node, plan=bounded, kind="train", body={"round": 1}, arrays=model)
        assert reply.status == "ok", reply.reasons
        arrays = reply.arrays
        from fedpet.parameters import weight_of

        changes = [n for n in arrays if not n.startswith(("weight.", "loss."))]
        return float(np.sqrt(sum(((arrays[n] / arrays[weight_of(n)]) ** 2).sum() for n in changes)))

    assert norm() == pytest.approx(0.05, rel=1e-6)


def test_the_audit_tells_every_request_and_every_answer(node):
    """What was asked, how it was answered, how many values left and their digest; no subject."""
    approved(node)
    answer = ask(node, body={"release": "counts"})
    ask(node, kind="pickle")
    entries = [entry.values for entry in node.audit()]
    assert [entry["what"] for entry in entries] == [
        "proposed", "approved", "asked", "answered", "asked", "answered",
    ]  # fmt: skip
    assert (entries[2]["release"], entries[4]["release"]) == ("counts", None)
    assert len({entries[2]["question"], entries[4]["question"]}) == 2
    assert entries[3]["status"] == "ok"
    assert entries[3]["values"] == sum(array.size for array in answer.arrays.values())
    assert len(entries[3]["digest"]) == 64
    assert (entries[5]["status"], entries[5]["values"]) == ("refused", 0)
    assert "n-0" not in json.dumps([dict(entry) for entry in entries])


def test_the_audit_tells_which_rules_were_in_force(node, tmp_path):
    """A rule that was changed with an editor shows, although nobody recorded it."""
    approved(node)
    ask(node)
    write_policy(Policy(subjects_min=20), tmp_path / "policy.toml")
    ask(node)
    rules = [e.values["rules"] for e in node.audit() if e.values["what"] == "asked"]
    assert len(set(rules)) == 2


def test_what_cannot_be_audited_does_not_leave(node):
    """A full disk or a closed file: the answer stays here."""
    approved(node)
    node.close()
    reply = ask(node)
    failed(reply, "cannot be written")


@given(data=st.binary(max_size=100))
def test_garbage_at_the_door_is_an_error_of_ours(tmp_path_factory, data):
    """Bytes that are no request never reach the work."""
    node = Node(site="nice", folder=tmp_path_factory.mktemp("node"), cohorts={})
    with pytest.raises(UpdateError):
        node.handle_bytes(data)
    node.close()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)


def test_any_body_is_answered_and_never_raises(node):
    """A hostile coordinator gets reasons; the node lives."""
    approved(node)
    keys = st.sampled_from(["select", "columns", "endpoint", "model", "round", "repeat", "release"])
    kinds = st.sampled_from(
        ["count", "moments", "cox", "exposure", "train", "risks", "evaluate", "concordance"]
    )

    @given(kind=kinds, body=st.dictionaries(keys, JSON, max_size=5))
    def fuzz(kind, body):
        reply = ask(node, kind=kind, body=body)
        assert reply.status in ("ok", "refused", "failed")
        assert reply.status == "ok" or reply.reasons

    fuzz()


def test_a_plan_of_too_few_sites_meets_the_policy(node):
    """A sum of two hospitals is no sum where three are required."""
    plan = toy_plan(sites=Sites(sites_min=2))
    _, objections = node.propose(planfile.dumps(plan))
    assert objections == ("Sums may be formed from 2 sites; this hospital requires 3.",)


def test_the_plans_own_minimum_of_subjects_holds_at_the_node(node):
    """A coordinator that goes on with a hospital below the plan's minimum gets nothing from it."""
    plan = toy_plan(sites=Sites(subjects_min=31))
    approved(node, plan)
    assert ask(node, plan=plan, body={"release": "counts"}).status == "ok"
    refused(ask(node, plan=plan, kind="moments"), "fewer than the 31 subjects that the plan asks")


def test_a_refusal_lists_every_reason(node, tmp_path):
    """One reason at a time costs a hospital and a study team a meeting each."""
    node.propose(planfile.dumps(PLAN))
    write_policy(Policy(secure_sum="optional", sites_min=7, releases=()), tmp_path / "policy.toml")
    reply = ask(node, site="lyon", kind="moments", body={"release": "counts"})
    refused(reply, "is not site 'lyon'")
    for text in ("is not approved", "does not release 'counts'", "not cover", "requires 7"):
        refused(reply, text)
