"""A hospital's vote on a candidate, signed: one bit, bound to the two models that it compares."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fedpet.errors import RefusalError, StoreError
from fedpet.parameters import Array, Parameters, digest
from fedpet.privacy.identity import Identity, PublicIdentity

CONTEXT = b"vote on a model"


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """What one hospital said of one candidate.

    Args:
        site: Who votes.
        plan: Fingerprint of the plan.
        experiment: Identifier of the execution.
        step: The step in which it was asked.
        candidate: Digest of the candidate's weights.
        accepted: Digest of the weights that were accepted last.
        accepts: Whether the candidate may take their place.
        key: The site's public key, hexadecimal.
        signature: Over all of this, hexadecimal.
    """

    site: str
    plan: str
    experiment: str
    step: str
    candidate: str
    accepted: str
    accepts: bool
    key: str
    signature: str = ""

    def values(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)

    def verify(self) -> None:
        """Refuse a vote that its own key did not sign; whose key it is, a roster tells.

        Raises:
            RefusalError: If the signature does not fit.
        """
        try:
            public = PublicIdentity(bytes.fromhex(self.key))
            public.verify(bytes.fromhex(self.signature), context=CONTEXT, message=_message(self))
        except (ValueError, StoreError, RefusalError) as error:
            raise RefusalError(
                f"The vote of '{self.site:.80}' is not signed by its key."
            ) from error


def signed(vote: Vote, identity: Identity) -> dict[str, Array]:
    """Return a vote as the arrays of an answer: the bit, the key and the signature."""
    signature = identity.sign(CONTEXT, _message(vote))
    return {
        "accepts": np.array([float(vote.accepts)]),
        "key": np.frombuffer(identity.public.key, np.uint8),
        "signature": np.frombuffer(signature, np.uint8),
    }


def vote_in(arrays: Parameters, *, asked: Mapping[str, str], models: tuple[str, str]) -> Vote:
    """Read what `signed` gave, and check it.

    Args:
        arrays: A site's answer.
        asked: `site`, `plan`, `experiment` and `step` of the question.
        models: Digests of the candidate and of the accepted model.

    Raises:
        RefusalError: If it is no vote on these models in this step, signed by the key it names.
    """
    try:
        vote = Vote(
            **asked,
            candidate=models[0],
            accepted=models[1],
            accepts={0.0: False, 1.0: True}[float(arrays["accepts"].sum())],
            key=arrays["key"].tobytes().hex(),
            signature=arrays["signature"].tobytes().hex(),
        )
    except (KeyError, ValueError, TypeError):
        raise RefusalError("The answer is no vote.") from None
    vote.verify()
    return vote


def vote_from(values: Mapping[str, Any]) -> Vote:
    """Read what `Vote.values` gave, from a file, and check its signature.

    Raises:
        RefusalError: If it is no vote, or not signed by the key that it names.
    """
    try:
        vote = Vote(**values)
    except TypeError:
        raise RefusalError("A vote is not well-formed.") from None
    texts = [value for name, value in vote.values().items() if name != "accepts"]
    if type(vote.accepts) is not bool or any(type(one) is not str for one in texts):
        raise RefusalError("A vote is not well-formed.")
    vote.verify()
    return vote


def digests(arrays: Parameters) -> tuple[str, str]:
    """Return the digests of the candidate (`model.*`) and the accepted model (`last.*`)."""
    candidate, accepted = (
        digest({n.removeprefix(p): a for n, a in arrays.items() if n.startswith(p)})
        for p in ("model.", "last.")
    )
    return candidate, accepted


def _message(vote: Vote) -> bytes:
    told = {name: value for name, value in vote.values().items() if name != "signature"}
    return json.dumps(told, sort_keys=True, separators=(",", ":")).encode()
