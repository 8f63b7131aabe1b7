"""The only port between an experiment and its sites."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from fedpet.federation.messages import Reply, Request


class Engine(Protocol):
    """Carries requests to nodes and replies back; knows nothing of what they mean."""

    @property
    def sites(self) -> tuple[str, ...]:
        """Names of the sites that can be asked."""
        ...

    def exchange(self, requests: Sequence[Request]) -> Iterator[Reply]:
        """Yield one reply per request, in the order in which they arrive.

        A site that cannot be reached, or answers garbage, yields a reply with status `failed`;
        an engine never raises for what one site does.
        """
        ...
