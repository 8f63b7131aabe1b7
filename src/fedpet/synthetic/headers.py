"""DICOM headers of PET and CT as the three large manufacturers write them."""

from __future__ import annotations

from datetime import datetime, timedelta

from pydicom.dataset import Dataset
from pydicom.uid import (
    CTImageStorage,
    PositronEmissionTomographyImageStorage,
    SecondaryCaptureImageStorage,
)

from fedpet.imaging.volume import Grid
from fedpet.synthetic.exam import BED_S, HALF_LIFE_S, Exam
from fedpet.synthetic.profiles import Vendor

MODELS = {
    Vendor.SIEMENS: ("SIEMENS", "Biograph phantom", "PSF+TOF 3i21s"),
    Vendor.GE: ("GE MEDICAL SYSTEMS", "Discovery phantom", "VPFX"),
    Vendor.PHILIPS: ("Philips Medical Systems", "Ingenuity phantom", "BLOB-OS-TF"),
}
# The private blocks that carry what SUV needs: (group, creator).
GE_BLOCK = (0x0009, "GEMS_PETD_01")
PHILIPS_BLOCK = (0x7053, "Philips PET Private Group")


def date(moment: datetime) -> str:
    """Return a DICOM date."""
    return moment.strftime("%Y%m%d")


def time(moment: datetime) -> str:
    """Return a DICOM time with six decimals."""
    return moment.strftime("%H%M%S.%f")


def decimal(value: float) -> str:
    """Return a positive decimal string of sixteen characters, precise to eleven digits.

    Examples:
        >>> decimal(0.000551234567890123)
        '5.5123456789e-04'
    """
    return f"{value:.10e}"


def code(value: str, scheme: str, meaning: str) -> Dataset:
    """Return the item of a code sequence."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def patient_and_study(exam: Exam) -> Dataset:
    """Return what every object of an examination shares."""
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.StudyDate, ds.StudyTime = date(exam.start), time(exam.start - timedelta(minutes=8))
    ds.AccessionNumber = ""
    ds.ReferringPhysicianName = ""
    ds.StudyDescription = "FDG PET-CT (phantom)"
    ds.PatientName = f"Phantom^{exam.patient_id}"
    ds.PatientID = exam.patient_id
    ds.PatientBirthDate = exam.birth_date
    ds.PatientSex = "M" if exam.male else "F"
    ds.PatientAge = f"{exam.age_years:03d}Y"
    ds.PatientSize = f"{exam.height_cm / 100:.2f}"
    if exam.weight_kg is not None:
        ds.PatientWeight = f"{exam.weight_kg:.1f}"
    ds.StudyInstanceUID = exam.uid("study")
    ds.StudyID = "1"
    return ds


def _equipment(ds: Dataset, exam: Exam) -> None:
    ds.Manufacturer, ds.ManufacturerModelName, _ = MODELS[exam.scanner.vendor]
    ds.BodyPartExamined = "WHOLEBODY"
    ds.InstitutionName = f"Phantom hospital {exam.site}"
    ds.DeviceSerialNumber = "0"
    ds.SoftwareVersions = "phantom"


def _plane(ds: Dataset, exam: Exam, grid: Grid, *, series: str) -> None:
    x, y, _ = grid.origin_mm
    ds.SeriesInstanceUID = exam.uid(series)
    ds.FrameOfReferenceUID = exam.uid("frame of reference")
    ds.PositionReferenceIndicator = ""
    ds.SOPInstanceUID = exam.uid(series, "template")
    ds.InstanceNumber = "00000000"
    ds.ImagePositionPatient = [f"{x:.3f}", f"{y:.3f}", "-000000000000.00"]
    ds.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    ds.SliceLocation = "-000000000000.00"
    ds.SliceThickness = f"{grid.spacing_mm[0]:g}"
    ds.PixelSpacing = [f"{grid.spacing_mm[1]:g}", f"{grid.spacing_mm[2]:g}"]
    ds.Rows, ds.Columns = grid.shape[1], grid.shape[2]
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.BitsAllocated = 16


def pet_slice(exam: Exam, grid: Grid, *, series: str, corrected: bool) -> Dataset:
    """Return a PET slice without pixels, in the habits of the scanner's maker.

    Args:
        exam: The facts.
        grid: Of the PET.
        series: Name of the series within the examination.
        corrected: Whether attenuation and scatter were corrected.
    """
    scanner = exam.scanner
    ds = patient_and_study(exam)
    _equipment(ds, exam)
    _plane(ds, exam, grid, series=series)
    ds.SOPClassUID = PositronEmissionTomographyImageStorage
    ds.Modality = "PT"
    ds.ImageType = ["ORIGINAL", "PRIMARY"]
    ds.SeriesNumber = "3" if corrected else "4"
    ds.SeriesDescription = "PET WB" if corrected else "PET WB NAC"
    late = timedelta(minutes=25) if scanner.vendor is Vendor.GE else timedelta()
    ds.SeriesDate, ds.SeriesTime = date(exam.start), time(exam.start + late)
    ds.AcquisitionDate, ds.AcquisitionTime = date(exam.start), time(exam.start)
    ds.ContentDate, ds.ContentTime = date(exam.start), time(exam.start + timedelta(minutes=30))
    ds.Units = "CNTS" if scanner.vendor is Vendor.PHILIPS else "BQML"
    ds.CountsSource = "EMISSION"
    ds.SeriesType = ["WHOLE BODY", "IMAGE"]
    ds.NumberOfSlices = grid.shape[0]
    done = ["NORM", "DTIM", "RAN", "DECY"]
    ds.CorrectedImage = [*done[:2], "ATTN", "SCAT", *done[2:]] if corrected else done
    ds.RandomsCorrectionMethod = "DLYD"
    ds.AttenuationCorrectionMethod = "CT-derived mu map" if corrected else "NONE"
    ds.ScatterCorrectionMethod = "Model-based" if corrected else "NONE"
    ds.DecayCorrection = scanner.decay_correction
    ds.ReconstructionMethod = MODELS[scanner.vendor][2]
    ds.ConvolutionKernel = f"XYZ Gauss{scanner.psf_mm:.1f}"
    ds.CollimatorType = "NONE"
    ds.ActualFrameDuration = str(int(BED_S * 1000))
    ds.FrameReferenceTime = "000000000000.000"
    ds.DecayFactor = "00000.0000000000"
    ds.DoseCalibrationFactor = "1"
    ds.ImageIndex = 0
    ds.RescaleIntercept, ds.RescaleSlope = "0", "0.00000000000000"
    ds.BitsStored, ds.HighBit = 16, 15
    ds.PixelRepresentation = int(scanner.vendor is Vendor.GE)
    ds.LossyImageCompression = "00"
    _tracer(ds, exam)
    _private(ds, exam)
    return ds


def _tracer(ds: Dataset, exam: Exam) -> None:
    tracer = Dataset()
    tracer.Radiopharmaceutical = "Fluorodeoxyglucose F^18^"
    tracer.RadiopharmaceuticalRoute = ""
    tracer.RadiopharmaceuticalStartTime = time(exam.injection)
    if exam.scanner.start_datetime:
        tracer.RadiopharmaceuticalStartDateTime = date(exam.injection) + time(exam.injection)
    scale = 1e-6 if exam.scanner.dose_in_mbq else 1.0
    tracer.RadionuclideTotalDose = f"{exam.dose_bq * scale:.9g}"
    tracer.RadionuclideHalfLife = f"{HALF_LIFE_S:g}"
    tracer.RadionuclidePositronFraction = "0.97"
    tracer.RadionuclideCodeSequence = [code("77004003", "SCT", "^18^Fluorine")]
    tracer.RadiopharmaceuticalCodeSequence = [code("35321007", "SCT", "Fluorodeoxyglucose F^18^")]
    ds.RadiopharmaceuticalInformationSequence = [tracer]
    recumbent = code("102538003", "SCT", "recumbent")
    recumbent.PatientOrientationModifierCodeSequence = [code("40199007", "SCT", "supine")]
    ds.PatientOrientationCodeSequence = [recumbent]
    ds.PatientGantryRelationshipCodeSequence = [code("102540008", "SCT", "headfirst")]


def counts_factor(exam: Exam) -> float:
    """Return Bq/mL per count of a scanner that stores counts, (7053,1009)."""
    return float(decimal(0.5 + exam.dose_bq / 4e8))


def _private(ds: Dataset, exam: Exam) -> None:
    if exam.scanner.vendor is Vendor.GE:
        block = ds.private_block(*GE_BLOCK, create=True)
        block.add_new(0x0D, "DT", date(exam.start) + time(exam.start)[:9])
    if exam.scanner.vendor is Vendor.PHILIPS:
        block = ds.private_block(*PHILIPS_BLOCK, create=True)
        per_count = counts_factor(exam)
        if exam.weight_kg is not None:
            block.add_new(0x00, "DS", decimal(per_count * exam.suv_factor(exam.weight_kg)))
        block.add_new(0x09, "DS", decimal(per_count))


def ct_slice(exam: Exam, grid: Grid) -> Dataset:
    """Return a slice of the low-dose CT without pixels."""
    taken = exam.start - timedelta(minutes=3)
    ds = patient_and_study(exam)
    _equipment(ds, exam)
    _plane(ds, exam, grid, series="ct")
    ds.SOPClassUID = CTImageStorage
    ds.Modality = "CT"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.SeriesNumber = "2"
    ds.SeriesDescription = "CT WB low dose"
    ds.SeriesDate, ds.SeriesTime = date(taken), time(taken)
    ds.AcquisitionDate, ds.AcquisitionTime = date(taken), time(taken)
    ds.ContentDate, ds.ContentTime = date(taken), time(taken)
    ds.PatientPosition = "HFS"
    ds.AcquisitionNumber = "1"
    ds.KVP = "120"
    ds.ConvolutionKernel = "B30f"
    ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 12, 11, 0
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "-1024", "1", "HU"
    return ds


def projection(exam: Exam, *, rows: int, columns: int) -> Dataset:
    """Return a secondary capture of the coronal projection, 8 bit, without pixels."""
    ds = patient_and_study(exam)
    _equipment(ds, exam)
    ds.SOPClassUID = SecondaryCaptureImageStorage
    ds.SOPInstanceUID = exam.uid("projection", 1)
    ds.SeriesInstanceUID = exam.uid("projection")
    ds.Modality = "PT"
    ds.ImageType = ["DERIVED", "SECONDARY"]
    ds.SeriesNumber, ds.InstanceNumber = "9", "1"
    ds.SeriesDescription = "MIP"
    ds.SeriesDate, ds.SeriesTime = date(exam.start), time(exam.start)
    ds.ContentDate, ds.ContentTime = date(exam.start), time(exam.start)
    ds.ConversionType = "WSD"
    ds.PatientOrientation = ["L", "F"]
    ds.Rows, ds.Columns = rows, columns
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME1"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    ds.BurnedInAnnotation = "NO"
    return ds
