"""The scan on which imaging is timed: 300 PET slices of 168 x 168, 500 CT slices of 512 x 512."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from fedpet.imaging.grid import to_common_grid
from fedpet.imaging.volume import Grid, Volume
from fedpet.synthetic.images import write_scan
from fedpet.synthetic.profiles import Masks
from fedpet.synthetic.scanner import Scan
from fedpet.synthetic.subject import Roll, examine

PET_SHAPE, PET_MM = (300, 168, 168), (3.0, 4.07283, 4.07283)
CT_SHAPE, CT_MM = (500, 512, 512), (1.8, 0.976562, 0.976562)
CT_NOISE_HU = 15.0
SEED = 2026


def write(folder: Path) -> str:
    """Write the phantom's scan as DICOM files below `folder/images`; return its Patient ID."""
    exam, scan = examine(Roll(seed=SEED, index=0, subjects=10), 0)
    middle = scan.suv.grid.to_lps((np.array(scan.suv.grid.shape) - 1) / 2)
    pet, ct = _grid(PET_SHAPE, PET_MM, middle), _grid(CT_SHAPE, CT_MM, middle)
    fine = to_common_grid(scan.ct, ct, fill=-1024, kind="ct").array
    rng = np.random.default_rng(SEED)
    for part in fine:  # noise keeps the CT from being smoother than a real one
        part += rng.normal(0, CT_NOISE_HU, part.shape).astype(np.int16)
        np.clip(part, -1024, 3071, out=part)
    large = Scan(
        suv=to_common_grid(scan.suv, pet, fill=0),
        ct=Volume(array=fine, grid=ct),
        lesions=to_common_grid(scan.lesions, pet, fill=0, kind="label"),
        painted_ml=scan.painted_ml,
    )
    plain = replace(exam.scanner, uncorrected=False, screenshot=False, flat_folder=False)
    write_scan(replace(exam, scanner=plain), large, hospital=folder, name="0000", masks=Masks.SEG)
    return exam.patient_id


def _grid(
    shape: tuple[int, int, int], spacing_mm: tuple[float, float, float], middle: np.ndarray
) -> Grid:
    """Return a grid, head first, whose middle lies at a point."""
    half = (np.array(shape) - 1) / 2 * spacing_mm
    x, y, z = middle + np.array((-half[2], -half[1], half[0]))
    return Grid(
        shape=shape,
        spacing_mm=spacing_mm,
        origin_mm=(round(float(x), 3), round(float(y), 3), round(float(z), 3)),
        direction=((0.0, 0.0, -1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)),
    )
