"""Masks: the keystream of AES-256 in counter mode, added and taken away in cache-sized chunks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from fedpet.parameters import Array
from fedpet.privacy.secure_sum.lanes import Words32, Words64

CHUNK_BYTES = 1 << 16
ZEROS = bytes(CHUNK_BYTES)


def apply(
    narrow: Words32, wide: Words64, *, add: Sequence[bytes] = (), subtract: Sequence[bytes] = ()
) -> None:
    """Add and subtract the streams of some keys, in place; first 32-bit words, then 64-bit ones.

    Extra memory is one chunk, whatever the size. A key must never serve two vectors.
    """
    streams = [
        (Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor(), operation)
        for keys, operation in ((add, np.add), (subtract, np.subtract))
        for key in keys
    ]
    buffer = bytearray(CHUNK_BYTES)
    for words, kind in ((narrow, "<u4"), (wide, "<u8")):
        stream = np.frombuffer(buffer, kind)
        step = CHUNK_BYTES // stream.itemsize
        for start in range(0, len(words), step):
            chunk: Array = words[start : start + step]
            zeros = memoryview(ZEROS)[: chunk.nbytes]
            for encryptor, operation in streams:
                encryptor.update_into(zeros, buffer)
                operation(chunk, stream[: len(chunk)], out=chunk)
