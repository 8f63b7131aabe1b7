"""A hospital's node as a process: the line to the coordinator, and the child that has the data."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from fedpet.cli.services import Service
from fedpet.engines.nats.link import Link
from fedpet.engines.nats.relay import through
from fedpet.engines.nats.site import SiteFiles
from fedpet.node.child import Child
from fedpet.node.policy import Policy, read_policy

log = logging.getLogger(__name__)
STATUS_S = 1.0


async def serve(hospital: Path, service: Service, *, say: Callable[[str], None]) -> None:
    """Serve a federation for one hospital until cancelled.

    Args:
        hospital: The hospital's folder.
        service: Where to tell how it goes.
        say: Called with every fact worth a line.

    Raises:
        RefusalError: If another node runs with this site's identity.
        StoreError: If the hospital's data cannot be opened.
    """
    files = SiteFiles(folder=hospital / "node")
    pinned = files.pinned()
    child = Child(hospital, pinned.site, log_file=service.log_file.with_name("child.log"))
    line = "starting"

    def tell(told: str) -> None:
        nonlocal line
        if told != line:
            line = told
            log.info("line %s", told)
            say(told)

    async def write_status(link: Link) -> None:
        while True:
            service.tell(
                site=pinned.site,
                coordinator=f"{pinned.host}:{pinned.port}",
                line=line,
                state=link.beat.state,
                step=link.beat.step,
                child=child.pid,
                child_starts=child.starts,
            )
            await asyncio.sleep(STATUS_S)

    def hear(roster: bytes) -> None:
        path = files.folder / "policy.toml"
        policy = read_policy(path) if path.exists() else Policy()
        if not files.hear_roster(roster, believe=policy.roster == "told"):
            say(f"The list of members has changed: fedpet node members {hospital}")

    try:
        async with through(files.proxy(), files.door(pinned)) as door:
            link = Link(files.post(door), child, tell=tell, pin=hear)
            async with asyncio.TaskGroup() as group:
                group.create_task(write_status(link))
                group.create_task(child.warm())
                group.create_task(link.serve())
    finally:
        await child.close()
