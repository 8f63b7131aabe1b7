"""What the broker keeps: questions until they are answered, answers and chunks for some days."""

from __future__ import annotations

from dataclasses import dataclass

from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.client import JetStreamContext
from nats.js.errors import NotFoundError

from fedpet.engines.nats import subjects

ACK_WAIT_S = 10.0
DAY_S = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much the broker may keep.

    Args:
        letters_bytes: For questions, and again for answers.
        chunks_bytes: For arrays; the oldest are forgotten first.
        days: How long anything is kept.
    """

    letters_bytes: int = 1 << 30
    chunks_bytes: int = 32 << 30
    days: float = 7.0


async def lay_out(js: JetStreamContext, limits: Limits) -> None:
    """Create the three streams, or bring them up to date."""
    asks = StreamConfig(
        name=subjects.ASKS,
        subjects=["fedpet.ask.*.*"],
        retention=RetentionPolicy.WORK_QUEUE,
        max_bytes=limits.letters_bytes,
        discard=DiscardPolicy.NEW,
    )
    answers = StreamConfig(
        name=subjects.ANSWERS,
        subjects=["fedpet.answer.*.*"],
        max_bytes=limits.letters_bytes,
        max_msgs_per_subject=16,
        discard=DiscardPolicy.OLD,
    )
    chunks = StreamConfig(
        name=subjects.CHUNKS,
        subjects=["fedpet.chunk.*.*.*"],
        max_bytes=limits.chunks_bytes,
        max_msgs_per_subject=1,
        discard=DiscardPolicy.OLD,
        allow_direct=True,
    )
    for stream in (asks, answers, chunks):
        config = stream.evolve(storage=StorageType.FILE, max_age=limits.days * DAY_S)
        try:
            await js.update_stream(config)
        except NotFoundError:
            await js.add_stream(config)


async def admit(js: JetStreamContext, site: str) -> None:
    """Let a site take its questions: one at a time, again after `ACK_WAIT_S` without a sign."""
    await js.add_consumer(
        subjects.ASKS,
        ConsumerConfig(
            durable_name=site,
            filter_subject=f"fedpet.ask.{site}.*",
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=ACK_WAIT_S,
            max_ack_pending=4,
            max_deliver=-1,
        ),
    )


async def listen(
    js: JetStreamContext, experiment: str, *, reader: str
) -> JetStreamContext.PullSubscription:
    """Read an experiment's answers from the first that the broker keeps.

    Args:
        js: The broker.
        experiment: Identifier of the experiment.
        reader: A new name of whoever reads.
    """
    await js.add_consumer(
        subjects.ANSWERS,
        ConsumerConfig(
            durable_name=reader,
            filter_subject=subjects.answer("*", experiment),
            ack_policy=AckPolicy.NONE,
            deliver_policy=DeliverPolicy.ALL,
            inactive_threshold=600.0,
        ),
    )
    return await js.pull_subscribe_bind(durable=reader, stream=subjects.ANSWERS)
