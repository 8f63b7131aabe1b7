"""A whole federation over the network, on loopback, for tests: broker, coordinator, real links."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from fedpet.engines.nats import keys
from fedpet.engines.nats.coordinator import Coordinator
from fedpet.engines.nats.correspondence import Patience
from fedpet.engines.nats.engine import NatsEngine
from fedpet.engines.nats.enrolment import join
from fedpet.engines.nats.home import Home
from fedpet.engines.nats.link import Link, Post
from fedpet.federation.messages import Request, header_of, message_of
from fedpet.parameters import from_bytes, to_bytes
from fedpet.privacy.identity import Identity, PublicIdentity

Handle = Callable[[Request], object]


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class InThread:
    """A worker that answers in a thread of this process."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    async def answer(self, header: bytes, arrays: Path | None, out: Path) -> bytes:
        return await asyncio.to_thread(self._answer, header, arrays, out)

    def _answer(self, header: bytes, arrays: Path | None, out: Path) -> bytes:
        request = message_of(header, from_bytes(arrays.read_bytes()) if arrays else {})
        reply = self._handle(request)
        if reply.arrays:
            out.write_bytes(to_bytes(reply.arrays))
        return header_of(reply)


class Alive:
    """A coroutine that runs in a thread until it is ended."""

    def __init__(self, work: Callable[[], object]) -> None:
        self.error: Exception | None = None
        self._work = work
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._task: asyncio.Task | None = None
        self._thread.start()

    def _run(self) -> None:
        async def main() -> None:
            self._task = asyncio.current_task()
            await self._work()

        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            try:
                runner.run(main())
            except asyncio.CancelledError:
                pass
            except Exception as error:  # noqa: BLE001  (told to the test)
                self.error = error

    def end(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._task.cancel)
            self._thread.join(20)
            assert not self._thread.is_alive()


class Federation:
    """A coordinator's folder, its daemon, and sites that join with real invitations."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: list[str] = []
        self.home = Home.create(
            folder / "coordinator",
            host="localhost",
            port=free_port(),
            listen_host="127.0.0.1",
            metrics_port=free_port(),
        )
        self.links: dict[str, Alive] = {}
        self.rosters: list[bytes] = []
        self.enrolled: dict[str, Post] = {}
        self.daemon: Alive | None = None

    def start(self) -> None:
        self.said.clear()
        self.coordinator = Coordinator(self.home, tell=self.said.append)
        self.daemon = Alive(self.coordinator.serve)
        wait_until(lambda: any("ready" in line for line in self.said) or self.daemon.error)
        if self.daemon.error:
            raise self.daemon.error

    def stop(self) -> None:
        if self.daemon is not None:
            self.daemon.end()

    def invite(self, site: str, **changes: object) -> object:
        return self.home.invite(site, **{"hours": 1, "approved": True, **changes})

    def enrol(self, site: str) -> Post:
        invitation = self.invite(site)
        home = self.folder / site
        identity = Identity.load_or_create(home / "identity.pem")
        seed = keys.load_or_create(home / "broker.nk")
        asyncio.run(join(invitation, door=invitation.door(), identity=identity, seed=seed))
        self.enrolled[site] = Post(
            site=site,
            federation=invitation.federation,
            door=invitation.door(),
            seed=seed,
            identity=identity,
            coordinator=PublicIdentity(bytes.fromhex(invitation.coordinator)),
            folder=home,
        )
        return self.enrolled[site]

    def connect(self, post: Post, handle: Handle) -> list[str]:
        said: list[str] = []
        link = Link(post, InThread(handle), tell=said.append, pin=self.rosters.append)
        self.links[post.site] = Alive(link.serve)
        return said

    def engine(self, *, experiment: str = "test", **changes: object) -> NatsEngine:
        patience = Patience(**{"away_s": 20.0, "deadline_s": 60.0, **changes})
        return NatsEngine(
            self.home.office(), experiment=experiment, members=self.home.sites, patience=patience
        )


def wait_until(true: Callable[[], object], *, seconds: float = 20.0) -> None:
    """Wait for something that another thread or process does."""
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.02)


@contextmanager
def federation(folder: Path, handlers: Mapping[str, Handle]) -> Iterator[Federation]:
    """Start a coordinator, enrol and connect sites; end everything afterwards."""
    with ExitStack() as stack:
        made = Federation(folder)
        stack.callback(made.home.close)
        made.start()
        stack.callback(lambda: made.stop())
        stack.callback(lambda: [link.end() for link in made.links.values()])
        for site, handle in handlers.items():
            made.connect(made.enrol(site), handle)
        yield made
