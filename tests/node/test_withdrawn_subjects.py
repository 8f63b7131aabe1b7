"""Who withdraws is in no later answer, and no two answers tell who it was."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_gate import approved, ask, refused

from fedpet.cohort.samples import open_cohort
from fedpet.cohort.withdrawal import forget
from fedpet.errors import DataError, NotFoundError
from fedpet.node.desk import Desk
from fedpet.node.gate import Node
from fedpet.node.members import apart, companions
from fedpet.node.policy import Policy, write_policy
from toy import toy_cohort
from toy_folders import write_toy_cohort

COHORT = toy_cohort("n", subjects=40, seed=3)


@pytest.fixture
def home(tmp_path):
    home = tmp_path / "node"
    home.mkdir()
    write_policy(Policy(secure_sum="optional"), home / "policy.toml")
    return home


def node_of(home, cohort=COHORT) -> Node:
    return Node(site="nice", folder=home, cohorts={"toy": cohort})


def remove(home, *subjects):
    with Desk(home, site="nice") as desk:
        return desk.remove(subjects, cohort="toy", known=COHORT.subjects, person="Anne Martin")


def sums(node, experiment):
    reply = ask(node, kind="moments", experiment=experiment)
    assert reply.status == "ok", reply.reasons
    return reply.arrays


def test_without_companions_the_difference_of_two_sums_is_the_subject(home):
    """The attack, with the defence off: age and all else of the one who left."""
    write_policy_off(home)
    node = node_of(home)
    approved(node)
    before = sums(node, "one")
    removal = remove(home, "n-0")
    assert removal.resting == ()
    after = sums(node, "two")
    age = COHORT.table[COHORT.subjects.index("n-0"), COHORT.columns.index("age_years")]
    assert before["sum"][0] - after["sum"][0] == pytest.approx(age)
    node.close()


def write_policy_off(home):
    write_policy(Policy(secure_sum="optional", difference_min=0), home / "policy.toml")


def test_with_companions_the_difference_is_a_sum_over_enough(home):
    """Four rest beside the one who left: the difference is over five."""
    node = node_of(home)
    approved(node)
    before = ask(node, experiment="one").arrays["subjects"][0]
    removal = remove(home, "n-0")
    assert len(removal.resting) == 4
    assert "n-0" not in removal.resting
    assert [one.experiment for one in removal.used_by] == ["one"]
    after = ask(node, experiment="two").arrays["subjects"][0]
    assert (before, after) == (40, 35)
    node.close()


def test_a_run_in_progress_gets_no_further_answer(home):
    """Half of its sums would hold the subject, and half not."""
    node = node_of(home)
    approved(node)
    assert ask(node, experiment="one").status == "ok"
    remove(home, "n-0")
    refused(ask(node, experiment="one"), "takes no further part in it")
    assert ask(node, experiment="two").status == "ok"
    node.close()


def test_a_cohort_built_anew_does_not_bring_the_subject_back(home):
    """The source still holds the row; the node leaves it out all the same."""
    node = node_of(home)
    approved(node)
    ask(node, experiment="one")
    removal = remove(home, "n-0")
    node.close()
    again = node_of(home, replace(COHORT, fingerprint="built anew"))
    assert ask(again, experiment="two").arrays["subjects"][0] == 40 - 1 - len(removal.resting)
    again.close()


def test_a_new_patient_alone_is_not_told_by_the_difference_either(home):
    """A cohort that grew by one is answered for once it has grown by enough."""
    smaller = replace(toy_cohort("n", subjects=39, seed=3))
    node = node_of(home, smaller)
    approved(node)
    assert ask(node, experiment="one").status == "ok"
    node.close()
    grown = node_of(home)
    refused(ask(grown, experiment="two"), "changed by fewer than 5 subjects")
    grown.close()
    much = node_of(home, toy_cohort("n", subjects=44, seed=3))
    assert ask(much, experiment="two").status == "ok"
    much.close()


def test_a_subject_nobody_was_told_of_leaves_alone(home):
    """Before the first answer there is nothing to subtract from."""
    node = node_of(home)
    approved(node)
    assert remove(home, "n-0").resting == ()
    assert ask(node).arrays["subjects"][0] == 39
    node.close()


def test_a_stranger_is_not_removed_and_not_repeated(home):
    """A misspelt pseudonym must not pass for done; nor stand in a message that is copied."""
    with pytest.raises(NotFoundError) as told:
        remove(home, "n-0", "somebody")
    assert "somebody" not in str(told.value)
    with Desk(home, site="nice") as desk:
        assert desk.absent() == []
        with pytest.raises(DataError, match="needs the name"):
            desk.remove(["n-0"], cohort="toy", known=COHORT.subjects, person="4711")


def test_no_pseudonym_enters_the_audit(home):
    """It names how many, and of which cohort."""
    node = node_of(home)
    approved(node)
    ask(node)
    remove(home, "n-0", "n-7")
    told = json.dumps([dict(entry.values) for entry in node.audit()])
    assert '"subjects": 2' in told
    assert not any(f'"{name}"' in told for name in COHORT.subjects)
    node.close()


def test_the_built_cohort_and_its_cache_forget_the_subject(tmp_path):
    """Rows, projections and volumes are gone from the disk; the others are as before."""
    write_toy_cohort(tmp_path / "nice", COHORT, site="nice")
    folder = tmp_path / "nice" / "cohort"
    before = open_cohort(folder)
    gone = before.subjects[3]
    assert forget(folder, [gone, "nobody"]) == 1
    after = open_cohort(folder)
    kept = [i for i in range(40) if i != 3]
    assert after.subjects == tuple(before.subjects[i] for i in kept)
    np.testing.assert_array_equal(after.table, before.table[kept])
    np.testing.assert_array_equal(after.mips, before.mips[kept])
    assert after.fingerprint != before.fingerprint
    assert f'"{gone}"' not in (folder / "cohort.json").read_text()
    assert forget(folder, [gone]) == 0
    assert len(list((folder / "samples").iterdir())) == 1


NAMES = st.sets(st.sampled_from([f"s{i}" for i in range(30)]), min_size=12)


@given(cohort=NAMES, data=st.data(), least=st.integers(0, 8))
def test_companions_always_make_a_difference_or_nobody_is_left(cohort, data, least):
    """Whatever was answered before, of whomever."""
    editions = data.draw(st.lists(NAMES, max_size=3))
    leaving = data.draw(st.sets(st.sampled_from(sorted(cohort)), min_size=1, max_size=3))
    resting = companions(sorted(cohort), leaving, editions, least=least)
    left = cohort - leaving - set(resting)
    assert not set(resting) & leaving
    assert not left or apart(left, editions, least=least)
