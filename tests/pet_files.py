"""DICOM files for tests, written by pydicom and highdicom, never by our own code."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

DATA = Path(__file__).resolve().parents[2] / "shared/data"
PET_CLASS = "1.2.840.10008.5.1.4.1.1.128"
CT_CLASS = "1.2.840.10008.5.1.4.1.1.2"
Change = Callable[[Dataset, int], None]


def need(*parts: str) -> Path:
    """Return a folder of real data, or skip the test."""
    path = DATA.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"real data {'/'.join(parts)} is not on this machine")
    return path


def _base(modality: str, sop_class: str, *, patient: str, study: str, frame: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID = sop_class
    dataset.Modality = modality
    dataset.PatientID = patient
    dataset.PatientName = "Doe^Jane"
    dataset.PatientBirthDate = "19500101"
    dataset.PatientSex = "F"
    dataset.PatientWeight = "70"
    dataset.PatientSize = "1.7"
    dataset.StudyInstanceUID = generate_uid(entropy_srcs=[study])
    dataset.FrameOfReferenceUID = generate_uid(entropy_srcs=[frame])
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = "20250102"
    dataset.StudyTime = dataset.SeriesTime = dataset.AcquisitionTime = "110000"
    dataset.StudyID = "1"
    dataset.AccessionNumber = dataset.ReferringPhysicianName = ""
    dataset.Manufacturer = "Nobody"
    return dataset


def _save(dataset: FileDataset, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.save_as(path, enforce_file_format=True)


def write_series(
    folder: Path,
    stored: NDArray[np.generic],
    *,
    modality: str = "PT",
    patient: str = "P1",
    series: str = "pet",
    study: str = "study",
    frame: str = "frame",
    spacing: tuple[float, float, float] = (4.0, 4.0, 4.0),
    origin: tuple[float, float, float] = (-10.0, -20.0, 30.0),
    slopes: Sequence[float] | float = 2.0,
    change: Change | None = None,
) -> list[Path]:
    """Write stored values [z, y, x] as a PET (BQML, START) or CT series, one file per slice.

    `change(dataset, number)` may alter each file before it is written.
    """
    paths = []
    for number in range(len(stored)):
        sop_class = PET_CLASS if modality == "PT" else CT_CLASS
        dataset = _base(modality, sop_class, patient=patient, study=study, frame=frame)
        dataset.SeriesInstanceUID = generate_uid(entropy_srcs=[study, series])
        dataset.SOPInstanceUID = generate_uid(entropy_srcs=[patient, study, series, str(number)])
        dataset.SeriesNumber = "1"
        dataset.InstanceNumber = str(len(stored) - number)
        dataset.ImageType = ["ORIGINAL", "PRIMARY"]
        dataset.ImagePositionPatient = [*origin[:2], origin[2] + number * spacing[0]]
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        dataset.PixelSpacing = [spacing[1], spacing[2]]
        dataset.SliceThickness = spacing[0]
        dataset.SamplesPerPixel = 1
        dataset.PhotometricInterpretation = "MONOCHROME2"
        dataset.Rows, dataset.Columns = stored.shape[1:]
        dataset.BitsAllocated = dataset.BitsStored = 16
        dataset.HighBit = 15
        dataset.PixelRepresentation = 1
        slope = slopes if isinstance(slopes, float) else slopes[number]
        dataset.RescaleSlope = f"{slope:.10g}"
        dataset.RescaleIntercept = "0"
        dataset.PixelData = stored[number].astype("<i2").tobytes()
        if modality == "PT":
            _pet(dataset)
        if change is not None:
            change(dataset, number)
        path = folder / f"{series}-{number:03d}"
        _save(dataset, path)
        paths.append(path)
    return paths


def _pet(dataset: Dataset) -> None:
    dataset.SeriesType = ["WHOLEBODY", "IMAGE"]
    dataset.Units = "BQML"
    dataset.DecayCorrection = "START"
    dataset.CorrectedImage = ["ATTN", "DECY", "SCAT"]
    dataset.FrameReferenceTime = "0"
    dataset.ActualFrameDuration = "120000"
    dataset.DecayFactor = "1"
    dose = Dataset()
    dose.RadionuclideTotalDose = "350000000"
    dose.RadionuclideHalfLife = "6586.2"
    dose.RadiopharmaceuticalStartTime = "100000"
    dataset.RadiopharmaceuticalInformationSequence = [dose]


def factor_bqml(
    *, weight_kg: float = 70.0, dose_bq: float = 350e6, uptake_s: float = 3600
) -> float:
    """Return the factor from Bq/mL to SUV of the files above, by the definition of SUV."""
    return weight_kg * 1000 / (dose_bq * 0.5 ** (uptake_s / 6586.2))


def write_structures(
    path: Path,
    regions: dict[str, list[list[tuple[float, float, float]]]],
    *,
    references: Path,
    patient: str = "P1",
) -> None:
    """Write contours as an RTSTRUCT that names the series of the file `references`."""
    image = pydicom.dcmread(references, stop_before_pixels=True)
    dataset = _base(
        "RTSTRUCT", "1.2.840.10008.5.1.4.1.1.481.3", patient=patient, study="", frame=""
    )
    dataset.StudyInstanceUID = image.StudyInstanceUID
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=[str(path)])
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=[str(path), "one"])
    dataset.StructureSetDate, dataset.StructureSetTime = "20250103", "120000"
    one = Dataset()
    one.ReferencedSOPClassUID, one.ReferencedSOPInstanceUID = (
        image.SOPClassUID,
        image.SOPInstanceUID,
    )
    series = Dataset()
    series.SeriesInstanceUID, series.ContourImageSequence = image.SeriesInstanceUID, [one]
    study = Dataset()
    study.RTReferencedSeriesSequence = [series]
    frame = Dataset()
    frame.FrameOfReferenceUID = image.FrameOfReferenceUID
    frame.RTReferencedStudySequence = [study]
    dataset.ReferencedFrameOfReferenceSequence = [frame]
    names, contours = [], []
    for number, (name, drawn) in enumerate(regions.items(), start=1):
        region = Dataset()
        region.ROINumber, region.ROIName = number, name
        names.append(region)
        filled = Dataset()
        filled.ReferencedROINumber, filled.ContourSequence = number, []
        for points in drawn:
            contour = Dataset()
            contour.ContourGeometricType = "CLOSED_PLANAR"
            contour.NumberOfContourPoints = len(points)
            contour.ContourData = [f"{value:.6g}" for point in points for value in point]
            filled.ContourSequence.append(contour)
        contours.append(filled)
    dataset.StructureSetROISequence, dataset.ROIContourSequence = names, contours
    _save(dataset, path)


def unlistable(folder: Path) -> None:
    """Make a folder that nobody can list, root included: its path is longer than paths may be."""
    place = os.open(folder, os.O_RDONLY)
    for _ in range(os.pathconf(folder, "PC_PATH_MAX") // 200 + 1):
        os.mkdir("x" * 200, dir_fd=place)
        below = os.open("x" * 200, os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = below
    os.close(place)
