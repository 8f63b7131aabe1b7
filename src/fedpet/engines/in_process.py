"""Any number of sites on one machine: for trying plans, for tests, and for phantom hospitals.

Messages pass as bytes, exactly as they would between machines, so that what works here has been
encoded, bounded and decoded. Sites are worked on by threads: a node spends its time inside
libraries that release the interpreter lock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from fedpet.engines.answers import as_asked, failed
from fedpet.errors import FedpetError, NotFoundError, UpdateError
from fedpet.federation.messages import Reply, Request, decode, encode

Handler = Callable[[bytes], bytes]


class InProcessEngine:
    """Carry requests to handlers in this process, several at a time.

    Args:
        handlers: What answers for each site: request bytes in, reply bytes out.
        workers: Sites that work at the same time.
    """

    def __init__(self, handlers: Mapping[str, Handler], *, workers: int = 1) -> None:
        self._handlers = dict(handlers)
        self._workers = max(1, workers)

    @property
    def sites(self) -> tuple[str, ...]:
        """Names of the sites, sorted."""
        return tuple(sorted(self._handlers))

    def exchange(self, requests: Sequence[Request]) -> Iterator[Reply]:
        """Yield one reply per request, as they arrive.

        Raises:
            NotFoundError: If a request names a site that this engine does not carry.
        """
        for request in requests:
            if request.site not in self._handlers:
                raise NotFoundError(f"Site '{request.site}' is not part of this federation.")
        if self._workers == 1 or len(requests) == 1:
            for request in requests:
                yield self._ask(request)
            return
        with ThreadPoolExecutor(self._workers, thread_name_prefix="site") as pool:
            futures = [pool.submit(self._ask, request) for request in requests]
            try:
                for future in as_completed(futures):
                    yield future.result()
            finally:
                for future in futures:
                    future.cancel()

    def _ask(self, request: Request) -> Reply:
        try:
            answer = self._handlers[request.site](encode(request))
        except (OSError, FedpetError):
            return failed(request, "The site gave no answer.")
        try:
            reply = decode(answer)
        except UpdateError as error:
            return failed(request, error.title)
        return as_asked(request, reply)
