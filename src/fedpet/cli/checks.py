"""Preflights: everything that must be right, tried one after another, each line with what to do."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING

from fedpet.cli.terminal import Answer
from fedpet.errors import FedpetError, StoreError

if TYPE_CHECKING:
    from fedpet.engines.nats.connection import Door
    from fedpet.engines.nats.home import Home
    from fedpet.engines.nats.relay import Proxy

DISK_MIN_BYTES = 5e9
SKEW_MAX_S = 300.0
CONNECT_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at.

    Args:
        name: What.
        found: What was found.
        do: What to do; empty if it is right.
        needed: Whether nothing works without it.
    """

    name: str
    found: str
    do: str = ""
    needed: bool = True


def answer_of(checks: Iterable[Check]) -> Answer:
    """Return the answer of a command that checks; an error if something needed is wrong."""
    done = list(checks)
    wrong = [check for check in done if check.do and check.needed]
    lines = []
    for check in done:
        sign = "✓" if not check.do else "✗" if check.needed else "!"
        lines.append(f"{sign} {check.name:<14} {check.found}")
        if check.do:
            lines.append(f"  {'':<14} {check.do}")
    error = None
    if wrong:
        things = "thing is" if len(wrong) == 1 else "things are"
        error = StoreError(
            f"{len(wrong)} {things} missing.", do=[check.do for check in wrong], code="FP-3058"
        )
    rows = [
        {"name": c.name, "ok": not c.do, "needed": c.needed, "found": c.found, "do": c.do}
        for c in done
    ]
    return Answer(data={"checks": rows}, text="\n".join(lines), error=error)


def coordinator_checks(home: Home, folder: Path) -> Iterator[Check]:
    """Look for everything that a coordinator needs."""
    from fedpet.cli.services import Service

    settings = home.settings
    yield _broker()
    yield _disk(folder)
    yield _clock(None)
    try:
        found = ", ".join(socket.gethostbyname_ex(settings.host)[2])
        yield Check(name="name", found=f"{settings.host} is {found}")
    except OSError:
        yield Check(
            name="name",
            found=f"{settings.host} is not known to the name service of this machine",
            do="Hospitals must be able to look it up: ask for a DNS entry, or give an address.",
            needed=False,
        )
    days = home.authority.days_left(home.names())
    yield Check(name="certificate", found=f"holds for {days:.0f} days; renewed by itself")
    if Service(folder, what="coordinator").running():
        yield Check(name="port", found=f"{settings.listen_port} is ours: the coordinator runs")
        return
    yield from _ports(settings.listen_host, (settings.listen_port, settings.metrics_port))


def node_checks(hospital: Path, *, join: Path | None) -> Iterator[Check]:
    """Look for everything that a node needs, from its keys to its data.

    Args:
        hospital: The hospital's folder.
        join: An invitation to look at in place of the federation that was joined.
    """
    from fedpet.engines.nats.invitation import read_invitation
    from fedpet.engines.nats.site import SiteFiles

    files = SiteFiles(folder=hospital / "node")
    yield _tried("keys", files.require, lambda identity: identity.public.fingerprint[:16])
    yield _disk(hospital)
    yield from _data(hospital)
    yield _graphics()
    try:
        pinned = files.pinned() if join is None else read_invitation(join)
        door, proxy = files.door(pinned), files.proxy()
    except FedpetError as error:
        yield Check(name="coordinator", found=error.title, do=" ".join(error.do) or error.why)
        return
    yield from _way(door, proxy)


def _way(door: Door, proxy: Proxy | None) -> Iterator[Check]:
    """Follow the way to the coordinator: name, proxy, TLS, clock."""
    from fedpet.engines.nats.relay import through

    first = proxy.host if proxy else door.host
    try:
        found = ", ".join(socket.gethostbyname_ex(first)[2])
        yield Check(name="name", found=f"{first} is {found}")
    except OSError:
        yield Check(
            name="name",
            found=f"{first} is not known to the name service of this machine",
            do="Ask the network team whether outside names are resolved here; perhaps the way out "
            "leads through a proxy: [proxy] in node.toml.",
        )
        return

    async def shake_hands() -> str:
        async with through(proxy, door) as way, asyncio.timeout(CONNECT_S):
            if proxy is not None:
                from fedpet.engines.nats.relay import tunnel

                (await tunnel(proxy, door))[1].close()
            _, writer = await asyncio.open_connection(
                way.host, way.port, ssl=way.context(), server_hostname=way.name
            )
            version = str(writer.get_extra_info("ssl_object").version())
            writer.close()
            return version

    by = f" through {proxy.host}:{proxy.port}" if proxy else ""
    try:
        version = asyncio.run(shake_hands())
    except FedpetError as error:
        yield Check(name="proxy", found=error.title, do=" ".join(error.do))
        return
    except ssl.SSLCertVerificationError as error:
        yield Check(
            name="tls",
            found=f"the server is not the coordinator that was pinned: {error.verify_message}",
            do="Compare the clock of this machine; ask whether a proxy inspects TLS here, and let "
            "it pass this address through or give authority_file in node.toml.",
        )
        return
    except (OSError, TimeoutError, ssl.SSLError):
        yield Check(
            name="connection",
            found=f"{door.host}:{door.port} cannot be reached{by}",
            do="Ask the network team to let this machine out to that address and port "
            "(docs/deploy.md has the table for them), and whether the coordinator runs.",
        )
        return
    yield Check(name="connection", found=f"{door.host}:{door.port} is reached{by}")
    yield Check(name="tls", found=f"{version}, the coordinator's own certificate")
    yield _clock(proxy)


def _tried(name: str, work: Callable[[], object], told: Callable[..., str]) -> Check:
    try:
        return Check(name=name, found=told(work()))
    except FedpetError as error:
        return Check(name=name, found=error.title, do=" ".join(error.do))


def _data(hospital: Path) -> Iterator[Check]:
    if not (hospital / "cohort" / "cohort.json").exists():
        yield Check(
            name="data",
            found="no cohort is built here",
            do=f"Build it: fedpet cohort build {hospital}",
        )
        return
    from fedpet.cohort.samples import open_cohort

    yield _tried(
        "data",
        lambda: open_cohort(hospital / "cohort"),
        lambda cohort: f"cohort '{cohort.name}' with {len(cohort.subjects)} subjects",
    )


def _graphics() -> Check:
    program = shutil.which("nvidia-smi")
    if program is None:
        return Check(name="gpu", found="none; the processor is used")
    asked = [program, "--query-gpu=name,memory.free", "--format=csv,noheader"]
    try:
        found = subprocess.run(  # noqa: S603  (our own words)
            asked, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return Check(
            name="gpu",
            found="there is one, but its driver does not answer",
            do="Ask whoever looks after the machine to restart the driver.",
            needed=False,
        )
    return Check(name="gpu", found="; ".join(found.stdout.strip().splitlines()))


def _broker() -> Check:
    from fedpet.engines.nats.broker import program

    def version() -> str:
        told = subprocess.run(  # noqa: S603  (our own words)
            [program(), "--version"], capture_output=True, text=True, timeout=10, check=False
        )
        return told.stdout.strip()

    return _tried("broker", version, str)


def _disk(folder: Path) -> Check:
    free = shutil.disk_usage(folder if folder.exists() else folder.parent).free
    found = f"{free / 1e9:.1f} GB free"
    do = "" if free > DISK_MIN_BYTES else "Make room: models and answers need 5 GB at least."
    return Check(name="disk", found=found, do=do)


def _clock(proxy: Proxy | None) -> Check:
    """Compare the clock with that of a server nearby, where one tells the time."""
    now = time.time()
    if proxy is not None:
        told = _date_of(proxy)
        if told is not None and abs(told - now) > SKEW_MAX_S:
            return Check(
                name="clock",
                found=f"differs from the proxy's by {abs(told - now):.0f} s",
                do="Switch time synchronisation on (timedatectl set-ntp true).",
            )
    return Check(name="clock", found=time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now)))


def _date_of(proxy: Proxy) -> float | None:
    import http.client

    try:
        connection = http.client.HTTPConnection(proxy.host, proxy.port, timeout=CONNECT_S)
        connection.request("HEAD", "/")
        date = connection.getresponse().getheader("Date")
        connection.close()
        return None if date is None else parsedate_to_datetime(date).timestamp()
    except (OSError, http.client.HTTPException, ValueError):
        return None


def _ports(host: str, ports: Iterable[int]) -> Iterator[Check]:
    for port in ports:
        if not port:
            continue
        address = host if port == next(iter(ports)) else "127.0.0.1"
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
                yield Check(name="port", found=f"{address}:{port} is free")
            except PermissionError:
                yield Check(
                    name="port",
                    found=f"{address}:{port} may not be used by this user",
                    do="Give the broker the right (setcap cap_net_bind_service), or use a port "
                    "above 1023 behind a port forward.",
                )
            except OSError:
                yield Check(
                    name="port",
                    found=f"{address}:{port} is taken by another program",
                    do="Stop that program, or choose another port in coordinator.toml.",
                )
