"""Which biomarkers a cohort asks for, measured on one scan."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from fedpet.biomarkers.catalogue import GROUPS, RADIOMICS, Group, biomarkers_of
from fedpet.biomarkers.metabolic import measure, separate
from fedpet.biomarkers.organs import measure_organs
from fedpet.biomarkers.radiomics.measure import measure_region
from fedpet.biomarkers.radiomics.region import Levels, cut_region
from fedpet.biomarkers.spread import measure_spread
from fedpet.errors import DataError
from fedpet.imaging.landmarks import coarse_landmarks
from fedpet.imaging.volume import Volume

# Radiomics of PET: isotropic voxels make hospitals comparable; levels as the IBSI advises for SUV.
RADIOMICS_MM: Final = (3.0, 3.0, 3.0)
RADIOMICS_RANGE: Final = (0.0, float("inf"))  # filtered back projection may fall below 0
RADIOMICS_LEVELS: Final = Levels(width=0.25, lowest=0.0)
HISTOGRAM_LEVELS: Final = Levels(width=0.1, lowest=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanned:
    """What biomarkers are measured on.

    Args:
        suv: SUV on the PET's own grid, of the cohort's kind.
        by_weight: SUV by body weight; organs are measured on it. `suv` if None.
        ct: HU in the same frame of reference; None without CT.
        lesions: Labels on the PET's grid; None if they are not known.
        organs: Masks by name; see `organs.measure_organs`.
        weight_kg: None if not known.
        height_m: None if not known.
    """

    suv: Volume
    ct: Volume | None
    lesions: Volume | None
    organs: Mapping[str, Volume] = field(default_factory=dict)
    weight_kg: float | None = None
    height_m: float | None = None
    by_weight: Volume | None = None

    @property
    def bsa_m2(self) -> float | None:
        """Body surface by DuBois and DuBois 1916; None if weight or height is not known."""
        if not self.weight_kg or not self.height_m:
            return None
        return float(0.007184 * self.weight_kg**0.425 * (100 * self.height_m) ** 0.725)


def measure_groups(scanned: Scanned, groups: Sequence[Group]) -> dict[str, float]:
    """Measure the biomarkers of some groups, in the order of the catalogue.

    `metabolic` and `spread` are over the union of all lesions; `radiomics` are of the largest
    lesion alone (the hotter one of equals), as texture across separate lesions means nothing.

    Args:
        scanned: The scan.
        groups: Names of `catalogue.GROUPS`.

    Returns:
        Values by name; NaN where a value is not known or not defined.

    Raises:
        DataError: If a group is unknown, or grids differ.
    """
    found: dict[str, float] = {}
    for group in GROUPS:
        if group not in groups:
            continue
        names = biomarkers_of((group,))
        if scanned.lesions is None and group != "organs":
            found |= dict.fromkeys(names, float("nan"))
            continue
        values = _MEASURES[group](scanned)
        if values.keys() != names.keys():
            raise AssertionError(f"{group} does not measure what the catalogue says")
        found |= {name: values[name] for name in names}
    if unknown := set(groups) - set(GROUPS):
        raise DataError(
            f"The group of biomarkers '{min(unknown):.40}' is unknown.",
            do=f"Use {', '.join(GROUPS)}.",
        )
    return found


def measure_radiomics(suv: Volume, lesions: Volume) -> dict[str, float]:
    """Measure the radiomics of the largest lesion, on voxels of 3 mm and levels of 0.25 SUV.

    Matrices are three-dimensional, directions merged. The intensity-volume histogram has levels
    of 0.1 SUV. Voxels below 0 do not count; a lesion of nothing else has no radiomics (NaN).

    Args:
        suv: SUV on the PET's own grid.
        lesions: Labels on the same grid.

    Returns:
        Values by the names of the catalogue's group `radiomics`; all NaN without a lesion.

    Source:
        IBSI reference manual; tags in lower case.
    """
    parts = separate(lesions.array)
    if not parts:
        return dict.fromkeys(RADIOMICS, float("nan"))
    values = suv.array
    chosen = max(parts, key=lambda index: (len(index), float(values[tuple(index.T)].max())))
    inside = np.zeros(lesions.array.shape, bool)
    inside[tuple(chosen.T)] = True
    try:
        region = cut_region(suv, inside, spacing_mm=RADIOMICS_MM, value_range=RADIOMICS_RANGE)
    except DataError:  # a lesion of a voxel or two that no new voxel is half covered by
        region = cut_region(suv, inside)
    if region.values[region.inside].min() < 0:
        return dict.fromkeys(RADIOMICS, float("nan"))
    found = measure_region(region, RADIOMICS_LEVELS, volume_levels=HISTOGRAM_LEVELS)
    return {name.lower(): value for name, value in found.items()}


def _metabolic(scanned: Scanned) -> dict[str, float]:
    assert scanned.lesions is not None
    return measure(scanned.suv, scanned.lesions)


def _spread(scanned: Scanned) -> dict[str, float]:
    assert scanned.lesions is not None
    marks = coarse_landmarks(scanned.by_weight or scanned.suv, scanned.ct)
    return measure_spread(scanned.lesions, landmarks=marks, bsa_m2=scanned.bsa_m2)


def _organs(scanned: Scanned) -> dict[str, float]:
    return measure_organs(
        scanned.by_weight or scanned.suv,
        scanned.ct,
        lesions=scanned.lesions,
        organs=scanned.organs,
        height_m=scanned.height_m,
    )


def _radiomics(scanned: Scanned) -> dict[str, float]:
    assert scanned.lesions is not None
    return measure_radiomics(scanned.suv, scanned.lesions)


_MEASURES: Final[dict[Group, Callable[[Scanned], dict[str, float]]]] = {
    "metabolic": _metabolic,
    "spread": _spread,
    "organs": _organs,
    "radiomics": _radiomics,
}
