"""What was noticed about a scan without refusing it, and why a series or mask was left aside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

TITLES: Final = {
    "FP-2120": "Liver uptake is outside 1.3 to 3.0",
    "FP-2121": "Blood pool uptake is unusual",
    "FP-2122": "The image holds more activity than was left of the dose",
    "FP-2123": "Mean uptake of the body is outside 0.5 to 1.5",
    "FP-2124": "The dose is outside 1.5 to 8 MBq/kg",
    "FP-2125": "Voxels hold the largest value that can be stored",
    "FP-2126": "The hospital's fixes.csv replaced a value of the header",
    "FP-2127": "The lean mass formula does not suit the body",
    "FP-2128": "Weight and size do not fit each other",
    "FP-2129": "Uptake time is under 30 or over 120 minutes",
    "FP-2130": "A unit was repaired",
    "FP-2131": "Two times of the same scan disagree",
    "FP-2132": "The date or time of injection was corrected",
    "FP-2133": "Uptake time is outside 45 to 90 minutes",
    "FP-2134": "The tracer is not labelled with fluorine-18",
    "FP-2135": "The header contradicts itself",
    "FP-2136": "PET and CT overlap over less than 80 % of the PET",
    "FP-2137": "A slice was found twice and used once",
    "FP-2138": "Several reconstructions; one was chosen by rule",
    "FP-2139": "The PET has fewer slices than it declares",
    "FP-2140": "The lesion mask does not fit",
    "FP-2141": "The lesion mask holds no lesion",
    "FP-2142": "Some regions of the mask are organs and were left out",
    "FP-2143": "Lesions were searched without a CT",
    "FP-2144": "The CT cannot be read",
    "FP-2145": "No healthy liver was found for the PERCIST threshold",
    "FP-2146": "The lesion mask changed its volume on the way to the PET",
    "FP-2148": "PET and CT do not lie on each other",
    "FP-2149": "The CT was compressed with loss",
}

# Why files below a folder are not used; `Rejected.files` counts the folders.
UNLISTED = "A folder cannot be listed; check its rights."


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """A fact that a person should know although the scan is used.

    Args:
        code: Stable number; `TITLES` holds its one-line title.
        text: What was found and what was done; no identifier of the patient.
    """

    code: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A series, mask or file that is not used, and why.

    Args:
        patient_id: (0010,0020) as in the file; stays in the hospital.
        series: SeriesInstanceUID; empty for a NIfTI mask or an unreadable file.
        modality: (0008,0060); `NIFTI` or `DICOM` where there is none.
        reason: One sentence without identifiers.
        files: Number of files concerned.
        identity: What tells it from every other; secret, as it is made of identifiers.
        date: Its study date, YYYYMMDD; empty if not known.
        number: (0020,0011) Series Number; empty if not known.
        shape: Slices, rows, columns; empty if it is not a volume.
        spacing_mm: Between slices, rows, columns; likewise.
        usable: Whether a person may choose it nevertheless.
    """

    patient_id: str
    series: str
    modality: str
    reason: str
    files: int = 1
    identity: str = ""
    date: str = ""
    number: str = ""
    shape: tuple[int, ...] = ()
    spacing_mm: tuple[float, ...] = ()
    usable: bool = False
