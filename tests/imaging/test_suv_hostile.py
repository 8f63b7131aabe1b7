"""Headers that fool a reader: clocks of other zones, dates that went missing, doses in mCi."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from fedpet.errors import DataError
from fedpet.imaging.index import find_scans
from fedpet.imaging.scan import read_scan
from pet_files import factor_bqml, write_series

VALUES = np.random.default_rng(5).integers(1, 3000, (4, 6, 7))
Header = dict[str, str | None]


def changed(header: Header, injection: Header) -> Callable[[Dataset, int], None]:
    """Return a change of the file's own attributes, and of those of the injection; None removes."""

    def change(dataset: Dataset, number: int) -> None:
        source = dataset.RadiopharmaceuticalInformationSequence[0]
        for of, told in ((dataset, header), (source, injection)):
            for name, value in told.items():
                if value is None:
                    delattr(of, name)
                else:
                    setattr(of, name, value)

    return change


@pytest.mark.parametrize(
    ("header", "injection"),
    [
        (  # 08:00 in Greenwich is 10:00 where the scanner stands
            {"TimezoneOffsetFromUTC": "+0200"},
            {
                "RadiopharmaceuticalStartTime": None,
                "RadiopharmaceuticalStartDateTime": "20250102080000+0000",
            },
        ),
        (  # New York: the injection of 10:00 is told as 15:00 in Greenwich
            {"TimezoneOffsetFromUTC": "-0500"},
            {
                "RadiopharmaceuticalStartTime": None,
                "RadiopharmaceuticalStartDateTime": "20250102150000.000000+0000",
            },
        ),
        (  # Auckland: the day before in Greenwich
            {"TimezoneOffsetFromUTC": "+1300"},
            {
                "RadiopharmaceuticalStartTime": None,
                "RadiopharmaceuticalStartDateTime": "20250101210000+0000",
            },
        ),
        (  # the acquisition told in another zone than the series
            {
                "TimezoneOffsetFromUTC": "+0530",
                "SeriesTime": None,
                "FrameReferenceTime": None,
                "AcquisitionTime": None,
                "AcquisitionDateTime": "20250102053000+0000",
            },
            {},
        ),
        ({"SeriesDate": None, "AcquisitionDate": None}, {}),  # only the study has a date
    ],
)
def test_clocks_of_other_zones_and_dates_of_the_study_give_the_same_suv(
    tmp_path: Path, header: Header, injection: Header
) -> None:
    """One hour of a wrong zone is 46 % of SUV; expected: weight / (dose decayed by one hour)."""
    write_series(tmp_path, VALUES, change=changed(header, injection))
    images = read_scan(find_scans(tmp_path).scans[0])
    assert np.allclose(images.suv.array, VALUES * 2 * factor_bqml(), rtol=1e-6)
    assert images.remarks == ()


@pytest.mark.parametrize("dose", ["9.46", "0.35", "20"])
def test_a_dose_that_may_be_in_millicurie_is_refused(tmp_path: Path, dose: str) -> None:
    """Read as MBq it would be a plausible number and SUV 37 times too high."""
    write_series(tmp_path, VALUES, change=changed({}, {"RadionuclideTotalDose": dose}))
    with pytest.raises(DataError, match=f"injected dose .* is {dose} Bq"):
        read_scan(find_scans(tmp_path).scans[0])


def test_a_pet_with_a_negative_slope_is_refused(tmp_path: Path) -> None:
    """It turns lesions into holes, and no mean tells."""
    write_series(tmp_path, VALUES, slopes=[2.0, 2.0, -2.0, 2.0])
    index = find_scans(tmp_path)
    assert index.scans == ()
    assert any("negative" in one.reason for one in index.rejected)
