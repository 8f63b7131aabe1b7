"""What a hospital says of all models of a run that it took part in, signed, for their passports.

A site that signs has seen the digest of the very file that is kept, under the plan that a person
there approved, and names the cohort that it answered from.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fedpet.errors import RefusalError, StoreError
from fedpet.federation.asking import Execution, Question, ask, by_site
from fedpet.federation.records import Record
from fedpet.parameters import Array, Parameters, digest
from fedpet.privacy.identity import Identity, PublicIdentity

CONTEXT = b"statement on models"
DIGEST = re.compile(r"[0-9a-f]{64}")
NAME = re.compile(r"[\w.-]{1,120}")
MODELS_MAX = 2000
LENGTH_BYTES = 1 << 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What one site says of the models of one execution.

    Args:
        site: Who speaks.
        plan: Fingerprint of the plan.
        experiment: Identifier of the execution.
        models: SHA-256 of each model's file, by name.
        cohort: Fingerprint of the cohort that the site answered from.
        subjects: Digest of the set of pseudonyms, so that a withdrawal can be told from none.
        epsilon: What plans with noise have spent on this cohort in all, by the site's account;
            None where the plan adds no noise.
        key: The site's public key, hexadecimal.
        signature: Over all of this, hexadecimal.
    """

    site: str
    plan: str
    experiment: str
    models: Mapping[str, str]
    cohort: str
    subjects: str
    epsilon: float | None
    key: str
    signature: str = ""

    def values(self) -> dict[str, Any]:
        """Return JSON values."""
        return {**asdict(self), "models": dict(self.models)}

    def verify(self) -> None:
        """Refuse a statement that its own key did not sign; whose key it is, a roster tells.

        Raises:
            RefusalError: If the signature does not fit.
        """
        try:
            public = PublicIdentity(bytes.fromhex(self.key))
            public.verify(bytes.fromhex(self.signature), context=CONTEXT, message=_message(self))
        except (ValueError, StoreError, RefusalError) as error:
            raise RefusalError(
                f"The statement of '{self.site:.80}' is not signed by its key."
            ) from error


def signed(statement: Statement, identity: Identity) -> dict[str, Array]:
    """Return a statement with its signature as the array of an answer."""
    signature = identity.sign(CONTEXT, _message(statement)).hex()
    told = json.dumps({**statement.values(), "signature": signature}, sort_keys=True).encode()
    # Answers to one question have one shape; names of sites have not one length.
    length = -(-len(told) // LENGTH_BYTES) * LENGTH_BYTES
    return {"statement": np.frombuffer(told.ljust(length), np.uint8)}


def statement_from(values: object) -> Statement:
    """Read what `Statement.values` gave, from a message or a file, and check its signature.

    Raises:
        RefusalError: If it is no statement, or not signed by the key that it names.
    """
    try:
        statement = Statement(**values)  # type: ignore[arg-type]  # checked below
        models = require_models(statement.models)
    except (TypeError, AttributeError):
        raise RefusalError("A statement is not well-formed.") from None
    texts = [v for n, v in statement.values().items() if n not in ("models", "epsilon")]
    number = statement.epsilon is None or type(statement.epsilon) in (int, float)
    if not number or not models or any(type(one) is not str for one in texts):
        raise RefusalError("A statement is not well-formed.")
    statement.verify()
    return statement


def require_models(models: object) -> dict[str, str]:
    """Return names and digests of models.

    Raises:
        RefusalError: If they are none.
    """
    if not isinstance(models, Mapping) or not 0 < len(models) <= MODELS_MAX:
        raise RefusalError("A statement needs models, by name.")
    for name, sha256 in models.items():
        if not NAME.fullmatch(str(name)) or not DIGEST.fullmatch(str(sha256)):
            raise RefusalError("A model is named by its file's SHA-256.")
    return {str(name): str(sha256) for name, sha256 in models.items()}


def statements_on(
    run: Execution, models: Mapping[str, Parameters], *, sites: tuple[str, ...]
) -> Generator[Record, None, dict[str, Statement | str]]:
    """Ask every site for its statement on the models that are kept: the release `passport`.

    Returns:
        By site: the statement, or why there is none.
    """
    named = {name: digest(arrays) for name, arrays in models.items()}
    closed = yield from ask(
        run,
        Question(
            step="passport",
            label="Hospitals' statements on the models",
            kind="attest",
            sites=sites,
            body={
                "models": named,
                "select": {"fold": None, "part": "all", "members": None},
            },
            release="passport",
            sites_min=0,
        ),
    )
    found: dict[str, Statement | str] = {
        site: why for site, why in closed.sites.items() if why != "ok"
    }
    for site, arrays in by_site(closed).items():
        try:
            statement = statement_from(json.loads(arrays["statement"].tobytes()))
            about = (statement.site, statement.plan, statement.experiment, statement.models)
            if about != (site, run.fingerprint, run.experiment, named):
                raise RefusalError("The statement is about something else.")
            found[site] = statement
        except (RefusalError, KeyError, ValueError) as error:
            found[site] = error.title if isinstance(error, RefusalError) else "It is no statement."
    return found


def _message(statement: Statement) -> bytes:
    told = {name: value for name, value in statement.values().items() if name != "signature"}
    return json.dumps(told, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
