"""Names at the broker: streams, subjects, and what each member may publish and read."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from fedpet.errors import PlanError

ASKS, ANSWERS, CHUNKS = "FEDPET_ASKS", "FEDPET_ANSWERS", "FEDPET_CHUNKS"
COORDINATOR = "coordinator"
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,47}")
RESERVED = frozenset({COORDINATOR, "all", "pooled"})


def require_name(site: str) -> str:
    """Return a site's name if it can stand in a subject.

    Raises:
        PlanError: If it cannot, or is taken by the federation itself.
    """
    if not NAME.fullmatch(site) or site in RESERVED:
        raise PlanError(
            f"'{site[:60]}' cannot name a site.",
            why="A site's name holds a to z, 0 to 9 and '-', at most 48, and none of "
            f"{', '.join(sorted(RESERVED))}.",
            do="Choose a short name, such as nice or lyon-sud.",
            code="FP-2020",
        )
    return site


def token(experiment: str) -> str:
    """Return a word for an experiment, whatever its identifier holds."""
    return hashlib.sha256(experiment.encode()).hexdigest()[:16]


def ask(site: str, experiment: str) -> str:
    """Where a site is asked."""
    return f"fedpet.ask.{site}.{token(experiment)}"


def answer(site: str, experiment: str) -> str:
    """Where a site answers; `*` for every site."""
    return f"fedpet.answer.{site}.{token(experiment)}"


def chunk(author: str, experiment: str, digest: str) -> str:
    """Where a chunk of an author's arrays lies; `>` for all of them."""
    return f"fedpet.chunk.{author}.{token(experiment)}.{digest}"


def beat(site: str) -> str:
    """Where a site tells that it is there; `*` for every site."""
    return f"fedpet.beat.{site}"


def hello(site: str) -> str:
    """Where a site introduces itself; `*` for every site."""
    return f"fedpet.hello.{site}"


def join(invitation: str) -> str:
    """Where an invited site asks to join; `*` for every invitation."""
    return f"fedpet.join.{invitation}"


def roster(site: str) -> str:
    """Where a site hears of a new list of members."""
    return f"{inbox(site)}.roster"


def inbox(member: str) -> str:
    """Prefix of the subjects on which a member, and nobody else, receives."""
    return f"_INBOX.{member}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Permissions:
    """Subjects that a member may publish to and read from.

    Args:
        publish: Allowed subjects.
        subscribe: Allowed subjects.
    """

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


def of_site(site: str) -> Permissions:
    """Return what a site may do: take its own questions, answer them, read models."""
    return Permissions(
        publish=(
            f"fedpet.answer.{site}.>",
            f"fedpet.chunk.{site}.>",
            beat(site),
            hello(site),
            f"$JS.API.CONSUMER.MSG.NEXT.{ASKS}.{site}",
            f"$JS.ACK.{ASKS}.{site}.>",
            f"$JS.API.DIRECT.GET.{CHUNKS}.fedpet.chunk.{COORDINATOR}.>",
        ),
        subscribe=(f"{inbox(site)}.>",),
    )


def of_candidate(site: str) -> Permissions:
    """Return what a site may do that joined and is not approved: greet, and hear that it waits."""
    return Permissions(publish=(hello(site),), subscribe=(f"{inbox(site)}.>",))


def of_invitation(invitation: str) -> Permissions:
    """Return what the holder of an invitation may do: ask to join, and hear the answer."""
    return Permissions(publish=(join(invitation),), subscribe=(f"{inbox(invitation)}.>",))


def of_coordinator() -> Permissions:
    """Return what the coordinator may do."""
    return Permissions(publish=("fedpet.>", "$JS.>", "_INBOX.>"), subscribe=(">",))
