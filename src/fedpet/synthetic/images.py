"""One subject's scan as files, the way its hospital stores them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedpet.imaging.volume import Grid, Volume
from fedpet.synthetic import headers
from fedpet.synthetic.dicom import to_bytes, write_series
from fedpet.synthetic.exam import Exam, bed_timing
from fedpet.synthetic.masks import write_masks
from fedpet.synthetic.profiles import Masks, Vendor
from fedpet.synthetic.scanner import Scan

STORED_MAX = 32767
NAC_SHARE = 0.4
WEIGHT_GUESS_KG = 70.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What was written for some subjects."""

    scans: int
    files: int
    bytes: int

    def __add__(self, other: Written) -> Written:
        """Return both together."""
        return Written(
            scans=self.scans + other.scans,
            files=self.files + other.files,
            bytes=self.bytes + other.bytes,
        )


def write_scan(exam: Exam, scan: Scan, *, hospital: Path, name: str, masks: Masks) -> Written:
    """Write PET, CT, masks and what else this hospital exports with them.

    Args:
        exam: The facts of the headers.
        scan: The volumes.
        hospital: The hospital's folder, with `images/` and, for NIfTI, `masks/` in it.
        name: Name of the subject's folder of images.
        masks: How the hospital hands over lesions.
    """
    folder = hospital / "images" / name
    folder.mkdir(parents=True, exist_ok=True)
    size = _write_pet(exam, scan.suv, folder, series="pet")
    size += _write_ct(exam, scan.ct, folder)
    files = scan.suv.grid.shape[0] + scan.ct.grid.shape[0]
    if exam.scanner.uncorrected:
        dim = Volume(array=scan.suv.array * np.float32(NAC_SHARE), grid=scan.suv.grid)
        size += _write_pet(exam, dim, folder, series="nac")
        files += scan.suv.grid.shape[0]
    if exam.scanner.screenshot:
        size += _write_projection(exam, scan.suv.array, folder)
        files += 1
    if masks is not Masks.NONE and scan.lesions.array.any():
        size += write_masks(exam, scan.lesions, kind=masks, hospital=hospital, folder=folder)
        files += 1
    return Written(scans=1, files=files, bytes=size)


def _files(folder: Path, series: str, slices: int, *, flat: bool) -> list[Path]:
    if flat:
        return [folder / f"{series}{i:04d}" for i in range(1, slices + 1)]
    inside = folder / series
    inside.mkdir(exist_ok=True)
    return [inside / f"{i:04d}.dcm" for i in range(1, slices + 1)]


def slice_uids(exam: Exam, series: str, slices: int) -> list[str]:
    """Return the SOP Instance UIDs of a series, head first."""
    return [exam.uid(series, i) for i in range(slices)]


def _places(exam: Exam, grid: Grid, series: str) -> dict[int, list[str | int]]:
    """Return what changes from slice to slice in every series, head first."""
    slices = grid.shape[0]
    x, y, top = grid.origin_mm
    z = [f"{top - i * grid.spacing_mm[0]:.3f}" for i in range(slices)]
    numbers = range(1, slices + 1)
    ordered = numbers if exam.scanner.head_first_numbers else reversed(numbers)
    return {
        0x00080018: [*slice_uids(exam, series, slices)],
        0x00200013: [str(number) for number in ordered],
        0x00200032: [f"{x:.3f}\\{y:.3f}\\{value}" for value in z],
        0x00201041: [*z],
    }


def _write_pet(exam: Exam, suv: Volume, folder: Path, *, series: str) -> int:
    grid = suv.grid
    slices = grid.shape[0]
    timing = bed_timing(exam, grid)
    slopes, stored = to_stored(exam, suv.array)
    changes = _places(exam, grid, series)
    changes |= {
        0x00080032: [headers.time(moment) for moment in timing.acquired],
        0x00541300: [f"{value:.3f}" for value in timing.reference_ms],
        0x00541321: [f"{value:.8f}" for value in timing.decay_factor],
        0x00541330: [int(number) for number in changes[0x00200013]],
        0x00281053: [headers.decimal(slope) for slope in slopes],
    }
    template = headers.pet_slice(exam, grid, series=series, corrected=series == "pet")
    files = _files(folder, series, slices, flat=exam.scanner.flat_folder)
    return write_series(template, stored, changes, files)


def to_stored(
    exam: Exam, suv: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.int16]]:
    """Turn SUV into stored values and the rescale slope of each slice.

    Args:
        exam: Gives weight, dose and times. Without a weight, one is assumed here that the files
            do not tell.
        suv: [slices, rows, columns].

    Returns:
        Slopes as written, [slices], and stored values, same shape as `suv`.
    """
    weight = WEIGHT_GUESS_KG if exam.weight_kg is None else exam.weight_kg
    unit = exam.suv_factor(weight)
    if exam.scanner.vendor is Vendor.PHILIPS:
        unit = float(headers.decimal(headers.counts_factor(exam) * unit))
    activity = suv.astype(np.float64) / unit
    top = np.maximum(activity.max(axis=(1, 2)), 1e-3)
    if exam.scanner.vendor is Vendor.SIEMENS:
        top = np.full_like(top, top.max())
    slopes = np.array([float(headers.decimal(value)) for value in top / STORED_MAX])
    stored = np.rint(activity / slopes[:, None, None])
    return slopes, np.minimum(stored, STORED_MAX).astype(np.int16)


def _write_ct(exam: Exam, ct: Volume, folder: Path) -> int:
    template = headers.ct_slice(exam, ct.grid)
    files = _files(folder, "ct", ct.grid.shape[0], flat=exam.scanner.flat_folder)
    stored = (ct.array + np.int16(1024)).astype(np.uint16)
    return write_series(template, stored, _places(exam, ct.grid, "ct"), files)


def _write_projection(exam: Exam, suv: NDArray[np.float32], folder: Path) -> int:
    picture = np.clip(suv.max(axis=1) * 25.5, 0, 255).astype(np.uint8)
    data_set = headers.projection(exam, rows=picture.shape[0], columns=picture.shape[1])
    data_set.PixelData = picture.tobytes() + b"\0" * (picture.size % 2)
    data_set["PixelData"].VR = "OB"
    content = to_bytes(data_set)
    (folder / "mip.dcm").write_bytes(content)
    return len(content)
