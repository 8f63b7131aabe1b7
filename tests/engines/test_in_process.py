"""The in-process engine: bytes in, bytes out, and no site can end a round."""

import threading

import numpy as np
import pytest

from fedpet.engines.in_process import InProcessEngine
from fedpet.errors import NotFoundError
from fedpet.federation.messages import Reply, Request, decode, encode


def request(site: str) -> Request:
    return Request(site=site, experiment="e", plan="p", step="s", kind="count")


def answering(site: str, **changes):
    def handle(data: bytes) -> bytes:
        asked = decode(data)
        assert isinstance(asked, Request)
        values = {
            "site": site,
            "experiment": asked.experiment,
            "step": asked.step,
            "attempt": asked.attempt,
            "status": "ok",
            "arrays": {"n": np.ones(1)},
        }
        return encode(Reply(**{**values, **changes}))

    return handle


def exchange(handlers, *, workers: int = 1) -> dict[str, Reply]:
    engine = InProcessEngine(handlers, workers=workers)
    replies = list(engine.exchange([request(site) for site in engine.sites]))
    assert len(replies) == len(handlers)
    return {reply.site: reply for reply in replies}


@pytest.mark.parametrize("workers", [1, 3])
def test_every_request_gets_one_reply(workers):
    """Whatever the number of workers."""
    found = exchange({name: answering(name) for name in "abcde"}, workers=workers)
    assert {reply.status for reply in found.values()} == {"ok"}


def broken(data: bytes) -> bytes:
    raise OSError("the line is dead")


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        (lambda data: b"garbage", "truncated"),
        (lambda data: data, "answered with a request"),
        (answering("b", step="another"), "another question"),
        (answering("a"), "another question"),
        (answering("b", attempt=3), "another question"),
        (broken, "gave no answer"),
    ],
)
def test_a_site_that_answers_garbage_fails_alone(workers, handler, reason):
    """An engine never raises for what one site does; the others' answers count."""
    found = exchange({"a": answering("a"), "b": handler}, workers=workers)
    assert found["a"].status == "ok"
    assert found["b"].status == "failed"
    assert reason in found["b"].reasons[0]
    assert "dead" not in found["b"].reasons[0]


def test_a_site_that_is_not_there_is_named():
    """A plan that asks for an unknown hospital is a mistake of the plan."""
    engine = InProcessEngine({"a": answering("a")})
    with pytest.raises(NotFoundError, match="'nowhere'"):
        list(engine.exchange([request("nowhere")]))


def test_sites_work_at_the_same_time():
    """Two workers: both sites are inside their work at once."""
    both = threading.Barrier(2, timeout=20)

    def meeting(site):
        answer = answering(site)

        def handle(data: bytes) -> bytes:
            both.wait()
            return answer(data)

        return handle

    found = exchange({"a": meeting("a"), "b": meeting("b")}, workers=2)
    assert {reply.status for reply in found.values()} == {"ok"}
