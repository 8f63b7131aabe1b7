"""Lines that are cut, stall or repeat: the same arrays arrive, or it is told what did not."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from bad_line import BadLine
from engine_answers import answering, replies, request
from fedpet.engines.nats import subjects
from fedpet.engines.nats.letters import LETTER_LIMIT_BYTES, Letter, seal
from networked import Federation, federation, wait_until

ARRAYS = {"w": np.arange(2_000_000, dtype=np.float32)}


def behind(made: Federation, line: BadLine, site: str) -> None:
    """Enrol a site and connect it through a bad line."""
    post = made.enrol(site)
    made.connect(replace(post, door=replace(post.door, port=line.port)), answering(site))


@pytest.fixture
def line_of():
    lines = []

    def make(made: Federation) -> BadLine:
        lines.append(BadLine(made.home.settings.listen_port))
        return lines[-1]

    yield make
    for line in lines:
        line.end()


def test_a_line_that_is_cut_every_few_megabytes_carries_large_arrays(tmp_path, line_of):
    """Chunks that arrived stay; the rest is fetched again."""
    with federation(tmp_path, {}) as made:
        line = line_of(made)
        behind(made, line, "a")
        with made.engine() as engine:
            wait_until(lambda: "a" in engine.present)
            line.cut_after_bytes = 6 << 20
            found = replies(engine, [request("a", arrays=ARRAYS)])["a"]
            assert line.cuts > 1
            assert found.status == "ok"
            np.testing.assert_array_equal(found.arrays["w"], ARRAYS["w"] + 1)


def test_a_line_that_stalls_for_a_while_is_waited_for(tmp_path, line_of):
    """Half-open: nothing comes, and nobody says so."""
    with federation(tmp_path, {}) as made:
        line = line_of(made)
        behind(made, line, "a")
        with made.engine() as engine:
            wait_until(lambda: "a" in engine.present)
            line.stalled = True
            threading.Timer(4, lambda: setattr(line, "stalled", False)).start()
            found = replies(engine, [request("a", arrays={"w": np.ones(3)})])["a"]
            assert found.status == "ok"


def test_a_line_that_stalls_for_good_costs_one_site_and_nobody_else(tmp_path, line_of):
    """The others' answers do not wait for ever."""
    with federation(tmp_path, {"b": answering("b")}) as made:
        line = line_of(made)
        behind(made, line, "a")
        with made.engine(away_s=3.0) as engine:
            wait_until(lambda: {"a", "b"} <= set(engine.present))
            line.stalled = True
            found = replies(engine, [request("a"), request("b")])
            assert found["b"].status == "ok"
            assert "gave no sign" in found["a"].reasons[0]
            line.stalled = False


def test_garbage_at_every_door_changes_nothing(tmp_path):
    """A broker that lies: wrong bytes, wrong signatures, letters of others, replays."""
    with federation(tmp_path, {"a": answering("a")}) as made, made.engine() as engine:
        replies(engine, [request("a", "one")])

        async def shout() -> None:
            client = engine._letters._client
            asked = await client.jetstream().get_last_msg(subjects.ANSWERS, "fedpet.answer.a.*")
            flipped = bytearray(asked.data)
            flipped[-1] ^= 1
            flipped[60] ^= 1
            for data in (b"", b"garbage", bytes(LETTER_LIMIT_BYTES), bytes(flipped), asked.data):
                for subject in (
                    subjects.ask("a", "test"),
                    subjects.answer("a", "test"),
                    subjects.beat("a"),
                    subjects.hello("a"),
                    subjects.join("x"),
                    subjects.roster("a"),
                ):
                    await client.publish(subject, data)
            await client.flush()

        asyncio.run_coroutine_threadsafe(shout(), engine._loop).result(20)
        found = replies(engine, [request("a", "two", arrays={"w": np.ones(3)})])["a"]
        assert found.status == "ok"
        np.testing.assert_array_equal(found.arrays["w"], 2)


def test_a_hospital_whose_disk_is_full_says_so_and_works_again_when_it_is_not(tmp_path):
    """The run goes on without it; nobody waits for a day."""
    with federation(tmp_path, {"a": answering("a")}) as made, made.engine() as engine:
        (tmp_path / "a" / "inbox").write_text("where arrays should go")
        found = replies(engine, [request("a", "one", arrays={"w": np.ones(3)})])["a"]
        assert (found.status, found.reasons) == (
            "failed",
            ("This hospital's disk is full, or cannot be written.",),
        )
        (tmp_path / "a" / "inbox").unlink()
        found = replies(engine, [request("a", "one", arrays={"w": np.ones(3)})])["a"]
        assert found.status == "ok"


def test_a_clock_that_is_an_hour_off_matters_to_nobody(tmp_path, monkeypatch):
    """Order and presence come from counters and from clocks that only go forward."""
    with federation(tmp_path, {"a": answering("a")}) as made, made.engine() as engine:
        replies(engine, [request("a", "one")])
        now = time.time
        monkeypatch.setattr(time, "time", lambda: now() + 3600)
        assert replies(engine, [request("a", "two")])["a"].status == "ok"
        monkeypatch.setattr(time, "time", lambda: now() - 3600)
        assert replies(engine, [request("a", "three")])["a"].status == "ok"


def test_a_coordinator_that_asks_nonsense_ends_no_node(tmp_path):
    """Signed by the right key, and still no question."""
    with federation(tmp_path, {"a": answering("a")}) as made, made.engine() as engine:

        async def ask() -> None:
            bodies = [{}, {"experiment": "test"}, {"experiment": "test", "type": "Reply"}]
            for number, body in enumerate(bodies):
                letter = Letter(
                    federation=made.home.settings.federation,
                    kind="ask",
                    author="coordinator",
                    to="a",
                    about=f"{number:064x}",
                    body=body,
                )
                data = seal(letter, made.home.identity)
                await engine._letters._client.publish(subjects.ask("a", "test"), data)

        asyncio.run_coroutine_threadsafe(ask(), engine._loop).result(20)
        assert replies(engine, [request("a")])["a"].status == "ok"
