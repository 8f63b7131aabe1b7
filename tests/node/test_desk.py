"""What people do at the desk holds at the next request, is signed, and stands in the audit."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_gate import PLAN, approved, ask, refused

from federated import federation, small_hospitals, small_plan, walk
from fedpet import plan as plans
from fedpet import planfile
from fedpet.errors import DataError, NotFoundError, RefusalError, StoreError
from fedpet.federation.approval import read_approval
from fedpet.node import window
from fedpet.node.audit_page import KINDS, MASKED, audit_page, flows
from fedpet.node.desk import Desk, changes
from fedpet.node.gate import Node
from fedpet.node.policy import Policy, read_policy, write_policy
from fedpet.plan import Evaluation
from fedpet.privacy.identity import Identity
from fedpet.training.work import WORK
from toy import toy_cohort, toy_plan

WHO = "Anne Martin"


@pytest.fixture
def desk(tmp_path):
    with Desk(tmp_path / "node", site="nice") as desk:
        yield desk


def propose(desk, plan=PLAN) -> str:
    desk.approvals.propose(planfile.dumps(plan), requester="study team")
    return plans.fingerprint(plan)


def decide(desk, fingerprint, decision="approved", *, person=WHO, reason=""):
    policy = read_policy(desk.policy_path)
    return desk.approvals.decide(fingerprint, decision, person=person, reason=reason, policy=policy)


def test_anyone_can_verify_an_approval_and_nobody_can_alter_it(desk):
    """A study team shows it to an ethics committee, years later and without the hospital."""
    text = decide(desk, propose(desk)).to_json()
    approval = read_approval(text)
    approval.verify()
    assert (approval.site, approval.requester, approval.person) == ("nice", "study team", WHO)
    for field, value in json.loads(text).items():
        if field in ("format", "signature"):
            continue
        altered = json.loads(text) | {field: value[:-1] + ("0" if value[-1:] != "0" else "1")}
        with pytest.raises(RefusalError):
            read_approval(json.dumps(altered)).verify()
    with pytest.raises(RefusalError, match="not signed by the key of 'nice'"):
        approval.verify(Identity(bytes(32)).public)


@given(text=st.text(max_size=200) | st.just("[" * 100_000) | st.just('{"format": 1}'))
def test_what_is_no_approval_is_refused(text):
    """A file from anywhere must not crash who checks it."""
    with pytest.raises(StoreError, match="no decision"):
        read_approval(text)


def test_decisions_hold_at_the_next_request_of_a_node_that_runs(tmp_path):
    """The desk and the node are two processes over one folder."""
    cohorts = {"toy": toy_cohort("n", subjects=30, seed=3)}
    (tmp_path / "node").mkdir()
    write_policy(Policy(secure_sum="optional"), tmp_path / "node" / "policy.toml")
    node = Node(site="nice", folder=tmp_path / "node", cohorts=cohorts)
    node.propose(planfile.dumps(PLAN))
    fingerprint = plans.fingerprint(PLAN)
    with Desk(tmp_path / "node", site="ignored") as desk:
        assert desk.site == "nice"
        refused(ask(node), "is not approved")
        decide(desk, fingerprint)
        assert ask(node).status == "ok"
        decide(desk, fingerprint, "withdrawn", reason="consent form changed")
        refused(ask(node), 'was withdrawn at this hospital ("consent form changed")')
        desk.set_policy("sites_min", "9", person=WHO)
        refused(ask(node), "requires 9")
    told = [entry.values["what"] for entry in node.audit()]
    assert [what for what in told if what not in ("asked", "answered")] == [
        "proposed", "approved", "withdrawn", "policy",
    ]  # fmt: skip
    node.close()


@pytest.mark.parametrize("reason", ["born 14/03/1950", "IPP 00123456", "a\nb", "x" * 401])
def test_a_reason_that_may_point_to_a_person_does_not_leave(desk, reason):
    """It is the one free text that a hospital sends."""
    with pytest.raises(DataError, match="may not leave"):
        decide(desk, propose(desk), "refused", reason=reason)
    assert desk.approvals.decision(plans.fingerprint(PLAN)) is None


@pytest.mark.parametrize("person", ["", "4711", "a/b", "<b>", "x" * 200, "sha256:" + "0" * 16])
def test_a_decision_needs_a_name(desk, person):
    """`whoever` cannot be asked later."""
    with pytest.raises(DataError, match="needs the name"):
        decide(desk, propose(desk), person=person)


def test_what_changed_since_the_last_version_is_listed_key_by_key(desk):
    """The last version that was seen here, not the last one that was approved somewhere."""
    first = propose(desk)
    second = propose(desk, replace(PLAN, seed=7, training=replace(PLAN.training, rounds=9)))
    propose(desk, toy_plan(name="another"))
    before = desk.before(desk.find(second))
    assert before is not None
    assert before.fingerprint == first
    assert desk.before(before) is None
    told = changes(*(desk.approvals.proposed(one) for one in (first, second)))
    assert {(one.key, one.before, one.after) for one in told} == {
        ("seed", PLAN.seed, 7),
        ("training.rounds", PLAN.training.rounds, 9),
    }


def test_a_plan_is_found_by_the_beginning_of_its_fingerprint_only_if_it_is_one(desk):
    """Approving the wrong one of two is worse than typing more letters."""
    fingerprint = propose(desk)
    assert desk.find(fingerprint[:6]).fingerprint == fingerprint
    for start in ("", fingerprint[:3], "zzzz"):
        with pytest.raises(NotFoundError):
            desk.find(start)


def test_a_rule_is_changed_in_place_with_its_comments(desk):
    """People wrote into that file; the program changes one line of it."""
    text = desk.policy_path.read_text() + "# our own remark\n"
    desk.policy_path.write_text(text)
    assert desk.set_policy("subjects_min", "25", person=WHO) == ("10", "25")
    assert desk.policy_path.read_text() == text.replace("subjects_min = 10", "subjects_min = 25", 1)
    assert desk.set_policy("time_zone", "Europe/Paris", person=WHO)[1] == '"Europe/Paris"'
    for key, value in (("subject_min", "3"), ("subjects_min", "few"), ("compute_hours", '["7"]')):
        with pytest.raises(StoreError):
            desk.set_policy(key, value, person=WHO)
    assert [e.values["key"] for e in desk.audit.entries()] == ["subjects_min", "time_zone"]


def test_a_policy_that_others_can_write_is_not_read(tmp_path):
    """Whoever writes it decides what this hospital answers."""
    write_policy(Policy(), tmp_path / "policy.toml")
    (tmp_path / "policy.toml").chmod(0o666)
    with pytest.raises(StoreError, match="chmod 640"):
        read_policy(tmp_path / "policy.toml")


def test_a_huge_policy_is_not_parsed(tmp_path):
    """A limit stands before every parser."""
    write_policy(Policy(), tmp_path / "policy.toml")
    (tmp_path / "policy.toml").write_text("#" * 70_000)
    with pytest.raises(StoreError, match="at most 64 KiB"):
        read_policy(tmp_path / "policy.toml")
    (tmp_path / "policy.toml").write_text("x = " + "[" * 30_000)
    with pytest.raises(StoreError, match="not TOML"):
        read_policy(tmp_path / "policy.toml")


NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)  # a Tuesday, 13:00 in Paris


def test_outside_its_hours_a_hospital_says_when_to_ask_again(tmp_path):
    """The graphics card is the clinic's during the day."""
    clock = [NOON]
    node = Node(
        site="nice",
        folder=tmp_path,
        cohorts={"toy": toy_cohort("n", subjects=30, seed=3)},
        clock=lambda: clock[0],
    )
    policy = Policy(secure_sum="optional", compute_hours=("19:00-07:00",), time_zone="Europe/Paris")
    write_policy(policy, tmp_path / "policy.toml")
    approved(node)
    refused(ask(node), "ask again on Tue 24 Nov at 19:00 Europe/Paris")
    clock[0] = NOON.replace(hour=18, minute=30)
    assert ask(node).status == "ok"
    node.close()


@given(
    hours=st.lists(st.sampled_from(["19:00-07:00", "12:00-13:30", "00:00-24:00"]), max_size=2),
    days=st.lists(st.sampled_from(window.DAYS), max_size=3),
    zone=st.sampled_from(["UTC", "Europe/Paris", "America/Guadeloupe"]),
    now=st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)),
)
def test_what_is_told_as_the_next_hour_is_open(hours, days, zone, now):
    """Also on the nights when the clock is changed."""
    asked = now.replace(tzinfo=UTC)
    told = window.objections(hours, days, zone, now=asked)
    if told:
        when = told[0].split("ask again on ")[1].rstrip(".")
        year = asked.astimezone(window.zone_of(zone)).year
        for candidate in (year, year + 1):
            at = datetime.strptime(f"{candidate} {when.rsplit(' ', 1)[0]}", "%Y %a %d %b at %H:%M")
            at = at.replace(tzinfo=window.zone_of(zone))
            if at >= asked:
                break
        assert window.objections(hours, days, zone, now=at) == ()


def test_everything_that_a_node_answers_has_words_for_the_officer():
    """`sum.mask` or `cox-cells` tells a data-protection officer nothing."""
    phases = {"sum.advertise", "sum.agree", "sum.share", "sum.confirm", "sum.reveal"}
    assert set(KINDS) == {*WORK, *phases}
    assert len(set(KINDS.values())) == len(KINDS)


def test_what_left_under_a_mask_is_named_by_what_is_behind_it(tmp_path):
    """A page that says "masked" two hundred times hides what the sums were of."""
    hospitals = small_hospitals(sites=6)
    plan = small_plan(evaluation=Evaluation(folds=2, bootstrap=2, baselines=()))
    with federation(tmp_path, plan, hospitals) as execution:
        walk(execution)
    with Desk(tmp_path / "site-0", site="site-0") as there:
        left = flows(there.audit.entries())
    assert {"train", "moments", "cox"} <= {flow.kind for flow in left if flow.masked}
    assert {"sum.share", "sum.reveal"} <= {flow.kind for flow in left if not flow.masked}
    assert MASKED not in {flow.kind for flow in left}
    assert {flow.kind for flow in left} <= set(KINDS)


def test_the_page_for_the_officer_tells_what_left_and_needs_nothing_from_elsewhere(tmp_path):
    """Its numbers are those of the audit, and no name of a plan can write into it."""
    cohorts = {"toy": toy_cohort("n", subjects=30, seed=3)}
    write_policy(Policy(secure_sum="optional"), tmp_path / "policy.toml")
    node = Node(site="nice", folder=tmp_path, cohorts=cohorts)
    approved(node)
    replies = [ask(node, kind="moments"), ask(node, body={"release": "counts"}), ask(node)]
    ask(node, kind="pickle")
    found = flows(node.audit())
    assert sum(one.answers for one in found) == 3
    sent = sum(array.nbytes for reply in replies for array in reply.arrays.values())
    assert sum(one.bytes for one in found) == sent
    names = {plans.fingerprint(PLAN): "<script>alert(1)</script>"}
    page = audit_page(node.audit(), site="nice", head=None, witnessed={}, names=names)
    assert "<script" not in page
    assert "http" not in page
    assert f"<b>{sent:,}</b>" in page
    node.close()
