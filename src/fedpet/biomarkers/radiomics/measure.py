"""All radiomics of a region, by the tags of the IBSI."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from fedpet.biomarkers.radiomics.aggregation import (
    AGGREGATIONS,
    DIMENSIONS,
    Aggregation,
    Dimensions,
)
from fedpet.biomarkers.radiomics.cooccurrence import cooccurrence
from fedpet.biomarkers.radiomics.dependence import neighbourhoods
from fedpet.biomarkers.radiomics.intensity import (
    histogram,
    local_peaks,
    statistics,
    volume_histogram,
)
from fedpet.biomarkers.radiomics.morphology import morphology
from fedpet.biomarkers.radiomics.region import Levels, Region, to_levels
from fedpet.biomarkers.radiomics.runs import run_lengths
from fedpet.biomarkers.radiomics.zones import zones

ALL_AGGREGATIONS: Final = AGGREGATIONS


def measure_region(
    region: Region,
    levels: Levels,
    *,
    aggregations: Sequence[Aggregation] = ("3D_comb",),
    volume_levels: Levels | None = None,
) -> dict[str, float]:
    """Measure every feature of a region.

    Args:
        region: From `cut_region`.
        levels: How intensities become levels, for histogram and matrices.
        aggregations: Which matrices are measured; zones and neighbourhoods have no directions
            and are measured once for each of `2D`, `2_5D` and `3D` that occurs.
        volume_levels: Finer levels for the intensity-volume histogram; `levels` if None.

    Returns:
        Features by IBSI tag, aggregation last: `stat_mean`, `cm_contrast_3D_comb`,
        `szm_sze_3D`. NaN where a feature is not defined, as of one voxel.

    Source:
        Zwanenburg et al. 2020, Radiology 295:328; IBSI reference manual, arXiv 1612.07003.
    """
    placed = to_levels(region, levels)
    fine = levels if volume_levels is None else volume_levels
    fine_placed = placed if volume_levels is None else to_levels(region, volume_levels)
    values = region.values[region.inside]
    low = float(values.min()) if fine.lowest is None else fine.lowest
    width = 1.0 if fine.width is None else fine.width
    found = {
        **morphology(region),
        **local_peaks(region),
        **statistics(region),
        **histogram(placed),
        **volume_histogram(fine_placed, width=width, lowest=low if fine.width is not None else 0.5),
    }
    # The matrices need nothing outside of the region's own box.
    box = tuple(slice(int(one.min()), int(one.max()) + 1) for one in region.shape.nonzero())
    placed, shape = placed[box], region.shape[box]
    for aggregation in aggregations:
        for one in (cooccurrence, run_lengths):
            told = one(placed, aggregation=aggregation)
            found |= {f"{name}_{aggregation}": value for name, value in told.items()}
    for dimensions in _dimensions(aggregations):
        told = {
            **zones(placed, shape, dimensions=dimensions),
            **neighbourhoods(placed, dimensions=dimensions),
        }
        found |= {f"{name}_{dimensions}": value for name, value in told.items()}
    return found


def _dimensions(aggregations: Sequence[Aggregation]) -> list[Dimensions]:
    return [one for one in DIMENSIONS if any(name.startswith(f"{one}_") for name in aggregations)]
