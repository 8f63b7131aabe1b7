"""Who is who: sealed, apart, and never half open."""

from __future__ import annotations

import json
import stat

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from fedpet.cohort import pseudonym_table as table
from fedpet.cohort.pseudonym_table import Lock, entry_of, find_subject, read_table, write_table
from fedpet.cohort.pseudonyms import Pseudonyms, load_pseudonyms, read_key
from fedpet.errors import NotFoundError, StoreError

SECRET = Pseudonyms(b"k" * 32)
FILE_LOCK = Lock(b"s" * 32)


def test_a_pseudonym_leads_back_to_its_patient_with_the_right_lock(tmp_path):
    """The way back is for whoever holds table and lock, and for nobody else."""
    path = tmp_path / "lyon.table"
    write_table(path, [entry_of("HOSP-4711", SECRET), entry_of("HOSP-4712", SECRET)], FILE_LOCK)
    found = find_subject(path, SECRET.of("HOSP-4712").upper(), FILE_LOCK)
    assert (found.patient_id, found.shift_days) == ("HOSP-4712", SECRET.shift_days("HOSP-4712"))
    with pytest.raises(NotFoundError):
        find_subject(path, "0" * 12, FILE_LOCK)
    with pytest.raises(StoreError):
        find_subject(path, SECRET.of("HOSP-4712"), Lock(b"t" * 32))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert b"HOSP" not in path.read_bytes()


def test_a_table_grows_and_never_uses_a_nonce_twice(tmp_path):
    """AES-GCM breaks when a nonce returns; every write seals all of it anew."""
    path = tmp_path / "lyon.table"
    nonces = set()
    for number in range(20):
        assert write_table(path, [entry_of(f"P{number}", SECRET)], FILE_LOCK) == number + 1
        nonces.add(json.loads(path.read_text())["nonce"])
    assert len(nonces) == 20
    assert {one.patient_id for one in read_table(path, FILE_LOCK)} == {f"P{n}" for n in range(20)}


def test_a_passphrase_opens_it_and_a_short_one_is_refused(tmp_path):
    """Scrypt makes guessing slow; it cannot make a short passphrase long."""
    path = tmp_path / "lyon.table"
    write_table(path, [entry_of("HOSP-4711", SECRET)], Lock("correct horse battery"))
    assert read_table(path, Lock("correct horse battery"))[0].patient_id == "HOSP-4711"
    with pytest.raises(StoreError):
        read_table(path, Lock("correct horse Battery"))
    with pytest.raises(StoreError):
        write_table(tmp_path / "other", [], Lock("short"))
    assert table.COST["n"] >= 1 << 17


@settings(max_examples=60, deadline=None)
@given(place=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_single_altered_bit_is_noticed(place, bit):
    """Head and contents are authenticated: nobody can swap a cost, a nonce or a patient."""
    sealed = bytearray(table.seal(b'[["a", "HOSP-4711", -40]]', FILE_LOCK))
    sealed[place % len(sealed)] ^= 1 << bit
    try:
        plain = table.unseal(bytes(sealed), FILE_LOCK)
    except StoreError:
        return
    assert plain == b'[["a", "HOSP-4711", -40]]'  # white space of the JSON may change


def test_the_seal_is_plain_aes_gcm():
    """Another program opens it from the file's own words, so that it outlives ours."""
    import base64

    told = json.loads(table.seal(b"plain", FILE_LOCK))
    box, nonce = (base64.b64decode(told[name]) for name in ("box", "nonce"))
    head = {name: value for name, value in told.items() if name != "box"}
    bound = json.dumps(head, sort_keys=True, separators=(",", ":")).encode()
    assert AESGCM(b"s" * 32).decrypt(nonce, box, bound) == b"plain"


@given(st.binary(max_size=200))
def test_any_bytes_open_or_are_refused_in_words(data):
    """A table from elsewhere, a photograph, an empty file: an error that tells what to do."""
    with pytest.raises(StoreError):
        table.unseal(data, FILE_LOCK)


def test_a_costly_head_does_not_exhaust_the_machine():
    """The cost is read before it is authenticated; it is bounded first."""
    told = json.loads(table.seal(b"plain", FILE_LOCK))
    told |= {"key": "scrypt", "n": 1 << 40, "r": 8, "p": 1, "salt": "AAAA"}
    with pytest.raises(StoreError):
        table.unseal(json.dumps(told).encode(), Lock("correct horse battery"))


def test_a_key_that_others_may_read_is_refused(tmp_path):
    """As with keys of SSH: rights tell who may know."""
    load_pseudonyms(tmp_path)
    path = tmp_path / "pseudonym.key"
    read_key(path, private=True)
    path.chmod(0o644)
    with pytest.raises(StoreError):
        read_key(path, private=True)


@given(uid=st.from_regex(r"1\.2(\.[1-9][0-9]{0,5}){1,8}", fullmatch=True))
def test_a_new_uid_is_valid_stable_and_another_one(uid):
    """PS3.5 9.1: at most 64 characters of digits and dots, no leading zeros."""
    made = SECRET.uid(uid)
    assert made == SECRET.uid(uid + "\0") == Pseudonyms(b"k" * 32).uid(uid)
    assert made != Pseudonyms(b"l" * 32).uid(uid)
    assert len(made) <= 64
    assert all(part == "0" or part[0] != "0" for part in made.split("."))
    number = int(made.removeprefix("2.25."))
    assert (number >> 76 & 0xF, number >> 62 & 3) == (8, 2)
