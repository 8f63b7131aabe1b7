"""The coordinator's folder: its settings, keys, certificates, members and the broker's streams.

```
FOLDER/coordinator.toml   what a person decides
FOLDER/state.db           members and invitations
FOLDER/keys/              identity.pem, broker.nk (0600)
FOLDER/pki/               the federation's authority, and the broker's certificate
FOLDER/broker/            nats.conf, nats.log, streams
FOLDER/runs/              one folder per experiment
```
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Le, Len

from fedpet.engines.nats import keys, subjects
from fedpet.engines.nats.authority import Authority
from fedpet.engines.nats.broker import Settings
from fedpet.engines.nats.connection import Credentials, Door
from fedpet.engines.nats.correspondence import Member, Office
from fedpet.engines.nats.invitation import InvitationFile
from fedpet.engines.nats.streams import Limits
from fedpet.engines.nats.subjects import Permissions
from fedpet.errors import DataError, NotFoundError, StoreError
from fedpet.federation.membership import MEMBERS, Membership
from fedpet.privacy.identity import Identity
from fedpet.tomldoor import Door as TomlDoor

FILE = "coordinator.toml"
# Strict at the door: no unknown key, no silent conversion.
DOOR = {"extra": "forbid", "strict": True, "allow_inf_nan": False}
COORDINATOR = TomlDoor(
    error=DataError, code="FP-3050", do="Correct coordinator.toml; its comments explain each key."
)
TEMPLATE = """\
# The coordinator's settings. Restart `fedpet coordinator start` after a change.

federation = "{federation}"        # identifier of the federation; do not change it
host = "{host}"        # the name or address by which hospitals reach this machine
port = {port}            # the port at which they reach it; 443 passes most firewalls
listen_host = "{listen_host}"        # address of this machine on which it listens
listen_port = {port}            # differs from port behind a port forward
metrics_port = {metrics_port}            # /healthz and /metrics, on 127.0.0.1 only; 0 for none
disk_gb = 64               # most that questions, answers and models may take on disk
embedded = true            # false: the consortium runs the broker; see docs/deploy.md
"""
Port = Annotated[int, Ge(1), Le(65535)]


@dataclass(frozen=True, slots=True, kw_only=True)
class CoordinatorSettings:
    """What stands in coordinator.toml; see `TEMPLATE` for each key in its own words."""

    __pydantic_config__ = DOOR

    federation: Annotated[str, Len(8, 64)]
    host: Annotated[str, Len(1, 253)]
    port: Port
    listen_host: Annotated[str, Len(1, 253)] = "0.0.0.0"  # noqa: S104  (its purpose)
    listen_port: Port
    metrics_port: Annotated[int, Ge(0), Le(65535)] = 0
    disk_gb: Annotated[float, Ge(0.1), Le(100_000)] = 64
    embedded: bool = True


class Home:
    """An open coordinator's folder.

    Args:
        folder: Made by `create`.

    Raises:
        NotFoundError: If it is no coordinator's folder.
        DataError: Listing every mistake in its settings.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        absent = NotFoundError(
            f"'{folder.name}' is no coordinator's folder.",
            do="Make one: fedpet coordinator init FOLDER --host NAME",
            code="FP-6113",
        )
        text = COORDINATOR.text_of(folder / FILE, absent=absent)
        self.settings = COORDINATOR.values(text, CoordinatorSettings, name=FILE)
        self.identity = Identity.load(folder / "keys" / "identity.pem")
        self.seed = keys.load_or_create(folder / "keys" / "broker.nk")
        self.authority = Authority(folder / "pki")
        self.members = Membership(folder)

    @classmethod
    def create(
        cls, folder: Path, *, host: str, port: int, listen_host: str, metrics_port: int
    ) -> Home:
        """Make a new coordinator's folder with its keys.

        Raises:
            StoreError: If there is one already.
        """
        if (folder / FILE).exists():
            raise StoreError(
                "There is a coordinator in this folder already.",
                do="Keep it, or choose another folder.",
            )
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        Identity.load_or_create(folder / "keys" / "identity.pem")
        text = TEMPLATE.format(
            federation=secrets.token_hex(8),
            host=host,
            port=port,
            listen_host=listen_host,
            metrics_port=metrics_port,
        )
        part = folder / f"{FILE}.part"
        part.write_text(text, encoding="utf-8")
        part.replace(folder / FILE)
        home = cls(folder)
        home.authority.server(home.names())
        return home

    def close(self) -> None:
        """Close the list of members."""
        self.members.close()

    def __enter__(self) -> Home:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def names(self) -> tuple[str, ...]:
        """Return the names that the broker's certificate bears."""
        return tuple(dict.fromkeys((self.settings.host, "localhost", "127.0.0.1")))

    def broker(self) -> Settings:
        """Return how the embedded broker runs; its certificate is renewed when it is due."""
        certificate, key = self.authority.server(self.names())
        return Settings(
            folder=self.folder.resolve() / "broker",
            host=self.settings.listen_host,
            port=self.settings.listen_port,
            certificate=certificate.resolve(),
            key=key.resolve(),
            disk_bytes=int(self.settings.disk_gb * 1e9),
        )

    def limits(self) -> Limits:
        """Return how much the broker's streams may keep."""
        share = int(self.settings.disk_gb * 1e9 / 8)
        return Limits(letters_bytes=share, chunks_bytes=6 * share)

    def office(self) -> Office:
        """Return how the coordinator itself reaches the broker: on this machine if it runs here."""
        settings = self.settings
        host, port = settings.host, settings.port
        if settings.embedded:
            every = settings.listen_host in ("0.0.0.0", "::")  # noqa: S104
            host = "127.0.0.1" if every else settings.listen_host
            port = settings.listen_port
        return Office(
            federation=settings.federation,
            door=Door(host=host, port=port, name=settings.host, authority=self.authority.pem),
            credentials=Credentials(member=subjects.COORDINATOR, seed=self.seed),
            identity=self.identity,
        )

    def users(self) -> dict[str, Permissions]:
        """Return who may do what at the broker, by NKey."""
        users = {keys.public(self.seed): subjects.of_coordinator()}
        for invitation in self.members.invitations():
            users[invitation.nkey] = subjects.of_invitation(invitation.id)
        for site in self.members.sites():
            if site.nkey is None or site.state == "revoked":
                continue
            member = site.state in MEMBERS
            users[site.nkey] = (subjects.of_site if member else subjects.of_candidate)(site.name)
        return users

    def sites(self) -> Mapping[str, Member]:
        """Return the members that can be asked, or not now, by name."""
        return {
            site.name: Member(
                identity=site.identity,
                barred="" if site.state == "approved" else _barred(site.note),
            )
            for site in self.members.sites()
            if site.state in MEMBERS and site.identity is not None
        }

    def invite(self, site: str, *, hours: float, approved: bool, note: str = "") -> InvitationFile:
        """Invite a site, or let a member change its keys."""
        import nkeys

        seed = nkeys.encode_seed(secrets.token_bytes(32), nkeys.PREFIX_BYTE_USER).decode()
        expires_at = int(time.time() + hours * 3600)
        invitation = self.members.invite(
            subjects.require_name(site),
            id_=secrets.token_hex(8),
            nkey=keys.public(seed),
            expires_at=expires_at,
            approved=approved,
            note=note,
        )
        return InvitationFile(
            format="fedpet-invitation/1",
            federation=self.settings.federation,
            site=site,
            id=invitation.id,
            secret=seed,
            host=self.settings.host,
            port=self.settings.port,
            expires_at=expires_at,
            coordinator=self.identity.public.key.hex(),
            authority=self.authority.pem,
            authority_sha256=self.authority.fingerprint,
        )


def _barred(note: str) -> str:
    return f"The coordinator suspended this site. {note}".strip()
