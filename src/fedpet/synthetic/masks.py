"""Lesion masks as hospitals hand them over: RT structure sets, DICOM segmentations, NIfTI."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import (
    PositronEmissionTomographyImageStorage,
    RTStructureSetStorage,
    SegmentationStorage,
)

from fedpet.imaging.volume import Grid, Volume
from fedpet.synthetic.dicom import to_bytes
from fedpet.synthetic.exam import Exam
from fedpet.synthetic.headers import code, date, patient_and_study, time
from fedpet.synthetic.profiles import Masks


def write_masks(exam: Exam, lesions: Volume, *, kind: Masks, hospital: Path, folder: Path) -> int:
    """Write the lesions of one subject and return the bytes written.

    Args:
        exam: The facts of the headers.
        lesions: uint16 labels on the grid of the PET.
        kind: RTSTRUCT, SEG or NIfTI.
        hospital: Where `masks/` lies.
        folder: The subject's folder of images.
    """
    if kind is Masks.NIFTI:
        file = hospital / "masks" / f"{exam.patient_id}.nii.gz"
        file.parent.mkdir(exist_ok=True)
        content = nifti(lesions)
    else:
        file = folder / f"{kind.value}.dcm"
        content = to_bytes(
            structure_set(exam, lesions) if kind is Masks.RTSTRUCT else segmentation(exam, lesions)
        )
    file.write_bytes(content)
    return len(content)


def nifti(lesions: Volume) -> bytes:
    """Return the labels as a compressed NIfTI file (RAS), the same bytes every time."""
    grid = lesions.grid
    affine = np.eye(4)
    for column, axis in enumerate((2, 1, 0)):
        affine[:3, column] = np.array(grid.direction[axis]) * grid.spacing_mm[axis]
    affine[:3, 3] = grid.origin_mm
    affine[:2] *= -1
    image = nib.Nifti1Image(np.ascontiguousarray(lesions.array.transpose(2, 1, 0)), affine)
    return gzip.compress(image.to_bytes(), compresslevel=5, mtime=0)


def outlines(mask: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
    """Trace the edges of the pixels of a mask.

    Args:
        mask: [rows, columns].

    Returns:
        Closed polygons, (row, column) of corners in pixel units, [corners, 2]; even-odd filling
        at pixel centres gives back the mask. Holes are polygons of their own.

    Examples:
        >>> outlines(np.array([[True, True]]))[0].tolist()
        [[-0.5, -0.5], [-0.5, 1.5], [0.5, 1.5], [0.5, -0.5]]
    """
    padded = np.pad(mask, 1)
    following: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for (row, column), (start, end) in (
        ((-1, 0), ((0, 0), (0, 1))),
        ((0, 1), ((0, 1), (1, 1))),
        ((1, 0), ((1, 1), (1, 0))),
        ((0, -1), ((1, 0), (0, 0))),
    ):
        open_side = padded & ~np.roll(padded, (-row, -column), (0, 1))
        for r, c in np.argwhere(open_side).tolist():
            corner = (r + start[0], c + start[1])
            following.setdefault(corner, []).append((r + end[0], c + end[1]))
    polygons = []
    while following:
        first = min(following)
        loop, corner = [first], _step(following, first)
        while corner != first:
            loop.append(corner)
            corner = _step(following, corner)
        corners = np.array(loop, np.float64)
        bends = ~np.isclose(np.roll(corners, 1, 0) + np.roll(corners, -1, 0), 2 * corners)
        polygons.append(corners[bends.any(axis=1)] - 1.5)
    return polygons


def _step(
    following: dict[tuple[int, int], list[tuple[int, int]]], corner: tuple[int, int]
) -> tuple[int, int]:
    ends = following[corner]
    end = ends.pop()
    if not ends:
        del following[corner]
    return end


def _present(lesions: Volume) -> list[int]:
    return [int(label) for label in np.unique(lesions.array) if label]


def _slices(exam: Exam, lesions: Volume) -> dict[int, Dataset]:
    """Return references to the PET slices that hold a lesion, by slice number, head first."""
    found = {}
    for i in np.flatnonzero(lesions.array.any(axis=(1, 2))).tolist():
        item = Dataset()
        item.ReferencedSOPClassUID = PositronEmissionTomographyImageStorage
        item.ReferencedSOPInstanceUID = exam.uid("pet", i)
        found[i] = item
    return found


def _object(exam: Exam, *, modality: str, sop_class: str, number: str) -> Dataset:
    ds = patient_and_study(exam)
    ds.Modality, ds.SOPClassUID = modality, sop_class
    ds.SOPInstanceUID = exam.uid(modality, 1)
    ds.SeriesInstanceUID = exam.uid(modality)
    ds.SeriesNumber, ds.SeriesDescription = number, "Lesions"
    ds.SeriesDate, ds.SeriesTime = date(exam.start), time(exam.start)
    ds.Manufacturer, ds.ManufacturerModelName = "fedpet", "phantom reader"
    ds.DeviceSerialNumber, ds.SoftwareVersions = "0", "phantom"
    ds.FrameOfReferenceUID = exam.uid("frame of reference")
    ds.PositionReferenceIndicator = ""
    return ds


def structure_set(exam: Exam, lesions: Volume) -> Dataset:
    """Return an RT structure set, one region of interest per lesion, drawn on the PET slices."""
    ds = _object(exam, modality="RTSTRUCT", sop_class=RTStructureSetStorage, number="20")
    images = _slices(exam, lesions)
    ds.OperatorsName = ""
    ds.InstanceNumber = "1"
    ds.StructureSetLabel = "LESIONS"
    ds.StructureSetDate, ds.StructureSetTime = date(exam.start), time(exam.start)
    series = Dataset()
    series.SeriesInstanceUID, series.ContourImageSequence = exam.uid("pet"), [*images.values()]
    study = Dataset()
    study.ReferencedSOPClassUID = "1.2.840.10008.3.1.2.3.1"
    study.ReferencedSOPInstanceUID = ds.StudyInstanceUID
    study.RTReferencedSeriesSequence = [series]
    frame = Dataset()
    frame.FrameOfReferenceUID = ds.FrameOfReferenceUID
    frame.RTReferencedStudySequence = [study]
    ds.ReferencedFrameOfReferenceSequence = [frame]
    regions, contours, remarks = [], [], []
    for label in _present(lesions):
        region, contour, remark = Dataset(), Dataset(), Dataset()
        region.ROINumber = str(label)
        region.ReferencedFrameOfReferenceUID = ds.FrameOfReferenceUID
        region.ROIName, region.ROIGenerationAlgorithm = f"Lesion {label}", "MANUAL"
        contour.ROIDisplayColor = ["255", "96", "0"]
        contour.ReferencedROINumber = str(label)
        contour.ContourSequence = _contours(lesions.array == label, lesions.grid, images)
        remark.ObservationNumber = remark.ReferencedROINumber = str(label)
        remark.RTROIInterpretedType, remark.ROIInterpreter = "GTV", ""
        regions.append(region)
        contours.append(contour)
        remarks.append(remark)
    ds.StructureSetROISequence, ds.ROIContourSequence = regions, contours
    ds.RTROIObservationsSequence = remarks
    ds.ApprovalStatus = "UNAPPROVED"
    return ds


def _contours(mask: NDArray[np.bool_], grid: Grid, images: dict[int, Dataset]) -> list[Dataset]:
    x0, y0, top = grid.origin_mm
    found = []
    for i in np.flatnonzero(mask.any(axis=(1, 2))).tolist():
        z = top - i * grid.spacing_mm[0]
        for polygon in outlines(mask[i]):
            item = Dataset()
            item.ContourImageSequence = [images[i]]
            item.ContourGeometricType = "CLOSED_PLANAR"
            item.NumberOfContourPoints = str(len(polygon))
            item.ContourData = [
                f"{value:.3f}"
                for row, column in polygon.tolist()
                for value in (
                    x0 + column * grid.spacing_mm[2],
                    y0 + row * grid.spacing_mm[1],
                    z,
                )
            ]
            found.append(item)
    return found


def segmentation(exam: Exam, lesions: Volume) -> Dataset:
    """Return a binary DICOM segmentation, one segment per lesion, only frames that hold some."""
    ds = _object(exam, modality="SEG", sop_class=SegmentationStorage, number="21")
    grid, labels = lesions.grid, _present(lesions)
    images = _slices(exam, lesions)
    ds.InstanceNumber = "1"
    ds.ContentDate, ds.ContentTime = date(exam.start), time(exam.start)
    ds.ContentLabel, ds.ContentDescription = "LESIONS", "Lesions of the PET"
    ds.ContentCreatorName = ""
    ds.ImageType = ["DERIVED", "PRIMARY"]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = grid.shape[1:]
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 1, 1, 0, 0
    ds.LossyImageCompression, ds.SegmentationType = "00", "BINARY"
    series = Dataset()
    series.SeriesInstanceUID = exam.uid("pet")
    series.ReferencedInstanceSequence = [*images.values()]
    ds.ReferencedSeriesSequence = [series]
    ds.SegmentSequence = [_segment(number, label) for number, label in enumerate(labels, 1)]
    ds.SharedFunctionalGroupsSequence = [_shared(grid)]
    _dimensions(ds, exam)
    frames, planes = [], []
    for number, label in enumerate(labels, 1):
        mask = lesions.array == label
        for i in np.flatnonzero(mask.any(axis=(1, 2))).tolist():
            planes.append(mask[i])
            frames.append(_frame(grid, number, i, images[i]))
    ds.NumberOfFrames = str(len(frames))
    ds.PerFrameFunctionalGroupsSequence = frames
    bits = np.packbits(np.stack(planes).ravel(), bitorder="little").tobytes()
    ds.PixelData = bits + b"\0" * (len(bits) % 2)
    ds["PixelData"].VR = "OB"
    return ds


def _segment(number: int, label: int) -> Dataset:
    item = Dataset()
    item.SegmentNumber, item.SegmentLabel = number, f"Lesion {label}"
    item.SegmentAlgorithmType = "MANUAL"
    item.SegmentedPropertyCategoryCodeSequence = [
        code("49755003", "SCT", "Morphologically Abnormal Structure")
    ]
    item.SegmentedPropertyTypeCodeSequence = [code("52988006", "SCT", "Lesion")]
    return item


def _shared(grid: Grid) -> Dataset:
    shared, orientation, measures = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    measures.SliceThickness = f"{grid.spacing_mm[0]:g}"
    measures.SpacingBetweenSlices = f"{grid.spacing_mm[0]:g}"
    measures.PixelSpacing = [f"{grid.spacing_mm[1]:g}", f"{grid.spacing_mm[2]:g}"]
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    return shared


def _dimensions(ds: Dataset, exam: Exam) -> None:
    organization = exam.uid("SEG", "dimensions")
    item = Dataset()
    item.DimensionOrganizationUID = organization
    ds.DimensionOrganizationSequence = [item]
    indices = []
    for pointer, group in ((0x0062000B, 0x0062000A), (0x00200032, 0x00209113)):
        index = Dataset()
        index.DimensionOrganizationUID = organization
        index.DimensionIndexPointer, index.FunctionalGroupPointer = pointer, group
        indices.append(index)
    ds.DimensionIndexSequence = indices


def _frame(grid: Grid, number: int, i: int, image: Dataset) -> Dataset:
    frame, content, position, segment = Dataset(), Dataset(), Dataset(), Dataset()
    source, derivation = Dataset(), Dataset()
    content.DimensionIndexValues = [number, i + 1]
    x, y, top = grid.origin_mm
    position.ImagePositionPatient = [
        f"{x:.3f}",
        f"{y:.3f}",
        f"{top - i * grid.spacing_mm[0]:.3f}",
    ]
    segment.ReferencedSegmentNumber = number
    source.update(image)
    source.PurposeOfReferenceCodeSequence = [
        code("121322", "DCM", "Source image for image processing operation")
    ]
    derivation.DerivationCodeSequence = [code("113076", "DCM", "Segmentation")]
    derivation.SourceImageSequence = [source]
    frame.FrameContentSequence, frame.PlanePositionSequence = [content], [position]
    frame.SegmentIdentificationSequence = [segment]
    frame.DerivationImageSequence = [derivation]
    return frame
