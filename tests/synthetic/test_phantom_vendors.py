"""The same body written by each vendor's scanner is the same SUV."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fedpet.imaging.index import find_scans
from fedpet.imaging.scan import read_scan
from fedpet.synthetic.images import write_scan
from fedpet.synthetic.profiles import Masks, Vendor
from fedpet.synthetic.subject import Roll, examine


@pytest.mark.parametrize("vendor", list(Vendor))
@pytest.mark.parametrize("decay", ["START", "ADMIN"])
def test_vendors_differ_by_less_than_their_storage(
    tmp_path: Path, vendor: Vendor, decay: str
) -> None:
    """Siemens: one slope; GE: one a slice and a private time; Philips: counts and its factors."""
    exam, scan = examine(Roll(seed=3, index=0, subjects=1), 0)
    # Only the upper part, to be quick: 30 slices of head and neck.
    suv = replace(
        scan.suv,
        array=np.ascontiguousarray(scan.suv.array[:30]),
        grid=replace(scan.suv.grid, shape=(30, *scan.suv.grid.shape[1:])),
    )
    scan = replace(scan, suv=suv)
    exam = replace(exam, scanner=replace(exam.scanner, vendor=vendor, decay_correction=decay))
    write_scan(exam, scan, hospital=tmp_path, name="0001", masks=Masks.NONE)
    index = find_scans(tmp_path / "images")
    (found,) = index.scans
    images = read_scan(found)
    order = np.argsort([-one.position[2] for one in found.pet.slices])
    quantum = np.array([found.pet.slices[i].slope for i in order]) * images.provenance.factor_max
    error = np.abs(images.suv.array[order].astype(np.float64) - suv.array)
    assert (error <= 0.5001 * quantum[:, None, None] + 1e-6 * suv.array).all()
