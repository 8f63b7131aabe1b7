"""The engine between machines: the same bytes as in process, whatever happens on the way."""

import asyncio
import os
import signal
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

import federated
from engine_answers import answering, replies, request
from fedpet.engines.nats import keys, subjects
from fedpet.engines.nats.authority import Authority
from fedpet.engines.nats.connection import Credentials, connected
from fedpet.engines.nats.enrolment import join
from fedpet.engines.nats.link import Link
from fedpet.engines.nats.site import SiteFiles
from fedpet.errors import EngineError, NotFoundError, RefusalError
from fedpet.federation.messages import Reply, Request
from fedpet.plan import Evaluation, Training
from fedpet.privacy.identity import Identity
from networked import Alive, InThread, federation, wait_until


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
    plan = federated.small_plan(
        training=Training(rounds=1, batch_size=16),
        evaluation=Evaluation(folds=2, bootstrap=5, baselines=(), site_results=False),
    )
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


def test_a_second_node_with_the_same_identity_is_refused_and_named(tmp_path):
    """A folder that was copied to another machine; the first node goes on."""
    with federation(tmp_path, {"a": answering("a")}) as made, made.engine() as engine:
        wait_until(lambda: "a" in engine.present)
        copied = replace(made.enrolled["a"], folder=tmp_path / "elsewhere")
        second = Alive(Link(copied, InThread(answering("a")), tell=print, pin=print).serve)
        wait_until(lambda: second.error is not None)
        assert second.error.code == "FP-6107"
        assert "Two nodes run with the identity 'a'" in second.error.title
        assert replies(engine, [request("a")])["a"].status == "ok"


def test_work_is_done_once_although_its_question_comes_twice(tmp_path):
    """A run that is killed and resumed asks again; the answer is already there."""
    done = []

    def counting(request: Request) -> Reply:
        done.append(request.step)
        return answering("a")(request)

    arrays = {"w": np.ones(500_000, np.float32)}
    with federation(tmp_path, {"a": counting}) as made:
        for _ in range(2):
            with made.engine() as engine:
                found = replies(engine, [request("a", arrays=arrays)])["a"]
                np.testing.assert_array_equal(found.arrays["w"], 2)
        made.links["a"].end()
        made.connect(made.enrolled["a"], counting)
        with made.engine() as engine:
            found = replies(engine, [request("a", arrays=arrays)])["a"]
            np.testing.assert_array_equal(found.arrays["w"], 2)
    assert done == ["s"]


def test_work_that_failed_is_tried_again_when_it_is_asked_again(tmp_path):
    """A full disk that was mended must not answer for ever."""
    broken = [True]

    def mended(request: Request) -> Reply:
        return answering("a", status="failed" if broken.pop() else "ok")(request)

    broken.insert(0, False)
    with federation(tmp_path, {"a": mended}) as made, made.engine() as engine:
        assert replies(engine, [request("a")])["a"].status == "failed"
        assert replies(engine, [request("a")])["a"].status == "ok"


def test_a_broker_that_is_restarted_is_waited_for(tmp_path):
    """Killed while a site works; the answer comes all the same."""
    at_work, go = threading.Event(), threading.Event()

    def slow(request: Request) -> Reply:
        at_work.set()
        assert go.wait(30)
        return answering("a")(request)

    with federation(tmp_path, {"a": slow}) as made, made.engine() as engine:
        found = {}
        asking = threading.Thread(
            target=lambda: found.update(replies(engine, [request("a", arrays={"w": np.ones(3)})]))
        )
        asking.start()
        assert at_work.wait(20)
        pid = int((made.folder / "coordinator/broker/nats.pid").read_text())
        os.kill(pid, signal.SIGKILL)
        go.set()
        asking.join(40)
        assert found["a"].status == "ok"


def test_a_suspended_site_is_not_asked_and_others_do_not_wait(tmp_path):
    """A decision of the coordinator's people holds at once, without a restart."""
    with federation(tmp_path, {"a": answering("a")}) as made, made.engine() as engine:
        made.home.members.change("a", "suspended", since=("approved",), note="Holiday.")
        found = replies(engine, [request("a", "one")])["a"]
        assert (found.status, found.reasons) == (
            "failed",
            ("The coordinator suspended this site. Holiday.",),
        )
        made.home.members.change("a", "approved", since=("suspended",))
        assert replies(engine, [request("a", "two")])["a"].status == "ok"


def test_an_invitation_is_worth_nothing_to_others(tmp_path):
    """Another coordinator's certificate, a second use, a key of somebody else."""
    with federation(tmp_path, {}) as made:
        invitation = made.invite("a")
        identity = Identity.load_or_create(tmp_path / "one" / "identity.pem")
        seed = keys.load_or_create(tmp_path / "one" / "broker.nk")

        def show(invitation):
            door = invitation.door()
            return asyncio.run(join(invitation, door=door, identity=identity, seed=seed))

        foreign = Authority(tmp_path / "foreign").pem
        with pytest.raises(EngineError, match="not the coordinator") as told:
            show(replace(invitation, authority=foreign))
        assert told.value.code == "FP-4002"
        with pytest.raises(RefusalError, match="does not know this key"):
            show(replace(invitation, secret=keys.load_or_create(tmp_path / "other.nk")))
        assert show(invitation) == "approved"
        with pytest.raises(RefusalError):
            show(invitation)
        assert made.home.members.site("a").identity == identity.public


def test_a_site_changes_its_keys_and_the_old_ones_open_nothing(tmp_path):
    """Without a restart; if the new ones are refused, the old ones stay."""
    with federation(tmp_path, {}) as made:
        files = SiteFiles(folder=tmp_path / "hospital" / "node")
        files.make()

        def show(invitation, *, new: bool) -> None:
            with files.keys(new=new) as (identity, seed):
                door = files.door(invitation)
                asyncio.run(join(invitation, door=door, identity=identity, seed=seed))

        first = made.invite("a")
        show(first, new=False)
        old = (files.require().public, files.seed())
        with pytest.raises(RefusalError):
            show(first, new=True)
        assert (files.require().public, files.seed()) == old
        show(made.invite("a"), new=True)
        assert files.require().public != old[0]
        assert made.home.members.site("a").identity == files.require().public
        assert made.home.members.roster().of("a") == files.require().public

        async def enter(seed: str) -> None:
            who = Credentials(member="a", seed=seed)
            async with connected(first.door(), who, patient=False):
                pass

        time.sleep(1)  # the broker reads its new settings
        with pytest.raises(RefusalError, match="does not know this key"):
            asyncio.run(enter(old[1]))
        asyncio.run(enter(files.seed()))


def test_a_site_that_is_not_approved_or_is_another_reads_and_writes_nothing(tmp_path):
    """The broker enforces it; a curious member sees its own subjects only."""
    with federation(tmp_path, {"a": answering("a")}) as made:
        invitation = made.invite("b", approved=False)
        identity = Identity.load_or_create(tmp_path / "b" / "identity.pem")
        seed = keys.load_or_create(tmp_path / "b" / "broker.nk")
        door = invitation.door()
        asyncio.run(join(invitation, door=door, identity=identity, seed=seed))
        time.sleep(1)  # the broker reads its new settings

        async def peep(member: str, seed: str) -> list[bytes]:
            heard: list[bytes] = []

            async def note(message) -> None:
                heard.append(message.data)

            async with connected(door, Credentials(member=member, seed=seed)) as client:
                for subject in ("fedpet.>", "$JS.>", "_INBOX.>", "_INBOX.coordinator.>"):
                    await client.subscribe(subject, cb=note)
                asked = f"$JS.API.CONSUMER.MSG.NEXT.{subjects.ASKS}.{'b' if member == 'a' else 'a'}"
                await client.publish(asked, b"")
                await client.publish(subjects.answer("c", "test"), b"forged")
                await client.publish(f"$JS.API.STREAM.PURGE.{subjects.CHUNKS}", b"")
                await client.flush()
                await asyncio.sleep(1)
            return heard

        with made.engine() as engine:
            spying = threading.Thread(target=lambda: replies(engine, [request("a")]))
            spying.start()
            assert asyncio.run(peep("b", seed)) == []
            spying.join(30)
            assert asyncio.run(peep("a", made.enrolled["a"].seed)) == []
