"""What an experiment asks becomes letters, and the letters of sites become replies."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import secrets
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.client import JetStreamContext

from fedpet.engines.answers import as_asked, failed
from fedpet.engines.nats import bulk, streams, subjects
from fedpet.engines.nats.beats import Presence
from fedpet.engines.nats.chunks import ENCLOSED_BYTES, bulk_of
from fedpet.engines.nats.connection import Credentials, Door, connected
from fedpet.engines.nats.letters import Letter, open_letter, read, seal
from fedpet.errors import EngineError, FedpetError, UpdateError
from fedpet.federation.messages import Reply, Request, header_of, message_of
from fedpet.parameters import Array, Parameters, from_bytes, mapped, to_bytes
from fedpet.privacy.identity import Identity, PublicIdentity

log = logging.getLogger(__name__)
FETCH_S = 2.0
WATCH_S = 0.5
EARLY_MAX = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a step waits for a site.

    Args:
        away_s: Without any sign of it.
        deadline_s: In all.
    """

    away_s: float = 60.0
    deadline_s: float = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A site as the coordinator knows it.

    Args:
        identity: Its key.
        barred: Why it may not be asked now; empty if it may.
    """

    identity: PublicIdentity
    barred: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """Who asks, and where.

    Args:
        federation: Identifier of the federation.
        door: Where the broker is.
        credentials: The coordinator's, for the broker.
        identity: The coordinator's key.
    """

    federation: str
    door: Door
    credentials: Credentials
    identity: Identity


class Correspondence:
    """The letters of one experiment; use as an asynchronous context.

    Args:
        office: Who asks, and where.
        experiment: Identifier of the experiment.
        members: Returns the sites as they are now, by name.
        patience: How long a step waits for a site.
        folder: Where arrays of answers lie until they are added; a temporary one unless told.
    """

    def __init__(
        self,
        office: Office,
        *,
        experiment: str,
        members: Callable[[], Mapping[str, Member]],
        patience: Patience,
        folder: Path | None,
    ) -> None:
        self._office = office
        self._experiment = experiment
        self._members = members
        self._patience = patience
        self._folder = folder
        self._wanted: dict[str, asyncio.Future[Letter]] = {}
        self._early: dict[str, Letter] = {}
        self._answered: set[str] = set()  # sites whose last question was answered
        self._stack = AsyncExitStack()
        self._spool: Path
        self._client: Client
        self._heard_since = 0.0
        self.presence = Presence(office.federation)

    async def __aenter__(self) -> Correspondence:
        enter = self._stack.enter_async_context
        spool = tempfile.TemporaryDirectory(dir=self._folder, prefix=".arriving-")
        self._spool = Path(self._stack.enter_context(spool))
        try:
            office = self._office
            self._client = await enter(connected(office.door, office.credentials))
            js = self._client.jetstream()
            await self._client.subscribe(subjects.beat("*"), cb=self._heard)
            self._heard_since = asyncio.get_running_loop().time()
            reader = f"run-{subjects.token(self._experiment)}-{secrets.token_hex(4)}"
            answers = await streams.listen(js, self._experiment, reader=reader)
            self._stack.push_async_callback(_forget, js, reader)
            listening = asyncio.create_task(self._listen(answers))
            self._stack.callback(listening.cancel)
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def exchange(
        self,
        requests: Sequence[Request],
        members: Mapping[str, Member],
        arrived: Callable[[Reply], None],
    ) -> None:
        """Ask every request's site at once; hand over each reply when it arrives."""
        laid_down: dict[tuple[tuple[str, int], ...], asyncio.Task[Letter]] = {}

        async def one(request: Request) -> None:
            try:
                reply = await self._ask(request, members[request.site], laid_down)
            except FedpetError as error:
                log.warning("site_failed site=%s reason=%s", request.site, error)
                reply = failed(request, error.title)
            except OSError as error:
                log.error("disk_failed reason=%s", error.strerror)
                reply = failed(request, "The coordinator's disk is full, or cannot be written.")
            arrived(reply)

        try:
            async with asyncio.TaskGroup() as group:
                for request in requests:
                    group.create_task(one(request))
        finally:
            if any(letter.done() and letter.result().bulk for letter in laid_down.values()):
                await self._clear()

    async def _ask(
        self,
        request: Request,
        member: Member,
        laid_down: dict[tuple[tuple[str, int], ...], asyncio.Task[Letter]],
    ) -> Reply:
        if member.barred:
            return failed(request, member.barred)
        same = tuple((name, id(array)) for name, array in request.arrays.items())
        if same not in laid_down:
            laid_down[same] = asyncio.create_task(self._lay_down(request.arrays))
        arrays = await asyncio.shield(laid_down[same])
        header = header_of(replace(request, arrays={}))
        about = _question(header, arrays)
        letter = replace(arrays, to=request.site, about=about, body=json.loads(header))
        answer: asyncio.Future[Letter] = asyncio.get_running_loop().create_future()
        self._wanted[about] = answer
        try:
            if about in self._early:
                early = await self._early_reply(request, self._early.pop(about))
                if early is not None:
                    return early
            await self._send(letter)
            reason = await self._wait(request.site, answer)
            if reason:
                return failed(request, reason)
            self._answered.add(request.site)
            return await self._reply(request, answer.result())
        finally:
            del self._wanted[about]

    async def _early_reply(self, request: Request, letter: Letter) -> Reply | None:
        """Return an answer that was there before it was asked for, if all of it is still there."""
        try:
            return await self._reply(request, letter)
        except EngineError:
            return None

    async def _lay_down(self, arrays: Parameters) -> Letter:
        """Return a letter with arrays in it, or with those that it laid down at the broker."""
        letter = Letter(
            federation=self._office.federation,
            kind="ask",
            author=subjects.COORDINATOR,
            to=subjects.COORDINATOR,
        )
        if not arrays:
            return letter
        data = to_bytes(arrays)
        if len(data) <= ENCLOSED_BYTES:
            return replace(letter, enclosed=data)
        described = await asyncio.to_thread(bulk_of, data)
        await bulk.publish(
            self._client,
            data,
            described,
            author=subjects.COORDINATOR,
            experiment=self._experiment,
        )
        return replace(letter, bulk=described)

    async def _send(self, letter: Letter) -> None:
        subject = subjects.ask(letter.to, self._experiment)
        if letter.to not in self._answered:
            # A question that was not taken yet is of a step that is over, or of a former run.
            await _purge(self._client, subjects.ASKS, subject)
        self._answered.discard(letter.to)
        data = seal(letter, self._office.identity)
        await bulk.stored(self._client, subject, data, idle_s=self._patience.deadline_s)

    async def _wait(self, site: str, answer: asyncio.Future[Letter]) -> str:
        """Wait for an answer; return why it is no longer waited for, or an empty text."""
        clock = asyncio.get_running_loop().time
        started = clock()
        while not answer.done():
            await asyncio.wait((answer,), timeout=WATCH_S)
            if not self._client.is_connected:
                self._heard_since = clock()  # our own line is broken: nobody can be heard
            away_s = self.presence.away_s(site)
            silent_s = clock() - self._heard_since
            silent_s = silent_s if away_s is None else min(away_s, silent_s)
            if answer.done():
                break
            if self._members()[site].barred:
                return self._members()[site].barred
            if silent_s > self._patience.away_s:
                return f"The site gave no sign for {self._patience.away_s:.0f} s."
            if clock() - started > self._patience.deadline_s:
                return f"The site did not answer in {self._patience.deadline_s:.0f} s."
        return ""

    async def _reply(self, request: Request, letter: Letter) -> Reply:
        arrays: Mapping[str, Array] = {}
        if letter.bulk is not None:
            path = await bulk.fetch(
                self._client,
                letter.bulk,
                self._spool / secrets.token_hex(8),
                author=request.site,
                experiment=self._experiment,
            )
            try:
                arrays = mapped(path)
            finally:
                path.unlink()  # the views keep what they show
        elif letter.enclosed:
            arrays = from_bytes(letter.enclosed)
        header = json.dumps(dict(letter.body)).encode()
        return as_asked(request, message_of(header, arrays))

    async def _heard(self, message: Msg) -> None:
        self.presence.heard(message.data, _identities(self._members()))

    async def _listen(self, answers: JetStreamContext.PullSubscription) -> None:
        while True:
            try:
                messages = await answers.fetch(64, timeout=FETCH_S)
            except (TimeoutError, NatsError, OSError):
                await asyncio.sleep(0.01)
                continue
            for message in messages:
                self._take(message.data)

    def _take(self, data: bytes) -> None:
        try:
            site = read(data)[0].author
            members = self._members()
            if site not in members:
                raise UpdateError("A letter came from somebody who is not a member.")
            letter = open_letter(
                data,
                author=members[site].identity,
                federation=self._office.federation,
                kind="answer",
                written_by=site,
                to=subjects.COORDINATOR,
            )
        except FedpetError as error:
            log.warning("letter_refused reason=%s", error)
            return
        future = self._wanted.get(letter.about)
        if future is None:
            if letter.body.get("status") != "ok":
                return  # what failed is tried again when it is asked again
            self._early[letter.about] = letter  # of a run that was interrupted, perhaps
            while len(self._early) > EARLY_MAX:
                del self._early[next(iter(self._early))]
        elif not future.done():
            future.set_result(letter)

    async def _clear(self) -> None:
        """Forget the arrays of an exchange that is over."""
        await _purge(self._client, subjects.CHUNKS, subjects.chunk("*", self._experiment, ">"))


async def _purge(client: Client, stream: str, subject: str) -> None:
    request = json.dumps({"filter": subject}).encode()
    with contextlib.suppress(NatsError, asyncio.TimeoutError, OSError):
        await client.request(f"$JS.API.STREAM.PURGE.{stream}", request, timeout=5)


async def _forget(js: JetStreamContext, reader: str) -> None:
    with contextlib.suppress(NatsError, asyncio.TimeoutError, OSError):
        await js.delete_consumer(subjects.ANSWERS, reader)


def _question(header: bytes, arrays: Letter) -> str:
    """Return the identifier of a question: the hash of all that is asked."""
    described = arrays.bulk.name.encode() if arrays.bulk else arrays.enclosed
    return hashlib.sha256(header + b"\0" + hashlib.sha256(described).digest()).hexdigest()


def _identities(members: Mapping[str, Member]) -> dict[str, PublicIdentity]:
    return {site: member.identity for site, member in members.items()}
