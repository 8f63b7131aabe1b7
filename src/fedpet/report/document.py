"""The results document as the report reads it: what is absent stays absent, and says so."""

from __future__ import annotations

import hashlib
import json
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from fedpet.errors import StoreError

Json: TypeAlias = Mapping[str, object]
SCHEMA = "fedpet-results/1"
LEADING_ARMS = ("network-federated", "cox-federated")


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number of the document with its 95 % interval, and where it stands there.

    Args:
        value: The number.
        low: Lower limit, None if the document has none.
        high: Upper limit, None if the document has none.
        path: JSON pointer of the number, such as `/performance/pfs/tmtv/c_within`.
    """

    value: float
    low: float | None
    high: float | None
    path: str = ""

    @property
    def sign(self) -> str:
        """A difference in a word: `better`, `worse`, `undecided`, or `unknown` (no interval)."""
        if self.low is None or self.high is None:
            return "unknown"
        if self.low > 0:
            return "better"
        return "worse" if self.high < 0 else "undecided"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One way to predict, as the document names it."""

    id: str
    label: str
    inputs: str = ""
    training: str = ""


def mapping(value: object) -> Json:
    """Return `value` if it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def sequence(value: object) -> Sequence[object]:
    """Return `value` if it is a list, else an empty one."""
    return value if isinstance(value, Sequence) and not isinstance(value, str | bytes) else ()


def rows(value: object) -> tuple[Json, ...]:
    """Return the mappings of a list."""
    return tuple(mapping(row) for row in sequence(value) if isinstance(row, Mapping))


def number(value: object) -> float | None:
    """Return a finite number, else None: nothing that is not a number is ever shown as one.

    Examples:
        >>> number(3), number(float("nan")), number("3"), number(True)
        (3.0, None, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def numbers(value: object) -> tuple[float, ...]:
    """Return the finite numbers of a list up to the first entry that is not one."""
    found = []
    for entry in sequence(value):
        one = number(entry)
        if one is None:
            break
        found.append(one)
    return tuple(found)


def text(value: object) -> str:
    """Return a string, else an empty one."""
    return value if isinstance(value, str) else ""


def count(value: object) -> int | None:
    """Return a whole number, else None."""
    found = number(value)
    return None if found is None else round(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """The document, opened; made by `open_results`."""

    document: Json

    def at(self, *keys: str) -> object:
        """Return the value under nested keys, None where it is absent."""
        found: object = self.document
        for key in keys:
            found = mapping(found).get(key)
        return found

    def part(self, *keys: str) -> Json:
        """Return the mapping under nested keys, empty where it is absent."""
        return mapping(self.at(*keys))

    def rows(self, *keys: str) -> tuple[Json, ...]:
        """Return the list of mappings under nested keys, empty where it is absent."""
        return rows(self.at(*keys))

    def text(self, *keys: str) -> str:
        """Return the string under nested keys, empty where it is absent."""
        return text(self.at(*keys))

    def number(self, *keys: str) -> float | None:
        """Return the finite number under nested keys."""
        return number(self.at(*keys))

    def estimate(self, *keys: str) -> Estimate | None:
        """Return the number with its interval under nested keys."""
        return estimate(self.part(*keys), path="/" + "/".join(keys))

    @property
    def primary(self) -> str:
        """The endpoint that the verdict is about."""
        return self.text("plan", "primary")

    @property
    def horizons(self) -> tuple[str, ...]:
        """The horizons as the document's keys, in months."""
        return tuple(f"{value:g}" for value in numbers(self.at("plan", "horizons_months")))

    @property
    def survival_endpoints(self) -> tuple[str, ...]:
        """Time-to-event endpoints, the primary first."""
        found = list(self.part("performance"))
        return tuple(sorted(found, key=lambda name: (name != self.primary, name)))

    @property
    def arms(self) -> tuple[Arm, ...]:
        """The arms in the document's order; where it lists none, those that were judged."""
        listed = self.rows("arms") or tuple(
            {"id": name} for name in self.part("performance", self.primary)
        )
        return tuple(
            Arm(
                id=text(row.get("id")),
                label=text(row.get("label")) or text(row.get("id")),
                inputs=text(row.get("inputs")),
                training=text(row.get("training")),
            )
            for row in listed
            if text(row.get("id"))
        )

    def measured_arms(self, endpoint: str) -> tuple[Arm, ...]:
        """Return the arms that were judged on a survival endpoint, in the document's order."""
        found = self.part("performance", endpoint)
        return tuple(arm for arm in self.arms if arm.id in found)

    def leading_arms(self, endpoint: str) -> tuple[Arm, ...]:
        """Return the federated network and the Cox model, as far as they were judged."""
        by_id = {arm.id: arm for arm in self.measured_arms(endpoint)}
        return tuple(by_id[name] for name in LEADING_ARMS if name in by_id)

    @property
    def leading(self) -> Arm | None:
        """The arm that the headline is about: the federated network, else the Cox model."""
        leading = self.leading_arms(self.primary) or self.measured_arms(self.primary)
        return leading[0] if leading else None

    @property
    def plan_settings(self) -> Json:
        """The plan's text as values, empty if it cannot be read."""
        try:
            return tomllib.loads(self.text("plan", "text"))
        except tomllib.TOMLDecodeError:
            return {}

    @property
    def sha256(self) -> str:
        """SHA-256 of the document as `fedpet run` writes it: JSON, sorted keys, indent 1."""
        written = json.dumps(self.document, indent=1, sort_keys=True, default=str)
        return hashlib.sha256(written.encode()).hexdigest()

    def difference(self, endpoint: str, first: str, second: str) -> Estimate | None:
        """Return how much one arm's C-index exceeds another's."""
        for index, row in enumerate(self.rows("differences", endpoint)):
            if (row.get("a"), row.get("b"), row.get("metric")) == (first, second, "c_within"):
                return estimate(row, path=f"/differences/{endpoint}/{index}")
        return None


def estimate(row: Json, *, path: str = "") -> Estimate | None:
    """Read `value`, `low` and `high` of a mapping; None if there is no value."""
    value = number(row.get("value"))
    if value is None:
        return None
    return Estimate(
        value=value, low=number(row.get("low")), high=number(row.get("high")), path=path
    )


def open_results(results: Mapping[str, object]) -> Results:
    """Check that the report can read this document.

    Args:
        results: The JSON object that `fedpet run` writes as `results.json`.

    Raises:
        StoreError: If it is of another schema, or has no plan or primary endpoint.

    Examples:
        >>> open_results({"schema": "fedpet-results/9"})
        Traceback (most recent call last):
            ...
        fedpet.errors.StoreError: The results have schema 'fedpet-results/9', expected \
'fedpet-results/1'. Make the report with the version of fedpet that ran the experiment.
    """
    found = mapping(results).get("schema")
    if found != SCHEMA:
        raise StoreError(
            f"The results have schema '{found}', expected '{SCHEMA}'.",
            do="Make the report with the version of fedpet that ran the experiment.",
        )
    opened = Results(document=results)
    if not opened.part("plan") or not opened.primary:
        raise StoreError(
            "The results do not say which plan they answer: 'plan' or 'plan.primary' is missing.",
            do="Take the results.json of a finished run; `fedpet resume` finishes one.",
        )
    return opened
