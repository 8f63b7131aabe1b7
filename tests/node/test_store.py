"""The node's memory: decisions hold, a step has one question, and what is absent stays absent."""

import pytest

from fedpet.errors import StoreError
from fedpet.node.store import Begun, Store


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path)
    yield store
    store.close()


def decided(store, decision):
    store.decide("f", decision, person="DM", reason="", at="now", document="{}")
    return store.proposal("f").decision


def test_the_newest_decision_holds(store):
    """A withdrawal after an approval is effective."""
    store.add_plan(fingerprint="f", name="p", text="x", requester="r")
    assert store.proposal("f").decision is None
    assert decided(store, "approved") == "approved"
    assert decided(store, "withdrawn") == "withdrawn"


def test_the_first_text_of_a_plan_stays(store):
    """A plan cannot be exchanged under its fingerprint."""
    assert store.add_plan(fingerprint="f", name="p", text="first", requester="r")
    assert not store.add_plan(fingerprint="f", name="p", text="second", requester="r")
    assert store.add_plan(fingerprint="f", name="p", text="third", requester="s")
    assert (store.proposal("f").text, store.proposal("f").requester) == ("first", "s")


def test_a_step_keeps_its_question_and_a_round_its_step(store):
    """Two threads that ask at once cannot both be first."""
    begun = Begun(experiment="e", plan="f", cohort="c", edition="d", begun_at="now")
    store.begin_step(begun, step="s", question="q", round_="r", members=["a"])
    store.begin_step(begun, step="s", question="q", round_="r", members=["a"])
    for step, question in (("s", "other"), ("t", "q")):
        with pytest.raises(StoreError, match="twice at once"):
            store.begin_step(begun, step=step, question=question, round_="r", members=["a"])
    assert store.steps("e") == 1


def test_who_has_withdrawn_is_never_only_resting(store):
    """A later withdrawal draws companions; it must not make an earlier one undone."""
    store.set_absent({"a": "withdrawn", "b": "resting"}, person="DM")
    store.set_absent({"a": "resting", "b": "withdrawn"}, person="DM")
    assert {one.subject: one.why for one in store.absent()} == dict.fromkeys("ab", "withdrawn")


def test_a_file_of_another_version_is_refused(tmp_path):
    """Its decisions would be read wrongly, or not at all."""
    import sqlite3

    with sqlite3.connect(tmp_path / "state.db") as db:
        db.execute("create table plans (fingerprint text)")
    db.close()
    (tmp_path / "state.db").chmod(0o600)
    with pytest.raises(StoreError, match="has format 0"):
        Store(tmp_path)


def test_the_state_is_readable_by_its_owner_only(store, tmp_path):
    """Plans and decisions are nobody else's business."""
    assert (tmp_path / "state.db").stat().st_mode & 0o077 == 0
