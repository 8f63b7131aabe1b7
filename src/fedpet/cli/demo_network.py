"""The demo over the network: a coordinator, a node for each hospital, and some bad luck.

```
FOLDER/coordinator/             a coordinator's folder
FOLDER/hospitals/NAME/node/     keys, policy and log of each node
```
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from fedpet import plan as plans
from fedpet import planfile
from fedpet.cli.networked import Wishes, start_networked
from fedpet.cli.services import Service
from fedpet.engines.nats.home import Home
from fedpet.engines.nats.site import SiteFiles
from fedpet.errors import FedpetError
from fedpet.plan import Plan

AWAY_S = 15.0
LATE_S = 3.0
GONE_S = 20.0
PERSON = "whoever started this demo"
ROUNDS = "select count(*) from steps where step like '%/network/round-%'"


@contextmanager
def network(
    folder: Path, plan: Plan, *, ceiling: dict[str, Any], say: Callable[[str], None]
) -> Iterator[None]:
    """Bring a federation of processes up, lay out its run, and take everything down again.

    Args:
        folder: The demo's folder, with built hospitals.
        plan: The demo's plan.
        ceiling: Best reachable C-index by endpoint.
        say: Called with what happens.
    """
    hospitals = {
        path.parent.name: path.parent
        for path in sorted((folder / "hospitals").glob("[!.]*/cohort.toml"))
    }
    with ExitStack() as stack:
        home = stack.enter_context(_coordinator(folder / "coordinator"))
        service = Service(home.folder, what="coordinator")
        command = ["coordinator", "start", str(home.folder)]
        service.start(command, ready=lambda told: told.get("state") == "ready")
        stack.callback(service.stop)
        say(f"A coordinator runs at {home.settings.host}:{home.settings.port}.")
        for site, hospital in hospitals.items():
            _enrol(home, site, hospital)
            _approve(site, hospital, plan)
        say(f"{len(hospitals)} hospitals joined with invitations and approved the plan.")
        nodes = {site: _Node(hospital) for site, hospital in hospitals.items()}
        late, unlucky = sorted(nodes)[-1], sorted(nodes)[0]
        for node in nodes.values():
            stack.callback(node.stop)
        with ThreadPoolExecutor(len(nodes)) as pool:
            list(pool.map(_Node.start, (node for site, node in nodes.items() if site != late)))
        say(f"{len(nodes) - 1} nodes run; {late} comes later.")
        start_networked(
            plan,
            coordinator=home.folder,
            folder=folder / "run",
            wishes=Wishes(away_s=AWAY_S),
            ceiling=ceiling,
            phantom=True,
        )
        luck = _Luck(folder / "run", late=nodes[late], unlucky=nodes[unlucky], say=say)
        stack.callback(luck.end)
        luck.begin()
        yield


class _Node:
    """A hospital's node process."""

    def __init__(self, hospital: Path) -> None:
        self.name = hospital.name
        self._hospital = hospital
        self._service = Service(hospital / "node", what="node")

    def start(self) -> None:
        if not self._service.running():
            self._service.start(
                ["node", "start", str(self._hospital)],
                ready=lambda told: told.get("line") == "connected",
            )

    def kill(self) -> None:
        os.kill(int(self._service.told()["pid"]), signal.SIGKILL)

    def stop(self) -> None:
        if self._service.running():
            self._service.stop()


class _Luck:
    """One node comes late; another is killed in the first rounds, misses some and returns."""

    def __init__(
        self, run: Path, *, late: _Node, unlucky: _Node, say: Callable[[str], None]
    ) -> None:
        self._run = run
        self._late = late
        self._unlucky = unlucky
        self._say = say
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._happen, daemon=True)

    def begin(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self._over.set()
        self._thread.join()

    def _happen(self) -> None:
        try:
            if self._over.wait(LATE_S):
                return
            self._late.start()
            self._say(f"{self._late.name} is here now.")
            while self._rounds() < 1:
                if self._over.wait(0.2):
                    return
            self._unlucky.kill()
            self._say(f"{self._unlucky.name} was killed.")
            if self._over.wait(GONE_S):
                return
            self._unlucky.start()
            self._say(f"{self._unlucky.name} is back.")
        except (FedpetError, OSError, KeyError) as error:
            self._say(f"The demo's bad luck failed: {error}")

    def _rounds(self) -> int:
        path = self._run / "journal.db"
        if not path.exists():
            return 0
        journal = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)
        try:
            return int(journal.execute(ROUNDS).fetchone()[0])
        except sqlite3.OperationalError:
            return 0  # the run has not made its tables yet
        finally:
            journal.close()


@contextmanager
def _coordinator(folder: Path) -> Iterator[Home]:
    """Open the demo's coordinator; made anew unless it is there, with ports that are free."""
    if not (folder / "coordinator.toml").exists():
        shutil.rmtree(folder, ignore_errors=True)
        Home.create(
            folder,
            host="127.0.0.1",
            port=_free_port(),
            listen_host="127.0.0.1",
            metrics_port=_free_port(),
        ).close()
    with Home(folder) as home:
        yield home


def _enrol(home: Home, site: str, hospital: Path) -> None:
    """Do what the people of a hospital do: make keys, join with the invitation."""
    import asyncio

    from fedpet.engines.nats.enrolment import join

    files = SiteFiles(folder=hospital / "node")
    files.make()
    known = home.sites().get(site)
    if known is not None and known.identity == files.require().public:
        return
    invitation = home.invite(site, hours=1, approved=True)
    asyncio.run(
        join(invitation, door=files.door(invitation), identity=files.require(), seed=files.seed())
    )
    files.pin(invitation)


def _approve(site: str, hospital: Path, plan: Plan) -> None:
    """Approve the plan in a hospital's name, unless it decided otherwise."""
    from fedpet.node.gate import Node
    from fedpet.node.policy import Policy, write_policy

    folder = hospital / "node"
    if not (folder / "policy.toml").exists():
        write_policy(
            Policy(releases=(*Policy().releases, "local-model"), roster="told"),
            folder / "policy.toml",
        )
    node = Node(site=site, folder=folder, cohorts={})
    try:
        _, objections = node.propose(planfile.dumps(plan))
        if not objections and node.decision(plans.fingerprint(plan)) is None:
            node.decide(plans.fingerprint(plan), "approved", person=PERSON)
    finally:
        node.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
