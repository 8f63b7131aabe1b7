"""What travels between coordinator and node: frozen requests and replies, and their bytes.

Rules:
1. A request names its experiment, plan fingerprint, step and attempt; a reply repeats them.
2. A reply holds one summand (named arrays to be added to those of other sites), or reasons.
3. Bytes are one JSON header and one safetensors block, each with a length limit.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

from fedpet.errors import UpdateError
from fedpet.parameters import Parameters, digest, from_bytes, to_bytes

HEADER_LIMIT_BYTES = 1 << 20
EACH_ITS_OWN = ("evaluate", "levels")
"""Work of which one sum may add answers to questions that differ from site to site."""
Status = Literal["ok", "refused", "failed"]
TYPES: Mapping[str, type] = {
    "heads": dict,
    "head": dict,
    **dict.fromkeys(("site", "experiment", "plan", "step", "kind", "status"), str),
    "body": dict,
    "attempt": int,
    "reasons": tuple,
    "seconds": float,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One piece of work that a node is asked for.

    Args:
        site: Who is asked.
        experiment: Identifier of the execution.
        plan: Fingerprint of the approved plan.
        step: Path of the step in the experiment, such as `fold-1/network/round-003`.
        kind: What to compute, a name in the node's fixed table.
        body: Parameters of the work, JSON values only.
        arrays: Arrays that the work needs, such as the global model.
        attempt: How often this step was asked before, from 0.
        heads: Heads of the audits of all sites, by site, as the coordinator saw them last.
    """

    site: str
    experiment: str
    plan: str
    step: str
    kind: str
    body: Mapping[str, Any] = field(default_factory=dict)
    arrays: Parameters = field(default_factory=dict)
    attempt: int = 0
    heads: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A node's answer: a summand, or every reason why not.

    Args:
        arrays: The site's summand; empty unless `status` is `ok`.
        reasons: In the reader's words, without identifiers or paths.
        seconds: Time that the work took at the site.
        head: Head of the site's audit after this answer, signed.
    """

    site: str
    experiment: str
    step: str
    attempt: int
    status: Status
    arrays: Parameters = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    seconds: float = 0.0
    head: Mapping[str, Any] = field(default_factory=dict)


def question_digest(kind: str, body: Mapping[str, Any], arrays: Parameters) -> str:
    """Return the SHA-256 of a question: the work, its parameters, and its arrays."""
    header = json.dumps([kind, dict(body)], sort_keys=True, allow_nan=False)
    return hashlib.sha256(f"{header}\n{digest(arrays)}".encode()).hexdigest()


def shared_question(kind: str, body: Mapping[str, Any], each: str) -> str:
    """Return the SHA-256 of a question of which each site has its own part.

    Its own is which model a site judges, with its columns, and which fold held it out. All else
    is the same at every site, above all whom the answer is about.

    Args:
        kind: The work.
        body: Its parameters at one site.
        each: Digest of the whole question over all sites.
    """
    common = {name: value for name, value in body.items() if name != "columns"}
    choice = dict(common.get("select") or {})
    if choice.get("part") == "all":
        choice.pop("fold", None)  # all subjects are no fold
    return question_digest(kind, {**common, "select": choice, "each": each}, {})


def encode(message: Request | Reply) -> bytes:
    """Serialise a message: 8-byte little-endian header length, JSON header, safetensors."""
    header = header_of(message)
    return len(header).to_bytes(8, "little") + header + to_bytes(message.arrays)


def header_of(message: Request | Reply) -> bytes:
    """Serialise a message without its arrays, as canonical JSON."""
    values = {
        item.name: getattr(message, item.name) for item in fields(message) if item.name != "arrays"
    }
    values["type"] = type(message).__name__
    return json.dumps(values, sort_keys=True, allow_nan=False).encode()


def decode(data: bytes) -> Request | Reply:
    """Read what `encode` wrote.

    Raises:
        UpdateError: If the bytes are not a well-formed message within its limits.
    """
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > HEADER_LIMIT_BYTES or len(data) < 8 + length:
        raise UpdateError("A message is truncated or its header exceeds the limit.")
    return message_of(data[8 : 8 + length], from_bytes(data[8 + length :]))


def message_of(header: bytes, arrays: Parameters) -> Request | Reply:
    """Put a header that `header_of` wrote, and arrays, together again.

    Raises:
        UpdateError: If the header is not well-formed, too long, or holds values of other types.
    """
    if len(header) > HEADER_LIMIT_BYTES:
        raise UpdateError("A message is truncated or its header exceeds the limit.")
    try:
        values = json.loads(header)
        kind = values.pop("type")
        if kind == "Reply":
            values["reasons"] = tuple(values["reasons"])
        _require_types(values)
        if kind == "Request":
            return Request(**values, arrays=arrays)
        if kind == "Reply":
            return Reply(**values, arrays=arrays)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise UpdateError("A message is not well-formed; it was refused.") from error
    raise UpdateError("A message is neither a request nor a reply; it was refused.")


def _require_types(values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if name == "seconds" and type(value) is int:
            continue
        if type(value) is not TYPES[name]:
            raise TypeError(name)
    if not all(isinstance(reason, str) for reason in values.get("reasons", ())):
        raise TypeError("reasons")
    if values.get("status", "ok") not in get_args(Status):
        raise ValueError("status")
