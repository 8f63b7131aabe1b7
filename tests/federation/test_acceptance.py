"""Candidates for the global model are judged by hospitals, and taken back when they got worse."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from federated import DEFAULT, federation, frozen, small_hospitals, small_plan, walk
from fedpet import plan as plans
from fedpet.contradictions import contradictions
from fedpet.errors import RefusalError, UpdateError
from fedpet.federation.messages import Request, decode, encode
from fedpet.federation.records import ModelJudged
from fedpet.federation.votes import Vote, signed, vote_from, vote_in
from fedpet.node.policy import Policy
from fedpet.node.voting import accepts
from fedpet.planfile import dumps, loads
from fedpet.privacy.identity import Identity
from fedpet.training.accepting import score
from fedpet.training.accepting import vote as vote_work
from fedpet.training.selection import select
from toy import toy_hospitals

EVERY = plans.Acceptance(every=1, guard_share=0.4)
VOTING = replace(DEFAULT, releases=(*DEFAULT.releases, "votes", "passport"), subjects_min=4)


def guarded_plan(**changes):
    return small_plan(
        **{
            "acceptance": EVERY,
            "evaluation": plans.Evaluation(folds=2, bootstrap=5, baselines=()),
            **changes,
        }
    )


def policies(hospitals, **changes):
    return dict.fromkeys(hospitals, replace(VOTING, **changes))


def poisoned(handler):
    """A hospital whose second update sends the model away, at full length."""

    def answer(data):
        request, reply = decode(data), decode(handler(data))
        trains = request.kind == "train" and request.body["round"] == 2
        if trains and reply.arrays:
            arrays = {
                name: array if name.startswith(("weight.", "loss.")) else array * -400.0 + 50.0
                for name, array in reply.arrays.items()
            }
            return encode(replace(reply, arrays=arrays))
        return encode(reply)

    return answer


# A hospital masks what it alters; here the altered update itself must arrive.
IN_CLEAR = plans.Privacy(update_norm_max=1e5, secure_sum=False)


@pytest.fixture(scope="module")
def accepted(tmp_path_factory):
    """Return a walk in which every candidate is fine, with its folder."""
    hospitals = small_hospitals()
    folder = tmp_path_factory.mktemp("accepted")
    rules = policies(hospitals, vote_worse_max=5.0)
    plan = guarded_plan(acceptance=replace(EVERY, loss_rise_max=5.0))
    with federation(folder, plan, hospitals, policies=rules) as execution:
        finished, records = walk(execution)
        again, _ = walk(execution)
    return finished, records, again


def test_a_good_candidate_is_accepted_by_signed_votes(accepted):
    """Every round of every fit has a verdict, with one vote for each training hospital."""
    finished, records, _ = accepted
    told = finished.results["acceptance"]
    assert [(one["fold"], one["round"]) for one in told] == [
        (0, 1), (0, 2), (1, 1), (1, 2), (None, 1), (None, 2),
    ]  # fmt: skip
    assert all(one["accepted"] for one in told)
    assert told[-1]["accepts"] == 4
    assert sum(isinstance(record, ModelJudged) for record in records) == 6


def test_a_walk_that_is_replayed_decides_as_before(accepted):
    """Votes stand in the journal; a resumed run ends with the same bytes and the same ballots."""
    finished, _, again = accepted
    assert frozen(finished) == frozen(again)
    assert finished.evidence == again.evidence


def test_a_poisoned_update_is_voted_down_and_taken_back(tmp_path):
    """One hospital sends the model away in the last round; what is kept is round 1's model."""
    hospitals = small_hospitals()
    plan = guarded_plan(privacy=IN_CLEAR)
    rules = policies(hospitals, update_norm_max=1e5, vote_worse_max=1.0)
    kept = {}
    for name, through in (("clean", {}), ("poisoned", {"site-0": poisoned})):
        rounds = 1 if name == "clean" else 2
        short = replace(plan, training=replace(plan.training, rounds=rounds))
        with federation(
            tmp_path / name, short, hospitals, policies=rules, through=through
        ) as execution:
            finished, _ = walk(execution)
        kept[name] = finished
    told = [one for one in kept["poisoned"].results["acceptance"] if one["fold"] is None]
    assert [one["accepted"] for one in told] == [True, False]
    assert told[1]["why"] == "votes"
    assert told[1]["back_to"] == 1
    assert told[1]["accepts"] == 0
    for name, array in kept["clean"].models["network-federated"].items():
        np.testing.assert_array_equal(array, kept["poisoned"].models["network-federated"][name])


def test_without_votes_the_poisoned_model_is_kept(tmp_path):
    """The attack works where nobody judges: the model that is kept has gone away."""
    hospitals = small_hospitals()
    plan = guarded_plan(acceptance=plans.Acceptance(), privacy=IN_CLEAR)
    rules = policies(hospitals, update_norm_max=1e5)
    with federation(
        tmp_path, plan, hospitals, policies=rules, through={"site-0": poisoned}
    ) as execution:
        finished, _ = walk(execution)
    largest = max(np.abs(array).max() for array in finished.models["network-federated"].values())
    assert largest > 10
    assert finished.results["acceptance"] == []


def test_too_few_votes_stop_the_run_and_lose_nothing(tmp_path):
    """Where hospitals do not release votes, the plan cannot be carried out, and says so."""
    hospitals = small_hospitals()
    rules = policies(hospitals, releases=("counts", "site-results"))
    with (
        federation(tmp_path, guarded_plan(), hospitals, policies=rules) as execution,
        pytest.raises(UpdateError, match="0 of"),
    ):
        walk(execution)


def test_a_small_hospital_trains_with_all_and_does_not_vote():
    """Nine of twenty-two would be too few to judge; nobody is kept, and no sum tells of few."""
    cohort = toy_hospitals(sites=1, subjects=22)["site-0"]
    whole = {"fold": None, "part": "all", "members": None}
    assert len(select(cohort, guarded_plan(), {**whole, "guard": "out"})) == 22
    body = {"columns": [], "select": {**whole, "guard": "in"}}
    assert not any(array.any() for array in score(cohort, guarded_plan(), body, {}).values())
    with pytest.raises(UpdateError, match="does not vote"):
        vote_work(cohort, guarded_plan(), body, {})


def test_who_judges_is_not_who_trains():
    """The guard's subjects are in no training sum, and everybody is on one side."""
    cohort, plan = toy_hospitals(sites=1)["site-0"], guarded_plan()
    whole = {"fold": None, "part": "all", "members": None}
    sides = [set(select(cohort, plan, {**whole, "guard": side}).tolist()) for side in ("in", "out")]
    assert not sides[0] & sides[1]
    assert sides[0] | sides[1] == set(range(len(cohort.subjects)))
    assert 0.2 < len(sides[0]) / len(cohort.subjects) < 0.6
    with pytest.raises(UpdateError, match="keeps no subjects apart"):
        select(cohort, small_plan(), {**whole, "guard": "in"})


@pytest.mark.parametrize(
    ("rule", "loss", "c_index", "expected"),
    [
        ("loss", (2.1, 2.0), (0.1, 0.9), True),
        ("loss", (2.3, 2.0), (0.9, 0.1), False),
        ("c-index", (9.0, 2.0), (0.65, 0.70), True),
        ("c-index", (1.0, 2.0), (0.55, 0.70), False),
    ],
)
def test_a_hospital_votes_by_its_own_rule(rule, loss, c_index, expected):
    """The policy says what is compared, and by how much it may be worse."""
    policy = Policy(vote_by=rule, vote_worse_max=0.1)
    measured = {"loss": np.array(loss), "c_index": np.array(c_index)}
    assert accepts(measured, policy) is expected


@pytest.fixture
def vote(tmp_path):
    identity = Identity.create(tmp_path / "key.pem")
    values = {"site": "lyon", "plan": "p", "experiment": "e", "step": "s"}
    one = Vote(
        **values,
        candidate="c",
        accepted="a",
        accepts=True,
        key=identity.public.key.hex(),
    )
    return values, signed(one, identity)


def test_a_vote_on_another_model_is_no_vote_on_this_one(vote):
    """A coordinator cannot move a vote to another candidate, step or site."""
    asked, arrays = vote
    found = vote_in(arrays, asked=asked, models=("c", "a"))
    assert vote_from(found.values()) == found
    for wrong in ({"step": "other"}, {"site": "nice"}, {"experiment": "other"}, {"plan": "q"}):
        with pytest.raises(RefusalError):
            vote_in(arrays, asked={**asked, **wrong}, models=("c", "a"))
    with pytest.raises(RefusalError):
        vote_in(arrays, asked=asked, models=("other", "a"))
    with pytest.raises(RefusalError):
        vote_in({**arrays, "accepts": np.array([0.0])}, asked=asked, models=("c", "a"))


def test_a_node_scores_only_what_its_approved_plan_asks_for(tmp_path):
    """A plan without votes gets none; rounds that it does not judge are refused."""
    hospitals = small_hospitals(sites=2)
    for plan, words in (
        (small_plan(), "asks for no votes"),
        (guarded_plan(acceptance=replace(EVERY, every=2)), "no vote in this round"),
    ):
        home = tmp_path / words.replace(" ", "-")
        with federation(home, plan, hospitals, policies=policies(hospitals)) as execution:
            request = Request(
                site="site-0",
                experiment="test",
                plan=execution.fingerprint,
                step="all/network/score-001",
                kind="score",
                body={
                    "round": 1,
                    "columns": ["age_years"],
                    "select": {"fold": None, "part": "all", "members": None},
                },
            )
            (reply,) = execution.engine.exchange([request])
        assert reply.status == "refused"
        assert words in " ".join(reply.reasons)


def test_votes_and_noise_do_not_go_together():
    """A vote is told without noise; epsilon would not cover it."""
    plan = replace(guarded_plan(), privacy=plans.Privacy(differential_privacy="local"))
    assert [key for key, _ in contradictions(plan)] == ["acceptance.every"]
    assert loads(dumps(guarded_plan())) == guarded_plan()
