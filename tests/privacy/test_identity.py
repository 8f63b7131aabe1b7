"""A site's identity: made once, kept secret, and good for exactly what was signed."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedpet.errors import RefusalError, StoreError
from fedpet.privacy.identity import Identity, PublicIdentity, Roster

# RFC 8032, section 7.1, test 1.
SECRET = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")


def test_the_public_half_is_that_of_rfc_8032() -> None:
    """Keys are plain Ed25519, which other software can check."""
    assert Identity(SECRET).public.key == PUBLIC


def test_a_signature_is_good_for_its_context_message_and_signer_only() -> None:
    """A statement of one kind must never pass for another."""
    signature = Identity(SECRET).sign(b"approve", b"plan")
    PublicIdentity(PUBLIC).verify(signature, context=b"approve", message=b"plan")
    other = Identity(SECRET[::-1]).public
    for identity, context, message in (
        (PublicIdentity(PUBLIC), b"approve", b"plam"),
        (PublicIdentity(PUBLIC), b"refuse", b"plan"),
        (PublicIdentity(PUBLIC), b"approvep", b"lan"),
        (other, b"approve", b"plan"),
    ):
        with pytest.raises(RefusalError):
            identity.verify(signature, context=context, message=message)
    with pytest.raises(RefusalError):
        PublicIdentity(PUBLIC).verify(signature[:-1], context=b"approve", message=b"plan")


def test_an_identity_is_written_once_for_its_owner_only_and_read_back(tmp_path: Path) -> None:
    """A key that others can read, or that is replaced silently, is no identity."""
    path = tmp_path / "node" / "identity.pem"
    made = Identity.load_or_create(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert Identity.load_or_create(path).public == made.public
    assert [entry.name for entry in path.parent.iterdir()] == ["identity.pem"]
    with pytest.raises(StoreError, match="already"):
        Identity.create(path)
    path.chmod(0o640)
    with pytest.raises(StoreError, match="640"):
        Identity.load(path)


def test_a_damaged_identity_is_refused(tmp_path: Path) -> None:
    """Garbage must end in a sentence, not in a traceback."""
    path = tmp_path / "identity.pem"
    path.write_bytes(b"\x00garbage")
    path.chmod(0o600)
    with pytest.raises(StoreError, match="damaged"):
        Identity.load(path)
    with pytest.raises(StoreError, match="cannot be read"):
        Identity.load(tmp_path / "missing.pem")


def test_the_secret_is_not_in_the_text_form() -> None:
    """Text forms end in logs."""
    assert SECRET.hex() not in repr(Identity(SECRET))


def test_a_roster_has_one_byte_form_whatever_the_order() -> None:
    """Hospitals compare digests, so the same list must always give the same digest."""
    a, b = Identity(SECRET).public, Identity(SECRET[::-1]).public
    roster = Roster({"lyon": a, "nice": b}, epoch=3)
    assert roster.digest == Roster({"nice": b, "lyon": a}, epoch=3).digest
    assert roster.digest != Roster({"nice": a, "lyon": b}, epoch=3).digest
    assert roster.digest != Roster({"nice": b, "lyon": a}, epoch=4).digest
    assert Roster.from_bytes(roster.to_bytes()) == roster
    with pytest.raises(RefusalError):
        roster.of("paris")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'{"format":"fedpet-roster/1","epoch":true,"sites":{"a":"00"}}',
        b'{"format":"fedpet-roster/1","epoch":1,"sites":{"a":"00"}}',
        b'{"format":"fedpet-roster/1","epoch":1,"sites":[]}',
        b'{"format":"fedpet-roster/1","epoch":1,"sites":{},"more":1}',
    ],
)
def test_what_is_no_roster_is_refused(data: bytes) -> None:
    """A roster decides who is trusted; nothing about it is guessed."""
    with pytest.raises(StoreError):
        Roster.from_bytes(data)


def test_one_key_is_one_site() -> None:
    """Otherwise one site could count as two towards the minimum."""
    key = Identity(SECRET).public
    with pytest.raises(StoreError, match="same key"):
        Roster({"lyon": key, "nice": key})
