"""Listen to the signs of life of a federation, from the coordinator's side."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from nats.aio.msg import Msg

from fedpet.engines.nats import subjects
from fedpet.engines.nats.beats import Presence
from fedpet.engines.nats.connection import connected
from fedpet.engines.nats.home import Home


@asynccontextmanager
async def listening(home: Home) -> AsyncIterator[Presence]:
    """Hear the sites of a coordinator's federation while the block runs.

    Raises:
        EngineError: If the broker cannot be reached.
    """
    presence = Presence(home.settings.federation)

    async def heard(message: Msg) -> None:
        members = {site: member.identity for site, member in home.sites().items()}
        presence.heard(message.data, members)

    office = home.office()
    async with connected(office.door, office.credentials, patient=False) as client:
        await client.subscribe(subjects.beat("*"), cb=heard)
        yield presence
