"""cohort.toml: what a hospital's cohort is called, and how its images are prepared."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Le, Len

from fedpet.cohort.tomlfile import Mistake, read, refusal

# Strict at the door: no unknown key, no silent conversion, no infinity.
DOOR = {"extra": "forbid", "strict": True, "allow_inf_nan": False}
NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
FILE = "cohort.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a cohort is built.

    Args:
        name: Name of the cohort, as plans call it: lower case, digits, `.`, `_`, `-`.
        site: Name of the hospital in the federation, written likewise.
        phantom: True for simulated subjects only; it allows pooling.
        spacing_mm: Voxel size of the common grid, the same along z, y and x.
        lesions: `given`: masks lie beside the images; `threshold`: lesions are found at a fixed
            SUV of 4, physiologic uptake excluded.
        images: Folder of DICOM files, from the hospital's folder.
        masks: Folder of NIfTI masks; may be absent.
        table: The clinical table.
        dictionary: Its data dictionary.
    """

    __pydantic_config__ = DOOR

    name: Annotated[str, Len(1, 80)]
    site: Annotated[str, Len(1, 80)]
    phantom: bool = False
    spacing_mm: Annotated[float, Ge(1), Le(16)] = 4.0
    lesions: Literal["given", "threshold"] = "given"
    images: Annotated[str, Len(1, 1000)] = "images"
    masks: Annotated[str, Len(1, 1000)] = "masks"
    table: Annotated[str, Len(1, 1000)] = "clinical.csv"
    dictionary: Annotated[str, Len(1, 1000)] = "dictionary.toml"


def load_settings(folder: Path) -> Settings:
    """Read `cohort.toml` of a hospital's folder.

    Raises:
        NotFoundError: If the file is absent.
        DataError: Listing every mistake in it (FP-2101).
    """
    settings, text = read(
        folder / FILE,
        Settings,
        code="FP-2101",
        do="Write one, with `name` and `site` at least; see `fedpet help folder`.",
    )
    mistakes = [
        Mistake(
            key,
            f'"{key}" is {value!r:.60}; use lower case letters, digits, ".", "_" and "-" only.',
        )
        for key, value in (("name", settings.name), ("site", settings.site))
        if not NAME.fullmatch(value)
    ]
    if settings.site == "pooled":
        mistakes.append(Mistake("site", "'pooled' is the reserved name of a comparison."))
    if not math.isclose(settings.spacing_mm * 1000, round(settings.spacing_mm * 1000)):
        mistakes.append(Mistake("spacing_mm", '"spacing_mm" may have three decimals at most.'))
    if mistakes:
        raise refusal(FILE, text, mistakes, code="FP-2101")
    return settings
