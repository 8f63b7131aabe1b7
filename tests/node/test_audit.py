"""The audit cannot be rewritten, cut short or filled with what identifies anybody."""

import json
import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedpet.errors import StoreError
from fedpet.node.audit import CONTEXT, Audit, _chained
from fedpet.node.audit_fields import COUNTS, TEXTS, fitting, require_allowed
from fedpet.privacy.identity import Identity

STAYS = "drop trigger if exists audit_stays; drop trigger if exists audit_is_kept;"
STEPS = ("one", "two", "three", "four")


def opened(folder, *, site="nice") -> Audit:
    identity = Identity.load_or_create(folder / "identity.pem")
    return Audit(folder, site=site, identity=identity)


@pytest.fixture
def audit(tmp_path):
    audit = opened(tmp_path)
    for step in STEPS:
        audit.append(what="asked", step=step, kind="count")
    yield audit
    audit.close()


def tamper(folder, statement, *values):
    with sqlite3.connect(folder / "audit.db") as db:
        db.executescript(STAYS)
        db.execute(statement, values)
    db.close()


def test_an_untouched_audit_is_whole(audit):
    """The other side of every test below."""
    assert [entry.values["step"] for entry in audit.entries()] == list(STEPS)


@pytest.mark.parametrize("statement", ["update audit set entry = ''", "delete from audit"])
def test_the_file_itself_is_append_only(audit, tmp_path, statement):
    """A slip of the hand in a database tool changes nothing."""
    with sqlite3.connect(tmp_path / "audit.db") as db, pytest.raises(sqlite3.DatabaseError):
        db.execute(statement)
    db.close()
    assert len(audit.entries()) == 4


@pytest.mark.parametrize(
    ("statement", "place"),
    [
        ("update audit set entry = replace(entry, 'two', 'six') where number = 2", 2),
        ("delete from audit where number = 2", 2),
        ("update audit set number = number + 10 where number = 3", 3),
        ("update audit set hash = 'abc' where number = 1", 1),
        ("update audit set signature = zeroblob(64) where number = 4", 4),
        ("update audit set number = 7 - number where number in (3, 4)", 3),
    ],
)
def test_an_altered_audit_is_found_and_placed(audit, tmp_path, statement, place):
    """Changing, removing or moving an entry breaks the chain at that entry."""
    if "7 - number" in statement:
        tamper(tmp_path, "update audit set number = -number where number in (3, 4)")
        statement = "update audit set number = 7 + number where number < 0"
    tamper(tmp_path, statement)
    with pytest.raises(StoreError, match=f"altered at entry {place}") as told:
        audit.entries()
    assert told.value.code == "FP-3041"


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_any_changed_byte_of_any_entry_is_found_at_that_entry(audit, tmp_path, data):
    """Not only the changes that we thought of."""
    column = data.draw(st.sampled_from(["entry", "hash", "signature"]))
    number = data.draw(st.integers(1, 4))
    with sqlite3.connect(tmp_path / "audit.db") as db:
        (value,) = db.execute(
            f"select cast({column} as blob) from audit where number = ?", (number,)
        ).fetchone()
    db.close()
    spot = data.draw(st.integers(0, len(value) - 1))
    changed = bytearray(value)
    changed[spot] ^= data.draw(st.integers(1, 127))
    copy = tmp_path / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    for name in ("audit.db", "audit.db-wal", "audit.head", "identity.pem"):
        shutil.copy(tmp_path / name, copy / name)
    try:
        kept = bytes(changed) if column == "signature" else changed.decode()
    except UnicodeDecodeError:
        return
    tamper(copy, f"update audit set {column} = ? where number = ?", kept, number)
    altered = opened(copy)
    with pytest.raises(StoreError, match=f"altered at entry {number}"):
        altered.entries()
    altered.close()


def test_deleting_the_newest_entries_is_seen(audit, tmp_path):
    """A chain that ends early is whole in itself; the head kept apart tells that it ended later."""
    tamper(tmp_path, "delete from audit where number > 2")
    with pytest.raises(StoreError, match="had 4, and ends at entry 2"):
        audit.entries()


def test_without_the_head_a_shortened_audit_would_pass(audit, tmp_path):
    """The attack works where the defence is taken away, so the test above tests something."""
    shorter = tmp_path / "shorter"
    shorter.mkdir()
    copy = opened(shorter)
    identity = Identity.load(tmp_path / "identity.pem")
    copy.close()
    (shorter / "audit.db").unlink()
    copy = Audit(shorter, site="nice", identity=identity)
    for step in STEPS[:2]:
        copy.append(what="asked", step=step, kind="count")
    assert len(copy.entries()) == 2  # written anew with the site's own key: whole in itself ...
    found = copy.remember({"nice": audit.head().values()})
    assert found == ("The audit of 'nice' no longer holds entry 4 as others saw it.",)
    copy.close()  # ... but others remember the head of the longer one


def test_a_head_set_back_with_the_audit_is_caught_by_the_other_sites(audit, tmp_path):
    """Whoever owns the machine sets back both; what left earlier cannot be called back."""
    seen = audit.head().values()
    tamper(tmp_path, "delete from audit where number > 2")
    (tmp_path / "audit.head").unlink()
    again = opened(tmp_path)
    again.append(what="asked", step="another", kind="count")
    assert len(again.entries()) == 3
    assert "no longer holds entry 4" in again.remember({"nice": seen})[0]
    again.close()


def test_another_site_remembers_and_does_not_accept_an_earlier_head(audit, tmp_path):
    """The newest head of every site stands in the memory of all others."""
    early = audit.head().values()
    audit.append(what="asked", step="five", kind="count")
    late = audit.head().values()
    other = opened(tmp_path / "lyon", site="lyon")
    assert other.remember({"nice": late}) == other.remember({"nice": late}) == ()
    assert other.witnessed()["nice"].number == 5
    assert other.entries() == []
    forged = {**late, "number": 9}
    for heads in ({"nice": early}, {"nice": forged}, {"nice": "garbage"}, {"brest": late}):
        assert other.remember(heads) == ()  # no reason to refuse an answer, but written down
    warned = [entry.values["site"] for entry in other.entries()]
    assert warned == ["nice", "nice", "nice", "brest"]
    other.close()


def test_whoever_has_the_database_but_not_the_key_cannot_add(audit, tmp_path):
    """A right hash is not enough: every entry is signed."""
    with sqlite3.connect(tmp_path / "audit.db") as db:
        (before,) = db.execute("select hash from audit where number = 4").fetchone()
        entry = json.dumps({"what": "approved", "plan": "0" * 64})
        chained = _chained(before, entry)
        stranger = Identity(bytes(32)).sign(CONTEXT, chained.encode())
        db.execute("insert into audit values (5, ?, ?, ?)", (entry, chained, stranger))
    db.close()
    with pytest.raises(StoreError, match="altered at entry 5"):
        audit.entries()


def test_two_processes_that_write_one_audit_keep_one_chain(audit, tmp_path):
    """Two runs over the same hospitals: entries follow each other, and none is lost."""
    other = opened(tmp_path)
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(one.append, what="asked") for one in (audit, other) * 50]:
            done.result()
    other.close()
    assert len(audit.entries()) == 104


def test_an_audit_that_others_can_read_is_not_opened(audit, tmp_path):
    """The refusal names the line that mends it."""
    audit.close()
    (tmp_path / "audit.db").chmod(0o644)
    with pytest.raises(StoreError, match="chmod 600") as told:
        opened(tmp_path)
    assert told.value.code == "FP-3040"


IDENTIFYING = st.sampled_from(
    ["DUPONT^JEAN", "1950-03-14", "14/03/1950", "IPP 0012345678", "/data/lyon/images/IM0001",
     "1.2.840.113619.2.55.3", "jean.dupont@chu.example", "line\nbreak", "sub-7f3a2c",
     "-----BEGIN PRIVATE KEY-----"]
)  # fmt: skip
VALUES = st.one_of(
    IDENTIFYING, st.text(max_size=30), st.binary(max_size=9), st.floats(), st.booleans(),
    st.integers(), st.lists(st.text(max_size=3), max_size=2), st.none(),
)  # fmt: skip


@given(values=st.dictionaries(st.sampled_from([*TEXTS, *COUNTS]) | st.text(max_size=12), VALUES))
def test_nothing_enters_that_has_not_the_form_of_its_field(values):
    """No field takes free text, so there is no place for a subject or a secret."""
    try:
        require_allowed(values)
    except StoreError:
        return
    for field, value in values.items():
        assert field in COUNTS or field in TEXTS
        assert value is None or type(value) in (int, str)
        if field in ("what", "status", "plan", "question", "digest", "person", "kind", "release"):
            assert not any(sign in str(value) for sign in ("DUPONT^", "1950", "/", "\n", "BEGIN"))


@given(field=st.sampled_from(["step", "kind", "release", "experiment", "plan"]), text=st.text())
def test_what_a_stranger_names_is_written_as_itself_or_as_a_digest(field, text):
    """A request is recorded whatever it says, and what it says stays outside."""
    require_allowed({field: fitting(field, text)})


def test_an_unknown_field_is_not_taken(audit):
    """`subject` is no field; neither is anything that nobody has listed."""
    for field in ("subject", "pseudonym", "path", "note"):
        with pytest.raises(StoreError, match="does not take"):
            audit.append(what="asked", **{field: "a41f"})
    assert len(audit.entries()) == 4


def test_without_the_list_of_fields_a_subject_would_enter(audit, monkeypatch):
    """The attack works where the defence is taken away, so the tests above test something."""
    monkeypatch.setattr("fedpet.node.audit.require_allowed", lambda values: None)
    audit.append(what="asked", subject="DUPONT^JEAN")
    assert audit.entries()[-1].values["subject"] == "DUPONT^JEAN"
