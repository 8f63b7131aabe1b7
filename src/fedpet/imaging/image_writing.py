"""Volumes to DICOM series, so that images of other layouts come in by the one door.

PET is stored in 16 bits with a slope for each slice: the largest value of a slice is kept exactly,
every other one within half of 1/32000 of it. CT is rounded to whole HU.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian

from fedpet.imaging.reference_time import mean_activity_s
from fedpet.imaging.volume import Volume

PET: Final = UID("1.2.840.10008.5.1.4.1.1.128")
CT: Final = UID("1.2.840.10008.5.1.4.1.1.2")
STEPS: Final = 32000  # below the largest number, which would look like saturation
HU: Final = (-1024, 3071)
# A layout without dates still has times of day, which need some day to stand on; the standard asks
# for one as well. No PET was made on this one, so nobody takes it for the day of the scan.
NO_DAY: Final = "19000101"


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """What turns activity into SUV; times in seconds since midnight of the day of the scan.

    Args:
        dose_bq: Injected.
        half_life_s: Of the tracer.
        weight_kg: Of the patient.
        injection_s: When it was injected; may be negative.
        start_s: When the scan began; the image is corrected to it, unless `corrected` is False.
        duration_s: Of the frame.
        corrected: Whether decay is corrected in the image.
    """

    dose_bq: float
    half_life_s: float
    weight_kg: float
    injection_s: float
    start_s: float
    duration_s: float
    corrected: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Whose:
    """Whose image it is, and when it was made.

    Args:
        patient_id: (0010,0020); stays in the hospital.
        sex: M, F, O or empty.
        day: YYYYMMDD; empty where the layout does not tell it.
        height_m: None where unknown.
        weight_kg: None where unknown.
    """

    patient_id: str
    sex: str = ""
    day: str = ""
    height_m: float | None = None
    weight_kg: float | None = None


def write_pet(pet: Volume, folder: Path, whose: Whose, activity: Activity | None) -> int:
    """Write a PET series.

    Args:
        pet: float32 [z, y, x]: Bq/mL with `activity`, otherwise body-weight SUV in g/mL.
        folder: An existing folder, for this series only.
        whose: Whose it is.
        activity: What turns it into SUV; None: it is SUV.

    Returns:
        Files written.
    """
    shared = _shared(whose, "PT", PET)
    shared.Units = "GML" if activity is None else "BQML"
    if activity is None:
        shared.SUVType = "BW"
    shared.SeriesType = ["WHOLE BODY", "IMAGE"]
    shared.CorrectedImage = ["ATTN", "DECY"]
    shared.DecayCorrection = "START"
    shared.CountsSource = "EMISSION"
    shared.CollimatorType = "NONE"
    shared.DecayFactor = "1"
    shared.FrameReferenceTime = "0"
    shared.AcquisitionDate = shared.AcquisitionTime = shared.ActualFrameDuration = ""
    shared.SeriesTime = "000000"
    shared.PatientOrientationCodeSequence = Sequence([])
    shared.PatientGantryRelationshipCodeSequence = Sequence([])
    shared.RadiopharmaceuticalInformationSequence = Sequence([])
    shared.NumberOfSlices = pet.array.shape[0]
    if activity is not None:
        _tell(shared, activity, whose)
    scale = np.abs(pet.array).max(axis=(1, 2)).astype(np.float64) / STEPS
    scale[scale == 0] = 1.0
    for number, plane in enumerate(pet.array):
        slope = float(f"{scale[number]:.9e}")  # as many digits as a decimal string holds
        stored = np.clip(np.rint(plane / slope), -STEPS, STEPS).astype("<i2")
        _write(shared, pet, number, stored, folder, slope=slope)
    return len(pet.array)


def write_ct(ct: Volume, folder: Path, whose: Whose) -> int:
    """Write a CT series of HU; see `write_pet`."""
    shared = _shared(whose, "CT", CT)
    shared.ImageType = ["DERIVED", "PRIMARY", "AXIAL"]
    shared.KVP = shared.AcquisitionNumber = shared.PatientPosition = ""
    for number, plane in enumerate(ct.array):
        stored = np.clip(np.rint(plane), *HU).astype("<i2")
        _write(shared, ct, number, stored, folder, slope=1.0)
    return len(ct.array)


def _shared(whose: Whose, modality: str, sop_class: UID) -> Dataset:
    """Return what all slices of a series have in common."""
    ds = Dataset()
    ds.SOPClassUID = sop_class
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.ImageType = ["DERIVED", "PRIMARY"]
    ds.DerivationDescription = "Converted from NIfTI by fedpet"
    ds.Modality = modality
    ds.Manufacturer = "fedpet"
    ds.PatientName = ""
    ds.PatientID = whose.patient_id
    ds.PatientBirthDate = ""
    ds.PatientSex = whose.sex
    if whose.height_m is not None:
        ds.PatientSize = f"{whose.height_m:.3f}"
    if whose.weight_kg is not None:
        ds.PatientWeight = f"{whose.weight_kg:.4f}"
    ds.StudyDate = whose.day
    ds.SeriesDate = whose.day or NO_DAY
    ds.StudyTime = ds.SeriesTime = ""
    ds.Laterality = ""
    ds.AccessionNumber = ds.ReferringPhysicianName = ds.StudyID = ""
    ds.StudyInstanceUID = _uid(whose, "study")
    ds.SeriesInstanceUID = _uid(whose, modality)
    ds.FrameOfReferenceUID = _uid(whose, "frame")
    ds.PositionReferenceIndicator = ""
    ds.SeriesNumber = 1 if modality == "PT" else 2
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit = 15
    ds.PixelRepresentation = 1
    ds.RescaleIntercept = "0"
    return ds


def _uid(whose: Whose, what: str) -> UID:
    """Return a UID that is the same whenever the same subject is imported."""
    return _derived(f"{whose.patient_id} {whose.day} {what}")


def _derived(text: str) -> UID:
    """Return a UID from a digest.

    Source:
        DICOM PS3.5 B.2: 2.25 and a 128-bit number.
    """
    digest = hashlib.sha256(f"fedpet import {text}".encode()).digest()
    return UID(f"2.25.{int.from_bytes(digest[:16], 'big')}")


def _tell(ds: Dataset, activity: Activity, whose: Whose) -> None:
    """Write times, dose and weight where SUV is computed from."""
    ds.AcquisitionDate = whose.day or NO_DAY
    ds.SeriesTime = ds.AcquisitionTime = _time(activity.start_s)
    if not activity.corrected:
        ds.CorrectedImage = ["ATTN"]
        ds.DecayCorrection = "NONE"
        del ds.DecayFactor
    ds.ActualFrameDuration = str(round(activity.duration_s * 1000))
    middle_s = 0.0
    if activity.duration_s > 0:
        middle_s = mean_activity_s(activity.duration_s, activity.half_life_s)
    ds.FrameReferenceTime = f"{middle_s * 1000:.3f}"
    ds.PatientWeight = f"{activity.weight_kg:.4f}"
    source = Dataset()
    source.Radiopharmaceutical = ""
    source.RadionuclideCodeSequence = Sequence([])
    source.RadionuclideTotalDose = f"{activity.dose_bq:.9e}"
    source.RadionuclideHalfLife = f"{activity.half_life_s:.6g}"
    source.RadiopharmaceuticalStartTime = _time(activity.injection_s % 86400)
    ds.RadiopharmaceuticalInformationSequence = Sequence([source])


def _time(seconds: float) -> str:
    micro = round(seconds * 1e6)
    whole, fraction = divmod(micro, 1_000_000)
    return f"{whole // 3600 % 24:02d}{whole // 60 % 60:02d}{whole % 60:02d}.{fraction:06d}"


def _write(
    shared: Dataset,
    volume: Volume,
    number: int,
    stored: NDArray[np.int16],
    folder: Path,
    *,
    slope: float,
) -> None:
    grid = volume.grid
    ds = Dataset()
    ds.update(shared)
    ds.SOPInstanceUID = _derived(f"{shared.SeriesInstanceUID} {number}")
    ds.InstanceNumber = number + 1
    if shared.SOPClassUID == PET:
        ds.ImageIndex = number + 1
    ds.Rows, ds.Columns = stored.shape
    ds.PixelSpacing = [f"{grid.spacing_mm[1]:.9g}", f"{grid.spacing_mm[2]:.9g}"]
    ds.SliceThickness = f"{grid.spacing_mm[0]:.9g}"
    ds.ImageOrientationPatient = [
        f"{part:.9g}" for part in (*grid.direction[2], *grid.direction[1])
    ]
    position = grid.to_lps(np.array([float(number), 0.0, 0.0]))
    ds.ImagePositionPatient = [f"{part:.9g}" for part in position]
    ds.RescaleSlope = f"{slope:.9e}" if slope != 1 else "1"
    ds.PixelData = stored.tobytes()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.save_as(folder / f"{number:04d}.dcm", enforce_file_format=True)
