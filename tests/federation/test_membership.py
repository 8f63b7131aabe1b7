"""Members of a federation: who may become what, once, and with whose keys."""

import time

import pytest

from fedpet.errors import NotFoundError, RefusalError, StoreError
from fedpet.federation.membership import Membership
from fedpet.privacy.identity import PublicIdentity


def key(number: int) -> PublicIdentity:
    return PublicIdentity(bytes([number]) * 32)


def invited(members: Membership, site: str, *, approved: bool = False, hours: float = 1) -> str:
    id_ = f"{site}-{members.epoch}"
    members.invite(
        site,
        id_=id_,
        nkey=f"N{id_}",
        expires_at=time.time() + hours * 3600,
        approved=approved,
        note="",
    )
    return id_


def test_a_site_joins_with_its_keys_and_is_approved_by_a_person(tmp_path):
    """Having the file is not yet being a member."""
    with Membership(tmp_path) as members:
        site = members.join(invited(members, "lyon"), identity=key(1), nkey="U1")
        assert (site.state, members.roster()) == ("joined", None)
        members.change("lyon", "approved", since=("joined",))
        assert members.roster().of("lyon") == key(1)


@pytest.mark.parametrize("use", ["twice", "late", "unknown", "replaced", "revoked"])
def test_an_invitation_is_used_once_and_in_time(tmp_path, use):
    """A file that leaked later is worth nothing."""
    with Membership(tmp_path) as members:
        id_ = invited(members, "lyon", hours=-1 if use == "late" else 1)
        if use == "twice":
            members.join(id_, identity=key(1), nkey="U1")
        if use == "unknown":
            id_ = "another"
        if use == "replaced":
            invited(members, "lyon")
        if use == "revoked":
            members.change("lyon", "revoked", since=("invited",))
        with pytest.raises(RefusalError, match="invitation"):
            members.join(id_, identity=key(2), nkey="U2")
        assert all(site.identity != key(2) for site in members.sites())


def test_two_sites_do_not_have_the_same_key(tmp_path):
    """A folder that was copied to another hospital is noticed."""
    with Membership(tmp_path) as members:
        members.join(invited(members, "lyon"), identity=key(1), nkey="U1")
        with pytest.raises(RefusalError, match="belong to site 'lyon'"):
            members.join(invited(members, "nice"), identity=key(1), nkey="U2")


def test_a_suspended_site_stays_suspended_when_its_keys_change(tmp_path):
    """New keys are no way around a decision."""
    with Membership(tmp_path) as members:
        members.join(invited(members, "lyon", approved=True), identity=key(1), nkey="U1")
        members.change("lyon", "suspended", since=("approved",), note="holiday")
        site = members.join(invited(members, "lyon", approved=True), identity=key(2), nkey="U2")
        assert (site.state, site.identity) == ("suspended", key(2))


def test_every_change_raises_the_epoch_and_a_refused_one_does_not(tmp_path):
    """Whoever watches sees every change; a roster of the past never returns."""
    with Membership(tmp_path) as members:
        before = members.epoch
        id_ = invited(members, "lyon", approved=True)
        assert members.epoch == before + 1
        members.join(id_, identity=key(1), nkey="U1")
        assert members.epoch == before + 2
        epoch = members.roster().epoch
        with pytest.raises(RefusalError, match="cannot become approved"):
            members.change("lyon", "approved", since=("joined",))
        with pytest.raises(NotFoundError):
            members.change("nowhere", "revoked", since=("approved",))
        assert members.epoch == before + 2
        invited(members, "nice")
        assert members.roster().epoch == epoch
        members.change("lyon", "suspended", since=("approved",))
        assert members.roster().epoch == epoch


def test_members_survive_the_process_and_a_foreign_file_is_refused(tmp_path):
    """SQLite keeps them; anything else in its place is told."""
    with Membership(tmp_path / "a") as members:
        members.join(invited(members, "lyon", approved=True), identity=key(1), nkey="U1")
    with Membership(tmp_path / "a") as members:
        assert members.site("lyon").state == "approved"
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "state.db").write_text("no database" * 100)
    with pytest.raises(StoreError):
        Membership(tmp_path / "b")
