"""A privacy audit over real nodes: who allows it, what leaves, and what it finds."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest

from federated import DEFAULT, federation, small_hospitals, small_plan
from fedpet import plan as plans
from fedpet.contradictions import contradictions
from fedpet.errors import UpdateError
from fedpet.federation.messages import Request
from fedpet.federation.privacy_audit import attack_membership, audited, membership_of
from fedpet.node.policy import Policy
from fedpet.report.audit_words import CATALOGUES
from fedpet.report.privacy_audit import render_privacy_audit

AUDITABLE = replace(DEFAULT, privacy_audit=True, subjects_min=4)
PLAN = audited(small_plan(training=plans.Training(rounds=1)), references=1)


def drained(walk):
    while True:
        try:
            next(walk)
        except StopIteration as stop:
            return stop.value


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    hospitals = small_hospitals(sites=3)
    folder = tmp_path_factory.mktemp("audit")
    rules = dict.fromkeys(hospitals, AUDITABLE)
    with federation(folder, PLAN, hospitals, policies=rules) as execution:
        first = drained(attack_membership(execution))
        again = drained(attack_membership(execution))
        request = Request(
            site="site-0",
            experiment="test",
            plan=execution.fingerprint,
            step="audit/count",
            kind="count",
            body={"select": {"fold": None, "part": "all", "members": None, "half": [0, "in"]}},
        )
        (refused,) = execution.engine.exchange([request])
    return first, again, refused, sum(len(one.subjects) for one in hospitals.values())


def test_every_subject_is_counted_once(found):
    """Members and others are all there are; a second walk comes from the journal."""
    first, again, _, subjects = found
    assert first == again
    assert first.members + first.others == subjects
    assert first.sites == ("site-0", "site-1", "site-2")
    assert first.epsilon_proved <= first.epsilon_best
    assert first.epsilon_bound is None


def test_a_network_trained_for_one_round_is_not_found_out(found):
    """It has learned nothing by heart; chance is within the limits at every threshold."""
    for each in found[0].found.values():
        for one in each:
            assert one.true.low <= one.false.high


def test_sums_over_random_halves_are_refused_outside_the_attack(found):
    """Counts and moments of many random halves could be solved for single subjects."""
    _, _, refused, _ = found
    assert refused.status == "refused"
    assert "not computed on halves" in " ".join(refused.reasons)


def test_a_hospital_allows_no_audit_unless_it_says_so(tmp_path):
    """The plan of an audit is not approved, and nothing is answered."""
    assert any("privacy_audit" in one for one in Policy().objections(PLAN))
    assert not any("privacy_audit" in one for one in AUDITABLE.objections(PLAN))
    hospitals = small_hospitals(sites=3)
    with federation(tmp_path, PLAN, hospitals) as execution, pytest.raises(UpdateError):
        drained(attack_membership(execution))


def test_an_audit_is_another_plan():
    """Approval of the experiment is no approval of the attack."""
    plan = small_plan()
    assert plans.fingerprint(audited(plan, references=2)) != plans.fingerprint(plan)
    assert not contradictions(audited(plan, references=2))


def perfect(members=100, others=100):
    counts = {}
    for name in ("loss", "reference"):
        counts[f"{name}.members"] = np.r_[np.zeros(99), float(members)]
        counts[f"{name}.others"] = np.r_[float(others), np.zeros(99)]
    return counts


def test_a_perfect_attack_breaks_the_bound_of_training_with_noise():
    """What the attack proves is set against what the accountant promises."""
    noisy = replace(
        PLAN, privacy=plans.Privacy(differential_privacy="local", noise_multiplier=50.0)
    )
    found = membership_of(noisy, perfect(), sites=("a", "b", "c"), subjects=[33, 33, 34])
    assert found.epsilon_bound is not None
    assert found.epsilon_bound < 0.5
    assert found.epsilon_proved > 2
    assert found.epsilon_proved <= found.epsilon_best


@pytest.mark.parametrize("language", ["en", "fr"])
def test_the_page_is_whole_in_every_language(language, found):
    """The officer's page says the verdict, the power and the limits, and asks for nothing else."""
    first = found[0]
    member = {**asdict(first), "epsilon_proved": first.epsilon_proved}
    page = render_privacy_audit(
        {
            "plan": {"name": "p", "title": "<b>t</b>", "fingerprint": "f" * 64},
            "date": "2026-01-01",
            "fedpet": "1",
            "membership": member,
            "inversion": [
                {"network": "linear", "seen": "clear", "subjects": 1, "error": 0.0, "trials": 3}
            ],
            "statistics": [{"grid": "days", "subjects": 9, "rows": 4}],
        },
        language=language,
    )
    assert "<b>t</b>" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert CATALOGUES[language]["limit_4"][:30] in page.replace("&#39;", "'")
    assert page.count("<polyline") == 3


def test_both_languages_say_the_same():
    """A missing sentence would end a French page in a traceback."""
    assert set(CATALOGUES["en"]) == set(CATALOGUES["fr"])


@pytest.mark.parametrize(
    ("members", "others", "words"),
    [
        (60, 50, "No attack told members"),
        (66, 50, "shows through"),
        (100, 0, "membership can be told"),
    ],
)
def test_the_verdict_hides_no_attack_that_works(members, others, words):
    """Between nothing seen and an epsilon proved lies what shows through; it is told as well."""
    counts = {}
    for name in ("loss", "reference"):
        counts[f"{name}.members"] = np.r_[100.0 - members, np.zeros(98), float(members)]
        counts[f"{name}.others"] = np.r_[100.0 - others, np.zeros(98), float(others)]
    found = membership_of(PLAN, counts, sites=("a",), subjects=[100])
    member = {**asdict(found), "epsilon_proved": found.epsilon_proved}
    page = render_privacy_audit({"membership": member})
    assert words in page
