"""Share a 32-byte secret among sites so that any t of them give it back, and fewer learn nothing.

Source:
    Shamir 1979, *How to share a secret*; the field is that of the integers modulo 2^256 + 297,
    the smallest prime above 2^256, so that every 32-byte string is an element.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations, islice

from fedpet.errors import UpdateError

PRIME = 2**256 + 297
SECRET_BYTES = 32
SHARE_BYTES = 33
TRIALS_MAX = 1000
Random = Callable[[int], bytes]


def split(secret: bytes, *, threshold: int, shares: int, random: Random) -> list[bytes]:
    """Return `shares` shares, for the points 1, 2, ..., any `threshold` of which suffice.

    Args:
        secret: 32 bytes.
        threshold: t, the number of coefficients of the polynomial.
        shares: How many.
        random: Source of that many random bytes.
    """
    if len(secret) != SECRET_BYTES or not 1 <= threshold <= shares:
        raise ValueError("A secret has 32 bytes, and a threshold lies between 1 and the shares.")
    # 48 random bytes, reduced: the bias of the remainder is below 2^-127.
    high = [int.from_bytes(random(48), "big") % PRIME for _ in range(threshold - 1)]
    coefficients = [*high, int.from_bytes(secret, "big")]
    found = []
    for point in range(1, shares + 1):
        value = 0
        for coefficient in coefficients:
            value = (value * point + coefficient) % PRIME
        found.append(value.to_bytes(SHARE_BYTES, "big"))
    return found


def weights_at_zero(points: Sequence[int]) -> list[int]:
    """Return the Lagrange weights that turn values at these points into the value at zero."""
    weights = []
    for i, own in enumerate(points):
        above = below = 1
        for j, other in enumerate(points):
            if i != j:
                above = above * other % PRIME
                below = below * (other - own) % PRIME
        weights.append(above * pow(below, -1, PRIME) % PRIME)
    return weights


def combine(
    shares: Mapping[int, bytes], *, threshold: int, fits: Callable[[bytes], bool]
) -> tuple[bytes, tuple[int, ...]]:
    """Return the secret that fits its commitment, and the points whose shares are wrong.

    Args:
        shares: Shares by point, at least `threshold`.
        threshold: How many the secret was split for.
        fits: Whether a candidate is the committed secret.

    Raises:
        UpdateError: If there are too few shares, or no subset of them fits.
    """
    values = {point: int.from_bytes(share, "big") for point, share in sorted(shares.items())}
    if len(values) < threshold:
        raise UpdateError(f"{len(values)} shares of a mask are known, {threshold} are needed.")
    for points in islice(combinations(values, threshold), TRIALS_MAX):
        weights = weights_at_zero(points)
        number = sum(w * values[p] for w, p in zip(weights, points, strict=True)) % PRIME
        if number >= 2**256:
            continue
        secret = number.to_bytes(SECRET_BYTES, "big")
        if fits(secret):
            return secret, _wrong(values, points)
    raise UpdateError("The shares of a mask do not fit its commitment.")


def _wrong(values: Mapping[int, int], good: tuple[int, ...]) -> tuple[int, ...]:
    """Return the points whose values do not lie on the polynomial through the good ones."""
    wrong = []
    for point, value in values.items():
        if point in good:
            continue
        shifted = weights_at_zero([p - point for p in good])
        expected = sum(w * values[p] for w, p in zip(shifted, good, strict=True)) % PRIME
        if value != expected:
            wrong.append(point)
    return tuple(wrong)
