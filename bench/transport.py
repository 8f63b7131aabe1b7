"""How long does a round between machines take? Beside the floor: the same bytes over bare TLS.

Everything runs on this machine: a coordinator, its broker and nodes in processes of their own, all
bytes over TLS 1.3. A round sends one model to every site and brings one update of the same size
back from each. The floor does the same with sockets and threads, and nothing else: no broker,
no signature, no hash, no disk.

    python bench/transport.py
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import socket
import ssl
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))


def serve_site(post_values: dict, ready) -> None:
    """Run one site's link in a process of its own; it answers with what it was sent."""
    import asyncio

    from fedpet.engines.nats.connection import Door
    from fedpet.engines.nats.link import Link, Post
    from fedpet.federation.messages import Reply, Request, header_of, message_of
    from fedpet.privacy.identity import Identity, PublicIdentity

    class Echo:
        async def answer(self, header: bytes, arrays: Path | None, out: Path) -> bytes:
            request = message_of(header, {})
            assert isinstance(request, Request)
            if arrays is not None:
                out.write_bytes(arrays.read_bytes())
            reply = Reply(
                site=request.site,
                experiment=request.experiment,
                step=request.step,
                attempt=request.attempt,
                status="ok",
            )
            return header_of(reply)

    folder = Path(post_values["folder"])
    post = Post(
        site=post_values["site"],
        federation=post_values["federation"],
        door=Door(**post_values["door"]),
        seed=post_values["seed"],
        identity=Identity.load(folder / "identity.pem"),
        coordinator=PublicIdentity(bytes.fromhex(post_values["coordinator"])),
        folder=folder,
    )
    link = Link(post, Echo(), tell=lambda line: line == "connected" and ready.set(), pin=len)
    asyncio.run(link.serve())


def serve_coordinator(folder: str, ready) -> None:
    """Run the coordinator's daemon in a process of its own."""
    import asyncio

    from fedpet.engines.nats.coordinator import Coordinator
    from fedpet.engines.nats.home import Home

    with Home(Path(folder)) as home:
        asyncio.run(Coordinator(home, tell=lambda line: "ready" in line and ready.set()).serve())


class Own:
    """Watches this process's own memory: pages of files that are only mapped are not counted."""

    def __init__(self) -> None:
        self.before_mb = self.now_mb()
        self.most_mb = self.before_mb
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    @staticmethod
    def now_mb() -> float:
        """Return the anonymous memory of this process in MB."""
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1000

    def _watch(self) -> None:
        while not self._over.wait(0.01):
            self.most_mb = max(self.most_mb, self.now_mb())

    def end(self) -> float:
        """Return the most that was used beyond what was there before, in MB."""
        self._over.set()
        self._thread.join()
        return self.most_mb - self.before_mb


def rounds(sites: int, values: int, *, count: int) -> tuple[list[float], float]:
    """Return the seconds of each round, and the memory that they took in this process, in MB."""
    from fedpet.federation.messages import Request
    from networked import Federation

    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        made = Federation(Path(folder))
        processes = []

        def start(target, *args) -> None:
            ready = spawn.Event()
            processes.append(spawn.Process(target=target, args=(*args, ready), daemon=False))
            processes[-1].start()
            assert ready.wait(60)

        try:
            start(serve_coordinator, str(made.home.folder))
            for number in range(sites):
                post = made.enrol(f"site-{number}")
                door = {name: getattr(post.door, name) for name in ("host", "port", "name")}
                told = {
                    "site": post.site,
                    "federation": post.federation,
                    "door": {**door, "authority": post.door.authority},
                    "seed": post.seed,
                    "coordinator": post.coordinator.key.hex(),
                    "folder": str(post.folder),
                }
                start(serve_site, told)
            model = {"w": np.random.default_rng(1).random(values, dtype=np.float32)}
            seconds = []
            total = np.zeros(values, np.float64)
            own = Own()
            with made.engine() as engine:
                for number in range(count):
                    requests = [
                        Request(
                            site=site,
                            experiment="test",
                            plan="p",
                            step=str(number),
                            kind="train",
                            arrays=model,
                        )
                        for site in engine.sites
                    ]
                    started = time.perf_counter()
                    total[:] = 0
                    for reply in engine.exchange(requests):
                        assert reply.status == "ok", reply.reasons
                        total += reply.arrays["w"]
                        del reply
                    seconds.append(time.perf_counter() - started)
                    some = slice(0, None, max(1, values // 1000))
                    np.testing.assert_allclose(total[some], model["w"][some] * float(sites), 1e-6)
            memory_mb = own.end()
        finally:
            for process in processes[::-1]:
                process.terminate()
                process.join(20)
            made.home.close()
    return seconds, memory_mb


def floor(sites: int, values: int, *, count: int) -> list[float]:
    """Return the seconds of each round over bare TLS sockets between processes."""
    from fedpet.engines.nats.authority import Authority

    with tempfile.TemporaryDirectory() as folder:
        authority = Authority(Path(folder))
        certificate, key = authority.server(("localhost",))
        server = socket.create_server(("127.0.0.1", 0))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(certificate, key)
        spawn = multiprocessing.get_context("spawn")
        port = server.getsockname()[1]
        processes = [
            spawn.Process(target=echo, args=(port, authority.pem, 4 * values)) for _ in range(sites)
        ]
        for process in processes:
            process.start()
        lines = [context.wrap_socket(server.accept()[0], server_side=True) for _ in processes]
        model = np.random.default_rng(1).random(values, dtype=np.float32)
        seconds = []
        for _ in range(count):
            started = time.perf_counter()
            total = np.zeros(values, np.float64)
            found: list[np.ndarray] = []

            def ask(line: ssl.SSLSocket, found: list = found) -> None:
                line.sendall(model.data)
                found.append(np.frombuffer(receive(line, 4 * values), np.float32))

            threads = [threading.Thread(target=ask, args=(line,)) for line in lines]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            for update in found:
                total += update
            seconds.append(time.perf_counter() - started)
        for line in lines:
            line.close()
        for process in processes:
            process.join(10)
            process.terminate()
    return seconds


def echo(port: int, authority: str, size: int) -> None:
    """Send back whatever comes."""
    context = ssl.create_default_context(cadata=authority)
    with context.wrap_socket(
        socket.create_connection(("127.0.0.1", port)), server_hostname="localhost"
    ) as line:
        while data := receive(line, size):
            line.sendall(data)


def receive(line: ssl.SSLSocket, size: int) -> bytearray:
    """Read so many bytes; nothing if the line was closed."""
    data = bytearray(size)
    view = memoryview(data)
    while view:
        count = line.recv_into(view)
        if not count:
            return bytearray()
        view = view[count:]
    return data


def main() -> None:
    """Print medians."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    asked = parser.parse_args()
    told = {}
    for name, sites, values in (
        ("tiny model, 10 sites", 10, 64),
        ("100 MB, 3 sites", 3, 25_000_000),
    ):
        count = asked.rounds * 3 if values < 1000 else asked.rounds
        bare = float(np.median(floor(sites, values, count=count)))
        seconds, memory_mb = rounds(sites, values, count=count)
        ours = float(np.median(seconds[1:]))
        told[name] = {"floor_s": bare, "fedpet_s": ours, "memory_mb": memory_mb}
        print(f"{name:<24} floor {bare:.4f} s   fedpet {ours:.4f} s   {ours / bare:.1f}x")
        print(f"{'':<24} memory that the rounds took in the asking process {memory_mb:.0f} MB")
    print(json.dumps(told))


if __name__ == "__main__":
    main()
