"""What may stand in the audit: an allow-list of fields, each with the only form it may have.

No field takes free text, so that neither a subject nor a secret can enter: there is no place for
it. What comes from outside and does not have the form of its field is written as a digest.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import TypeAlias

from fedpet.errors import StoreError

Value: TypeAlias = str | int | None
EVENTS = (
    "proposed", "approved", "refused", "withdrawn", "asked", "answered", "policy",
    "subject-removed", "exported", "warned",
)  # fmt: skip
STATUSES = ("ok", "refused", "failed")
DIGEST = re.compile(r"[0-9a-f]{64}")
PLAN = re.compile(r"[0-9a-f]{64}|sha256:[0-9a-f]{16}")
WORD = re.compile(r"[a-z][a-z0-9_.-]{0,39}|sha256:[0-9a-f]{16}")
STEP = re.compile(r"[A-Za-z0-9][\w .+-]{0,79}(/[\w .+-]{1,80}){0,7}|sha256:[0-9a-f]{16}")
NAME = re.compile(r"[^\W_][\w .,+()'-]{0,99}|sha256:[0-9a-f]{16}")
PERSON = re.compile(
    r"(?=.{1,80}$)[^\W\d_][^\W\d_]*([ .'-]{1,2}[^\W\d_]+){0,7}\.?|sha256:[0-9a-f]{16}"
)
SETTING = re.compile(r"[\w .,:+/\[\]\"'-]{0,200}|sha256:[0-9a-f]{16}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00")
COUNT_MAX = 2**53

TEXTS: Mapping[str, re.Pattern[str]] = {
    "at": TIME,
    "what": re.compile("|".join(EVENTS)),
    "status": re.compile("|".join(STATUSES)),
    "plan": PLAN,
    "question": DIGEST,
    "digest": DIGEST,
    "heads": DIGEST,
    "rules": DIGEST,
    "name": NAME,
    "experiment": NAME,
    "cohort": NAME,
    "person": PERSON,
    "requester": NAME,
    "site": NAME,
    "step": STEP,
    "kind": WORD,
    "of": WORD,
    "release": WORD,
    "key": WORD,
    "before": SETTING,
    "after": SETTING,
}
COUNTS = frozenset({"values", "bytes", "subjects", "reasons", "attempt", "number"})


def require_allowed(values: Mapping[str, Value]) -> None:
    """Refuse an entry with a field that is not listed, or a value that has not its form.

    Raises:
        StoreError: Naming the field, and never the value.
    """
    for field, value in values.items():
        if value is None and (field in TEXTS or field in COUNTS):
            continue
        if field in COUNTS:
            fits = type(value) is int and 0 <= value <= COUNT_MAX
        else:
            form = TEXTS.get(field)
            fits = form is not None and type(value) is str and form.fullmatch(value) is not None
        if not fits:
            raise StoreError(
                f"The audit does not take this in its field '{field[:40]!r}'.",
                why="It holds names, counts and digests only.",
            )


def fitting(field: str, value: object) -> str | None:
    """Return a value from outside as its field may hold it: itself, or its digest.

    Examples:
        >>> fitting("kind", "train"), fitting("kind", "rm -rf /")
        ('train', 'sha256:5c7923bd67b06c93')
    """
    if value is None:
        return None
    text = str(value)
    if TEXTS[field].fullmatch(text):
        return text
    return f"sha256:{hashlib.sha256(text.encode(errors='replace')).hexdigest()[:16]}"
