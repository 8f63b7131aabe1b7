"""Small pictures of projections: inverted grey, lesions outlined, as PNG."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

SUV_BLACK = 8.0
ROWS_MAX = 130
OUTLINE = 255
OUTLINE_RGB = bytes((0xC2, 0x2B, 0x1B))
GREYS = b"".join(bytes((255 - level,) * 3) for level in range(OUTLINE))


def thumbnail(mip: NDArray[np.floating], lesions: NDArray[np.integer] | None) -> bytes:
    r"""Draw a coronal projection, dark where the uptake is high.

    Args:
        mip: SUV [z, x], head first.
        lesions: Labels [z, y, x] on the same grid; None where they are not known.

    Returns:
        A PNG of at most 130 rows. SUV 0 is white, SUV 8 and above is black.

    Examples:
        >>> thumbnail(np.zeros((4, 3), np.float16), None)[:4]
        b'\x89PNG'
    """
    step = -(-mip.shape[0] // ROWS_MAX)
    suv = _largest(np.nan_to_num(mip.astype(np.float32)), step)
    levels = np.rint(np.clip(suv / SUV_BLACK, 0, 1) * (OUTLINE - 1)).astype(np.uint8)
    if lesions is not None:
        shadow = _largest((lesions > 0).max(axis=1).astype(np.float32), step) > 0
        rim = ndimage.binary_dilation(shadow, np.ones((3, 3), bool)) & ~shadow
        levels[rim[: levels.shape[0], : levels.shape[1]]] = OUTLINE
    return png(levels, palette=GREYS + OUTLINE_RGB)


def _largest(array: NDArray[np.float32], step: int) -> NDArray[np.float32]:
    """Shrink by the largest value of each block, so that small hot spots stay."""
    if step == 1:
        return array
    rows, columns = (size // step * step for size in array.shape)
    blocks = array[:rows, :columns].reshape(rows // step, step, columns // step, step)
    largest: NDArray[np.float32] = blocks.max(axis=(1, 3))
    return largest


def png(levels: NDArray[np.uint8], *, palette: bytes) -> bytes:
    """Write an image of palette indices, uint8 [rows, columns], as PNG.

    Source:
        PNG specification (W3C, third edition), colour type 3, no filter.
    """
    rows, columns = levels.shape
    lines = np.zeros((rows, columns + 1), np.uint8)
    lines[:, 1:] = levels
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", struct.pack(">IIBBBBB", columns, rows, 8, 3, 0, 0, 0)),
            _chunk(b"PLTE", palette),
            _chunk(b"IDAT", zlib.compress(lines.tobytes(), 9)),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))
