"""Named arrays, and their bytes: what models, sums and messages are made of.

Rules: names are sorted, bytes are canonical (the same arrays give the same bytes and digest on
every machine), nothing is ever unpickled, and a size limit stands before every parse.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fedpet.errors import UpdateError

Array: TypeAlias = NDArray[Any]
Parameters: TypeAlias = Mapping[str, Array]

SIZE_LIMIT_BYTES = 8 * 2**30
HEADER_LIMIT_BYTES = 16 * 2**20  # names, types and shapes of some 100,000 arrays
DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "u1",
    "BOOL": "?",
}


def to_bytes(arrays: Parameters) -> bytes:
    """Serialise named arrays as safetensors with sorted names, little-endian, contiguous.

    Examples:
        >>> from_bytes(to_bytes({"b": np.float32([1, 2])}))["b"].tolist()
        [1.0, 2.0]
    """
    from safetensors.numpy import save

    plain = {name: np.asarray(arrays[name], order="C") for name in sorted(arrays)}
    data: bytes = save(plain)
    return data


def from_bytes(data: bytes, *, limit_bytes: int = SIZE_LIMIT_BYTES) -> dict[str, Array]:
    """Read arrays written by `to_bytes`, in the order of their names.

    Raises:
        UpdateError: If the data are larger than `limit_bytes` or not well-formed safetensors.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    if len(data) > limit_bytes:
        raise UpdateError(f"Arrays of {len(data)} bytes exceed the limit of {limit_bytes} bytes.")
    if int.from_bytes(data[:8], "little") > HEADER_LIMIT_BYTES:
        raise UpdateError("The header of the arrays is too long; they were refused.")
    try:
        arrays: dict[str, Array] = load(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise UpdateError("Arrays are not well-formed safetensors; they were refused.") from error
    # The library's order changes from process to process; sums over it would differ in bits.
    return {name: arrays[name] for name in sorted(arrays)}


def mapped(path: Path) -> dict[str, Array]:
    """Read arrays written by `to_bytes` from a file, without holding them in memory.

    The arrays are read-only views of the file; it may be deleted meanwhile.

    Raises:
        UpdateError: If the file is larger than `SIZE_LIMIT_BYTES` or not well-formed safetensors.
    """
    from safetensors import SafetensorError, safe_open

    if path.stat().st_size > SIZE_LIMIT_BYTES:
        raise UpdateError(f"Arrays exceed the limit of {SIZE_LIMIT_BYTES} bytes.")
    try:
        with safe_open(path, framework="numpy"):  # the library checks every offset
            pass
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        return {
            name: np.memmap(
                path,
                dtype=DTYPES[header[name]["dtype"]],
                mode="r",
                offset=8 + length + header[name]["data_offsets"][0],
                shape=tuple(header[name]["shape"]),
            )
            if 0 not in header[name]["shape"]
            else np.zeros(header[name]["shape"], DTYPES[header[name]["dtype"]])
            for name in sorted(header)
        }
    except (SafetensorError, ValueError, KeyError) as error:
        raise UpdateError("Arrays are not well-formed safetensors; they were refused.") from error


def digest(arrays: Parameters) -> str:
    """Return the SHA-256 of the canonical bytes, in hexadecimal."""
    return hashlib.sha256(to_bytes(arrays)).hexdigest()


def require_same_shapes(expected: Parameters, found: Parameters, *, where: str) -> None:
    """Refuse arrays whose names or shapes differ from what was expected.

    Raises:
        UpdateError: Naming the first difference; `where` says whose arrays they are.
    """
    if missing := sorted(expected.keys() - found.keys()):
        raise UpdateError(f"{where}: array '{missing[0]}' is missing.")
    if unknown := sorted(found.keys() - expected.keys()):
        raise UpdateError(f"{where}: array '{unknown[0]}' was not expected.")
    for name in expected:
        if expected[name].shape != found[name].shape:
            raise UpdateError(
                f"{where}: array '{name}' has shape {found[name].shape}, "
                f"expected {expected[name].shape}."
            )


def require_finite(arrays: Parameters, *, where: str) -> None:
    """Refuse arrays that hold NaN or infinity.

    Raises:
        UpdateError: Naming the array and how many of its values are not finite.
    """
    for name, array in arrays.items():
        if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
            bad = int((~np.isfinite(array)).sum())
            raise UpdateError(f"{where}: array '{name}' holds {bad} values that are not finite.")


def weight_of(name: str) -> str:
    """Name the weight that a model parameter is averaged with.

    Every head is averaged over the subjects whose endpoint is known, everything else over all
    subjects that were trained on; the weights travel in the same sum as the parameters.

    Examples:
        >>> weight_of("heads.pfs.bias"), weight_of("encoder.stem.weight")
        ('weight.pfs', 'weight.shared')
    """
    name = name.removeprefix("control.")
    if name.startswith("heads."):
        return f"weight.{name.split('.')[1]}"
    return "weight.shared"
