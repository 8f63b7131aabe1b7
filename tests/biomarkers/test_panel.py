"""The groups of biomarkers a cohort can ask for, and the change between two scans."""

from __future__ import annotations

import math
from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedpet.biomarkers.catalogue import BIOMARKERS, GROUPS, biomarkers_of
from fedpet.biomarkers.delta import Measured, relative_changes
from fedpet.biomarkers.metabolic import measure
from fedpet.biomarkers.panel import Scanned, measure_groups, measure_radiomics
from fedpet.biomarkers.radiomics.measure import measure_region
from fedpet.biomarkers.radiomics.region import Levels, cut_region
from fedpet.errors import DataError
from fedpet.imaging.volume import Grid, Volume

GRID = Grid(shape=(20, 22, 24), spacing_mm=(4.0, 4.0, 4.0), origin_mm=(0.0, 0.0, 0.0))
ALL = tuple(GROUPS)


def scanned(*, lesions: bool | None = True) -> Scanned:
    """Return a scan with a large and a small lesion."""
    suv = np.random.default_rng(1).uniform(0.5, 1.5, GRID.shape).astype(np.float32)
    marks = np.zeros(GRID.shape, np.uint16)
    if lesions:
        marks[4:9, 5:10, 6:11], marks[15, 15, 15:17] = 1, 2
        suv[marks == 1] += 6
        suv[marks == 2] += 15
    return Scanned(
        suv=Volume(array=suv, grid=GRID),
        ct=None,
        lesions=None if lesions is None else Volume(array=marks, grid=GRID),
        weight_kg=70.0,
        height_m=1.75,
    )


def test_every_group_measures_what_the_catalogue_says_in_its_order() -> None:
    """Columns of a cohort are named before anything is measured."""
    found = measure_groups(scanned(), ALL)
    assert tuple(found) == tuple(BIOMARKERS) == tuple(biomarkers_of(ALL))
    assert len(BIOMARKERS) == sum(len(group) for group in GROUPS.values())
    assert all(one.label and one.source for one in BIOMARKERS.values())
    assert found["sdmax_per_m"] > 0
    one = scanned()
    assert one.lesions is not None
    assert measure_groups(one, ("metabolic",)) == measure(one.suv, one.lesions)


def test_radiomics_are_of_the_largest_lesion_alone() -> None:
    """The small one is hotter, and must not show in the maximum."""
    one = scanned()
    assert one.lesions is not None
    found = measure_radiomics(one.suv, one.lesions)
    assert found["stat_max"] < 8
    region = cut_region(one.suv, one.lesions.array == 1, spacing_mm=(3.0, 3.0, 3.0))
    expected = measure_region(region, Levels(width=0.25, lowest=0.0))
    assert found["cm_contrast_3d_comb"] == expected["cm_contrast_3D_comb"]


def test_without_lesions_nothing_is_zero_that_is_not_known() -> None:
    """No lesion seen is a tumour volume of 0; lesions not looked for are not."""
    seen = measure_groups(scanned(lesions=False), ALL)
    assert seen["tmtv_ml"] == seen["spread_mm"] == 0
    assert math.isnan(seen["stat_mean"])
    unknown = measure_groups(scanned(lesions=None), ALL)
    assert math.isnan(unknown["tmtv_ml"])
    assert tuple(unknown) == tuple(BIOMARKERS)
    with pytest.raises(DataError, match="textures"):
        measure_groups(scanned(), ("textures",))  # type: ignore[arg-type]


@given(
    before=st.floats(0.01, 1e6),
    after=st.floats(0, 1e6),
    days=st.integers(1, 900),
    swap=st.booleans(),
)
def test_change_is_from_the_earlier_to_the_later_scan(
    before: float, after: float, days: int, swap: bool
) -> None:
    """Which scan is named first must not turn progression into response."""
    first = Measured(day=date(2024, 1, 1), values={"tmtv_ml": before, "suvmax": 0.0})
    second = Measured(
        day=date.fromordinal(date(2024, 1, 1).toordinal() + days),
        values={"tmtv_ml": after, "suvmax": 0.0},
    )
    pair = (second, first) if swap else (first, second)
    found = relative_changes(*pair)
    assert found["delta_tmtv_ml"] == pytest.approx((after - before) / before)
    assert found["delta_suvmax"] == 0


def test_change_from_nothing_or_within_a_day_is_no_number() -> None:
    """There is no share of nothing, and no baseline among two scans of one day."""
    empty = Measured(day=date(2024, 1, 1), values={"tmtv_ml": 0.0})
    full = Measured(day=date(2024, 3, 1), values={"tmtv_ml": 5.0, "suvmax": 3.0})
    assert math.isnan(relative_changes(empty, full)["delta_tmtv_ml"])
    with pytest.raises(DataError, match="same day"):
        relative_changes(empty, empty)
    with pytest.raises(DataError, match="share no biomarker"):
        relative_changes(empty, Measured(day=date(2024, 5, 1), values={"suvmax": 1.0}))
