"""How summands travel in a secure sum: which arrays are updates, counts, or anything else.

A kind of work that is not named here is laid out in wide lanes, which hold every sum up to 2^52
divided by the number of sites, with 60 fractional bits, at 16 bytes a number.
"""

from __future__ import annotations

from collections.abc import Mapping

from fedpet.parameters import Parameters
from fedpet.privacy.secure_sum.lanes import Kind

# Whole numbers by construction: subjects, and subjects times Poisson weights.
COUNTS: Mapping[str, frozenset[str]] = {
    "evaluate": frozenset({"joint", "scores"}),
    "risks": frozenset({"histogram"}),
    "histogram": frozenset({"cells"}),
    "distances": frozenset({"histogram"}),
    "levels": frozenset({"counts", "failed"}),
}


def lanes_of(kind: str, arrays: Parameters, *, bounded: bool) -> dict[str, Kind]:
    """Return the lane of every array that is not wide.

    Args:
        kind: Of the work.
        arrays: What it gave; only names are looked at.
        bounded: Whether the sum of all sites' weights is known, so that changes of a model, whose
            length is bounded, can share out a small ring.
    """
    if kind == "train" and bounded:
        return {name: "update" for name in arrays if not name.startswith(("weight.", "loss."))}
    return dict.fromkeys(COUNTS.get(kind, frozenset()) & arrays.keys(), "count")


def weight_in(arrays: Parameters) -> float:
    """Return the weight that a site's update brings, before it is divided by that of all."""
    return float(arrays["weight.shared"].sum()) if "weight.shared" in arrays else 0.0
