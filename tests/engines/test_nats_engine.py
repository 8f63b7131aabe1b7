"""The engine between machines: the same bytes as in process, whatever happens on the way."""

from dataclasses import replace

import numpy as np
import pytest

import federated
from fedpet.engines.nats.engine import NatsEngine
from fedpet.errors import NotFoundError
from fedpet.federation.messages import Reply, Request
from fedpet.plan import Training
from networked import federation, wait_until


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


def replies(engine: NatsEngine, requests) -> dict[str, Reply]:
    found = list(engine.exchange(requests))
    assert len(found) == len(requests)
    return {reply.site: reply for reply in found}


@pytest.mark.parametrize("values", [0, 10, 700_000], ids=["none", "enclosed", "in chunks"])
def test_arrays_arrive_as_they_were_sent(tmp_path, values):
    """Small ones in the letter, large ones in chunks, none at all: nobody sees a difference."""
    arrays = {"w": np.arange(values, dtype=np.float32)} if values else {}
    handlers = {name: answering(name) for name in "ab"}
    with federation(tmp_path, handlers) as made, made.engine() as engine:
        assert engine.sites == ("a", "b")
        for step in ("one", "two"):
            found = replies(engine, [request(site, step, arrays=arrays) for site in "ab"])
            for reply in found.values():
                assert reply.status == "ok"
                for name, array in arrays.items():
                    np.testing.assert_array_equal(reply.arrays[name], array + 1)


def test_a_site_that_answers_another_question_fails_alone(tmp_path):
    """An engine never raises for what one site does."""
    handlers = {"a": answering("a"), "b": answering("b", step="another")}
    with federation(tmp_path, handlers) as made, made.engine() as engine:
        found = replies(engine, [request("a"), request("b")])
        assert found["a"].status == "ok"
        assert found["b"].status == "failed"
        assert "another question" in found["b"].reasons[0]


def test_a_site_that_is_not_a_member_is_named(tmp_path):
    """A plan that asks for an unknown hospital is a mistake of the plan."""
    with (
        federation(tmp_path, {}) as made,
        made.engine() as engine,
        pytest.raises(NotFoundError, match="'nowhere'"),
    ):
        list(engine.exchange([request("nowhere")]))


def test_a_site_that_is_away_is_given_up_and_asked_again_later(tmp_path):
    """One lost hospital costs one step its answer, and nothing else."""
    with federation(tmp_path, {"a": answering("a")}) as made:
        post = made.enrol("b")
        with made.engine(away_s=1.0) as engine:
            found = replies(engine, [request("a", "one"), request("b", "one")])
            assert found["a"].status == "ok"
            assert "gave no sign" in found["b"].reasons[0]
            made.connect(post, answering("b"))
            wait_until(lambda: "b" in engine.present)
            assert replies(engine, [request("b", "two")])["b"].status == "ok"


def test_the_same_plan_gives_the_same_bytes_in_process_and_networked(tmp_path):
    """The experiment does not know which engine it runs on."""
    plan = federated.small_plan(training=Training(rounds=1, batch_size=16))
    hospitals = federated.small_hospitals(sites=4)
    with federated.federation(tmp_path / "in", plan, hospitals) as execution:
        expected = federated.frozen(federated.walk(execution)[0])
    with federated.federation(tmp_path / "out", plan, hospitals) as execution:
        nodes = execution.engine._handlers
        handlers = {
            site: (lambda asked, handle=handle: handle.__self__.handle(asked))
            for site, handle in nodes.items()
        }
        with federation(tmp_path / "net", handlers) as made, made.engine() as engine:
            networked = replace(execution, engine=engine)
            assert federated.frozen(federated.walk(networked)[0]) == expected
