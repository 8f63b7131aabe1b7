"""A hospital's signed decision on a plan: a small JSON document that anyone can verify."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Literal

from fedpet.errors import RefusalError, StoreError
from fedpet.privacy.identity import Identity, PublicIdentity

FORMAT = "fedpet-approval/1"
CONTEXT = b"decision on a plan"
SIZE_LIMIT_BYTES = 1 << 16
Decision = Literal["approved", "refused", "withdrawn"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """One decision of one hospital on one fingerprint.

    Args:
        site: Which hospital.
        plan: Fingerprint of the plan, which covers its code.
        name: Name of the plan.
        requester: Who asked for it.
        decision: `approved`, `refused` or `withdrawn`.
        person: Who decided.
        reason: In their words; may be empty.
        policy: SHA-256 of the hospital's policy at that moment.
        at: When, ISO 8601, UTC.
        key: The hospital's public key, hexadecimal.
        signature: Over all of this, hexadecimal.
    """

    site: str
    plan: str
    name: str
    requester: str
    decision: str
    person: str
    reason: str
    policy: str
    at: str
    key: str = ""
    signature: str = ""

    def to_json(self) -> str:
        """Return the document."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1, sort_keys=True) + "\n"

    def verify(self, public: PublicIdentity | None = None) -> None:
        """Refuse a document whose signature does not fit.

        Args:
            public: The hospital's key as a roster names it; without it only tells that the
                document was signed by the key that stands in it.

        Raises:
            RefusalError: If the document was altered, or another key signed it.
        """
        try:
            own = PublicIdentity(bytes.fromhex(self.key))
            signature = bytes.fromhex(self.signature)
        except (ValueError, StoreError):
            raise RefusalError("The decision names no key that could have signed it.") from None
        if public is not None and own != public:
            raise RefusalError(f"The decision is not signed by the key of '{self.site}'.")
        own.verify(signature, context=CONTEXT, message=_message(self))


def signed(approval: Approval, identity: Identity) -> Approval:
    """Return a decision with its hospital's key and signature."""
    unsigned = replace(approval, key=identity.public.key.hex(), signature="")
    signature = identity.sign(CONTEXT, _message(unsigned))
    return replace(unsigned, signature=signature.hex())


def read_approval(text: str) -> Approval:
    """Read a document; `verify` says whether it is what the hospital signed.

    Raises:
        StoreError: If the text is no such document.
    """
    unusable = StoreError("This is no decision of a hospital.", do="Ask the hospital for it again.")
    if len(text) > SIZE_LIMIT_BYTES:
        raise unusable
    try:
        values = json.loads(text)
        if values.pop("format") != FORMAT or any(type(v) is not str for v in values.values()):
            raise unusable
        return Approval(**values)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise unusable from None


def _message(approval: Approval) -> bytes:
    return replace(approval, signature="").to_json().encode()
