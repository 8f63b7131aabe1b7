"""How a site joins: shows its keys, proves that it holds them and the invitation, pins the rest."""

from __future__ import annotations

import secrets

from fedpet.engines.nats import keys, subjects
from fedpet.engines.nats.connection import Credentials, Door, connected, persistently
from fedpet.engines.nats.invitation import InvitationFile
from fedpet.engines.nats.letters import Letter, open_letter, seal
from fedpet.errors import RefusalError
from fedpet.privacy.identity import Identity, PublicIdentity

ANSWER_S = 15.0


async def join(invitation: InvitationFile, *, door: Door, identity: Identity, seed: str) -> str:
    """Join a federation; return the site's state there: `approved` or `joined`.

    Args:
        invitation: The file that the coordinator sent.
        door: Where the broker is, or the way to it.
        identity: The site's key.
        seed: The site's NKey seed.

    Raises:
        EngineError: If the coordinator cannot be reached, or is another one.
        RefusalError: If it refuses.
    """
    nkey = keys.public(seed)
    proven = f"{invitation.id} {identity.public.key.hex()} {nkey}".encode()
    letter = Letter(
        federation=invitation.federation,
        kind="join",
        author=invitation.site,
        to=subjects.COORDINATOR,
        about=secrets.token_hex(16),
        body={
            "invitation": invitation.id,
            "identity": identity.public.key.hex(),
            "nkey": nkey,
            "proof_invitation": keys.sign(invitation.secret, proven),
            "proof_nkey": keys.sign(seed, proven),
        },
    )
    credentials = Credentials(member=invitation.id, seed=invitation.secret)
    async with connected(door, credentials, patient=False) as client:
        message = await persistently(
            client, subjects.join(invitation.id), seal(letter, identity), idle_s=ANSWER_S
        )
    answer = open_letter(
        message.data,
        author=PublicIdentity(bytes.fromhex(invitation.coordinator)),
        federation=invitation.federation,
        kind="joined",
        written_by=subjects.COORDINATOR,
        to=invitation.site,
    )
    if answer.body.get("refused"):
        raise RefusalError(
            str(answer.body["refused"]), code=str(answer.body.get("code", "FP-5110"))
        )
    return str(answer.body.get("state"))
