"""The engine between machines, as an experiment sees it: requests in, replies out, no waiting told.

The experiment walks in its own thread; letters are written and read by an event loop in another.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from fedpet.engines.nats.correspondence import Correspondence, Member, Office, Patience
from fedpet.errors import EngineError, FedpetError, NotFoundError
from fedpet.federation.messages import Reply, Request


class NatsEngine:
    """Carry requests to nodes on other machines; use as a context.

    A broken line, a restarted broker, a node that was killed: all are waited for. A site is given
    up for one step when it has been away for `Patience.away_s`, or did not end its work in
    `Patience.deadline_s`; it is asked again in the next step, which does not
    wait for a site that is still away.

    Args:
        office: Who asks, and where.
        experiment: Identifier of the experiment.
        members: Returns the sites as they are now, by name.
        patience: How long a step waits for a site.
        folder: Where arrays of answers lie until they are added; a temporary one unless told.
    """

    def __init__(
        self,
        office: Office,
        *,
        experiment: str,
        members: Callable[[], Mapping[str, Member]],
        patience: Patience | None = None,
        folder: Path | None = None,
    ) -> None:
        self._members = members
        self._letters = Correspondence(
            office,
            experiment=experiment,
            members=members,
            patience=patience or Patience(),
            folder=folder,
        )
        self._loop = asyncio.new_event_loop()
        self._opened: queue.SimpleQueue[FedpetError | None] = queue.SimpleQueue()
        self._closing = asyncio.Event()
        self._thread = threading.Thread(target=self._live, name="fedpet-nats", daemon=True)

    def __enter__(self) -> NatsEngine:
        self._thread.start()
        error = self._opened.get()
        if error is not None:
            self._thread.join()
            raise error
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join()

    @property
    def sites(self) -> tuple[str, ...]:
        """Names of the sites, sorted; those that may not be asked now among them."""
        return tuple(sorted(self._members()))

    @property
    def present(self) -> tuple[str, ...]:
        """Sites that gave a sign a moment ago and may be asked."""
        members = self._members()
        here = self._letters.presence.here()
        return tuple(sorted(site for site in here if site in members and not members[site].barred))

    def exchange(self, requests: Sequence[Request]) -> Iterator[Reply]:
        """Yield one reply per request, as they arrive.

        Raises:
            NotFoundError: If a request names a site that is not a member.
        """
        members = self._members()
        for request in requests:
            if request.site not in members:
                raise NotFoundError(f"Site '{request.site}' is not part of this federation.")
        arrived: queue.SimpleQueue[Reply | None] = queue.SimpleQueue()
        asking = asyncio.run_coroutine_threadsafe(
            self._letters.exchange(requests, members, arrived.put), self._loop
        )
        asking.add_done_callback(lambda _: arrived.put(None))
        try:
            for _ in requests:
                reply = arrived.get()
                if reply is None:
                    asking.result()
                    raise EngineError("The engine was closed.", code="FP-4007")
                yield reply
            asking.result()  # what was laid down is cleared before the next step lays anything down
        finally:
            asking.cancel()

    def _live(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        try:
            async with self._letters:
                self._opened.put(None)
                await self._closing.wait()
        except FedpetError as error:
            self._opened.put(error)
