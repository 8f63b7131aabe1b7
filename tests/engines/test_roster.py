"""Whose keys a networked hospital masks for: the coordinator tells, people there decide."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from fedpet.engines.nats.site import SiteFiles
from fedpet.errors import RefusalError
from fedpet.privacy.identity import Identity, Roster


@pytest.fixture
def files(tmp_path: Path) -> SiteFiles:
    """Return the files of a hospital that joined, and pinned a list of three."""
    made = SiteFiles(folder=tmp_path / "node")
    made.make()
    invited = {"site": "nice", "federation": "f" * 32, "host": "localhost", "port": 443}
    keys = {"authority": "-----BEGIN CERTIFICATE-----\n", "coordinator": "a" * 64}
    made.pin(SimpleNamespace(**invited, **keys))
    made.hear_roster(roster(made).to_bytes(), believe=True)
    return made


def roster(files: SiteFiles, *, epoch: int = 1, **others: Identity) -> Roster:
    known = {name: Identity(bytes([number]) * 32) for number, name in enumerate(("lyon", "metz"))}
    keys = {name: identity.public for name, identity in {**known, **others}.items()}
    return Roster({**keys, "nice": files.require().public}, epoch=epoch)


@pytest.mark.parametrize("site", ["lyon", "a-hospital-that-nobody-knows"])
def test_a_coordinator_cannot_put_a_key_of_its_own_into_the_list(files, site):
    """Another key for a known site, or a site that it made up: a person compares the list first."""
    own = Identity(b"x" * 32)
    forged = roster(files, epoch=2, **{site: own})
    assert not files.hear_roster(forged.to_bytes(), believe=False)
    assert files.roster() == roster(files)
    # Where the coordinator is believed, sums are masked for its own key: it reads what is added.
    assert files.hear_roster(forged.to_bytes(), believe=True)
    assert files.roster().of(site) == own.public


def test_a_person_pins_the_very_list_that_was_compared(files):
    """By its digest; not the list that the coordinator swapped in meanwhile, and no older one."""
    compared = roster(files, epoch=2, lille=Identity(b"l" * 32))
    swapped = roster(files, epoch=3, lille=Identity(b"x" * 32))
    files.hear_roster(compared.to_bytes(), believe=False)
    files.hear_roster(swapped.to_bytes(), believe=False)
    with pytest.raises(RefusalError, match="no such list"):
        files.pin_roster(compared.digest[:16])
    files.hear_roster(compared.to_bytes(), believe=False)
    for short in ("", compared.digest[:8]):
        with pytest.raises(RefusalError, match="no such list"):
            files.pin_roster(short)
    files.pin_roster(compared.digest[:16])
    assert files.roster() == compared
    with pytest.raises(RefusalError, match="older"):
        files.hear_roster(roster(files, epoch=1).to_bytes(), believe=True)
