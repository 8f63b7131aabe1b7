"""Signs of life: what a site tells every few seconds, and who is there."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from fedpet.engines.nats.letters import Letter, open_letter, read, seal
from fedpet.engines.nats.subjects import COORDINATOR
from fedpet.errors import FedpetError, UpdateError
from fedpet.privacy.identity import Identity, PublicIdentity

BEAT_S = 2.0
HERE_S = 10.0
TEXT_MAX = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """What a site tells of itself.

    Args:
        instance: Names the node by machine and folder.
        host: Name of its machine.
        state: `idle`, `receiving`, `working` or `sending`.
        step: The step that it works on; empty when idle.
        about: Identifier of the question that it works on.
        software: Version of fedpet.
    """

    instance: str
    host: str
    state: str = "idle"
    step: str = ""
    about: str = ""
    software: str = ""

    def sealed(self, identity: Identity, *, federation: str, site: str) -> bytes:
        """Return the beat as a signed letter."""
        letter = Letter(
            federation=federation, kind="beat", author=site, to=COORDINATOR, body=asdict(self)
        )
        return seal(letter, identity)

    @classmethod
    def from_body(cls, body: Mapping[str, object]) -> Beat:
        """Read the body of a letter.

        Raises:
            UpdateError: If it is anything else.
        """
        names = set(cls.__slots__)
        if set(body) != names or not all(
            isinstance(text, str) and len(text) <= TEXT_MAX for text in body.values()
        ):
            raise UpdateError("A site's sign of life is not well-formed.")
        return cls(**{name: str(body[name]) for name in names})


class Presence:
    """Who gave a sign, and when; forged and foreign signs are passed over.

    Args:
        federation: Identifier of the federation.
    """

    def __init__(self, federation: str) -> None:
        self._federation = federation
        self._last: dict[str, tuple[float, Beat]] = {}

    def heard(self, data: bytes, identities: Mapping[str, PublicIdentity]) -> str | None:
        """Take a beat; return the site, or None if it was not a member's."""
        try:
            site = read(data)[0].author
            if site not in identities:
                return None
            letter = open_letter(
                data,
                author=identities[site],
                federation=self._federation,
                kind="beat",
                written_by=site,
                to=COORDINATOR,
            )
            beat = Beat.from_body(letter.body)
        except FedpetError:
            return None
        self._last[site] = (time.monotonic(), beat)
        return site

    def seen(self, site: str, beat: Beat) -> None:
        """Note a sign that came another way."""
        self._last[site] = (time.monotonic(), beat)

    def last(self, site: str) -> Beat | None:
        """Return the last that a site told, or None."""
        return self._last[site][1] if site in self._last else None

    def away_s(self, site: str) -> float | None:
        """Return the seconds since a site's last sign; None if there never was one."""
        return time.monotonic() - self._last[site][0] if site in self._last else None

    def here(self) -> tuple[str, ...]:
        """Return the sites that gave a sign a moment ago."""
        now = time.monotonic()
        return tuple(site for site, (at, _) in self._last.items() if now - at < HERE_S)
