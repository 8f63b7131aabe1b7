"""Other layouts of images and tables to a hospital's folder: the common part.

Images are written as DICOM, masks stay NIfTI, the table is copied, and a dictionary is drafted.
Everything that is checked in a hospital's own DICOM is then checked in them as well.
"""

from __future__ import annotations

import csv
import io
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

from fedpet.cohort.draft import Draft, draft_dictionary
from fedpet.cohort.manifest import write_private
from fedpet.cohort.settings import NAME
from fedpet.cohort.sheet import Sheet
from fedpet.errors import DataError, NotFoundError, StoreError
from fedpet.imaging.image_writing import Activity, Whose, write_ct, write_pet
from fedpet.imaging.nifti_image import read_nifti_image
from fedpet.imaging.volume import Volume

ENDINGS = (".nii.gz", ".nii")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a layout has of one subject.

    Args:
        whose: Whose it is.
        pet: NIfTI file.
        ct: NIfTI file in HU; None without one.
        mask: NIfTI file of lesions; None without one.
        scale: Brings the PET's values to Bq/mL, or to SUV where `activity` is None.
        activity: What turns them into SUV; None: they are SUV.
    """

    whose: Whose
    pet: Path
    ct: Path | None
    mask: Path | None
    scale: float
    activity: Activity | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Why a subject of a layout was left out, without its name."""

    reason: str


Item: TypeAlias = Found | Refused


class Layout(Protocol):
    """A way to lay out images and a table on disk."""

    def subjects(self) -> Iterator[Item]:
        """Yield what there is of each subject, in order."""

    def table(self) -> Sheet:
        """Return the table; the identifier that the images carry stands in one column."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectDone:
    """One subject was imported, or left out."""

    number: int
    files: int
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """A hospital's folder was written.

    Args:
        subjects: With images.
        masks: With a mask of lesions.
        refused: Reasons why subjects were left out, and how many each.
        draft: The dictionary that was drafted.
    """

    subjects: int
    masks: int
    refused: tuple[tuple[str, int], ...]
    draft: Draft


ImportRecord: TypeAlias = SubjectDone | Imported


def import_layout(layout: Layout, to: Path, *, name: str, site: str) -> Iterator[ImportRecord]:
    """Write a hospital's folder from another layout.

    Args:
        layout: Where it comes from.
        to: A folder that does not exist or is empty.
        name: Of the cohort.
        site: Of the hospital.

    Yields:
        A `SubjectDone` for each subject, then `Imported`.

    Raises:
        DataError: If no subject can be used, or the names are not fit (FP-2192).
        StoreError: If the folder holds something.
    """
    for key, value in (("name", name), ("site", site)):
        if not NAME.fullmatch(value):
            raise DataError(
                f"The {key} is '{value:.40}'; use lower case letters, digits, '.', '_' and '-'.",
                code="FP-2192",
            )
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise StoreError("The folder to write to holds something.", do="Name a new folder.")
    sheet = layout.table()
    for folder in (to, to / "images", to / "masks"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    refused: Counter[str] = Counter()
    subjects = masks = 0
    for number, item in enumerate(layout.subjects(), start=1):
        done = _one(item, to, number)
        yield done
        if done.reason:
            refused[done.reason] += 1
        else:
            subjects += 1
            masks += isinstance(item, Found) and item.mask is not None
    if not subjects:
        shutil.rmtree(to, ignore_errors=True)
        told = "\n".join(f"{count} x {reason}" for reason, count in refused.most_common())
        raise DataError(
            "No subject of the layout can be used.",
            why=told or "There is no subject in the folder.",
            do="Check the folder and the names of its modalities.",
            code="FP-2192",
        )
    draft = draft_dictionary(sheet)
    write_private(to / "clinical.csv", _csv(sheet))
    write_private(to / "dictionary.toml", draft.text.encode())
    lesions = "given" if masks else "suv4.0"
    settings = f'name = "{name}"\nsite = "{site}"\nlesions = "{lesions}"\n'
    write_private(to / "cohort.toml", settings.encode())
    yield Imported(
        subjects=subjects, masks=masks, refused=tuple(refused.most_common()), draft=draft
    )


def _one(item: Item, to: Path, number: int) -> SubjectDone:
    if isinstance(item, Refused):
        return SubjectDone(number=number, files=0, reason=item.reason)
    place = to / "images" / f"{number:05d}"
    try:
        pet = read_nifti_image(item.pet)
        ct = None if item.ct is None else read_nifti_image(item.ct)
    except DataError as error:
        return SubjectDone(number=number, files=0, reason=error.title)
    (place / "pet").mkdir(mode=0o700, parents=True)
    scaled = Volume(array=pet.array * pet.array.dtype.type(item.scale), grid=pet.grid)
    files = write_pet(scaled, place / "pet", item.whose, item.activity)
    if ct is not None:
        (place / "ct").mkdir(mode=0o700)
        files += write_ct(ct, place / "ct", item.whose)
    if item.mask is not None:
        ending = next(end for end in ENDINGS if item.mask.name.lower().endswith(end))
        shutil.copyfile(item.mask, to / "masks" / f"{item.whose.patient_id}{ending}")
        files += 1
    return SubjectDone(number=number, files=files)


def _csv(sheet: Sheet) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(sheet.header)
    writer.writerows(sheet.rows)
    return text.getvalue().encode()


def images_in(folder: Path) -> list[Path]:
    """Return the NIfTI files of a folder, sorted; none where there is no folder."""
    if not folder.is_dir():
        return []
    return sorted(
        path
        for path in folder.iterdir()
        if path.name.lower().endswith(ENDINGS) and not path.name.startswith(".") and path.is_file()
    )


def require_folder(path: Path) -> None:
    """Refuse a source that is not a folder.

    Raises:
        NotFoundError: If it is none.
    """
    if not path.is_dir():
        raise NotFoundError(
            f"There is no folder '{path.name}' to import.", do="Name the layout's root folder."
        )


def number_in(row: dict[str, str], names: Sequence[str]) -> float | None:
    """Return the first number of a row under one of several names; None if there is none.

    Examples:
        >>> number_in({"weight": "70,5", "height": "n/a"}, ("weight",))
        70.5
    """
    for name in names:
        try:
            value = float(row.get(name, "").replace(",", "."))
        except ValueError:
            continue
        if 0 < value < float("inf"):
            return value
    return None
