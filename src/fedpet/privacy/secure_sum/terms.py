"""What sites agree on before they add: experiment, cohort, batch of slots, and the terms of a sum.

Everything that is masked, sealed or signed is bound to the fingerprint of these, so that what was
said for one plan, roster, step, attempt or cohort is worth nothing for another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fedpet.errors import UpdateError
from fedpet.privacy.secure_sum.keys import fingerprint

FIELD_BYTES_MAX = 1 << 26
FIELDS_MAX = 200_000
SLOTS_MAX = 256


def threshold_of(sites: int) -> int:
    """Return t, the sites that a sum needs to be opened: more than two thirds.

    Examples:
        >>> [threshold_of(n) for n in (3, 4, 6, 8, 10, 12)]
        [3, 3, 5, 6, 7, 9]
    """
    return 2 * sites // 3 + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """One execution of one plan among the sites of one roster.

    Args:
        plan: Fingerprint of the plan.
        experiment: Identifier of the execution.
        roster: Digest of the roster.
    """

    plan: str
    experiment: str
    roster: str

    @property
    def context(self) -> bytes:
        """Fingerprint that all else is bound to."""
        return fingerprint("scope", self.plan, self.experiment, self.roster)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Slots that a cohort prepared together; each slot serves one sum.

    Args:
        cohort: Names of the sites, sorted; their secrets are shared among all of them.
        name: 32 hexadecimal digits, used once.
        slots: Number of slots.
    """

    cohort: tuple[str, ...]
    name: str
    slots: int

    @property
    def threshold(self) -> int:
        """Sites that are needed to open a sum."""
        return threshold_of(len(self.cohort))

    def context(self, scope: Scope) -> bytes:
        """Fingerprint of the batch in its experiment."""
        text = scope.context.hex()
        return fingerprint("batch", text, self.cohort, self.threshold, self.name, self.slots)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What one sum is of.

    Args:
        step: Name of the step.
        attempt: How often the step was tried before.
        purpose: Kind of the work whose answers are added.
        asked: Digest of the whole question, over all sites.
        included: Sites whose masks are in play, sorted; U2 of the protocol.
        slot: Which slot of the batch.
        total: W, see `lanes.Layout`; None where no update is added.
    """

    step: str
    attempt: int
    purpose: str
    asked: str
    included: tuple[str, ...]
    slot: int
    total: float | None = None

    def tag(self, scope: Scope, batch: Batch, layout: bytes) -> bytes:
        """Return the tag under which one vector is masked: 32 bytes."""
        return fingerprint(
            "sum",
            batch.context(scope).hex(),
            self.step,
            self.attempt,
            self.purpose,
            self.asked,
            self.included,
            self.slot,
            self.total,
            layout.decode(),
        )


def survivors_statement(tag: bytes, survivors: Sequence[str]) -> bytes:
    """Return what a site confirms: over whom the sum of this tag is opened."""
    return fingerprint("survivors", tag.hex(), sorted(survivors))


def pack(*fields: bytes) -> bytes:
    """Return fields as bytes: each with its length in front, 4 bytes, big-endian."""
    return b"".join(len(field).to_bytes(4, "big") + field for field in fields)


def unpack(data: bytes, count: int | None = None) -> list[bytes]:
    """Read what `pack` wrote.

    Args:
        data: The bytes.
        count: How many fields there must be.

    Raises:
        UpdateError: If the bytes are not that many whole fields within their limits.
    """
    fields: list[bytes] = []
    at = 0
    while at < len(data) and len(fields) < FIELDS_MAX:
        length = int.from_bytes(data[at : at + 4], "big")
        end = at + 4 + length
        if length > FIELD_BYTES_MAX or end > len(data):
            raise _malformed()
        fields.append(data[at + 4 : end])
        at = end
    if at != len(data) or (count is not None and len(fields) != count):
        raise _malformed()
    return fields


def unpack_by_site(data: bytes, per_site: int) -> dict[str, list[bytes]]:
    """Read fields that come as a site's name and `per_site` more, again and again.

    Raises:
        UpdateError: If they do not, or a site comes twice.
    """
    fields = unpack(data)
    if len(fields) % (per_site + 1):
        raise _malformed()
    found: dict[str, list[bytes]] = {}
    for start in range(0, len(fields), per_site + 1):
        try:
            name = fields[start].decode()
        except UnicodeDecodeError as error:
            raise _malformed() from error
        if name in found:
            raise _malformed()
        found[name] = fields[start + 1 : start + 1 + per_site]
    return found


def _malformed() -> UpdateError:
    return UpdateError("A message of the secure sum is not well-formed; it was refused.")
