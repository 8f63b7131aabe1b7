"""Real numbers as integers of a ring, so that sums are exact and masks hide them perfectly.

Three kinds of lane:

| lane | holds | ring | of one number |
|---|---|---|---|
| `update` | changes of a model, bounded by the plan | Z_2^32 | at most 28 fractional bits |
| `count` | whole numbers | Z_2^32 | exact |
| `wide` | everything else | Z_2^64, twice | 60 fractional bits; exact from 2^-7 on |

Rules:
1. Who adds knows the layout beforehand: it follows from names, shapes and the plan, never from
   values.
2. What is not finite, not whole where whole numbers are counted, or larger than its share of the
   ring, is refused; nothing is wrapped or clipped.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from fedpet.errors import UpdateError
from fedpet.parameters import Array, Parameters

Kind = Literal["update", "count", "wide"]
Words32: TypeAlias = NDArray[np.uint32]
Words64: TypeAlias = NDArray[np.uint64]

CHUNK = 1 << 14
UPDATE_BITS_MAX = 28
HIGH_BITS, LOW_BITS = 10, 60
CANARIES = 4
SITES_MAX = 4096
ARRAYS_MAX = 100_000


@dataclass(frozen=True, slots=True)
class Segment:
    """Where one array lies in the vector that is masked.

    Args:
        name: Of the array.
        shape: Of the array.
        kind: Of its lane.
    """

    name: str
    shape: tuple[int, ...]
    kind: Kind

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What every site must agree on before masks can cancel.

    Args:
        segments: In the order of names.
        sites: Number of sites that may add; shares out the ring.
        bound: Largest magnitude of a change in an `update` lane.
        total: W, no less than the sum of all sites' weights; changes travel as w_i/W times change.
    """

    segments: tuple[Segment, ...]
    sites: int
    bound: float = 1.0
    total: float = 1.0

    @property
    def bits(self) -> int:
        """Fractional bits of an `update` lane: as many as the bound leaves room for."""
        room = (2**31 - 1 - self.sites) / self.bound
        return min(UPDATE_BITS_MAX, math.floor(math.log2(room)))

    @property
    def words(self) -> tuple[int, int]:
        """Number of 32-bit and of 64-bit words, canaries included."""
        narrow = sum(s.size for s in self.segments if s.kind != "wide")
        wide = sum(2 * s.size for s in self.segments if s.kind == "wide")
        return (narrow + CANARIES if narrow else 0), wide + CANARIES

    def to_bytes(self) -> bytes:
        """Return the canonical bytes that are bound into every mask."""
        segments = [[s.name, list(s.shape), s.kind] for s in self.segments]
        document = [segments, self.sites, float(self.bound), float(self.total)]
        return json.dumps(document, separators=(",", ":"), allow_nan=False).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Layout:
        """Read what `to_bytes` wrote.

        Raises:
            UpdateError: If the bytes are no layout within its limits.
        """
        try:
            listed, sites, bound, total = json.loads(data)
            segments = tuple(
                Segment(str(name), tuple(_natural(n) for n in shape), _kind(kind))
                for name, shape, kind in listed
            )
            layout = cls(
                segments=segments, sites=_natural(sites), bound=float(bound), total=float(total)
            )
        except (ValueError, TypeError, RecursionError) as error:
            raise UpdateError("The layout of a masked sum is not well-formed.") from error
        names = [segment.name for segment in segments]
        sound = names == sorted(set(names)) and len(names) <= ARRAYS_MAX
        if not sound or layout.to_bytes() != data:
            raise UpdateError("The layout of a masked sum is not well-formed.")
        _require_bounds(layout)
        return layout


def layout_of(
    arrays: Parameters, *, kinds: Mapping[str, Kind], sites: int, bound: float, total: float
) -> Layout:
    """Lay out a summand.

    Args:
        arrays: The summand; only names and shapes are looked at.
        kinds: Lane by name; `wide` for names that are not among them.
        sites: Number of sites that may add.
        bound: Of a change, see `Layout`.
        total: W, see `Layout`.

    Raises:
        UpdateError: If a bound is not positive and finite.
    """
    segments = tuple(
        Segment(name, tuple(arrays[name].shape), kinds.get(name, "wide")) for name in sorted(arrays)
    )
    layout = Layout(segments=segments, sites=sites, bound=float(bound), total=float(total))
    _require_bounds(layout)
    return layout


def encode(
    arrays: Parameters, layout: Layout, *, share: float, canary: bytes
) -> tuple[Words32, Words64]:
    """Write a summand into the words that are masked and added, in chunks.

    Args:
        arrays: The summand.
        layout: Its layout.
        share: w_i/W of this site, from 0 to 1: its part of the range of an `update` lane.
        canary: 32 bytes that every site knows.

    Raises:
        UpdateError: Naming the array that is not finite, not whole, or too large for its lane.
    """
    narrow = np.empty(layout.words[0], np.uint32)
    wide = np.empty(layout.words[1], np.uint64)
    at32 = at64 = 0
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused below
        for segment in layout.segments:
            flat = arrays[segment.name].reshape(-1)
            if segment.kind == "wide":
                _write_wide(flat, wide[at64 : at64 + 2 * segment.size], segment, layout)
                at64 += 2 * segment.size
            else:
                _write_narrow(flat, narrow[at32 : at32 + segment.size], segment, layout, share)
                at32 += segment.size
    if len(narrow):
        narrow[at32:] = _canaries(canary, np.dtype("<u4"))
    wide[at64:] = _canaries(canary, np.dtype("<u8"))
    return narrow, wide


def decode(
    narrow: Words32, wide: Words64, layout: Layout, *, summands: int, canary: bytes
) -> dict[str, Array]:
    """Turn the sum of `summands` encoded vectors back into named float64 arrays.

    Raises:
        UpdateError: If the canaries do not add up: the masks did not cancel.
    """
    for words, kind in ((narrow, np.dtype("<u4")), (wide, np.dtype("<u8"))):
        expected = _canaries(canary, kind) * kind.type(summands)
        if len(words) and not np.array_equal(words[-CANARIES:], expected):
            raise UpdateError("The masks of a secure sum did not cancel; the sum was refused.")
    found: dict[str, Array] = {}
    at32 = at64 = 0
    scale = math.ldexp(layout.total, -layout.bits)
    for segment in layout.segments:
        if segment.kind == "wide":
            high = wide[at64 : at64 + segment.size].view(np.int64)
            low = wide[at64 + segment.size : at64 + 2 * segment.size].view(np.int64)
            value = np.ldexp(high.astype(np.float64), -HIGH_BITS)
            value += np.ldexp(low.astype(np.float64), -LOW_BITS)
            at64 += 2 * segment.size
        else:
            value = narrow[at32 : at32 + segment.size].view(np.int32).astype(np.float64)
            if segment.kind == "update":
                value *= scale
            at32 += segment.size
        found[segment.name] = value.reshape(segment.shape)
    return found


def error_bound(layout: Layout, kind: Kind) -> float:
    """Return how far the decoded sum may lie from the exact sum, in one value, before rounding."""
    if kind == "count":
        return 0.0
    if kind == "update":
        return layout.sites * layout.total * 2.0 ** (-layout.bits - 1)
    return layout.sites * 2.0 ** (-LOW_BITS - 1)


def _write_narrow(
    flat: Array, out: Words32, segment: Segment, layout: Layout, share: float
) -> None:
    if segment.kind == "count":
        scale, limit = 1.0, float((2**31 - 1) // layout.sites)
    else:
        scale = math.ldexp(1 / layout.total, layout.bits)
        limit = layout.bound * 2.0**layout.bits * share + 1
    for part, chunk in _chunks(flat):
        scaled = chunk * scale
        whole = np.rint(scaled)
        if segment.kind == "count" and not np.array_equal(scaled, whole):
            raise UpdateError(f"Array '{segment.name}' holds numbers that are not whole.")
        _require_within(whole, limit, segment)
        out[part] = whole.astype(np.int32).view(np.uint32)


def _write_wide(flat: Array, out: Words64, segment: Segment, layout: Layout) -> None:
    limit = float(2**62 // layout.sites)
    highs, lows = out[: segment.size], out[segment.size :]
    for part, chunk in _chunks(flat):
        scaled = np.ldexp(chunk, HIGH_BITS)
        high = np.rint(scaled)
        _require_within(high, limit, segment)
        low = np.rint(np.ldexp(scaled - high, LOW_BITS - HIGH_BITS))  # exact but for this rounding
        highs[part] = high.astype(np.int64).view(np.uint64)
        lows[part] = low.astype(np.int64).view(np.uint64)


def _chunks(flat: Array) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    for start in range(0, len(flat), CHUNK):
        part = slice(start, start + CHUNK)
        yield part, flat[part].astype(np.float64)


def _require_within(whole: NDArray[np.float64], limit: float, segment: Segment) -> None:
    # Written so that NaN, which compares false with everything, is refused too.
    if len(whole) and not (whole.max() <= limit and whole.min() >= -limit):
        raise UpdateError(
            f"Array '{segment.name}' holds values that are not finite, "
            "or too large to be added under the secure sum."
        )


def _canaries(canary: bytes, kind: np.dtype[np.uint32] | np.dtype[np.uint64]) -> Array:
    return np.frombuffer(canary[: CANARIES * kind.itemsize], kind)


def _require_bounds(layout: Layout) -> None:
    numbers: Sequence[float] = (layout.bound, layout.total)
    if not all(math.isfinite(n) and 1e-6 <= n <= 2**30 for n in numbers):
        raise UpdateError("The bounds of a masked sum are not usable numbers.")
    if not 1 <= layout.sites <= SITES_MAX:
        raise UpdateError(f"A masked sum is over 1 to {SITES_MAX} sites.")


def _natural(value: object) -> int:
    if type(value) is not int or not 0 <= value < 2**40:
        raise ValueError(value)
    return value


def _kind(value: object) -> Kind:
    for kind in get_args(Kind):
        if value == kind:
            found: Kind = kind
            return found
    raise ValueError(value)
