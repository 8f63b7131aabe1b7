"""The way out of a hospital: a proxy that may want a login, and what is said when it says no."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from dataclasses import replace
from pathlib import Path

import pytest

from engine_answers import answering, replies, request
from fedpet.engines.nats.coordinator import _series
from fedpet.engines.nats.link import Link
from fedpet.engines.nats.relay import Proxy, through, tunnel
from fedpet.engines.nats.site import SiteFiles
from fedpet.errors import DataError, EngineError
from networked import Alive, InThread, federation, wait_until

LOGIN = base64.b64encode(b"fedpet:secret").decode()


class HttpProxy:
    """A proxy of the tests' own that knows CONNECT and one login."""

    def __init__(self, *, allowed_port: int) -> None:
        self.allowed_port = allowed_port
        self.port = 0
        self.connects = 0
        self._alive = Alive(self._serve)
        wait_until(lambda: self.port)

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            await server.serve_forever()

    async def _connected(self, reader, writer) -> None:
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await self._answered(reader, writer)
        writer.close()

    async def _answered(self, reader, writer) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        port = int(head.split()[1].rpartition(":")[2])
        if f"Proxy-Authorization: Basic {LOGIN}" not in head:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
        elif port != self.allowed_port:
            writer.write(b"HTTP/1.1 403 Forbidden\r\n\r\n")
        else:
            self.connects += 1
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await asyncio.gather(self._copy(reader, far_writer), self._copy(far_reader, writer))

    async def _copy(self, reader, writer) -> None:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.close()

    def end(self) -> None:
        self._alive.end()


def test_a_node_reaches_its_coordinator_through_a_proxy_with_a_login(tmp_path):
    """TLS is end to end: the proxy copies bytes."""
    with federation(tmp_path, {}) as made:
        post = made.enrol("a")
        http = HttpProxy(allowed_port=made.home.settings.listen_port)
        proxy = Proxy(host="127.0.0.1", port=http.port, user="fedpet", password="secret")

        async def serve() -> None:
            async with through(proxy, post.door) as door:
                behind = replace(post, door=door)
                await Link(behind, InThread(answering("a")), tell=print, pin=len).serve()

        node = Alive(serve)
        with made.engine() as engine:
            wait_until(lambda: "a" in engine.present)
            assert replies(engine, [request("a")])["a"].status == "ok"
        assert http.connects > 0
        node.end()
        http.end()


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"password": "wrong"}, "FP-4012", "407: it wants a login"),
        ({"user": ""}, "FP-4012", "407: it wants a login"),
        ({"port": 1}, "FP-4011", "does not answer"),
        ({}, "FP-4012", "403: it does not let this out"),
    ],
)
def test_a_proxy_that_says_no_is_told_in_words(tmp_path, changes, code, words):
    """Whoever reads it knows whom to ask for what."""
    with federation(tmp_path, {}) as made:
        door = made.invite("a").door()
        http = HttpProxy(allowed_port=1)
        values = {"host": "127.0.0.1", "port": http.port, "user": "fedpet", "password": "secret"}
        with pytest.raises(EngineError, match=words) as told:
            asyncio.run(tunnel(Proxy(**{**values, **changes}), door))
        assert told.value.code == code
        http.end()


def test_node_toml_is_read_strictly_and_its_password_from_a_file(tmp_path):
    """A misspelt key must not send a hospital's traffic another way."""
    files = SiteFiles(folder=tmp_path)
    files.make()
    assert files.proxy() is None
    text = '[proxy]\nhost = "p"\nport = 3128\nuser = "u"\npassword_file = "secret"\n'
    Path(tmp_path / "node.toml").write_text(text)
    with pytest.raises(DataError, match="'secret', which cannot be read"):
        files.proxy()
    (tmp_path / "secret").write_text("word\n")
    assert files.proxy() == Proxy(host="p", port=3128, user="u", password="word")
    Path(tmp_path / "node.toml").write_text(text.replace("port", "prot"))
    with pytest.raises(DataError, match="prot"):
        files.proxy()


@pytest.mark.parametrize(
    ("theirs", "near"), [("0.1.0", True), ("0.2.3", True), ("0.3.0", False), ("x", False)]
)
def test_one_minor_version_apart_works_and_two_are_refused(tmp_path, theirs, near, monkeypatch):
    """With both versions named."""
    monkeypatch.setattr("fedpet.engines.nats.link.__version__", theirs)
    with federation(tmp_path, {}) as made:
        said = made.connect(made.enrol("a"), answering("a"))
        wait_until(lambda: any("fedpet" in line or line == "connected" for line in said))
        assert ("connected" in said) == near
        if not near:
            assert f"This node runs fedpet {theirs}, the coordinator" in said[-1]
    assert _series("0.1.0.dev0") == 1
