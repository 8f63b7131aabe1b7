"""The coordinator's long-running part: the broker, the members' permissions, who is there.

Experiments run in processes of their own; this one can be killed and started again under them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from fedpet import __version__
from fedpet.engines.nats import keys, streams, subjects
from fedpet.engines.nats.beats import HERE_S, Beat, Presence
from fedpet.engines.nats.broker import Broker
from fedpet.engines.nats.connection import connected
from fedpet.engines.nats.home import Home
from fedpet.engines.nats.letters import Letter, open_letter, read, seal
from fedpet.engines.nats.metrics import Metrics, serve_metrics
from fedpet.errors import FedpetError, RefusalError, UpdateError
from fedpet.privacy.identity import PublicIdentity

log = logging.getLogger(__name__)
WATCH_S = 0.25
CERTIFICATE_S = 3600.0


class Coordinator:
    """Serve a federation until cancelled.

    Args:
        home: The coordinator's folder.
        tell: Called with every fact worth a line.
    """

    def __init__(self, home: Home, *, tell: Callable[[str], None]) -> None:
        self._home = home
        self._tell = tell
        self._broker = Broker(home.broker()) if home.settings.embedded else None
        self._admitted: set[str] = set()
        self._roster = 0
        self.presence = Presence(home.settings.federation)
        self.metrics = Metrics(started_at=time.time())

    async def serve(self) -> None:
        """Serve until cancelled.

        Raises:
            EngineError: If the broker cannot be started.
        """
        async with asyncio.TaskGroup() as group:
            if self._broker is not None:
                self._broker.configure(self._home.users())
                group.create_task(self._broker.run())
            group.create_task(self._attend())
            if self._home.settings.metrics_port:
                group.create_task(serve_metrics(self._home.settings.metrics_port, self._measure))

    async def _attend(self) -> None:
        office = self._home.office()
        while True:
            async with connected(office.door, office.credentials) as client:
                await streams.lay_out(client.jetstream(), self._home.limits())
                await client.subscribe(subjects.beat("*"), cb=self._heard)
                await client.subscribe(subjects.hello("*"), cb=self._greeted)
                await client.subscribe(subjects.join("*"), cb=self._joining)
                self._tell(f"ready: members reach this coordinator at {self._address()}")
                await self._watch(client)

    async def _watch(self, client: Client) -> None:
        """Follow the list of members, whoever changes it, until the connection is closed."""
        epoch, renewed = 0, time.monotonic()
        self._admitted.clear()
        while not client.is_closed:
            now = self._home.members.epoch
            due = time.monotonic() - renewed > CERTIFICATE_S
            if now != epoch or due:
                epoch, renewed = now, time.monotonic()
                if self._broker is not None:
                    self._home.broker()  # renews the certificate where it is due
                    self._broker.configure(self._home.users())
                await self._admit(client)
                await self._tell_roster(client)
            self.metrics.connected = client.is_connected
            await asyncio.sleep(WATCH_S)

    async def _admit(self, client: Client) -> None:
        for site in self._home.members.sites():
            if site.nkey is None or site.name in self._admitted:
                continue
            try:
                await streams.admit(client.jetstream(), site.name)
            except (NatsError, OSError, TimeoutError):
                log.warning("site_not_admitted site=%s", site.name)
                continue
            self._admitted.add(site.name)

    async def _tell_roster(self, client: Client) -> None:
        """Send the list of members to every member, if it is another one."""
        roster = self._home.members.roster()
        if roster is None or roster.epoch == self._roster:
            return
        self._roster = roster.epoch
        for site in roster.names:
            body = {"roster": roster.to_bytes().decode()}
            letter = self._letter("roster", site, body=body)
            await client.publish(subjects.roster(site), seal(letter, self._home.identity))

    async def _heard(self, message: Msg) -> None:
        site = self.presence.heard(message.data, self._identities())
        self.metrics.beats += site is not None

    async def _greeted(self, message: Msg) -> None:
        try:
            site = read(message.data)[0].author
            identities = self._identities()
            if site not in identities:
                raise UpdateError("A greeting came from somebody who is not a member.")
            letter = self._opened(message.data, "hello", site, identities[site])
        except FedpetError as error:
            log.warning("greeting_refused reason=%s", error)
            return
        body = self._welcome(site, letter)
        roster = self._home.members.roster()
        body["roster"] = None if roster is None else roster.to_bytes().decode()
        answer = self._letter("welcome", site, about=letter.about, body=body)
        await message.respond(seal(answer, self._home.identity))

    def _welcome(self, site: str, letter: Letter) -> dict[str, object]:
        """Decide whether a node may serve now."""
        instance, host = (str(letter.body.get(name))[:100] for name in ("instance", "host"))
        state = self._home.members.site(site).state
        if state == "joined":
            return {
                "refused": f"Site '{site}' waits for the coordinator's approval.",
                "code": "FP-5117",
            }
        theirs = str(letter.body.get("version"))[:40]
        if _series(theirs) is None or abs(_series(theirs) - _series(__version__)) > 1:  # type: ignore[operator]
            return {
                "refused": f"This node runs fedpet {theirs}, the coordinator {__version__}.",
                "code": "FP-4010",
            }
        last, away_s = self.presence.last(site), self.presence.away_s(site)
        if last is not None and away_s is not None and away_s < HERE_S:
            if last.instance != instance:
                self._tell(f"{site}: a second node with the same identity was refused")
                return {
                    "refused": f"Two nodes run with the identity '{site}' (hosts {last.host} and "
                    f"{host}). The second was refused.",
                    "code": "FP-6107",
                }
        else:
            self._tell(f"{site}: here")
        self.presence.seen(site, Beat(instance=instance, host=host, software=theirs))
        return {}

    async def _joining(self, message: Msg) -> None:
        try:
            letter = read(message.data)[0]
        except FedpetError:
            return
        try:
            body = self._join(message.data, letter)
        except FedpetError as error:
            log.warning("join_refused reason=%s", error)
            body = {"refused": error.title, "code": error.code}
        answer = self._letter("joined", letter.author, about=letter.about, body=body)
        await message.respond(seal(answer, self._home.identity))

    def _join(self, data: bytes, letter: Letter) -> dict[str, object]:
        """Take a site's keys if whoever sent them holds the invitation and both private keys."""
        invitation = self._home.members.invitation(str(letter.body.get("invitation"))[:64])
        try:
            identity = PublicIdentity(bytes.fromhex(str(letter.body.get("identity"))))
        except ValueError as error:
            raise RefusalError("The key of the site is damaged.") from error
        nkey = keys.require_public(letter.body.get("nkey"))
        self._opened(data, "join", invitation.site, identity)
        proven = f"{invitation.id} {identity.key.hex()} {nkey}".encode()
        keys.verify(invitation.nkey, proven, str(letter.body.get("proof_invitation")))
        keys.verify(nkey, proven, str(letter.body.get("proof_nkey")))
        site = self._home.members.join(invitation.id, identity=identity, nkey=nkey)
        self._tell(f"{site.name}: joined, {site.state}; key {identity.fingerprint[:16]}")
        return {"state": site.state}

    def _letter(self, kind: str, to: str, *, body: Mapping[str, object], about: str = "") -> Letter:
        return Letter(
            federation=self._home.settings.federation,
            kind=kind,
            author=subjects.COORDINATOR,
            to=to,
            about=about,
            body=body,
        )

    def _opened(self, data: bytes, kind: str, site: str, author: PublicIdentity) -> Letter:
        return open_letter(
            data,
            author=author,
            federation=self._home.settings.federation,
            kind=kind,
            written_by=site,
            to=subjects.COORDINATOR,
        )

    def _identities(self) -> dict[str, PublicIdentity]:
        return {
            site.name: site.identity
            for site in self._home.members.sites()
            if site.identity is not None and site.state != "revoked"
        }

    def _address(self) -> str:
        return f"{self._home.settings.host}:{self._home.settings.port}"

    def _measure(self) -> Metrics:
        self.metrics.broker_starts = 0 if self._broker is None else self._broker.starts
        self.metrics.states = {site.name: site.state for site in self._home.members.sites()}
        self.metrics.away_s = {name: self.presence.away_s(name) for name in self.metrics.states}
        return self.metrics


def _series(version: str) -> int | None:
    """Return the minor version, counted over majors, or None.

    Examples:
        >>> _series("0.1.0.dev0"), _series("1.2.3"), _series("x")
        (1, 1002, None)
    """
    parts = version.split(".")
    if len(parts) < 2 or not all(part.isdecimal() and len(part) < 5 for part in parts[:2]):
        return None
    return int(parts[0]) * 1000 + int(parts[1])
