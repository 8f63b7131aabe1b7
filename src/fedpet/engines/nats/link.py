"""A site's line to the coordinator: takes questions one by one, answers, gives signs of life.

```
pull a letter -> known answer? -> arrays into a file -> the node's door -> answer into the outbox
              -> arrays out in chunks -> answer letter -> cross the question off
```
A question is crossed off when the broker holds its answer; a kill before that brings it back.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from fedpet import __version__
from fedpet.engines.answers import failed
from fedpet.engines.nats import bulk, streams, subjects
from fedpet.engines.nats.beats import BEAT_S, Beat
from fedpet.engines.nats.chunks import ENCLOSED_BYTES, HEX, bulk_of, viewed
from fedpet.engines.nats.connection import Credentials, Door, connected, persistently
from fedpet.engines.nats.letters import Letter, open_letter, read, seal
from fedpet.engines.nats.outbox import Outbox
from fedpet.errors import EngineError, FedpetError, RefusalError, StoreError, UpdateError
from fedpet.federation.messages import HEADER_LIMIT_BYTES, Request, header_of, message_of
from fedpet.privacy.identity import Identity, PublicIdentity

log = logging.getLogger(__name__)
PULL_S = 5.0
REFUSED_WAIT_S = 20.0


class Worker(Protocol):
    """What answers at the site: header and arrays in, header and arrays out."""

    async def answer(self, header: bytes, arrays: Path | None, out: Path) -> bytes:
        """Answer a request.

        Args:
            header: The request without its arrays.
            arrays: File that holds its arrays, or None.
            out: Where to write the reply's arrays, if there are any.

        Returns:
            The reply's header.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """A site's place in a federation.

    Args:
        site: Its name.
        federation: Identifier of the federation.
        door: Where the broker is.
        seed: The site's NKey seed.
        identity: The site's key.
        coordinator: The coordinator's key, pinned when the site joined.
        folder: For arrays that arrive and answers that leave.
    """

    site: str
    federation: str
    door: Door
    seed: str
    identity: Identity
    coordinator: PublicIdentity
    folder: Path


class Link:
    """Serve a federation until told to stop.

    Args:
        post: The site's place in it.
        worker: What answers.
        tell: Called with the state of the line in words, whenever it changes.
        pin: Called with every roster that the coordinator signed.
    """

    def __init__(
        self,
        post: Post,
        worker: Worker,
        *,
        tell: Callable[[str], None],
        pin: Callable[[bytes], None],
    ) -> None:
        self._post = post
        self._pin = pin
        self._worker = worker
        self._tell = tell
        self._outbox = Outbox(post.folder / "outbox")
        self._inbox = post.folder / "inbox"
        host = socket.gethostname()[:100]
        self.beat = Beat(instance=_instance(host, post), host=host, software=__version__)

    async def serve(self) -> None:
        """Serve until cancelled; whatever breaks is tried again.

        Raises:
            RefusalError: If another node already runs with this site's identity.
        """
        while True:
            try:
                await self._session()
            except RefusalError as error:
                if error.code == "FP-6107":
                    raise
                self._tell(str(error))
                await asyncio.sleep(REFUSED_WAIT_S)
            except (TimeoutError, FedpetError, NatsError, OSError) as error:
                self._tell(f"waiting: {error}")
                await asyncio.sleep(1)

    async def _session(self) -> None:
        post = self._post
        self._tell("connecting")
        async with connected(post.door, Credentials(member=post.site, seed=post.seed)) as client:
            await client.subscribe(subjects.roster(post.site), cb=self._told_roster)
            await self._introduce(client)
            self._tell("connected")
            questions = await client.jetstream().pull_subscribe_bind(
                durable=post.site, stream=subjects.ASKS
            )
            beating = asyncio.create_task(self._give_signs(client))
            try:
                while not client.is_closed:
                    try:
                        messages = await questions.fetch(1, timeout=PULL_S)
                    except (TimeoutError, NatsError):
                        await asyncio.sleep(0.01)
                        continue
                    await self._take(client, messages[0])
            finally:
                beating.cancel()
        raise EngineError("The coordinator closed the connection.", code="FP-4008")

    async def _introduce(self, client: Client) -> None:
        """Say who and where this node is; hear whether it may serve.

        Raises:
            RefusalError: If it may not.
        """
        post = self._post
        letter = Letter(
            federation=post.federation,
            kind="hello",
            author=post.site,
            to=subjects.COORDINATOR,
            about=secrets.token_hex(16),
            body={"instance": self.beat.instance, "host": self.beat.host, "version": __version__},
        )
        data = seal(letter, post.identity)
        while True:
            try:
                message = await persistently(client, subjects.hello(post.site), data, idle_s=5)
                break
            except EngineError:
                if client.is_closed:
                    raise
                self._tell("waiting for the coordinator")
        welcome = self._opened(message, "welcome")
        if welcome.about != letter.about:
            raise UpdateError("The coordinator answered another greeting.")
        if welcome.body.get("refused"):
            code = str(welcome.body.get("code", "FP-5110"))
            raise RefusalError(str(welcome.body["refused"]), code=code)
        self._keep_roster(welcome)

    async def _told_roster(self, message: Msg) -> None:
        try:
            self._keep_roster(self._opened(message, "roster"))
        except FedpetError as error:
            log.warning("roster_refused reason=%s", error)

    def _keep_roster(self, letter: Letter) -> None:
        if isinstance(letter.body.get("roster"), str):
            self._pin(str(letter.body["roster"]).encode())

    def _opened(self, message: Msg, kind: str) -> Letter:
        """Read a letter of the coordinator to this site."""
        return open_letter(
            message.data,
            author=self._post.coordinator,
            federation=self._post.federation,
            kind=kind,
            written_by=subjects.COORDINATOR,
            to=self._post.site,
        )

    async def _give_signs(self, client: Client) -> None:
        post = self._post
        while True:
            data = self.beat.sealed(post.identity, federation=post.federation, site=post.site)
            try:
                await client.publish(subjects.beat(post.site), data)
            except (NatsError, OSError):
                log.info("sign_not_sent")
            await asyncio.sleep(BEAT_S)

    async def _take(self, client: Client, message: Msg) -> None:
        working = asyncio.create_task(self._in_progress(message))
        try:
            experiment = message.subject.rpartition(".")[2]
            try:
                letter = self._read(message)
            except FedpetError as error:
                log.warning("question_refused reason=%s", error)
                await message.term()
                return
            if await self._answer(client, letter, experiment):
                await message.ack()
            else:
                await message.term()
        finally:
            working.cancel()
            self.beat = replace(self.beat, state="idle", step="", about="")

    def _read(self, message: Msg) -> Letter:
        post = self._post
        letter = self._opened(message, "ask")
        if not HEX.fullmatch(letter.about):
            raise UpdateError("A question has no identifier.")
        asked = message_of(json.dumps(dict(letter.body)).encode(), {})
        if not isinstance(asked, Request) or asked.site != post.site:
            raise UpdateError("A question is none, or is meant for another site.")
        if subjects.ask(post.site, asked.experiment) != message.subject:
            raise UpdateError("A question lies under another experiment.")
        return letter

    async def _answer(self, client: Client, letter: Letter, experiment: str) -> bool:
        """Answer a question; return False if it is no longer asked."""
        post = self._post
        name = str(letter.body.get("experiment"))
        step = str(letter.body.get("step"))[:200]
        self.beat = replace(self.beat, state="receiving", step=step, about=letter.about)
        data = self._outbox.letter(letter.about)
        if data is None or not self._own(data):
            try:
                arrays = await self._receive(client, letter, name)
                self.beat = replace(self.beat, state="working")
                data = await self._work(letter, arrays)
            except EngineError as error:
                if error.code == "FP-4006":
                    log.info("question_over step=%s", step)
                    return False
                raise
            except OSError as error:
                log.error("disk_failed step=%s reason=%s", step, error.strerror)
                data = self._excuse(letter)
        self.beat = replace(self.beat, state="sending")
        sealed = read(data)[0]
        if sealed.bulk is not None:
            content = viewed(self._outbox.arrays(letter.about))
            await bulk.publish(client, content, sealed.bulk, author=post.site, experiment=name)
        subject = f"fedpet.answer.{post.site}.{experiment}"
        await bulk.stored(client, subject, data)
        return True

    def _own(self, data: bytes) -> bool:
        """Whether an answer was signed with the key that this site has now."""
        try:
            open_letter(
                data,
                author=self._post.identity.public,
                federation=self._post.federation,
                kind="answer",
                written_by=self._post.site,
                to=subjects.COORDINATOR,
            )
        except FedpetError:
            return False
        return True

    def _excuse(self, letter: Letter) -> bytes:
        """Return the sealed answer of a site whose disk does not take what it must."""
        asked = message_of(json.dumps(dict(letter.body)).encode(), {})
        assert isinstance(asked, Request)
        excuse = failed(asked, "This hospital's disk is full, or cannot be written.")
        return seal(self._about(letter, header_of(excuse)), self._post.identity)

    def _about(self, letter: Letter, reply: bytes) -> Letter:
        return Letter(
            federation=self._post.federation,
            kind="answer",
            author=self._post.site,
            to=subjects.COORDINATOR,
            about=letter.about,
            body=json.loads(reply),
        )

    async def _receive(self, client: Client, letter: Letter, experiment: str) -> Path | None:
        self._inbox.mkdir(parents=True, exist_ok=True)
        if letter.bulk is None:
            if not letter.enclosed:
                return None
            path = self._inbox / letter.about
            path.write_bytes(letter.enclosed)
            return path
        path = self._inbox / letter.bulk.name
        for other in self._inbox.iterdir():
            if not other.name.startswith(path.name):
                other.unlink()
        return await bulk.fetch(
            client, letter.bulk, path, author=subjects.COORDINATOR, experiment=experiment
        )

    async def _work(self, letter: Letter, arrays: Path | None) -> bytes:
        """Let the node answer, and return the sealed answer; in the outbox by then if it is one."""
        post = self._post
        header = json.dumps(dict(letter.body), sort_keys=True).encode()
        out = self._outbox.arrays(letter.about)
        out.unlink(missing_ok=True)
        try:
            reply = await self._worker.answer(header, arrays, out)
        finally:
            if arrays is not None and letter.bulk is None:
                arrays.unlink(missing_ok=True)
        if len(reply) > HEADER_LIMIT_BYTES:
            raise StoreError("The worker's answer is longer than a message may be.")
        answer = self._about(letter, reply)
        if out.exists():
            if out.stat().st_size <= ENCLOSED_BYTES:
                answer = replace(answer, enclosed=out.read_bytes())
                out.unlink()
            else:
                described = await asyncio.to_thread(bulk_of, viewed(out))
                answer = replace(answer, bulk=described)
        data = seal(answer, post.identity)
        if answer.body.get("status") == "ok":  # what failed is tried when it is asked again
            self._outbox.keep(letter.about, data)
        return data

    async def _in_progress(self, message: Msg) -> None:
        while True:
            await asyncio.sleep(streams.ACK_WAIT_S / 3)
            try:
                await message.in_progress()
            except (NatsError, OSError):
                log.info("progress_not_told")


def _instance(host: str, post: Post) -> str:
    """Name this node by machine and folder: a restart is the same one, a copy elsewhere is not."""
    place = f"{post.site}\n{host}\n{post.folder.resolve()}"
    return hashlib.sha256(place.encode()).hexdigest()[:16]
