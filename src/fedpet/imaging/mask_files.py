"""Files that may show the lesions of a subject, and which of them does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fedpet.imaging import tags
from fedpet.imaging.header import Header
from fedpet.imaging.objections import IMAGE_CLASSES
from fedpet.imaging.remarks import Rejected
from fedpet.imaging.rules import Rules
from fedpet.imaging.series import Series, identity_of

MASK_MODALITIES = ("SEG", "RTSTRUCT")
NIFTI_ENDINGS = (".nii.gz", ".nii")


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskFile:
    """A file that may show the lesions of a subject.

    Args:
        path: The file.
        kind: `SEG`, `RTSTRUCT` or `NIFTI`.
        patient_id: (0010,0020), or the file's name for NIfTI.
        series_uid: Its own series; empty for NIfTI.
        frame_uid: Frame of reference; empty for NIfTI.
        references: Series that it was drawn on; empty if it names none.
        on_pet: Whether it names PET images.
        date: Date and time as text, for choosing the newest.
        target: `pet` or `ct`: the volume it was drawn on; set when it is chosen.
        size: Bytes.
        modified_ns: Time of the last change.
        number: (0020,0011) Series Number.
    """

    path: str
    kind: str
    patient_id: str
    series_uid: str = ""
    frame_uid: str = ""
    references: tuple[str, ...] = ()
    on_pet: bool = False
    date: str = ""
    target: str = "pet"
    size: int = 0
    modified_ns: int = 0
    number: str = ""

    @property
    def identity(self) -> str:
        """What tells it from every other mask; secret, as it is made of identifiers."""
        return identity_of((self.patient_id, self.kind, self.series_uid, self.date))


def mask_file(path: str, header: Header, size: int, modified_ns: int) -> MaskFile:
    """Collect what the header of a DICOM SEG or RTSTRUCT says of where it was drawn."""
    references = [item.text(tags.SERIES_UID) for item in header.items(tags.REFERENCED_SERIES)]
    frame = header.text(tags.FRAME_OF_REFERENCE)
    on_pet = False
    for inside in header.items(tags.REFERENCED_FRAME):
        frame = inside.text(tags.FRAME_OF_REFERENCE) or frame
        for study in inside.items(tags.REFERENCED_STUDY):
            for series in study.items(tags.RT_REFERENCED_SERIES):
                references.append(series.text(tags.SERIES_UID))
                image = series.first(tags.CONTOUR_IMAGES)
                on_pet |= image.text(tags.REFERENCED_SOP_CLASS) in IMAGE_CLASSES["PT"]
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
        size=size,
        modified_ns=modified_ns,
        number=header.text(tags.SERIES_NUMBER),
    )


def nifti_masks(folder: Path) -> list[MaskFile]:
    """List the NIfTI masks of a folder, each named after its subject."""
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


def choose_mask(
    pet: Series, ct: Series | None, candidates: Sequence[MaskFile], rules: Rules
) -> tuple[MaskFile | None, str, list[Rejected]]:
    """Choose the lesion mask of a PET-CT.

    A mask drawn on this PET comes first, then on this CT, then a NIfTI named after the subject,
    then one that shares only the frame of reference (drawn on PET before CT). Among equals the
    newest is taken; among equally new ones none. A choice of the hospital goes before all of it.

    Returns:
        The mask or None, `pet` or `ct` for what it was drawn on, and the others with reasons.
    """
    ranked = []
    rejected = []
    seen: set[tuple[str, str, int]] = set()
    for one in candidates:
        copy = (one.kind, one.series_uid or one.path, one.size)
        rank, target = _rank(pet, ct, one)
        if copy in seen:
            rejected.append(mask_aside(one, "It is a copy of a mask in the folder."))
        elif one.identity in rules.excluded:
            rejected.append(mask_aside(one, rules.EXCLUDED))
        elif not target:
            rejected.append(mask_aside(one, "It was drawn on no image that is used."))
        else:
            ranked.append((-1 if one.identity in rules.chosen else rank, one, target))
        seen.add(copy)
    if not ranked:
        return None, "pet", rejected
    top = min(rank for rank, _, _ in ranked)
    newest = max(one.date for rank, one, _ in ranked if rank == top)
    chosen = [entry for entry in ranked if entry[0] == top and entry[1].date == newest]
    if len(chosen) > 1:
        reason = "Several masks are equally new; choose one in scans.csv or choices.csv."
        rejected += [mask_aside(one, reason) for _, one, _ in ranked]
        return None, "pet", rejected
    _, best, target = chosen[0]
    rejected += [
        mask_aside(one, "Another mask fits better or is newer.")
        for _, one, _ in ranked
        if one is not best
    ]
    return best, target, rejected


def _rank(pet: Series, ct: Series | None, mask: MaskFile) -> tuple[int, str]:
    if mask.kind == "NIFTI":
        return 2, "pet"
    if pet.series_uid in mask.references:
        return 0, "pet"
    if ct is not None and ct.series_uid in mask.references:
        return 1, "ct"
    if not mask.frame_uid or mask.frame_uid != pet.frame_uid:
        return 9, ""
    if mask.on_pet or ct is None:
        return 3, "pet"
    return 4, "ct"


def mask_aside(mask: MaskFile, reason: str) -> Rejected:
    """Record that a mask is not used, and why."""
    return Rejected(
        patient_id=mask.patient_id,
        series=mask.series_uid,
        modality=mask.kind,
        reason=reason,
        identity=mask.identity,
        date=mask.date[:8],
        number=mask.number,
        usable=True,
    )
