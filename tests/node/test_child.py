"""The child that opens a hospital's data: killed at any moment, it costs its node nothing."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from fedpet.errors import StoreError
from fedpet.federation.messages import Reply, Request, header_of, message_of
from fedpet.node.child import Child
from toy_folders import write_toy_hospitals

ASKED = header_of(Request(site="site-0", experiment="e", plan="p" * 64, step="s", kind="count"))


def child_of(folder) -> Child:
    hospital = write_toy_hospitals(folder, sites=1, subjects=24)["site-0"]
    return Child(hospital, "site-0", log_file=folder / "child.log")


def test_a_child_that_is_killed_is_started_again_and_asked_again(tmp_path):
    """While it starts, and between two questions; the answer is the node's own refusal."""

    async def scene() -> list[Reply]:
        child = child_of(tmp_path)
        warming = asyncio.create_task(child.warm())
        while child.pid is None:
            await asyncio.sleep(0.01)
        os.kill(child.pid, signal.SIGKILL)
        await warming
        found = [message_of(await child.answer(ASKED, None, tmp_path / "out"), {})]
        os.kill(child.pid, signal.SIGKILL)
        found.append(message_of(await child.answer(ASKED, None, tmp_path / "out"), {}))
        pid = child.pid
        await child.close()
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
        return found

    replies = asyncio.run(scene())
    assert [reply.status for reply in replies] == ["refused", "refused"]
    assert replies[0].reasons == replies[1].reasons


def test_a_hospital_that_cannot_be_opened_is_told_in_the_childs_words(tmp_path):
    """Not as a death without a reason."""
    child = child_of(tmp_path)
    (tmp_path / "site-0/node").mkdir(parents=True, exist_ok=True)
    (tmp_path / "site-0/node/policy.toml").write_text("rubbish = 1\n")

    async def scene() -> None:
        try:
            await child.warm()
            reply = message_of(await child.answer(ASKED, None, tmp_path / "out"), {})
            assert reply.status != "ok"
            raise StoreError(reply.reasons[0])
        finally:
            await child.close()

    with pytest.raises(StoreError, match="rubbish"):
        asyncio.run(scene())
