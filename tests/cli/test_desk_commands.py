"""A hospital's desk on the command line: what people type, what they get, and with which code."""

import json

import pytest

from federated import small_hospitals, small_plan
from fedpet import plan as plans
from fedpet import planfile
from fedpet.cli.main import run
from fedpet.federation.journal import Journal
from fedpet.federation.preparation import enrol
from fedpet.local.wiring import PERSON, wired
from fedpet.node.desk import Desk
from fedpet.node.policy import read_policy
from toy import toy_cohort
from toy_folders import write_toy_cohort

WHO = ("--person", "Anne Martin")
PLAN = small_plan(sites=plans.Sites(sites_min=3))
START = plans.fingerprint(PLAN)[:12]


@pytest.fixture
def hospital(tmp_path):
    cohort = toy_cohort("lyon", subjects=24, seed=5)
    return str(write_toy_cohort(tmp_path / "lyon", cohort, site="lyon"))


@pytest.fixture
def plan(tmp_path):
    (tmp_path / "plan.toml").write_text(planfile.dumps(PLAN))
    return str(tmp_path / "plan.toml")


@pytest.fixture
def desk(capsys):
    def ask(*words, code=0):
        assert run(["node", *words, "--format", "json"]) == code
        envelope = json.loads(capsys.readouterr().out)
        assert envelope["ok"] is (code == 0)
        assert envelope["command"] == f"node {words[0]} {words[1]}"
        return envelope["data"] if code == 0 else envelope["error"]

    return ask


def test_a_plan_is_received_read_approved_and_taken_back(hospital, plan, desk, tmp_path):
    """The walk of the guide, word for word."""
    assert desk("request", "list", hospital) == {"plans": []}
    desk("request", "add", hospital, plan, "--from", "study team")
    shown = desk("request", "show", hospital, START)
    assert (shown["requester"], shown["decision"], shown["changes"]) == ("study team", None, None)
    assert "What leaves a hospital, and how often" in [one["heading"] for one in shown["words"]]
    out = str(tmp_path / "approval.json")
    signed = desk("request", "approve", hospital, START, *WHO, "-o", out)
    assert desk("request", "verify", out, "--key", signed["key"])["decision"] == "approved"
    assert desk("request", "verify", out, "--key", "00" * 32, code=5)["code"] == "FP-5000"
    desk("request", "withdraw", hospital, START, *WHO, "--reason", "consent form changed")
    listed = desk("request", "list", hospital)["plans"][0]
    assert (listed["decision"], listed["reason"]) == ("withdrawn", "consent form changed")
    told = desk("audit", "list", hospital)["entries"]
    assert [one["what"] for one in told] == ["proposed", "approved", "withdrawn"]


def test_what_the_rules_forbid_is_not_approved(hospital, plan, desk):
    """Code 5, and every rule in the message."""
    desk("request", "add", hospital, plan)
    desk("policy", "set", hospital, "endpoints", '["os"]', *WHO)
    desk("policy", "set", hospital, "sites_min", "8", *WHO)
    error = desk("request", "approve", hospital, START, *WHO, code=5)
    assert "did not consent to the study of pfs" in error["why"]
    assert "requires 8" in error["why"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("request", "show", "{}", "abcdef"), 6),
        (("request", "approve", "{}", START), 2),
        (("policy", "set", "{}", "subject_min", "3", *WHO), 3),
        (("policy", "set", "{}", "subjects_min", "many", *WHO), 3),
        (("audit", "export", "{}", "-o", "audit.docx"), 3),
        (("audit", "verify", "{}", "--heads", "nowhere.json"), 3),
        (("subject", "remove", "{}", "nobody", *WHO), 6),
        (("request", "list", "{}/nowhere"), 6),
        (("request", "verify", "{}/nowhere"), 6),
    ],
)
def test_mistakes_have_codes_and_no_traceback(hospital, desk, words, code):
    """Whatever is misspelt, the message says what to do."""
    desk(*[word.format(hospital) for word in words], code=code)


def test_a_file_that_is_open_to_others_is_refused_with_the_line_that_closes_it(
    hospital, plan, desk, tmp_path
):
    """State and audit are the hospital's alone."""
    desk("request", "add", hospital, plan)
    for name in ("state.db", "audit.db"):
        path = tmp_path / "lyon/node" / name
        path.chmod(0o644)
        error = desk("request", "list", hospital, code=3)
        assert error["code"] == "FP-3040"
        assert error["do"] == [f"Close it: chmod 600 {path}"]
        path.chmod(0o600)


def test_an_audit_is_exported_for_people_machines_and_other_hospitals(
    hospital, plan, desk, tmp_path
):
    """And what another hospital remembers finds an audit that was cut short."""
    desk("request", "add", hospital, plan)
    desk("request", "approve", hospital, START, *WHO)
    for name in ("a.html", "a.jsonl", "a.heads.json"):
        assert desk("audit", "export", hospital, "-o", str(tmp_path / name))["entries"] == 2
    lines = (tmp_path / "a.jsonl").read_text().splitlines()
    assert [json.loads(line)["what"] for line in lines] == ["proposed", "approved"]
    heads = str(tmp_path / "a.heads.json")
    assert desk("audit", "verify", hospital, "--heads", heads)["compared"] == 1
    for name in ("audit.db", "audit.head"):
        (tmp_path / "lyon/node" / name).unlink()
    desk("policy", "set", hospital, "sites_min", "4", *WHO)
    assert desk("audit", "verify", hospital)["entries"] == 1
    error = desk("audit", "verify", hospital, "--heads", heads, code=3)
    assert error["code"] == "FP-3041"


def test_a_subject_is_removed_and_listed(hospital, desk):
    """Out of the built cohort too; and before the first answer nobody rests beside."""
    told = desk("subject", "remove", hospital, "lyon-3", *WHO)
    assert (told["forgotten"], told["resting"], told["used_by"]) == (1, 0, [])
    listed = desk("subject", "list", hospital)["absent"]
    assert [(one["subject"], one["why"], one["built"]) for one in listed] == [
        ("lyon-3", "withdrawn", False)
    ]


def test_a_run_on_one_machine_approves_only_where_nobody_has_decided(tmp_path):
    """A hospital's no, taken before the run, stays a no; the others go on without it."""
    hospitals = small_hospitals(sites=4)
    homes = {site: tmp_path / site for site in hospitals}
    with Desk(homes["site-0"], site="site-0") as desk:
        desk.approvals.propose(planfile.dumps(PLAN), requester="this machine")
        desk.approvals.decide(
            plans.fingerprint(PLAN),
            "refused",
            person="Anne Martin",
            reason="not this year",
            policy=read_policy(desk.policy_path),
        )
    with (
        Journal(tmp_path / "run") as journal,
        wired(PLAN, hospitals, homes=homes, journal=journal) as execution,
    ):
        records = enrol(execution)
        while True:
            try:
                next(records)
            except StopIteration as stop:
                enrolled = stop.value
                break
    assert enrolled.sites == ("site-1", "site-2", "site-3")
    assert 'was refused at this hospital ("not this year")' in enrolled.refusals["site-0"]
    with Desk(homes["site-1"], site="site-1") as desk:
        assert desk.approvals.proposals()[0].person == PERSON
