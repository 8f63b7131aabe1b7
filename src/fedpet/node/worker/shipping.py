"""A cohort as a header and arrays, for a process that opens no file but that of the images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fedpet.cohort.samples import Cohort, Outcome
from fedpet.parameters import Array, Parameters

PLAIN = ("name", "fingerprint", "phantom", "spacing_mm", "suv")
LISTS = ("subjects", "strata", "columns")


def image_file(cohort: Cohort) -> Path | None:
    """Return the file that a cohort's images are mapped from, or None if they lie in memory."""
    images = cohort.mips
    if isinstance(images, np.memmap) and images.filename is not None:
        return Path(images.filename)
    return None


def pack(cohort: Cohort) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return what `unpack` makes the same cohort of; images in a file are named, not copied."""
    header: dict[str, Any] = {name: getattr(cohort, name) for name in PLAIN}
    header |= {name: list(getattr(cohort, name)) for name in LISTS}
    arrays: dict[str, Array] = {"table": cohort.table}
    for name, outcome in cohort.outcomes.items():
        arrays[f"outcomes.{name}.time_days"] = outcome.time_days
        arrays[f"outcomes.{name}.event"] = outcome.event
    arrays |= {f"binary.{name}": values for name, values in cohort.binary.items()}
    file, images = image_file(cohort), cohort.mips
    if file is None or not isinstance(images, np.memmap):
        arrays["mips"] = images
    else:
        header["mips"] = {
            "file": str(file),
            "offset": int(images.offset),
            "shape": list(images.shape),
            "type": images.dtype.str,
        }
    return header, arrays


def unpack(header: Mapping[str, Any], arrays: Parameters) -> Cohort:
    """Return the cohort that `pack` took apart."""
    images = arrays.get("mips")
    if images is None:
        told = header["mips"]
        images = np.memmap(
            told["file"],
            dtype=told["type"],
            mode="r",
            offset=told["offset"],
            shape=tuple(told["shape"]),
        )
    survival = [name.split(".")[1] for name in arrays if name.endswith(".time_days")]
    plain: dict[str, Any] = {name: header[name] for name in PLAIN}
    plain |= {name: tuple(header[name]) for name in LISTS}
    return Cohort(
        **plain,
        table=arrays["table"],
        outcomes={
            name: Outcome(
                time_days=arrays[f"outcomes.{name}.time_days"],
                event=arrays[f"outcomes.{name}.event"],
            )
            for name in survival
        },
        binary={
            name.removeprefix("binary."): array
            for name, array in arrays.items()
            if name.startswith("binary.")
        },
        mips=images,
    )
