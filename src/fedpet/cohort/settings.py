"""cohort.toml: what a hospital's cohort is called, and how its images are prepared."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Le, Len

from fedpet.biomarkers.catalogue import DEFAULT_GROUPS, Group
from fedpet.cohort.method import Rules
from fedpet.errors import DataError, NotFoundError
from fedpet.imaging.body_size import Kind
from fedpet.tomldoor import Door, Mistake

# Strict at the door: no unknown key, no silent conversion, no infinity.
DOOR = {"extra": "forbid", "strict": True, "allow_inf_nan": False}
NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
FILE = "cohort.toml"
COHORT = Door(
    error=DataError,
    code="FP-2101",
    do="Correct cohort.toml; every key is explained by `fedpet help cohort`.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a cohort is built.

    Args:
        name: Name of the cohort, as plans call it: lower case, digits, `.`, `_`, `-`.
        site: Name of the hospital in the federation, written likewise.
        phantom: True for simulated subjects only; it allows pooling.
        spacing_mm: Voxel size of the common grid, the same along z, y and x.
        lesions: `given`: masks lie beside the images. Otherwise lesions are found, physiologic
            uptake excluded: `suv2.5` and `suv4.0` at a fixed SUV, `41%` of each lesion's maximum,
            `percist` above 1.5 times the liver's mean and 2 SD.
        lesion_min_ml: Smaller components that a method finds are noise.
        biomarkers: Groups that are measured: `metabolic`, `spread`, `organs`, `radiomics`.
        suv: What SUV is normalised by: `bw`, body weight; `lbm-janmahasatian`, `lbm-james` or
            `lbm-morgan`, lean body mass (SUL); `bsa`, body surface; `ibw`, ideal body weight.
        window: What the common grid shows: `body`, from the top of the PET down.
        head: `keep`, or `drop` what lies above the skull base.
        arms: `keep`, or `remove` them: they become air.
        prefer: Regular expressions, best first, that tell the wanted reconstruction of the PET by
            its description, method or kernel, for example `["EARL", "PSF"]`.
        images: Folder of DICOM files, or a zip archive, from the hospital's folder.
        masks: Folder of NIfTI masks; may be absent.
        table: The clinical table.
        dictionary: Its data dictionary.
    """

    __pydantic_config__ = DOOR

    name: Annotated[str, Len(1, 80)]
    site: Annotated[str, Len(1, 80)]
    phantom: bool = False
    spacing_mm: Annotated[float, Ge(1), Le(16)] = 4.0
    lesions: Literal["given", "suv2.5", "suv4.0", "41%", "percist"] = "given"
    lesion_min_ml: Annotated[float, Ge(0), Le(100)] = 0.5
    biomarkers: Annotated[tuple[Group, ...], Len(1, 4)] = DEFAULT_GROUPS
    suv: Kind = "bw"
    window: Literal["body"] = "body"
    head: Literal["keep", "drop"] = "keep"
    arms: Literal["keep", "remove"] = "keep"
    prefer: Annotated[tuple[Annotated[str, Len(1, 200)], ...], Len(0, 20)] = ()
    images: Annotated[str, Len(1, 1000)] = "images"
    masks: Annotated[str, Len(1, 1000)] = "masks"
    table: Annotated[str, Len(1, 1000)] = "clinical.csv"
    dictionary: Annotated[str, Len(1, 1000)] = "dictionary.toml"

    @property
    def rules(self) -> Rules:
        """How lesions are found and what is measured."""
        return Rules(
            lesions=self.lesions,
            lesion_min_ml=self.lesion_min_ml,
            biomarkers=self.biomarkers,
        )


def load_settings(folder: Path) -> Settings:
    """Read `cohort.toml` of a hospital's folder.

    Raises:
        NotFoundError: If the file is absent.
        DataError: Listing every mistake in it (FP-2101).
    """
    absent = NotFoundError(
        f"The hospital's folder has no {FILE}.",
        do="Write one, with `name` and `site` at least; see `fedpet help folder`.",
    )
    text = COHORT.text_of(folder / FILE, absent=absent)
    settings = COHORT.values(text, Settings, name=FILE)
    mistakes = [
        Mistake(
            key,
            f'"{key}" is {value!r:.60}; use lower case letters, digits, ".", "_" and "-" only.',
        )
        for key, value in (("name", settings.name), ("site", settings.site))
        if not NAME.fullmatch(value)
    ]
    mistakes += [
        Mistake("prefer", f'"prefer" holds {pattern!r:.60}, which is no regular expression.')
        for pattern in settings.prefer
        if not _is_pattern(pattern)
    ]
    if settings.site == "pooled":
        mistakes.append(Mistake("site", "'pooled' is the reserved name of a comparison."))
    if not math.isclose(settings.spacing_mm * 1000, round(settings.spacing_mm * 1000)):
        mistakes.append(Mistake("spacing_mm", '"spacing_mm" may have three decimals at most.'))
    if mistakes:
        raise COHORT.refusal(FILE, text, mistakes)
    return settings


def _is_pattern(text: str) -> bool:
    try:
        re.compile(text)
    except (re.error, OverflowError, RecursionError):
        return False
    return True
