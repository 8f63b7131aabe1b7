"""The node's memory: decisions hold, and the audit cannot be rewritten unseen."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest

from fedpet.errors import StoreError
from fedpet.node.store import Store


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path)
    yield store
    store.close()


def test_the_newest_decision_holds(store):
    """A withdrawal after an approval is effective."""
    store.add_plan(fingerprint="f", name="p", text="x")
    assert store.decision("f") is None
    store.decide("f", "approved", person="DM", reason="")
    store.decide("f", "withdrawn", person="DM", reason="consent changed")
    assert store.decision("f") == "withdrawn"


def test_the_first_text_of_a_plan_stays(store):
    """A plan cannot be exchanged under its fingerprint."""
    store.add_plan(fingerprint="f", name="p", text="first")
    store.add_plan(fingerprint="f", name="p", text="second")
    assert store.plan_text("f") == "first"


@pytest.mark.parametrize(
    "tampering",
    [
        "update audit set entry = replace(entry, 'two', 'six') where number = 2",
        "delete from audit where number = 2",
        "update audit set number = number + 10 where number = 3",
        "update audit set hash = 'abc' where number = 1",
    ],
)
def test_an_altered_audit_is_found_and_placed(store, tmp_path, tampering):
    """Changing, removing or moving an entry breaks the chain at that entry."""
    for word in ("one", "two", "three"):
        store.audit(what=word)
    assert [entry.values["what"] for entry in store.entries()] == ["one", "two", "three"]
    with sqlite3.connect(tmp_path / "state.db") as db:
        db.execute(tampering)
    db.close()
    with pytest.raises(StoreError, match=r"altered at entry \d"):
        store.entries()


def test_two_processes_that_write_one_audit_keep_one_chain(store, tmp_path):
    """Two runs over the same hospitals: entries follow each other, and none is lost."""
    other = Store(tmp_path)
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(one.audit, what="w") for one in (store, other) * 100]:
            done.result()
    other.close()
    assert len(store.entries()) == 200


def test_the_state_is_readable_by_its_owner_only(store, tmp_path):
    """Plans and decisions are nobody else's business."""
    assert (tmp_path / "state.db").stat().st_mode & 0o077 == 0
