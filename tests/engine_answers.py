"""Sites that answer as they are told, for tests of engines."""

from __future__ import annotations

from collections.abc import Sequence

from fedpet.engines.nats.engine import NatsEngine
from fedpet.federation.messages import Reply, Request


def answering(site: str, **changes):
    def handle(request: Request) -> Reply:
        values = {
            "site": site,
            "experiment": request.experiment,
            "step": request.step,
            "attempt": request.attempt,
            "status": "ok",
            "arrays": {name: array + 1 for name, array in request.arrays.items()},
        }
        return Reply(**{**values, **changes})

    return handle


def request(site: str, step: str = "s", **changes) -> Request:
    values = {"experiment": "test", "plan": "p", "kind": "count"}
    return Request(site=site, step=step, **{**values, **changes})


def replies(engine: NatsEngine, requests: Sequence[Request]) -> dict[str, Reply]:
    found = list(engine.exchange(requests))
    assert len(found) == len(requests)
    return {reply.site: reply for reply in found}
