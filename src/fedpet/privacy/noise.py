"""Noise that nobody can guess, and that one question gets once.

The stream is AES-256 in counter mode under a key that follows from the node's secret and the
whole question. Whoever asks the same question again, after a crash or a lost line, gets the same
answer: nothing more is told, and nothing more is charged.

Source:
    Canonne, Kamath, Steinke 2020, *The discrete Gaussian for differential privacy*, algorithms 1
    to 3. Mironov 2012 for what goes wrong with noise in floating point.
"""

from __future__ import annotations

import hashlib
import hmac
import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from fedpet.errors import UpdateError

Floats = NDArray[np.float64]


class Noise:
    """A stream of randomness for one question.

    Args:
        key: 32 secret bytes.
    """

    def __init__(self, key: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

        self._stream = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()
        self._bits, self._left = 0, 0

    @classmethod
    def of(cls, secret: bytes, question: str) -> Noise:
        """Return the stream that belongs to a question under a node's secret."""
        return cls(
            hmac.new(secret, f"fedpet-noise/1\n{question}".encode(), hashlib.sha256).digest()
        )

    def uniform(self, size: int) -> Floats:
        """Return numbers strictly between 0 and 1, 53 random bits each, float64 [size]."""
        words = np.frombuffer(self._stream.update(bytes(8 * size)), np.uint64)
        numbers: Floats = ((words >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
        return numbers

    def bernoulli(self, probability: float, size: int) -> NDArray[np.bool_]:
        """Return independent choices, each true with a probability, bool [size]."""
        return self.uniform(size) < probability

    def gaussian(self, sd: float, size: int) -> Floats:
        """Return normal numbers, float64 [size]."""
        from scipy.special import ndtri

        numbers: Floats = sd * ndtri(self.uniform(size))
        return numbers

    def discrete_gaussian(self, sd: float, size: int) -> Floats:
        """Return whole numbers with probability proportional to exp(-k^2 / (2 sd^2)), exactly.

        For counts, where the step from one number to the next is not small beside the noise.

        Args:
            sd: Of the distribution, positive; a ratio of whole numbers is used in its place.
            size: How many; each takes some 50 microseconds.
        """
        variance = Fraction(sd).limit_denominator(1 << 20) ** 2
        return np.array([float(self._discrete(variance)) for _ in range(size)])

    def _discrete(self, variance: Fraction) -> int:
        scale = math.isqrt(math.floor(variance)) + 1
        while True:
            drawn = self._laplace(scale)
            gap = (abs(drawn) - variance / scale) ** 2 / (2 * variance)
            if self._exponential(gap):
                return drawn

    def _laplace(self, scale: int) -> int:
        while True:
            low = self._below(scale)
            if not self._exponential(Fraction(low, scale)):
                continue
            high = 0
            while self._exponential(Fraction(1)):
                high += 1
            magnitude = low + scale * high
            negative = self._below(2) == 1
            if not (negative and magnitude == 0):
                return -magnitude if negative else magnitude

    def _exponential(self, gap: Fraction) -> bool:
        """Be true with probability exp(-gap), exactly."""
        while gap > 1:
            if not self._exponential(Fraction(1)):
                return False
            gap -= 1
        count = 1
        while self._below(gap.denominator * count) < gap.numerator:
            count += 1
        return count % 2 == 1

    def _below(self, bound: int) -> int:
        """Return a whole number below a bound, each as likely."""
        size = (bound - 1).bit_length()
        while True:
            if self._left < size:
                fresh = int.from_bytes(self._stream.update(bytes(32)), "little")
                self._bits |= fresh << self._left
                self._left += 256
            drawn = self._bits & ((1 << size) - 1)
            self._bits >>= size
            self._left -= size
            if drawn < bound:
                return drawn


_NOISE: ContextVar[Noise | None] = ContextVar("noise", default=None)


@contextmanager
def drawn_from(noise: Noise) -> Iterator[None]:
    """Say where randomness that protects patients comes from while the block lasts."""
    token = _NOISE.set(noise)
    try:
        yield
    finally:
        _NOISE.reset(token)


def noise() -> Noise:
    """Return where such randomness comes from.

    Raises:
        UpdateError: If nobody said: noise that could be guessed protects nobody.
    """
    found = _NOISE.get()
    if found is None:
        raise UpdateError("No secret noise is at hand; nothing that needs it is computed.")
    return found


def share_of_noise(
    summed: Floats, *, norm_max: float, multiplier: float, honest: int, source: Noise
) -> Floats:
    """Return a site's sum on a fixed grid, with its share of the noise of the whole sum.

    Values become multiples of a power of two that every fixed-point ring holds exactly, some
    2^20 in one patient's largest contribution. On that grid the noise is a rounded Gaussian:
    rounding is done after the Gaussian was added to whole numbers, so it tells nothing more.

    Args:
        summed: Sum of the patients' contributions, each of norm `norm_max` less `rounding_of` at
            most, float64 [d].
        norm_max: One patient's largest contribution, L2 norm.
        multiplier: Standard deviation of the noise of the whole sum, in units of `norm_max`.
        honest: Sites whose shares together make that noise; more of them make more noise.
        source: Where randomness comes from.

    Returns:
        float64 [d].

    Source:
        Kairouz, Liu, Steinke 2021, *The distributed discrete Gaussian mechanism*, for sums of
        discrete shares; at 2^20 steps the sum of shares differs from a Gaussian by less than
        rounding.
    """
    step = grid_step(norm_max)
    whole = np.rint(summed / step)
    sd = multiplier * norm_max / math.sqrt(honest) / step
    noisy: Floats = (whole + np.rint(source.gaussian(sd, summed.size))) * step
    return noisy


def grid_step(norm_max: float) -> float:
    """Return the step of the grid, a power of two.

    Examples:
        >>> grid_step(1.0) == 2.0**-20
        True
    """
    return float(2.0 ** (math.floor(math.log2(norm_max)) - 20))


def rounding_of(size: int, *, norm_max: float) -> float:
    """Return the most that rounding to the grid adds to one patient's norm."""
    return math.sqrt(size) * grid_step(norm_max)
