"""A model's passport: one signed document that says where a model comes from, checked offline.

It holds the plan itself, the code, the roster, the rounds, what every hospital signed (cohort,
votes, head of its audit), the privacy spent, and the SHA-256 of the model's file. It is written in
one canonical form, so that no byte of it can be changed without being found.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fedpet import __version__
from fedpet import plan as plans
from fedpet.errors import FedpetError, RefusalError, StoreError
from fedpet.federation.acceptance import Verdict
from fedpet.federation.asking import Execution
from fedpet.federation.heads import head_from
from fedpet.federation.statements import Statement, statement_from
from fedpet.federation.votes import vote_from
from fedpet.privacy.identity import Identity, PublicIdentity, Roster

FORMAT = "fedpet-passport/1"
CONTEXT = b"model passport"
SIZE_LIMIT_BYTES = 1 << 24
PARTS = {
    "format", "model", "plan", "code", "experiment", "roster", "rounds", "acceptance",
    "statements", "silent", "audit_heads", "privacy", "versions",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that a passport claims, and whether it holds.

    Args:
        name: What is claimed.
        passed: Whether it holds.
        told: What was found.
    """

    name: str
    passed: bool
    told: str


def passport_evidence(
    run: Execution, verdicts: Iterable[Verdict], statements: Mapping[str, Statement | str]
) -> dict[str, Any]:
    """Gather what the passports of one execution share: a function of its journal.

    Args:
        run: The execution.
        verdicts: How candidates for the network that is kept were judged.
        statements: What every hospital signed, or why it did not.

    Returns:
        JSON values.
    """
    steps = [(step, c) for step, c in run.journal.history() if step.startswith("all/network/")]
    rounds = [(step, closed) for step, closed in steps if closed.kind in ("train", "gradient")]
    privacy = run.plan.privacy
    roster = run.roster
    return {
        "plan": plans.canonical_bytes(run.plan).decode(),
        "experiment": run.experiment,
        "roster": None if roster is None else json.loads(roster.to_bytes()),
        "rounds": [
            {"step": step, "sites": sorted(s for s, why in c.sites.items() if why == "ok")}
            for step, c in rounds
        ],
        "acceptance": [
            {**one.values(), "ballots": [vote.values() for _, vote in sorted(one.votes.items())]}
            for one in verdicts
        ],
        "statements": [one.values() for one in _sorted(statements)],
        "silent": {s: w for s, w in sorted(statements.items()) if isinstance(w, str)},
        "audit_heads": {
            site: head for site, head in run.journal.heads().items() if site != run.pooled
        },
        "privacy": {
            "differential_privacy": privacy.differential_privacy,
            "delta": privacy.delta,
            "noise_multiplier": privacy.noise_multiplier,
        },
    }


def passport_bytes(
    evidence: Mapping[str, Any],
    *,
    name: str,
    sha256: str,
    size_bytes: int,
    versions: Mapping[str, str],
    identity: Identity,
) -> bytes:
    """Write and sign a model's passport.

    Args:
        evidence: From `passport_evidence`.
        name: Name of the model; its file is `<name>.safetensors`.
        sha256: Of the model's file.
        size_bytes: Of the model's file.
        versions: What computed, by name.
        identity: Who ran the experiment.
    """
    canonical = str(evidence["plan"])
    source = json.loads(canonical)["model"]["source"]
    passport = {
        **evidence,
        "format": FORMAT,
        "model": {"name": name, "sha256": sha256, "bytes": size_bytes},
        "plan": {
            "fingerprint": hashlib.sha256(canonical.encode()).hexdigest(),
            "canonical": canonical,
        },
        "code": {
            "fedpet": __version__,
            "own": hashlib.sha256(source.encode()).hexdigest() if source else None,
        },
        "versions": dict(versions),
    }
    signature = identity.sign(CONTEXT, _canonical(passport)).hex()
    signer = {"key": identity.public.key.hex(), "signature": signature}
    return _canonical({"passport": passport, "signer": signer}) + b"\n"


def read_passport(data: bytes) -> tuple[dict[str, Any], dict[str, str]]:
    """Read a passport and its signer, without believing either.

    Raises:
        StoreError: If it is no passport of this format, or not in its canonical form.
    """
    damaged = StoreError(
        "The passport was altered; it is not what fedpet wrote.",
        do="Take it anew from whoever ran the experiment.",
        code="FP-3060",
    )
    if len(data) > SIZE_LIMIT_BYTES:
        raise damaged
    try:
        document = json.loads(data)
        passport, signer = document["passport"], document["signer"]
        whole = set(document) == {"passport", "signer"} and set(signer) == {"key", "signature"}
        fits = whole and set(passport) == PARTS and passport["format"] == FORMAT
        same = _canonical(document) + b"\n" == data
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise damaged from error
    if not fits or not same:
        raise damaged
    return passport, signer


def verify_passport(
    data: bytes,
    *,
    model_sha256: str | None,
    roster: Roster | None = None,
    signer: str | None = None,
) -> tuple[Check, ...]:
    """Check all that a passport claims, from the passport and the model's file alone.

    Args:
        data: The passport.
        model_sha256: Of the model's file; None where the file is not there.
        roster: The list of keys that the reader has from elsewhere; the passport's own otherwise.
        signer: Fingerprint, or its start, of the key that must have signed.

    Raises:
        StoreError: If it is no passport of this format, or not in its canonical form.
    """
    passport, signed = read_passport(data)
    found = [_check("the passport is signed", lambda: _signature(passport, signed, signer))]
    found.append(_check("the model's file", lambda: _model(passport, model_sha256)))
    found.append(_check("the plan and its fingerprint", lambda: _plan(passport)))
    found.append(_check("the code", lambda: _code(passport)))
    try:
        keys = _keys(passport, roster)
    except FedpetError as error:
        return (*found, Check(name="the roster", passed=False, told=error.title))
    told = "from elsewhere" if roster else "the passport's own" if keys else "none; keys unpinned"
    found.append(Check(name="the roster", passed=True, told=told))
    found.append(_check("statements of hospitals", lambda: _statements(passport, keys)))
    found.append(_check("votes of hospitals", lambda: _votes(passport, keys)))
    found.append(_check("heads of hospitals' audits", lambda: _heads(passport, keys)))
    return tuple(found)


def _check(name: str, look: Any) -> Check:
    try:
        return Check(name=name, passed=True, told=look())
    except FedpetError as error:
        return Check(name=name, passed=False, told=error.title)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return Check(name=name, passed=False, told="It is not well-formed.")


def _signature(passport: Mapping[str, Any], signed: Mapping[str, str], signer: str | None) -> str:
    public = PublicIdentity(bytes.fromhex(signed["key"]))
    public.verify(bytes.fromhex(signed["signature"]), context=CONTEXT, message=_canonical(passport))
    if signer is not None and not public.fingerprint.startswith(signer.lower()):
        raise RefusalError(f"It was signed by {public.fingerprint[:16]}, not by {signer[:16]}.")
    return f"by {public.fingerprint[:16]}"


def _model(passport: Mapping[str, Any], sha256: str | None) -> str:
    if sha256 is None:
        raise StoreError("The model's file is not beside its passport.")
    if sha256 != passport["model"]["sha256"]:
        raise StoreError("It is another file than the passport's: its SHA-256 differs.")
    return f"SHA-256 {sha256[:16]}"


def _plan(passport: Mapping[str, Any]) -> str:
    told = passport["plan"]
    if hashlib.sha256(told["canonical"].encode()).hexdigest() != told["fingerprint"]:
        raise StoreError("The plan is not the one of its fingerprint.")
    return f"'{json.loads(told['canonical'])['name']}', {told['fingerprint'][:16]}"


def _code(passport: Mapping[str, Any]) -> str:
    source = json.loads(passport["plan"]["canonical"])["model"]["source"]
    expected = hashlib.sha256(source.encode()).hexdigest() if source else None
    if expected != passport["code"]["own"]:
        raise StoreError("The plan's own code is not the one that the passport names.")
    return f"fedpet {passport['code']['fedpet']}, {'and the plan’s own' if source else 'installed'}"


def _keys(passport: Mapping[str, Any], roster: Roster | None) -> dict[str, str]:
    """Return the keys that sites must have signed with, as far as they are known."""
    inside = passport["roster"]
    if inside is not None:
        own = Roster.from_bytes(json.dumps(inside).encode())
        if roster is not None and roster.digest != own.digest:
            raise StoreError("The passport's roster is not the one that was given.")
        roster = own
    return {} if roster is None else {s: one.key.hex() for s, one in roster.sites.items()}


def _require_key(keys: Mapping[str, str], site: str, key: str) -> None:
    if keys and keys.get(site) != key:
        raise RefusalError(f"'{site:.80}' signed with another key than the roster's.")


def _statements(passport: Mapping[str, Any], keys: Mapping[str, str]) -> str:
    model = passport["model"]
    for values in passport["statements"]:
        one = statement_from(values)
        _require_key(keys, one.site, one.key)
        about = (one.plan, one.experiment, one.models.get(model["name"]))
        expected = (passport["plan"]["fingerprint"], passport["experiment"], model["sha256"])
        if about != expected:
            raise RefusalError(f"'{one.site:.80}' made its statement on something else.")
    told = f"{len(passport['statements'])} signed"
    return f"{told}, {len(passport['silent'])} silent" if passport["silent"] else told


def _votes(passport: Mapping[str, Any], keys: Mapping[str, str]) -> str:
    for verdict in passport["acceptance"]:
        ballots = [vote_from(values) for values in verdict["ballots"]]
        for one in ballots:
            _require_key(keys, one.site, one.key)
            if (one.plan, one.experiment) != (
                passport["plan"]["fingerprint"],
                passport["experiment"],
            ):
                raise RefusalError(f"'{one.site:.80}' voted on something else.")
            if verdict["sites"][one.site] != ("accept" if one.accepts else "reject"):
                raise RefusalError(f"The vote of '{one.site:.80}' is told otherwise.")
        if verdict["accepts"] != sum(one.accepts for one in ballots):
            raise RefusalError(f"Votes after round {verdict['round']} are counted otherwise.")
    accepted = sum(verdict["accepted"] for verdict in passport["acceptance"])
    if not passport["acceptance"]:
        return "the plan asks for none"
    return f"{accepted} of {len(passport['acceptance'])} candidates accepted"


def _heads(passport: Mapping[str, Any], keys: Mapping[str, str]) -> str:
    for site, values in passport["audit_heads"].items():
        head = head_from(values)
        _require_key(keys, site, head.key)
        if head.site != site:
            raise RefusalError(f"The head of '{site:.80}' is that of another site.")
    return f"{len(passport['audit_heads'])} signed"


def _sorted(statements: Mapping[str, Statement | str]) -> list[Statement]:
    return [one for _, one in sorted(statements.items()) if not isinstance(one, str)]


def _canonical(values: Mapping[str, Any]) -> bytes:
    return json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
