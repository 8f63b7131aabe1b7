"""The one file that a hospital receives: where the coordinator is, how to know it, one secret."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Le, Len

from fedpet.engines.nats.authority import fingerprint
from fedpet.engines.nats.connection import Door
from fedpet.errors import DataError, NotFoundError, RefusalError
from fedpet.privacy.identity import PublicIdentity
from fedpet.tomldoor import Door as TomlDoor

# Strict at the door: no unknown key, no silent conversion.
DOOR = {"extra": "forbid", "strict": True, "allow_inf_nan": False}
INVITATION = TomlDoor(
    error=DataError,
    code="FP-3052",
    do="Ask the coordinator to send the file again, as an attachment that nothing rewrites.",
)
Text = Annotated[str, Len(1, 300)]


@dataclass(frozen=True, slots=True, kw_only=True)
class InvitationFile:
    """What stands in the file.

    Args:
        format: Version of the format.
        federation: Identifier of the federation.
        site: Who is invited.
        id: Public name of the invitation.
        secret: One-time secret, an NKey seed.
        host: Where the coordinator is.
        port: Its TCP port.
        expires_at: When the invitation ends, seconds since 1970.
        coordinator: The coordinator's public key in hexadecimal.
        authority: Certificate of its authority, PEM.
        authority_sha256: Fingerprint of that certificate, to be compared over the telephone.
    """

    __pydantic_config__ = DOOR

    format: Literal["fedpet-invitation/1"]
    federation: Text
    site: Text
    id: Text
    secret: Text
    host: Text
    port: Annotated[int, Ge(1), Le(65535)]
    expires_at: Annotated[int, Ge(0)]
    coordinator: Annotated[str, Len(64, 64)]
    authority: Annotated[str, Len(1, 10_000)]
    authority_sha256: Annotated[str, Len(64, 64)]

    def door(self) -> Door:
        """Return where the broker is."""
        return Door(host=self.host, port=self.port, name=self.host, authority=self.authority)


def write_invitation(invitation: InvitationFile, path: Path) -> None:
    """Write an invitation, readable by its owner only."""
    import tomlkit

    document = tomlkit.document()
    for line in (
        f"Invitation of site '{invitation.site}' to a fedpet federation. It works once.",
        "Whoever holds this file can join in the site's name: send it like a password.",
        "At the hospital: fedpet node init FOLDER, then fedpet node join THIS-FILE FOLDER",
    ):
        document.add(tomlkit.comment(line))
    for name in InvitationFile.__slots__:
        value = getattr(invitation, name)
        document.add(name, tomlkit.string(value, multiline=True) if "\n" in str(value) else value)
    text = tomlkit.dumps(document)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)


def read_invitation(path: Path) -> InvitationFile:
    """Read an invitation and look at what can be told without the coordinator.

    Raises:
        NotFoundError: If there is no such file.
        DataError: If it is not what `write_invitation` wrote.
        RefusalError: If it has expired, or its certificate was exchanged.
    """
    absent = NotFoundError(f"There is no invitation '{path.name}' here.", code="FP-6112")
    text = INVITATION.text_of(path, absent=absent)
    found = INVITATION.values(text, InvitationFile, name=path.name)
    if fingerprint(found.authority) != found.authority_sha256:
        raise RefusalError(
            "The certificate in this invitation is not the one that it names.",
            why="The file was changed on its way.",
            do="Tell the coordinator, and ask for another one by a safer way.",
            code="FP-5116",
        )
    if found.expires_at < time.time():
        raise RefusalError(
            "This invitation has expired.",
            why="Or this machine's clock is wrong.",
            do="Ask the coordinator for a new one: fedpet site invite NAME",
            code="FP-5113",
        )
    _public(found.coordinator)
    return found


def _public(text: str) -> PublicIdentity:
    try:
        return PublicIdentity(bytes.fromhex(text))
    except ValueError as error:
        raise DataError("The coordinator's key in this invitation is damaged.") from error
