"""A messy folder to one PET-CT per subject, by header alone; nothing trusts names or endings."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fedpet.errors import DataError
from fedpet.imaging import tags
from fedpet.imaging.header import Header
from fedpet.imaging.intake import SeriesIntake, volume_key
from fedpet.imaging.pairing import (
    IMAGE_CLASSES,
    PET_CLASS,
    MaskFile,
    Scan,
    choose_ct,
    choose_mask,
    choose_pet,
    objection,
)
from fedpet.imaging.reading import read_header
from fedpet.imaging.remarks import Rejected, Remark
from fedpet.imaging.series import Series

DIRECTORY_CLASS = "1.2.840.10008.1.3.10"
MASK_MODALITIES = ("SEG", "RTSTRUCT")
NIFTI_ENDINGS = (".nii.gz", ".nii")


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """What a folder holds.

    Args:
        scans: One per subject, by patient id.
        rejected: Everything else that is DICOM or a mask, with reasons.
        files: Number of files looked at.
    """

    scans: tuple[Scan, ...]
    rejected: tuple[Rejected, ...]
    files: int


def find_scans(images: Path, *, masks: Path | None = None) -> Index:
    """Find the PET-CT of each subject in a folder of DICOM files.

    Args:
        images: Any tree of files; other files are passed over.
        masks: Folder of NIfTI masks named `<PatientID>.nii.gz` or `.nii`, if there are any.

    Returns:
        One scan per subject and the reason for every series that is not used.

    Raises:
        DataError: If the folder does not exist or holds no DICOM file.

    Source:
        Grouping and filters: DICOM PS3.3 C.8.9; rules in `pairing`.
    """
    if not images.is_dir():
        raise DataError(
            "The folder of images does not exist.",
            do="Give the folder that holds the DICOM files, or set images in cohort.toml.",
            code="FP-2110",
        )
    shelf = _Shelf()
    files = 0
    for path in _files(str(images)):
        files += 1
        shelf.take_in(path)
    if not (shelf.intakes or shelf.masks or shelf.others or shelf.damaged):
        raise DataError(
            f"No DICOM file among the {files} files of the folder.",
            do="Give the folder into which the PACS exported; DICOM files need no ending.",
            code="FP-2110",
        )
    if masks is not None and masks.is_dir():
        shelf.masks += _nifti_masks(masks)
    return _sorted_out(shelf, files)


def _files(folder: str) -> Iterator[str]:
    """Yield all files below a folder, in an order that is always the same."""
    try:
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(
            f"A folder cannot be listed: {error.strerror}.", do="Check its rights.", code="FP-2110"
        ) from error
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _files(entry.path)
        elif entry.is_file():
            yield entry.path


class _Shelf:
    """Files as they come in, sorted into volumes, masks and the rest."""

    def __init__(self) -> None:
        self.intakes: dict[tuple[str, ...], SeriesIntake] = {}
        self.masks: list[MaskFile] = []
        self.others: dict[tuple[str, str, str, str], int] = {}
        self.damaged = 0

    def take_in(self, path: str) -> None:
        try:
            header = read_header(path)
            status = os.stat(path)  # noqa: PTH116 - once for each file
        except (DataError, OSError):
            self.damaged += 1
            return
        if header is None or header.text(tags.SOP_CLASS) == DIRECTORY_CLASS:
            return
        modality = header.text(tags.MODALITY)
        if modality in MASK_MODALITIES:
            self.masks.append(_mask_file(path, header, status))
            return
        if modality not in IMAGE_CLASSES:
            self._set_aside(header, objection(header))
            return
        key = volume_key(header)
        intake = self.intakes.get(key)
        if intake is None:
            reason = objection(header)
            if reason:
                self._set_aside(header, reason)
                return
            intake = self.intakes[key] = SeriesIntake(header)
        intake.add(path, header, size=status.st_size, modified_ns=status.st_mtime_ns)

    def _set_aside(self, header: Header, reason: str) -> None:
        text = header.text
        key = (text(tags.PATIENT_ID), text(tags.SERIES_UID), text(tags.MODALITY), reason)
        self.others[key] = self.others.get(key, 0) + 1


def _mask_file(path: str, header: Header, status: os.stat_result) -> MaskFile:
    references = [item.text(tags.SERIES_UID) for item in header.items(tags.REFERENCED_SERIES)]
    frame = header.text(tags.FRAME_OF_REFERENCE)
    on_pet = False
    for inside in header.items(tags.REFERENCED_FRAME):
        frame = inside.text(tags.FRAME_OF_REFERENCE) or frame
        for study in inside.items(tags.REFERENCED_STUDY):
            for series in study.items(tags.RT_REFERENCED_SERIES):
                references.append(series.text(tags.SERIES_UID))
                image = series.first(tags.CONTOUR_IMAGES)
                on_pet = on_pet or image.text(tags.REFERENCED_SOP_CLASS) == PET_CLASS
    structure = header.text(tags.STRUCTURE_DATE) + header.text(tags.STRUCTURE_TIME)
    return MaskFile(
        path=path,
        kind=header.text(tags.MODALITY),
        patient_id=header.text(tags.PATIENT_ID),
        series_uid=header.text(tags.SERIES_UID),
        frame_uid=frame,
        references=tuple(uid for uid in references if uid),
        on_pet=on_pet,
        date=structure or header.text(tags.SERIES_DATE) + header.text(tags.SERIES_TIME),
        size=status.st_size,
        modified_ns=status.st_mtime_ns,
    )


def _nifti_masks(folder: Path) -> list[MaskFile]:
    found = []
    for path in sorted(folder.iterdir()):
        for ending in NIFTI_ENDINGS:
            if path.name.lower().endswith(ending) and path.is_file():
                status = path.stat()
                found.append(
                    MaskFile(
                        path=str(path),
                        kind="NIFTI",
                        patient_id=path.name[: -len(ending)],
                        size=status.st_size,
                        modified_ns=status.st_mtime_ns,
                    )
                )
                break
    return found


def _sorted_out(shelf: _Shelf, files: int) -> Index:
    rejected = [
        Rejected(patient_id=patient, series=series, modality=modality, reason=reason, files=count)
        for (patient, series, modality, reason), count in shelf.others.items()
    ]
    if shelf.damaged:
        reason = "Damaged DICOM: the header cannot be read."
        rejected.append(
            Rejected(patient_id="", series="", modality="", reason=reason, files=shelf.damaged)
        )
    volumes: dict[str, list[Series]] = {}
    for intake in shelf.intakes.values():
        try:
            series = intake.build()
        except DataError as error:
            rejected.append(_refused(intake, str(error)))
            continue
        volumes.setdefault(series.patient_id, []).append(series)
    masks: dict[str, list[MaskFile]] = {}
    for mask in shelf.masks:
        masks.setdefault(mask.patient_id, []).append(mask)
    scans = []
    for patient in sorted(volumes):
        scan, aside = _pair(patient, volumes[patient], masks.pop(patient, ()))
        rejected += aside
        if scan is not None:
            scans.append(scan)
    for left in masks.values():
        for mask in left:
            reason = "There is no usable PET of this subject."
            rejected.append(
                Rejected(
                    patient_id=mask.patient_id,
                    series=mask.series_uid,
                    modality=mask.kind,
                    reason=reason,
                )
            )
    return Index(scans=tuple(scans), rejected=tuple(rejected), files=files)


def _refused(intake: SeriesIntake, reason: str) -> Rejected:
    return Rejected(
        patient_id=intake.header.text(tags.PATIENT_ID),
        series=intake.header.text(tags.SERIES_UID),
        modality=intake.header.text(tags.MODALITY),
        reason=reason,
        files=intake.files,
    )


def _pair(
    patient: str, volumes: Sequence[Series], masks: Sequence[MaskFile]
) -> tuple[Scan | None, list[Rejected]]:
    pets = [one for one in volumes if one.modality == "PT"]
    cts = [one for one in volumes if one.modality == "CT"]
    pet, rejected, remarks = choose_pet(pets) if pets else (None, [], [])
    if not patient:
        reason = "It has no (0010,0020) Patient ID."
        return None, [_aside(one, reason) for one in volumes]
    if pet is None:
        reason = "There is no usable PET of this subject."
        rejected += [_aside(one, reason) for one in cts]
        rejected += [
            Rejected(patient_id=patient, series=one.series_uid, modality=one.kind, reason=reason)
            for one in masks
        ]
        return None, rejected
    ct, others = choose_ct(pet, cts)
    mask, target, more = choose_mask(pet, ct, masks)
    for one in (pet, ct):
        if one is not None and one.dropped:
            text = f"{one.dropped} slice(s) of the {one.modality} lie twice in the folder."
            remarks.append(Remark(code="FP-2137", text=text))
    scan = Scan(
        patient_id=patient,
        pet=pet,
        ct=ct,
        mask=None if mask is None else replace(mask, target=target),
        remarks=tuple(remarks),
    )
    return scan, [*rejected, *others, *more]


def _aside(series: Series, reason: str) -> Rejected:
    return Rejected(
        patient_id=series.patient_id,
        series=series.series_uid,
        modality=series.modality,
        reason=reason,
        files=len(series.slices),
    )
