"""One connection to the broker: TLS 1.3, an NKey, reconnecting for as long as it takes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from fedpet.engines.nats.subjects import inbox
from fedpet.errors import EngineError, RefusalError

log = logging.getLogger(__name__)
PENDING_BYTES = 64 << 20
CONNECT_S = 5
PING_S = 10
RETRY_S = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Where the broker is, and how to know that it is the right one.

    Args:
        host: Name or address to connect to.
        port: TCP port.
        name: Name that its certificate must bear.
        authority: Certificate of the coordinator's authority, PEM: the only one that is trusted.
        also_trusted: PEM of a further authority, such as a hospital's that inspects TLS.
    """

    host: str
    port: int
    name: str
    authority: str
    also_trusted: str = ""

    def context(self) -> ssl.SSLContext:
        """Return TLS settings: version 1.3, and no authority but the pinned ones.

        Raises:
            EngineError: If the certificates cannot be read.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        try:
            context.load_verify_locations(cadata=self.authority)
            if self.also_trusted:
                context.load_verify_locations(cadata=self.also_trusted)
        except (ssl.SSLError, ValueError) as error:
            raise EngineError(
                "The certificate of the coordinator's authority cannot be read.",
                do="Ask the coordinator for a new invitation.",
                code="FP-4003",
            ) from error
        return context


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Who signs in.

    Args:
        member: Name of the member; its answers arrive at its own inbox.
        seed: Its NKey seed.
    """

    member: str
    seed: str


@asynccontextmanager
async def connected(
    door: Door, credentials: Credentials, *, patient: bool = True
) -> AsyncIterator[Client]:
    """Connect, and reconnect until the block ends.

    Args:
        door: Where.
        credentials: Who.
        patient: Whether to wait for a broker that is not there yet, instead of raising.

    Raises:
        EngineError: If the broker cannot be reached and nobody wants to wait.
        RefusalError: If the broker does not know the credentials.
    """
    client = await _connect(door, credentials)
    while client is None and patient:
        await asyncio.sleep(RETRY_S)
        client = await _connect(door, credentials)
    if client is None:
        raise EngineError(
            f"Cannot reach the coordinator at {door.host}:{door.port}.",
            do=("Is it started, and does the firewall let this machine out to that port?",),
            code="FP-4001",
        )
    try:
        yield client
    finally:
        with contextlib.suppress(NatsError, OSError, asyncio.TimeoutError):
            await client.close()


async def _connect(door: Door, credentials: Credentials) -> Client | None:
    if not await _shake_hands(door):
        return None
    told: list[Exception] = []

    async def note(error: Exception) -> None:
        told.append(error)
        log.info("broker_unreachable reason=%s", type(error).__name__)
        if established and not closing and _unknown(error):
            closing.append(asyncio.create_task(client.close()))  # waiting would not mend it

    established = False
    closing: list[asyncio.Task[None]] = []
    client = Client()
    try:
        await client.connect(
            servers=[f"tls://{door.host}:{door.port}"],
            tls=door.context(),
            tls_hostname=door.name,
            tls_handshake_first=True,
            nkeys_seed_str=credentials.seed,
            name=credentials.member,
            inbox_prefix=inbox(credentials.member),
            allow_reconnect=True,
            max_reconnect_attempts=1,
            reconnect_time_wait=RETRY_S,  # type: ignore[arg-type]
            connect_timeout=CONNECT_S,
            ping_interval=PING_S,
            max_outstanding_pings=2,
            pending_size=PENDING_BYTES,
            error_cb=note,
        )
    except (TimeoutError, NatsError, OSError) as error:
        told.append(error)
        with contextlib.suppress(NatsError, OSError, asyncio.TimeoutError):
            await client.close()
        _explain(told)
        return None
    established = True
    client.options["max_reconnect_attempts"] = -1  # from now on for as long as it takes
    return client


async def _shake_hands(door: Door) -> bool:
    """Look whether the server is there, and is the right one; its client library would not tell.

    Raises:
        EngineError: If it is another server.
    """
    try:
        async with asyncio.timeout(CONNECT_S):
            _, writer = await asyncio.open_connection(
                door.host, door.port, ssl=door.context(), server_hostname=door.name
            )
            writer.close()
    except ssl.SSLCertVerificationError as error:
        raise EngineError(
            f"The server at {door.host}:{door.port} is not the coordinator that is expected.",
            why=f"Its certificate: {error.verify_message}.",
            do=(
                "Ask the coordinator for the fingerprint of its authority, and compare.",
                "Does a proxy here inspect TLS? Let it pass this address through.",
                "Is the clock of this machine right?",
            ),
            code="FP-4002",
        ) from error
    except (OSError, TimeoutError):
        return False
    return True


def _explain(told: list[Exception]) -> None:
    """Raise what waiting does not mend."""
    for error in told:
        if _unknown(error):
            raise RefusalError(
                "The coordinator does not know this key, or no longer.",
                do="Ask it whether the invitation has expired, or the site was revoked.",
                code="FP-5110",
            ) from error


def _unknown(error: Exception) -> bool:
    return "authorization violation" in str(error).lower()


async def persistently(client: Client, subject: str, data: bytes, *, idle_s: float) -> Msg:
    """Send a request until it is answered; a broken line is waited for.

    Args:
        client: The connection.
        subject: Where to.
        data: What.
        idle_s: How long to try.

    Raises:
        EngineError: If there was no answer in that time.
    """
    clock = asyncio.get_running_loop().time
    until = clock() + idle_s
    while True:
        try:
            return await client.request(subject, data, timeout=min(5.0, idle_s))
        except (NatsError, OSError):
            await asyncio.sleep(RETRY_S)
        if clock() > until:
            raise EngineError(f"The broker gave no answer for {idle_s:.0f} s.", code="FP-4004")


def _matters(record: logging.LogRecord) -> bool:
    return "eof_received" not in str(record.msg)


logging.getLogger("asyncio").addFilter(_matters)  # every close of a TLS stream would be told
