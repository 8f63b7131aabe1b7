"""Projections and what a network made of them, as small pictures that need no other file."""

from __future__ import annotations

import base64

import numpy as np
from numpy.typing import NDArray

from fedpet.cohort.pictures import SUV_BLACK, png

GREYS = 28
TINTS = 4  # steps of either colour
RAISES, LOWERS = (0xD5, 0x5E, 0x00), (0x00, 0x72, 0xB2)
SCALE = 3


def uptake(projection: NDArray[np.float32]) -> str:
    """Draw an SUV projection [rows, columns], dark where uptake is high; a `data:` address."""
    levels = np.rint(np.clip(projection / SUV_BLACK, 0, 1) * 255).astype(np.uint8)
    palette = b"".join(bytes((255 - grey,) * 3) for grey in range(256))
    return _address(levels, palette)


def looked(
    projection: NDArray[np.float32], attribution: NDArray[np.float64], *, largest: float
) -> str:
    """Draw attributions over a pale projection: orange raises the risk, blue lowers it.

    Args:
        projection: SUV, [rows, columns].
        attribution: [rows, columns].
        largest: Attribution that has the full colour.
    """
    grey = np.rint(np.clip(projection / SUV_BLACK, 0, 1) * (GREYS - 1)).astype(np.int64)
    share = np.clip(attribution / largest, -1, 1) if largest > 0 else np.zeros_like(attribution)
    tint = np.rint(np.sign(share) * np.sqrt(np.abs(share)) * TINTS).astype(np.int64)
    return _address(((tint + TINTS) * GREYS + grey).astype(np.uint8), _palette())


def _palette() -> bytes:
    colours = []
    for tint in range(-TINTS, TINTS + 1):
        ink, strength = (RAISES if tint > 0 else LOWERS), abs(tint) / TINTS
        for grey in range(GREYS):
            paper = 255 - 0.45 * 255 * grey / (GREYS - 1)
            colours.append(bytes(round((1 - strength) * paper + strength * one) for one in ink))
    return b"".join(colours)


def _address(levels: NDArray[np.uint8], palette: bytes) -> str:
    large = levels.repeat(SCALE, axis=0).repeat(SCALE, axis=1)
    return "data:image/png;base64," + base64.b64encode(png(large, palette=palette)).decode()
